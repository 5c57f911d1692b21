/** Who a request is from, as authentication sees it: docs/PROTOCOL.md §4, "Who is challenged". */
import { isUtf8, parseUri, type SipMessage, UriView } from "../mod.ts";

/** Longest user name that can be asked for, in bytes of UTF-8 (docs/PROTOCOL.md §9). */
export const MAX_USERNAME_BYTES = 256;

const EMPTY = new Uint8Array(0);
const PERCENT = 0x25;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The claimed sender of a request. */
export interface Claim {
  /** The unescaped user part of From. */
  readonly user: string;
  /** The host of From in lower case; "" when the URI has none (tel). */
  readonly host: string;
}

/** Why nobody can have this user name, or undefined. */
export function usernameFault(name: string): string | undefined {
  const bytes = encoder.encode(name);
  return usernameFaultAt(bytes, 0, bytes.length);
}

/** {@linkcode usernameFault} of the name in buffer[start, end), UTF-8. */
export function usernameFaultAt(buffer: Uint8Array, start: number, end: number): string | undefined {
  for (let i = start; i < end; i++) {
    if (buffer[i] < 0x20 || buffer[i] === 0x7f) return "has a control character";
  }
  return end - start > MAX_USERNAME_BYTES ? "is too long" : undefined;
}

const NO_URI = "From has no readable URI (characters beyond ASCII must be escaped)";
const NO_TEXT = "the user of From is not text";

/**
 * The sender that From claims, as offsets; reusable, and no garbage for an ordinary sip URI. It refers to the bytes of
 * the message: read it again when the message has become a copy.
 */
export class ClaimView implements Claim {
  /** The user and the host of From in `message.buffer`, escapes kept; equal when there is none. */
  userStart = 0;
  userEnd = 0;
  hostStart = 0;
  hostEnd = 0;
  /** Whether the user has no %-escape, so that its bytes are the name. */
  plain = true;
  /** The name, unescaped: nameBuffer[nameStart, nameEnd), UTF-8. */
  nameBuffer: Uint8Array = EMPTY;
  nameStart = 0;
  nameEnd = 0;
  /** Why nobody can be authenticated under the name; the request is well-formed all the same (RFC 4475 §3.1.1.4). */
  nameFault: string | undefined;
  readonly #uri = new UriView();
  #buffer: Uint8Array = EMPTY;
  #user: string | undefined;
  /** The host as text: nearly always that of the request before. */
  #host = "";
  #hostBytes: Uint8Array = EMPTY;

  /**
   * Reads the sender.
   *
   * @returns what is wrong with it as a reason phrase
   */
  read(message: SipMessage): string | undefined {
    const { from } = message;
    this.#buffer = message.buffer;
    this.#user = undefined;
    this.plain = true;
    this.nameFault = undefined;
    if (from.uriEnd <= 0) return NO_URI;
    const uri = this.#uri;
    if (!uri.parse(from.buffer, from.uriStart, from.uriEnd)) {
      // Other schemes have neither user nor host.
      if (parseUri(from.uriText) === undefined) return NO_URI;
      this.userStart =
        this.userEnd =
        this.hostStart =
        this.hostEnd =
          from.uriStart;
    } else {
      this.hostStart = uri.hostStart;
      this.hostEnd = uri.hostEnd;
      this.userStart = uri.userStart < 0 ? uri.hostStart : uri.userStart;
      this.userEnd = uri.userStart < 0 ? uri.hostStart : uri.userEnd;
      this.plain = !uri.userHasEscapes;
    }
    this.nameBuffer = this.#buffer;
    this.nameStart = this.userStart;
    this.nameEnd = this.userEnd;
    if (!this.plain) {
      this.#unescape();
      if (!isUtf8(this.nameBuffer, 0, this.nameEnd)) return NO_TEXT;
    }
    const fault = usernameFaultAt(this.nameBuffer, this.nameStart, this.nameEnd);
    if (fault !== undefined) this.nameFault = `the user of From ${fault}`;
    return undefined;
  }

  /** Whether the name is these bytes. */
  isUser(buffer: Uint8Array, start: number, end: number): boolean {
    const { nameBuffer, nameStart, nameEnd } = this;
    if (nameEnd - nameStart !== end - start) return false;
    for (let i = nameStart; i < nameEnd; i++) if (nameBuffer[i] !== buffer[start++]) return false;
    return true;
  }

  /** The unescaped user part. */
  get user(): string {
    return this.#user ??= decoder.decode(this.nameBuffer.subarray(this.nameStart, this.nameEnd));
  }

  /** The host in lower case; "" when the URI has none (tel). */
  get host(): string {
    const bytes = this.#hostBytes;
    const start = this.hostStart;
    let same = this.hostEnd - start === bytes.length;
    for (let i = 0; same && i < bytes.length; i++) same = this.#buffer[start + i] === bytes[i];
    if (!same) {
      this.#hostBytes = this.#buffer.slice(start, this.hostEnd);
      this.#host = decoder.decode(this.#hostBytes).toLowerCase();
    }
    return this.#host;
  }

  /** Takes the escapes out, into an array of its own. */
  #unescape(): void {
    const bytes = new Uint8Array(this.userEnd - this.userStart);
    let length = 0;
    for (let i = this.userStart; i < this.userEnd; i++) {
      let byte = this.#buffer[i];
      if (byte === PERCENT) {
        byte = digit(this.#buffer[i + 1]) * 16 + digit(this.#buffer[i + 2]);
        i += 2;
      }
      bytes[length++] = byte;
    }
    this.nameBuffer = bytes;
    this.nameStart = 0;
    this.nameEnd = length;
  }
}

/** Value of a hexadecimal digit. */
function digit(c: number): number {
  return c < 0x3a ? c - 0x30 : (c | 0x20) - 0x57;
}
