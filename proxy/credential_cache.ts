/**
 * The credential cache: at most `maxUsers` users, in two parts (docs/PROTOCOL.md §8). Users who were never verified
 * share at most a quarter, so that made-up names cannot push real users out; an accepted token moves a user to the
 * protected part. Each part forgets its least recently used user. Users from a warm-up file are the operator's own
 * choice, so that they need no proof to be protected.
 */
import type { ChainAlgorithm, LiveCredential } from "../mod.ts";
import { RecencyEntry, RecencyMap } from "./recency_map.ts";

/** A user with its live credentials: at most two (docs/PROTOCOL.md §4). */
export class CachedUser extends RecencyEntry {
  /** The credential that challenges come from. */
  newest: LiveCredential | undefined;
  /** The one before: it serves answers only. */
  older: LiveCredential | undefined;
  /** The second in which its credential is looked at again; undefined when none is. */
  dueSecond: number | undefined;
  /** When a credential was last asked for, ms; -Infinity when never. */
  lastIssueAt = -Infinity;
  /** Whether a request of the user came since the last credential arrived. */
  seenSinceIssue = false;
  /** Whether a token of the user was ever accepted, or the operator vouched for it: which part of the cache it is in. */
  verified = false;

  constructor(key: string, readonly username: string, readonly realm: string) {
    super(key);
  }

  /** The live credential that an answer names, or undefined: then the answer is `stale`. */
  find(algorithm: ChainAlgorithm, nonce: string): LiveCredential | undefined {
    for (const live of [this.newest, this.older]) {
      if (live !== undefined && live.nonceHex === nonce && live.hash.name === algorithm) return live;
    }
    return undefined;
  }

  /** Puts a new credential in use; the one before becomes the older of the two. */
  install(live: LiveCredential): void {
    this.older = this.newest;
    this.newest = live;
    this.seenSinceIssue = false;
  }
}

/** Bounded, two-part store of {@linkcode CachedUser}. */
export class CredentialCache {
  readonly #unverified: RecencyMap<CachedUser>;
  readonly #verified: RecencyMap<CachedUser>;

  /** @param maxUsers at least 4: a quarter is for users who were never verified */
  constructor(maxUsers: number) {
    if (!Number.isSafeInteger(maxUsers) || maxUsers < 4) {
      throw new RangeError(`max_users ${maxUsers} is below 4`);
    }
    this.#unverified = new RecencyMap(Math.floor(maxUsers / 4));
    this.#verified = new RecencyMap(maxUsers - this.#unverified.max);
  }

  /** Users in the cache at most. */
  get capacity(): number {
    return this.#unverified.max + this.#verified.max;
  }

  /** Users in the cache. */
  get size(): number {
    return this.#unverified.size + this.#verified.size;
  }

  /** Users in the protected part. */
  get verifiedSize(): number {
    return this.#verified.size;
  }

  /** The key of a user: realms and names hold no LF (docs/PROTOCOL.md §2). */
  static key(username: string, realm: string): string {
    return `${realm}\n${username}`;
  }

  /** Looks a user up, and makes it the most recently used of its part. */
  get(username: string, realm: string): CachedUser | undefined {
    const key = CredentialCache.key(username, realm);
    const user = this.#verified.get(key) ?? this.#unverified.get(key);
    if (user !== undefined) (user.verified ? this.#verified : this.#unverified).touch(user);
    return user;
  }

  /** Looks a user up, or adds it to the part of the users who were never verified. */
  getOrAdd(username: string, realm: string): CachedUser {
    const found = this.get(username, realm);
    if (found !== undefined) return found;
    const user = new CachedUser(CredentialCache.key(username, realm), username, realm);
    this.#unverified.add(user);
    return user;
  }

  /** Looks a user up without counting it as used. */
  peek(username: string, realm: string): CachedUser | undefined {
    const key = CredentialCache.key(username, realm);
    return this.#verified.get(key) ?? this.#unverified.get(key);
  }

  /** Moves a user whose token was accepted to the protected part. */
  markVerified(user: CachedUser): void {
    if (user.verified) return;
    user.verified = true;
    this.#unverified.delete(user.key);
    this.#verified.add(user);
  }

  /**
   * Adds a user of a warm-up file (docs/PROTOCOL.md §10): to the protected part while it has room, then to the other.
   * Nobody is pushed out for it.
   *
   * @returns undefined when there is no room, or the user is there already
   */
  preload(username: string, realm: string): CachedUser | undefined {
    const key = CredentialCache.key(username, realm);
    if ((this.#verified.get(key) ?? this.#unverified.get(key)) !== undefined) return undefined;
    const user = new CachedUser(key, username, realm);
    if (this.#verified.size < this.#verified.max) {
      user.verified = true;
      this.#verified.add(user);
    } else if (this.#unverified.size < this.#unverified.max) this.#unverified.add(user);
    else return undefined;
    return user;
  }

  /** Forgets a user. */
  remove(user: CachedUser): void {
    const part = user.verified ? this.#verified : this.#unverified;
    if (part.get(user.key) === user) part.delete(user.key);
  }

  /** Forgets the credentials of one user, or of all when `username` is absent (docs/PROTOCOL.md §9, REVOKED). */
  revoke(username?: string, realm = ""): void {
    if (username === undefined) {
      this.#unverified.clear();
      this.#verified.clear();
      return;
    }
    const key = CredentialCache.key(username, realm);
    this.#verified.delete(key);
    this.#unverified.delete(key);
  }
}
