/** MD5, RFC 1321 §3.3 and §3.4, over the words of a {@linkcode RoundWriter}. */
import type { RoundWriter, Word } from "./words.ts";

/** A, B, C, D. */
export const MD5_INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/** T[1 … 64]: the integer part of 2^32 · |sin(i)|. */
const CONSTANTS = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));
const ROTATIONS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/** The functions F, G, H, I, and which word of the block each step takes. */
const ROUNDS: readonly {
  readonly mix: (writer: RoundWriter, b: Word, c: Word, d: Word) => Word;
  readonly word: (step: number) => number;
}[] = [
  { mix: (writer, b, c, d) => writer.choose(b, c, d), word: (step) => step },
  { mix: (writer, b, c, d) => writer.choose(d, b, c), word: (step) => (5 * step + 1) % 16 },
  { mix: (writer, b, c, d) => writer.xor(b, c, d), word: (step) => (3 * step + 5) % 16 },
  { mix: (writer, b, c, d) => writer.xor(c, writer.or(b, writer.not(d))), word: (step) => (7 * step) % 16 },
];

/**
 * One compression.
 *
 * @param block the 16 words of the message block
 * @returns the 4 words of the new state
 */
export function compressMd5(writer: RoundWriter, state: readonly Word[], block: readonly Word[]): Word[] {
  let [a, b, c, d] = state;
  for (let step = 0; step < 64; step++) {
    const round = Math.floor(step / 16);
    const { mix, word } = ROUNDS[round];
    const sum = writer.add(a, CONSTANTS[step], block[word(step)], mix(writer, b, c, d));
    const next = writer.add(b, writer.rotateLeft(sum, ROTATIONS[round][step % 4]));
    [a, b, c, d] = [d, writer.keep(next), b, c];
  }
  return [a, b, c, d].map((word, i) => writer.add(word, state[i]));
}
