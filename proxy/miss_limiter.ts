/**
 * A limit on cache misses, per source and in total (docs/PROTOCOL.md §8), so that made-up names cannot turn into a
 * flood of questions to DBclient. Token buckets of one second's worth; the same for every name.
 */

import { RecencyEntry, RecencyMap } from "./recency_map.ts";

/** Rates in misses per second. */
export interface MissLimits {
  readonly perSource: number;
  readonly total: number;
}

/** The bucket of a source; that of all of them has no key. */
class Bucket extends RecencyEntry {
  constructor(source: string, public tokens: number, public at: number) {
    super(source);
  }
}

/** Sources remembered at most, those heard of last; a forgotten source starts with a full bucket, and the total still holds. */
const MAX_SOURCES = 65_536;

/** Counts misses against {@linkcode MissLimits}. */
export class MissLimiter {
  readonly #sources = new RecencyMap<Bucket>(MAX_SOURCES);
  readonly #total: Bucket;

  constructor(private readonly limits: MissLimits) {
    this.#total = new Bucket("", limits.total, 0);
  }

  /** Whether a miss from this source may become a question; counts it if so. */
  take(source: string, now: number): boolean {
    let bucket = this.#sources.get(source);
    if (bucket === undefined) {
      bucket = new Bucket(source, this.limits.perSource, now);
      this.#sources.add(bucket);
    } else this.#sources.touch(bucket);
    refill(bucket, this.limits.perSource, now);
    refill(this.#total, this.limits.total, now);
    if (bucket.tokens < 1 || this.#total.tokens < 1) return false;
    bucket.tokens--;
    this.#total.tokens--;
    return true;
  }
}

function refill(bucket: Bucket, rate: number, now: number): void {
  bucket.tokens = Math.min(rate, bucket.tokens + (now - bucket.at) / 1000 * rate);
  bucket.at = now;
}
