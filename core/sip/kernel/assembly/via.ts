// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** One Via value (RFC 3261 §20.42): what via.ts finds, of values in usual form. */
import {
  COLON,
  COMMA,
  decimal,
  DQUOTE,
  EQUAL,
  find,
  isLws,
  isSip20,
  LBRACK,
  quotedEnd,
  RBRACK,
  SEMI,
  skip,
  skipLws,
  SLASH,
} from "./bytes.ts";
import {
  BRANCH_END,
  BRANCH_START,
  HOST_END,
  HOST_START,
  IPV6_BYTES,
  MADDR_END,
  MADDR_START,
  PORT,
  QUOTE_ENDS,
  RECEIVED_END,
  RECEIVED_START,
  RPORT_END,
  RPORT_NAME_END,
  RPORT_START,
  SENT_BY_END,
  TOKEN_BYTES,
  TRANSPORT_END,
  TRANSPORT_START,
  TTL,
  VALUE_ENDS,
  VIA_END,
  VIA_START,
} from "./layout.ts";

// Names in lower case as little-endian numbers.
const TTL_NAME: u64 = 0x6c7474;
const RPORT_NAME: u64 = 0x74726f7072;
const MADDR_NAME: u64 = 0x726464616d;
const BRANCH_NAME: u64 = 0x68636e617262;
const RECEIVED_NAME: u64 = 0x6465766965636572;
const LETTERS: u64 = 0x2020202020202020;

/** Reads the value at `at`. False: it is malformed, or spelled in an unusual way. */
export function readVia(at: usize, limit: usize, base: usize, result: usize): bool {
  v128.store(result, i32x4.splat(-1), BRANCH_START);
  v128.store(result, i32x4.splat(-1), RPORT_NAME_END);
  v128.store(result, i32x4.splat(-1), TTL - 12);
  store<u32>(result, at - base, VIA_START);
  // SIP/2.0/UDP without white space.
  if (at + 8 >= limit || !isSip20(at) || load<u8>(at, 7) != SLASH) return false;
  at += 8;
  store<u32>(result, at - base, TRANSPORT_START);
  const transportEnd = skip(at, limit, TOKEN_BYTES);
  store<u32>(result, transportEnd - base, TRANSPORT_END);
  if (transportEnd == at || transportEnd >= limit || !isLws(load<u8>(transportEnd))) return false;
  at = skipLws(transportEnd, limit);
  if (at >= limit) return false;
  if (load<u8>(at) == LBRACK) {
    const host = at + 1;
    at = skip(host, limit, IPV6_BYTES);
    if (at == host || at >= limit || load<u8>(at) != RBRACK) return false;
    store<u32>(result, host - base, HOST_START);
    store<u32>(result, at - base, HOST_END);
    at++;
  } else {
    const host = at;
    at = skip(host, limit, TOKEN_BYTES);
    if (at == host) return false;
    store<u32>(result, host - base, HOST_START);
    store<u32>(result, at - base, HOST_END);
  }
  let sentByEnd = at;
  let port = 0;
  at = skipLws(at, limit);
  if (at < limit && load<u8>(at) == COLON) {
    const start = skipLws(at + 1, limit);
    at = sentByEnd = skip(start, limit, TOKEN_BYTES);
    port = decimal(start, at, 65535);
    if (port <= 0) return false;
  }
  store<u32>(result, sentByEnd - base, SENT_BY_END);
  store<i32>(result, port, PORT);
  return readParams(at, limit, base, result, sentByEnd);
}

function readParams(at: usize, limit: usize, base: usize, result: usize, valueEnd: usize): bool {
  while ((at = skipLws(at, limit)) < limit && load<u8>(at) != COMMA) {
    if (load<u8>(at) != SEMI) return false;
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
    keep(name, nameEnd, value, valueEnd, base, result);
  }
  store<u32>(result, valueEnd - base, VIA_END);
  return true;
}

// @ts-ignore: decorator

function keep(name: usize, nameEnd: usize, value: usize, end: usize, base: usize, result: usize): void {
  const length = nameEnd - name;
  if (length > 8) return;
  // A token has no byte that becomes another letter by this bit, and none of the names has a byte without it.
  const text = (load<u64>(name) | LETTERS) & (<u64> -1 >>> (64 - 8 * <u64> length));
  if (text == BRANCH_NAME) {
    if (load<i32>(result, BRANCH_START) >= 0) return;
    store<u32>(result, value - base, BRANCH_START);
    store<u32>(result, end - base, BRANCH_END);
  } else if (text == RPORT_NAME) {
    store<u32>(result, nameEnd - base, RPORT_NAME_END);
    store<u32>(result, value - base, RPORT_START);
    store<u32>(result, end - base, RPORT_END);
  } else if (text == RECEIVED_NAME) {
    store<u32>(result, value - base, RECEIVED_START);
    store<u32>(result, end - base, RECEIVED_END);
  } else if (text == MADDR_NAME) {
    store<u32>(result, value - base, MADDR_START);
    store<u32>(result, end - base, MADDR_END);
  } else if (text == TTL_NAME) {
    store<i32>(result, decimal(value, end, 255), TTL);
  }
}
