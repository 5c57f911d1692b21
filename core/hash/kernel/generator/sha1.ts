/** SHA-1, FIPS 180-4 §5.3.1 and §6.1.2, over the words of a {@linkcode RoundWriter}. */
import type { RoundWriter, Word } from "./words.ts";

/** H(0). */
export const SHA1_INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];

const CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

function mix(writer: RoundWriter, round: number, b: Word, c: Word, d: Word): Word {
  if (round < 20) return writer.choose(b, c, d);
  if (round >= 40 && round < 60) return writer.majority(b, c, d);
  return writer.xor(b, c, d);
}

/**
 * One compression.
 *
 * @param block the 16 words of the message block
 * @returns the 5 words of the new state
 */
export function compressSha1(writer: RoundWriter, state: readonly Word[], block: readonly Word[]): Word[] {
  const words = [...block];
  let [a, b, c, d, e] = state;
  for (let round = 0; round < 80; round++) {
    if (round >= 16) {
      const mixed = writer.xor(words[round - 3], words[round - 8], words[round - 14], words[round - 16]);
      words[round] = writer.keep(writer.rotateLeft(mixed, 1));
    }
    const constant = CONSTANTS[Math.floor(round / 20)];
    const next = writer.add(e, constant, words[round], mix(writer, round, b, c, d), writer.rotateLeft(a, 5));
    [a, b, c, d, e] = [writer.keep(next), a, writer.keep(writer.rotateLeft(b, 30)), c, d];
  }
  return [a, b, c, d, e].map((word, i) => writer.add(word, state[i]));
}
