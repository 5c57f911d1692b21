/** What carries out the tables: changes states, starts and stops timers, sends, tells the user. */
import type { Address } from "./address.ts";
import { ByteStore } from "./byte_store.ts";
import { ByteWriter } from "./byte_writer.ts";
import { FlatTimerWheel, type TimerSink } from "./flat_timer_wheel.ts";
import { SipMessage } from "./message.ts";
import type { SipTimers } from "./timers.ts";
import { NO_TRANSACTION, type TransactionId } from "./transaction.ts";
import {
  actionNumber,
  ACTIONS_PER_EVENT,
  COMPILED_MACHINES,
  eventNumber,
  HOLDS_ANSWER,
  HOLDS_REQUEST,
  IGNORED,
  stateNumber,
} from "./transaction_machine.ts";
import {
  ANSWER,
  BYTE_SHIFT,
  FLAGS,
  LIVE,
  MACHINE,
  OWN_TIMER,
  RECORD_SHIFT,
  REPEAT_EVENT,
  REQUEST,
  SERIAL,
  STATE,
  TransactionTable,
  USER_TIMER,
} from "./transaction_table.ts";
import { ACTION_NAMES, type ActionName, EVENT_NAMES } from "./transaction_tables.ts";
import { TransactionTimers } from "./transaction_timers.ts";
import type { SendMessage, TransactionStatistics, TransactionUser } from "./transaction_user.ts";
import { writeAck, writeResponse } from "./write.ts";

const EVENTS = EVENT_NAMES.length;
const TERMINATED = stateNumber("Terminated");
const TRANSPORT_ERROR = eventNumber("transport error");
const TRYING = eventNumber("timer trying");
const SEND_REQUEST = actionNumber("send request");
const SEND_ACK = actionNumber("send ACK");
const SEND_RESPONSE = actionNumber("send response");
const SEND_100 = actionNumber("send 100");
const RESTART_A = actionNumber("restart timer A");
const RESTART_E = actionNumber("restart timer E");
const RESTART_G = actionNumber("restart timer G");
const RESPONSE_TO_USER = actionNumber("response to user");
const ACK_TO_USER = actionNumber("ACK to user");
const TIMEOUT_TO_USER = actionNumber("timeout to user");
const ERROR_TO_USER = actionNumber("transport error to user");

const isToUser = new Uint8Array(ACTION_NAMES.length + 1);
ACTION_NAMES.forEach((name: ActionName, i) => isToUser[i + 1] = name.endsWith("to user") ? 1 : 0);

/** Runs transactions. It knows nothing of matching: that is the layer's part. */
export class TransactionRunner implements TimerSink {
  readonly table: TransactionTable;
  readonly wheel: FlatTimerWheel;
  readonly store = new ByteStore();
  readonly statistics: TransactionStatistics = {
    requestsRetransmitted: 0,
    responsesRetransmitted: 0,
    absorbed: 0,
    strays: 0,
    refused: 0,
  };
  /** Live transactions by machine. */
  readonly live = new Int32Array(COMPILED_MACHINES.length);
  readonly #send: SendMessage;
  readonly #user: TransactionUser;
  readonly #timers: TransactionTimers;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** Transactions whose sending failed, and their serials: told at the next `advance`, not inside the user's own call. */
  readonly #failed: TransactionId[] = [];
  readonly #failedSerials: number[] = [];
  readonly #scratch = new SipMessage();
  readonly #writer = new ByteWriter();
  readonly #tryingOptions: { source: Address } = { source: { host: "", port: 0 } };
  /** The transaction whose request the user is being told: that is held as it came until the user has returned. */
  #newest: TransactionId = NO_TRANSACTION;
  #newestRequest: SipMessage = this.#scratch;
  // What the event that runs is about.
  #message: SipMessage | undefined;
  #from: Address | undefined;
  #given: Uint8Array | undefined;
  #givenStart = 0;
  #givenEnd = 0;

  constructor(
    timers: SipTimers,
    trying: number,
    capacity: number,
    send: SendMessage,
    user: TransactionUser,
    now: number,
  ) {
    this.table = new TransactionTable(capacity);
    this.#words = this.table.words;
    this.#bytes = this.table.bytes;
    this.wheel = new FlatTimerWheel(this.table.words, this, now);
    this.#send = send;
    this.#user = user;
    this.#timers = new TransactionTimers(this.wheel, this.table, timers, trying);
  }

  /** Whether a failure to send waits to be told. */
  get hasFailures(): boolean {
    return this.#failed.length > 0;
  }

  /** Puts a new transaction into its first state. Its request is not held yet. */
  begin(tx: TransactionId, machine: number, now: number): void {
    const bytes = this.#bytes;
    const at = tx << BYTE_SHIFT;
    bytes[at + MACHINE] = machine;
    bytes[at + STATE] = COMPILED_MACHINES[machine].initial;
    this.live[machine]++;
    this.#timers.start(tx, now);
  }

  /** Holds a copy of the request of a new transaction. */
  holdRequest(tx: TransactionId, bytes: Uint8Array, start: number, end: number): void {
    this.#words[(tx << RECORD_SHIFT) + REQUEST] = this.store.hold(bytes, start, end);
  }

  /** From here to {@linkcode told} the request of a new transaction is `message`, which must not change meanwhile. */
  tell(tx: TransactionId, message: SipMessage): void {
    this.#newest = tx;
    this.#newestRequest = message;
  }

  /** The user has been told the new request: it is copied if it may be needed again. */
  told(tx: TransactionId, serial: number): void {
    this.#newest = NO_TRANSACTION;
    const at = tx << RECORD_SHIFT;
    if (this.#words[at + SERIAL] !== serial || !this.#holdsRequest(tx)) return;
    const { buffer, start, bodyEnd } = this.#newestRequest;
    this.#words[at + REQUEST] = this.store.hold(buffer, start, bodyEnd);
  }

  /** An event that a message brings. @returns false if the state ignores it */
  message(tx: TransactionId, event: number, message: SipMessage, from: Address, now: number): boolean {
    this.#message = message;
    this.#from = from;
    this.#given = undefined;
    return this.#run(tx, event, now);
  }

  /** A response that the user gives. @returns false if the state ignores it */
  respond(
    tx: TransactionId,
    event: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    now: number,
  ): boolean {
    this.#given = bytes;
    this.#givenStart = start;
    this.#givenEnd = end;
    return this.#run(tx, event, now);
  }

  /** Sends the 100 (Trying) now if nothing has been sent yet. @param message the request, if it is at hand */
  trying(tx: TransactionId, now: number, message: SipMessage | undefined): void {
    this.#given = undefined;
    this.#message = message;
    this.#run(tx, TRYING, now);
  }

  /** Sends, and remembers a failure. */
  send(tx: TransactionId, bytes: Uint8Array, start: number, end: number): void {
    if (this.#send(bytes, start, end, this.table.to(tx)) !== false) return;
    this.#failed.push(tx);
    this.#failedSerials.push(this.#words[(tx << RECORD_SHIFT) + SERIAL]);
  }

  /** Sends without a transaction. */
  sendStateless(bytes: Uint8Array, start: number, end: number, to: Address): void {
    this.#send(bytes, start, end, to);
  }

  /** The request that is held; good until the next call. */
  heldRequest(tx: TransactionId): SipMessage | undefined {
    if (tx === this.#newest) return this.#holdsRequest(tx) ? this.#newestRequest : undefined;
    return this.readRequest(tx, this.#scratch) ? this.#scratch : undefined;
  }

  /** Parses the request that is held into `view`. @returns false if none is */
  readRequest(tx: TransactionId, view: SipMessage): boolean {
    if (tx === this.#newest) {
      if (!this.#holdsRequest(tx)) return false;
      const { buffer, start, bodyEnd } = this.#newestRequest;
      if (view !== this.#newestRequest) view.parse(buffer, start, bodyEnd);
      return true;
    }
    const place = this.#words[(tx << RECORD_SHIFT) + REQUEST];
    if (place === 0) return false;
    const start = this.store.startOf(place);
    view.parse(this.store.bufferOf(place), start, start + this.store.lengthOf(place));
    return true;
  }

  /** The transport has failed for this transaction. */
  transportError(tx: TransactionId, now: number): void {
    if (this.#bytes[(tx << BYTE_SHIFT) + STATE] !== TERMINATED) this.#run(tx, TRANSPORT_ERROR, now);
  }

  /** Ends a transaction whatever its state. */
  end(tx: TransactionId, now: number): void {
    const state = (tx << BYTE_SHIFT) + STATE;
    if (this.#bytes[state] === TERMINATED) return;
    this.#bytes[state] = TERMINATED;
    this.#finish(tx, now);
  }

  advance(now: number): void {
    if (this.#failed.length > 0) this.#tellFailures(now);
    this.wheel.advance(now);
  }

  /** @internal called by the wheel */
  timerFired(place: number, now: number): void {
    const tx = place >>> RECORD_SHIFT;
    const at = tx << RECORD_SHIFT;
    if (place !== at + OWN_TIMER) return this.#user.timer(tx, now);
    const event = this.#timers.take(tx, now);
    const serial = this.#words[at + SERIAL];
    this.#given = undefined;
    this.#message = undefined;
    if (event !== 0) this.#run(tx, event, now);
    // What is left of its timers, unless a new state has started others, or the transaction is over.
    if (this.#words[at + SERIAL] === serial && !this.wheel.scheduled(place)) this.#timers.arm(tx);
  }

  #run(tx: TransactionId, event: number, now: number): boolean {
    const bytes = this.#bytes;
    const at = tx << BYTE_SHIFT;
    const machine = COMPILED_MACHINES[bytes[at + MACHINE]];
    const state = bytes[at + STATE];
    const cell = state * EVENTS + event;
    const next = machine.next[cell];
    if (next === IGNORED) return false;
    const changed = next !== state;
    if (changed) {
      bytes[at + STATE] = next;
      if (machine.keepsTimers[next] === 0) this.#timers.start(tx, now);
    }
    const first = machine.actions[cell * ACTIONS_PER_EVENT];
    const second = machine.actions[cell * ACTIONS_PER_EVENT + 1];
    if (first !== 0 && isToUser[first] === 0) this.#act(tx, first, event, now);
    if (second !== 0 && isToUser[second] === 0) this.#act(tx, second, event, now);
    if (changed) this.#release(tx, machine.holds[next]);
    // From here on the user may do anything, even end this transaction and start another under its number.
    if (isToUser[first] === 1) this.#tellUser(tx, first, now);
    else if (isToUser[second] === 1) this.#tellUser(tx, second, now);
    if (next === TERMINATED) this.#finish(tx, now);
    return true;
  }

  #act(tx: TransactionId, action: number, event: number, now: number): void {
    switch (action) {
      case SEND_REQUEST:
        this.statistics.requestsRetransmitted++;
        this.#sendHeld(tx, this.#words[(tx << RECORD_SHIFT) + REQUEST]);
        break;
      case SEND_ACK:
        this.#sendAck(tx);
        break;
      case SEND_RESPONSE:
        this.#sendResponse(tx);
        break;
      case SEND_100:
        this.#sendTrying(tx);
        break;
      case RESTART_A:
        this.#timers.repeatA(tx, event, now);
        break;
      case RESTART_E:
        this.#timers.repeatE(tx, event, now);
        break;
      case RESTART_G:
        this.#timers.repeatG(tx, event, now);
        break;
      default:
        throw new Error(`action ${action} has no meaning`);
    }
  }

  #tellUser(tx: TransactionId, action: number, now: number): void {
    const user = this.#user;
    switch (action) {
      case RESPONSE_TO_USER:
        return user.response(this.#message!, tx, this.#from!, now);
      case ACK_TO_USER:
        return user.request(this.#message!, NO_TRANSACTION, this.#from!, now);
      case TIMEOUT_TO_USER:
        return user.timeout(tx, now);
      case ERROR_TO_USER:
        return user.transportError(tx, now);
      default:
        throw new Error(`action ${action} has no meaning`);
    }
  }

  #sendHeld(tx: TransactionId, place: number): void {
    const { store } = this;
    const start = store.startOf(place);
    this.send(tx, store.bufferOf(place), start, start + store.lengthOf(place));
  }

  #sendAck(tx: TransactionId): void {
    const column = (tx << RECORD_SHIFT) + ANSWER;
    if (this.#words[column] === 0) {
      this.#writer.clear();
      writeAck(this.#writer, this.heldRequest(tx)!, this.#message!);
      this.#words[column] = this.store.hold(this.#writer.buffer, 0, this.#writer.length);
    }
    this.#sendHeld(tx, this.#words[column]);
  }

  #sendResponse(tx: TransactionId): void {
    const bytes = this.#bytes;
    const at = tx << BYTE_SHIFT;
    const column = (tx << RECORD_SHIFT) + ANSWER;
    const held = this.#words[column];
    const given = this.#given;
    if (given === undefined) {
      // A request that comes again before anything was answered is absorbed.
      if (held === 0) return;
      this.statistics.responsesRetransmitted++;
      return this.#sendHeld(tx, held);
    }
    if (bytes[at + REPEAT_EVENT] === TRYING) this.#timers.stopRepeating(tx);
    const start = this.#givenStart;
    const end = this.#givenEnd;
    if ((COMPILED_MACHINES[bytes[at + MACHINE]].holds[bytes[at + STATE]] & HOLDS_ANSWER) !== 0) {
      this.#words[column] = held === 0
        ? this.store.hold(given, start, end)
        : this.store.replace(held, given, start, end);
    }
    this.send(tx, given, start, end);
  }

  #sendTrying(tx: TransactionId): void {
    if (this.#words[(tx << RECORD_SHIFT) + ANSWER] !== 0) return;
    const request = this.#message ?? this.heldRequest(tx);
    if (request === undefined) return;
    this.#tryingOptions.source = this.table.from(tx);
    this.#writer.clear();
    writeResponse(this.#writer, request, 100, undefined, this.#tryingOptions);
    this.#given = this.#writer.buffer;
    this.#givenStart = 0;
    this.#givenEnd = this.#writer.length;
    this.#sendResponse(tx);
  }

  #holdsRequest(tx: TransactionId): boolean {
    const at = tx << BYTE_SHIFT;
    const { holds } = COMPILED_MACHINES[this.#bytes[at + MACHINE]];
    return (holds[this.#bytes[at + STATE]] & HOLDS_REQUEST) !== 0;
  }

  #release(tx: TransactionId, holds: number): void {
    const words = this.#words;
    const at = tx << RECORD_SHIFT;
    if ((holds & HOLDS_REQUEST) === 0 && words[at + REQUEST] !== 0) {
      this.store.give(words[at + REQUEST]);
      words[at + REQUEST] = 0;
    }
    if ((holds & HOLDS_ANSWER) === 0 && words[at + ANSWER] !== 0) {
      this.store.give(words[at + ANSWER]);
      words[at + ANSWER] = 0;
    }
  }

  #finish(tx: TransactionId, now: number): void {
    const at = tx << RECORD_SHIFT;
    this.wheel.cancel(at + OWN_TIMER);
    this.wheel.cancel(at + USER_TIMER);
    this.table.remove(tx);
    this.#release(tx, 0);
    this.live[this.#bytes[(tx << BYTE_SHIFT) + MACHINE]]--;
    this.#bytes[(tx << BYTE_SHIFT) + FLAGS] &= ~LIVE;
    if (tx === this.#newest) this.#newest = NO_TRANSACTION;
    this.#user.terminated(tx, now);
    this.table.recycle(tx);
  }

  #tellFailures(now: number): void {
    const count = this.#failed.length;
    for (let i = 0; i < count; i++) {
      const tx = this.#failed[i];
      if (this.#words[(tx << RECORD_SHIFT) + SERIAL] === this.#failedSerials[i]) this.transportError(tx, now);
    }
    this.#failed.splice(0, count);
    this.#failedSerials.splice(0, count);
  }
}
