// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/**
 * What the host calls: salted links, HMACs and digests over records that it lays out in memory (layout.ts). Nothing is
 * allocated here. `algorithm` is one of the numbers at the end of layout.ts.
 */
import { EXPECTED_SIZE, RUN_BLOCK, RUN_BLOCKS, RUN_STATE, WALK_SIZE, WALK_VALUE } from "./layout.ts";
import { digestSize, digestWords, initialState, pad, toBytes } from "./digest.ts";
import { derive, hmac, hmacPads } from "./mac.ts";
import { links, run, walk } from "./schedule.ts";

export { derive, hmac, hmacPads, walk };

const single: usize = memory.data(12);

/** Where the host may lay out its records: everything from here up. */
export function freeMemory(): usize {
  return __heap_base;
}

/** {@linkcode walk}, then one byte for each record: 1 if it came to the expected value, else 0. In constant time. */
export function verify(algorithm: i32, records: usize, expected: usize, verdicts: usize, count: i32): void {
  walk(algorithm, records, count);
  const size = digestSize(algorithm);
  for (let i = 0; i < count; i++) {
    let difference: u64 = 0;
    let at = 0;
    for (; at + 8 <= size; at += 8) {
      difference |= load<u64>(records + at, WALK_VALUE) ^ load<u64>(expected + at);
    }
    if (at < size) difference |= load<u32>(records + at, WALK_VALUE) ^ load<u32>(expected + at);
    // The highest bit of x | -x says whether any bit of x is set.
    store<u8>(verdicts + i, <u8> (((difference | (0 - difference)) >>> 63) ^ 1));
    records += WALK_SIZE;
    expected += EXPECTED_SIZE;
  }
}

/** One walk of which every value is kept: those that follow the record's own go to `values`. */
export function chain(algorithm: i32, record: usize, values: usize, count: u32): void {
  const size = digestSize(algorithm);
  for (let i: u32 = 0; i < count; i++) {
    links(algorithm, record, 1);
    memory.copy(values, record + WALK_VALUE, size);
    values += size;
  }
}

/** Brings the values or results of many records together: from addresses `stride` apart to one behind the other. */
export function collect(algorithm: i32, from: usize, stride: i32, to: usize, count: i32): void {
  const words = digestWords(algorithm);
  for (let i = 0; i < count; i++) {
    for (let word = 0; word < words; word++) store<u32>(to + 4 * word, load<u32>(from + 4 * word));
    from += stride;
    to += 4 * words;
  }
}

/** Begins a digest: 8 words of state. */
export function start(algorithm: i32, state: usize): void {
  initialState(algorithm, state);
}

/** Goes on with whole blocks. */
export function update(algorithm: i32, state: usize, data: usize, blocks: u32): void {
  store<usize>(single, state, RUN_STATE);
  store<usize>(single, data, RUN_BLOCK);
  store<u32>(single, blocks, RUN_BLOCKS);
  run(algorithm, single, blocks);
}

/**
 * Ends a digest with what is left, less than a block or more; room for the padding follows it. The bytes of the digest
 * replace the state.
 *
 * @param total length of the whole message in bytes
 */
export function finish(algorithm: i32, state: usize, data: usize, length: u32, total: f64): void {
  update(algorithm, state, data, pad(algorithm, data, length, <u64> total));
  toBytes(algorithm, state);
}
