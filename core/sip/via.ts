/** One Via value with the offsets of its parts (RFC 3261 §20.42, §25.1 via-parm; RFC 3581 rport). */
import {
  BACKSLASH,
  COLON,
  COMMA,
  decodeText,
  DQUOTE,
  encodeText,
  EQUAL,
  equalsIgnoreCase,
  isLws,
  LBRACK,
  parseDecimal,
  RBRACK,
  SEMI,
  skipLws,
  skipToken,
  SLASH,
} from "./ascii.ts";
import {
  BRANCH_END,
  BRANCH_START,
  HOST_END,
  HOST_START,
  MADDR_END,
  MADDR_START,
  PORT,
  RECEIVED_END,
  RECEIVED_START,
  RPORT_END,
  RPORT_NAME_END,
  RPORT_START,
  SENT_BY_END,
  TRANSPORT_END,
  TRANSPORT_START,
  TTL,
  VIA_END,
  VIA_START,
} from "./kernel/assembly/layout.ts";

const SIP = encodeText("sip");
const BRANCH = encodeText("branch");
const RECEIVED = encodeText("received");
const RPORT = encodeText("rport");
const MADDR = encodeText("maddr");
const TTL_NAME = encodeText("ttl");
const COOKIE = encodeText("z9hg4bk");

const TRANSPORTS: readonly (readonly [string, Uint8Array])[] = ["UDP", "TCP", "TLS", "WS", "WSS", "SCTP"].map(
  (name) => [name, encodeText(name.toLowerCase())] as const,
);

/** Default ports (RFC 3261 §18.2.1 and §19.1.2; RFC 7118 §5.2 for WebSocket). */
const DEFAULT_PORTS: { readonly [transport: string]: number } = { TLS: 5061, WS: 80, WSS: 443 };

/** A reusable view of one Via value. Offsets are -1 where the part is absent; strings are made when asked for. */
export class ViaView {
  buffer: Uint8Array = new Uint8Array(0);
  /** The value, from "SIP" to the end of its last parameter. */
  start = 0;
  end = 0;
  transportStart = 0;
  transportEnd = 0;
  /** The host without brackets. */
  hostStart = 0;
  hostEnd = 0;
  /** The end of sent-by: where a first parameter could be inserted. */
  sentByEnd = 0;
  /** The port, or 0 where none is given. */
  explicitPort = 0;
  branchStart = -1;
  branchEnd = -1;
  receivedStart = -1;
  receivedEnd = -1;
  /** The end of the name "rport", or -1 without the parameter. */
  rportNameEnd = -1;
  /** The value of rport; equal when it has none. */
  rportStart = -1;
  rportEnd = -1;
  maddrStart = -1;
  maddrEnd = -1;
  /** 0 … 255, or -1 when absent or no number. */
  ttl = -1;
  #host: string | undefined;
  #branch: string | undefined;

  /**
   * Reads the value at `start`. False when it is not a Via value. `this.end` is then the end of the value, at
   * most `limit`; what follows is white space and a comma, or the end of the header.
   */
  parse(buffer: Uint8Array, start: number, limit: number): boolean {
    this.buffer = buffer;
    this.branchStart =
      this.branchEnd =
      this.receivedStart =
      this.receivedEnd =
        -1;
    this.rportNameEnd =
      this.rportStart =
      this.rportEnd =
      this.maddrStart =
      this.maddrEnd =
      this.ttl =
        -1;
    this.#host = this.#branch = undefined;
    this.start = start = skipLws(buffer, start, limit);

    let at = skipToken(buffer, start, limit);
    if (!equalsIgnoreCase(buffer, start, at, SIP)) return false;
    at = this.#slash(at, limit);
    if (at < 0) return false;
    const versionEnd = skipToken(buffer, at, limit);
    if (versionEnd === at) return false;
    at = this.#slash(versionEnd, limit);
    if (at < 0) return false;
    this.transportStart = at;
    at = this.transportEnd = skipToken(buffer, at, limit);
    if (at === this.transportStart || at >= limit || !isLws(buffer[at])) return false;
    at = this.#sentBy(skipLws(buffer, at, limit), limit);
    return at >= 0 && this.#params(at, limit);
  }

  /** Takes over what the kernel found of a value, in words of its layout. */
  take(buffer: Uint8Array, found: Int32Array): void {
    this.buffer = buffer;
    this.#host = this.#branch = undefined;
    this.start = found[VIA_START / 4];
    this.end = found[VIA_END / 4];
    this.transportStart = found[TRANSPORT_START / 4];
    this.transportEnd = found[TRANSPORT_END / 4];
    this.hostStart = found[HOST_START / 4];
    this.hostEnd = found[HOST_END / 4];
    this.sentByEnd = found[SENT_BY_END / 4];
    this.explicitPort = found[PORT / 4];
    this.branchStart = found[BRANCH_START / 4];
    this.branchEnd = found[BRANCH_END / 4];
    this.receivedStart = found[RECEIVED_START / 4];
    this.receivedEnd = found[RECEIVED_END / 4];
    this.rportNameEnd = found[RPORT_NAME_END / 4];
    this.rportStart = found[RPORT_START / 4];
    this.rportEnd = found[RPORT_END / 4];
    this.maddrStart = found[MADDR_START / 4];
    this.maddrEnd = found[MADDR_END / 4];
    this.ttl = found[TTL / 4];
  }

  /** The transport in upper case. */
  get transport(): string {
    for (let i = 0; i < TRANSPORTS.length; i++) {
      if (equalsIgnoreCase(this.buffer, this.transportStart, this.transportEnd, TRANSPORTS[i][1])) {
        return TRANSPORTS[i][0];
      }
    }
    return decodeText(this.buffer, this.transportStart, this.transportEnd).toUpperCase();
  }

  /** The host of sent-by, without brackets. */
  get host(): string {
    return this.#host ??= decodeText(this.buffer, this.hostStart, this.hostEnd);
  }

  /** The port of sent-by; the default of the transport where none is given. */
  get port(): number {
    return this.explicitPort || (DEFAULT_PORTS[this.transport] ?? 5060);
  }

  /** The branch; "" when absent. */
  get branch(): string {
    return this.#branch ??= this.branchStart < 0
      ? ""
      : decodeText(this.buffer, this.branchStart, this.branchEnd);
  }

  /** Whether the branch starts with z9hG4bK, in any case: unique by RFC 3261 §8.1.1.7. */
  get hasMagicCookie(): boolean {
    return this.branchStart >= 0 && this.branchEnd - this.branchStart > 7 &&
      equalsIgnoreCase(this.buffer, this.branchStart, this.branchStart + 7, COOKIE);
  }

  /** The received address without brackets, or undefined. */
  get received(): string | undefined {
    return this.receivedStart < 0 ? undefined : this.#unbracketed(this.receivedStart, this.receivedEnd);
  }

  /** undefined without the parameter, "" where it asks for a value, else the port (RFC 3581 §3). A bad one counts as "". */
  get rport(): number | "" | undefined {
    if (this.rportNameEnd < 0) return undefined;
    const port = parseDecimal(this.buffer, this.rportStart, this.rportEnd, 65535);
    return port < 0 ? "" : port;
  }

  /** The multicast address, or undefined. */
  get maddr(): string | undefined {
    return this.maddrStart < 0 ? undefined : this.#unbracketed(this.maddrStart, this.maddrEnd);
  }

  #unbracketed(start: number, end: number): string {
    const bracketed = end - start >= 2 && this.buffer[start] === LBRACK && this.buffer[end - 1] === RBRACK;
    return bracketed ? decodeText(this.buffer, start + 1, end - 1) : decodeText(this.buffer, start, end);
  }

  #slash(at: number, limit: number): number {
    at = skipLws(this.buffer, at, limit);
    return at < limit && this.buffer[at] === SLASH ? skipLws(this.buffer, at + 1, limit) : -1;
  }

  #sentBy(at: number, limit: number): number {
    const buffer = this.buffer;
    if (at < limit && buffer[at] === LBRACK) {
      const start = at + 1;
      at = start;
      while (at < limit && isIpv6Byte(buffer[at])) at++;
      if (at === start || at >= limit || buffer[at] !== RBRACK) return -1;
      this.hostStart = start;
      this.hostEnd = at++;
    } else {
      this.hostStart = at;
      at = this.hostEnd = skipToken(buffer, at, limit);
      if (this.hostStart === this.hostEnd) return -1;
    }
    this.explicitPort = 0;
    this.sentByEnd = at;
    at = skipLws(buffer, at, limit);
    if (at < limit && buffer[at] === COLON) {
      const portStart = skipLws(buffer, at + 1, limit);
      at = skipToken(buffer, portStart, limit);
      this.explicitPort = parseDecimal(buffer, portStart, at, 65535);
      if (this.explicitPort <= 0) return -1;
      this.sentByEnd = at;
    }
    return at;
  }

  #params(at: number, limit: number): boolean {
    const buffer = this.buffer;
    this.end = this.sentByEnd;
    for (;;) {
      at = skipLws(buffer, at, limit);
      if (at >= limit || buffer[at] === COMMA) return true;
      if (buffer[at] !== SEMI) return false;
      const nameStart = skipLws(buffer, at + 1, limit);
      const nameEnd = skipToken(buffer, nameStart, limit);
      if (nameEnd === nameStart) return false;
      let valueStart = nameEnd;
      let valueEnd = nameEnd;
      at = skipLws(buffer, nameEnd, limit);
      if (at < limit && buffer[at] === EQUAL) {
        valueStart = skipLws(buffer, at + 1, limit);
        valueEnd = paramValueEnd(buffer, valueStart, limit);
        if (valueEnd < 0) return false;
        at = valueEnd;
      }
      this.end = valueEnd;
      this.#keep(nameStart, nameEnd, valueStart, valueEnd);
    }
  }

  #keep(nameStart: number, nameEnd: number, start: number, end: number): void {
    const buffer = this.buffer;
    switch (nameEnd - nameStart) {
      case 3:
        if (equalsIgnoreCase(buffer, nameStart, nameEnd, TTL_NAME)) {
          this.ttl = parseDecimal(buffer, start, end, 255);
        }
        break;
      case 5:
        if (equalsIgnoreCase(buffer, nameStart, nameEnd, RPORT)) {
          this.rportNameEnd = nameEnd;
          this.rportStart = start;
          this.rportEnd = end;
        } else if (equalsIgnoreCase(buffer, nameStart, nameEnd, MADDR)) {
          this.maddrStart = start;
          this.maddrEnd = end;
        }
        break;
      case 6:
        if (this.branchStart < 0 && equalsIgnoreCase(buffer, nameStart, nameEnd, BRANCH)) {
          this.branchStart = start;
          this.branchEnd = end;
        }
        break;
      case 8:
        if (equalsIgnoreCase(buffer, nameStart, nameEnd, RECEIVED)) {
          this.receivedStart = start;
          this.receivedEnd = end;
        }
        break;
      default:
        break;
    }
  }
}

function isIpv6Byte(c: number): boolean {
  return c === COLON || c === 0x2e || c === 0x25 || (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) ||
    (c >= 0x61 && c <= 0x7a);
}

/** The end of a parameter's value (token, host or quoted string), or -1 when it is none. */
function paramValueEnd(buffer: Uint8Array, at: number, limit: number): number {
  if (at < limit && buffer[at] === DQUOTE) {
    for (at++; at < limit; at++) {
      if (buffer[at] === BACKSLASH) at++;
      else if (buffer[at] === DQUOTE) return at + 1;
    }
    return -1;
  }
  // Wider than a token: received and maddr hold IPv6 addresses, with brackets or without.
  while (at < limit && buffer[at] !== SEMI && buffer[at] !== COMMA && !isLws(buffer[at])) at++;
  return at;
}
