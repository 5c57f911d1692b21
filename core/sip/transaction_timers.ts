/** The two timers of a transaction record: one that repeats something, one that ends a state. They share its place in the wheel. */
import type { SipTimers } from "./timers.ts";
import type { TimerWheel } from "./timer_wheel.ts";
import type { Transaction } from "./transaction.ts";
import { COMPILED_MACHINES, eventNumber, stateNumber } from "./transaction_machine.ts";
import { EVENT_NAMES, type EventName } from "./transaction_tables.ts";

const PROCEEDING = stateNumber("Proceeding");

/** Starts, repeats and stops the timers of records as the tables say. */
export class TransactionTimers {
  readonly t2: number;
  readonly #wheel: TimerWheel;
  /** Per timer event: its duration over an unreliable and over a reliable transport; Infinity: it does not start. */
  readonly #durations = new Float64Array(EVENT_NAMES.length * 2).fill(Infinity);

  /** @param trying the wait before an automatic 100; Infinity for none */
  constructor(wheel: TimerWheel, timers: SipTimers, trying: number) {
    this.#wheel = wheel;
    this.t2 = timers.t2;
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
  take(record: Transaction, now: number): number {
    let event = 0;
    if (record.endAt <= now) {
      event = record.endEvent;
      record.endEvent = 0;
      record.endAt = Infinity;
    } else if (record.repeatAt <= now) {
      event = record.repeatEvent;
      record.repeatEvent = 0;
      record.repeatAt = Infinity;
    }
    return event;
  }

  /** Stops what ran before and starts what belongs to the state. */
  start(record: Transaction, now: number): void {
    const machine = COMPILED_MACHINES[record.machine];
    const row = record.reliable ? 1 : 0;
    const repeat = machine.startsRepeat[record.stateIndex];
    const end = machine.startsEnd[record.stateIndex];
    record.repeatEvent = repeat;
    record.repeatInterval = repeat === 0 ? Infinity : this.#durations[repeat * 2 + row];
    record.repeatAt = now + record.repeatInterval;
    record.endEvent = end;
    record.endAt = end === 0 ? Infinity : now + this.#durations[end * 2 + row];
    this.arm(record);
  }

  /** Timer E again (RFC 3261 §17.1.2.2): doubled up to T2 in Trying, T2 at once in Proceeding. */
  repeatE(record: Transaction, event: number, now: number): void {
    const doubled = record.repeatInterval * 2;
    const interval = record.stateIndex === PROCEEDING || doubled > this.t2 ? this.t2 : doubled;
    this.repeat(record, event, interval, now);
  }

  /** Starts the repeating timer. */
  repeat(record: Transaction, event: number, interval: number, now: number): void {
    record.repeatEvent = event;
    record.repeatInterval = interval;
    record.repeatAt = now + interval;
    this.arm(record);
  }

  /** Puts the record where its earlier timer is. */
  arm(record: Transaction): void {
    const at = record.repeatAt < record.endAt ? record.repeatAt : record.endAt;
    if (at === Infinity) this.#wheel.cancel(record);
    else this.#wheel.schedule(record, at);
  }
}
