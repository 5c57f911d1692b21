/** What carries out the tables: changes states, starts and stops timers, sends, tells the user. */
import type { Address } from "./address.ts";
import { type ByteSlot, ByteStore } from "./byte_store.ts";
import { ByteWriter } from "./byte_writer.ts";
import { copyBytes } from "./copy.ts";
import { SipMessage } from "./message.ts";
import type { SipTimers } from "./timers.ts";
import { TimerWheel } from "./timer_wheel.ts";
import { TransactionTimers } from "./transaction_timers.ts";
import { ClientTransaction, ServerTransaction, type Transaction } from "./transaction.ts";
import { TransactionIndex } from "./transaction_index.ts";
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
import { ACTION_NAMES, type ActionName, EVENT_NAMES } from "./transaction_tables.ts";
import type { SendMessage, TransactionStatistics, TransactionUser } from "./transaction_user.ts";
import { ack, writeResponse } from "./write.ts";

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
export class TransactionRunner {
  readonly wheel: TimerWheel;
  readonly index: TransactionIndex;
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
  #serial = 0;
  /** Transactions whose sending failed, and their serials: told at the next `advance`, not inside the user's own call. */
  readonly #failed: Transaction[] = [];
  readonly #failedSerials: number[] = [];
  readonly #scratch = new SipMessage();
  readonly #writer = new ByteWriter();
  // What the event that runs is about.
  #message: SipMessage | undefined;
  #from: Address | undefined;
  #given: Uint8Array | undefined;
  #givenStart = 0;
  #givenEnd = 0;

  constructor(
    timers: SipTimers,
    trying: number,
    limit: number,
    send: SendMessage,
    user: TransactionUser,
    now: number,
  ) {
    this.wheel = new TimerWheel(now);
    this.index = new TransactionIndex(limit, this);
    this.#send = send;
    this.#user = user;
    this.#timers = new TransactionTimers(this.wheel, timers, trying);
  }

  /** The serial of the newest transaction. */
  get lastSerial(): number {
    return this.#serial;
  }

  /** Whether a failure to send waits to be told. */
  get hasFailures(): boolean {
    return this.#failed.length > 0;
  }

  /** Puts a new record into its first state. `buffer[start … end)` is the request. */
  begin(
    record: Transaction,
    machine: number,
    buffer: Uint8Array,
    start: number,
    end: number,
    now: number,
  ): void {
    record.serial = ++this.#serial;
    record.machine = machine;
    this.live[machine]++;
    record.request = this.store.take(end - start);
    record.requestLength = end - start;
    copyBytes(buffer, start, end, record.request.buffer, record.request.start);
    record.stateIndex = COMPILED_MACHINES[machine].initial;
    this.#timers.start(record, now);
  }

  /** An event that a message brings. @returns false if the state ignores it */
  message(record: Transaction, event: number, message: SipMessage, from: Address, now: number): boolean {
    this.#message = message;
    this.#from = from;
    this.#given = undefined;
    return this.#run(record, event, now);
  }

  /** A response that the user gives. @returns false if the state ignores it */
  respond(
    record: Transaction,
    event: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    now: number,
  ): boolean {
    this.#given = bytes;
    this.#givenStart = start;
    this.#givenEnd = end;
    return this.#run(record, event, now);
  }

  /** Sends the 100 (Trying) now if nothing has been sent yet. */
  trying(record: ServerTransaction, now: number): void {
    this.#given = undefined;
    this.#run(record, TRYING, now);
  }

  /** Sends, and remembers a failure. */
  send(record: Transaction, bytes: Uint8Array, start: number, end: number): void {
    if (this.#send(bytes, start, end, record.to) !== false) return;
    this.#failed.push(record);
    this.#failedSerials.push(record.serial);
  }

  /** Sends without a transaction. */
  sendStateless(bytes: Uint8Array, start: number, end: number, to: Address): void {
    this.#send(bytes, start, end, to);
  }

  /** Reads the request that a record holds; good until the next call. */
  heldRequest(record: Transaction): SipMessage | undefined {
    if (record.request === undefined) return undefined;
    const { buffer, start } = record.request;
    this.#scratch.parse(buffer, start, start + record.requestLength);
    return this.#scratch;
  }

  /** The transport has failed for this transaction. */
  transportError(record: Transaction, now: number): void {
    if (record.stateIndex !== TERMINATED) this.#run(record, TRANSPORT_ERROR, now);
  }

  /** Ends a transaction whatever its state. */
  end(record: Transaction, now: number): void {
    if (record.stateIndex === TERMINATED) return;
    record.stateIndex = TERMINATED;
    this.#finish(record, now);
  }

  advance(now: number): void {
    if (this.#failed.length > 0) this.#tellFailures(now);
    this.wheel.advance(now);
  }

  /** @internal called by the records */
  timerFired(record: Transaction, now: number): void {
    const event = this.#timers.take(record, now);
    const serial = record.serial;
    this.#given = undefined;
    if (event !== 0) this.#run(record, event, now);
    if (record.serial === serial && record.stateIndex !== TERMINATED) this.#timers.arm(record);
  }

  #run(record: Transaction, event: number, now: number): boolean {
    const machine = COMPILED_MACHINES[record.machine];
    const cell = record.stateIndex * EVENTS + event;
    const next = machine.next[cell];
    if (next === IGNORED) return false;
    const changed = next !== record.stateIndex;
    if (changed) {
      record.stateIndex = next;
      if (machine.keepsTimers[next] === 0) this.#timers.start(record, now);
    }
    const first = machine.actions[cell * ACTIONS_PER_EVENT];
    const second = machine.actions[cell * ACTIONS_PER_EVENT + 1];
    if (first !== 0 && isToUser[first] === 0) this.#act(record, first, event, now);
    if (second !== 0 && isToUser[second] === 0) this.#act(record, second, event, now);
    if (changed) this.#release(record, machine.holds[next]);
    // From here on the user may do anything, even end this transaction and start another in its record.
    if (isToUser[first] === 1) this.#tell(record, first, now);
    else if (isToUser[second] === 1) this.#tell(record, second, now);
    if (next === TERMINATED) this.#finish(record, now);
    return true;
  }

  #act(record: Transaction, action: number, event: number, now: number): void {
    switch (action) {
      case SEND_REQUEST:
        this.statistics.requestsRetransmitted++;
        this.send(
          record,
          record.request!.buffer,
          record.request!.start,
          record.request!.start + record.requestLength,
        );
        break;
      case SEND_ACK:
        this.#sendAck(record);
        break;
      case SEND_RESPONSE:
        this.#sendResponse(record);
        break;
      case SEND_100:
        this.#sendTrying(record);
        break;
      case RESTART_A:
        this.#timers.repeat(record, event, record.repeatInterval * 2, now);
        break;
      case RESTART_E:
        this.#timers.repeatE(record, event, now);
        break;
      case RESTART_G:
        this.#timers.repeat(record, event, Math.min(record.repeatInterval * 2, this.#timers.t2), now);
        break;
      default:
        throw new Error(`action ${action} has no meaning`);
    }
  }

  #tell(record: Transaction, action: number, now: number): void {
    const user = this.#user;
    switch (action) {
      case RESPONSE_TO_USER:
        return user.response(this.#message!, record as ClientTransaction, this.#from!, now);
      case ACK_TO_USER:
        return user.request(this.#message!, undefined, this.#from!, now);
      case TIMEOUT_TO_USER:
        return user.timeout(record, now);
      case ERROR_TO_USER:
        return user.transportError(record, now);
      default:
        throw new Error(`action ${action} has no meaning`);
    }
  }

  #sendAck(record: Transaction): void {
    if (record.answer === undefined) {
      const bytes = ack(this.heldRequest(record)!, this.#message!);
      this.#keepAnswer(record, bytes, 0, bytes.length);
    }
    const answer: ByteSlot = record.answer!;
    this.send(record, answer.buffer, answer.start, answer.start + record.answerLength);
  }

  #sendResponse(record: Transaction): void {
    const given = this.#given;
    if (given === undefined) {
      // A request that comes again before anything was answered is absorbed.
      const answer = record.answer;
      if (answer === undefined) return;
      this.statistics.responsesRetransmitted++;
      this.send(record, answer.buffer, answer.start, answer.start + record.answerLength);
      return;
    }
    if (record.repeatEvent === TRYING) {
      record.repeatEvent = 0;
      record.repeatAt = Infinity;
      this.#timers.arm(record);
    }
    if ((COMPILED_MACHINES[record.machine].holds[record.stateIndex] & HOLDS_ANSWER) !== 0) {
      this.#keepAnswer(record, given, this.#givenStart, this.#givenEnd);
    }
    this.send(record, given, this.#givenStart, this.#givenEnd);
  }

  #sendTrying(record: Transaction): void {
    if (record.answer !== undefined) return;
    const request = this.heldRequest(record);
    if (request === undefined) return;
    this.#writer.clear();
    writeResponse(this.#writer, request, 100, undefined, { source: (record as ServerTransaction).from });
    this.#given = this.#writer.buffer;
    this.#givenStart = 0;
    this.#givenEnd = this.#writer.length;
    this.#sendResponse(record);
  }

  #keepAnswer(record: Transaction, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (record.answer === undefined || record.answer.capacity < length) {
      if (record.answer !== undefined) this.store.give(record.answer);
      record.answer = this.store.take(length);
    }
    record.answerLength = length;
    copyBytes(bytes, start, end, record.answer.buffer, record.answer.start);
  }

  #release(record: Transaction, holds: number): void {
    if ((holds & HOLDS_REQUEST) === 0 && record.request !== undefined) {
      this.store.give(record.request);
      record.request = undefined;
    }
    if ((holds & HOLDS_ANSWER) === 0 && record.answer !== undefined) {
      this.store.give(record.answer);
      record.answer = undefined;
    }
  }

  #finish(record: Transaction, now: number): void {
    this.wheel.cancel(record);
    this.index.remove(record);
    this.#release(record, 0);
    this.live[record.machine]--;
    this.#user.terminated(record, now);
    this.index.recycle(record);
  }

  #tellFailures(now: number): void {
    const count = this.#failed.length;
    for (let i = 0; i < count; i++) {
      const record = this.#failed[i];
      if (record.serial === this.#failedSerials[i]) this.transportError(record, now);
    }
    this.#failed.splice(0, count);
    this.#failedSerials.splice(0, count);
  }
}
