/** Limits on requests per second and source. */
import { type Address, KeyedHash } from "../../mod.ts";
import type { FloodService } from "../route.ts";
import { SourceKey } from "./source_key.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** What becomes of a request. */
export type Admission =
  | "pass"
  /** Refuse it with 503. */
  | "refuse"
  /** Too many were refused already: no answer. */
  | "drop";

/** Sources remembered at one time. */
const SOURCES = 16_384;
/** Refusals that one source gets answered in a second: the rest is dropped. */
const ANSWERS_PER_SECOND = 20;

/** A limit on the requests of each source. */
export class SourceLimiter {
  readonly #source: SourceKey;
  readonly #requests: TokenBuckets | undefined;
  readonly #answers = new TokenBuckets({
    entries: SOURCES,
    perSecond: ANSWERS_PER_SECOND,
    burst: ANSWERS_PER_SECOND,
  });

  /**
   * @param perSecond requests of one source in a second, and twice as many at once; 0: no limit
   * @param key 8 random bytes
   * @param isExempt whether a host is one of ours; asked only about who is over the limit
   */
  constructor(perSecond: number, key: Uint8Array, private readonly isExempt: (host: string) => boolean) {
    this.#source = new SourceKey(new KeyedHash(key));
    if (perSecond > 0) {
      this.#requests = new TokenBuckets({ entries: SOURCES, perSecond, burst: 2 * perSecond });
    }
  }

  /** Counts a request. */
  admit(source: Address, now: number): Admission {
    const requests = this.#requests;
    if (requests === undefined) return "pass";
    const key = this.#source;
    key.read(source);
    if (requests.take(key.low, key.high, now) || this.isExempt(source.host)) return "pass";
    return this.#answers.take(key.low, key.high, now) ? "refuse" : "drop";
  }

  /** Counts a refusal that is about to be answered. False: this source gets no more answers for now. */
  mayAnswer(source: Address, now: number): boolean {
    const key = this.#source;
    key.read(source);
    return this.isExempt(source.host) || this.#answers.take(key.low, key.high, now);
  }
}

/** What `pike_check_req` of OpenSIPS asks: `reqs_density_per_unit` requests within `sampling_time_unit` seconds. */
export class Pike implements FloodService {
  readonly #source: SourceKey;
  readonly #requests: TokenBuckets;

  /** @param requests within `seconds` @param key 8 random bytes */
  constructor(
    requests: number,
    seconds: number,
    key: Uint8Array,
    private readonly isExempt: (host: string) => boolean,
  ) {
    this.#source = new SourceKey(new KeyedHash(key));
    this.#requests = new TokenBuckets({ entries: SOURCES, perSecond: requests / seconds, burst: requests });
  }

  check(source: Address, now: number): boolean {
    const key = this.#source;
    key.read(source);
    return this.#requests.take(key.low, key.high, now) || this.isExempt(source.host);
  }
}
