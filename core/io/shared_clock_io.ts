/**
 * One clock for all threads of a process. `performance.now()` of a worker counts from the worker's start, and
 * `timeOrigin`, which would tell the difference, follows the wall clock: a step or a drift of that between two starts
 * would stay between the threads. The system's monotonic clock is the same for all of them. Linux, by FFI.
 */
import { now, setClockAhead } from "./clock_io.ts";

const CLOCK_MONOTONIC = 1;
const LOOKS = 8;

/** Where the clock of this thread begins, ms of the system's clock: what other threads need for {@linkcode joinClock}. */
export function clockOrigin(): number {
  const libc = Deno.dlopen("libc.so.6", {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  try {
    const time = new BigInt64Array(2);
    const bytes = new Uint8Array(time.buffer);
    let [least, origin] = [Infinity, 0];
    // The look that took least time has least of an error: a thread may be stopped between the two clocks.
    for (let look = 0; look < LOOKS; look++) {
      const before = now();
      libc.symbols.clock_gettime(CLOCK_MONOTONIC, bytes);
      const took = now() - before;
      if (took >= least) continue;
      least = took;
      origin = Number(time[0]) * 1000 + Number(time[1]) / 1e6 - before - took / 2;
    }
    return origin;
  } finally {
    libc.close();
  }
}

/**
 * Sets the clock of this thread by that of another, within some 10 µs.
 *
 * @param origin that thread's {@linkcode clockOrigin}
 */
export function joinClock(origin: number): void {
  setClockAhead(0);
  setClockAhead(clockOrigin() - origin);
}
