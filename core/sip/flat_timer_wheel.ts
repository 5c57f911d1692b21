/**
 * A hierarchical timer wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", scheme 7): starting and
 * stopping a timer costs the same however many run, and nothing is allocated, since what waits is linked through words
 * of an array that its owner lays out. Three levels of slots: 4096 of 10 ms, so that what waits for 32 s (nearly all timers
 * of a busy SIP element) is never moved; 256 of 41 s; 256 of 3 hours.
 */

/** The length of a tick in milliseconds: the resolution of every timer. */
export const TICK_MS = 10;
/** Words that an entry takes: next, previous, tick. */
export const ENTRY_WORDS = 3;

/** Slots of the levels, one slot's length on them in ticks as a shift, and where their slots begin among all. */
const NEAR_SLOTS = 4096;
const FAR_SLOTS = 256;
const MIDDLE_SHIFT = 12;
const FAR_SHIFT = 20;
const MIDDLE = NEAR_SLOTS;
const FAR = NEAR_SLOTS + FAR_SLOTS;
const ALL_SLOTS = NEAR_SLOTS + 2 * FAR_SLOTS;
/** The furthest that a timer can be filed at once (31 days); a later one is filed there and looked at again. */
const HORIZON = 2 ** 28 - 1;
/** The furthest that a timer can be set, in ticks (248 days): ticks are kept modulo 2^32. */
const FURTHEST = 2 ** 31 - 1;

/** What acts when a timer fires. */
export interface TimerSink {
  /**
   * The moment has come. The entry is out of the wheel by then and may be scheduled again.
   *
   * @param place the entry: the first of its words
   * @param now the time given to {@linkcode FlatTimerWheel.advance}, in milliseconds
   */
  timerFired(place: number, now: number): void;
}

/**
 * Timers with a resolution of 10 ms: never early, at most one tick late. An entry is three words of `words` at a place above 0;
 * it waits for one moment at a time. Zeros are an entry that does not wait.
 */
export class FlatTimerWheel {
  /**
   * Where the entries are: [next, previous, tick] each. Next and previous are places, or ~slot at either end of a slot's
   * list; next is 0 where the entry does not wait. May be replaced by a longer copy.
   */
  words: Int32Array;
  readonly #origin: number;
  readonly #sink: TimerSink;
  /** The tick that was reached: a whole number of any size. */
  #current = 0;
  #size = 0;
  #advancing = false;
  /** Per slot, its first and its last entry; 0: none. */
  readonly #first = new Int32Array(ALL_SLOTS);
  readonly #last = new Int32Array(ALL_SLOTS);
  /** One bit per slot that holds something, so that empty stretches are skipped. */
  readonly #occupied = new Int32Array(ALL_SLOTS / 32);

  /** @param now the present time in milliseconds: where the wheel starts */
  constructor(words: Int32Array, sink: TimerSink, now: number) {
    this.words = words;
    this.#sink = sink;
    // A whole number, so that the ticks that nextDue names are met exactly.
    this.#origin = Math.floor(now);
  }

  /** How many entries wait. */
  get size(): number {
    return this.#size;
  }

  /** Whether an entry waits. */
  scheduled(place: number): boolean {
    return this.words[place] !== 0;
  }

  /** The first tick that is not before `time` (milliseconds), modulo 2^32. */
  tickAt(time: number): number {
    return Math.ceil((time - this.#origin) / TICK_MS) | 0;
  }

  /** The last tick that is not after `time`, modulo 2^32: what is due by then. */
  tickReached(time: number): number {
    return Math.floor((time - this.#origin) / TICK_MS) | 0;
  }

  /**
   * Lets an entry fire at `at` (milliseconds, same clock as `advance`), instead of any earlier appointment. A moment
   * that is past already means the next tick.
   *
   * @throws RangeError if `at` is not a finite number, or more than 248 days ahead
   */
  schedule(place: number, at: number): void {
    const tick = Math.ceil((at - this.#origin) / TICK_MS);
    // NaN fails too.
    if (!(tick - this.#current <= FURTHEST) || tick === -Infinity) {
      throw new RangeError(`a timer cannot fire at ${at}`);
    }
    this.scheduleTick(place, (tick > this.#current ? tick : this.#current + 1) | 0);
  }

  /** The same by a tick modulo 2^32, from {@linkcode tickAt} of a time less than 248 days from the last `advance`. */
  scheduleTick(place: number, tick: number): void {
    if (this.words[place] !== 0) this.#unlink(place);
    else this.#size++;
    const ahead = (tick - this.#current) | 0;
    this.words[place + 2] = ahead > 0 ? tick : (this.#current + 1) | 0;
    this.#file(place);
  }

  /** Takes an entry out. It is no error if it does not wait. */
  cancel(place: number): void {
    if (this.words[place] === 0) return;
    this.#unlink(place);
    this.#size--;
  }

  /**
   * Fires everything that is due at `now`, tick by tick in order. The sink may schedule and cancel any entry
   * meanwhile. A clock that jumps far ahead costs no more than the timers that are due; one that goes back is ignored.
   *
   * @throws Error if called while an entry fires
   */
  advance(now: number): void {
    if (this.#advancing) throw new Error("TimerWheel.advance called from a timer");
    const target = Math.floor((now - this.#origin) / TICK_MS);
    this.#advancing = true;
    try {
      while (this.#current < target) {
        const tick = this.#nextTick();
        if (tick > target) {
          this.#current = target;
          break;
        }
        this.#current = tick;
        if ((tick & (NEAR_SLOTS - 1)) === 0) {
          if ((tick & ((1 << FAR_SHIFT) - 1)) === 0) this.#refile(FAR + ((tick >>> FAR_SHIFT) & 0xff));
          this.#refile(MIDDLE + ((tick >>> MIDDLE_SHIFT) & 0xff));
        }
        // No entry can be filed here meanwhile: a new one is at least one tick and at most 4095 away on this level.
        const slot = tick & (NEAR_SLOTS - 1);
        for (let place = this.#first[slot]; place !== 0; place = this.#first[slot]) {
          this.#unlink(place);
          this.#size--;
          this.#sink.timerFired(place, now);
        }
      }
    } finally {
      this.#advancing = false;
    }
  }

  /**
   * When to call {@linkcode advance} next (milliseconds), or undefined if nothing waits. It is exact for what is due within
   * 40 s and otherwise not later than the first timer: the wheel then needs a moment to move far timers nearer.
   */
  nextDue(): number | undefined {
    return this.#size === 0 ? undefined : this.#origin + this.#nextTick() * TICK_MS;
  }

  /** The next tick after the current one at which an entry fires or a slot of a higher level is refiled; Infinity: none. */
  #nextTick(): number {
    if (this.#size === 0) return Infinity;
    const current = this.#current;
    let next = Infinity;
    // Shifts work on a number of any size here: they take it modulo 2^32, and a slot needs its low 28 bits only.
    const near = this.#distance(0, NEAR_SLOTS, current & (NEAR_SLOTS - 1));
    if (near > 0) next = current + near;
    const middle = this.#distance(MIDDLE, FAR_SLOTS, (current >>> MIDDLE_SHIFT) & 0xff);
    if (middle > 0) {
      const start = current - (current & (NEAR_SLOTS - 1));
      next = Math.min(next, start + middle * (1 << MIDDLE_SHIFT));
    }
    const far = this.#distance(FAR, FAR_SLOTS, (current >>> FAR_SHIFT) & 0xff);
    if (far > 0) {
      const start = current - (current & ((1 << FAR_SHIFT) - 1));
      next = Math.min(next, start + far * (1 << FAR_SHIFT));
    }
    return next;
  }

  /** Slots from `slot` to the next one of its level that holds something: 1 … `slots`, or 0 if none does. */
  #distance(level: number, slots: number, slot: number): number {
    const base = level >>> 5;
    const words = slots >>> 5;
    const first = (slot + 1) & (slots - 1);
    for (let i = 0; i <= words; i++) {
      const word = ((first >>> 5) + i) & (words - 1);
      let bits = this.#occupied[base + word];
      if (i === 0) bits &= -1 << (first & 31);
      // The last round sees the part of the first word that lies before `first`.
      if (i === words) bits &= ~(-1 << (first & 31));
      if (bits !== 0) {
        const found = word * 32 + 31 - Math.clz32(bits & -bits);
        return ((found - first) & (slots - 1)) + 1;
      }
    }
    return 0;
  }

  #file(place: number): void {
    const { words } = this;
    const tick = words[place + 2];
    const ahead = (tick - this.#current) | 0;
    let slot: number;
    if (ahead < NEAR_SLOTS) slot = tick & (NEAR_SLOTS - 1);
    else if (ahead < 1 << FAR_SHIFT) slot = MIDDLE + ((tick >>> MIDDLE_SHIFT) & 0xff);
    else slot = FAR + (((ahead <= HORIZON ? tick : this.#current + HORIZON) >>> FAR_SHIFT) & 0xff);
    const last = this.#last[slot];
    words[place] = ~slot;
    if (last === 0) {
      words[place + 1] = ~slot;
      this.#first[slot] = place;
      this.#occupied[slot >>> 5] |= 1 << (slot & 31);
    } else {
      words[place + 1] = last;
      words[last] = place;
    }
    this.#last[slot] = place;
  }

  #unlink(place: number): void {
    const { words } = this;
    const next = words[place];
    const previous = words[place + 1];
    if (previous > 0) words[previous] = next;
    else this.#first[~previous] = next > 0 ? next : 0;
    if (next > 0) words[next + 1] = previous;
    else {
      this.#last[~next] = previous > 0 ? previous : 0;
      if (previous < 0) this.#occupied[~next >>> 5] &= ~(1 << (~next & 31));
    }
    words[place] = 0;
  }

  /** Files the entries of a higher slot again, now that they are nearer. */
  #refile(slot: number): void {
    // What is put back into this very slot (it cannot happen within the horizon) would come behind `last`.
    const last = this.#last[slot];
    if (last === 0) return;
    for (let place = this.#first[slot];; place = this.#first[slot]) {
      this.#unlink(place);
      this.#file(place);
      if (place === last) return;
    }
  }
}
