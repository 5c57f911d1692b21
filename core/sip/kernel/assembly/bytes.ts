// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** Small loops over bytes, 16 at a time. They read up to 16 bytes behind `end`, which say nothing. */

export const TAB: u32 = 0x09;
export const LF: u32 = 0x0a;
export const CR: u32 = 0x0d;
export const SP: u32 = 0x20;
export const DQUOTE: u32 = 0x22;
export const COMMA: u32 = 0x2c;
export const SLASH: u32 = 0x2f;
export const COLON: u32 = 0x3a;
export const SEMI: u32 = 0x3b;
export const LESS: u32 = 0x3c;
export const EQUAL: u32 = 0x3d;
export const GREATER: u32 = 0x3e;
export const LBRACK: u32 = 0x5b;
export const BACKSLASH: u32 = 0x5c;
export const RBRACK: u32 = 0x5d;

/** "sip/2.0" in lower case, and the bits that case changes. */
const SIP_2_0: u64 = 0x00302e322f706973;
const SIP_LETTERS: u64 = 0x202020;

// @ts-ignore: decorator

export function isLws(c: u32): bool {
  return c <= SP && (c == SP || c == CR || c == LF || c == TAB);
}

// @ts-ignore: decorator

export function skipLws(at: usize, end: usize): usize {
  while (at < end && isLws(load<u8>(at))) at++;
  return at;
}

/** Which of the 16 bytes at `at` belong to a class of layout.ts: a bit each. */
// @ts-ignore: decorator

function members(at: usize, bytes: usize): u32 {
  const text = v128.load(at);
  const rows = i8x16.swizzle(v128.load(bytes), v128.and(text, i8x16.splat(15)));
  const columns = i8x16.swizzle(
    i8x16(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0),
    i8x16.shr_u(text, 4),
  );
  return <u32> i8x16.bitmask(i8x16.ne(v128.and(rows, columns), i8x16.splat(0)));
}

/** The first byte at or after `at` that does not belong to the class, `end` at most. */
// @ts-ignore: decorator

export function skip(at: usize, end: usize, bytes: usize): usize {
  for (; at < end; at += 16) {
    const others = members(at, bytes) ^ 0xffff;
    if (others != 0) return min(at + ctz(others), end);
  }
  return end;
}

/** The first byte at or after `at` that belongs to the class, `end` at most. */
// @ts-ignore: decorator

export function find(at: usize, end: usize, bytes: usize): usize {
  for (; at < end; at += 16) {
    const found = members(at, bytes);
    if (found != 0) return min(at + ctz(found), end);
  }
  return end;
}

/** The first LF at or after `at`; `end` or more when there is none before it. */
// @ts-ignore: decorator

export function findLf(at: usize, end: usize): usize {
  for (; at < end; at += 16) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(<i8> LF)));
    if (found != 0) return at + ctz(found);
  }
  return end;
}

/** The LF that ends the line at `at`; `end` or more when there is none, 0 when a CR that no LF follows stands before it. */
// @ts-ignore: decorator

export function lineEnd(at: usize, end: usize): usize {
  for (; at < end; at += 16) {
    const bytes = v128.load(at);
    const found = i8x16.bitmask(
      v128.or(i8x16.eq(bytes, i8x16.splat(<i8> LF)), i8x16.eq(bytes, i8x16.splat(<i8> CR))),
    );
    if (found == 0) continue;
    at += ctz(found);
    if (load<u8>(at) == LF || at >= end) return at;
    return at + 1 >= end ? end : load<u8>(at, 1) == LF ? at + 1 : 0;
  }
  return end;
}

/** Whether "SIP/2.0" stands at `at`, in any case. */
// @ts-ignore: decorator

export function isSip20(at: usize): bool {
  return ((load<u64>(at) & 0x00ffffffffffffff) | SIP_LETTERS) == SIP_2_0;
}

/** The decimal number in [at, end), or -1 when it is none or above `max`. */
// @ts-ignore: decorator

export function decimal(at: usize, end: usize, max: i64): i32 {
  if (at >= end) return -1;
  let value: i64 = 0;
  for (; at < end; at++) {
    const digit = <u32> load<u8>(at) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return <i32> value;
}

/** The end of the quoted string whose first quote is at `at`, or 0 when it is open. */
export function quotedEnd(at: usize, end: usize, ends: usize): usize {
  for (at++; at < end; at++) {
    at = find(at, end, ends);
    if (at >= end) return 0;
    if (load<u8>(at) == DQUOTE) return at + 1;
    at++;
  }
  return 0;
}
