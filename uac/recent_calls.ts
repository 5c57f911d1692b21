/** The Call-IDs of calls that ended a short while ago: what comes late for them is no news. */
import { REMEMBER } from "./constants.ts";

/** Remembers each Call-ID for {@linkcode REMEMBER} to twice that, in two generations. */
export class RecentCalls {
  #young = new Set<string>();
  #old = new Set<string>();
  #turnAt: number;

  /** @param now ms */
  constructor(now: number) {
    this.#turnAt = now + REMEMBER;
  }

  has(callId: string): boolean {
    return this.#young.has(callId) || this.#old.has(callId);
  }

  add(callId: string, now: number): void {
    this.advance(now);
    this.#young.add(callId);
  }

  /** Forgets what is old enough. */
  advance(now: number): void {
    if (now < this.#turnAt) return;
    this.#old = now < this.#turnAt + REMEMBER ? this.#young : new Set();
    this.#young = new Set();
    this.#turnAt = now + REMEMBER;
  }
}
