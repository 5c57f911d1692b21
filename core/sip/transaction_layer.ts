/** The transaction layer (RFC 3261 §17): matches messages to transactions and is the door for their user. Sans-I/O. */
import { type Address, sameAddress } from "./address.ts";
import { skipToken, SP } from "./ascii.ts";
import { KeyedHash } from "./keyed_hash.ts";
import { SipMessage } from "./message.ts";
import { methodAt, methodName, methodNumber, OTHER_METHOD } from "./method.ts";
import { responseAddress } from "./response_address.ts";
import { sipTimers } from "./timers.ts";
import {
  INVITE_CLIENT_KIND,
  INVITE_SERVER_KIND,
  NO_TRANSACTION,
  NON_INVITE_CLIENT_KIND,
  NON_INVITE_SERVER_KIND,
  type TransactionId,
} from "./transaction.ts";
import type { TransactionCounts, TransactionOptions } from "./transaction_options.ts";
import { readLeadingVia, TransactionKey } from "./transaction_key.ts";
import { COMPILED_MACHINES, eventNumber, stateNumber } from "./transaction_machine.ts";
import { TransactionRunner } from "./transaction_runner.ts";
import {
  BYTE_SHIFT,
  CANCEL_WANTED,
  FLAGS,
  LIVE,
  MACHINE,
  METHOD,
  OLD,
  RECORD_SHIFT,
  RELIABLE,
  SERIAL,
  STATE,
  type TransactionTable,
  USER_TIMER,
} from "./transaction_table.ts";
import { type MachineName, STATE_NAMES, type StateName } from "./transaction_tables.ts";
import type { SendMessage, TransactionStatistics, TransactionUser } from "./transaction_user.ts";
import { ViaView } from "./via.ts";
import { cancel } from "./write.ts";

const REQUEST = eventNumber("request");
const ACK = eventNumber("ACK");
/** By class of the status: from the network, from the user. */
const RECEIVED_1XX = eventNumber("1xx");
const RECEIVED_2XX = eventNumber("2xx");
const RECEIVED_300_699 = eventNumber("300-699");
const GIVEN_1XX = eventNumber("1xx from user");
const GIVEN_2XX = eventNumber("2xx from user");
const GIVEN_300_699 = eventNumber("300-699 from user");
const CALLING = stateNumber("Calling");
const PROCEEDING = stateNumber("Proceeding");

/** Most transactions of one layer: a record's words are counted with 31 bits. */
const MOST = 2 ** 26;

/**
 * All transactions of one element. They are numbers; what is known of them stands in columns that are laid out once for
 * `maxTransactions`, and cost memory as far as they are used. A message allocates nothing on its ordinary way.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../random.ts";
 * import { SipMessage } from "./message.ts";
 * import { NO_TRANSACTION } from "./transaction.ts";
 * import { TransactionLayer } from "./transaction_layer.ts";
 * import { response } from "./write.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const sent: string[] = [];
 * const nothing = () => {};
 * const layer = new TransactionLayer(
 *   { now: 0, random: seededRandom(1) },
 *   (buffer, start, end) => void sent.push(new TextDecoder().decode(buffer.subarray(start, start + 14))),
 *   {
 *     request(message, tx, _from, now) {
 *       const bytes = response(message, 200, "OK", { toTag: "1" });
 *       if (tx !== NO_TRANSACTION) layer.respond(tx, bytes, 0, bytes.length, now);
 *     },
 *     cancel: nothing, response: nothing, timeout: nothing, transportError: nothing, terminated: nothing, overloaded: nothing,
 *     timer: nothing,
 *   },
 * );
 * const bytes = new TextEncoder().encode(
 *   "BYE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=1\r\n" +
 *     "Call-ID: 1\r\nCSeq: 2 BYE\r\n\r\n",
 * );
 * const message = new SipMessage();
 * message.parse(bytes, 0, bytes.length);
 * layer.receive(message, { host: "192.0.2.1", port: 5060 }, 0);
 * layer.receive(message, { host: "192.0.2.1", port: 5060 }, 500); // The same again: answered without the user.
 * assertEquals(sent, ["SIP/2.0 200 OK", "SIP/2.0 200 OK"]);
 * layer.advance(32_000); // Timer J
 * assertEquals(layer.size, 0);
 * ```
 */
export class TransactionLayer {
  /** Every transaction is a number below this: `maxTransactions`. */
  readonly capacity: number;
  /** What happened so far. */
  readonly statistics: Readonly<TransactionStatistics>;
  readonly #run: TransactionRunner;
  readonly #table: TransactionTable;
  readonly #user: TransactionUser;
  readonly #key: TransactionKey;
  readonly #reliable: (address: Address) => boolean;
  readonly #tryingAtOnce: boolean;
  readonly #via = new ViaView();
  readonly #scratch = new SipMessage();

  /** @throws RangeError if `maxTransactions` is not a whole number from 1 to 2^26 */
  constructor(options: TransactionOptions, send: SendMessage, user: TransactionUser) {
    const timers = options.timers ?? sipTimers();
    const trying = options.trying ?? "after 200 ms";
    const delay = trying === "after 200 ms" ? timers.trying : Infinity;
    this.capacity = options.maxTransactions ?? 500_000;
    if (!(Number.isInteger(this.capacity) && this.capacity >= 1 && this.capacity <= MOST)) {
      throw new RangeError(`maxTransactions is ${this.capacity}: it must be 1 to ${MOST}`);
    }
    this.#run = new TransactionRunner(timers, delay, this.capacity, send, user, options.now);
    this.#table = this.#run.table;
    this.statistics = this.#run.statistics;
    this.#user = user;
    this.#key = new TransactionKey(new KeyedHash(options.random.bytes(8)));
    this.#reliable = options.reliable ?? (() => false);
    this.#tryingAtOnce = trying === "immediate";
  }

  /** All live transactions. */
  get size(): number {
    return this.#table.size;
  }

  /** How many copies of messages are kept for retransmission and the like. */
  get slotsInUse(): number {
    return this.#run.store.inUse;
  }

  /** How many transactions have a timer running, plus how many have one of the user's. */
  get timersRunning(): number {
    return this.#run.wheel.size;
  }

  /** Live transactions by kind. */
  get counts(): TransactionCounts {
    const live = this.#run.live;
    return {
      inviteClient: live[INVITE_CLIENT_KIND],
      nonInviteClient: live[NON_INVITE_CLIENT_KIND],
      inviteServer: live[INVITE_SERVER_KIND],
      nonInviteServer: live[NON_INVITE_SERVER_KIND],
    };
  }

  // What is known of one transaction, until `terminated` has returned.

  /** Whether it goes on: true from its start until just before `terminated`. */
  isLive(tx: TransactionId): boolean {
    return tx >= 0 && (this.#table.bytes[(tx << BYTE_SHIFT) + FLAGS] & LIVE) !== 0;
  }

  /**
   * What tells the transaction from all others that have its number before or after it: 1 … 2^31 - 1, counted up for the
   * layer and begun anew after 2^31 - 1 transactions; 0 once it is over.
   */
  serialOf(tx: TransactionId): number {
    return this.#table.words[(tx << RECORD_SHIFT) + SERIAL];
  }

  /** Which of the four machines it runs. */
  kindOf(tx: TransactionId): MachineName {
    return COMPILED_MACHINES[this.#table.bytes[(tx << BYTE_SHIFT) + MACHINE]].name;
  }

  /** The state it is in. */
  stateOf(tx: TransactionId): StateName {
    return STATE_NAMES[this.#table.bytes[(tx << BYTE_SHIFT) + STATE]];
  }

  /** Method of its request. */
  methodOf(tx: TransactionId): string {
    const number = this.#table.bytes[(tx << BYTE_SHIFT) + METHOD];
    return number === OTHER_METHOD ? this.#table.asides.get(tx)?.method ?? "" : methodName(number);
  }

  /** Where its messages go: the next hop of a request, the previous hop for responses. */
  toOf(tx: TransactionId): Address {
    return this.#table.to(tx);
  }

  /** Where the request of a server transaction came from; `toOf` may have another port (RFC 3261 §18.2.2). */
  fromOf(tx: TransactionId): Address {
    return this.#table.from(tx);
  }

  /**
   * Starts the user's own timer of a transaction, such as Timer C, instead of any earlier appointment; `TransactionUser.timer`
   * tells when it fires. It stops by itself when the transaction is over, and does not start then.
   *
   * @param at milliseconds of the layer's clock; what is past means the next tick
   * @throws RangeError if `at` is not a finite number, or more than 248 days ahead
   */
  startTimer(tx: TransactionId, at: number): void {
    if (this.isLive(tx)) this.#run.wheel.schedule((tx << RECORD_SHIFT) + USER_TIMER, at);
  }

  /** Stops the user's own timer. It is no error if it does not run. */
  stopTimer(tx: TransactionId): void {
    this.#run.wheel.cancel((tx << RECORD_SHIFT) + USER_TIMER);
  }

  /**
   * A message that has come and was parsed without a problem. What concerns the user is told before this returns.
   *
   * @param from where it came from; the object is kept for the answers, so it must not be changed later
   */
  receive(message: SipMessage, from: Address, now: number): void {
    const via = message.topVia();
    if (via === undefined) return;
    if (!message.isRequest) this.#receiveResponse(message, via, from, now);
    else if (message.method === "ACK") this.#receiveAck(message, via, from, now);
    else this.#receiveRequest(message, via, from, now);
  }

  #receiveResponse(message: SipMessage, via: ViaView, from: Address, now: number): void {
    const { status } = message;
    const known = this.#key.ofClient(via, message.cseqMethod);
    const tx = known ? this.#table.find(this.#key) : NO_TRANSACTION;
    if (tx === NO_TRANSACTION) {
      this.#run.statistics.strays++;
      return this.#user.response(message, NO_TRANSACTION, from, now);
    }
    const flags = (tx << BYTE_SHIFT) + FLAGS;
    if ((this.#table.bytes[flags] & CANCEL_WANTED) !== 0) {
      this.#table.bytes[flags] &= ~CANCEL_WANTED;
      if (status < 200) this.#sendCancel(tx, now);
    }
    const event = status < 200 ? RECEIVED_1XX : status < 300 ? RECEIVED_2XX : RECEIVED_300_699;
    if (!this.#run.message(tx, event, message, from, now)) this.#run.statistics.absorbed++;
  }

  #receiveAck(message: SipMessage, via: ViaView, from: Address, now: number): void {
    const invite = this.#findServer(message, via, "INVITE", true);
    if (invite === NO_TRANSACTION) return this.#user.request(message, NO_TRANSACTION, from, now);
    if (!this.#run.message(invite, ACK, message, from, now)) this.#run.statistics.absorbed++;
  }

  #receiveRequest(message: SipMessage, via: ViaView, from: Address, now: number): void {
    const { method } = message;
    const known = this.#findServer(message, via, method, false);
    if (known !== NO_TRANSACTION) {
      this.#run.statistics.absorbed++;
      this.#run.message(known, REQUEST, message, from, now);
      return;
    }
    const table = this.#table;
    if (table.full) {
      this.#run.statistics.refused++;
      return this.#user.overloaded(message, from, now);
    }
    const reliable = this.#reliable(from);
    const tx = table.add(this.#key);
    this.#setMethod(tx, method);
    table.setAddresses(tx, responseAddress(via, from, reliable), from);
    if (reliable) table.bytes[(tx << BYTE_SHIFT) + FLAGS] |= RELIABLE;
    if (!via.hasMagicCookie) {
      table.bytes[(tx << BYTE_SHIFT) + FLAGS] |= OLD;
      table.aside(tx).requestTag = message.toTag;
    }
    this.#run.begin(tx, method === "INVITE" ? INVITE_SERVER_KIND : NON_INVITE_SERVER_KIND, now);
    const serial = table.words[(tx << RECORD_SHIFT) + SERIAL];
    // The request is copied only if the user leaves it unanswered: until then it is the message at hand.
    this.#run.tell(tx, message);
    try {
      if (method === "CANCEL") this.#user.cancel(message, this.matchInvite(message), tx, from, now);
      else {
        if (this.#tryingAtOnce && method === "INVITE") this.#run.trying(tx, now, message);
        this.#user.request(message, tx, from, now);
      }
    } finally {
      this.#run.told(tx, serial);
    }
  }

  #setMethod(tx: TransactionId, method: string): void {
    const number = methodNumber(method);
    this.#table.bytes[(tx << BYTE_SHIFT) + METHOD] = number;
    if (number === OTHER_METHOD) this.#table.aside(tx).method = method;
  }

  /** The server transaction of a request (§17.2.3); the key stays in `#key`. */
  #findServer(message: SipMessage, via: ViaView, method: string, ack: boolean): TransactionId {
    const byBranch = this.#key.ofServer(message, via, method);
    let tx = this.#table.find(this.#key);
    if (byBranch) return tx;
    // RFC 2543: an ACK carries the To tag of the response, all else that of the first request.
    const tag = message.toTag;
    while (tx !== NO_TRANSACTION) {
      const aside = this.#table.asides.get(tx);
      if (aside !== undefined && tag === (ack ? aside.answerTag : aside.requestTag)) break;
      tx = this.#table.findNext(tx, this.#key);
    }
    return tx;
  }

  /** The INVITE server transaction that a CANCEL concerns (§9.2), in whatever state, or `NO_TRANSACTION`. */
  matchInvite(message: SipMessage): TransactionId {
    const via = message.topVia();
    return via === undefined ? NO_TRANSACTION : this.#findServer(message, via, "INVITE", false);
  }

  /**
   * Sends the request `buffer[start … end)` and starts its client transaction. The bytes are copied. Quickest if Via is the
   * first header. An ACK has no transaction: send it yourself.
   *
   * @returns `NO_TRANSACTION` if there is no room; nothing is sent then
   * @throws TypeError if it is no request with a branch, or an ACK; Error if the branch is in use
   */
  sendRequest(buffer: Uint8Array, start: number, end: number, to: Address, now: number): TransactionId {
    const methodEnd = skipToken(buffer, start, end);
    if (buffer[methodEnd] !== SP) throw new TypeError("not a SIP request");
    const method = methodAt(buffer, start, methodEnd);
    let via: ViaView | undefined = this.#via;
    if (!readLeadingVia(buffer, start, end, via)) {
      this.#scratch.parse(buffer, start, end);
      via = this.#scratch.isRequest ? this.#scratch.topVia() : undefined;
    }
    if (via === undefined || !this.#key.ofClient(via, method)) {
      throw new TypeError("the request has no Via branch");
    }
    if (method === "ACK") throw new TypeError("an ACK is no transaction of its own");
    const table = this.#table;
    if (table.find(this.#key) !== NO_TRANSACTION) throw new Error("the Via branch is in use");
    if (table.full) return NO_TRANSACTION;
    const reliable = this.#reliable(to);
    const tx = table.add(this.#key);
    this.#setMethod(tx, method);
    table.setAddresses(tx, to, to);
    if (reliable) table.bytes[(tx << BYTE_SHIFT) + FLAGS] |= RELIABLE;
    this.#run.begin(tx, method === "INVITE" ? INVITE_CLIENT_KIND : NON_INVITE_CLIENT_KIND, now);
    this.#run.holdRequest(tx, buffer, start, end);
    this.#run.send(tx, buffer, start, end);
    return tx;
  }

  /**
   * Cancels an INVITE that was sent: a CANCEL goes out once there is a provisional response, at once if there was one, and not at all
   * once there is a final one (§9.1). It has a client transaction of its own with method CANCEL, of which the user is told
   * as of any other. The INVITE's own ends with its final response, normally 487; if none comes the user gives it up with
   * `end` after 64·T1 (§9.1).
   *
   * @returns whether a CANCEL was sent or will be
   */
  cancel(tx: TransactionId, now: number): boolean {
    const bytes = this.#table.bytes;
    const at = tx << BYTE_SHIFT;
    if (bytes[at + MACHINE] !== INVITE_CLIENT_KIND) throw new TypeError("only an INVITE is cancelled");
    if (bytes[at + STATE] === CALLING) {
      bytes[at + FLAGS] |= CANCEL_WANTED;
      return true;
    }
    if (bytes[at + STATE] !== PROCEEDING) return false;
    this.#sendCancel(tx, now);
    return true;
  }

  #sendCancel(invite: TransactionId, now: number): void {
    const bytes = cancel(this.#run.heldRequest(invite)!);
    this.#via.parse(bytes, bytes.indexOf(0x0a) + 1 + "Via: ".length, bytes.length);
    // A second CANCEL is the same transaction.
    this.#key.ofClient(this.#via, "CANCEL");
    if (this.#table.find(this.#key) !== NO_TRANSACTION) return;
    const to = this.#table.to(invite);
    if (this.#table.full) return this.#run.sendStateless(bytes, 0, bytes.length, to);
    this.sendRequest(bytes, 0, bytes.length, to, now);
  }

  /**
   * Sends the response `buffer[start … end)` through a server transaction. The bytes are copied if they may be needed again. In
   * Accepted each 2xx goes out (RFC 6026 §7.1).
   *
   * @returns false if the state takes no such response (a second final one, say): nothing is sent
   * @throws TypeError if it is no response
   */
  respond(tx: TransactionId, buffer: Uint8Array, start: number, end: number, now: number): boolean {
    const hundreds = buffer[start + 8] - 0x30;
    if (end - start < 12 || !(hundreds >= 1 && hundreds <= 6)) throw new TypeError("not a SIP response");
    if (hundreds > 1 && (this.#table.bytes[(tx << BYTE_SHIFT) + FLAGS] & OLD) !== 0) {
      this.#scratch.parse(buffer, start, end);
      this.#table.aside(tx).answerTag = this.#scratch.toTag;
    }
    const event = hundreds === 1 ? GIVEN_1XX : hundreds === 2 ? GIVEN_2XX : GIVEN_300_699;
    return this.#run.respond(tx, event, buffer, start, end, now);
  }

  /**
   * Sends 100 (Trying) for an INVITE unless something was sent already.
   *
   * @param message the request, if it is at hand: it need not be parsed again then
   */
  sendTrying(tx: TransactionId, now: number, message?: SipMessage): void {
    this.#run.trying(tx, now, message);
  }

  /**
   * The request of a transaction, parsed into `view`: of a server transaction until its final response, of a client transaction until
   * the response that ends it. The view is good until that point; inside the call that tells the request, until that returns.
   *
   * @returns false if it is not kept any more
   */
  requestOf(tx: TransactionId, view: SipMessage): boolean {
    return this.#run.readRequest(tx, view);
  }

  /** Ends a transaction in whatever state, without sending. The user is told by `terminated`. */
  end(tx: TransactionId, now: number): void {
    this.#run.end(tx, now);
  }

  /** The transport to `to` has failed: tells it to every transaction that sends there. Looks at all of them. */
  transportError(to: Address, now: number): void {
    // What the user starts meanwhile, perhaps under one of these numbers, has not failed.
    const failed: TransactionId[] = [];
    const serials: number[] = [];
    for (let tx = 0; tx < this.#table.used; tx++) {
      const other = this.#table.to(tx);
      if (!this.isLive(tx) || !sameAddress(other, to)) continue;
      failed.push(tx);
      serials.push(this.serialOf(tx));
    }
    for (let i = 0; i < failed.length; i++) {
      if (this.serialOf(failed[i]) === serials[i]) this.#run.transportError(failed[i], now);
    }
  }

  /** Lets the timers that are due fire. Call it at `nextDue` and after each batch of messages. */
  advance(now: number): void {
    this.#run.advance(now);
  }

  /** When `advance` has something to do: milliseconds, never later than the next timer; undefined: nothing waits. */
  nextDue(): number | undefined {
    return this.#run.hasFailures ? 0 : this.#run.wheel.nextDue();
  }
}
