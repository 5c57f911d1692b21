/** Request-Line and Status-Line (RFC 3261 §7.1, §7.2). */
import { CR, encodeText, equalsIgnoreCase, LF, parseDecimal, skipToken, SLASH, SP } from "./ascii.ts";
import { MAX_METHOD } from "./kernel/assembly/layout.ts";
import { methodAt } from "./method.ts";
import type { SipMessage } from "./message.ts";

/** What is wrong with a start line. "not_sip": not to be answered. */
export type StartLineFault = "none" | "not_sip" | "method" | "request_uri" | "version" | "request_line";

const SIP = encodeText("sip");
const SIP_2_0 = encodeText("sip/2.0");

/** Reads the start line at `message.start` into the message. The header section starts after it. */
export function readStartLine(message: SipMessage, end: number): StartLineFault {
  const { buffer, start } = message;
  message.headersStart = end;
  message.isRequest = false;
  let lineEnd = start;
  while (lineEnd < end && buffer[lineEnd] !== LF) lineEnd++;
  if (lineEnd === end) return "not_sip";
  message.headersStart = lineEnd + 1;
  if (lineEnd > start && buffer[lineEnd - 1] === CR) lineEnd--;

  const wordEnd = skipToken(buffer, start, lineEnd);
  // "SIP/" cannot start a request: a method is a token and "/" is none.
  if (wordEnd < lineEnd && buffer[wordEnd] === SLASH && equalsIgnoreCase(buffer, start, wordEnd, SIP)) {
    return readStatusLine(message, wordEnd, lineEnd);
  }
  return readRequestLine(message, wordEnd, lineEnd);
}

function readStatusLine(message: SipMessage, slash: number, lineEnd: number): StartLineFault {
  const { buffer, start } = message;
  let at = slash + 1;
  while (at < lineEnd && buffer[at] !== SP) at++;
  if (!equalsIgnoreCase(buffer, start, at, SIP_2_0)) return "not_sip";
  const status = at + 4 <= lineEnd ? parseDecimal(buffer, at + 1, at + 4, 699) : -1;
  if (status < 100 || (at + 4 < lineEnd && buffer[at + 4] !== SP)) return "not_sip";
  message.status = status;
  message.reasonStart = Math.min(at + 5, lineEnd);
  message.reasonEnd = lineEnd;
  return "none";
}

function readRequestLine(message: SipMessage, methodEnd: number, lineEnd: number): StartLineFault {
  const { buffer, start } = message;
  // White space at the end of the line is no part of the version; §7.1 allows none, so it is a fault further down.
  let wordsEnd = lineEnd;
  while (wordsEnd > start && buffer[wordsEnd - 1] === SP) wordsEnd--;
  let version = wordsEnd;
  while (version > start && buffer[version - 1] !== SP) version--;
  const slash = version + 3;
  if (slash >= wordsEnd || buffer[slash] !== SLASH || !equalsIgnoreCase(buffer, version, slash, SIP)) {
    return "not_sip";
  }
  message.isRequest = true;
  message.method = methodAt(buffer, start, methodEnd);
  if (methodEnd === start || methodEnd - start > MAX_METHOD || buffer[methodEnd] !== SP) return "method";
  message.requestUriStart = methodEnd + 1;
  message.requestUriEnd = Math.max(version - 1, methodEnd + 1);
  if (!equalsIgnoreCase(buffer, version, wordsEnd, SIP_2_0)) return "version";
  if (wordsEnd !== lineEnd) return "request_line";
  return isUri(buffer, message.requestUriStart, message.requestUriEnd) ? "none" : "request_uri";
}

/** Enough of a URI that its scheme can be told: `scheme:something` without white space, controls and `<>"`. */
function isUri(buffer: Uint8Array, start: number, end: number): boolean {
  let colon = -1;
  for (let i = start; i < end; i++) {
    const c = buffer[i];
    if (c <= SP || c >= 0x7f || c === 0x22 || c === 0x3c || c === 0x3e) return false;
    if (c === 0x3a && colon < 0) colon = i;
  }
  return colon > start && colon + 1 < end && isLetter(buffer[start]);
}

function isLetter(c: number): boolean {
  return (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);
}
