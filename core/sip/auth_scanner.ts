/**
 * The parameter lists of challenges, credentials and Authentication-Info (RFC 3261 §25.1, RFC 7235 §2.1), read one
 * parameter at a time from raw bytes: offsets, no strings, no garbage, no exceptions. Everything that reads such a
 * header is built on this one reader, so that no two of them can see different things in it.
 */
import {
  BACKSLASH,
  COMMA,
  CR,
  decodeText,
  DQUOTE,
  encodeText,
  EQUAL,
  equalsIgnoreCase,
  isLws,
  LF,
  skipLws,
  skipToken,
  TOKEN,
  trimEnd,
} from "./ascii.ts";
import { isUtf8 } from "./utf8.ts";

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

/** What each error says of its parameter; the first two stand alone. */
export const AUTH_ERROR_TEXTS: { readonly [code in AuthErrorCode]: string } = {
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

/** A parameter list longer than this is an error: nothing real comes near, and readers of it look for repeats. */
export const MAX_AUTH_PARAMS = 64;

/** 1 for what may stand in an unquoted value: a token, or the reserved characters of a URI, the comma left out. */
const UNQUOTED = TOKEN.slice();
for (const c of encodeText(":@/?;=&$[]")) UNQUOTED[c] = 1;
/** 1 for what stands for itself in a quoted-string and needs no second look: ASCII but controls, quote and backslash. */
const PLAIN = new Uint8Array(256);
for (let c = 0x20; c < 0x7f; c++) PLAIN[c] = c === DQUOTE || c === BACKSLASH ? 0 : 1;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/**
 * Reads one header value after the other; reusable. Offsets are into `buffer`, and good until the next call.
 *
 * @example
 * ```ts
 * import { AuthScanner } from "./auth_scanner.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode('PC realm="example.com", seq=9, nonce="12');
 * const scanner = new AuthScanner();
 * scanner.begin(bytes, 0, bytes.length);
 * const seen: string[] = [];
 * while (scanner.next()) seen.push(`${scanner.name}: ${scanner.value}`);
 * assertEquals(seen, ["realm: example.com", "seq: 9"]);
 * assertEquals([scanner.error, scanner.errorField], ["unterminated_quote", "nonce"]);
 * ```
 */
export class AuthScanner {
  buffer: Uint8Array = EMPTY;
  /** The scheme; empty for Authentication-Info, which has none. */
  schemeStart = 0;
  schemeEnd = 0;
  /** The name of the parameter: a token, in any case. */
  nameStart = 0;
  nameEnd = 0;
  /** Its value without the quotes. */
  valueStart = 0;
  valueEnd = 0;
  /** Whether the value stood in quotes. */
  quoted = false;
  /** Whether the value holds quoted-pairs, so that its bytes are not what it says. */
  escaped = false;
  /** The first thing that is wrong; reading stops there. Undefined while all is well. */
  error: AuthErrorCode | undefined;
  #errorStart = 0;
  #errorEnd = 0;
  #at = 0;
  #end = 0;
  #count = 0;
  /** Whether a comma followed the parameter that was read last: then another one has to follow. */
  #comma = false;
  /** An error behind the parameter that was read last. */
  #pending: AuthErrorCode | undefined;

  /**
   * Begins with a challenge or credentials, folds still in it: reads the scheme.
   *
   * @param buffer for example `message.buffer`
   * @param start for example `message.valueStart(i)`
   * @param end for example `message.valueEnd(i)`
   */
  begin(buffer: Uint8Array, start: number, end: number): void {
    this.#begin(buffer, end = trimEnd(buffer, start, end));
    this.schemeStart = skipLws(buffer, start, end);
    this.schemeEnd = skipToken(buffer, this.schemeStart, end);
    this.#at = skipLws(buffer, this.schemeEnd, end);
    const missing = this.schemeEnd === this.schemeStart || (this.#at === this.schemeEnd && this.#at < end);
    if (missing) this.error = "scheme";
  }

  /** Begins with Authentication-Info or Proxy-Authentication-Info, which have no scheme (RFC 7615 §3). */
  beginInfo(buffer: Uint8Array, start: number, end: number): void {
    this.#begin(buffer, end = trimEnd(buffer, start, end));
    this.schemeStart = this.schemeEnd = start;
    this.#at = skipLws(buffer, start, end);
  }

  #begin(buffer: Uint8Array, end: number): void {
    this.buffer = buffer;
    this.#end = end;
    this.#count = 0;
    this.#comma = false;
    this.error = this.#pending = undefined;
    this.#errorStart = this.#errorEnd = 0;
  }

  /** Reads the next parameter; false after the last one, and at an error. */
  next(): boolean {
    const { buffer } = this;
    const end = this.#end;
    if (this.error !== undefined) return false;
    if (this.#pending !== undefined) return this.#fail(this.#pending);
    let at = this.#at;
    if (at === end && !this.#comma) return false;
    const nameEnd = skipToken(buffer, at, end);
    this.nameStart = at;
    this.nameEnd = nameEnd;
    if (nameEnd === at) return this.#fail("empty_name");
    if (this.#count === MAX_AUTH_PARAMS) return this.#fail("too_many");
    at = skipLws(buffer, nameEnd, end);
    if (at === end || buffer[at] !== EQUAL) return this.#fail("missing_equals");
    at = skipLws(buffer, at + 1, end);
    this.quoted = at < end && buffer[at] === DQUOTE;
    this.escaped = false;
    if (this.quoted) {
      let close = at + 1;
      while (close < end && PLAIN[buffer[close]] === 1) close++;
      if (close === end || buffer[close] !== DQUOTE) {
        close = closingQuote(buffer, at + 1, end);
        const wrong = close < 0 ? "unterminated_quote" : badByte(buffer, at + 1, close);
        if (wrong !== undefined) return this.#fail(wrong);
        this.escaped = hasByte(buffer, at + 1, close, BACKSLASH);
        if (!isUtf8(buffer, at + 1, close, true)) return this.#fail("utf8");
      }
      this.valueStart = at + 1;
      this.valueEnd = close;
      at = close + 1;
    } else {
      let valueEnd = at;
      while (valueEnd < end && UNQUOTED[buffer[valueEnd]] === 1) valueEnd++;
      if (valueEnd === at) {
        const c = at < end ? buffer[at] : COMMA;
        return this.#fail(c === COMMA ? "empty_value" : c < 0x20 || c === 0x7f ? "control" : "garbage");
      }
      this.valueStart = at;
      this.valueEnd = at = valueEnd;
    }
    this.#count++;
    const after = at;
    at = skipLws(buffer, at, end);
    this.#comma = at < end && buffer[at] === COMMA;
    if (this.#comma) at = skipLws(buffer, at + 1, end);
    else if (at < end) this.#pending = this.#behind(after, at);
    this.#at = at;
    return true;
  }

  /** What is wrong with the bytes behind a value, which are neither the end nor a comma. */
  #behind(after: number, at: number): AuthErrorCode {
    const c = this.buffer[at];
    if (c < 0x20 || c === 0x7f) return "control";
    // An unquoted value that goes on in the next line was folded in its middle.
    if (!this.quoted && at > after && hasByte(this.buffer, after, at, LF)) return "fold";
    return "garbage";
  }

  #fail(code: AuthErrorCode): false {
    this.error = code;
    if (code !== "empty_name") {
      this.#errorStart = this.nameStart;
      this.#errorEnd = this.nameEnd;
    }
    return false;
  }

  /** Whether the scheme is this one, given in lower case. */
  isScheme(lower: Uint8Array): boolean {
    return equalsIgnoreCase(this.buffer, this.schemeStart, this.schemeEnd, lower);
  }

  /** Whether the parameter has this name, given in lower case. */
  isNamed(lower: Uint8Array): boolean {
    return equalsIgnoreCase(this.buffer, this.nameStart, this.nameEnd, lower);
  }

  /** Whether the value, quoted-pairs taken out, is these bytes. */
  isValue(bytes: Uint8Array): boolean {
    const { buffer, valueEnd, escaped } = this;
    if (!escaped && valueEnd - this.valueStart !== bytes.length) return false;
    let k = 0;
    for (let i = this.valueStart; i < valueEnd; i++) {
      if (escaped && buffer[i] === BACKSLASH) i++;
      // Past the end there is undefined, which no byte is.
      if (buffer[i] !== bytes[k++]) return false;
    }
    return k === bytes.length;
  }

  /** The name in lower case, as text. */
  get name(): string {
    return decodeText(this.buffer, this.nameStart, this.nameEnd).toLowerCase();
  }

  /** The value without quoted-pairs, as text. */
  get value(): string {
    if (this.escaped) return decoder.decode(this.unescaped());
    return decodeText(this.buffer, this.valueStart, this.valueEnd);
  }

  /** The bytes of the value without quoted-pairs, in a new array. */
  unescaped(): Uint8Array {
    const { buffer, valueEnd } = this;
    const bytes = new Uint8Array(valueEnd - this.valueStart);
    let length = 0;
    for (let i = this.valueStart; i < valueEnd; i++) {
      if (this.escaped && buffer[i] === BACKSLASH) i++;
      bytes[length++] = buffer[i];
    }
    return bytes.subarray(0, length);
  }

  /** The name of the parameter that the error is about, in lower case; "" where it has none. Always a token. */
  get errorField(): string {
    return decodeText(this.buffer, this.#errorStart, this.#errorEnd).toLowerCase();
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

function hasByte(buffer: Uint8Array, start: number, end: number, byte: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] === byte) return true;
  return false;
}
