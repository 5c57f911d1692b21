/** Who a request is from, as authentication sees it: docs/PROTOCOL.md §4, "Who is challenged". */
import { type SipMessage, unescapeUser } from "../mod.ts";

/** Longest user name that can be asked for, in bytes of UTF-8 (docs/PROTOCOL.md §9). */
const MAX_USERNAME_BYTES = 256;

const encoder = new TextEncoder();

/** The claimed sender of a request. */
export interface Claim {
  /** The unescaped user part of From. */
  readonly user: string;
  /** The host of From in lower case; "" when the URI has none (tel). */
  readonly host: string;
}

/** Why nobody can have this user name, or undefined. */
export function usernameFault(name: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(name)) return "has a control character";
  // A UTF-16 code unit becomes three bytes at most: most names need no second look.
  const long = name.length * 3 > MAX_USERNAME_BYTES && encoder.encode(name).length > MAX_USERNAME_BYTES;
  return long ? "is too long" : undefined;
}

/** The sender that From claims, or what is wrong with it as a reason phrase. */
export function readClaim(message: SipMessage): Claim | { readonly problem: string } {
  const uri = message.fromUri();
  if (uri === undefined) {
    return { problem: "From has no readable URI (characters beyond ASCII must be escaped)" };
  }
  const user = unescapeUser(uri.user ?? "");
  if (user === undefined) return { problem: "the user of From is not text" };
  const fault = usernameFault(user);
  if (fault !== undefined) return { problem: `the user of From ${fault}` };
  return { user, host: uri.host.toLowerCase() };
}
