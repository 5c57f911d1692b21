/** The target set of a request (RFC 3261 §16.5): grouped by q, each target once. */
import { type Address, type NameAddrView, parseUri, sameUri, type SipUri } from "../mod.ts";

/** One target of a request: what a registrar's binding is, or a Contact of a redirection. */
export interface RelayTarget {
  /** The Request-URI that the request gets, sip or sips. */
  readonly uri: string;
  /** 0 … 1, 1 by default: higher ones are tried first, equal ones side by side. */
  readonly q?: number;
  /** Route values, put before those that the request has (RFC 3327 §5.4). */
  readonly path?: readonly string[];
  /** Where the request is sent, whatever the URI says: where its phone was seen last. */
  readonly received?: Address;
}

/** Most targets of one request: more would be a way to make one request into many. */
export const MAX_TARGETS = 64;

/** A target that can be used. */
function isUsable(uri: SipUri | undefined): uri is SipUri {
  return uri !== undefined && (uri.scheme === "sip" || uri.scheme === "sips");
}

/**
 * Sorts targets into groups of equal q, the highest first; those of one group are tried side by side. A target that was there before
 * is left out (§16.5), as is what is no sip or sips URI.
 *
 * @param known targets that were tried already; those taken are added
 */
export function groupTargets(
  targets: readonly RelayTarget[],
  known: SipUri[] = [],
): (readonly RelayTarget[])[] {
  const groups = new Map<number, RelayTarget[]>();
  for (const target of targets) {
    const uri = parseUri(target.uri);
    if (!isUsable(uri) || known.length >= MAX_TARGETS || known.some((other) => sameUri(other, uri))) continue;
    known.push(uri);
    const q = target.q ?? 1;
    const group = groups.get(q);
    if (group === undefined) groups.set(q, [target]);
    else group.push(target);
  }
  return [...groups.entries()].sort(([a], [b]) => b - a).map(([, group]) => group);
}

/** The target that a Contact of a redirection names (§16.5, §8.1.3.4): without the headers of its URI. */
export function contactTarget(contact: NameAddrView): RelayTarget | undefined {
  const uri = contact.uri();
  if (!isUsable(uri)) return undefined;
  const text = contact.uriText.replace(/\?.*$/, "");
  const q = Number(contact.param("q") ?? "1");
  return { uri: text, q: q >= 0 && q <= 1 ? q : 1 };
}
