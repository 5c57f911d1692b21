/**
 * A limit on cache misses, per source and in total (docs/PROTOCOL.md §8), so that made-up names cannot turn into a
 * flood of questions to DBclient. Token buckets of one second's worth; the same for every name.
 */

/** Rates in misses per second. */
export interface MissLimits {
  readonly perSource: number;
  readonly total: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Sources remembered at most; a forgotten source starts with a full bucket, and the total still holds. */
const MAX_SOURCES = 65_536;

/** Counts misses against {@linkcode MissLimits}. */
export class MissLimiter {
  readonly #sources = new Map<string, Bucket>();
  readonly #total: Bucket;

  constructor(private readonly limits: MissLimits) {
    this.#total = { tokens: limits.total, at: 0 };
  }

  /** Whether a miss from this source may become a question; counts it if so. */
  take(source: string, now: number): boolean {
    let bucket = this.#sources.get(source);
    if (bucket === undefined) {
      bucket = { tokens: this.limits.perSource, at: now };
      if (this.#sources.size >= MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value!);
      this.#sources.set(source, bucket);
    }
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
