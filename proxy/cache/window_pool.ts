/**
 * Replay windows (docs/PROTOCOL.md §6 step 5) for the few credentials that have skipped tokens. When the pool is used
 * up, skipped tokens are refused at once: closing early is allowed, late never.
 */
import { type ReplayWindow, WINDOW_SIZE } from "../../mod.ts";
import { type CacheMemory, Header, Window } from "./layout.ts";
import type { WordLock } from "./word_lock.ts";

/** Windows looked at for one that nobody needs any more, when none is free. */
const LOOKS = 16;
const WORDS = Window.FLOATS * 2;

/** The windows of a cache. A window belongs to one credential, by its tag. */
export class WindowPool {
  /** @param reorderMs how long a window matters after it was last written */
  constructor(
    private readonly memory: CacheMemory,
    private readonly lock: WordLock,
    private readonly reorderMs: number,
  ) {}

  /**
   * Copies a credential's window.
   *
   * @param place its number + 1
   * @returns false when it was given to another credential since
   */
  load(place: number, tag: number, into: ReplayWindow): boolean {
    const ticket = this.#begin();
    const found = this.#isOf(place, tag);
    if (found) {
      const { windowFloats } = this.memory;
      const at = (place - 1) * Window.FLOATS + Window.TIMES;
      for (let i = 0; i < WINDOW_SIZE; i++) into.skippedAt[i] = windowFloats[at + i];
    }
    this.#end(ticket);
    return found;
  }

  /**
   * Keeps a credential's window.
   *
   * @param place where {@linkcode load} found it, 0 when it is new
   * @returns its number + 1, 0 when there is no room
   */
  store(place: number, tag: number, window: ReplayWindow, now: number): number {
    const ticket = this.#begin();
    const kept = this.#isOf(place, tag) ? place : this.#allocate(now);
    if (kept !== 0) {
      const { windowFloats, windowWords } = this.memory;
      windowWords[(kept - 1) * WORDS + Window.TAG] = tag;
      const at = (kept - 1) * Window.FLOATS;
      windowFloats[at + Window.WRITTEN_AT] = now;
      for (let i = 0; i < WINDOW_SIZE; i++) windowFloats[at + Window.TIMES + i] = window.skippedAt[i];
    }
    this.#end(ticket);
    return kept;
  }

  /** Gives a window back. */
  drop(place: number, tag: number): void {
    const ticket = this.#begin();
    if (this.#isOf(place, tag)) {
      const { header, windowWords } = this.memory;
      const at = (place - 1) * WORDS;
      windowWords[at + Window.TAG] = 0;
      windowWords[at + Window.NEXT] = header[Header.POOL_FREE];
      header[Header.POOL_FREE] = place;
    }
    this.#end(ticket);
  }

  #isOf(place: number, tag: number): boolean {
    return place !== 0 && this.memory.windowWords[(place - 1) * WORDS + Window.TAG] === tag;
  }

  /** A free window, else one that was last written so long ago that nothing of it is open. */
  #allocate(now: number): number {
    const { header, windowWords, windowFloats, windowCount } = this.memory;
    const free = header[Header.POOL_FREE];
    if (free !== 0) {
      header[Header.POOL_FREE] = windowWords[(free - 1) * WORDS + Window.NEXT];
      return free;
    }
    if (header[Header.POOL_USED] < windowCount) return ++header[Header.POOL_USED];
    for (let look = 0; look < LOOKS; look++) {
      const number = header[Header.POOL_HAND] % windowCount;
      header[Header.POOL_HAND] = number + 1;
      if (now - windowFloats[number * Window.FLOATS + Window.WRITTEN_AT] >= this.reorderMs) return number + 1;
    }
    return 0;
  }

  #begin(): number {
    const { header, windowWords } = this.memory;
    const ticket = this.lock.takeOver(header, Header.POOL_LOCK);
    if (this.lock.recovered) {
      // A thread was ended in here: what it left may open what must be closed. Without windows nothing is open.
      for (let i = 0; i < this.memory.windowCount; i++) windowWords[i * WORDS + Window.TAG] = 0;
      header[Header.POOL_FREE] = header[Header.POOL_USED] = header[Header.POOL_HAND] = 0;
    }
    return ticket;
  }

  #end(ticket: number): void {
    this.lock.release(this.memory.header, Header.POOL_LOCK, ticket);
  }
}
