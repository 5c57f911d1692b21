/** How soon a worker that has crashed is replaced: at once, and later each time when that does not help. */

/** The pause after the second crash in a row, ms; it doubles with each more ... */
const FIRST_PAUSE_MS = 100;
/** ... up to this: what it serves waits meanwhile. */
const LONGEST_PAUSE_MS = 5000;
/** A worker that has served for so long, ms, has recovered: its next crash is a first one. */
const RECOVERED_MS = 30_000;

/** The pauses of one worker's place. */
export class Restarts {
  #inARow = 0;

  /**
   * A crash.
   *
   * @param servedMs how long the worker had served, 0 when it had not begun
   * @returns ms until it is to be replaced
   */
  next(servedMs: number): number {
    this.#inARow = servedMs >= RECOVERED_MS ? 1 : this.#inARow + 1;
    if (this.#inARow === 1) return 0;
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#inARow - 2));
  }
}
