/** Reads the Route of requests: this proxy's own values at its top, and what stands after them (RFC 3261 §16.4, §16.6). */
import {
  encodeText,
  firstValueStart,
  HeaderId,
  NameAddrView,
  type SipMessage,
  skipLws,
  UriView,
  ValueCursor,
} from "../mod.ts";
import type { DialogTags } from "./dialog_tags.ts";
import { TAG_DIGITS } from "./keyed_tag.ts";
import type { LocalNames } from "./local_names.ts";

const DIALOG_ID = encodeText("did");
const LOOSE = encodeText("lr");
const EQUAL = 0x3d;

/** What the Route of a request says, as bits. */
export const OwnRoute = {
  /** The first value is an address of this proxy, or a domain that it serves. */
  OWN: 1,
  /** It carries the tag that this proxy put into Record-Route for this Call-ID. */
  TAGGED: 2,
  /** Other values stand after those of this proxy, or in their place. */
  OTHERS: 4,
  /** The second value is an address of this proxy too: it was written twice where the way changes (RFC 5658). */
  TWICE: 8,
} as const;

/** How many values at the top are this proxy's, by the bits of {@linkcode OwnRoute}. */
export function ownValues(bits: number): number {
  return (bits & OwnRoute.TWICE) !== 0 ? 2 : bits & OwnRoute.OWN;
}

/** Reads the Route of requests. */
export class OwnRouteReader {
  readonly #value = new NameAddrView();
  readonly #uri = new UriView();

  constructor(private readonly names: LocalNames, private readonly tags: DialogTags) {}

  /** The bits of {@linkcode OwnRoute}; 0 without Route. */
  read(message: SipMessage): number {
    const first = message.first(HeaderId.ROUTE);
    if (first < 0) return 0;
    const { buffer } = message;
    const end = message.valueEnd(first);
    if (!this.#isOwn(buffer, firstValueStart(message, first), end)) return OwnRoute.OTHERS;
    let bits: number = OwnRoute.OWN;
    if (this.#hasTag(message)) bits |= OwnRoute.TAGGED;
    const more = message.next(first) >= 0 || skipLws(buffer, this.#value.end, end) < end;
    return more ? bits | this.#further(message) : bits;
  }

  #further(message: SipMessage): number {
    const values: ValueCursor = message.values(HeaderId.ROUTE);
    values.advance();
    if (!values.advance()) return 0;
    if (!this.#isOwn(message.buffer, values.start, values.end)) return OwnRoute.OTHERS;
    return OwnRoute.TWICE | (values.advance() ? OwnRoute.OTHERS : 0);
  }

  /**
   * Whether the Request-URI is what this proxy put into Record-Route for this Call-ID: a strict router has been at work, and the
   * URI that was meant is the last value of Route (§16.4).
   */
  isRequestUri(message: SipMessage): boolean {
    const { buffer, requestUriStart, requestUriEnd } = message;
    // The tag is the last that was written.
    return buffer[requestUriEnd - TAG_DIGITS - 1] === EQUAL && message.first(HeaderId.ROUTE) >= 0 &&
      this.#uri.parse(buffer, requestUriStart, requestUriEnd) && this.names.isOwnAt(buffer, this.#uri) &&
      this.#hasTag(message);
  }

  /** A phone may know this proxy by the domain that it serves. */
  #isOwn(buffer: Uint8Array, start: number, end: number): boolean {
    const value = this.#value;
    const uri = this.#uri;
    return value.parse(buffer, start, end) && uri.parse(buffer, value.uriStart, value.uriEnd) &&
      this.names.isOwnOrServedAt(buffer, uri);
  }

  /** Whether the URI in hand carries the dialog's tag. */
  #hasTag(message: SipMessage): boolean {
    const uri = this.#uri;
    const i = message.first(HeaderId.CALL_ID);
    return i >= 0 && uri.param(DIALOG_ID) && this.tags.matches(
      message.buffer,
      message.valueStart(i),
      message.valueEnd(i),
      uri.valueStart,
      uri.valueEnd,
    );
  }
}

/** The Route value that a request goes on by: the first after those of this proxy. */
export class NextRoute {
  /** Whether there is one. */
  found = false;
  /** Whether it can be read. */
  readable = false;
  /** Whether its URI lacks `lr`: then it becomes the Request-URI (RFC 3261 §16.6 step 6). */
  strict = false;
  /** The header line and the value in the bytes of the message. */
  line = -1;
  start = 0;
  uriStart = 0;
  uriEnd = 0;
  readonly #value = new NameAddrView();
  readonly #uri = new UriView();

  /** @param skip values at the top that are this proxy's own */
  read(message: SipMessage, skip: number): void {
    this.found = this.readable = this.strict = false;
    if (message.first(HeaderId.ROUTE) < 0) return;
    const values = message.values(HeaderId.ROUTE);
    for (let i = 0; i < skip; i++) values.advance();
    if (!values.advance()) return;
    this.found = true;
    this.line = values.header;
    this.start = values.start;
    const value = this.#value;
    if (!value.parse(message.buffer, values.start, values.end)) return;
    this.readable = true;
    this.uriStart = value.uriStart;
    this.uriEnd = value.uriEnd;
    const uri = this.#uri;
    // Another scheme than sip and sips is not followed anyway.
    this.strict = uri.parse(message.buffer, value.uriStart, value.uriEnd) && !uri.param(LOOSE);
  }
}
