/** Which user names and realms can exist. */
import type { Identity } from "../mod.ts";

/** Width of the columns username and domain, in characters. */
const MAX_CHARACTERS = 64;

/** Whether a name has control characters: it could not stand in a MAC (docs/PROTOCOL.md §2). */
export function hasControlCharacters(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return true;
  }
  return false;
}

/** Why a user cannot be added under this name, or undefined. The column counts from 1: username, domain. */
export function nameProblem(user: Identity): { readonly column: number; readonly text: string } | undefined {
  const problem = (text: string, what: string) =>
    text === ""
      ? `${what} is empty`
      : [...text].length > MAX_CHARACTERS
      ? `${what} has more than ${MAX_CHARACTERS} characters`
      : hasControlCharacters(text)
      ? `${what} has control characters`
      : undefined;
  const username = problem(user.username, "username") ??
    // RFC 7616 §3.4.4: the hash over username ":" realm ":" password would be ambiguous.
    (user.username.includes(":") ? "username has a colon, which Digest does not allow" : undefined);
  if (username !== undefined) return { column: 1, text: username };
  const realm = problem(user.realm, "domain");
  return realm === undefined ? undefined : { column: 2, text: realm };
}

/**
 * Splits USER@REALM at the last "@".
 *
 * @returns undefined when a part is missing
 */
export function parseUserAtRealm(text: string): Identity | undefined {
  const at = text.lastIndexOf("@");
  if (at <= 0 || at === text.length - 1) return undefined;
  return { username: text.slice(0, at), realm: text.slice(at + 1) };
}
