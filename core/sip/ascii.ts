/** Bytes, character classes and small loops that all of core/sip shares. Nothing here allocates but the decoders. */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DQUOTE = 0x22;
export const LPAREN = 0x28;
export const COMMA = 0x2c;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const SEMI = 0x3b;
export const LESS = 0x3c;
export const EQUAL = 0x3d;
export const GREATER = 0x3e;
export const LBRACK = 0x5b;
export const BACKSLASH = 0x5c;
export const RBRACK = 0x5d;

/** 1 for every byte of a `token` (RFC 3261 §25.1), 0 for the others. */
export const TOKEN: Uint8Array = new Uint8Array(256);
for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~") {
  TOKEN[c.charCodeAt(0)] = 1;
}

const HEX_DIGITS = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The UTF-8 bytes of `text`. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Writes `text` as UTF-8 at `offset`; the number of bytes written. Throws RangeError where it does not fit. */
export function encodeTextInto(text: string, out: Uint8Array, offset: number): number {
  const length = text.length;
  if (length <= 64 && offset + length <= out.length) {
    // encodeInto costs a call into the engine and a view; short ASCII is quicker byte by byte.
    let i = 0;
    for (; i < length; i++) {
      const c = text.charCodeAt(i);
      if (c > 0x7f) break;
      out[offset + i] = c;
    }
    if (i === length) return length;
  }
  const { read, written } = encoder.encodeInto(text, out.subarray(offset));
  if (read < length) throw new RangeError(`No room for ${length} characters at offset ${offset}`);
  return written;
}

/** Space, tab, CR or LF: what may stand inside a folded header value between two parts. */
export function isLws(c: number): boolean {
  return c <= SP && (c === SP || c === TAB || c === CR || c === LF);
}

/** The first offset at or after `at` that is not white space, at most `end`. */
export function skipLws(buffer: Uint8Array, at: number, end: number): number {
  while (at < end && isLws(buffer[at])) at++;
  return at;
}

/** The end of [start, end) without its trailing white space. */
export function trimEnd(buffer: Uint8Array, start: number, end: number): number {
  while (end > start && isLws(buffer[end - 1])) end--;
  return end;
}

/** The end of the token that starts at `at` (`at` itself when there is none). */
export function skipToken(buffer: Uint8Array, at: number, end: number): number {
  while (at < end && TOKEN[buffer[at]] === 1) at++;
  return at;
}

/** Whether [start, end) spells `lower` (given in lower case) without regard to ASCII case. */
export function equalsIgnoreCase(buffer: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const c = buffer[start + i];
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== lower[i]) return false;
  }
  return true;
}

/** Whether [start, end) spells the ASCII string `text` exactly. */
export function equalsText(buffer: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (buffer[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The decimal number in [start, end), or -1 when it is not 1*DIGIT or above `max` (at most 2^31 - 1). */
export function parseDecimal(buffer: Uint8Array, start: number, end: number, max: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = buffer[i] - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return value;
}

/** [start, end) as text: UTF-8 (invalid bytes become U+FFFD), each fold one space. */
export function decodeText(buffer: Uint8Array, start: number, end: number): string {
  if (end - start <= 48) {
    // Short and plain, which is nearly always: no view, no call into the decoder.
    let text = "";
    let i = start;
    for (; i < end; i++) {
      const c = buffer[i];
      if (c > 0x7f || c === LF) break;
      text += String.fromCharCode(c);
    }
    if (i === end) return text;
  }
  const text = decoder.decode(buffer.subarray(start, end));
  return text.includes("\n") ? unfold(text) : text;
}

/** Each fold, with the blanks before and behind it, as one space; in time linear in the length, which a pattern is not. */
function unfold(text: string): string {
  const lines = text.split("\n");
  let result = "";
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    let start = 0;
    let end = line.length;
    if (i > 0) { while (start < end && isBlank(line, start)) start++; }
    if (i > 0) result += start > 0 ? " " : "\n";
    if (i + 1 < lines.length && isBlank(lines[i + 1], 0)) {
      if (end > start && line[end - 1] === "\r") end--;
      while (end > start && isBlank(line, end - 1)) end--;
    }
    result += line.slice(start, end);
  }
  return result;
}

const isBlank = (text: string, at: number): boolean => text[at] === " " || text[at] === "\t";

/** Writes a number in decimal at `offset`; the offset after it. There has to be room for its digits, 24 at most. */
export function writeDecimal(value: number, out: Uint8Array, offset: number): number {
  // A whole number below 2^31 makes no text on its way.
  if ((value | 0) !== value || value < 0) return offset + encodeTextInto(String(value), out, offset);
  let digits = 1;
  for (let rest = value; rest > 9; rest = (rest / 10) | 0) digits++;
  offset += digits;
  for (let at = offset; digits > 0; digits--, value = (value / 10) | 0) out[--at] = 0x30 + value % 10;
  return offset;
}

/** Writes the 32 bits of a number as eight hexadecimal digits at `offset`; the offset after them. */
export function writeHexWord(word: number, out: Uint8Array, offset: number): number {
  for (let shift = 28; shift >= 0; shift -= 4) out[offset++] = HEX_DIGITS[word >>> shift & 15];
  return offset;
}
