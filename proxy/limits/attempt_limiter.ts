/** Limits on wrong answers, per user and per source, and on the requests of one user. */
import { type Address, KeyedHash } from "../../mod.ts";
import { RecentKeys } from "./recent_keys.ts";
import { SourceKey } from "./source_key.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** What an operator sets; 0: no limit. */
export interface AttemptLimits {
  /** Wrong answers for one user within the window. */
  readonly perUser: number;
  /** Wrong answers from one source within the window. */
  readonly perSource: number;
  /** s */
  readonly window: number;
  /** Requests of one authenticated user in a second, and twice as many at once. */
  readonly userRate: number;
}

/** Users, and sources, remembered at one time. */
const ENTRIES = 65_536;
/** Pairs of a user and a source that have given a right answer. */
const PROVEN = 131_072;
/** For how long such a pair is not held up by what others do, ms: longer than phones register for. */
const PROVEN_MS = 7_200_000;

/** Why an answer was not looked at: the reason of a verdict of `unavailable`. */
export const TOO_MANY_FAILURES = "too many wrong answers";
/** Why a right answer does not count. */
export const USER_RATE = "too many requests of this user";

/**
 * Slows guessing down. An answer is looked at only while its user and its source have attempts left. A user at a source
 * where the right answer was given lately is not held up by the wrong answers of others, until one of its own is wrong:
 * else anybody could lock anybody out.
 *
 * The attempt in hand is kept: {@linkcode from}, then {@linkcode begin} or {@linkcode select}, then its outcome.
 */
export class AttemptLimiter {
  /** Seconds for Retry-After, when {@linkcode begin} has returned false. */
  retryAfter = 1;
  readonly #hash: KeyedHash;
  readonly #source: SourceKey;
  readonly #realms = new Map<string, number>();
  readonly #users: TokenBuckets | undefined;
  readonly #sources: TokenBuckets | undefined;
  readonly #rates: TokenBuckets | undefined;
  #host = "";
  readonly #proven = new RecentKeys(PROVEN, PROVEN_MS);
  #userLow = 0;
  #userHigh = 0;
  #pairLow = 0;
  #pairHigh = 0;

  /**
   * @param key 8 random bytes
   * @param isExempt whether a host is one of ours, which no limit per source holds up
   */
  constructor(
    { perUser, perSource, window, userRate }: AttemptLimits,
    key: Uint8Array,
    private readonly isExempt: (host: string) => boolean,
  ) {
    this.#hash = new KeyedHash(key);
    this.#source = new SourceKey(this.#hash);
    const buckets = (burst: number) =>
      burst === 0 ? undefined : new TokenBuckets({ entries: ENTRIES, perSecond: burst / window, burst });
    this.#users = buckets(perUser);
    this.#sources = buckets(perSource);
    if (userRate > 0) {
      this.#rates = new TokenBuckets({ entries: ENTRIES, perSecond: userRate, burst: 2 * userRate });
    }
  }

  /** Whose request is in hand. */
  from(source: Address): void {
    this.#source.read(source);
    this.#host = source.host;
  }

  /**
   * Begins an attempt of that source.
   *
   * @param name the user name of the answer: name[start, end), UTF-8
   * @returns false when it must not be looked at; {@linkcode retryAfter} says for how long
   */
  begin(realm: string, name: Uint8Array, start: number, end: number, now: number): boolean {
    this.select(realm, name, start, end);
    if (this.#isProven(now)) return true;
    const { low, high } = this.#source;
    const wait = this.#sources?.wait(low, high, now) ?? 0;
    if (wait > 0 && !this.isExempt(this.#host)) return this.#later(wait);
    if (this.#users?.take(this.#userLow, this.#userHigh, now) ?? true) return true;
    return this.#later(this.#users!.wait(this.#userLow, this.#userHigh, now));
  }

  /** Takes up an attempt again whose outcome has come late. */
  select(realm: string, name: Uint8Array, start: number, end: number): void {
    const { low, high } = this.#source;
    const hash = this.#hash;
    hash.begin();
    hash.word(this.#realm(realm));
    hash.part(name, start, end);
    hash.end();
    this.#userLow = hash.low;
    this.#userHigh = hash.high;
    // Both are values of the keyed hash.
    this.#pairLow = hash.low ^ Math.imul(low, 0x9e3779b1);
    this.#pairHigh = hash.high ^ Math.imul(high, 0x85ebca6b);
  }

  /** It was right. @returns false when the user sends more than it may */
  right(now: number): boolean {
    this.undecided(now);
    this.#proven.put(this.#pairLow, this.#pairHigh, now);
    if (this.#rates?.take(this.#userLow, this.#userHigh, now) ?? true) return true;
    this.retryAfter = 1;
    return false;
  }

  /** It was wrong. */
  wrong(now: number): void {
    if (this.#isProven(now)) {
      this.#proven.remove(this.#pairLow, this.#pairHigh);
      this.#users?.take(this.#userLow, this.#userHigh, now);
    }
    this.wrongName(now);
  }

  /** Somebody tried another's name, which is no fault of its owner. */
  wrongName(now: number): void {
    this.#sources?.take(this.#source.low, this.#source.high, now);
  }

  /** It tells nothing of the password: too old, repeated, or nobody there who could check it. */
  undecided(now: number): void {
    if (!this.#isProven(now)) this.#users?.give(this.#userLow, this.#userHigh, now);
  }

  #isProven(now: number): boolean {
    return this.#proven.has(this.#pairLow, this.#pairHigh, now);
  }

  #later(wait: number): false {
    this.retryAfter = Math.max(1, Math.ceil(wait / 1000));
    return false;
  }

  #realm(text: string): number {
    let number = this.#realms.get(text);
    if (number === undefined) this.#realms.set(text, number = this.#realms.size);
    return number;
  }
}
