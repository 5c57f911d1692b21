/** Request methods as shared strings, so that reading one allocates nothing and compares by identity. */
import { decodeText, equalsText } from "./ascii.ts";

// RFC 3261 §7.1, 3262 PRACK, 3311 UPDATE, 3428 MESSAGE, 3515 REFER, 3903 PUBLISH, 6086 INFO, 6665 SUBSCRIBE, NOTIFY.
const METHODS: readonly string[] = [
  "INVITE",
  "ACK",
  "BYE",
  "CANCEL",
  "OPTIONS",
  "REGISTER",
  "PRACK",
  "UPDATE",
  "INFO",
  "MESSAGE",
  "REFER",
  "SUBSCRIBE",
  "NOTIFY",
  "PUBLISH",
];

/** The method in buffer[start, end); methods are case-sensitive (RFC 3261 §7.1). */
export function methodAt(buffer: Uint8Array, start: number, end: number): string {
  for (let i = 0; i < METHODS.length; i++) {
    const method = METHODS[i];
    if (method.charCodeAt(0) === buffer[start] && equalsText(buffer, start, end, method)) return method;
  }
  return decodeText(buffer, start, end);
}
