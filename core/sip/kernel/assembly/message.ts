// deno-lint-ignore-file
// @ts-nocheck AssemblyScript
/** The fields that every receiver needs: what start_line.ts and validate.ts find in a message without a problem. */
import { COLON, CR, decimal, find, findLf, isSip20, skip, skipLws, SLASH, SP } from "./bytes.ts";
import {
  BODY_START,
  CALL_ID_FIELD,
  CONTENT_LENGTH,
  CONTENT_LENGTH_FIELD,
  CSEQ_FIELD,
  CSEQ_METHOD_END,
  CSEQ_METHOD_START,
  CSEQ_NUMBER,
  FIRST,
  FROM,
  FROM_FIELD,
  HEADERS_START,
  LINE_PART_END,
  LINE_PART_START,
  LINE_SIZE,
  LINES,
  MAX_FORWARDS,
  MAX_FORWARDS_FIELD,
  MAX_METHOD,
  METHOD_END,
  REPEATS,
  STATUS,
  TO,
  TO_FIELD,
  TOKEN_BYTES,
  URI_BYTES,
  VIA_FIELD,
  WHITE_SPACE,
} from "./layout.ts";
import { scan } from "./lines.ts";
import { readNameAddr } from "./name_addr.ts";
import { readVia } from "./via.ts";

/** RFC 3261 §8.1.1.5. */
const MAX_CSEQ: i64 = 0x7fffffff;
/** RFC 3261 §20.22. */
const MAX_MAX_FORWARDS: i64 = 255;
const MAX_CONTENT_LENGTH: i64 = 0x7fffffff;

/**
 * Reads the message in [start, end).
 *
 * @returns the number of header lines; -1: there is a problem, or something unusual, and the result is worth nothing
 */
export function readMessage(start: usize, end: usize, base: usize, result: usize, capacity: i32): i32 {
  const lf = findLf(start, end);
  if (lf >= end) return -1;
  const lineEnd = lf > start && load<u8>(lf - 1) == CR ? lf - 1 : lf;
  if (!readStartLine(start, lineEnd, base, result)) return -1;
  store<u32>(result, lf + 1 - base, HEADERS_START);
  const count = scan(lf + 1, end, base, result, capacity);
  if (count < 0 || load<u32>(result, REPEATS) != 0) return -1;
  return readFields(start, end, base, result) ? count : -1;
}

function readStartLine(start: usize, lineEnd: usize, base: usize, result: usize): bool {
  const wordEnd = skip(start, lineEnd, TOKEN_BYTES);
  if (wordEnd >= lineEnd) return false;
  if (load<u8>(wordEnd) == SLASH) {
    // SIP/2.0 200
    if (start + 11 > lineEnd || !isSip20(start) || load<u8>(start, 7) != SP) return false;
    const status = decimal(start + 8, start + 11, 699);
    if (status < 100 || (start + 11 < lineEnd && load<u8>(start, 11) != SP)) return false;
    store<i32>(result, status, STATUS);
    store<u32>(result, start - base, METHOD_END);
    store<u32>(result, min(start + 12, lineEnd) - base, LINE_PART_START);
    store<u32>(result, lineEnd - base, LINE_PART_END);
    return true;
  }
  if (wordEnd - start > <usize> MAX_METHOD) return false;
  const version = lineEnd - 7;
  const uri = wordEnd + 1;
  if (wordEnd == start || load<u8>(wordEnd) != SP || version < uri + 2) return false;
  if (!isSip20(version) || load<u8>(version - 1) != SP) return false;
  const uriEnd = version - 1;
  if (((<u32> load<u8>(uri) | 0x20) - 0x61) >= 26 || skip(uri, uriEnd, URI_BYTES) != uriEnd) return false;
  let colon = uri;
  while (colon < uriEnd && load<u8>(colon) != COLON) colon++;
  if (colon + 1 >= uriEnd) return false;
  store<i32>(result, 0, STATUS);
  store<u32>(result, wordEnd - base, METHOD_END);
  store<u32>(result, uri - base, LINE_PART_START);
  store<u32>(result, uriEnd - base, LINE_PART_END);
  return true;
}

/** The first line of a field, as the address of its offsets; 0: there is none. */
// @ts-ignore: decorator

function lineOf(result: usize, field: i32): usize {
  const i = <i32> load<i16>(result + FIRST + 2 * field);
  return i < 0 ? 0 : result + LINES + i * LINE_SIZE;
}

// @ts-ignore: decorator

function valueStart(line: usize, base: usize): usize {
  return base + load<u32>(line, 8);
}

// @ts-ignore: decorator

function valueEnd(line: usize, base: usize): usize {
  return base + load<u32>(line, 12);
}

function readFields(start: usize, end: usize, base: usize, result: usize): bool {
  const via = lineOf(result, VIA_FIELD);
  const callId = lineOf(result, CALL_ID_FIELD);
  const cseq = lineOf(result, CSEQ_FIELD);
  const from = lineOf(result, FROM_FIELD);
  const to = lineOf(result, TO_FIELD);
  if (via == 0 || callId == 0 || cseq == 0 || from == 0 || to == 0) return false;
  if (!readVia(valueStart(via, base), valueEnd(via, base), base, result)) return false;
  if (!readNameAddr(valueStart(from, base), valueEnd(from, base), base, result + FROM)) return false;
  if (!readNameAddr(valueStart(to, base), valueEnd(to, base), base, result + TO)) return false;
  const word = valueStart(callId, base);
  const wordEnd = valueEnd(callId, base);
  if (word == wordEnd || find(word, wordEnd, WHITE_SPACE) != wordEnd) return false;
  return readCSeq(start, cseq, base, result) && readNumbers(end, base, result);
}

function readCSeq(start: usize, line: usize, base: usize, result: usize): bool {
  const number = valueStart(line, base);
  const limit = valueEnd(line, base);
  const numberEnd = skip(number, limit, TOKEN_BYTES);
  const method = skipLws(numberEnd, limit);
  if (method == numberEnd || method == limit || skip(method, limit, TOKEN_BYTES) != limit) return false;
  const value = decimal(number, numberEnd, MAX_CSEQ);
  if (value < 0) return false;
  if (load<i32>(result, STATUS) == 0) {
    // In a request it is the method of the Request-Line.
    const length = limit - method;
    if (base + load<u32>(result, METHOD_END) - start != length) return false;
    for (let i: usize = 0; i < length; i++) if (load<u8>(start + i) != load<u8>(method + i)) return false;
  }
  store<i32>(result, value, CSEQ_NUMBER);
  store<u32>(result, method - base, CSEQ_METHOD_START);
  store<u32>(result, limit - base, CSEQ_METHOD_END);
  return true;
}

function readNumbers(end: usize, base: usize, result: usize): bool {
  store<i32>(result, -1, MAX_FORWARDS);
  store<i32>(result, -1, CONTENT_LENGTH);
  const forwards = lineOf(result, MAX_FORWARDS_FIELD);
  if (forwards != 0) {
    const value = decimal(valueStart(forwards, base), valueEnd(forwards, base), MAX_MAX_FORWARDS);
    if (value < 0) return false;
    store<i32>(result, value, MAX_FORWARDS);
  }
  const length = lineOf(result, CONTENT_LENGTH_FIELD);
  if (length != 0) {
    const value = decimal(valueStart(length, base), valueEnd(length, base), MAX_CONTENT_LENGTH);
    if (value < 0 || <usize> value > end - base - load<u32>(result, BODY_START)) return false;
    store<i32>(result, value, CONTENT_LENGTH);
  }
  return true;
}
