/**
 * Where credentials come from: one question to DBclient per user at a time, collected into batches, on demand and in
 * the background (docs/PROTOCOL.md §7, "prefetching"). Pure: the service and the time are arguments.
 */
import {
  type ChainAlgorithm,
  type Credential,
  type HashBackend,
  type Identity,
  LiveCredential,
  RENEW_INTERVAL_MS,
} from "../mod.ts";
import { type CachedUser, CredentialCache } from "./credential_cache.ts";

/** What DBclient says about one user, docs/PROTOCOL.md §9 (ISSUED). */
export type IssueOutcome =
  | {
    readonly status: "ok";
    readonly credential: Credential;
    /** Time to live, s. */
    readonly ttl: number;
    /** The revocation serial that was read before the row. */
    readonly serial: number;
  }
  | { readonly status: "error"; readonly code: string };

/** The way to DBclient as the source needs it; the real one is in dbclient_service_io.ts. */
export interface IssueService {
  readonly connected: boolean;
  /**
   * Asks for credentials. `done` is called once: with the outcomes by position, or with undefined when the service
   * cannot be reached or gave no answer in time.
   */
  issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    done: (outcomes: readonly IssueOutcome[] | undefined, now: number) => void,
  ): void;
}

/** What an operator may tune. */
export interface SourceOptions {
  readonly algorithm: ChainAlgorithm;
  /** Whether credentials are renewed before they are needed. */
  readonly prefetching: boolean;
  /** Time between two rounds of the prefetcher, ms. */
  readonly prefetchDelayMs: number;
  /** A credential whose index has fallen to this is renewed. */
  readonly lowWater: number;
}

/** Entries of forgotten users that may wait besides those of the cache, before they are looked for. */
const AGEING_SLACK = 1024;
/** Most users in one ISSUE frame, docs/PROTOCOL.md §9. */
const MAX_BATCH = 1000;
/** The part of a credential's life after which it is renewed if its user was seen, docs/PROTOCOL.md §7. */
const RENEW_AT_LIFE = 0.9;
/** The renewals of a warm-up file's users are spread over this part of their life: they all began together. */
const PRELOAD_SPREAD = 0.05;
const PRELOAD_STEPS = 256;
/** Users looked at again in one {@linkcode CredentialSource.advance}: those of a warm-up file all expire together. */
const MAX_AGED = 2000;
/** How long a revocation is remembered against credentials that were on the way, ms: above any answer's deadline. */
const REVOCATION_MEMORY_MS = 60_000;

/** Most users that wait for the prefetcher: a bound for the time when DBclient is away. */
const MAX_WANTED = 100_000;

/** Is told when a fetch has ended: the user with its new credential, or undefined when there is none. */
export type FetchWaiter = (user: CachedUser | undefined, now: number) => void;

interface Fetch {
  readonly key: string;
  readonly identity: Identity;
  readonly waiters: FetchWaiter[];
}

/** Counters of what was asked and why. */
export interface SourceCounters {
  issueFrames: number;
  usersAsked: number;
  prefetched: number;
  failed: number;
  /** Credentials taken from a warm-up file. */
  preloaded: number;
}

/** Asks DBclient for credentials and puts them in the cache. */
export class CredentialSource {
  readonly counters: SourceCounters = {
    issueFrames: 0,
    usersAsked: 0,
    prefetched: 0,
    failed: 0,
    preloaded: 0,
  };
  readonly #inFlight = new Map<string, Fetch>();
  readonly #queue: Fetch[] = [];
  readonly #wanted = new Map<string, Identity>();
  /** Users to look at again, by the second in which a credential of theirs nears its end. */
  readonly #ageing = new Map<number, CachedUser[]>();
  #ageingCount = 0;
  /** Users of {@linkcode #ageing} whose second has come. */
  readonly #due: CachedUser[][] = [];
  readonly #revoked = new Map<string, { readonly serial: number; readonly until: number }>();
  #flushedSerial = 0;
  #nextRound = -Infinity;
  #agedTo = -1;

  constructor(
    private readonly cache: CredentialCache,
    private readonly service: IssueService,
    private readonly hashes: HashBackend,
    private readonly options: SourceOptions,
  ) {}

  /** Users, some of them forgotten by the cache, whose credential is to be looked at when it grows old. */
  get waiting(): number {
    return this.#ageingCount;
  }

  /** Users whose credential is on the way. */
  get outstanding(): number {
    return this.#inFlight.size;
  }

  /** Whether an agent's wish for a new credential may cause a question now, docs/PROTOCOL.md §5. */
  mayRenew(user: CachedUser, now: number): boolean {
    return this.#inFlight.has(user.key) || now - user.lastIssueAt >= RENEW_INTERVAL_MS;
  }

  /** Whether a question about this user is under way or queued. */
  isFetching(user: CachedUser): boolean {
    return this.#inFlight.has(user.key);
  }

  /**
   * Gets a new credential for a user; several calls for one user share one question. The question leaves with the
   * next {@linkcode flush}.
   */
  fetch(user: CachedUser, now: number, waiter?: FetchWaiter): void {
    // A question that cannot be asked now does not count (docs/PROTOCOL.md §5).
    if (this.service.connected) user.lastIssueAt = now;
    const fetch = this.#inFlight.get(user.key) ?? this.#ask(user.key, user);
    if (waiter !== undefined) fetch.waiters.push(waiter);
  }

  /**
   * Puts a credential of a warm-up file in use (docs/PROTOCOL.md §10).
   *
   * @param issuedAt when the file was written, ms on the clock of `now`; may be negative
   * @param ttl its time to live from then, s
   * @param serial the file's revocation serial
   * @returns false when it is expired or revoked, there is no room, or its user has a credential already
   */
  preload(credential: Credential, issuedAt: number, ttl: number, serial: number, now: number): boolean {
    const { username, realm } = credential;
    const lifeMs = ttl * 1000;
    const revoked = this.#revokedSerial(CredentialCache.key(username, realm));
    if (now >= issuedAt + lifeMs || serial < revoked) return false;
    const user = this.cache.preload(username, realm);
    if (user === undefined) return false;
    const hash = this.hashes.get(credential.algorithm);
    user.install(new LiveCredential(hash, credential, issuedAt, issuedAt + lifeMs));
    const step = this.counters.preloaded++ % PRELOAD_STEPS / PRELOAD_STEPS;
    this.#schedule(user, issuedAt + lifeMs * (RENEW_AT_LIFE + step * PRELOAD_SPREAD));
    return true;
  }

  /** To be called after a token was accepted: a credential nearly used up or out of time is renewed in the background. */
  noteAccepted(user: CachedUser, now: number): void {
    const { newest } = user;
    if (!this.options.prefetching || newest === undefined) return;
    // Used up: asked for at once, so that the answer to this very request can announce the next credential.
    if (newest.index === 0 && this.service.connected && !this.#inFlight.has(user.key)) {
      this.counters.prefetched++;
      this.#ask(user.key, user);
      return;
    }
    const low = newest.touched && newest.index <= this.options.lowWater;
    if (low || now >= renewalTime(newest)) this.#want(user.key, user);
  }

  /** Sends the questions collected since the last call, as few frames as possible. */
  flush(now: number): void {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_BATCH);
      this.counters.issueFrames++;
      this.counters.usersAsked += batch.length;
      this.service.issue(
        this.options.algorithm,
        batch.map(({ identity }) => identity),
        (outcomes, at) => this.#finish(batch, outcomes, now, at),
      );
    }
  }

  /** Runs what is due: ageing credentials, and a round of the prefetcher. */
  advance(now: number): void {
    this.#age(now);
    if (now < this.#nextRound) return;
    this.#nextRound = now + this.options.prefetchDelayMs;
    for (const [key, { until }] of this.#revoked) if (until <= now) this.#revoked.delete(key);
    if (!this.service.connected) return;
    for (const [key, identity] of this.#wanted) {
      this.counters.prefetched++;
      this.#ask(key, identity);
    }
    this.#wanted.clear();
    this.flush(now);
  }

  /** Drops the credentials of users (all when `users` is undefined), and those still on the way that are older. */
  revoked(serial: number, users: readonly Identity[] | undefined, now: number): void {
    if (users === undefined) {
      this.#flushedSerial = Math.max(this.#flushedSerial, serial);
      this.cache.revoke();
      return;
    }
    for (const { username, realm } of users) {
      this.cache.revoke(username, realm);
      const key = `${realm}\n${username}`;
      this.#revoked.set(key, { serial, until: now + REVOCATION_MEMORY_MS });
    }
  }

  #want(key: string, { username, realm }: Identity): void {
    if (!this.#inFlight.has(key) && this.#wanted.size < MAX_WANTED) {
      this.#wanted.set(key, { username, realm });
    }
  }

  #ask(key: string, { username, realm }: Identity): Fetch {
    const fetch = { key, identity: { username, realm }, waiters: [] };
    this.#inFlight.set(key, fetch);
    this.#wanted.delete(key);
    this.#queue.push(fetch);
    return fetch;
  }

  #finish(
    batch: readonly Fetch[],
    outcomes: readonly IssueOutcome[] | undefined,
    askedAt: number,
    now: number,
  ): void {
    batch.forEach(({ key, identity, waiters }, i) => {
      this.#inFlight.delete(key);
      const outcome = outcomes?.[i];
      const user = outcome?.status === "ok" ? this.#install(key, outcome, askedAt) : undefined;
      if (user === undefined) {
        this.counters.failed++;
        // No answer, or DBclient without its database: it may have one later. Other errors stay as they are.
        const later = outcome === undefined || (outcome.status === "error" && outcome.code === "unavailable");
        if (this.options.prefetching && later) this.#want(key, identity);
      }
      for (const waiter of waiters) waiter(user, now);
    });
  }

  /** Puts a credential in use, unless its user was revoked after the row was read. */
  #install(key: string, outcome: IssueOutcome & { status: "ok" }, askedAt: number): CachedUser | undefined {
    if (outcome.serial < this.#revokedSerial(key)) return undefined;
    const { credential } = outcome;
    const lifeMs = outcome.ttl * 1000;
    // Counted from the question, not from the answer: a slow answer must not lengthen a life.
    const live = new LiveCredential(
      this.hashes.get(credential.algorithm),
      credential,
      askedAt,
      askedAt + lifeMs,
    );
    // The user may have been forgotten, and even added anew, while the credential was on the way.
    const user = this.cache.getOrAdd(credential.username, credential.realm);
    user.install(live);
    user.lastIssueAt = Math.max(user.lastIssueAt, askedAt);
    this.#schedule(user, askedAt + lifeMs * RENEW_AT_LIFE);
    return user;
  }

  /** A credential whose serial is below this is void. */
  #revokedSerial(key: string): number {
    const ofUser = this.#revoked.size === 0 ? 0 : this.#revoked.get(key)?.serial ?? 0;
    return Math.max(ofUser, this.#flushedSerial);
  }

  /** Has a user looked at again: one entry for each, which moves on by itself when it comes too early. */
  #schedule(user: CachedUser, at: number): void {
    const second = Math.ceil(at / 1000);
    if (user.dueSecond !== undefined && user.dueSecond <= second) return;
    user.dueSecond = second;
    const due = this.#ageing.get(second);
    if (due === undefined) this.#ageing.set(second, [user]);
    else due.push(user);
    if (++this.#ageingCount > 1.25 * this.cache.capacity + AGEING_SLACK) this.#forgetEvicted();
  }

  /** Drops the entries of users that the cache has forgotten: made-up names must not outlive it here. */
  #forgetEvicted(): void {
    this.#ageingCount = 0;
    for (const [second, users] of this.#ageing) {
      const kept = users.filter((user) =>
        this.cache.peek(user.username, user.realm) === user && user.dueSecond === second
      );
      this.#ageingCount += kept.length;
      if (kept.length > 0) this.#ageing.set(second, kept);
      else this.#ageing.delete(second);
    }
  }

  /** Looks at users whose credential has a tenth of its life left, or none. */
  #age(now: number): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#agedTo) {
      this.#agedTo = second;
      for (const [due, users] of this.#ageing) {
        if (due > second) continue;
        this.#ageing.delete(due);
        this.#due.push(users);
      }
    }
    for (let left = MAX_AGED; left > 0 && this.#due.length > 0; left--) {
      const users = this.#due[this.#due.length - 1];
      const user = users.pop();
      if (user === undefined) this.#due.pop();
      else {
        this.#ageingCount--;
        this.#ageOne(user, now);
      }
    }
  }

  #ageOne(user: CachedUser, now: number): void {
    user.dueSecond = undefined;
    const live = user.newest;
    if (live === undefined || this.cache.peek(user.username, user.realm) !== user) return;
    if (this.#inFlight.has(user.key)) return;
    if (now < renewalTime(live)) return this.#schedule(user, renewalTime(live));
    if (user.seenSinceIssue && this.options.prefetching) this.#want(user.key, user);
    else if (now < live.expiresAt) this.#schedule(user, live.expiresAt);
    else this.cache.remove(user);
  }
}

/** When a credential of a user who was seen is renewed, whatever is left of its tokens. */
function renewalTime({ issuedAt, expiresAt }: LiveCredential): number {
  return issuedAt + (expiresAt - issuedAt) * RENEW_AT_LIFE;
}
