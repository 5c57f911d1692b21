/** From, To, Contact, Route: name-addr or addr-spec with header parameters (RFC 3261 §20.10, §25.1). */
import {
  BACKSLASH,
  COMMA,
  decodeText,
  DQUOTE,
  encodeText,
  EQUAL,
  equalsIgnoreCase,
  GREATER,
  isLws,
  LESS,
  SEMI,
  skipLws,
  skipToken,
  SP,
  trimEnd,
} from "./ascii.ts";
import {
  ADDR_END,
  ADDR_START,
  DISPLAY_END,
  DISPLAY_START,
  PARAMS_START,
  TAG_END,
  TAG_START,
  URI_END,
  URI_START,
} from "./kernel/assembly/layout.ts";
import { parseUri, type SipUri } from "./uri.ts";

const TAG = encodeText("tag");

/** A reusable view of one value with the offsets of its parts. Offsets are -1 where the part is absent. */
export class NameAddrView {
  buffer: Uint8Array = new Uint8Array(0);
  /** The value from its first to its last byte. */
  start = 0;
  end = 0;
  /** The display name as written, quotes included; equal when there is none. */
  displayStart = 0;
  displayEnd = 0;
  /** The URI without `<>`. */
  uriStart = 0;
  uriEnd = 0;
  /** Where the header parameters start (at the first ";" or at the end of the value). */
  paramsStart = 0;
  tagStart = -1;
  tagEnd = -1;

  /**
   * Reads the value at `start`. False when it is malformed: an open quote or `<`, no URI, white space in the URI, or a
   * parameter without a name. `this.end` is then the end of the value; a comma or `limit` follows.
   */
  parse(buffer: Uint8Array, start: number, limit: number): boolean {
    this.buffer = buffer;
    this.tagStart = this.tagEnd = -1;
    this.start =
      this.displayStart =
      this.displayEnd =
      start =
        skipLws(buffer, start, limit);
    let at = start;
    if (at < limit && buffer[at] === DQUOTE) {
      at = quotedEnd(buffer, at, limit);
      if (at < 0) return false;
      this.displayEnd = at;
      at = skipLws(buffer, at, limit);
      if (at >= limit || buffer[at] !== LESS) return false;
    } else {
      // Tokens before "<", or a bare addr-spec; a display name that should have been quoted is let through.
      for (; at < limit; at++) {
        const c = buffer[at];
        if (c === LESS || c === SEMI || c === COMMA) break;
        if (c === DQUOTE) return false;
      }
      if (at >= limit || buffer[at] !== LESS) return this.#addrSpec(start, at, limit);
      this.displayEnd = trimEnd(buffer, start, at);
    }
    this.uriStart = ++at;
    for (; at < limit; at++) {
      const c = buffer[at];
      if (c === GREATER) break;
      if (c <= SP || c === LESS) return false;
    }
    if (at >= limit || at === this.uriStart) return false;
    this.uriEnd = at;
    return this.#params(at + 1, limit);
  }

  /** Takes over what the kernel found of a value, in words of its layout from address `at` on. */
  take(buffer: Uint8Array, found: Int32Array, at: number): void {
    at /= 4;
    this.buffer = buffer;
    this.start = found[at + ADDR_START / 4];
    this.end = found[at + ADDR_END / 4];
    this.displayStart = found[at + DISPLAY_START / 4];
    this.displayEnd = found[at + DISPLAY_END / 4];
    this.uriStart = found[at + URI_START / 4];
    this.uriEnd = found[at + URI_END / 4];
    this.paramsStart = found[at + PARAMS_START / 4];
    this.tagStart = found[at + TAG_START / 4];
    this.tagEnd = found[at + TAG_END / 4];
  }

  /** Forgets what was read. */
  clear(): void {
    this.start =
      this.end =
      this.displayStart =
      this.displayEnd =
        0;
    this.uriStart = this.uriEnd = this.paramsStart = 0;
    this.tagStart = this.tagEnd = -1;
  }

  /** The URI, or undefined when it cannot be read. A new object at every call. */
  uri(): SipUri | undefined {
    return parseUri(decodeText(this.buffer, this.uriStart, this.uriEnd));
  }

  /** The URI as written. */
  get uriText(): string {
    return decodeText(this.buffer, this.uriStart, this.uriEnd);
  }

  /** The display name without quotes and quoted-pairs; "" when there is none. */
  get displayName(): string {
    const text = decodeText(this.buffer, this.displayStart, this.displayEnd);
    return text.startsWith('"') ? text.slice(1, -1).replace(/\\([\s\S])/g, "$1") : text;
  }

  /** The tag; "" when there is none. */
  get tag(): string {
    return this.tagStart < 0 ? "" : decodeText(this.buffer, this.tagStart, this.tagEnd);
  }

  /** The first header parameter of this name (any case): its value as written, "" without one, undefined when absent. */
  param(name: string): string | undefined {
    const lower = encodeText(name.toLowerCase());
    const buffer = this.buffer;
    let at = this.paramsStart;
    while (at < this.end) {
      const nameStart = skipLws(buffer, at + 1, this.end);
      const nameEnd = skipToken(buffer, nameStart, this.end);
      let valueStart = nameEnd;
      let valueEnd = nameEnd;
      at = skipLws(buffer, nameEnd, this.end);
      if (at < this.end && buffer[at] === EQUAL) {
        valueStart = skipLws(buffer, at + 1, this.end);
        valueEnd = genericValueEnd(buffer, valueStart, this.end);
        at = skipLws(buffer, valueEnd, this.end);
      }
      if (equalsIgnoreCase(buffer, nameStart, nameEnd, lower)) {
        return decodeText(buffer, valueStart, valueEnd);
      }
    }
    return undefined;
  }

  #addrSpec(start: number, stop: number, limit: number): boolean {
    const buffer = this.buffer;
    this.uriStart = start;
    this.uriEnd = trimEnd(buffer, start, stop);
    if (this.uriEnd === start) return false;
    for (let i = start; i < this.uriEnd; i++) if (isLws(buffer[i])) return false;
    return this.#params(this.uriEnd, limit);
  }

  #params(at: number, limit: number): boolean {
    const buffer = this.buffer;
    this.end = at;
    this.paramsStart = -1;
    for (;;) {
      at = skipLws(buffer, at, limit);
      if (at >= limit || buffer[at] === COMMA) {
        if (this.paramsStart < 0) this.paramsStart = this.end;
        return true;
      }
      if (buffer[at] !== SEMI) return false;
      if (this.paramsStart < 0) this.paramsStart = at;
      const nameStart = skipLws(buffer, at + 1, limit);
      const nameEnd = skipToken(buffer, nameStart, limit);
      if (nameEnd === nameStart) return false;
      let valueStart = nameEnd;
      let valueEnd = nameEnd;
      at = skipLws(buffer, nameEnd, limit);
      if (at < limit && buffer[at] === EQUAL) {
        valueStart = skipLws(buffer, at + 1, limit);
        valueEnd = genericValueEnd(buffer, valueStart, limit);
        if (valueEnd < 0) return false;
        at = valueEnd;
      }
      this.end = valueEnd;
      if (this.tagStart < 0 && equalsIgnoreCase(buffer, nameStart, nameEnd, TAG)) {
        this.tagStart = valueStart;
        this.tagEnd = valueEnd;
      }
    }
  }
}

/** The offset after the closing quote of the string that starts at `at`, or -1. */
function quotedEnd(buffer: Uint8Array, at: number, limit: number): number {
  for (at++; at < limit; at++) {
    if (buffer[at] === BACKSLASH) at++;
    else if (buffer[at] === DQUOTE) return at + 1;
  }
  return -1;
}

/** The end of a gen-value: quoted string, token or host; -1 for an open quote. */
function genericValueEnd(buffer: Uint8Array, at: number, limit: number): number {
  if (at < limit && buffer[at] === DQUOTE) return quotedEnd(buffer, at, limit);
  while (at < limit && buffer[at] !== SEMI && buffer[at] !== COMMA && !isLws(buffer[at])) at++;
  return at;
}

/** A value that was read from text, with its own copies. */
export interface NameAddr {
  readonly displayName: string;
  readonly uri: SipUri;
  /** The tag parameter; "" when there is none. */
  readonly tag: string;
}

/**
 * Reads one name-addr or addr-spec; undefined when it is malformed or its URI is.
 *
 * @example
 * ```ts
 * import { parseNameAddr } from "./name_addr.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const from = parseNameAddr('"A. G. Bell" <sip:agb@example.com;transport=tcp>;tag=a48s');
 * assertEquals(from?.displayName, "A. G. Bell");
 * assertEquals(from?.uri.host, "example.com");
 * assertEquals(from?.tag, "a48s");
 * ```
 */
export function parseNameAddr(text: string): NameAddr | undefined {
  const bytes = encodeText(text);
  const view = new NameAddrView();
  if (!view.parse(bytes, 0, bytes.length) || view.end !== bytes.length) return undefined;
  const uri = view.uri();
  return uri === undefined ? undefined : { displayName: view.displayName, uri, tag: view.tag };
}
