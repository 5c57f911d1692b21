/**
 * HalfSipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", and its 32-bit variant as Linux uses it for
 * hash tables): keyed, so that nobody who lacks the key can choose inputs that fall into one bucket.
 */

/** A keyed hash of short byte strings for tables in memory; not for secrets. */
export class KeyedHash {
  readonly #key0: number;
  readonly #key1: number;

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
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}
