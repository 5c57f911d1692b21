/** When two URIs are the same (RFC 3261 §19.1.4). */
import type { SipUri, UriParam } from "./uri.ts";

/**
 * Parameters that count even when only one of the URIs has them (RFC 3261 §19.1.4). transport is not in that rule, but
 * in its examples: sip:bob@biloxi.com and sip:bob@biloxi.com;transport=udp differ.
 */
const ALWAYS_COMPARED: readonly string[] = ["user", "ttl", "method", "maddr", "transport"];

/** Escapes of characters that need none are the same as these characters; letters in escapes count alike. */
function canonical(text: string): string {
  return text.replace(/%[0-9A-Fa-f]{2}/g, (escape) => {
    const c = String.fromCharCode(parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-_.!~*'()]/.test(c) ? c : escape.toUpperCase();
  });
}

/**
 * Whether two URIs are equivalent by RFC 3261 §19.1.4: user and password with case, all else without; a parameter that
 * both have must agree, of those that one has alone user, ttl, method, maddr and transport count; headers all
 * count, in any order. Other schemes than sip and sips: the same text.
 *
 * @example
 * ```ts
 * import { parseUri } from "./uri.ts";
 * import { sameUri } from "./uri_compare.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const same = (a: string, b: string) => sameUri(parseUri(a)!, parseUri(b)!);
 * assertEquals(same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"), true);
 * assertEquals(same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtlanTa.CoM;Transport=UDP"), false);
 * ```
 */
export function sameUri(a: SipUri, b: SipUri): boolean {
  if (a.scheme !== b.scheme) return false;
  if (a.opaque !== undefined || b.opaque !== undefined) return a.opaque === b.opaque;
  return sameText(a.user, b.user) && sameText(a.password, b.password) && a.port === b.port &&
    a.host.toLowerCase() === b.host.toLowerCase() && sameParams(a.params, b.params) && sameHeaders(a, b);
}

function sameText(a: string | undefined, b: string | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && canonical(a) === canonical(b));
}

function table(params: readonly UriParam[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of params) {
    map.set(canonical(name).toLowerCase(), canonical(value ?? "").toLowerCase());
  }
  return map;
}

function sameParams(a: readonly UriParam[], b: readonly UriParam[]): boolean {
  if (a.length === 0 && b.length === 0) return true;
  const ours = table(a);
  const theirs = table(b);
  for (const [name, value] of ours) if (theirs.has(name) && theirs.get(name) !== value) return false;
  return ALWAYS_COMPARED.every((name) => ours.has(name) === theirs.has(name));
}

function sameHeaders(a: SipUri, b: SipUri): boolean {
  if (a.headers.length !== b.headers.length) return false;
  const sorted = (uri: SipUri) =>
    uri.headers.map(([name, value]) => `${canonical(name).toLowerCase()}=${canonical(value)}`).sort();
  const theirs = sorted(b);
  return sorted(a).every((header, i) => header === theirs[i]);
}
