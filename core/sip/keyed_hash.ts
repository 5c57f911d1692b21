/**
 * HalfSipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", and its 32-bit variant as Linux uses it for
 * hash tables): keyed, so that nobody who lacks the key can choose inputs that fall into one bucket.
 */

/** A keyed hash of short byte strings for tables in memory; not for secrets. */
export class KeyedHash {
  /** The hash that {@linkcode end} has left: two words of 32 bits, signed. */
  low = 0;
  high = 0;
  readonly #key0: number;
  readonly #key1: number;
  /** The four words of the state between {@linkcode begin} and {@linkcode end}, and how many words were taken in. */
  readonly #state = new Int32Array(5);

  /** @param key 8 random bytes, drawn once per run. @throws RangeError if it has another length */
  constructor(key: Uint8Array) {
    if (key.length !== 8) throw new RangeError(`the key of a KeyedHash has 8 bytes, not ${key.length}`);
    this.#key0 = word(key, 0);
    this.#key1 = word(key, 4);
  }

  /** The hash of `bytes[start … end)`, a whole number 0 … 2^32 - 1. */
  hash(bytes: Uint8Array, start: number, end: number): number {
    const key0 = this.#key0;
    const key1 = this.#key1;
    let v0 = key0;
    let v1 = key1;
    let v2 = key0 ^ 0x6c796765;
    let v3 = key1 ^ 0x74656462;
    const length = end - start;
    const words = length >>> 2;
    // One round per word, one for the length with the last bytes, three at the end.
    const rounds = words + 4;
    let at = start;
    for (let i = 0; i < rounds; i++) {
      let m = 0;
      if (i < words) {
        m = word(bytes, at);
        at += 4;
      } else if (i === words) {
        m = length << 24;
        if (at < end) m |= bytes[at];
        if (at + 1 < end) m |= bytes[at + 1] << 8;
        if (at + 2 < end) m |= bytes[at + 2] << 16;
      } else if (i === words + 1) {
        v2 ^= 0xff;
      }
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
    }
    return (v1 ^ v3) >>> 0;
  }

  /**
   * Starts a hash of 64 bits over words and byte strings, given one after the other and nowhere put together: HalfSipHash-1-3
   * with 64-bit output. {@linkcode end} leaves it in `low` and `high`. Nothing is allocated.
   */
  begin(): void {
    const state = this.#state;
    state[0] = this.#key0;
    state[1] = this.#key1 ^ 0xee;
    state[2] = this.#key0 ^ 0x6c796765;
    state[3] = this.#key1 ^ 0x74656462;
    state[4] = 0;
  }

  /** Takes in a word of 32 bits. */
  word(value: number): void {
    this.#absorb(value, NONE, 0, 0, 0);
  }

  /** Takes in bytes[start … end): its length as a word, then the bytes, filled up with zeros to whole words. */
  part(bytes: Uint8Array, start: number, end: number): void {
    this.#absorb(end - start, bytes, start, end, 0);
  }

  /** The same with A … Z as a … z. */
  partIgnoringCase(bytes: Uint8Array, start: number, end: number): void {
    this.#absorb(end - start, bytes, start, end, 0x80808080 | 0);
  }

  /** Ends the hash. */
  end(): void {
    const state = this.#state;
    let v0 = state[0];
    let v1 = state[1];
    let v2 = state[2];
    let v3 = state[3];
    // One round for the length in bytes, modulo 256; three for the first word, three for the second.
    let m = state[4] << 26;
    for (let i = 0; i < 7; i++) {
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
      m = 0;
      if (i === 0) v2 ^= 0xee;
      else if (i === 3) {
        this.low = v1 ^ v3;
        v1 ^= 0xdd;
      }
    }
    this.high = v1 ^ v3;
  }

  #absorb(first: number, bytes: Uint8Array, at: number, end: number, upper: number): void {
    const state = this.#state;
    let v0 = state[0];
    let v1 = state[1];
    let v2 = state[2];
    let v3 = state[3];
    let count = state[4];
    let m = first;
    for (;;) {
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
      count++;
      if (at >= end) break;
      m = bytes[at];
      if (at + 3 < end) m |= (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      else {
        if (at + 1 < end) m |= bytes[at + 1] << 8;
        if (at + 2 < end) m |= bytes[at + 2] << 16;
      }
      at += 4;
      // Four bytes at once: the top bit of a byte is set where it is at least "A" but not above "Z".
      if (upper !== 0) {
        const seven = m & 0x7f7f7f7f;
        m |= (((seven + 0x3f3f3f3f) ^ (seven + 0x25252525)) & ~m & upper) >>> 2;
      }
    }
    state[0] = v0;
    state[1] = v1;
    state[2] = v2;
    state[3] = v3;
    state[4] = count;
  }
}

const NONE = new Uint8Array(0);

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}
