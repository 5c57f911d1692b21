/** How many datagrams come per millisecond, over a short time: whether waiting for more is worth its delay. */

/** Length of a measurement, ms: longer than one call's handful of messages, so that a lone call is not held up. */
const WINDOW_MS = 16;

/** The rate of the last full window. */
export class ArrivalRate {
  #count = 0;
  #since: number;
  #perMs = 0;

  /** @param now milliseconds */
  constructor(now: number) {
    this.#since = now;
  }

  /** Notes that `count` datagrams have come. */
  note(count: number, now: number): void {
    this.#count += count;
    const elapsed = now - this.#since;
    if (elapsed < WINDOW_MS) return;
    this.#perMs = this.#count / elapsed;
    this.#count = 0;
    this.#since = now;
  }

  /** Datagrams per millisecond. */
  get perMs(): number {
    return this.#perMs;
  }
}
