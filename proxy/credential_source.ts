/**
 * Where credentials come from: one question to DBclient per user at a time, collected into batches, on demand and in
 * the background (docs/PROTOCOL.md §7, "prefetching"). Pure: the service and the time are arguments.
 */
import {
  type ChainAlgorithm,
  type Credential,
  type Identity,
  type LiveCredential,
  RENEW_INTERVAL_MS,
} from "../mod.ts";
import type { CachedUser, CredentialCache } from "./credential_cache.ts";
import type { IssueOutcome, IssueService } from "./issue_service.ts";

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

/** Most users in one ISSUE frame, docs/PROTOCOL.md §9. */
const MAX_BATCH = 1000;
/** The part of a credential's life after which it is renewed if its user was seen, docs/PROTOCOL.md §7. */
const RENEW_AT_LIFE = 0.9;
/** The renewals of a warm-up file's users are spread over this part of their life: they all began together. */
const PRELOAD_SPREAD = 0.05;
const PRELOAD_STEPS = 256;
/** Users looked at again in one {@linkcode CredentialSource.advance}: those of a warm-up file all expire together. */
const MAX_AGED = 2000;
/** Most users that wait for the prefetcher: a bound for the time when DBclient is away. */
const MAX_WANTED = 100_000;

/** Is told when a fetch has ended: the user with its new credential, or undefined when there is none. */
export type FetchWaiter = (user: CachedUser | undefined, now: number) => void;

interface Fetch {
  readonly key: string;
  readonly identity: Identity;
  readonly waiters: FetchWaiter[];
  /** The user's newest credential when the question was asked, or found to be asked by another thread. */
  readonly tag: number;
  /** When the question before was asked, if this one cannot be asked and does not count (docs/PROTOCOL.md §5); ms. */
  readonly before: number | undefined;
  /** Of the user's last revocation since the question: an answer that was read before it is void. */
  revokedSerial: number;
}

/** A user for the prefetcher, and the credential that is to be replaced. */
interface Wanted extends Identity {
  readonly tag: number;
  /** When a credential of the user was last asked for, ms. */
  readonly lastIssueAt: number;
}

/** Counters of what was asked and why. */
export interface SourceCounters {
  issueFrames: number;
  usersAsked: number;
  prefetched: number;
  failed: number;
  /** Credentials taken from a warm-up file. */
  preloaded: number;
  /** Users whose credentials were withdrawn, whether or not there were any. */
  revoked: number;
  /** How often everything had to be dropped. */
  flushes: number;
}

/** Asks DBclient for credentials and puts them in the cache. */
export class CredentialSource {
  readonly counters: SourceCounters = {
    issueFrames: 0,
    usersAsked: 0,
    prefetched: 0,
    failed: 0,
    preloaded: 0,
    revoked: 0,
    flushes: 0,
  };
  readonly #inFlight = new Map<string, Fetch>();
  readonly #queue: Fetch[] = [];
  /** Users about whom another thread is asking. */
  readonly #elsewhere = new Map<string, Fetch>();
  readonly #wanted = new Map<string, Wanted>();
  /** Credentials of a lower serial are void, whoever's they are. */
  #flushedSerial = 0;
  #nextRound = -Infinity;
  /** Copies of users, used again and again. */
  readonly #user: CachedUser;
  readonly #installed: CachedUser;

  constructor(
    private readonly cache: CredentialCache,
    private readonly service: IssueService,
    private readonly options: SourceOptions,
  ) {
    this.#user = cache.newUser();
    this.#installed = cache.newUser();
  }

  /** Users whose credential is on the way. */
  get outstanding(): number {
    return this.#inFlight.size;
  }

  /** Whether an agent's wish for a new credential may cause a question now, docs/PROTOCOL.md §5. */
  mayRenew(user: CachedUser, now: number): boolean {
    return this.isFetching(user, now) || now - user.lastIssueAt >= RENEW_INTERVAL_MS;
  }

  /** Whether a question about this user is under way or queued, here or in another thread. */
  isFetching(user: CachedUser, now: number): boolean {
    return this.cache.isFetching(user, now) || this.#inFlight.has(keyOf(user));
  }

  /**
   * Gets a new credential for a user; several calls for one user share one question. The question leaves with the
   * next {@linkcode flush}.
   */
  fetch(user: CachedUser, now: number, waiter?: FetchWaiter): void {
    const key = keyOf(user);
    const fetch = this.#inFlight.get(key) ?? this.#elsewhere.get(key) ?? this.#ask(key, user, now);
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
    const lifeMs = ttl * 1000;
    if (now >= issuedAt + lifeMs || serial < this.#flushedSerial) return false;
    const step = this.counters.preloaded % PRELOAD_STEPS / PRELOAD_STEPS;
    const lookAt = issuedAt + lifeMs * (RENEW_AT_LIFE + step * PRELOAD_SPREAD);
    if (!this.cache.preload({ credential, issuedAt, expiresAt: issuedAt + lifeMs, serial, lookAt })) {
      return false;
    }
    this.counters.preloaded++;
    return true;
  }

  /** To be called after a token was accepted: a credential nearly used up or out of time is renewed in the background. */
  noteAccepted(user: CachedUser, now: number): void {
    const { newest } = user;
    if (!this.options.prefetching || newest === undefined) return;
    // Used up: asked for at once, so that the answer to this very request can announce the next credential.
    if (newest.index === 0 && this.service.connected && !this.isFetching(user, now)) {
      this.#prefetch(keyOf(user), user, now);
      return;
    }
    const low = newest.touched && newest.index <= this.options.lowWater;
    if (low || now >= renewalTime(newest)) this.#want(keyOf(user), user);
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
    if (this.#elsewhere.size > 0) this.#lookElsewhere(now);
    if (now < this.#nextRound) return;
    this.#nextRound = now + this.options.prefetchDelayMs;
    if (!this.service.connected) return;
    for (const [key, wanted] of this.#wanted) {
      const tag = this.cache.peek(wanted.username, wanted.realm, this.#user)?.tag ?? 0;
      // Else it was renewed since, or forgotten.
      if (tag === wanted.tag) this.#prefetch(key, wanted, now);
    }
    this.#wanted.clear();
    this.flush(now);
  }

  /**
   * Drops credentials whose serial is below this one, those on the way too (docs/PROTOCOL.md §9).
   *
   * @param users whose; an empty realm stands for every realm. undefined: all credentials, of whatever serial
   */
  revoked(serial: number, users: readonly Identity[] | undefined): void {
    if (users === undefined) {
      this.counters.flushes++;
      // Not the greater of two: the serials may be those of another table.
      this.#flushedSerial = serial;
      for (const fetch of this.#inFlight.values()) fetch.revokedSerial = serial;
      this.cache.revoke();
      return;
    }
    this.counters.revoked += users.length;
    for (const { username, realm } of users) {
      for (const one of realm === "" ? this.cache.realms() : [realm]) {
        this.cache.revoke(username, one, serial);
        const fetch = this.#inFlight.get(keyOf({ username, realm: one }));
        if (fetch !== undefined) fetch.revokedSerial = Math.max(fetch.revokedSerial, serial);
      }
    }
  }

  #want(key: string, { username, realm, tag, lastIssueAt }: Wanted): void {
    if (!this.#inFlight.has(key) && this.#wanted.size < MAX_WANTED) {
      this.#wanted.set(key, { username, realm, tag, lastIssueAt });
    }
  }

  #prefetch(key: string, user: Wanted, now: number): void {
    // A question of another thread serves as well.
    if (this.#ask(key, user, now, false) !== undefined) this.counters.prefetched++;
  }

  /** Queues a question, or begins to wait for that of another thread. */
  #ask(key: string, user: Wanted, now: number): Fetch;
  #ask(key: string, user: Wanted, now: number, wait: false): Fetch | undefined;
  #ask(
    key: string,
    { username, realm, tag, lastIssueAt }: Wanted,
    now: number,
    wait = true,
  ): Fetch | undefined {
    const own = this.cache.beginFetch(username, realm, now);
    if (!own && !wait) return undefined;
    const before = this.service.connected ? undefined : lastIssueAt;
    const fetch = { key, identity: { username, realm }, waiters: [], tag, before, revokedSerial: 0 };
    this.#wanted.delete(key);
    if (own) {
      this.#inFlight.set(key, fetch);
      this.#queue.push(fetch);
    } else this.#elsewhere.set(key, fetch);
    return fetch;
  }

  /** Tells those who wait for the question of another thread when it is answered, or asks when that thread was lost. */
  #lookElsewhere(now: number): void {
    for (const [key, fetch] of this.#elsewhere) {
      const { username, realm } = fetch.identity;
      const user = this.cache.peek(username, realm, this.#user);
      if (user !== undefined && user.tag === fetch.tag && user.fetcher !== 0) {
        if (this.cache.isFetching(user, now)) continue;
        this.#elsewhere.delete(key);
        for (const waiter of fetch.waiters) this.fetch(user, now, waiter);
        continue;
      }
      this.#elsewhere.delete(key);
      const fresh = user !== undefined && user.tag !== fetch.tag ? user : undefined;
      for (const waiter of fetch.waiters) waiter(fresh, now);
    }
  }

  #finish(
    batch: readonly Fetch[],
    outcomes: readonly IssueOutcome[] | undefined,
    askedAt: number,
    now: number,
  ): void {
    batch.forEach(({ key, identity, waiters, tag, before, revokedSerial }, i) => {
      this.#inFlight.delete(key);
      const outcome = outcomes?.[i];
      const user = outcome?.status === "ok" ? this.#install(outcome, askedAt, revokedSerial) : undefined;
      if (user === undefined) {
        this.counters.failed++;
        this.cache.endFetch(identity.username, identity.realm, before);
        // No answer, or DBclient without its database: it may have one later. Other errors stay as they are.
        const later = outcome === undefined || (outcome.status === "error" && outcome.code === "unavailable");
        if (this.options.prefetching && later) this.#want(key, { ...identity, tag, lastIssueAt: askedAt });
      }
      for (const waiter of waiters) waiter(user, now);
    });
  }

  /** Puts a credential in use, unless its user was revoked after the row was read. */
  #install(
    outcome: IssueOutcome & { status: "ok" },
    askedAt: number,
    revokedSerial: number,
  ): CachedUser | undefined {
    const { credential, serial, ttl } = outcome;
    if (serial < Math.max(revokedSerial, this.#flushedSerial)) return undefined;
    const lifeMs = ttl * 1000;
    // Counted from the question, not from the answer: a slow answer must not lengthen a life.
    const expiresAt = askedAt + lifeMs;
    const lookAt = askedAt + lifeMs * RENEW_AT_LIFE;
    return this.cache.install({ credential, issuedAt: askedAt, expiresAt, serial, lookAt }, this.#installed);
  }

  /** Looks at users whose credential has a tenth of its life left, or none. */
  #age(now: number): void {
    for (let left = MAX_AGED; left > 0; left--) {
      const user = this.cache.nextDue(now, this.#user);
      if (user === undefined) return;
      this.#ageOne(user, now);
    }
  }

  #ageOne(user: CachedUser, now: number): void {
    const live = user.newest;
    if (live === undefined) return;
    const renewAt = renewalTime(live);
    if (now < renewAt) return this.cache.lookAgain(user, renewAt);
    if (now < live.expiresAt) this.cache.lookAgain(user, live.expiresAt);
    if (this.isFetching(user, now)) return;
    if (user.seenSinceIssue && this.options.prefetching) this.#want(keyOf(user), user);
    else if (now >= live.expiresAt) this.cache.remove(user);
  }
}

/** The key of a user: realms and names hold no LF (docs/PROTOCOL.md §2). */
function keyOf({ username, realm }: Identity): string {
  return `${realm}\n${username}`;
}

/** When a credential of a user who was seen is renewed, whatever is left of its tokens. */
function renewalTime({ issuedAt, expiresAt }: LiveCredential): number {
  return issuedAt + (expiresAt - issuedAt) * RENEW_AT_LIFE;
}
