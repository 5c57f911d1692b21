/** The two timers of a transaction: one that repeats something, one that ends a state. They share its place in the wheel. */
import type { FlatTimerWheel } from "./flat_timer_wheel.ts";
import type { SipTimers } from "./timers.ts";
import type { TransactionId } from "./transaction.ts";
import { COMPILED_MACHINES, eventNumber, stateNumber } from "./transaction_machine.ts";
import {
  BYTE_SHIFT,
  DOUBLINGS,
  END_EVENT,
  END_TICK,
  FLAGS,
  MACHINE,
  OWN_TIMER,
  RECORD_SHIFT,
  RELIABLE,
  REPEAT_EVENT,
  REPEAT_TICK,
  STATE,
  type TransactionTable,
} from "./transaction_table.ts";
import { EVENT_NAMES, type EventName } from "./transaction_tables.ts";

const PROCEEDING = stateNumber("Proceeding");
/** An interval that was doubled so often from 1 ms has no end: it is longer than any timer that ends a state. */
const MOST_DOUBLINGS = 30;

/** Starts, repeats and stops the timers of transactions as the tables say. */
export class TransactionTimers {
  readonly #wheel: FlatTimerWheel;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #t2: number;
  /** Per timer event: its duration over an unreliable and over a reliable transport; Infinity: it does not start. */
  readonly #durations = new Float64Array(EVENT_NAMES.length * 2).fill(Infinity);

  /** @param trying the wait before an automatic 100; Infinity for none */
  constructor(wheel: FlatTimerWheel, table: TransactionTable, timers: SipTimers, trying: number) {
    this.#wheel = wheel;
    this.#words = table.words;
    this.#bytes = table.bytes;
    this.#t2 = timers.t2;
    const set = (name: EventName, unreliable: number, reliable: number): void => {
      this.#durations[eventNumber(name) * 2] = unreliable;
      this.#durations[eventNumber(name) * 2 + 1] = reliable;
    };
    // RFC 3261 table 4: over a reliable transport nothing is repeated, and nothing repeated is waited for.
    set("timer A", timers.a, Infinity);
    set("timer B", timers.b, timers.b);
    set("timer D", timers.d, 0);
    set("timer E", timers.e, Infinity);
    set("timer F", timers.f, timers.f);
    set("timer G", timers.g, Infinity);
    set("timer H", timers.h, timers.h);
    set("timer I", timers.i, 0);
    set("timer J", timers.j, 0);
    set("timer K", timers.k, 0);
    set("timer L", timers.l, timers.l);
    set("timer M", timers.m, timers.m);
    set("timer trying", trying, trying);
  }

  /** The event of the timer that is due, which is stopped by that; 0 if none is. */
  take(tx: TransactionId, now: number): number {
    const bytes = this.#bytes;
    const at = tx << BYTE_SHIFT;
    const reached = this.#wheel.tickReached(now);
    const end = bytes[at + END_EVENT];
    if (end !== 0 && this.#isReached(tx, END_TICK, reached)) {
      bytes[at + END_EVENT] = 0;
      return end;
    }
    const repeat = bytes[at + REPEAT_EVENT];
    if (repeat !== 0 && this.#isReached(tx, REPEAT_TICK, reached)) {
      bytes[at + REPEAT_EVENT] = 0;
      return repeat;
    }
    return 0;
  }

  /** Stops what ran before and starts what belongs to the state. */
  start(tx: TransactionId, now: number): void {
    const bytes = this.#bytes;
    const at = tx << BYTE_SHIFT;
    const machine = COMPILED_MACHINES[bytes[at + MACHINE]];
    const state = bytes[at + STATE];
    const row = (bytes[at + FLAGS] & RELIABLE) === 0 ? 0 : 1;
    let repeat = machine.startsRepeat[state];
    let end = machine.startsEnd[state];
    if (repeat !== 0) {
      const wait = this.#durations[repeat * 2 + row];
      if (wait === Infinity) repeat = 0;
      else this.#words[(tx << RECORD_SHIFT) + REPEAT_TICK] = this.#wheel.tickAt(now + wait);
    }
    if (end !== 0) {
      const wait = this.#durations[end * 2 + row];
      if (wait === Infinity) end = 0;
      else this.#words[(tx << RECORD_SHIFT) + END_TICK] = this.#wheel.tickAt(now + wait);
    }
    bytes[at + REPEAT_EVENT] = repeat;
    bytes[at + END_EVENT] = end;
    bytes[at + DOUBLINGS] = 0;
    this.arm(tx);
  }

  /** Timer A again (RFC 3261 §17.1.1.2): doubled without a limit. */
  repeatA(tx: TransactionId, event: number, now: number): void {
    this.#repeat(tx, event, this.#doubled(tx, event), now);
  }

  /** Timer E again (§17.1.2.2): doubled up to T2 in Trying, T2 at once in Proceeding. */
  repeatE(tx: TransactionId, event: number, now: number): void {
    const interval = Math.min(this.#doubled(tx, event), this.#t2);
    const proceeding = this.#bytes[(tx << BYTE_SHIFT) + STATE] === PROCEEDING;
    this.#repeat(tx, event, proceeding ? this.#t2 : interval, now);
  }

  /** Timer G again (§17.2.1): doubled up to T2. */
  repeatG(tx: TransactionId, event: number, now: number): void {
    this.#repeat(tx, event, Math.min(this.#doubled(tx, event), this.#t2), now);
  }

  /** Stops the repeating timer. */
  stopRepeating(tx: TransactionId): void {
    this.#bytes[(tx << BYTE_SHIFT) + REPEAT_EVENT] = 0;
    this.arm(tx);
  }

  /** Lets the entry wait for its earlier timer, or not at all. */
  arm(tx: TransactionId): void {
    const words = this.#words;
    const at = tx << RECORD_SHIFT;
    const repeats = this.#bytes[(tx << BYTE_SHIFT) + REPEAT_EVENT] !== 0;
    const ends = this.#bytes[(tx << BYTE_SHIFT) + END_EVENT] !== 0;
    const wheel = this.#wheel;
    if (!repeats && !ends) return wheel.cancel(at + OWN_TIMER);
    let tick = words[at + END_TICK];
    // Ticks are compared modulo 2^32.
    if (!ends || (repeats && ((words[at + REPEAT_TICK] - tick) | 0) < 0)) tick = words[at + REPEAT_TICK];
    wheel.scheduleTick(at + OWN_TIMER, tick);
  }

  #isReached(tx: TransactionId, column: number, reached: number): boolean {
    return ((this.#words[(tx << RECORD_SHIFT) + column] - reached) | 0) <= 0;
  }

  /** The interval of a timer over an unreliable transport (over another none repeats), once more doubled. */
  #doubled(tx: TransactionId, event: number): number {
    const at = (tx << BYTE_SHIFT) + DOUBLINGS;
    const doublings = Math.min(this.#bytes[at] + 1, MOST_DOUBLINGS);
    this.#bytes[at] = doublings;
    return this.#durations[event * 2] * (1 << doublings);
  }

  #repeat(tx: TransactionId, event: number, interval: number, now: number): void {
    this.#bytes[(tx << BYTE_SHIFT) + REPEAT_EVENT] = event;
    this.#words[(tx << RECORD_SHIFT) + REPEAT_TICK] = this.#wheel.tickAt(now + interval);
    this.arm(tx);
  }
}
