/**
 * The branch parameter of the Vias that this proxy writes: RFC 3261 §16.6 step 8, §16.11, and RFC 5393 §4.2.
 *
 *     z9hG4bK pppppppppppp rrrrrrrr llllllll cccccccc     a request with a transaction
 *     z9hG4bK hhhhhhhhhhhhhhhh 0000 llllllll 00000000     one without
 *
 * p is drawn for each run, r for each request, c counts; h is a keyed hash of the Via that the request came with, so that a
 * request that is sent again, its ACK and its CANCEL get the same branch without any memory. l is a keyed hash of what the
 * proxy routes by, as it came: a request that comes back with the same is in a loop.
 */
import { HeaderId, KeyedHash, type Random, type SipMessage, toHex, ViaView, writeHexWord } from "../mod.ts";
import type { LocalNames } from "./local_names.ts";

const COOKIE_LENGTH = 7;
const PREFIX_BYTES = 6;
/** Bytes of a branch, and where the hash of the routing stands in it. */
export const BRANCH_LENGTH = 7 + 12 + 8 + 8 + 8;
const LOOP_AT = 7 + 12 + 8;
/** What is hashed: no two sorts of hash under the same key are ever the same. */
const ROUTING = 0x10000001;
const STATELESS = 0x10000002;
const ZERO = 0x30;

/** Writes and recognises branches. */
export class BranchIds {
  readonly #hash: KeyedHash;
  /** What all branches of requests with a transaction begin with. */
  readonly uniqueStart: string;
  /** What those of requests without begin with. */
  readonly statelessStart = "z9hG4bK";
  readonly #via = new ViaView();
  readonly #digits = new Uint8Array(BRANCH_LENGTH);
  #count = 0;

  /** @param key 8 secret bytes; proxies that share it, and the workers of one, find loops through each other */
  constructor(private readonly random: Random, key: Uint8Array) {
    this.#hash = new KeyedHash(key);
    this.uniqueStart = `z9hG4bK${toHex(random.bytes(PREFIX_BYTES))}`;
  }

  /** A hash, 32 bits, of what the way of a request depends on: its Request-URI and its Route, as they came. */
  routing(message: SipMessage): number {
    const hash = this.#hash;
    const { buffer } = message;
    hash.begin();
    hash.word(ROUTING);
    hash.part(buffer, message.requestUriStart, message.requestUriEnd);
    for (let i = message.first(HeaderId.ROUTE); i >= 0; i = message.next(i)) {
      hash.part(buffer, message.valueStart(i), message.valueEnd(i));
    }
    hash.end();
    return hash.low;
  }

  /** Writes the rest of a branch that nobody can guess, and that no other request of this run has. The offset after it. */
  writeUnique(out: Uint8Array, at: number, routing: number): number {
    at = writeHexWord(this.random.below(2 ** 32), out, at);
    at = writeHexWord(routing, out, at);
    return writeHexWord(++this.#count, out, at);
  }

  /** Writes the rest of the branch of a request that is sent on without a transaction (§16.11). The offset after it. */
  writeStateless(message: SipMessage, out: Uint8Array, at: number, routing: number): number {
    at = this.#writeOrigin(message, message.topVia()!, out, at);
    for (let i = 0; i < 4; i++) out[at++] = ZERO;
    return writeHexWord(0, out, writeHexWord(routing, out, at));
  }

  /** Whether a response answers a request that this proxy has sent on without a transaction: its Vias prove it. */
  isStateless(response: SipMessage): boolean {
    const top = response.topVia();
    const below = response.secondVia();
    if (top === undefined || below === undefined || !this.#hasForm(top)) return false;
    const end = this.#writeOrigin(response, below, this.#digits, 0);
    let difference = 0;
    for (let i = 0; i < end; i++) {
      difference |= this.#digits[i] ^ top.buffer[top.branchStart + COOKIE_LENGTH + i];
    }
    return difference === 0;
  }

  /**
   * Whether a request has been here before with the same Request-URI and Route: RFC 3261 §16.3 step 4, RFC 5393 §4.2.2. With
   * others it is in a spiral, which is no fault.
   */
  isLoop(message: SipMessage, names: LocalNames): boolean {
    // Straight from its sender it has one Via, and that is the sender's.
    if (message.secondVia() === undefined) return false;
    const values = message.values(HeaderId.VIA);
    const via = this.#via;
    let routing: number | undefined;
    while (values.advance()) {
      if (!via.parse(message.buffer, values.start, values.end) || !this.#hasForm(via)) continue;
      if (!names.isOwnHostAt(via.buffer, via.hostStart, via.hostEnd, via.port)) continue;
      routing ??= this.routing(message);
      writeHexWord(routing, this.#digits, 0);
      let same = true;
      for (let i = 0; i < 8 && same; i++) {
        same = this.#digits[i] === via.buffer[via.branchStart + LOOP_AT + i];
      }
      if (same) return true;
    }
    return false;
  }

  #hasForm(via: ViaView): boolean {
    return via.branchEnd - via.branchStart === BRANCH_LENGTH && via.hasMagicCookie;
  }

  /** 16 digits for the Via that a request came with; those of RFC 2543 are told apart by more than their branch. */
  #writeOrigin(message: SipMessage, via: ViaView, out: Uint8Array, at: number): number {
    const hash = this.#hash;
    const { buffer } = via;
    hash.begin();
    hash.word(STATELESS);
    hash.word(via.port);
    hash.partIgnoringCase(buffer, via.hostStart, via.hostEnd);
    hash.part(buffer, Math.max(via.branchStart, 0), Math.max(via.branchEnd, 0));
    if (!via.hasMagicCookie) {
      const { from } = message;
      hash.part(from.buffer, Math.max(from.tagStart, 0), Math.max(from.tagEnd, 0));
      const callId = message.first(HeaderId.CALL_ID);
      if (callId >= 0) hash.part(message.buffer, message.valueStart(callId), message.valueEnd(callId));
      hash.word(message.cseqNumber);
    }
    hash.end();
    return writeHexWord(hash.low, out, writeHexWord(hash.high, out, at));
  }
}
