/** Gives way to the event loop in the middle of long work. */
import { setImmediate } from "node:timers";

/** Every so many turns everything is polled, by default: a timer takes a millisecond, `setImmediate` next to nothing. */
const POLL_EVERY = 8;

/**
 * Runs something in the event loop's next turn, when timers have had theirs. Under `setImmediate` alone TCP starves in
 * Deno; so every so many turns it is a timer, and all other I/O has its turn too.
 *
 * @param turns the number of this turn, counted by the caller
 */
export function inNextTurn(run: () => void, turns: number, pollEvery = POLL_EVERY): void {
  if (turns % pollEvery === 0) setTimeout(run, 0);
  else setImmediate(run);
}
