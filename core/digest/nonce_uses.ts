/**
 * Which uses of a nonce have been made (`nc`, RFC 7616 §3.4 and §5.5). Kept only for nonces with which an answer
 * proved right, and only as long as the nonce itself is good: whoever knows no password makes no entry.
 */

/**
 * How often a nonce may be used.
 * - `counted`: once per value of `nc`; values may come out of order within {@linkcode NC_WINDOW}.
 * - `one-time`: once.
 */
export type NonceMode = "counted" | "one-time";

/** How far below the highest `nc` a late one is still accepted: requests on UDP overtake each other. */
export const NC_WINDOW = 32;

/** Nonces are forgotten a bucket at a time; a bucket spans this part of the lifetime. */
const BUCKETS_PER_LIFETIME = 8;

/** The uses of one nonce. */
interface Use {
  /** The highest count used; Infinity when nothing is left to use. */
  highest: number;
  /** Bit d: count `highest` - d has been used. */
  seen: number;
}

/** The uses of all nonces of one {@linkcode DigestNonces}. */
export class NonceUses {
  readonly #lifetimeMs: number;
  readonly #mode: NonceMode;
  readonly #bucketMs: number;
  /** By time of issue. */
  readonly #buckets = new Map<number, Map<string, Use>>();

  /** @param options.lifetimeMs that of the nonces */
  constructor(options: { readonly lifetimeMs: number; readonly mode?: NonceMode }) {
    this.#lifetimeMs = options.lifetimeMs;
    this.#mode = options.mode ?? "counted";
    this.#bucketMs = options.lifetimeMs / BUCKETS_PER_LIFETIME;
  }

  /** Nonces that are remembered. */
  get size(): number {
    let size = 0;
    for (const bucket of this.#buckets.values()) size += bucket.size;
    return size;
  }

  /**
   * Whether this use is a new one. Changes nothing.
   *
   * @param issuedAt when the nonce was made, ms
   * @param count the value of `nc`; undefined where the answer has none, which uses the nonce as a whole
   */
  isFresh(nonce: string, issuedAt: number, count: number | undefined): boolean {
    const use = this.#buckets.get(this.#bucketOf(issuedAt))?.get(nonce);
    if (use === undefined) return true;
    if (count === undefined) return false;
    const below = use.highest - count;
    return below < 0 || (below < NC_WINDOW && (use.seen >>> below & 1) === 0);
  }

  /**
   * Marks a use whose answer has proved right.
   *
   * @returns false, and marks nothing, if it is not fresh (any more): of two answers that are checked at the same
   * time with one count, the second is a replay
   */
  use(nonce: string, issuedAt: number, count: number | undefined, now: number): boolean {
    if (!this.isFresh(nonce, issuedAt, count)) return false;
    this.expire(now);
    const at = this.#bucketOf(issuedAt);
    let bucket = this.#buckets.get(at);
    if (bucket === undefined) {
      bucket = new Map();
      this.#buckets.set(at, bucket);
    }
    const use = bucket.get(nonce);
    if (count === undefined || this.#mode === "one-time") {
      bucket.set(nonce, { highest: Infinity, seen: 0 });
    } else if (use === undefined) {
      bucket.set(nonce, { highest: count, seen: 1 });
    } else if (count > use.highest) {
      // A shift by 32 or more would wrap around in JavaScript and keep old bits.
      const by = count - use.highest;
      use.seen = by < NC_WINDOW ? (use.seen << by | 1) >>> 0 : 1;
      use.highest = count;
    } else {
      use.seen = (use.seen | 1 << (use.highest - count)) >>> 0;
    }
    return true;
  }

  /** Forgets the nonces that are too old to be good. `use` does it too; a server that is idle may call it. */
  expire(now: number): void {
    for (const at of this.#buckets.keys()) {
      const newest = (at + 1) * this.#bucketMs;
      if (newest + this.#lifetimeMs <= now) this.#buckets.delete(at);
    }
  }

  #bucketOf(issuedAt: number): number {
    return Math.floor(issuedAt / this.#bucketMs);
  }
}
