/** Token buckets, one per key, in a flat table. */
import { KeyedPlaces } from "./keyed_places.ts";

/** How much is allowed. */
export interface BucketLimits {
  /** Keys remembered at one time; a power of two. A key that was forgotten begins with a full bucket. */
  readonly entries: number;
  /** Tokens that come back in a second. */
  readonly perSecond: number;
  /** Tokens of a full bucket. */
  readonly burst: number;
}

/**
 * A bucket per key. Nothing is allocated after the table itself: 24 bytes an entry.
 *
 * @example
 * ```ts
 * import { TokenBuckets } from "./token_buckets.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const buckets = new TokenBuckets({ entries: 8, perSecond: 1, burst: 2 });
 * assertEquals([1, 2, 3].map(() => buckets.take(7, 9, 0)), [true, true, false]);
 * assertEquals(buckets.take(7, 9, 1000), true);
 * ```
 */
export class TokenBuckets extends KeyedPlaces {
  readonly #tokens: Float64Array;
  readonly #at: Float64Array;

  constructor(private readonly limits: BucketLimits) {
    super(limits.entries);
    this.#tokens = new Float64Array(limits.entries);
    this.#at = new Float64Array(limits.entries);
  }

  /** Takes a token. @param now ms @returns false when there is none; nothing is taken then */
  take(low: number, high: number, now: number): boolean {
    const place = this.#place(low, high, now);
    const left = this.#left(place, now);
    this.#at[place] = now;
    this.#tokens[place] = left >= 1 ? left - 1 : left;
    return left >= 1;
  }

  /** Gives a token back. */
  give(low: number, high: number, now: number): void {
    const place = this.find(low, high);
    if (place >= 0) this.#tokens[place] = Math.min(this.limits.burst, this.#tokens[place] + 1);
    if (place >= 0 && this.#left(place, now) >= this.limits.burst) this.free(place);
  }

  /** How long it takes until there is a token, ms; 0 when there is one. */
  wait(low: number, high: number, now: number): number {
    const place = this.find(low, high);
    if (place < 0) return 0;
    return Math.max(0, 1 - this.#left(place, now)) / this.limits.perSecond * 1000;
  }

  #place(low: number, high: number, now: number): number {
    let place = this.find(low, high);
    if (place < 0) {
      place = this.add(low, high, now);
      this.#tokens[place] = this.limits.burst;
      this.#at[place] = now;
    }
    return place;
  }

  #left(place: number, now: number): number {
    const { perSecond, burst } = this.limits;
    return Math.min(burst, this.#tokens[place] + (now - this.#at[place]) / 1000 * perSecond);
  }

  /** Who is near to a limit is remembered best. */
  protected override worth(place: number, now: number): number {
    return -this.#left(place, now);
  }
}
