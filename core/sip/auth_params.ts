/**
 * Challenges, credentials and Authentication-Info: `scheme name=value, name="value", …`
 * (RFC 3261 §25.1 challenge, credentials, ainfo; RFC 7235 §2.1). Read from raw bytes, because a fold inside a value has
 * to be seen (docs/PROTOCOL.md §2).
 */
import {
  BACKSLASH,
  COMMA,
  CR,
  decodeText,
  DQUOTE,
  encodeText,
  EQUAL,
  isLws,
  LF,
  skipLws,
  skipToken,
  trimEnd,
} from "./ascii.ts";

/** What is wrong with a parameter list. */
export type AuthErrorCode =
  | "scheme"
  | "empty_name"
  | "missing_equals"
  | "empty_value"
  | "unterminated_quote"
  | "garbage"
  | "fold"
  | "control"
  | "utf8"
  | "too_many";

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

/** A parameter list longer than this is an error: nothing real comes near, and readers of it look for repeats. */
export const MAX_AUTH_PARAMS = 64;

/** What an unquoted URI has besides token characters (RFC 3261 §25.1 reserved), the comma left out. */
const URI_DELIMITERS = encodeText(":@/?;=&$[]");

const fatal = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const TEXTS: { readonly [code in AuthErrorCode]: string } = {
  scheme: "has no scheme",
  empty_name: "parameter without a name",
  missing_equals: "has no value",
  empty_value: "has an empty value",
  unterminated_quote: "has no closing quote",
  garbage: "is followed by something that is no comma",
  fold: "is folded",
  control: "has a control character",
  utf8: "is not UTF-8",
  too_many: "is one parameter too many",
};

function failure(code: AuthErrorCode, field: string): AuthError {
  return { code, field, text: field === "" ? TEXTS[code] : `${field} ${TEXTS[code]}` };
}

/**
 * Reads a challenge or credentials from the bytes of a header value, folds still in it.
 *
 * @param buffer for example `message.buffer`
 * @param start for example `message.valueStart(i)`
 * @param end for example `message.valueEnd(i)`
 */
export function parseAuthAt(buffer: Uint8Array, start: number, end: number): AuthHeader {
  end = trimEnd(buffer, start, end);
  const schemeStart = skipLws(buffer, start, end);
  const schemeEnd = skipToken(buffer, schemeStart, end);
  const scheme = decodeText(buffer, schemeStart, schemeEnd);
  const at = skipLws(buffer, schemeEnd, end);
  if (scheme === "" || (at === schemeEnd && at < end)) {
    return { scheme, params: [], error: failure("scheme", "") };
  }
  const params: AuthParam[] = [];
  const error = at === end ? undefined : readParams(buffer, at, end, params);
  return error === undefined ? { scheme, params } : { scheme, params, error };
}

/** Reads Authentication-Info or Proxy-Authentication-Info, which have no scheme (RFC 7615 §3). */
export function parseAuthInfoAt(buffer: Uint8Array, start: number, end: number): AuthHeader {
  end = trimEnd(buffer, start, end);
  const at = skipLws(buffer, start, end);
  const params: AuthParam[] = [];
  const error = at === end ? undefined : readParams(buffer, at, end, params);
  return error === undefined ? { scheme: "", params } : { scheme: "", params, error };
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

function readParams(buffer: Uint8Array, at: number, end: number, params: AuthParam[]): AuthError | undefined {
  for (;;) {
    const nameEnd = skipToken(buffer, at, end);
    if (nameEnd === at) return failure("empty_name", "");
    const name = decodeText(buffer, at, nameEnd).toLowerCase();
    if (params.length === MAX_AUTH_PARAMS) return failure("too_many", name);
    at = skipLws(buffer, nameEnd, end);
    if (at === end || buffer[at] !== EQUAL) return failure("missing_equals", name);
    at = skipLws(buffer, at + 1, end);
    if (at < end && buffer[at] === DQUOTE) {
      const close = closingQuote(buffer, at + 1, end);
      const wrong = close < 0 ? "unterminated_quote" : badByte(buffer, at + 1, close);
      if (wrong !== undefined) return failure(wrong, name);
      const value = unescapeQuoted(buffer, at + 1, close);
      if (value === undefined) return failure("utf8", name);
      params.push([name, value, true]);
      at = close + 1;
    } else {
      const valueEnd = skipUnquoted(buffer, at, end);
      if (valueEnd === at) {
        const c = at < end ? buffer[at] : COMMA;
        const code = c === COMMA ? "empty_value" : c < 0x20 || c === 0x7f ? "control" : "garbage";
        return failure(code, name);
      }
      params.push([name, decodeText(buffer, at, valueEnd), false]);
      at = valueEnd;
    }
    const after = at;
    at = skipLws(buffer, at, end);
    if (at === end) return undefined;
    if (buffer[at] !== COMMA) {
      // An unquoted value that goes on in the next line was folded in its middle.
      const folded = at > after && hasFold(buffer, after, at) && !params[params.length - 1][2];
      const control = buffer[at] < 0x20 || buffer[at] === 0x7f;
      return failure(control ? "control" : folded ? "fold" : "garbage", name);
    }
    at = skipLws(buffer, at + 1, end);
  }
}

/** A token, or an unquoted URI: senders leave the quotes away, and the characters of a URI are no others' delimiters here. */
function skipUnquoted(buffer: Uint8Array, at: number, end: number): number {
  for (;;) {
    at = skipToken(buffer, at, end);
    if (at === end || !URI_DELIMITERS.includes(buffer[at])) return at;
    at++;
  }
}

function closingQuote(buffer: Uint8Array, at: number, end: number): number {
  for (; at < end; at++) {
    const c = buffer[at];
    if (c === DQUOTE) return at;
    if (c === BACKSLASH) at++;
  }
  return -1;
}

function badByte(buffer: Uint8Array, start: number, end: number): AuthErrorCode | undefined {
  for (let i = start; i < end; i++) {
    const c = buffer[i];
    if (c >= 0x20 && c !== 0x7f) continue;
    const fold = c === LF || (c === CR && buffer[i + 1] === LF);
    // A line end that no white space follows cannot come out of a header, but text from elsewhere may hold one.
    const next = buffer[c === CR ? i + 2 : i + 1];
    return fold && isLws(next) ? "fold" : "control";
  }
  return undefined;
}

function hasFold(buffer: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] === LF) return true;
  return false;
}

function unescapeQuoted(buffer: Uint8Array, start: number, end: number): string | undefined {
  let plain = true;
  for (let i = start; i < end && plain; i++) plain = buffer[i] !== BACKSLASH && buffer[i] < 0x80;
  if (plain) return decodeText(buffer, start, end);
  const bytes = new Uint8Array(end - start);
  let length = 0;
  for (let i = start; i < end; i++) {
    if (buffer[i] === BACKSLASH) i++;
    bytes[length++] = buffer[i];
  }
  try {
    return fatal.decode(bytes.subarray(0, length));
  } catch {
    return undefined;
  }
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
