/** Addresses-of-record in canonical form: RFC 3261 §10.3 step 5. */
import { formatHost, unescapeUser, UriView } from "../../mod.ts";
import type { LocalNames } from "../local_names.ts";

/** A user of a served domain. */
export interface Aor {
  /** The name, without escapes and password. */
  readonly user: string;
  /** The domain as `--realm` names it. */
  readonly realm: string;
  /** What the location knows the user by: user@domain, with the domain in lower case. */
  readonly key: string;
  /** Whether it was written as a sips URI: it is the same user (RFC 5630 §3.3). */
  readonly secure: boolean;
}

/** Longest user name of an address-of-record in characters: what the `location` table of OpenSIPS has room for. */
export const MAX_AOR_USER = 64;

const decoder = new TextDecoder();
const uri = new UriView();

/** The key of a user of a domain. */
export function aorKey(user: string, domain: string): string {
  return `${user}@${domain.toLowerCase()}`;
}

/** The user and the domain of a key. */
export function splitAor(key: string): readonly [user: string, domain: string] {
  const at = key.lastIndexOf("@");
  return [key.slice(0, at), key.slice(at + 1)];
}

/**
 * The address-of-record that the URI buffer[start, end) is: parameters, headers, password and port do not count, escapes
 * are taken out, the host is compared without case. An address of the proxy stands for the first realm.
 *
 * @returns undefined when it has no user, is of no served domain, or is no sip or sips URI
 */
export function aorAt(names: LocalNames, buffer: Uint8Array, start: number, end: number): Aor | undefined {
  if (!uri.parse(buffer, start, end) || uri.userStart < 0) return undefined;
  const realm = names.realmAt(buffer, uri.hostStart, uri.hostEnd);
  if (realm === undefined) return undefined;
  const user = unescapeUser(decoder.decode(buffer.subarray(uri.userStart, uri.userEnd)));
  if (user === undefined || user.length > MAX_AOR_USER || user.trim() !== user) return undefined;
  return { user, realm, key: aorKey(user, formatHost(realm)), secure: uri.scheme === "sips" };
}
