/**
 * The replay window of docs/PROTOCOL.md §6 step 5: which of the 64 indices from i up were skipped, when, and are
 * still unused. Indices are kept in a ring by their low 6 bits, so that moving the window is clearing the slots
 * that it leaves (the technique of RFC 6479); nothing is shifted, so no shift can wrap.
 */
import { WINDOW_SIZE } from "./constants.ts";

const MASK = WINDOW_SIZE - 1;
/** Time of a slot that no token may use: used, or never skipped. */
const CLOSED = -Infinity;

/** Replay state of one credential that has skipped tokens. A credential without skips needs none. */
export class ReplayWindow {
  /** When each index was first skipped, ms, by its low 6 bits; -Infinity where no token may be used. */
  readonly skippedAt: Float64Array = new Float64Array(WINDOW_SIZE).fill(CLOSED);

  /**
   * Moves the window after a token below i was accepted.
   *
   * @param from i before
   * @param to the accepted index j, less than `from`; the indices between were skipped
   * @param now ms, monotonic
   */
  advance(from: number, to: number, now: number): void {
    const drop = from - to;
    if (drop >= WINDOW_SIZE) this.skippedAt.fill(now);
    else for (let index = from - 1; index > to; index--) this.skippedAt[index & MASK] = now;
    this.skippedAt[to & MASK] = CLOSED;
  }

  /**
   * Whether a token at or above i may still be used.
   *
   * @param i the credential's index
   * @param index that of the token, at least i
   */
  isOpen(i: number, index: number, now: number, reorderMs: number): boolean {
    return index - i < WINDOW_SIZE && now - this.skippedAt[index & MASK] < reorderMs;
  }

  /** Marks a skipped token as used. */
  close(index: number): void {
    this.skippedAt[index & MASK] = CLOSED;
  }

  /** Whether no token is open any more, so that the window can be dropped. */
  isEmpty(now: number, reorderMs: number): boolean {
    return this.skippedAt.every((at) => now - at >= reorderMs);
  }
}
