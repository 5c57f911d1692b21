/** Where one branch of a request goes: what a look-up makes of a contact (RFC 3261 §16.5, §16.6 steps 2 and 6). */
import { formatUri, parseNameAddr, parseUri, type SipUri } from "../mod.ts";
import { type Destination, uriDestination } from "./destination.ts";
import type { Binding } from "./location.ts";

/** A branch. */
export interface Target {
  /** Its Request-URI. */
  readonly uri: string;
  /** Route values that are put before those of the request. */
  readonly route: readonly string[];
  /** Where it is sent. */
  readonly destination: Destination;
  /** Branches with a higher one are tried first; those with the same, at the same time. */
  readonly q: number;
}

/** A Request-URI has no headers and no method (RFC 3261 §19.1.1, table 1). */
function asRequestUri(text: string, uri: SipUri): string {
  const hasMethod = uri.params.some(([name]) => name.toLowerCase() === "method");
  if (uri.headers.length === 0 && !hasMethod) return text;
  return formatUri({
    ...uri,
    headers: [],
    params: uri.params.filter(([name]) => name.toLowerCase() !== "method"),
  });
}

/** The branch to a contact: along its Path, else to where it was seen, else to its URI. */
export function targetOf({ uri: text, path, received, q }: Binding): Target {
  const uri = parseUri(text);
  const first = path.length === 0 ? undefined : parseNameAddr(path[0])?.uri;
  const destination = path.length > 0 ? uriDestination(first) : received ?? uriDestination(uri);
  return { uri: uri === undefined ? text : asRequestUri(text, uri), route: path, destination, q };
}
