/**
 * Locks in shared memory, a word each: 0 is free, else the ticket of the holder. What they guard takes less than a
 * microsecond and throws nothing, so a lock that one holder keeps for long belongs to a thread that was ended within.
 */

/** A word whose holder was lost, and what it guards with it. */
export const BROKEN = -1;
/** Looks at a held lock before the thread begins to sleep between them. */
const SPINS = 256;
/** How long one sleeps between two looks, ms. */
const SLEEP_MS = 1;
/** Sleeps after which the holder counts as lost: what is abandoned for good (a user) ... */
const PATIENCE = 100;
/** ... and what is repaired and used again, where a holder that comes back could do harm: far above any pause of a thread. */
const LONG_PATIENCE = 3000;
/** Bits of a ticket that count; those above say whose it is. */
const COUNT_BITS = 20;
/** Numbers of threads: 1 up to this. */
export const MAX_OWNER = 2047;

/** Takes and gives back locks for one thread. */
export class WordLock {
  /** Whether the last {@linkcode takeOver} took a lock from a holder that was lost. */
  recovered = false;
  #count = 0;

  /**
   * @param owner number of the thread, 1 … 2047
   * @param patience sleeps of a millisecond before {@linkcode take} gives a lock up
   * @param longPatience the same for {@linkcode takeOver}
   */
  constructor(
    private readonly owner: number,
    private readonly patience: number = PATIENCE,
    private readonly longPatience: number = LONG_PATIENCE,
  ) {}

  /**
   * Takes a lock for good or not at all.
   *
   * @returns the ticket to give it back with; 0 when its holder was lost, so that it is broken
   */
  take(words: Int32Array, at: number): number {
    const ticket = this.#ticket();
    if (Atomics.compareExchange(words, at, 0, ticket) === 0) return ticket;
    for (;;) {
      const lost = wait(words, at, ticket, this.patience);
      if (lost === 0) return ticket;
      if (lost === BROKEN || Atomics.compareExchange(words, at, lost, BROKEN) === lost) return 0;
    }
  }

  /**
   * Takes a lock, after long waiting from a holder that was lost: then {@linkcode recovered} is set, and the caller
   * puts in order what the lock guards.
   *
   * @returns the ticket to give it back with
   */
  takeOver(words: Int32Array, at: number): number {
    const ticket = this.#ticket();
    this.recovered = false;
    if (Atomics.compareExchange(words, at, 0, ticket) === 0) return ticket;
    for (;;) {
      const lost = wait(words, at, ticket, this.longPatience);
      if (lost === 0) return ticket;
      if (Atomics.compareExchange(words, at, lost, ticket) === lost) {
        this.recovered = true;
        return ticket;
      }
    }
  }

  /** Gives a lock back, unless it was broken meanwhile. */
  release(words: Int32Array, at: number, ticket: number): void {
    Atomics.compareExchange(words, at, ticket, 0);
  }

  /** A number that tells this holding from all others: a lock may be taken often while another thread waits. */
  #ticket(): number {
    this.#count = (this.#count + 1) & ((1 << COUNT_BITS) - 1);
    return (this.owner << COUNT_BITS) | this.#count;
  }
}

/** Waits for a lock. Returns 0 when it is taken, else the ticket (or {@linkcode BROKEN}) that stood there too long. */
function wait(words: Int32Array, at: number, ticket: number, patience: number): number {
  let seen = 0;
  let looks = 0;
  let sleeps = 0;
  for (;;) {
    const holder = Atomics.compareExchange(words, at, 0, ticket);
    if (holder === 0 || holder === BROKEN) return holder;
    if (holder !== seen) {
      seen = holder;
      looks = sleeps = 0;
    } else if (++looks > SPINS) {
      if (sleeps++ === patience) return holder;
      Atomics.wait(words, at, holder, SLEEP_MS);
    }
  }
}
