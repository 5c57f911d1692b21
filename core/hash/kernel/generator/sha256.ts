/** SHA-256, FIPS 180-4 §4.1.2, §4.2.2, §5.3.3 and §6.2.2, over the words of a {@linkcode RoundWriter}. */
import type { RoundWriter, Word } from "./words.ts";

/** The first 32 fractional bits of the n-th root of a prime; whole numbers throughout, for floating point is short. */
function fractionOfRoot(prime: number, root: 2n | 3n): number {
  const scaled = BigInt(prime) << (32n * root);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** root <= scaled) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn);
}

const PRIMES: number[] = [];
for (let candidate = 2; PRIMES.length < 64; candidate++) {
  if (PRIMES.every((prime) => candidate % prime !== 0)) PRIMES.push(candidate);
}

/** H(0). */
export const SHA256_INITIAL = PRIMES.slice(0, 8).map((prime) => fractionOfRoot(prime, 2n));
const CONSTANTS = PRIMES.map((prime) => fractionOfRoot(prime, 3n));

/** Σ and σ: the xor of three rotations to the right, of which the last may be a plain shift. */
function sigma(writer: RoundWriter, word: Word, [x, y, z]: readonly number[], shift = false): Word {
  const last = shift ? writer.shiftRight(word, z) : writer.rotateLeft(word, 32 - z);
  return writer.xor(writer.rotateLeft(word, 32 - x), writer.rotateLeft(word, 32 - y), last);
}

/**
 * One compression.
 *
 * @param block the 16 words of the message block
 * @returns the 8 words of the new state
 */
export function compressSha256(writer: RoundWriter, state: readonly Word[], block: readonly Word[]): Word[] {
  const words = [...block];
  let [a, b, c, d, e, f, g, h] = state;
  for (let round = 0; round < 64; round++) {
    if (round >= 16) {
      const near = sigma(writer, words[round - 2], [17, 19, 10], true);
      const far = sigma(writer, words[round - 15], [7, 18, 3], true);
      words[round] = writer.keep(writer.add(words[round - 16], far, words[round - 7], near));
    }
    const first = writer.keep(writer.add(
      h,
      CONSTANTS[round],
      words[round],
      writer.choose(e, f, g),
      sigma(writer, e, [6, 11, 25]),
    ));
    const second = writer.add(sigma(writer, a, [2, 13, 22]), writer.majority(a, b, c));
    [a, b, c, d, e, f, g, h] = [
      writer.keep(writer.add(second, first)),
      a,
      b,
      c,
      writer.keep(writer.add(d, first)),
      e,
      f,
      g,
    ];
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => writer.add(word, state[i]));
}
