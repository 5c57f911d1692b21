/** A SIP message as a view over bytes that it does not own: header order and bytes stay as they came. */
import { CR, decodeText, LF, skipLws } from "./ascii.ts";
import { headerForm, HeaderId } from "./header.ts";
import {
  CONTENT_LENGTH,
  CSEQ_METHOD_END,
  CSEQ_METHOD_START,
  CSEQ_NUMBER,
  FROM,
  HEADERS_START,
  LINE_PART_END,
  LINE_PART_START,
  MAX_FORWARDS,
  METHOD_END,
  STATUS,
  TO,
} from "./kernel/assembly/layout.ts";
import { methodAt } from "./method.ts";
import { NameAddrView } from "./name_addr.ts";
import { type Problem, problem } from "./problem.ts";
import { HeaderIndex, MAX_HEADERS } from "./scan.ts";
import { readStartLine, type StartLineFault } from "./start_line.ts";
import { parseUri, type SipUri } from "./uri.ts";
import { validate } from "./validate.ts";
import { ValueCursor } from "./values.ts";
import { ViaView } from "./via.ts";

/**
 * One parsed message, reusable: `parse` again and everything read before is forgotten. All offsets are into `buffer`.
 * The bytes must not change while the view is in use; to keep a message, `clone()` it.
 *
 * @example
 * ```ts
 * import { HeaderId } from "./header.ts";
 * import { SipMessage } from "./message.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode([
 *   "OPTIONS sip:carol@chicago.com SIP/2.0",
 *   "v: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKhjhs8ass877;rport",
 *   "From: Alice <sip:alice@atlanta.com>;tag=1928301774",
 *   "To: <sip:carol@chicago.com>",
 *   "Call-ID: a84b4c76e66710",
 *   "CSeq: 63104 OPTIONS",
 *   "Accept: application/sdp,",
 *   " text/plain",
 *   "",
 *   "",
 * ].join("\r\n"));
 * const message = new SipMessage();
 * assertEquals(message.parse(bytes, 0, bytes.length), undefined);
 * assertEquals(message.method, "OPTIONS");
 * assertEquals(message.topVia()?.host, "pc33.atlanta.com");
 * assertEquals(message.cseqNumber, 63104);
 * assertEquals(message.fromTag, "1928301774");
 * assertEquals(message.value(HeaderId.ACCEPT), "application/sdp, text/plain");
 * ```
 */
export class SipMessage {
  buffer: Uint8Array = new Uint8Array(0);
  /** The first byte of the start line: leading line ends are passed over (RFC 3261 §7.5). */
  start = 0;
  isRequest = false;
  /** A shared string for the usual methods; "" for a response. */
  method = "";
  requestUriStart = 0;
  requestUriEnd = 0;
  /** 100 … 699; 0 for a request. */
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;
  /** Where the header section starts. */
  headersStart = 0;
  /** The body as Content-Length says; to the end of the datagram without it (RFC 3261 §18.3). */
  bodyEnd = 0;
  /** 0 … 2^31 - 1; -1 when missing or malformed. */
  cseqNumber = -1;
  cseqMethod = "";
  /** 0 … 255; -1 when missing or malformed. */
  maxForwards = -1;
  /** -1 when missing or malformed. */
  contentLength = -1;
  readonly index: HeaderIndex;
  /** From and To as offsets; valid when parse found no problem with them. */
  readonly from: NameAddrView = new NameAddrView();
  readonly to: NameAddrView = new NameAddrView();
  #via = new ViaView();
  #viaState: 0 | 1 | 2 = 0; // not read yet, good, none or malformed
  readonly #below = new ViaView();
  #secondVia: ViaView | undefined;
  #secondViaRead = false;
  #requestUri: string | undefined;
  #callId: string | undefined;
  #fromTag: string | undefined;
  #toTag: string | undefined;
  #fromUri: SipUri | undefined | null = null;
  #toUri: SipUri | undefined | null = null;

  /** @param maxHeaders how many header lines the view has room for; more give a problem */
  constructor(maxHeaders: number = MAX_HEADERS) {
    this.index = new HeaderIndex(maxHeaders);
  }

  /**
   * Reads the message in buffer[start, end), one datagram or one framed message. Never throws, allocates nothing for an
   * ordinary message.
   *
   * @returns undefined when the message is well-formed enough to be used, else the first problem. With code
   * `bad_request`, `version` or `too_large` what could be read is there, so that a response can be made from it.
   */
  parse(buffer: Uint8Array, start: number, end: number): Problem | undefined {
    this.#forget(buffer);
    while (start < end && (buffer[start] === CR || buffer[start] === LF)) start++;
    this.start = start;
    if (this.index.readMessage(buffer, start, end)) {
      this.#take(end);
      return undefined;
    }
    const lineFault: StartLineFault = readStartLine(this, end);
    if (lineFault === "not_sip") {
      this.index.scan(buffer, end, end);
      this.bodyEnd = end;
      return problem("drop", "start line", "the start line is not SIP");
    }
    const scanFault = this.index.scan(buffer, this.headersStart, end);
    this.bodyEnd = end;
    return validate(this, lineFault, scanFault, end);
  }

  /** Takes over what the kernel found of a message without a problem. */
  #take(end: number): void {
    const { buffer } = this;
    const { found } = this.index;
    this.headersStart = found[HEADERS_START / 4];
    const status = this.status = found[STATUS / 4];
    const request = this.isRequest = status === 0;
    if (request) {
      this.method = this.cseqMethod = methodAt(buffer, this.start, found[METHOD_END / 4]);
      this.requestUriStart = found[LINE_PART_START / 4];
      this.requestUriEnd = found[LINE_PART_END / 4];
    } else {
      this.reasonStart = found[LINE_PART_START / 4];
      this.reasonEnd = found[LINE_PART_END / 4];
      this.cseqMethod = methodAt(buffer, found[CSEQ_METHOD_START / 4], found[CSEQ_METHOD_END / 4]);
    }
    this.cseqNumber = found[CSEQ_NUMBER / 4];
    this.maxForwards = found[MAX_FORWARDS / 4];
    const length = this.contentLength = found[CONTENT_LENGTH / 4];
    this.bodyEnd = length < 0 ? end : this.bodyStart + length;
    this.#via.take(buffer, found);
    this.#viaState = 1;
    this.from.take(buffer, found, FROM);
    this.to.take(buffer, found, TO);
  }

  /** A copy that owns its bytes. */
  clone(): SipMessage {
    const bytes = this.buffer.slice(this.start, this.bodyEnd);
    const copy = new SipMessage(Math.max(this.index.count, 1));
    copy.parse(bytes, 0, bytes.length);
    return copy;
  }

  /** The number of bytes from start line to end of body. */
  get length(): number {
    return this.bodyEnd - this.start;
  }
  get headerCount(): number {
    return this.index.count;
  }
  /** The {@link HeaderId} of header line `i`. */
  headerId(i: number): HeaderId {
    return this.index.ids[i] as HeaderId;
  }
  lineStart(i: number): number {
    return this.index.nameStart(i);
  }
  /** The start of the line after header `i` and its folds. */
  lineEnd(i: number): number {
    return this.index.lineEnd(i);
  }
  nameStart(i: number): number {
    return this.index.nameStart(i);
  }
  nameEnd(i: number): number {
    return this.index.nameEnd(i);
  }
  valueStart(i: number): number {
    return this.index.valueStart(i);
  }
  valueEnd(i: number): number {
    return this.index.valueEnd(i);
  }
  /** The first header line of this id, or -1. For `HeaderId.OTHER`: the first unknown one. */
  first(id: number): number {
    return this.index.first[id];
  }
  /** The next header line with the same id as line `i`, or -1. */
  next(i: number): number {
    const { ids, count } = this.index;
    const id = ids[i];
    for (let k = i + 1; k < count; k++) if (ids[k] === id) return k;
    return -1;
  }
  /** The offset of the empty line. */
  get headersEnd(): number {
    return this.index.headersEnd;
  }
  get bodyStart(): number {
    return this.index.bodyStart;
  }

  /** [start, end) as text: UTF-8, each fold one space. */
  text(start: number, end: number): string {
    return decodeText(this.buffer, start, end);
  }
  /** The value of the first header of this id as text, commas and all; undefined when there is none. */
  value(id: number): string | undefined {
    const i = this.first(id);
    return i < 0 ? undefined : this.text(this.valueStart(i), this.valueEnd(i));
  }
  /** The first header with this name (any case, not compact) as text, for headers without an id. */
  valueOf(name: string): string | undefined {
    const wanted = name.toLowerCase();
    for (let i = 0; i < this.headerCount; i++) {
      if (this.text(this.nameStart(i), this.nameEnd(i)).toLowerCase() === wanted) {
        return this.text(this.valueStart(i), this.valueEnd(i));
      }
    }
    return undefined;
  }
  /** The values of one header field over all its lines; only fields with list form are split at commas. */
  values(id: number): ValueCursor {
    return new ValueCursor(this, id, headerForm(id) === "list");
  }
  /** The body, as a view into `buffer`. */
  body(): Uint8Array {
    return this.buffer.subarray(this.bodyStart, this.bodyEnd);
  }

  /** The Request-URI as written; "" for a response. */
  get requestUri(): string {
    return this.#requestUri ??= this.text(this.requestUriStart, this.requestUriEnd);
  }
  /** The reason phrase; "" for a request. */
  get reason(): string {
    return this.text(this.reasonStart, this.reasonEnd);
  }
  /** The Call-ID; "" when there is none. */
  get callId(): string {
    return this.#callId ??= this.value(HeaderId.CALL_ID) ?? "";
  }
  /** The tag of From; "" when there is none. */
  get fromTag(): string {
    return this.#fromTag ??= this.from.tag;
  }
  /** The tag of To; "" when there is none. */
  get toTag(): string {
    return this.#toTag ??= this.to.tag;
  }
  /** The URI of From; undefined when it cannot be read. */
  fromUri(): SipUri | undefined {
    if (this.#fromUri === null) this.#fromUri = this.from.uriEnd > 0 ? this.from.uri() : undefined;
    return this.#fromUri;
  }
  /** The URI of To; undefined when it cannot be read. */
  toUri(): SipUri | undefined {
    if (this.#toUri === null) this.#toUri = this.to.uriEnd > 0 ? this.to.uri() : undefined;
    return this.#toUri;
  }
  /** The first value of a header that holds addresses (Contact, Route, Record-Route, …); undefined without a good one. */
  address(id: number): NameAddrView | undefined {
    const i = this.first(id);
    if (i < 0) return undefined;
    const view = new NameAddrView();
    return view.parse(this.buffer, this.valueStart(i), this.valueEnd(i)) ? view : undefined;
  }
  /** The URI of the first Contact; undefined without a good one ("*" is none). */
  contactUri(): SipUri | undefined {
    const contact = this.address(HeaderId.CONTACT);
    return contact === undefined ? undefined : parseUri(contact.uriText);
  }

  /** The topmost Via value; undefined when there is none or it is malformed. The same view at every call. */
  topVia(): ViaView | undefined {
    if (this.#viaState === 0) {
      const i = this.first(HeaderId.VIA);
      const good = i >= 0 && this.#via.parse(this.buffer, this.valueStart(i), this.valueEnd(i));
      this.#viaState = good ? 1 : 2;
    }
    return this.#viaState === 1 ? this.#via : undefined;
  }
  /** The Via value under the topmost: where a proxy sends a response. Undefined when there is none or it is malformed. */
  secondVia(): ViaView | undefined {
    if (this.#secondViaRead) return this.#secondVia;
    this.#secondViaRead = true;
    this.#secondVia = undefined;
    const top = this.topVia();
    if (top === undefined) return undefined;
    let i = this.first(HeaderId.VIA);
    let at = skipLws(this.buffer, top.end, this.valueEnd(i)) + 1; // Past the comma, if there is one.
    if (at >= this.valueEnd(i)) {
      i = this.next(i);
      if (i < 0) return undefined;
      at = this.valueStart(i);
    }
    if (this.#below.parse(this.buffer, at, this.valueEnd(i))) this.#secondVia = this.#below;
    return this.#secondVia;
  }

  #forget(buffer: Uint8Array): void {
    this.buffer = buffer;
    this.method = this.cseqMethod = "";
    this.requestUriStart =
      this.requestUriEnd =
      this.reasonStart =
      this.reasonEnd =
      this.status =
        0;
    this.cseqNumber = this.maxForwards = this.contentLength = -1;
    this.#viaState = 0;
    this.#secondVia = undefined;
    this.#secondViaRead = false;
    this.#requestUri =
      this.#callId =
      this.#fromTag =
      this.#toTag =
        undefined;
    this.#fromUri = this.#toUri = null;
    this.from.clear();
    this.to.clear();
  }
}
