/**
 * Which users to look at again, for their credential nears its end: a second for each, in an array of its own that is
 * gone through once a second, a stretch at a time. A million users take about a millisecond per second.
 */
import { type CacheMemory, NO_USER } from "./layout.ts";
import type { UserTable } from "./user_table.ts";

/** Users looked at without finding one, in one go. */
const STRETCH = 65_536;
/** The last second that can be noted: 68 years. */
const LAST_SECOND = 2 ** 31 - 1;

/** Goes through the users of a cache; several threads may, each user is found by one of them. */
export class DueUsers {
  #place = 0;
  #second = -1;
  #idle = true;

  constructor(private readonly memory: CacheMemory, private readonly table: UserTable) {}

  /** Notes when to look at the user of a place. @param at ms */
  note(place: number, at: number): void {
    Atomics.store(this.memory.due, place, Math.min(LAST_SECOND, Math.max(1, Math.ceil(at / 1000))));
  }

  /** The place of a user whose time has come; it is noted no more. NO_USER: that is all for now. */
  next(now: number): number {
    const second = Math.floor(now / 1000);
    if (this.#idle) {
      if (second === this.#second) return NO_USER;
      this.#second = second;
      this.#place = 0;
      this.#idle = false;
    }
    const { due, unverifiedMax } = this.memory;
    for (let left = STRETCH; left > 0;) {
      if (this.#place >= this.table.end(0) && this.#place < unverifiedMax) this.#place = unverifiedMax;
      const end = this.table.end(this.#place < unverifiedMax ? 0 : 1);
      if (this.#place >= end) {
        this.#idle = true;
        return NO_USER;
      }
      const until = Math.min(end, this.#place + left);
      const place = firstDue(due, this.#place, until, second);
      left -= place - this.#place;
      this.#place = place;
      if (place === until) continue;
      this.#place++;
      const at = due[place];
      // Unless another thread was quicker.
      if (at !== 0 && at <= second && Atomics.compareExchange(due, place, at, 0) === at) return place;
    }
    return NO_USER;
  }
}

/** The first place from `start` whose second has come; `end` when there is none. */
function firstDue(due: Int32Array, start: number, end: number, second: number): number {
  let place = start;
  for (; place < end; place++) {
    const at = due[place];
    if (at !== 0 && at <= second) break;
  }
  return place;
}
