/**
 * A hierarchical timer wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", scheme 7): starting and
 * stopping a timer costs the same however many run, and nothing is allocated, since the records that wait are
 * linked through their own fields. Three levels of 256 slots: 10 ms, 2.56 s and 11 min per slot.
 */

/** The length of a tick in milliseconds: the resolution of every timer. */
export const TICK_MS = 10;

const LEVELS = 3;
const SLOTS = 256;
const WORDS = SLOTS / 32;
/** The furthest that a timer can be filed at once (46 hours); a later one is filed there and looked at again. */
const HORIZON = SLOTS ** LEVELS - 1;

/** What can wait in a wheel: extend it. One entry waits for one moment at a time. */
export abstract class TimerEntry {
  /** @internal the tick at which it fires */
  wheelTick = 0;
  /** @internal level · 256 + slot where it waits, or -1 */
  wheelSlot = -1;
  /** @internal */
  wheelNext: TimerEntry | undefined = undefined;
  /** @internal */
  wheelPrevious: TimerEntry | undefined = undefined;

  /** Whether it waits in a wheel. */
  get scheduled(): boolean {
    return this.wheelSlot >= 0;
  }

  /**
   * The moment has come. The entry is out of the wheel by then and may be scheduled again.
   *
   * @param now the time given to {@linkcode TimerWheel.advance}, in milliseconds
   */
  abstract onTimer(now: number): void;
}

/** The head of a slot's ring; never fires. */
class Head extends TimerEntry {
  override onTimer(): void {}
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
export class TimerWheel {
  readonly #origin: number;
  #current = 0;
  #size = 0;
  #advancing = false;
  readonly #heads: Head[] = [];
  /** One bit per slot that holds something, so that empty stretches are skipped. */
  readonly #occupied = new Uint32Array(LEVELS * WORDS);

  /** @param now the present time in milliseconds: where the wheel starts */
  constructor(now: number) {
    // A whole number, so that the ticks that nextDue names are met exactly.
    this.#origin = Math.floor(now);
    for (let i = 0; i < LEVELS * SLOTS; i++) {
      const head = new Head();
      head.wheelNext = head;
      head.wheelPrevious = head;
      this.#heads.push(head);
    }
  }

  /** How many entries wait. */
  get size(): number {
    return this.#size;
  }

  /**
   * Lets `entry` fire at `at` (milliseconds, same clock as `advance`), instead of any earlier appointment. A moment
   * that is past already means the next tick.
   *
   * @throws RangeError if `at` is not a finite number
   */
  schedule(entry: TimerEntry, at: number): void {
    if (!Number.isFinite(at)) throw new RangeError(`a timer cannot fire at ${at}`);
    if (entry.wheelSlot >= 0) this.#unlink(entry);
    else this.#size++;
    const tick = Math.ceil((at - this.#origin) / TICK_MS);
    entry.wheelTick = tick > this.#current ? tick : this.#current + 1;
    this.#file(entry);
  }

  /** Takes `entry` out. It is no error if it does not wait. */
  cancel(entry: TimerEntry): void {
    if (entry.wheelSlot < 0) return;
    this.#unlink(entry);
    this.#size--;
  }

  /**
   * Fires everything that is due at `now`, tick by tick in order. The entries may schedule and cancel any entry
   * meanwhile. A clock that jumps far ahead costs no more than the timers that are due; one that goes back is ignored.
   *
   * @throws Error if called by an entry while it fires
   */
  advance(now: number): void {
    if (this.#advancing) throw new Error("TimerWheel.advance called from a timer");
    const target = Math.floor((now - this.#origin) / TICK_MS);
    this.#advancing = true;
    try {
      while (this.#current < target) {
        const tick = this.#nextTick();
        if (tick === undefined || tick > target) {
          this.#current = target;
          break;
        }
        this.#current = tick;
        if ((tick & 0xff) === 0) {
          if ((tick & 0xffff) === 0) this.#refile(2, (tick >>> 16) & 0xff);
          this.#refile(1, (tick >>> 8) & 0xff);
        }
        // No entry can be filed here meanwhile: a new one is at least one tick and at most 255 away on this level.
        const head = this.#heads[tick & 0xff];
        for (let entry = head.wheelNext!; entry !== head; entry = head.wheelNext!) {
          this.#unlink(entry);
          this.#size--;
          entry.onTimer(now);
        }
      }
    } finally {
      this.#advancing = false;
    }
  }

  /**
   * When to call {@linkcode advance} next (milliseconds), or undefined if nothing waits. It is exact for what is due within
   * 2.5 s and otherwise not later than the first timer: the wheel then needs a moment to move far timers nearer.
   */
  nextDue(): number | undefined {
    const tick = this.#nextTick();
    return tick === undefined ? undefined : this.#origin + tick * TICK_MS;
  }

  /** The next tick after the current one at which an entry fires or a slot of a higher level is refiled. */
  #nextTick(): number | undefined {
    if (this.#size === 0) return undefined;
    const current = this.#current;
    let next = Infinity;
    // Shifts work on a number of any size here: they take it modulo 2^32, and a slot needs its low 24 bits only.
    const near = this.#distance(0, current & 0xff);
    if (near > 0) next = current + near;
    const middle = this.#distance(1, (current >>> 8) & 0xff);
    if (middle > 0) next = Math.min(next, current - (current & 0xff) + middle * SLOTS);
    const far = this.#distance(2, (current >>> 16) & 0xff);
    if (far > 0) next = Math.min(next, current - (current & 0xffff) + far * SLOTS * SLOTS);
    return next;
  }

  /** Slots from `slot` to the next one of `level` that holds something: 1 … 256, or 0 if none does. */
  #distance(level: number, slot: number): number {
    const base = level * WORDS;
    const first = (slot + 1) & 0xff;
    for (let i = 0; i <= WORDS; i++) {
      const word = ((first >>> 5) + i) % WORDS;
      let bits = this.#occupied[base + word];
      if (i === 0) bits &= -1 << (first & 31);
      // The last round sees the part of the first word that lies before `first`.
      if (i === WORDS) bits &= ~(-1 << (first & 31));
      if (bits !== 0) {
        const found = word * 32 + 31 - Math.clz32(bits & -bits);
        return ((found - first) & 0xff) + 1;
      }
    }
    return 0;
  }

  #file(entry: TimerEntry): void {
    const delta = entry.wheelTick - this.#current;
    let slot: number;
    if (delta < SLOTS) slot = entry.wheelTick & 0xff;
    else if (delta < SLOTS * SLOTS) slot = SLOTS + ((entry.wheelTick >>> 8) & 0xff);
    else {
      const tick = delta <= HORIZON ? entry.wheelTick : this.#current + HORIZON;
      slot = 2 * SLOTS + ((tick >>> 16) & 0xff);
    }
    const head = this.#heads[slot];
    const last = head.wheelPrevious!;
    entry.wheelSlot = slot;
    entry.wheelNext = head;
    entry.wheelPrevious = last;
    last.wheelNext = entry;
    head.wheelPrevious = entry;
    this.#occupied[slot >>> 5] |= 1 << (slot & 31);
  }

  #unlink(entry: TimerEntry): void {
    const next = entry.wheelNext!;
    const previous = entry.wheelPrevious!;
    previous.wheelNext = next;
    next.wheelPrevious = previous;
    if (next === previous) {
      // Only the head is left.
      const slot = entry.wheelSlot;
      this.#occupied[slot >>> 5] &= ~(1 << (slot & 31));
    }
    entry.wheelNext = undefined;
    entry.wheelPrevious = undefined;
    entry.wheelSlot = -1;
  }

  /** Files the entries of a higher slot again, now that they are nearer. */
  #refile(level: number, index: number): void {
    const head = this.#heads[level * SLOTS + index];
    // What is put back into this very slot (it cannot happen within the horizon) would come behind `last`.
    const last = head.wheelPrevious!;
    if (last === head) return;
    for (let entry = head.wheelNext!;; entry = head.wheelNext!) {
      this.#unlink(entry);
      this.#file(entry);
      if (entry === last) return;
    }
  }
}
