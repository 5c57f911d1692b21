/** The transaction layer (RFC 3261 §17): matches messages to transactions and is the door for their user. Sans-I/O. */
import type { Address } from "./address.ts";
import { skipToken, SP } from "./ascii.ts";
import { KeyedHash } from "./keyed_hash.ts";
import { SipMessage } from "./message.ts";
import { methodAt } from "./method.ts";
import { responseAddress } from "./response_address.ts";
import { sipTimers } from "./timers.ts";
import type { TimerWheel } from "./timer_wheel.ts";
import {
  type ClientTransaction,
  INVITE_CLIENT_KIND,
  INVITE_SERVER_KIND,
  NON_INVITE_CLIENT_KIND,
  NON_INVITE_SERVER_KIND,
  ServerTransaction,
  type Transaction,
} from "./transaction.ts";
import type { TransactionCounts, TransactionOptions } from "./transaction_options.ts";
import { readLeadingVia, TransactionKey } from "./transaction_key.ts";
import { eventNumber, stateNumber } from "./transaction_machine.ts";
import { TransactionRunner } from "./transaction_runner.ts";
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

/**
 * All transactions of one element.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../random.ts";
 * import { SipMessage } from "./message.ts";
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
 *     request(message, transaction, _from, now) {
 *       const bytes = response(message, 200, "OK", { toTag: "1" });
 *       if (transaction !== undefined) layer.respond(transaction, bytes, 0, bytes.length, now);
 *     },
 *     cancel: nothing, response: nothing, timeout: nothing, transportError: nothing, terminated: nothing, overloaded: nothing,
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
  /** For timers of the user's own, such as Timer C; `advance` drives it. */
  readonly wheel: TimerWheel;
  /** What happened so far. */
  readonly statistics: Readonly<TransactionStatistics>;
  readonly #run: TransactionRunner;
  readonly #user: TransactionUser;
  readonly #key: TransactionKey;
  readonly #reliable: (address: Address) => boolean;
  readonly #tryingAtOnce: boolean;
  readonly #via = new ViaView();
  readonly #scratch = new SipMessage();

  constructor(options: TransactionOptions, send: SendMessage, user: TransactionUser) {
    const timers = options.timers ?? sipTimers();
    const trying = options.trying ?? "after 200 ms";
    const delay = trying === "after 200 ms" ? timers.trying : Infinity;
    const limit = options.maxTransactions ?? 500_000;
    this.#run = new TransactionRunner(timers, delay, limit, send, user, options.now);
    this.wheel = this.#run.wheel;
    this.statistics = this.#run.statistics;
    this.#user = user;
    this.#key = new TransactionKey(new KeyedHash(options.random.bytes(8)));
    this.#reliable = options.reliable ?? (() => false);
    this.#tryingAtOnce = trying === "immediate";
  }

  /** All live transactions. */
  get size(): number {
    return this.#run.index.size;
  }

  /** How many copies of messages are kept for retransmission and the like. */
  get slotsInUse(): number {
    return this.#run.store.inUse;
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
    const record = known ? this.#run.index.find(this.#key) as ClientTransaction | undefined : undefined;
    if (record === undefined) {
      this.#run.statistics.strays++;
      return this.#user.response(message, undefined, from, now);
    }
    if (record.cancelWanted) {
      record.cancelWanted = false;
      if (status < 200) this.#sendCancel(record, now);
    }
    const event = status < 200 ? RECEIVED_1XX : status < 300 ? RECEIVED_2XX : RECEIVED_300_699;
    if (!this.#run.message(record, event, message, from, now)) this.#run.statistics.absorbed++;
  }

  #receiveAck(message: SipMessage, via: ViaView, from: Address, now: number): void {
    const invite = this.#findServer(message, via, "INVITE", true);
    if (invite === undefined) return this.#user.request(message, undefined, from, now);
    if (!this.#run.message(invite, ACK, message, from, now)) this.#run.statistics.absorbed++;
  }

  #receiveRequest(message: SipMessage, via: ViaView, from: Address, now: number): void {
    const { method } = message;
    const known = this.#findServer(message, via, method, false);
    if (known !== undefined) {
      this.#run.statistics.absorbed++;
      this.#run.message(known, REQUEST, message, from, now);
      return;
    }
    if (this.#run.index.full) {
      this.#run.statistics.refused++;
      return this.#user.overloaded(message, from, now);
    }
    const record = this.#run.index.addServer(this.#key);
    record.method = method;
    record.from = from;
    record.reliable = this.#reliable(from);
    record.to = responseAddress(via, from, record.reliable);
    if (!via.hasMagicCookie) {
      record.old = true;
      record.requestTag = message.toTag;
    }
    const machine = method === "INVITE" ? INVITE_SERVER_KIND : NON_INVITE_SERVER_KIND;
    this.#run.begin(record, machine, message.buffer, message.start, message.bodyEnd, now);
    if (method === "CANCEL") {
      this.#user.cancel(message, this.matchInvite(message), record, from, now);
      return;
    }
    if (this.#tryingAtOnce && method === "INVITE") this.#run.trying(record, now);
    this.#user.request(message, record, from, now);
  }

  /** The server transaction of a request (§17.2.3); the key stays in `#key`. */
  #findServer(
    message: SipMessage,
    via: ViaView,
    method: string,
    ack: boolean,
  ): ServerTransaction | undefined {
    const sort = this.#key.ofServer(message, via, method);
    let record = this.#run.index.find(this.#key) as ServerTransaction | undefined;
    if (sort === "branch") return record;
    // RFC 2543: an ACK carries the To tag of the response, all else that of the first request.
    while (record !== undefined && message.toTag !== (ack ? record.answerTag : record.requestTag)) {
      record = this.#run.index.findNext(record, this.#key) as ServerTransaction | undefined;
    }
    return record;
  }

  /** The INVITE server transaction that a CANCEL concerns (§9.2), in whatever state. */
  matchInvite(message: SipMessage): ServerTransaction | undefined {
    const via = message.topVia();
    return via === undefined ? undefined : this.#findServer(message, via, "INVITE", false);
  }

  /**
   * Sends the request `buffer[start … end)` and starts its client transaction. The bytes are copied. Quickest if Via is the
   * first header. An ACK has no transaction: send it yourself.
   *
   * @param context what the user wants to find in the transaction
   * @returns undefined if there is no room; nothing is sent then
   * @throws TypeError if it is no request with a branch, or an ACK; Error if the branch is in use
   */
  sendRequest(
    buffer: Uint8Array,
    start: number,
    end: number,
    to: Address,
    now: number,
    context: unknown = undefined,
  ): ClientTransaction | undefined {
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
    const { index } = this.#run;
    if (index.find(this.#key) !== undefined) throw new Error("the Via branch is in use");
    if (index.full) return undefined;
    const record = index.addClient(this.#key);
    record.context = context;
    record.method = method;
    record.to = to;
    record.reliable = this.#reliable(to);
    const machine = method === "INVITE" ? INVITE_CLIENT_KIND : NON_INVITE_CLIENT_KIND;
    this.#run.begin(record, machine, buffer, start, end, now);
    this.#run.send(record, buffer, start, end);
    return record;
  }

  /**
   * Cancels an INVITE that was sent: a CANCEL goes out once there is a provisional response, at once if there was one, and not at all
   * once there is a final one (§9.1). It has a client transaction of its own with the context of the INVITE's and method
   * CANCEL. The INVITE's own ends with its final response, normally 487; if none comes the user gives it up with `end`
   * after 64·T1 (§9.1).
   *
   * @returns whether a CANCEL was sent or will be
   */
  cancel(transaction: ClientTransaction, now: number): boolean {
    if (transaction.machine !== INVITE_CLIENT_KIND) throw new TypeError("only an INVITE is cancelled");
    if (transaction.stateIndex === CALLING) {
      transaction.cancelWanted = true;
      return true;
    }
    if (transaction.stateIndex !== PROCEEDING) return false;
    this.#sendCancel(transaction, now);
    return true;
  }

  #sendCancel(invite: ClientTransaction, now: number): void {
    const bytes = cancel(this.#run.heldRequest(invite)!);
    this.#via.parse(bytes, bytes.indexOf(0x0a) + 1 + "Via: ".length, bytes.length);
    // A second CANCEL is the same transaction.
    this.#key.ofClient(this.#via, "CANCEL");
    if (this.#run.index.find(this.#key) !== undefined) return;
    if (this.#run.index.full) return this.#run.sendStateless(bytes, 0, bytes.length, invite.to);
    this.sendRequest(bytes, 0, bytes.length, invite.to, now, invite.context);
  }

  /**
   * Sends the response `buffer[start … end)` through a server transaction. The bytes are copied if they may be needed again. In
   * Accepted each 2xx goes out (RFC 6026 §7.1).
   *
   * @returns false if the state takes no such response (a second final one, say): nothing is sent
   * @throws TypeError if it is no response
   */
  respond(
    transaction: ServerTransaction,
    buffer: Uint8Array,
    start: number,
    end: number,
    now: number,
  ): boolean {
    const hundreds = buffer[start + 8] - 0x30;
    if (end - start < 12 || !(hundreds >= 1 && hundreds <= 6)) throw new TypeError("not a SIP response");
    if (transaction.old && hundreds > 1) {
      this.#scratch.parse(buffer, start, end);
      transaction.answerTag = this.#scratch.toTag;
    }
    const event = hundreds === 1 ? GIVEN_1XX : hundreds === 2 ? GIVEN_2XX : GIVEN_300_699;
    return this.#run.respond(transaction, event, buffer, start, end, now);
  }

  /** Sends 100 (Trying) for an INVITE unless something was sent already. */
  sendTrying(transaction: ServerTransaction, now: number): void {
    this.#run.trying(transaction, now);
  }

  /**
   * The request of a transaction, parsed into `view`: of a server transaction until its final response, of a client transaction until
   * the response that ends it. The view is good until that point.
   *
   * @returns false if it is not kept any more
   */
  requestOf(transaction: Transaction, view: SipMessage): boolean {
    const slot = transaction.request;
    if (slot === undefined) return false;
    view.parse(slot.buffer, slot.start, slot.start + transaction.requestLength);
    return true;
  }

  /** Ends a transaction in whatever state, without sending. The user is told by `terminated`. */
  end(transaction: Transaction, now: number): void {
    this.#run.end(transaction, now);
  }

  /** The transport to `to` has failed: tells it to every transaction that sends there. Looks at all of them. */
  transportError(to: Address, now: number): void {
    const last = this.#run.lastSerial;
    for (const record of this.#run.index.list()) {
      // What the user starts meanwhile, perhaps in a record of this list, has not failed.
      if (record.serial > last) continue;
      if (record.to.port === to.port && record.to.host === to.host) this.#run.transportError(record, now);
    }
  }

  /** Lets the timers that are due fire. Call it at `nextDue` and after each batch of messages. */
  advance(now: number): void {
    this.#run.advance(now);
  }

  /** When `advance` has something to do: milliseconds, never later than the next timer; undefined: nothing waits. */
  nextDue(): number | undefined {
    return this.#run.hasFailures ? 0 : this.wheel.nextDue();
  }
}
