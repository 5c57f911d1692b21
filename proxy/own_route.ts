/** Recognises this proxy in the topmost Route value: RFC 3261 §16.4. */
import { HeaderId, type SipMessage, uriParam, ValueCursor } from "../mod.ts";
import type { DialogTags } from "./dialog_tags.ts";
import type { LocalNames } from "./local_names.ts";

/** What the Route of a request says. */
export interface OwnRoute {
  /** The first value is an address of this proxy. */
  readonly own: boolean;
  /** It carries the tag that this proxy put into Record-Route for this Call-ID. */
  readonly tagged: boolean;
  /** Other values stand after it, or in its place. */
  readonly others: boolean;
}

const NONE: OwnRoute = { own: false, tagged: false, others: false };

/** Reads the Route of a request. */
export function readRoute(message: SipMessage, names: LocalNames, tags: DialogTags): OwnRoute {
  if (message.first(HeaderId.ROUTE) < 0) return NONE;
  const uri = message.address(HeaderId.ROUTE)?.uri();
  const own = uri !== undefined && names.isOwn(uri);
  const values: ValueCursor = message.values(HeaderId.ROUTE);
  values.advance();
  return {
    own,
    tagged: own && uriParam(uri, "did") === tags.tag(message.callId),
    others: !own || values.advance(),
  };
}
