/** Whether a message is well-formed enough to be used (RFC 3261 §16.3 step 1, §18.3, §8.1.1, §20; RFC 4475 as a guide). */
import { isLws, parseDecimal, skipLws, skipToken } from "./ascii.ts";
import { HeaderId, headerName } from "./header.ts";
import type { SipMessage } from "./message.ts";
import { methodAt } from "./method.ts";
import { type Problem, problem } from "./problem.ts";
import type { ScanFault } from "./scan.ts";
import type { StartLineFault } from "./start_line.ts";

/** RFC 3261 §8.1.1.5: the sequence number is less than 2^31. */
const MAX_CSEQ = 2 ** 31 - 1;
/** RFC 3261 §20.22. */
const MAX_MAX_FORWARDS = 255;
/** Offsets are 31-bit numbers; no datagram or framed message comes near. */
const MAX_CONTENT_LENGTH = 2 ** 31 - 1;

/** Fields that every message has (RFC 3261 §8.1.1); a request may lack Max-Forwards (§16.6 step 3). Via comes before. */
const MANDATORY: readonly HeaderId[] = [HeaderId.CALL_ID, HeaderId.CSEQ, HeaderId.FROM, HeaderId.TO];
/** Fields that must not be repeated, since they could then be read in two ways. */
const NEVER_REPEATED: readonly HeaderId[] = [...MANDATORY, HeaderId.MAX_FORWARDS, HeaderId.CONTENT_LENGTH];

/**
 * Reads the fields that every receiver needs and says what is wrong with the message, first of all whether it can be
 * answered. `end` is the end of the datagram. Everything readable is filled in, problem or not.
 */
export function validate(
  message: SipMessage,
  line: StartLineFault,
  scan: ScanFault,
  end: number,
): Problem | undefined {
  // A response goes where the top Via says; without one there is nothing to be done (RFC 3261 §18.1.2, §18.2.2). A request
  // whose Via cannot be read can still be answered where it came from (RFC 4475 §3.1.2.1).
  const via = message.topVia();
  const wrong = readFields(message, end) ?? undefined;
  if (via === undefined) {
    if (message.first(HeaderId.VIA) < 0) return problem("drop", "Via", "Via is missing");
    const answered = message.isRequest && message.method !== "ACK";
    return problem(answered ? "bad_request" : "drop", "Via", "the top Via is malformed");
  }
  const found = startLineProblem(line) ?? scanProblem(scan) ?? wrong;
  if (found === undefined) return undefined;
  // Neither a response nor an ACK is ever answered (RFC 3261 §17, §18.3).
  const silent = !message.isRequest || message.method === "ACK";
  return silent ? problem("drop", found.field, found.text) : found;
}

function startLineProblem(fault: StartLineFault): Problem | undefined {
  switch (fault) {
    case "version":
      return problem("version", "SIP-Version", "SIP-Version is not SIP/2.0");
    case "method":
      return problem("bad_request", "method", "the method is malformed");
    case "request_uri":
      return problem("bad_request", "Request-URI", "the Request-URI is malformed");
    case "request_line":
      return problem("bad_request", "Request-Line", "the Request-Line is malformed");
    default:
      return undefined;
  }
}

function scanProblem(fault: ScanFault): Problem | undefined {
  switch (fault) {
    case "no_end":
      return problem("bad_request", "header section", "the empty line after the header fields is missing");
    case "malformed_line":
      return problem("bad_request", "header line", "a header line is malformed");
    case "too_many_headers":
      return problem("too_large", "header section", "there are too many header fields");
    default:
      return undefined;
  }
}

function readFields(message: SipMessage, end: number): Problem | undefined {
  let found: Problem | undefined;
  for (let i = 0; i < MANDATORY.length; i++) {
    if (message.first(MANDATORY[i]) < 0) found ??= bad(MANDATORY[i], "is missing");
  }
  if (message.index.repeats) found ??= findRepeat(message);
  const callId = message.first(HeaderId.CALL_ID);
  if (callId >= 0 && !isWord(message, callId)) found ??= bad(HeaderId.CALL_ID, "is malformed");
  if (!readAddress(message, HeaderId.FROM)) found ??= bad(HeaderId.FROM, "is malformed");
  if (!readAddress(message, HeaderId.TO)) found ??= bad(HeaderId.TO, "is malformed");
  if (!readCSeq(message)) found ??= bad(HeaderId.CSEQ, "is malformed");
  else if (message.isRequest && message.cseqMethod !== message.method) {
    found ??= bad(HeaderId.CSEQ, "has another method than the Request-Line");
  }
  message.maxForwards = readNumber(message, HeaderId.MAX_FORWARDS, MAX_MAX_FORWARDS);
  if (message.maxForwards < 0 && message.isRequest && message.first(HeaderId.MAX_FORWARDS) >= 0) {
    found ??= bad(HeaderId.MAX_FORWARDS, "is not a number from 0 to 255");
  }
  return readContentLength(message, end, found);
}

function findRepeat(message: SipMessage): Problem | undefined {
  for (const id of NEVER_REPEATED) {
    const at = message.first(id);
    if (at >= 0 && message.next(at) >= 0) return bad(id, "is there more than once");
  }
  return undefined;
}

function readContentLength(
  message: SipMessage,
  end: number,
  found: Problem | undefined,
): Problem | undefined {
  if (message.first(HeaderId.CONTENT_LENGTH) < 0) return found;
  const length = readNumber(message, HeaderId.CONTENT_LENGTH, MAX_CONTENT_LENGTH);
  message.contentLength = length;
  if (length < 0) return found ?? bad(HeaderId.CONTENT_LENGTH, "is not a number");
  if (length > end - message.bodyStart) {
    return found ?? bad(HeaderId.CONTENT_LENGTH, "is larger than the body");
  }
  message.bodyEnd = message.bodyStart + length;
  return found;
}

function bad(id: HeaderId, what: string): Problem {
  return problem("bad_request", headerName(id), `${headerName(id)} ${what}`);
}

function readNumber(message: SipMessage, id: HeaderId, max: number): number {
  const i = message.first(id);
  return i < 0 ? -1 : parseDecimal(message.buffer, message.valueStart(i), message.valueEnd(i), max);
}

function readAddress(message: SipMessage, id: typeof HeaderId.FROM | typeof HeaderId.TO): boolean {
  const i = message.first(id);
  if (i < 0) return true; // Missing was said already.
  const view = id === HeaderId.FROM ? message.from : message.to;
  const end = message.valueEnd(i);
  return view.parse(message.buffer, message.valueStart(i), end) && view.end === end;
}

/** CSeq = 1*DIGIT LWS Method (RFC 3261 §25.1). */
function readCSeq(message: SipMessage): boolean {
  const i = message.first(HeaderId.CSEQ);
  if (i < 0) return true;
  const { buffer } = message;
  const start = message.valueStart(i);
  const end = message.valueEnd(i);
  const numberEnd = skipToken(buffer, start, end);
  const method = skipLws(buffer, numberEnd, end);
  if (method === numberEnd || method === end || skipToken(buffer, method, end) !== end) return false;
  const number = parseDecimal(buffer, start, numberEnd, MAX_CSEQ);
  if (number < 0) return false;
  message.cseqNumber = number;
  message.cseqMethod = methodAt(buffer, method, end);
  return true;
}

/** One word without white space: what a Call-ID has to be, whatever else stands in it. */
function isWord(message: SipMessage, i: number): boolean {
  const end = message.valueEnd(i);
  if (message.valueStart(i) === end) return false;
  for (let at = message.valueStart(i); at < end; at++) if (isLws(message.buffer[at])) return false;
  return true;
}
