/** Messages built anew: responses, ACK for a failure, CANCEL, requests of a user agent. */
import type { Address } from "./address.ts";
import { encodeText, equalsText } from "./ascii.ts";
import { ByteWriter } from "./byte_writer.ts";
import { DEFAULT_MAX_FORWARDS } from "./forward.ts";
import { HeaderId, headerName } from "./header.ts";
import type { SipMessage } from "./message.ts";
import { reasonPhrase } from "./reason.ts";

/** What a response has besides what the request gives it. */
export interface ResponseOptions {
  /** The tag added to To when the request has none there (RFC 3261 §8.2.6.2: in all but 100): text, or ASCII bytes. */
  readonly toTag?: string | Uint8Array;
  /** Further header lines, "Name: value" without the line end; Content-Length comes by itself. */
  readonly headers?: readonly string[];
  /** Further header lines as bytes, each with its line end; they come after `headers`. */
  readonly lines?: ByteWriter;
  readonly body?: Uint8Array | string;
  /** Where the request came from: written into the top Via as `received` and `rport` (RFC 3261 §18.2.1, RFC 3581). */
  readonly source?: Address;
}

const shared = new ByteWriter();

/**
 * A response (RFC 3261 §8.2.6): all Via values in order, From, To with tag, Call-ID and CSeq of the request, Timestamp in
 * a 100, Record-Route in 101 … 299 (§12.1.1). Headers that a faulty request lacks are left out.
 *
 * @param reason the reason phrase; that of the status when undefined
 * @throws TypeError when a line of `headers` holds a line end
 * @example
 * ```ts
 * import { SipMessage } from "./message.ts";
 * import { response } from "./write.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode(
 *   "BYE sip:b@b SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@a>;tag=1\r\nt: <sip:b@b>\r\ni: 1\r\nCSeq: 2 BYE\r\n\r\n",
 * );
 * const request = new SipMessage();
 * request.parse(bytes, 0, bytes.length);
 * assertEquals(
 *   new TextDecoder().decode(response(request, 481, undefined, { toTag: "x" })),
 *   "SIP/2.0 481 Call/Transaction Does Not Exist\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n" +
 *     "From: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=x\r\nCall-ID: 1\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
 * );
 * ```
 */
export function response(
  request: SipMessage,
  status: number,
  reason?: string,
  options: ResponseOptions = {},
): Uint8Array<ArrayBuffer> {
  shared.clear();
  writeResponse(shared, request, status, reason, options);
  return shared.toBytes();
}

/** {@link response}, appended to a writer. */
export function writeResponse(
  out: ByteWriter,
  request: SipMessage,
  status: number,
  reason: string | undefined,
  options: ResponseOptions,
): void {
  out.text("SIP/2.0 ").number(status).text(" ").line(reason ?? reasonPhrase(status));
  const firstVia = request.first(HeaderId.VIA);
  for (let i = firstVia; i >= 0; i = request.next(i)) {
    if (i === firstVia && options.source !== undefined) writeTopVia(out, request, i, options.source);
    else copyHeader(out, request, HeaderId.VIA, i);
  }
  if (status > 100 && status < 300) copyHeaders(out, request, HeaderId.RECORD_ROUTE);
  copyFirst(out, request, HeaderId.FROM);
  writeTo(out, request, status === 100 ? undefined : options.toTag);
  copyFirst(out, request, HeaderId.CALL_ID);
  copyFirst(out, request, HeaderId.CSEQ);
  if (status === 100) copyFirst(out, request, HeaderId.TIMESTAMP);
  finish(out, options.headers, options.body, options.lines);
}

function writeTo(out: ByteWriter, request: SipMessage, tag: string | Uint8Array | undefined): void {
  const i = request.first(HeaderId.TO);
  if (i < 0) return;
  out.text("To: ").bytes(request.buffer, request.valueStart(i), request.valueEnd(i));
  if (tag !== undefined && request.to.tagStart < 0) {
    out.text(";tag=");
    if (typeof tag === "string") out.text(tag);
    else out.bytes(tag);
  }
  out.crlf();
}

/** The first Via line with `received` and `rport` in its first value; see addReceivedRport. */
function writeTopVia(out: ByteWriter, request: SipMessage, i: number, from: Address): void {
  const via = request.topVia();
  if (via === undefined) return copyHeader(out, request, HeaderId.VIA, i);
  const { buffer } = request;
  const hasReceived = via.receivedStart >= 0;
  const hasRport = via.rportNameEnd >= 0;
  const receivedFirst = hasReceived && via.receivedStart < via.rportNameEnd;
  out.text("Via: ");
  let at = request.valueStart(i);
  if (receivedFirst) {
    out.bytes(buffer, at, via.receivedStart).text(from.host);
    at = via.receivedEnd;
  }
  if (hasRport) {
    out.bytes(buffer, at, via.rportNameEnd).text("=").number(from.port);
    at = via.rportEnd;
  }
  if (hasReceived && !receivedFirst) {
    out.bytes(buffer, at, via.receivedStart).text(from.host);
    at = via.receivedEnd;
  }
  out.bytes(buffer, at, via.end);
  const same = equalsText(buffer, via.hostStart, via.hostEnd, from.host);
  if (!hasReceived && (hasRport || !same)) out.text(";received=").text(from.host);
  out.bytes(buffer, via.end, request.valueEnd(i)).crlf();
}

function copyHeader(out: ByteWriter, message: SipMessage, id: HeaderId, i: number): void {
  out.text(headerName(id)).text(": ").bytes(message.buffer, message.valueStart(i), message.valueEnd(i))
    .crlf();
}

function copyHeaders(out: ByteWriter, message: SipMessage, id: HeaderId): void {
  for (let i = message.first(id); i >= 0; i = message.next(i)) copyHeader(out, message, id, i);
}

function copyFirst(out: ByteWriter, message: SipMessage, id: HeaderId): void {
  const i = message.first(id);
  if (i >= 0) copyHeader(out, message, id, i);
}

function finish(
  out: ByteWriter,
  headers?: readonly string[],
  body: Uint8Array | string = "",
  lines?: ByteWriter,
): void {
  if (headers !== undefined) { for (let i = 0; i < headers.length; i++) out.line(headers[i]); }
  if (lines !== undefined) out.bytes(lines.buffer, 0, lines.length);
  if (body === "") {
    out.text("Content-Length: 0\r\n\r\n");
    return;
  }
  const bytes = typeof body === "string" ? encodeText(body) : body;
  out.text("Content-Length: ").number(bytes.length).crlf().crlf().bytes(bytes);
}

/**
 * The ACK for a 300 … 699 response (RFC 3261 §17.1.1.3): the Request-URI, From, Call-ID, top Via, Route and CSeq number of
 * the request as it was sent, To of the response.
 */
export function ack(request: SipMessage, response: SipMessage): Uint8Array<ArrayBuffer> {
  shared.clear();
  writeAck(shared, request, response);
  return shared.toBytes();
}

/** {@link ack}, appended to a writer. */
export function writeAck(out: ByteWriter, request: SipMessage, response: SipMessage): void {
  writeSameBranch(out, "ACK", request, response);
}

/** The CANCEL of a request as it was sent (RFC 3261 §9.1). */
export function cancel(request: SipMessage): Uint8Array<ArrayBuffer> {
  shared.clear();
  writeSameBranch(shared, "CANCEL", request, request);
  return shared.toBytes();
}

function writeSameBranch(out: ByteWriter, method: string, request: SipMessage, toFrom: SipMessage): void {
  const { buffer } = request;
  out.text(method).text(" ").bytes(buffer, request.requestUriStart, request.requestUriEnd);
  out.text(" SIP/2.0\r\n");
  const via = request.topVia();
  if (via !== undefined) out.text("Via: ").bytes(buffer, via.start, via.end).crlf();
  out.text("Max-Forwards: ").number(DEFAULT_MAX_FORWARDS).crlf();
  copyHeaders(out, request, HeaderId.ROUTE);
  copyFirst(out, request, HeaderId.FROM);
  copyFirst(out, toFrom, HeaderId.TO);
  copyFirst(out, request, HeaderId.CALL_ID);
  out.text("CSeq: ").number(request.cseqNumber).text(" ").text(method).crlf();
  finish(out);
}

/** What a user agent's request consists of. Texts are header values without names and line ends. */
export interface RequestOptions {
  readonly method: string;
  readonly uri: string;
  /** The own Via value, "SIP/2.0/UDP host:port;branch=…;rport". */
  readonly via: string;
  /** From and To values with their tags. */
  readonly from: string;
  readonly to: string;
  readonly callId: string;
  /** The CSeq number, 0 … 2^31 - 1. */
  readonly cseq: number;
  /** 70 when undefined. */
  readonly maxForwards?: number;
  /** The route set, one value each. */
  readonly route?: readonly string[];
  readonly contact?: string;
  /** Further header lines, "Name: value". */
  readonly headers?: readonly string[];
  readonly body?: Uint8Array | string;
}

/**
 * A request (RFC 3261 §8.1.1).
 *
 * @throws TypeError when a text holds a line end
 */
export function request(options: RequestOptions): Uint8Array<ArrayBuffer> {
  shared.clear();
  shared.line(`${options.method} ${options.uri} SIP/2.0`).line(`Via: ${options.via}`);
  shared.line(`Max-Forwards: ${options.maxForwards ?? DEFAULT_MAX_FORWARDS}`);
  for (const route of options.route ?? []) shared.line(`Route: ${route}`);
  shared.line(`From: ${options.from}`).line(`To: ${options.to}`).line(`Call-ID: ${options.callId}`);
  shared.line(`CSeq: ${options.cseq} ${options.method}`);
  if (options.contact !== undefined) shared.line(`Contact: ${options.contact}`);
  finish(shared, options.headers, options.body);
  return shared.toBytes();
}
