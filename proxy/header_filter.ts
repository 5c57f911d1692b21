/**
 * Which authentication headers of a forwarded message are this proxy's own business, and go (docs/PROTOCOL.md §6, §7):
 * answers from requests, challenges and confirmations from responses.
 */
import {
  type AuthHeader,
  HeaderId,
  isDigest,
  parseAuthAt,
  type Patch,
  PC_SCHEME,
  type SipMessage,
} from "../mod.ts";

const ANSWERS = [HeaderId.PROXY_AUTHORIZATION, HeaderId.AUTHORIZATION];
const ASSERTIONS = [
  HeaderId.PROXY_AUTHENTICATE,
  HeaderId.WWW_AUTHENTICATE,
  HeaderId.PROXY_AUTHENTICATION_INFO,
  HeaderId.AUTHENTICATION_INFO,
];

/** Removes header lines of a message that belong to a served realm. */
function removeLines(
  patch: Patch,
  ids: readonly HeaderId[],
  realms: ReadonlySet<string>,
  digestToo: boolean,
): void {
  const { message } = patch;
  for (const id of ids) {
    for (let i = message.first(id); i >= 0; i = message.next(i)) {
      const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
      const wanted = header.scheme.toUpperCase() === PC_SCHEME || (digestToo && isDigest(header));
      if (wanted ? isOurs(header, realms) : hidesPc(message, i)) patch.removeLine(i);
    }
  }
}

/** Whether any realm that a value names is served; one that breaks off before its realm goes too, rather than leak a token. */
function isOurs(header: AuthHeader, realms: ReadonlySet<string>): boolean {
  const stated = header.params.filter(([name]) => name === "realm");
  return stated.length === 0 ? header.error !== undefined : stated.some(([, realm]) => realms.has(realm));
}

/** Whether a line of another scheme has a PC value behind a comma, which some readers would find (RFC 3261 §7.3.1 forbids it). */
function hidesPc(message: SipMessage, i: number): boolean {
  return /,\s*PC\s/i.test(message.text(message.valueStart(i), message.valueEnd(i)));
}

/**
 * Takes the answers for served realms out of a request: PC always, Digest when it was accepted and is to be consumed.
 */
export function removeAnswers(patch: Patch, realms: ReadonlySet<string>, digestToo: boolean): void {
  removeLines(patch, ANSWERS, realms, digestToo);
}

/** Takes PC challenges and confirmations for served realms out of a response. */
export function removeAssertions(patch: Patch, realms: ReadonlySet<string>): void {
  removeLines(patch, ASSERTIONS, realms, false);
}

/** Whether a message has any header that {@linkcode removeAssertions} looks at: most responses have none. */
export function hasAssertions(message: SipMessage): boolean {
  return ASSERTIONS.some((id) => message.first(id) >= 0);
}
