/** A sip or sips URI (RFC 3261 §19.1.1) as offsets into the bytes that it stands in. */
import { COLON, EQUAL, equalsIgnoreCase, LBRACK, RBRACK, SEMI } from "./ascii.ts";

const AT = 0x40;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const AMPERSAND = 0x26;
const MAX_PORT = 65535;
const PORT_DIGITS = 5;

/** Bits of {@linkcode CLASS}: where a byte may stand unescaped. As in uri.ts, whose regular expressions these are. */
const USER = 1;
const PASSWORD = 2;
const PARAM = 4;
const HEADER = 8;
const HOST = 16;
const IPV6 = 32;
const HEX = 64;
const HEADER_NAME = 128;
const CLASS = new Uint8Array(256);
const ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UNRESERVED = ALPHANUMERIC + "-_.!~*'()";
mark(UNRESERVED + "&=+$,;?/", USER);
mark(UNRESERVED + "&=+$,", PASSWORD);
mark(UNRESERVED + "[]/:&+$", PARAM);
mark(UNRESERVED + "[]/:+$", HEADER_NAME);
mark(UNRESERVED + "[]/?:+$", HEADER);
mark(ALPHANUMERIC + "._-", HOST);
mark("0123456789ABCDEFabcdef:.", IPV6);
mark("0123456789ABCDEFabcdef", HEX);

function mark(characters: string, bit: number): void {
  for (const c of characters) CLASS[c.charCodeAt(0)] |= bit;
}

/**
 * Reads one URI after the other; reusable, allocates nothing. Accepts what `parseUri` accepts of the schemes sip and
 * sips; other schemes are not read.
 *
 * @example
 * ```ts
 * import { UriView } from "./uri_view.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("sip:alice:secret@[2001:db8::10]:5070;transport=TCP?subject=x");
 * const text = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end));
 * const uri = new UriView();
 * assert(uri.parse(bytes, 0, bytes.length));
 * assertEquals([uri.scheme, text(uri.userStart, uri.userEnd), uri.port], ["sip", "alice", 5070]);
 * assertEquals(text(uri.hostStart, uri.hostEnd), "2001:db8::10");
 * assert(uri.param(new TextEncoder().encode("transport")));
 * assertEquals(text(uri.valueStart, uri.valueEnd), "TCP");
 * assert(!uri.parse(bytes, 0, 4));
 * ```
 */
export class UriView {
  buffer: Uint8Array = new Uint8Array(0);
  /** "" when the last bytes were no such URI. */
  scheme: "sip" | "sips" | "" = "";
  /** The user without password, escapes kept; -1 when there is no "@". */
  userStart = -1;
  userEnd = -1;
  /** Whether the user holds %-escapes, so that its bytes are not its name. */
  userHasEscapes = false;
  /** The host, an IPv6 address without its brackets. */
  hostStart = 0;
  hostEnd = 0;
  /** 0 when none is given; {@linkcode hasPort} tells it from a port 0 that is. */
  port = 0;
  hasPort = false;
  /** The parameters, from their first ";" on; equal when there are none. */
  paramsStart = 0;
  paramsEnd = 0;
  /** Whether %-escapes stand anywhere in the URI. */
  hasEscapes = false;
  /** What {@linkcode param} found, escapes kept: empty for a parameter without a value. */
  valueStart = -1;
  valueEnd = -1;

  /** Reads the URI that buffer[start, end) is. False, with nothing of use in the view, when it is none. */
  parse(buffer: Uint8Array, start: number, end: number): boolean {
    this.buffer = buffer;
    this.scheme = "";
    this.userStart =
      this.userEnd =
      this.valueStart =
      this.valueEnd =
        -1;
    this.userHasEscapes = this.hasEscapes = this.hasPort = false;
    this.port = 0;
    const scheme = schemeAt(buffer, start, end);
    if (scheme === "") return false;
    let at = start + scheme.length + 1;
    // A user may hold ";" and "?", so look for the "@" first; it is not allowed unescaped anywhere else.
    let mark = at;
    while (mark < end && buffer[mark] !== AT) mark++;
    if (mark < end) {
      if (!this.#userinfo(at, mark)) return false;
      at = mark + 1;
    }
    at = this.#hostPort(at, end);
    if (at < 0) return false;
    this.paramsStart = at;
    while (at < end && buffer[at] === SEMI) {
      at = this.#pair(at + 1, end, PARAM, PARAM, false);
      if (at < 0) return false;
    }
    this.paramsEnd = at;
    if (at < end) {
      if (buffer[at] !== QUESTION) return false;
      do {
        at = this.#pair(at + 1, end, HEADER_NAME, HEADER, true);
        if (at < 0) return false;
      } while (at < end && buffer[at] === AMPERSAND);
      if (at < end) return false;
    }
    this.scheme = scheme;
    return true;
  }

  /**
   * Looks for the first parameter of this name; its value is then in valueStart and valueEnd.
   *
   * @param lowerName in lower case
   */
  param(lowerName: Uint8Array): boolean {
    const { buffer, paramsEnd } = this;
    for (let at = this.paramsStart; at < paramsEnd;) {
      const nameStart = ++at;
      while (at < paramsEnd && buffer[at] !== SEMI && buffer[at] !== EQUAL) at++;
      const nameEnd = at;
      let valueStart = at;
      if (at < paramsEnd && buffer[at] === EQUAL) {
        valueStart = ++at;
        while (at < paramsEnd && buffer[at] !== SEMI) at++;
      }
      if (equalsIgnoreCase(buffer, nameStart, nameEnd, lowerName)) {
        this.valueStart = valueStart;
        this.valueEnd = at;
        return true;
      }
    }
    this.valueStart = this.valueEnd = -1;
    return false;
  }

  #userinfo(start: number, end: number): boolean {
    const { buffer } = this;
    let userEnd = start;
    while (userEnd < end && buffer[userEnd] !== COLON) userEnd++;
    if (userEnd === start || this.#run(start, userEnd, USER) !== userEnd) return false;
    this.userStart = start;
    this.userEnd = userEnd;
    this.userHasEscapes = this.hasEscapes;
    return userEnd === end || this.#run(userEnd + 1, end, PASSWORD) === end;
  }

  /** Reads host and port. The offset behind them, or -1. */
  #hostPort(at: number, end: number): number {
    const { buffer } = this;
    if (at < end && buffer[at] === LBRACK) {
      this.hostStart = ++at;
      let colon = false;
      for (; at < end && (CLASS[buffer[at]] & IPV6) !== 0; at++) colon ||= buffer[at] === COLON;
      if (!colon || at === end || buffer[at] !== RBRACK) return -1;
      this.hostEnd = at++;
    } else {
      this.hostStart = at;
      while (at < end && (CLASS[buffer[at]] & HOST) !== 0) at++;
      if (at === this.hostStart) return -1;
      this.hostEnd = at;
    }
    if (at === end || buffer[at] !== COLON) return at;
    const digits = ++at;
    let port = 0;
    for (; at < end && buffer[at] >= 0x30 && buffer[at] <= 0x39; at++) port = port * 10 + buffer[at] - 0x30;
    if (at === digits || at - digits > PORT_DIGITS || port > MAX_PORT) return -1;
    this.port = port;
    this.hasPort = true;
    return at;
  }

  /** Reads `name`, `name=value` or, where a value has to be there and may be empty, `name=`. The offset behind, or -1. */
  #pair(at: number, end: number, nameBit: number, valueBit: number, header: boolean): number {
    const { buffer } = this;
    const nameEnd = this.#run(at, end, nameBit);
    if (nameEnd <= at) return -1;
    if (nameEnd === end || buffer[nameEnd] !== EQUAL) return header ? -1 : nameEnd;
    const valueEnd = this.#run(nameEnd + 1, end, valueBit);
    return valueEnd < 0 || (!header && valueEnd === nameEnd + 1) ? -1 : valueEnd;
  }

  /** The end of the run of bytes and %-escapes of a class; -1 at a broken escape. */
  #run(at: number, end: number, bit: number): number {
    const { buffer } = this;
    for (; at < end; at++) {
      const c = buffer[at];
      if ((CLASS[c] & bit) !== 0) continue;
      if (c !== PERCENT) return at;
      if (at + 2 >= end || (CLASS[buffer[at + 1]] & CLASS[buffer[at + 2]] & HEX) === 0) return -1;
      this.hasEscapes = true;
      at += 2;
    }
    return at;
  }
}

function schemeAt(buffer: Uint8Array, start: number, end: number): "sip" | "sips" | "" {
  if (end - start < 5 || (buffer[start] | 0x20) !== 0x73 || (buffer[start + 1] | 0x20) !== 0x69) return "";
  if ((buffer[start + 2] | 0x20) !== 0x70) return "";
  if (buffer[start + 3] === COLON) return "sip";
  return (buffer[start + 3] | 0x20) === 0x73 && buffer[start + 4] === COLON ? "sips" : "";
}
