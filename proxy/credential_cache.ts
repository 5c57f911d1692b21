/**
 * The credential cache: at most `maxUsers` users, in two parts (docs/PROTOCOL.md §8). Users who were never verified
 * share at most a quarter, so that made-up names cannot push real users out; an accepted token moves a user to the
 * protected part. Each part forgets a user that was not used lately.
 *
 * All of it stands in one shared buffer, so that the threads of a proxy share their users. Whoever reads a user gets
 * a copy; an answer is verified on the copy, and the outcome is taken over only if the user has not changed since
 * ({@linkcode CredentialCache.commit}): so no token is accepted twice, and nobody sees half of a change.
 */
import {
  type ChainHash,
  type Credential,
  DEFAULT_VERIFIER_POLICY,
  type HashBackend,
  type Identity,
  type Random,
} from "../mod.ts";
import { CachedUser } from "./cache/cached_user.ts";
import { type CredentialCopy, hashesByNumber } from "./cache/credential_copy.ts";
import { DueUsers } from "./cache/due_users.ts";
import { allocateMemory, type CacheMemory, Header, memoryOf, NO_USER } from "./cache/layout.ts";
import { Names } from "./cache/names.ts";
import { isFresh, type Issued, UserRecords } from "./cache/user_records.ts";
import { UserTable } from "./cache/user_table.ts";
import { WindowPool } from "./cache/window_pool.ts";
import { MAX_OWNER, WordLock } from "./cache/word_lock.ts";

export { CachedUser, type Issued };

/** What a cache may be made for. */
export interface CacheOptions {
  /** Length of the longest digest of its credentials, bytes; without it that of SHA-256. */
  readonly digestBytes?: number;
  /** How long skipped tokens stay acceptable, ms; the same for all threads. */
  readonly reorderMs?: number;
}

/** What is left of the credentials in a cache. */
export interface TokenFigures {
  /** Tokens of all users' newest credentials. */
  tokens: number;
  /** Users with few left. */
  low: number;
  /** Users with none left, or without a credential. */
  without: number;
}

/** Tries to load a user whom other threads push out of a cache that is far too small. */
const MAX_TRIES = 100;
const LONGEST_DIGEST = 32;

/** Bounded, two-part store of {@linkcode CachedUser}; one object per thread, all on the same memory. */
export class CredentialCache {
  /** Number of this thread among those that use the memory, 1, 2, … */
  readonly thread: number;
  readonly #memory: CacheMemory;
  readonly #names: Names;
  readonly #table: UserTable;
  readonly #pool: WindowPool;
  readonly #due: DueUsers;
  readonly #hashes: readonly ChainHash[];
  readonly #records: UserRecords;

  private constructor(memory: CacheMemory, hashes: HashBackend, options: CacheOptions) {
    this.#memory = memory;
    this.#hashes = hashesByNumber(hashes);
    this.thread = 1 + (Atomics.add(memory.header, Header.OWNERS, 1) >>> 0) % MAX_OWNER;
    const lock = new WordLock(this.thread);
    this.#names = new Names(memory);
    this.#table = new UserTable(memory, this.#names, lock);
    this.#pool = new WindowPool(memory, lock, options.reorderMs ?? DEFAULT_VERIFIER_POLICY.reorderMs);
    this.#due = new DueUsers(memory, this.#table);
    this.#records = new UserRecords(memory, this.thread);
  }

  /**
   * An empty cache. Its memory is reserved at once, and costs nothing until it is used.
   *
   * @param maxUsers at least 4: a quarter is for users who were never verified
   * @param random for the key of the hash of names
   * @throws RangeError when `maxUsers` is below 4 or more than the machine has room for
   */
  static create(
    maxUsers: number,
    hashes: HashBackend,
    random: Random,
    options: CacheOptions = {},
  ): CredentialCache {
    if (!Number.isSafeInteger(maxUsers) || maxUsers < 4) {
      throw new RangeError(`max_users ${maxUsers} is below 4`);
    }
    const memory = allocateMemory(maxUsers, options.digestBytes ?? LONGEST_DIGEST, random.bytes(8));
    return new CredentialCache(memory, hashes, options);
  }

  /**
   * The cache of another thread. All threads must have the same clock.
   *
   * @param buffer of that cache
   * @throws TypeError when it is another kind of buffer
   */
  static attach(buffer: SharedArrayBuffer, hashes: HashBackend, options: CacheOptions = {}): CredentialCache {
    return new CredentialCache(memoryOf(buffer), hashes, options);
  }

  /** The memory: for {@linkcode attach} in other threads. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }

  /** The hashes of this thread, by the numbers of CHAIN_ALGORITHMS. */
  get hashes(): readonly ChainHash[] {
    return this.#hashes;
  }

  /** Users in the cache. */
  get size(): number {
    return this.#table.count(0) + this.#table.count(1);
  }

  /** Users in the protected part. */
  get verifiedSize(): number {
    return this.#table.count(1);
  }

  /** Room for the copy of a user. */
  newUser(): CachedUser {
    return new CachedUser(this.#hashes);
  }

  /**
   * The number of a realm, for look-ups by bytes: found once, it stays the same.
   *
   * @returns -1 while no user has this realm; no look-up finds anything then
   */
  realmNumber(realm: string): number {
    return this.#names.realmNumber(realm);
  }

  /** All realms that users have or had. */
  realms(): readonly string[] {
    return this.#names.realmTexts();
  }

  /** Looks a user up, and counts it as used. The copy is written to `into`. */
  get(username: string, realm: string, into: CachedUser = this.newUser()): CachedUser | undefined {
    return this.#touched(this.peek(username, realm, into));
  }

  /** {@linkcode get} by the name in buffer[start, end), UTF-8. @param realm from {@linkcode realmNumber} */
  getBytes(
    buffer: Uint8Array,
    start: number,
    end: number,
    realm: number,
    into: CachedUser,
  ): CachedUser | undefined {
    return this.#names.takeBytes(buffer, start, end, realm) ? this.#touched(this.#load(into)) : undefined;
  }

  /** Looks a user up without counting it as used. */
  peek(username: string, realm: string, into: CachedUser = this.newUser()): CachedUser | undefined {
    return this.#names.take(username, realm) ? this.#load(into) : undefined;
  }

  /** Copies the user with the name in hand. */
  #load(into: CachedUser): CachedUser | undefined {
    const place = this.#table.open();
    if (place === NO_USER) return undefined;
    into.load(this.#memory, this.#pool, place, this.#names);
    this.#table.close(place);
    return into;
  }

  #touched(user: CachedUser | undefined): CachedUser | undefined {
    if (user !== undefined) this.#touch(user.place);
    return user;
  }

  /**
   * What a confirmation announces (docs/PROTOCOL.md §7): the user's next credential, until a token of it was accepted.
   *
   * @param place of the user when a token of its credential `tag` was accepted. If that credential is not there any
   * more, nothing is announced.
   * @param nonce N of the next credential is written to it
   * @returns length of its chain; 0 when nothing is announced
   */
  announced(place: number, tag: number, now: number, nonce: Uint8Array): number {
    if (place === NO_USER || !this.#table.openAt(place)) return 0;
    const chain = this.#records.announced(place, tag, now, nonce);
    this.#table.close(place);
    return chain;
  }

  /**
   * Looks a user up, or adds it to the part of the users who were never verified.
   *
   * @throws RangeError when the name is longer than 256 bytes, or there are too many realms
   */
  getOrAdd(username: string, realm: string, into: CachedUser = this.newUser()): CachedUser {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const user = this.get(username, realm, into);
      if (user !== undefined) return user;
      this.#table.add(username, realm);
      // Only what is used again is spared by the hand: a new user has not been.
      const added = this.peek(username, realm, into);
      if (added !== undefined) return added;
    }
    into.clear(username, realm);
    return into;
  }

  /**
   * Takes over what the verification of an answer has changed.
   *
   * @param user as it was loaded before the verification, and `live` one of its two credentials
   * @param accepted whether the verdict was `ok`: then the user is protected from now on
   * @returns false when the user has changed meanwhile, and when the copy was committed before with the user's first
   * accepted token. Nothing is taken over then: load it and verify again.
   */
  commit(user: CachedUser, live: CredentialCopy, accepted: boolean, now: number): boolean {
    if (user.place === NO_USER || user.served || !this.#table.openAt(user.place)) return false;
    const unchanged = this.#records.isUnchanged(user);
    if (unchanged) {
      live.save(this.#memory, this.#pool, now);
      this.#records.noteCommit(user, accepted);
    }
    this.#table.close(user.place);
    if (unchanged && accepted && !user.verified) this.#protect(user);
    return unchanged;
  }

  /**
   * Puts a new credential in use; the one before becomes the older of the two, and the question for it is answered. A
   * user who was forgotten meanwhile is added.
   *
   * @returns undefined when the user was revoked since
   * @throws RangeError when the cache was made for shorter digests
   */
  install(issued: Issued, into: CachedUser = this.newUser()): CachedUser | undefined {
    const { username, realm } = issued.credential;
    this.#checkLength(issued.credential);
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const place = this.#open(username, realm);
      if (place === NO_USER) {
        this.#table.add(username, realm);
        continue;
      }
      const installed = this.#records.install(place, issued);
      if (installed) this.#due.note(place, issued.lookAt);
      into.load(this.#memory, this.#pool, place, this.#names);
      this.#table.close(place);
      return installed ? into : undefined;
    }
    return undefined;
  }

  /**
   * Adds a user of a warm-up file (docs/PROTOCOL.md §10) with its credential: to the protected part while it has room, then
   * to the other. Nobody is pushed out for it.
   *
   * @returns false when there is no room, or the user is there already
   */
  preload(issued: Issued): boolean {
    const { username, realm } = issued.credential;
    this.#checkLength(issued.credential);
    const place = this.#table.addIfRoom(username, realm);
    if (place === NO_USER) return false;
    const installed = this.#records.install(place, issued);
    if (installed) this.#due.note(place, issued.lookAt);
    this.#table.close(place);
    return installed;
  }

  /** Whether a thread is asking for a credential of the user. */
  isFetching(user: CachedUser, now: number): boolean {
    return isFresh(user.fetcher, user.lastIssueAt, now);
  }

  /** Marks a user as asked for by this thread. False when another thread is asking already. */
  beginFetch(username: string, realm: string, now: number): boolean {
    const place = this.#open(username, realm);
    if (place === NO_USER) return true;
    const begun = this.#records.beginFetch(place, now);
    this.#table.close(place);
    return begun;
  }

  /**
   * Takes the mark of {@linkcode beginFetch} off, when no credential came.
   *
   * @param before when a credential was last asked for, if this question is not to count; ms
   */
  endFetch(username: string, realm: string, before?: number): void {
    const place = this.#open(username, realm);
    if (place === NO_USER) return;
    this.#records.endFetch(place, before);
    this.#table.close(place);
  }

  /**
   * Takes off all marks of a thread that is gone: nobody has to wait for its questions. All users are gone through.
   *
   * @param thread its {@linkcode CredentialCache.thread}
   */
  abandonFetches(thread: number): void {
    const { unverifiedMax } = this.#memory;
    for (const part of [0, 1] as const) {
      for (let place = part * unverifiedMax; place < this.#table.end(part); place++) {
        if (this.#records.fetcherOf(place) !== thread || !this.#table.openAt(place)) continue;
        this.#records.endFetch(place, undefined, thread);
        this.#table.close(place);
      }
    }
  }

  /**
   * Counts the tokens of the users in some places, for figures; a part at a time, since there may be millions.
   *
   * @param from where to begin, 0 at first
   * @param lowWater a credential with so few tokens left is renewed
   * @param into is added to
   * @returns where to go on; -1: those were the last
   */
  countTokens(from: number, places: number, lowWater: number, now: number, into: TokenFigures): number {
    const { unverifiedMax } = this.#memory;
    const part = from < unverifiedMax ? 0 : 1;
    const end = Math.min(from + places, this.#table.end(part));
    for (let place = from; place < end; place++) {
      const left = this.#records.tokensLeft(place, now);
      if (left < 0) continue;
      into.tokens += left;
      if (left === 0) into.without++;
      else if (left <= lowWater) into.low++;
    }
    if (end < this.#table.end(part)) return end;
    return part === 0 ? unverifiedMax : -1;
  }

  /** Forgets a user. */
  remove({ username, realm }: Identity): void {
    if (this.#names.take(username, realm)) this.#table.remove();
  }

  /**
   * Forgets the credentials of one user, or of all when `username` is absent (docs/PROTOCOL.md §9, REVOKED).
   *
   * @param serial of the revocation: credentials of the user that were read after it stay
   */
  revoke(username?: string, realm = "", serial = Infinity): void {
    if (username === undefined) return this.#table.clear();
    const place = this.#open(username, realm);
    if (place === NO_USER) return;
    const needed = this.#records.revoke(place, serial);
    this.#table.close(place);
    if (!needed) this.#table.remove();
  }

  /** Notes when to look at a user again. @param at ms */
  lookAgain(user: CachedUser, at: number): void {
    if (user.place !== NO_USER) this.#due.note(user.place, at);
  }

  /** The next user whose time to be looked at has come; undefined when that is all for now. */
  nextDue(now: number, into: CachedUser): CachedUser | undefined {
    for (;;) {
      const place = this.#due.next(now);
      if (place === NO_USER) return undefined;
      if (!this.#table.openAt(place)) continue;
      const used = this.#records.isUsed(place);
      if (used) {
        this.#names.takeFrom(place);
        into.load(this.#memory, this.#pool, place, this.#names);
      }
      this.#table.close(place);
      if (used) return into;
    }
  }

  #checkLength({ algorithm, anchor }: Credential): void {
    const room = this.#memory.digestBytes;
    if (anchor.length > room) throw new RangeError(`${algorithm} in a cache for digests of ${room} bytes`);
  }

  #open(username: string, realm: string): number {
    return this.#names.take(username, realm) ? this.#table.open() : NO_USER;
  }

  #touch(place: number): void {
    const { referenced } = this.#memory;
    if (referenced[place] === 0) referenced[place] = 1;
  }

  #protect(user: CachedUser): void {
    const { name, nameLength, realm } = user;
    if (!this.#names.takeBytes(name, 0, nameLength, this.#names.realmNumber(realm))) return;
    const place = this.#table.protect(user.place);
    // The copy has served: for another answer it has to be loaded again from the new place.
    user.served = true;
    user.place = place;
    if (place !== NO_USER) user.verified = true;
  }
}
