// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** What the compressions of a digest are framed by: initial state, padding, order of bytes. */
import { MD5, SHA1 } from "./layout.ts";
import { MD5_INITIAL, SHA1_INITIAL, SHA256_INITIAL } from "./rounds_scalar.ts";

const BLOCK_SIZE: u32 = 64;

/** L in words, docs/PROTOCOL.md §2. */
export function digestWords(algorithm: i32): i32 {
  return algorithm == MD5 ? 4 : algorithm == SHA1 ? 5 : 8;
}

/** L in bytes. */
export function digestSize(algorithm: i32): i32 {
  return 4 * digestWords(algorithm);
}

export function initialState(algorithm: i32, state: usize): void {
  const initial = algorithm == MD5 ? MD5_INITIAL : algorithm == SHA1 ? SHA1_INITIAL : SHA256_INITIAL;
  memory.copy(state, initial, digestSize(algorithm));
}

/**
 * Writes the padding behind the last `length` bytes of a message of `total` bytes: RFC 1321 §3.1 and §3.2, FIPS 180-4
 * §5.1.1.
 *
 * @returns how many blocks the bytes and their padding are
 */
export function pad(algorithm: i32, data: usize, length: u32, total: u64): u32 {
  const blocks = (length + 8) / BLOCK_SIZE + 1;
  const lengthField = data + blocks * BLOCK_SIZE - 8;
  store<u8>(data + length, 0x80);
  memory.fill(data + length + 1, 0, lengthField - (data + length + 1));
  store<u64>(lengthField, algorithm == MD5 ? total << 3 : bswap<u64>(total << 3));
  return blocks;
}

/** From the words of a state to the bytes of a digest, in place. */
export function toBytes(algorithm: i32, state: usize): void {
  if (algorithm == MD5) return;
  for (let word = 0; word < digestWords(algorithm); word++) {
    store<u32>(state + 4 * word, bswap<u32>(load<u32>(state + 4 * word)));
  }
}
