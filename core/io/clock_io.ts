/** The clock and the randomness of a real process. */
import type { Random } from "../random.ts";

/** What a worker adds to its own clock, which begins with the worker. */
let ahead = 0;

/** The time in milliseconds of the process's monotonic clock; in workers, see {@linkcode setClockAhead}. */
export function now(): number {
  return performance.now() + ahead;
}

/**
 * Sets the clock of this thread: {@linkcode now} shows so much more than `performance.now()`, which counts from the
 * thread's beginning. To be called before anything has looked at it.
 *
 * @param ms see `joinClock`
 */
export function setClockAhead(ms: number): void {
  ahead = ms;
}

/** Fetched from the system at once: a call per few bytes would cost more than the bytes. At most 65536 by Web Crypto. */
const POOL_BYTES = 8192;
const pool = new Uint8Array(POOL_BYTES);
const words = new DataView(pool.buffer);
let used = POOL_BYTES;

/** Makes sure that `count` (at most `POOL_BYTES`) unused bytes are in the pool, and takes them: where they start. */
function take(count: number): number {
  if (used + count > POOL_BYTES) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  const start = used;
  used += count;
  return start;
}

/** Cryptographic randomness of the system, buffered. */
export const systemRandom: Random = {
  bytes(count) {
    if (count > POOL_BYTES) {
      const out = new Uint8Array(count);
      for (let at = 0; at < count; at += POOL_BYTES) {
        crypto.getRandomValues(out.subarray(at, at + POOL_BYTES));
      }
      return out;
    }
    const start = take(count);
    const out = pool.slice(start, start + count);
    // What was given out must not be found in memory afterwards.
    pool.fill(0, start, start + count);
    return out;
  },
  below(limit) {
    // Numbers from the incomplete last round would make the low results more likely.
    const ceiling = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const number = words.getUint32(take(4));
      if (number < ceiling) return number % limit;
    }
  },
};
