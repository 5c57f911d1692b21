/** Recognises this proxy in the topmost Route value: RFC 3261 §16.4. */
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
import type { LocalNames } from "./local_names.ts";

const DIALOG_ID = encodeText("did");

/** What the Route of a request says, as bits. */
export const OwnRoute = {
  /** The first value is an address of this proxy. */
  OWN: 1,
  /** It carries the tag that this proxy put into Record-Route for this Call-ID. */
  TAGGED: 2,
  /** Other values stand after it, or in its place. */
  OTHERS: 4,
} as const;

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
    const value = this.#value;
    const uri = this.#uri;
    const end = message.valueEnd(first);
    const own = value.parse(buffer, firstValueStart(message, first), end) &&
      uri.parse(buffer, value.uriStart, value.uriEnd) && this.names.isOwnAt(buffer, uri);
    if (!own) return OwnRoute.OTHERS;
    const tagged = uri.param(DIALOG_ID) && this.#isTag(message, uri.valueStart, uri.valueEnd);
    const more = message.next(first) >= 0 || skipLws(buffer, value.end, end) < end;
    const others = more && hasSecondValue(message);
    return OwnRoute.OWN | (tagged ? OwnRoute.TAGGED : 0) | (others ? OwnRoute.OTHERS : 0);
  }

  #isTag(message: SipMessage, start: number, end: number): boolean {
    const i = message.first(HeaderId.CALL_ID);
    return i >= 0 &&
      this.tags.matches(message.buffer, message.valueStart(i), message.valueEnd(i), start, end);
  }
}

function hasSecondValue(message: SipMessage): boolean {
  const values: ValueCursor = message.values(HeaderId.ROUTE);
  return values.advance() && values.advance();
}
