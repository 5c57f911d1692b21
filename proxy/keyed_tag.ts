/** Tags that nobody can guess and that need no memory: a keyed hash of what they stand for, in hexadecimal. */
import { KeyedHash, writeHexWord } from "../mod.ts";

/** Digits of a tag: 64 bits. */
export const TAG_DIGITS = 16;
/** Bytes of the key. */
export const TAG_KEY_BYTES = 8;

/** The tags of one key. */
export class KeyedTag {
  readonly #hash: KeyedHash;

  /** @param key {@linkcode TAG_KEY_BYTES} secret bytes */
  constructor(key: Uint8Array) {
    this.#hash = new KeyedHash(key);
  }

  /** Writes the tag of buffer[start, end) at `offset`; the offset after it. */
  write(buffer: Uint8Array, start: number, end: number, out: Uint8Array, offset: number): number {
    const hash = this.#hash;
    hash.begin();
    hash.part(buffer, start, end);
    hash.end();
    return writeHexWord(hash.low, out, writeHexWord(hash.high, out, offset));
  }

  /** Writes the tag of two ranges of a buffer to out[0, 16). */
  writeOfBoth(
    buffer: Uint8Array,
    start: number,
    end: number,
    otherStart: number,
    otherEnd: number,
    out: Uint8Array,
  ): void {
    const hash = this.#hash;
    hash.begin();
    hash.part(buffer, start, end);
    hash.part(buffer, otherStart, otherEnd);
    hash.end();
    writeHexWord(hash.low, out, writeHexWord(hash.high, out, 0));
  }
}

/** Whether the tag stands at buffer[start, …), without telling by the time it takes how much of it does. */
export function isTag(buffer: Uint8Array, start: number, tag: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < TAG_DIGITS; i++) difference |= tag[i] ^ buffer[start + i];
  return difference === 0;
}
