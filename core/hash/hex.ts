/** Bytes as hexadecimal text and back: lower case on output, either case on input (docs/PROTOCOL.md §2). */

const BYTE_TEXT: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

/** Value of a character code as a hexadecimal digit, -1 where it is none. */
const DIGIT_VALUE = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  DIGIT_VALUE[digit.charCodeAt(0)] = value;
  DIGIT_VALUE[digit.toUpperCase().charCodeAt(0)] = value;
}

function toHexByTable(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += BYTE_TEXT[bytes[i]];
  return text;
}

// Uint8Array.prototype.toHex (ECMAScript 2026) takes a third of the table's time for 20 bytes, but is young.
const native = (Uint8Array.prototype as { toHex?: () => string }).toHex;

/**
 * Bytes as lower-case hexadecimal, two digits each.
 *
 * @example
 * ```ts
 * import { fromHex, toHex } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(toHex(new Uint8Array([0, 0xab, 7])), "00ab07");
 * assertEquals(fromHex("00AB07"), new Uint8Array([0, 0xab, 7]));
 * ```
 */
export const toHex: (bytes: Uint8Array) => string = native === undefined
  ? toHexByTable
  : (bytes) => native.call(bytes);

/**
 * The bytes of a hexadecimal text of either case.
 *
 * @throws {SyntaxError} if the length is odd or a character is no hexadecimal digit; the text itself, which may
 * be a secret, is not repeated in the message
 */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) throw new SyntaxError(`hexadecimal text of odd length ${text.length}`);
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) {
    const at = i * 2;
    const high = text.charCodeAt(at);
    const low = text.charCodeAt(at + 1);
    const value = (high | low) > 127 ? -1 : (DIGIT_VALUE[high] << 4) | DIGIT_VALUE[low];
    if (value < 0) throw new SyntaxError(`not a hexadecimal digit near character ${at}`);
    bytes[i] = value;
  }
  return bytes;
}

/** The digits 0 … f as character codes. */
const DIGIT = new Uint8Array(16);
for (let value = 0; value < 16; value++) DIGIT[value] = value.toString(16).charCodeAt(0);

/** Value of a byte as a hexadecimal digit, -1 where it is none. */
const BYTE_VALUE = new Int8Array(256).fill(-1);
BYTE_VALUE.set(DIGIT_VALUE);

/**
 * Writes the bytes of hexadecimal of either case that stands in buffer[start, end) to the beginning of `out`.
 *
 * @returns false, with nothing of use written, when it is not `out.length` bytes in hexadecimal
 */
export function fromHexAt(buffer: Uint8Array, start: number, end: number, out: Uint8Array): boolean {
  const { length } = out;
  if (end - start !== length * 2) return false;
  let all = 0;
  for (let i = 0; i < length; i++) {
    const value = (BYTE_VALUE[buffer[start + 2 * i]] << 4) | BYTE_VALUE[buffer[start + 2 * i + 1]];
    all |= value;
    out[i] = value;
  }
  return all >= 0;
}

/** Writes bytes[0, count) as lower-case hexadecimal at `offset`; the offset after it. There must be room. */
export function writeHex(bytes: Uint8Array, count: number, out: Uint8Array, offset: number): number {
  for (let i = 0; i < count; i++) {
    out[offset++] = DIGIT[bytes[i] >>> 4];
    out[offset++] = DIGIT[bytes[i] & 15];
  }
  return offset;
}

/** Whether `text` is these bytes in lower-case hexadecimal. Its time depends on both: not for secrets. */
export function isHexOf(text: string, bytes: Uint8Array): boolean {
  if (text.length !== bytes.length * 2) return false;
  for (let i = 0; i < bytes.length; i++) {
    const digits = BYTE_TEXT[bytes[i]];
    if (text.charCodeAt(2 * i) !== digits.charCodeAt(0)) return false;
    if (text.charCodeAt(2 * i + 1) !== digits.charCodeAt(1)) return false;
  }
  return true;
}

/** Whether `text` is `bytes` bytes in hexadecimal of either case. */
export function isHex(text: string, bytes: number): boolean {
  if (text.length !== bytes * 2) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127 || DIGIT_VALUE[code] < 0) return false;
  }
  return true;
}
