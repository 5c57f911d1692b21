/** Timers of objects: a {@linkcode FlatTimerWheel} whose entries stand for the objects that wait. */
import { ENTRY_WORDS, FlatTimerWheel, TICK_MS, type TimerSink } from "./flat_timer_wheel.ts";

export { TICK_MS };

/** What can wait in a wheel: extend it. One entry waits for one moment at a time. */
export abstract class TimerEntry {
  /** @internal its place in the wheel where it waits; 0: it does not */
  wheelPlace = 0;

  /** Whether it waits in a wheel. */
  get scheduled(): boolean {
    return this.wheelPlace !== 0;
  }

  /**
   * The moment has come. The entry is out of the wheel by then and may be scheduled again.
   *
   * @param now the time given to {@linkcode TimerWheel.advance}, in milliseconds
   */
  abstract onTimer(now: number): void;
}

/**
 * Timers with a resolution of 10 ms: never early, at most one tick late.
 *
 * @example
 * ```ts
 * import { TimerEntry, TimerWheel } from "./timer_wheel.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const fired: number[] = [];
 * class Alarm extends TimerEntry {
 *   override onTimer(now: number): void {
 *     fired.push(now);
 *   }
 * }
 * const wheel = new TimerWheel(1000);
 * const alarm = new Alarm();
 * wheel.schedule(alarm, 1500);
 * assertEquals(wheel.nextDue(), 1500);
 * wheel.advance(1490);
 * wheel.advance(1500);
 * assertEquals(fired, [1500]);
 * ```
 */
export class TimerWheel implements TimerSink {
  readonly #wheel: FlatTimerWheel;
  /** Who waits at which place; place 0 is nobody's. */
  readonly #waiting: (TimerEntry | undefined)[] = [undefined];
  readonly #free: number[] = [];

  /** @param now the present time in milliseconds: where the wheel starts */
  constructor(now: number) {
    this.#wheel = new FlatTimerWheel(new Int32Array(64 * ENTRY_WORDS), this, now);
  }

  /** How many entries wait. */
  get size(): number {
    return this.#wheel.size;
  }

  /**
   * Lets `entry` fire at `at` (milliseconds, same clock as `advance`), instead of any earlier appointment. A moment
   * that is past already means the next tick.
   *
   * @throws RangeError if `at` is not a finite number, or more than 248 days ahead
   */
  schedule(entry: TimerEntry, at: number): void {
    if (entry.wheelPlace !== 0) return this.#wheel.schedule(entry.wheelPlace, at);
    const place = this.#free.pop() ?? this.#newPlace();
    try {
      this.#wheel.schedule(place, at);
    } catch (error) {
      this.#free.push(place);
      throw error;
    }
    entry.wheelPlace = place;
    this.#waiting[place / ENTRY_WORDS] = entry;
  }

  /** Takes `entry` out. It is no error if it does not wait. */
  cancel(entry: TimerEntry): void {
    if (entry.wheelPlace === 0) return;
    this.#wheel.cancel(entry.wheelPlace);
    this.#leave(entry, entry.wheelPlace);
  }

  /**
   * Fires everything that is due at `now`, tick by tick in order. The entries may schedule and cancel any entry
   * meanwhile. A clock that jumps far ahead costs no more than the timers that are due; one that goes back is ignored.
   *
   * @throws Error if called by an entry while it fires
   */
  advance(now: number): void {
    this.#wheel.advance(now);
  }

  /** When to call {@linkcode advance} next: see {@linkcode FlatTimerWheel.nextDue}. */
  nextDue(): number | undefined {
    return this.#wheel.nextDue();
  }

  /** @internal called by the flat wheel */
  timerFired(place: number, now: number): void {
    const entry = this.#waiting[place / ENTRY_WORDS]!;
    this.#leave(entry, place);
    entry.onTimer(now);
  }

  #leave(entry: TimerEntry, place: number): void {
    entry.wheelPlace = 0;
    this.#waiting[place / ENTRY_WORDS] = undefined;
    this.#free.push(place);
  }

  #newPlace(): number {
    const place = this.#waiting.length * ENTRY_WORDS;
    const { words } = this.#wheel;
    if (place + ENTRY_WORDS > words.length) {
      this.#wheel.words = new Int32Array(words.length * 2);
      this.#wheel.words.set(words);
    }
    this.#waiting.push(undefined);
    return place;
  }
}
