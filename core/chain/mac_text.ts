/**
 * The texts that the MACs of the scheme are made over (docs/PROTOCOL.md §4, §5, §7), built from the bytes of a message.
 * What `mac.ts` makes of strings is the same text.
 */
import { writeHex } from "../hash/hex.ts";
import { encodeText, LF } from "../sip/ascii.ts";
import { HeaderId } from "../sip/header.ts";
import type { SipMessage } from "../sip/message.ts";
import { SEQ_NONE } from "./pc_answer_view.ts";

const RESPONSE = encodeText("PC1 response\n");
const RENEW = encodeText("PC1 renew\n");
const CHALLENGE = encodeText("PC1 challenge\n");
const ACCEPTED = encodeText("PC1 accepted\n");
/** Digits of the longest number: a CSeq number, below 2^31. */
const MAX_DIGITS = 10;

/** One text after the other; reusable, and no garbage while texts are as long as those before. The text is buffer[0, length). */
export class MacText {
  buffer: Uint8Array = new Uint8Array(1024);
  length = 0;

  /** @param opaque 16 hexadecimal digits in lower case */
  constructor(private readonly opaque: Uint8Array) {}

  /**
   * For `response` of an answer, docs/PROTOCOL.md §5.
   *
   * @param message the request that carries the answer; its Request-URI is the answer's uri
   * @param seq j, or {@linkcode SEQ_NONE}
   */
  response(message: SipMessage, seq: number): void {
    this.#begin(seq === SEQ_NONE ? RENEW : RESPONSE);
    this.text(message.method);
    this.#lineEnd();
    this.bytes(message.buffer, message.requestUriStart, message.requestUriEnd);
    this.#lineEnd();
    if (seq !== SEQ_NONE) {
      this.number(seq);
      this.#lineEnd();
    }
    this.#request(message);
  }

  /** Adds what `qop=auth-int` adds, docs/PROTOCOL.md §5. @param digest H(body) */
  bodyDigest(digest: Uint8Array): void {
    this.#lineEnd();
    this.hex(digest, digest.length);
  }

  /** For `auth` of a guided challenge, docs/PROTOCOL.md §4. @param message the request that is being answered */
  challenge(message: SipMessage, seq: number): void {
    this.#begin(CHALLENGE);
    this.number(seq);
    this.#lineEnd();
    this.#request(message);
  }

  /**
   * For `rspauth`, docs/PROTOCOL.md §7. Both trailing LFs always stand.
   *
   * @param message the request whose token was accepted, or a response to it
   * @param nextNonce N of the credential that is announced
   * @param nextChain its length; 0 when none is announced
   */
  accepted(message: SipMessage, seq: number, nextNonce: Uint8Array, nextChain: number): void {
    this.#begin(ACCEPTED);
    this.number(seq);
    this.#lineEnd();
    this.#request(message);
    this.#lineEnd();
    if (nextChain > 0) this.hex(nextNonce, nextNonce.length);
    this.#lineEnd();
    if (nextChain > 0) this.number(nextChain);
  }

  /** Adds the bytes from[start, end). */
  bytes(from: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    const { buffer } = this;
    let { length } = this;
    for (let i = start; i < end; i++) buffer[length++] = from[i];
    this.length = length;
  }

  /** Adds a text as UTF-8. */
  text(text: string): void {
    this.#reserve(text.length);
    const { buffer, length } = this;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        const bytes = encodeText(text);
        return this.bytes(bytes, 0, bytes.length);
      }
      buffer[length + i] = code;
    }
    this.length = length + text.length;
  }

  /** Adds a whole number from 0 to 2^31 - 1 in canonical decimal. */
  number(value: number): void {
    this.#reserve(MAX_DIGITS);
    let digits = 1;
    for (let rest = value; rest > 9; rest = (rest / 10) | 0) digits++;
    const end = this.length + digits;
    for (let at = end; at > this.length; value = (value / 10) | 0) this.buffer[--at] = 0x30 + value % 10;
    this.length = end;
  }

  /** Adds from[0, count) as lower-case hexadecimal. */
  hex(from: Uint8Array, count: number): void {
    this.#reserve(2 * count);
    this.length = writeHex(from, count, this.buffer, this.length);
  }

  #begin(label: Uint8Array): void {
    this.length = 0;
    this.bytes(label, 0, label.length);
    this.bytes(this.opaque, 0, this.opaque.length);
    this.#lineEnd();
  }

  #request(message: SipMessage): void {
    this.#callId(message);
    this.#lineEnd();
    this.number(message.cseqNumber);
  }

  /**
   * A Call-ID goes in as the UTF-8 of its text. Bytes that are no UTF-8 are U+FFFD there, so all that is not ASCII is
   * decoded first.
   */
  #callId(message: SipMessage): void {
    const line = message.first(HeaderId.CALL_ID);
    if (line < 0) return;
    const { buffer } = message;
    const start = message.valueStart(line);
    const end = message.valueEnd(line);
    for (let i = start; i < end; i++) if (buffer[i] > 0x7f) return this.text(message.callId);
    this.bytes(buffer, start, end);
  }

  #lineEnd(): void {
    this.#reserve(1);
    this.buffer[this.length++] = LF;
  }

  #reserve(room: number): void {
    if (this.length + room <= this.buffer.length) return;
    const larger = new Uint8Array(2 * (this.length + room));
    larger.set(this.buffer);
    this.buffer = larger;
  }
}
