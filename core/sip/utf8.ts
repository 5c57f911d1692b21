/** Whether bytes are UTF-8, and how long they are as text: without a decoder, which makes strings and exceptions. */
import { BACKSLASH } from "./ascii.ts";

/**
 * Whether [start, end) is UTF-8 as a fatal TextDecoder takes it (RFC 3629 §3): no overlong forms, no surrogates, nothing
 * above U+10FFFF, nothing cut off.
 *
 * @param quoted whether a backslash is no part of the text, but the byte after it is (quoted-pair, RFC 3261 §25.1)
 */
export function isUtf8(buffer: Uint8Array, start: number, end: number, quoted = false): boolean {
  let missing = 0;
  // What the next continuation byte may be: narrower than 80 … bf after some first bytes.
  let low = 0x80;
  let high = 0xbf;
  for (let i = start; i < end; i++) {
    let c = buffer[i];
    if (quoted && c === BACKSLASH) {
      if (++i === end) break;
      c = buffer[i];
    }
    if (missing > 0) {
      if (c < low || c > high) return false;
      low = 0x80;
      high = 0xbf;
      missing--;
    } else if (c >= 0x80) {
      if (c < 0xc2 || c > 0xf4) return false;
      missing = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
      if (c === 0xe0) low = 0xa0;
      else if (c === 0xed) high = 0x9f;
      else if (c === 0xf0) low = 0x90;
      else if (c === 0xf4) high = 0x8f;
    }
  }
  return missing === 0;
}

/** Length in UTF-16 code units of the text that the UTF-8 in [start, end) is. */
export function textLength(buffer: Uint8Array, start: number, end: number): number {
  let length = 0;
  for (let i = start; i < end; i++) {
    const c = buffer[i];
    if (c < 0x80 || c >= 0xc0) length += c >= 0xf0 ? 2 : 1;
  }
  return length;
}
