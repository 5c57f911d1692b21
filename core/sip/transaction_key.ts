/**
 * The keys by which messages find their transaction (RFC 3261 §17.1.3 and §17.2.3), written into one reused buffer and hashed there.
 * The first byte tells the sort of key: responses are matched by branch and CSeq method; requests by branch, sent-by and method;
 * requests without the magic cookie by the fields that RFC 2543 compares.
 */
import { CR, encodeTextInto, LF, skipLws } from "./ascii.ts";
import { copyBytes } from "./copy.ts";
import { HeaderId } from "./header.ts";
import type { KeyedHash } from "./keyed_hash.ts";
import type { SipMessage } from "./message.ts";
import type { ViaView } from "./via.ts";

const CLIENT = 0x43;
const SERVER = 0x53;
const OLD = 0x4f;

/** The key of one message at a time. */
export class TransactionKey {
  readonly bytes = new Uint8Array(72_000);
  length = 0;
  hash = 0;
  readonly #hash: KeyedHash;

  constructor(hash: KeyedHash) {
    this.#hash = hash;
  }

  /** The key of a client transaction (§17.1.3). False if the Via has no branch. */
  ofClient(via: ViaView, method: string): boolean {
    if (via.branchStart < 0 || via.branchEnd === via.branchStart) return false;
    const at = this.#begin(CLIENT, method);
    this.#end(copyBytes(via.buffer, via.branchStart, via.branchEnd, this.bytes, at));
    return true;
  }

  /**
   * The key of a server transaction (§17.2.3): `method` is that of the transaction sought, thus INVITE for an ACK.
   *
   * @returns "branch", or "old" if the fields of RFC 2543 were taken, all but the To tags
   */
  ofServer(message: SipMessage, via: ViaView, method: string): "branch" | "old" {
    const bytes = this.bytes;
    if (!via.hasMagicCookie) {
      this.#ofOld(message, via, method);
      return "old";
    }
    let at = this.#begin(SERVER, method);
    // Host names are equal in any case; branches are compared as they are, as everybody writes them.
    for (let i = via.hostStart; i < via.hostEnd; i++) {
      const c = via.buffer[i];
      bytes[at++] = c >= 0x41 && c <= 0x5a ? c | 0x20 : c;
    }
    const port = via.port;
    bytes[at++] = 0;
    bytes[at++] = port >>> 8;
    bytes[at++] = port & 0xff;
    this.#end(copyBytes(via.buffer, via.branchStart, via.branchEnd, bytes, at));
    return "branch";
  }

  #ofOld(message: SipMessage, via: ViaView, method: string): void {
    const { bytes } = this;
    const { buffer } = message;
    let at = this.#begin(OLD, method);
    at = copyBytes(buffer, message.requestUriStart, message.requestUriEnd, bytes, at);
    bytes[at++] = 0;
    at += encodeTextInto(message.fromTag, bytes, at);
    bytes[at++] = 0;
    const callId = message.first(HeaderId.CALL_ID);
    if (callId >= 0) at = copyBytes(buffer, message.valueStart(callId), message.valueEnd(callId), bytes, at);
    bytes[at++] = 0;
    at += encodeTextInto(String(message.cseqNumber), bytes, at);
    bytes[at++] = 0;
    this.#end(copyBytes(buffer, via.start, via.end, bytes, at));
  }

  #begin(sort: number, method: string): number {
    this.bytes[0] = sort;
    const at = 1 + encodeTextInto(method, this.bytes, 1);
    this.bytes[at] = 0;
    return at + 1;
  }

  #end(length: number): void {
    this.length = length;
    this.hash = this.#hash.hash(this.bytes, 0, length);
  }
}

/**
 * Reads the topmost Via of a request that this element has written itself, with Via as the first header: quicker than
 * a scan of all headers.
 *
 * @returns false if the first header is another or malformed: the whole message must be parsed then
 */
export function readLeadingVia(buffer: Uint8Array, start: number, end: number, via: ViaView): boolean {
  let at = start;
  while (at < end && buffer[at] !== LF) at++;
  at++;
  const long = (buffer[at] | 0x20) === 0x76 && (buffer[at + 1] | 0x20) === 0x69 &&
    (buffer[at + 2] | 0x20) === 0x61;
  at += long ? 3 : (buffer[at] | 0x20) === 0x76 ? 1 : end;
  if (at >= end || buffer[at] !== 0x3a) return false;
  let stop = ++at;
  while (stop < end && buffer[stop] !== LF) stop++;
  if (stop + 1 >= end || buffer[stop + 1] === 0x20 || buffer[stop + 1] === 0x09) return false;
  if (buffer[stop - 1] === CR) stop--;
  return via.parse(buffer, skipLws(buffer, at, stop), stop);
}
