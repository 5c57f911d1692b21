// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** From and To (RFC 3261 §20.20, §20.39): what name_addr.ts finds. */
import { DQUOTE, EQUAL, find, GREATER, isLws, LESS, quotedEnd, SEMI, skip, skipLws } from "./bytes.ts";
import {
  ADDR_END,
  ADDR_START,
  ANGLE_ENDS,
  DISPLAY_END,
  DISPLAY_START,
  NAME_ENDS,
  PARAMS_START,
  QUOTE_ENDS,
  TAG_END,
  TAG_START,
  TOKEN_BYTES,
  URI_END,
  URI_START,
  VALUE_ENDS,
  WHITE_SPACE,
} from "./layout.ts";

const TAG_NAME: u32 = 0x676174;

/** Reads the one value in [start, limit), which begins and ends with no white space. False: it is malformed. */
export function readNameAddr(start: usize, limit: usize, base: usize, view: usize): bool {
  let at = start;
  let displayEnd = start;
  let uri = start;
  let uriEnd: usize;
  if (at < limit && load<u8>(at) == DQUOTE) {
    at = displayEnd = quotedEnd(at, limit, QUOTE_ENDS);
    if (at == 0) return false;
    at = skipLws(at, limit);
    if (at >= limit || load<u8>(at) != LESS) return false;
  } else {
    at = find(at, limit, NAME_ENDS);
    if (at < limit && load<u8>(at) == DQUOTE) return false;
  }
  if (at < limit && load<u8>(at) == LESS) {
    if (displayEnd == start) {
      displayEnd = at;
      while (displayEnd > start && isLws(load<u8>(displayEnd - 1))) displayEnd--;
    }
    uri = at + 1;
    uriEnd = find(uri, limit, ANGLE_ENDS);
    if (uriEnd >= limit || uriEnd == uri || load<u8>(uriEnd) != GREATER) return false;
    at = uriEnd + 1;
  } else {
    uriEnd = at;
    while (uriEnd > start && isLws(load<u8>(uriEnd - 1))) uriEnd--;
    if (uriEnd == start || find(start, uriEnd, WHITE_SPACE) != uriEnd) return false;
    at = uriEnd;
  }
  store<u32>(view, start - base, ADDR_START);
  store<u32>(view, start - base, DISPLAY_START);
  store<u32>(view, displayEnd - base, DISPLAY_END);
  store<u32>(view, uri - base, URI_START);
  store<u32>(view, uriEnd - base, URI_END);
  return readParams(at, limit, base, view);
}

function readParams(at: usize, limit: usize, base: usize, view: usize): bool {
  let valueEnd = at;
  let params: usize = 0;
  let tag: usize = 0;
  store<i32>(view, -1, TAG_START);
  store<i32>(view, -1, TAG_END);
  while ((at = skipLws(at, limit)) < limit) {
    // A comma, too, is malformed here: the header has one value.
    if (load<u8>(at) != SEMI) return false;
    if (params == 0) params = at;
    const name = skipLws(at + 1, limit);
    const nameEnd = skip(name, limit, TOKEN_BYTES);
    if (nameEnd == name) return false;
    let value = nameEnd;
    valueEnd = nameEnd;
    at = skipLws(nameEnd, limit);
    if (at < limit && load<u8>(at) == EQUAL) {
      value = skipLws(at + 1, limit);
      if (value < limit && load<u8>(value) == DQUOTE) {
        valueEnd = quotedEnd(value, limit, QUOTE_ENDS);
        if (valueEnd == 0) return false;
      } else {
        valueEnd = find(value, limit, VALUE_ENDS);
      }
      at = valueEnd;
    }
    if (tag == 0 && nameEnd - name == 3 && ((load<u32>(name) & 0xffffff) | 0x202020) == TAG_NAME) {
      tag = value;
      store<u32>(view, value - base, TAG_START);
      store<u32>(view, valueEnd - base, TAG_END);
    }
  }
  store<u32>(view, (params == 0 ? valueEnd : params) - base, PARAMS_START);
  store<u32>(view, valueEnd - base, ADDR_END);
  return true;
}
