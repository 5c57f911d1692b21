// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** Header names to numbers: a hash without collisions, then one comparison of 32 bytes without regard to case. */
import { ENTRIES, ENTRY_CARE, ENTRY_LENGTH, ENTRY_SIZE, MAX_NAME, SLOT_BITS, SLOTS } from "./layout.ts";

const LETTERS: u64 = 0x2020202020202020;

let multiplier: u32 = 1;

/** The host looks for a multiplier with which no two spellings have the same hash. */
export function setMultiplier(value: u32): void {
  multiplier = value;
}

/** The hash of the name before `end`: of its last eight bytes, without regard to case, and its length. */
// @ts-ignore: decorator

function hash(end: usize, length: u32): u32 {
  const shift: u64 = length < 8 ? <u64> (8 - length) * 8 : 0;
  const tail = ((load<u64>(end - 8) | LETTERS) >>> shift) << shift;
  const mixed = (<u32> tail) ^ (<u32> (tail >>> 32)) * 0x9e3779b1 ^ length;
  return (mixed * multiplier) >>> (32 - SLOT_BITS);
}

/** The entry of the name in [start, end); the first entry when none has it. */
// @ts-ignore: decorator

export function entryOf(start: usize, end: usize): usize {
  const length = <u32> (end - start);
  if (length - 1 >= <u32> MAX_NAME) return ENTRIES;
  const entry: usize = ENTRIES + ENTRY_SIZE * <usize> load<u8>(<usize> SLOTS + hash(end, length));
  const other = v128.or(
    v128.and(v128.xor(v128.load(start), v128.load(entry)), v128.load(entry, ENTRY_CARE)),
    v128.and(v128.xor(v128.load(start, 16), v128.load(entry, 16)), v128.load(entry, ENTRY_CARE + 16)),
  );
  return !v128.any_true(other) && load<u8>(entry, ENTRY_LENGTH) == length ? entry : ENTRIES;
}
