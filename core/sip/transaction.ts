/** The records of transactions: pooled, linked into the hash index and the timer wheel through their own fields. */
import type { Address } from "./address.ts";
import type { ByteSlot } from "./byte_store.ts";
import { TimerEntry } from "./timer_wheel.ts";
import { COMPILED_MACHINES } from "./transaction_machine.ts";
import { type MachineName, STATE_NAMES, type StateName } from "./transaction_tables.ts";

/** Places in `MACHINES`. */
export const INVITE_CLIENT_KIND = 0;
export const NON_INVITE_CLIENT_KIND = 1;
export const INVITE_SERVER_KIND = 2;
export const NON_INVITE_SERVER_KIND = 3;

const NOWHERE: Address = { host: "", port: 0 };

/** What drives the records when a timer fires. */
export interface TimerSink {
  timerFired(transaction: Transaction, now: number): void;
}

/**
 * One transaction. Its user may read `kind`, `state`, `method`, `to`, `serial` and own `context`; all other fields belong to the layer.
 * After {@linkcode TransactionUser.terminated} the record is used for another transaction: whoever may hold on to it longer compares `serial`.
 */
export abstract class Transaction extends TimerEntry {
  /** Whatever its user wants to remember. */
  context: unknown = undefined;
  /** A number of its own for every transaction of one layer, never used again. */
  serial = 0;
  /** Method of the request. */
  method = "";
  /** Where its messages go: the next hop of a request, the previous hop for responses. */
  to: Address = NOWHERE;
  /** Whether the transport retransmits by itself (RFC 3261 §17). */
  reliable = false;

  /** @internal */
  machine = 0;
  /** @internal */
  stateIndex = 0;
  /** @internal the timer that repeats something: its event (0: none), when, and the interval that led there */
  repeatEvent = 0;
  /** @internal */
  repeatAt = Infinity;
  /** @internal */
  repeatInterval = 0;
  /** @internal the timer that ends a state */
  endEvent = 0;
  /** @internal */
  endAt = Infinity;
  /** @internal the request as sent or received, while it may be needed */
  request: ByteSlot | undefined = undefined;
  /** @internal */
  requestLength = 0;
  /** @internal the last response sent, or the ACK */
  answer: ByteSlot | undefined = undefined;
  /** @internal */
  answerLength = 0;
  /** @internal hash and bytes of the key */
  hash = 0;
  /** @internal */
  keyLength = 0;
  /** @internal where the key is: this record's part of a page, or an array of its own if it is long */
  keyBytes: Uint8Array;
  /** @internal */
  keyStart: number;
  /** @internal */
  longKey: Uint8Array | undefined = undefined;
  /** @internal the next record in the same bucket */
  bucketNext: Transaction | undefined = undefined;

  readonly #sink: TimerSink;

  constructor(sink: TimerSink, keyBytes: Uint8Array, keyStart: number) {
    super();
    this.#sink = sink;
    this.keyBytes = keyBytes;
    this.keyStart = keyStart;
  }

  /** Which of the four machines it runs. */
  get kind(): MachineName {
    return COMPILED_MACHINES[this.machine].name;
  }

  /** The state it is in. */
  get state(): StateName {
    return STATE_NAMES[this.stateIndex];
  }

  /** @internal */
  override onTimer(now: number): void {
    this.#sink.timerFired(this, now);
  }

  /** @internal forgets what concerns its user, before it goes back to the pool */
  forget(): void {
    this.context = undefined;
    this.to = NOWHERE;
    this.longKey = undefined;
  }
}

/** A transaction of a request that was sent. */
export class ClientTransaction extends Transaction {
  readonly role = "client";
  /** @internal a CANCEL is wanted and waits for the first provisional response (RFC 3261 §9.1) */
  cancelWanted = false;

  override forget(): void {
    super.forget();
    this.cancelWanted = false;
  }
}

/** A transaction of a request that was received. */
export class ServerTransaction extends Transaction {
  readonly role = "server";
  /** Where the request came from; `to` may have another port (RFC 3261 §18.2.2). */
  from: Address = NOWHERE;
  /** @internal To tags of the request and of the last response: used to match requests of RFC 2543 only */
  requestTag = "";
  /** @internal */
  answerTag = "";
  /** @internal matched by the rules for RFC 2543 */
  old = false;

  override forget(): void {
    super.forget();
    this.from = NOWHERE;
    this.requestTag = this.answerTag = "";
    this.old = false;
  }
}
