/**
 * The keys by which messages find their transaction (RFC 3261 §17.1.3 and §17.2.3), as a keyed hash of 64 bits over the parts of
 * the message where they stand. The first word tells the sort of key: responses are matched by branch and CSeq method;
 * requests by branch, sent-by and method; requests without the magic cookie by the fields that RFC 2543 compares.
 *
 * The hash stands for the key; the bytes are not kept and not compared. Two different keys have one hash with a probability of
 * 2^-64, and nobody can look for such a pair, since the hash has a secret key drawn at random for each layer and neither it nor
 * a hash is ever seen outside. With 2^18 live transactions and 10,000 messages a second a false match is to be expected once in
 * some 200 years; one message goes astray then, as if the network had lost it.
 */
import { CR, encodeTextInto, LF, skipLws } from "./ascii.ts";
import { HeaderId } from "./header.ts";
import type { KeyedHash } from "./keyed_hash.ts";
import type { SipMessage } from "./message.ts";
import { methodNumber, OTHER_METHOD } from "./method.ts";
import type { ViaView } from "./via.ts";

const CLIENT = 1;
const SERVER = 2;
const RFC_2543 = 3;

/** The key of one message at a time. */
export class TransactionKey {
  readonly #hash: KeyedHash;
  /** For methods without a number. */
  #scratch = new Uint8Array(64);

  constructor(hash: KeyedHash) {
    this.#hash = hash;
  }

  /** The two words of the hash, signed. */
  get low(): number {
    return this.#hash.low;
  }
  get high(): number {
    return this.#hash.high;
  }

  /** The key of a client transaction (§17.1.3). False if the Via has no branch. */
  ofClient(via: ViaView, method: string): boolean {
    if (via.branchStart < 0 || via.branchEnd === via.branchStart) return false;
    this.ofBranch(via.buffer, via.branchStart, via.branchEnd, method);
    return true;
  }

  /** The same, of the branch buffer[start, end), which is not empty. */
  ofBranch(buffer: Uint8Array, start: number, end: number, method: string): void {
    this.#begin(CLIENT, method, 0);
    this.#hash.part(buffer, start, end);
    this.#hash.end();
  }

  /**
   * The key of a server transaction (§17.2.3): `method` is that of the transaction sought, thus INVITE for an ACK.
   *
   * @returns whether it is a key by branch; else use {@linkcode ofOldServer}
   */
  ofServer(via: ViaView, method: string): boolean {
    if (!via.hasMagicCookie) return false;
    const hash = this.#hash;
    this.#begin(SERVER, method, via.port);
    // Host names are equal in any case; branches are compared as they are, as everybody writes them.
    hash.partIgnoringCase(via.buffer, via.hostStart, via.hostEnd);
    hash.part(via.buffer, via.branchStart, via.branchEnd);
    hash.end();
    return true;
  }

  /** The key of a server transaction by the fields that RFC 2543 compares, with or without the To tag of the message. */
  ofOldServer(message: SipMessage, via: ViaView, method: string, withToTag: boolean): void {
    const hash = this.#hash;
    const { buffer, from, to } = message;
    this.#begin(RFC_2543, method, 0);
    hash.part(buffer, message.requestUriStart, message.requestUriEnd);
    // An offset is -1 where there is no tag.
    hash.part(buffer, Math.max(from.tagStart, 0), Math.max(from.tagEnd, 0));
    if (withToTag) hash.part(buffer, Math.max(to.tagStart, 0), Math.max(to.tagEnd, 0));
    else hash.part(buffer, 0, 0);
    const callId = message.first(HeaderId.CALL_ID);
    if (callId >= 0) hash.part(buffer, message.valueStart(callId), message.valueEnd(callId));
    hash.word(message.cseqNumber);
    hash.part(buffer, via.start, via.end);
    hash.end();
  }

  #begin(sort: number, method: string, port: number): void {
    const number = methodNumber(method);
    this.#hash.begin();
    this.#hash.word((port << 16) | (number << 8) | sort);
    if (number !== OTHER_METHOD) return;
    if (method.length * 3 > this.#scratch.length) this.#scratch = new Uint8Array(method.length * 3);
    this.#hash.part(this.#scratch, 0, encodeTextInto(method, this.#scratch, 0));
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
