/**
 * Challenges, credentials and Authentication-Info: `scheme name=value, name="value", …`
 * (RFC 3261 §25.1 challenge, credentials, ainfo; RFC 7235 §2.1). Read from raw bytes, because a fold inside a value has
 * to be seen (docs/PROTOCOL.md §2).
 */
import { decodeText, encodeText } from "./ascii.ts";
import { AUTH_ERROR_TEXTS, type AuthErrorCode, AuthScanner } from "./auth_scanner.ts";

/** The first thing that is wrong; reading stops there. */
export interface AuthError {
  readonly code: AuthErrorCode;
  /** The parameter's name in lower case, or "scheme", or "" when it has no name. Always a token. */
  readonly field: string;
  /** A short ASCII sentence without line ends that names the field. */
  readonly text: string;
}

/** One parameter: its name in lower case, its value without quotes and quoted-pairs, and whether it was quoted. */
export type AuthParam = readonly [name: string, value: string, quoted: boolean];

/** A parsed header value. With `error`, `params` holds what stood before the error. */
export interface AuthHeader {
  /** As written; compare without regard to case. "" for Authentication-Info, which has none. */
  readonly scheme: string;
  /** In order, repeats kept. */
  readonly params: AuthParam[];
  readonly error?: AuthError;
}

/** Synchronous and never left in the middle, so that one serves all. */
const scanner = new AuthScanner();

/**
 * Reads a challenge or credentials from the bytes of a header value, folds still in it.
 *
 * @param buffer for example `message.buffer`
 * @param start for example `message.valueStart(i)`
 * @param end for example `message.valueEnd(i)`
 */
export function parseAuthAt(buffer: Uint8Array, start: number, end: number): AuthHeader {
  scanner.begin(buffer, start, end);
  return readHeader(decodeText(buffer, scanner.schemeStart, scanner.schemeEnd));
}

/** Reads Authentication-Info or Proxy-Authentication-Info, which have no scheme (RFC 7615 §3). */
export function parseAuthInfoAt(buffer: Uint8Array, start: number, end: number): AuthHeader {
  scanner.beginInfo(buffer, start, end);
  return readHeader("");
}

function readHeader(scheme: string): AuthHeader {
  const params: AuthParam[] = [];
  while (scanner.next()) params.push([scanner.name, scanner.value, scanner.quoted]);
  const code = scanner.error;
  if (code === undefined) return { scheme, params };
  const field = scanner.errorField;
  const text = AUTH_ERROR_TEXTS[code];
  return { scheme, params, error: { code, field, text: field === "" ? text : `${field} ${text}` } };
}

/**
 * Reads a challenge or credentials from text.
 *
 * @example
 * ```ts
 * import { parseAuth } from "./auth_params.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { scheme, params, error } = parseAuth('Digest realm="a \\"b\\"", algorithm=MD5');
 * assertEquals(scheme, "Digest");
 * assertEquals(params, [["realm", 'a "b"', true], ["algorithm", "MD5", false]]);
 * assertEquals(error, undefined);
 * assertEquals(parseAuth('PC nonce="12').error?.text, "nonce has no closing quote");
 * ```
 */
export function parseAuth(text: string): AuthHeader {
  const bytes = encodeText(text);
  return parseAuthAt(bytes, 0, bytes.length);
}

/** Like {@link parseAuth} for a value without a scheme (Authentication-Info). */
export function parseAuthInfo(text: string): AuthHeader {
  const bytes = encodeText(text);
  return parseAuthInfoAt(bytes, 0, bytes.length);
}

/**
 * `text` as a quoted-string: quotes and backslashes get a backslash.
 *
 * Throws TypeError when it holds a control character, which no header value may carry.
 */
export function quote(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(text)) throw new TypeError("A quoted string must not hold control characters");
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The value of the first parameter `name` (lower case), or undefined. */
export function authParam(header: AuthHeader, name: string): string | undefined {
  for (const param of header.params) if (param[0] === name) return param[1];
  return undefined;
}
