/**
 * Which authentication headers of a forwarded message are this proxy's own business, and go (docs/PROTOCOL.md §6, §7):
 * answers from requests, challenges and confirmations from responses.
 */
import { AuthScanner, DIGEST_SCHEME, HeaderId, type Patch, PC_SCHEME, type SipMessage } from "../mod.ts";

const encoder = new TextEncoder();
const PC = encoder.encode(PC_SCHEME.toLowerCase());
const DIGEST = encoder.encode(DIGEST_SCHEME.toLowerCase());
const REALM = encoder.encode("realm");
const COMMA = 0x2c;

const ANSWERS = [HeaderId.PROXY_AUTHORIZATION, HeaderId.AUTHORIZATION];
const ASSERTIONS = [
  HeaderId.PROXY_AUTHENTICATE,
  HeaderId.WWW_AUTHENTICATE,
  HeaderId.PROXY_AUTHENTICATION_INFO,
  HeaderId.AUTHENTICATION_INFO,
];

/** Synchronous and never left in the middle, so that one serves all. */
const scanner = new AuthScanner();
/** Sets of realms as bytes: there are as many as proxies in the program. */
const realmBytes = new WeakMap<ReadonlySet<string>, readonly Uint8Array[]>();

function bytesOf(realms: ReadonlySet<string>): readonly Uint8Array[] {
  let bytes = realmBytes.get(realms);
  if (bytes === undefined || bytes.length !== realms.size) {
    bytes = [...realms].map((realm) => encoder.encode(realm));
    realmBytes.set(realms, bytes);
  }
  return bytes;
}

/** Removes header lines of a message that belong to a served realm. */
function removeLines(
  patch: Patch,
  ids: readonly HeaderId[],
  realms: ReadonlySet<string>,
  digestToo: boolean,
): void {
  const { message } = patch;
  const served = bytesOf(realms);
  for (let k = 0; k < ids.length; k++) {
    for (let i = message.first(ids[k]); i >= 0; i = message.next(i)) {
      scanner.begin(message.buffer, message.valueStart(i), message.valueEnd(i));
      const wanted = scanner.isScheme(PC) || (digestToo && scanner.isScheme(DIGEST));
      if (wanted && isOurs(served) || hidesPc(message, i)) patch.removeLine(i);
    }
  }
}

/** Whether any realm that the value in hand names is served; one that breaks off goes too, rather than leak a token. */
function isOurs(served: readonly Uint8Array[]): boolean {
  while (scanner.next()) {
    if (!scanner.isNamed(REALM)) continue;
    for (let k = 0; k < served.length; k++) if (scanner.isValue(served[k])) return true;
  }
  return scanner.error !== undefined;
}

/** Whether a line has a PC value behind a comma, which some readers would find (RFC 3261 §7.3.1 forbids it). */
function hidesPc(message: SipMessage, i: number): boolean {
  const { buffer } = message;
  const start = message.valueStart(i);
  const end = message.valueEnd(i);
  for (let at = start; at < end; at++) {
    // White space beyond ASCII counts to some: seldom, and then the text is looked at.
    if (buffer[at] > 0x7f) return /,\s*PC\s/i.test(message.text(start, end));
  }
  for (let at = start; at < end; at++) {
    if (buffer[at] !== COMMA) continue;
    let from = at + 1;
    while (from < end && isSpace(buffer[from])) from++;
    const isPc = (buffer[from] | 0x20) === PC[0] && (buffer[from + 1] | 0x20) === PC[1];
    if (from + 2 < end && isPc && isSpace(buffer[from + 2])) return true;
  }
  return false;
}

/** White space of ASCII. */
function isSpace(c: number): boolean {
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
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
  for (let k = 0; k < ASSERTIONS.length; k++) if (message.first(ASSERTIONS[k]) >= 0) return true;
  return false;
}
