// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/**
 * The scan of a header section, 16 bytes at a time. It takes sections without a fault and gives up on the others, which
 * the host then scans byte by byte (scan.ts) to say what is wrong.
 */
import { COLON, CR, isLws, LF, lineEnd, skip, SP, TAB } from "./bytes.ts";
import {
  BODY_START,
  ENTRIES,
  ENTRY_ID,
  ENTRY_SINGLE,
  FIRST,
  FIRST_SIZE,
  HEADERS_END,
  IDS,
  LINE_SIZE,
  LINES,
  MAX_LINES,
  REPEATS,
  TOKEN_BYTES,
} from "./layout.ts";
import { entryOf } from "./names.ts";

/** The first colon in the 32 bytes at `at`, else the byte after them. */
// @ts-ignore: decorator

function findColon(at: usize): usize {
  const low = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(<i8> COLON)));
  if (low != 0) return at + ctz(low);
  const high = i8x16.bitmask(i8x16.eq(v128.load(at, 16), i8x16.splat(<i8> COLON)));
  return at + 16 + ctz(high | 0x10000);
}

/**
 * Scans the header section in [at, end).
 *
 * @param base address of offset 0
 * @param result address of the result
 * @param capacity lines that the caller has room for
 * @returns the number of header lines; -1: there is a fault, and the result is worth nothing
 */
export function scan(at: usize, end: usize, base: usize, result: usize, capacity: i32): i32 {
  for (let i = 0; i < FIRST_SIZE; i += 16) v128.store(result + FIRST + i, i32x4.splat(-1));
  let count = 0;
  let repeats: u32 = 0;
  let line = result + LINES;
  while (at < end) {
    const c: u32 = load<u8>(at);
    if (c == LF || (c == CR && at + 1 < end && load<u8>(at, 1) == LF)) {
      store<u32>(result, at - base, HEADERS_END);
      store<u32>(result, (c == LF ? at + 1 : at + 2) - base, BODY_START);
      store<u32>(result, repeats, REPEATS);
      return count;
    }
    let colon = findColon(at);
    let nameEnd = colon;
    let entry = entryOf(at, nameEnd);
    if (entry == ENTRIES) {
      // An unknown name, white space after a known one, or no name.
      nameEnd = skip(at, end, TOKEN_BYTES);
      if (nameEnd == at) return -1;
      if (nameEnd != colon) entry = entryOf(at, nameEnd);
      colon = nameEnd;
      while (colon < end && (load<u8>(colon) == SP || load<u8>(colon) == TAB)) colon++;
      if (load<u8>(colon) != COLON) return -1;
    }
    let lf = lineEnd(colon, end);
    while (lf != 0 && lf + 1 < end && (load<u8>(lf, 1) == SP || load<u8>(lf, 1) == TAB)) {
      lf = lineEnd(lf + 1, end);
    }
    if (lf == 0 || lf >= end || count == capacity) return -1;
    let valueStart = colon + 1;
    while (valueStart < lf && isLws(load<u8>(valueStart))) valueStart++;
    let valueEnd = lf;
    while (valueEnd > valueStart && isLws(load<u8>(valueEnd - 1))) valueEnd--;

    const id: u32 = load<u8>(entry, ENTRY_ID);
    const first = result + FIRST + 2 * id;
    if (load<i16>(first) < 0) store<i16>(first, count);
    else repeats |= load<u8>(entry, ENTRY_SINGLE);
    store<u8>(result + IDS + count, id);
    store<u32>(line, at - base);
    store<u32>(line, nameEnd - base, 4);
    store<u32>(line, valueStart - base, 8);
    store<u32>(line, valueEnd - base, 12);
    store<u32>(line, lf + 1 - base, 16);
    line += LINE_SIZE;
    count++;
    at = lf + 1;
  }
  return -1;
}
