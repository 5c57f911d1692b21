/** Reading and writing the fields of a frame: integers big endian, texts u16 length + UTF-8 (docs/PROTOCOL.md §9). */
import { type ErrorName, TEXT_LIMIT, type TextField } from "./constants.ts";

/** What arrived breaks the DBclient protocol. `code` is what the ERROR frame says, `field` names the place. */
export class WireError extends Error {
  override name = "WireError";
  constructor(readonly code: ErrorName, readonly field: string, detail: string) {
    super(`${field}: ${detail}`);
  }
}

const encoder = new TextEncoder();
// A byte order mark is a character like any other here: stripping it would make two names equal that are not.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts up to this length are tried as ASCII. */
const SHORT_TEXT = 32;
/** Room for their character codes, by length. */
const CODES: number[][] = Array.from({ length: SHORT_TEXT + 1 }, (_, length) => new Array(length).fill(0));

/** Length of a text in bytes of UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // A surrogate pair is 4 bytes for 2 units, a lone surrogate becomes U+FFFD: 3 bytes.
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

/** A growing buffer of fields. Wrong arguments are misuse: RangeError. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** May replace the buffer and its view: call it before naming either. */
  #reserve(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + count));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = at + count;
    return at;
  }

  #check(value: number, limit: number, field: string): void {
    if (!Number.isInteger(value) || value < 0 || value > limit) {
      throw new RangeError(`${field} must be a whole number from 0 to ${limit}, not ${value}`);
    }
  }

  u8(value: number, field: string): void {
    this.#check(value, 0xff, field);
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number, field: string): void {
    this.#check(value, 0xffff, field);
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
  }

  u32(value: number, field: string): void {
    this.#check(value, 0xffffffff, field);
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  /** A u64 up to 2^53 - 1, so that it stays a number. */
  u64(value: number, field: string): void {
    this.#check(value, Number.MAX_SAFE_INTEGER, field);
    const at = this.#reserve(8);
    this.#view.setUint32(at, Math.floor(value / 2 ** 32));
    this.#view.setUint32(at + 4, value % 2 ** 32);
  }

  /** Exactly `size` bytes, without a length before them. */
  fixed(value: Uint8Array, size: number, field: string): void {
    if (value.length !== size) throw new RangeError(`${field} must be ${size} bytes, not ${value.length}`);
    const at = this.#reserve(size);
    this.#bytes.set(value, at);
  }

  text(value: string, field: TextField): void {
    const at = this.#reserve(2 + value.length * 3);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(at + 2));
    if (written > TEXT_LIMIT[field]) {
      throw new RangeError(`${field} is ${written} bytes long; at most ${TEXT_LIMIT[field]} are allowed`);
    }
    this.#view.setUint16(at, written);
    this.#length = at + 2 + written;
  }

  /** Writes a u32 over bytes that are already there. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  /** Starts again with an empty buffer. */
  clear(): void {
    this.#length = 0;
  }

  /** A copy of what was written. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Reads the fields of one payload. What it does not like is a {@linkcode WireError} that names the field. */
export class ByteReader {
  #at: number;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array, start: number, readonly end: number) {
    this.#at = start;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #advance(count: number, field: string): number {
    const at = this.#at;
    if (at + count > this.end) {
      throw new WireError(
        "truncated_field",
        field,
        `needs ${count} bytes, but the frame ends after ${this.end - at}`,
      );
    }
    this.#at = at + count;
    return at;
  }

  u8(field: string): number {
    return this.bytes[this.#advance(1, field)];
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#advance(2, field));
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#advance(4, field));
  }

  u64(field: string): number {
    const at = this.#advance(8, field);
    const value = this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) throw new WireError("bad_value", field, "is over 2^53 - 1");
    return value;
  }

  /** A copy of the next `size` bytes. */
  fixed(size: number, field: string): Uint8Array<ArrayBuffer> {
    const at = this.#advance(size, field);
    return this.bytes.slice(at, at + size) as Uint8Array<ArrayBuffer>;
  }

  /** Passes over the next `size` bytes: where they start. */
  skip(size: number, field: string): number {
    return this.#advance(size, field);
  }

  text(field: TextField): string {
    const length = this.u16(field);
    if (length > TEXT_LIMIT[field]) {
      throw new WireError(
        "overlong_field",
        field,
        `is ${length} bytes long; at most ${TEXT_LIMIT[field]} are allowed`,
      );
    }
    const at = this.#advance(length, field);
    const ascii = this.#ascii(at, length);
    if (ascii !== undefined) return ascii;
    try {
      return decoder.decode(this.bytes.subarray(at, at + length));
    } catch {
      throw new WireError("bad_value", field, "is not UTF-8");
    }
  }

  /** A short text of ASCII alone, as most names are: a fifth of the decoder's time for one. */
  #ascii(at: number, length: number): string | undefined {
    if (length > SHORT_TEXT) return undefined;
    const codes = CODES[length];
    for (let i = 0; i < length; i++) {
      const byte = this.bytes[at + i];
      if (byte >= 0x80) return undefined;
      codes[i] = byte;
    }
    return String.fromCharCode.apply(null, codes);
  }

  /** A u16 count within `min` … `max`. */
  count(field: string, min: number, max: number): number {
    const value = this.u16(field);
    if (value > max) {
      throw new WireError("overlong_field", field, `is ${value}; at most ${max} are allowed`);
    }
    if (value < min) throw new WireError("bad_value", field, `is ${value}; at least ${min} is needed`);
    return value;
  }

  /** A byte that must be one of `table`. */
  oneOf<T extends string>(value: number, table: ReadonlyMap<number, T>, field: string): T {
    const name = table.get(value);
    if (name === undefined) throw new WireError("bad_value", field, `${value} has no meaning`);
    return name;
  }

  /** Nothing may be left. */
  finish(frame: string): void {
    if (this.#at !== this.end) {
      throw new WireError("trailing_bytes", frame, `${this.end - this.#at} bytes after the last field`);
    }
  }
}
