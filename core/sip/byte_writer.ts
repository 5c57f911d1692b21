/** A growing buffer that whole messages are built in. */
import { writeHex } from "../hash/hex.ts";
import { CR, encodeTextInto, LF, writeDecimal } from "./ascii.ts";
import { copyBytes } from "./copy.ts";

/** Appends text, bytes and header lines. Reusable with `clear`. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(capacity = 2048) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }
  /** What was written is buffer[0, length). A later write may replace the array. */
  get buffer(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }
  clear(): void {
    this.#length = 0;
  }
  /** A copy of what was written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  text(text: string): this {
    this.#reserve(text.length * 3);
    this.#length += encodeTextInto(text, this.#bytes, this.#length);
    return this;
  }

  bytes(from: Uint8Array, start = 0, end: number = from.length): this {
    this.#reserve(end - start);
    this.#length = copyBytes(from, start, end, this.#bytes, this.#length);
    return this;
  }

  crlf(): this {
    this.#reserve(2);
    this.#bytes[this.#length++] = CR;
    this.#bytes[this.#length++] = LF;
    return this;
  }

  /** A number in decimal. */
  number(value: number): this {
    this.#reserve(32);
    this.#length = writeDecimal(value, this.#bytes, this.#length);
    return this;
  }

  /** bytes[0, count) as lower-case hexadecimal. */
  hex(bytes: Uint8Array, count: number = bytes.length): this {
    this.#reserve(2 * count);
    this.#length = writeHex(bytes, count, this.#bytes, this.#length);
    return this;
  }

  /** A line of its own. Throws TypeError when it holds a line end, by which a value could bring in header fields. */
  line(text: string): this {
    if (hasLineEnd(text)) throw new TypeError("A header line must not hold a line end");
    return this.text(text).crlf();
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

function hasLineEnd(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === LF || c === CR) return true;
  }
  return false;
}
