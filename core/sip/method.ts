/** Request methods as shared strings, so that reading one allocates nothing and compares by identity, and as numbers. */
import { decodeText, equalsText } from "./ascii.ts";

/**
 * Methods with a number of their own, which is their place here: RFC 3261 §7.1, 3262 PRACK, 3311 UPDATE, 3428 MESSAGE, 3515 REFER,
 * 3903 PUBLISH, 6086 INFO, 6665 SUBSCRIBE, NOTIFY.
 */
export const METHODS: readonly string[] = [
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

/** The number of every method that has none of its own. */
export const OTHER_METHOD = 255;

/** The method in buffer[start, end); methods are case-sensitive (RFC 3261 §7.1). */
export function methodAt(buffer: Uint8Array, start: number, end: number): string {
  for (let i = 0; i < METHODS.length; i++) {
    const method = METHODS[i];
    if (method.charCodeAt(0) === buffer[start] && equalsText(buffer, start, end, method)) return method;
  }
  return decodeText(buffer, start, end);
}

/** The number of a method: 0 … 254 for those above, else {@linkcode OTHER_METHOD}. */
export function methodNumber(method: string): number {
  for (let i = 0; i < METHODS.length; i++) if (METHODS[i] === method) return i;
  return OTHER_METHOD;
}

/** The method with a number; "" for {@linkcode OTHER_METHOD}. */
export function methodName(number: number): string {
  return number < METHODS.length ? METHODS[number] : "";
}
