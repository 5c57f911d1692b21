/** What happens to one user, whose lock is held: credentials come and go, questions begin and end. */
import { type Credential, NONCE_BYTES } from "../../mod.ts";
import type { CachedUser } from "./cached_user.ts";
import { isRevoked, wipeRecord, writeRecord } from "./credential_copy.ts";
import { type CacheMemory, Flag, Header, Record, User } from "./layout.ts";

/** A credential as it goes into the cache. Times in ms on the clock that all threads share. */
export interface Issued {
  readonly credential: Credential;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The revocation serial that was read before the row. */
  readonly serial: number;
  /** When to look at the user again. */
  readonly lookAt: number;
}

/** A question to DBclient that is older than this is lost with the thread that asked, ms. */
const FETCH_PATIENCE_MS = 30_000;

/** To see words of the shared memory as bytes. */
const nonceWords = new Int32Array(NONCE_BYTES / 4);
const nonceBytes = new Uint8Array(nonceWords.buffer);

/** Whether the question of a thread is still to be waited for. @param fetcher 0 when there is none */
export function isFresh(fetcher: number, askedAt: number, now: number): boolean {
  return fetcher !== 0 && now - askedAt < FETCH_PATIENCE_MS;
}

/** The records of the users of a cache, for one thread. */
export class UserRecords {
  constructor(private readonly memory: CacheMemory, private readonly thread: number) {}

  isUsed(place: number): boolean {
    return (this.memory.userWords[place * User.WORDS + User.FLAGS] & Flag.USED) !== 0;
  }

  /** Whether nothing happened since a copy of the user was made. */
  isUnchanged({ place, stamp }: CachedUser): boolean {
    return this.memory.userWords[place * User.WORDS + User.STAMP] === stamp;
  }

  /** Notes that one of the user's credentials was changed after an answer, and that the copy is as the record now. */
  noteCommit(user: CachedUser, accepted: boolean): void {
    const { userWords } = this.memory;
    const at = user.place * User.WORDS;
    if (accepted) {
      userWords[at + User.FLAGS] |= Flag.SEEN;
      user.seenSinceIssue = true;
    }
    user.stamp = ++userWords[at + User.STAMP];
  }

  /**
   * Puts a new credential in use; the one before becomes the older of the two.
   *
   * @returns false when the user was revoked after its row was read
   */
  install(place: number, { credential, issuedAt, expiresAt, serial }: Issued): boolean {
    const { memory } = this;
    const { userWords, userFloats } = memory;
    const at = place * User.WORDS;
    userWords[at + User.FETCHER] = 0;
    userWords[at + User.STAMP]++;
    userFloats[at / 2 + User.LAST_ISSUE] = Math.max(userFloats[at / 2 + User.LAST_ISSUE], issuedAt);
    if (serial < userFloats[at / 2 + User.REVOKED]) return false;
    let flags = userWords[at + User.FLAGS];
    if ((flags & Flag.HAS_NEWEST) !== 0) flags = (flags ^ Flag.SWAPPED) | Flag.HAS_OLDER;
    const record = ((flags & Flag.SWAPPED) === 0 ? 0 : memory.maxUsers) + place;
    // Never 0, which says that a window is free.
    const tag = Atomics.add(memory.header, Header.TAGS, 1) | (1 << 31);
    writeRecord(memory, record, credential, tag, issuedAt, expiresAt, serial);
    userWords[at + User.FLAGS] = (flags | Flag.HAS_NEWEST) & ~Flag.SEEN;
    return true;
  }

  /**
   * Tokens left of the user's newest credential, 0 without one or when it has expired; -1 when the place holds no user. For
   * figures: the lock need not be held, and what changes meanwhile may be read half.
   */
  tokensLeft(place: number, now: number): number {
    const { userWords, recordWordsOf: words, recordFloatsOf: floats, recordWords, maxUsers } = this.memory;
    const flags = userWords[place * User.WORDS + User.FLAGS];
    if ((flags & Flag.USED) === 0) return -1;
    if ((flags & Flag.HAS_NEWEST) === 0) return 0;
    const at = ((flags & Flag.SWAPPED) === 0 ? place : maxUsers + place) * recordWords;
    return now >= floats[at / 2 + Record.EXPIRES_AT] ? 0 : words[at + Record.INDEX] >>> 16;
  }

  /**
   * The next credential of a user, as {@linkcode CredentialCache.announced} tells it. Looked up in the records: this is
   * asked for every accepted token, and a copy of the user is not needed.
   */
  announced(place: number, tag: number, now: number, nonce: Uint8Array): number {
    const { userWords, recordWordsOf: words, recordFloatsOf: floats, recordWords, maxUsers } = this.memory;
    const flags = userWords[place * User.WORDS + User.FLAGS];
    const both = Flag.USED | Flag.HAS_NEWEST | Flag.HAS_OLDER;
    if ((flags & both) !== both) return 0;
    const swapped = (flags & Flag.SWAPPED) !== 0;
    const newest = (swapped ? maxUsers + place : place) * recordWords;
    const older = (swapped ? place : maxUsers + place) * recordWords;
    if (words[older + Record.TAG] !== tag) return 0;
    const packed = words[newest + Record.INDEX];
    const chain = packed & 0xffff;
    if (packed >>> 16 !== chain || now >= floats[newest / 2 + Record.EXPIRES_AT]) return 0;
    for (let i = 0; i < NONCE_BYTES / 4; i++) nonceWords[i] = words[newest + Record.NONCE + i];
    for (let i = 0; i < NONCE_BYTES; i++) nonce[i] = nonceBytes[i];
    return chain;
  }

  /** Marks the user as asked for by this thread. False when another thread is asking. */
  beginFetch(place: number, now: number): boolean {
    const { userWords, userFloats } = this.memory;
    const at = place * User.WORDS;
    const fetcher = userWords[at + User.FETCHER];
    if (fetcher !== this.thread && isFresh(fetcher, userFloats[at / 2 + User.LAST_ISSUE], now)) return false;
    userWords[at + User.FETCHER] = this.thread;
    userFloats[at / 2 + User.LAST_ISSUE] = now;
    userWords[at + User.STAMP]++;
    return true;
  }

  /** The thread that is asking for a credential of the user, 0 when none is. The lock need not be held. */
  fetcherOf(place: number): number {
    return this.memory.userWords[place * User.WORDS + User.FETCHER];
  }

  /** Takes the mark off again, if it is this thread's, or that of another that is gone. */
  endFetch(place: number, before?: number, thread = this.thread): void {
    const { userWords, userFloats } = this.memory;
    const at = place * User.WORDS;
    if (userWords[at + User.FETCHER] !== thread) return;
    userWords[at + User.FETCHER] = 0;
    if (before !== undefined) userFloats[at / 2 + User.LAST_ISSUE] = before;
    userWords[at + User.STAMP]++;
  }

  /**
   * Wipes out the credentials that were read before a revocation.
   *
   * @returns whether the user is needed any more: with a credential, or for one that is on the way, which is measured
   * against the serial kept here
   */
  revoke(place: number, serial: number): boolean {
    const { userWords, userFloats, maxUsers } = this.memory;
    const at = place * User.WORDS;
    const flags = userWords[at + User.FLAGS];
    const newest = (flags & Flag.SWAPPED) === 0 ? 0 : 1;
    let kept = flags;
    for (const [flag, which] of [[Flag.HAS_NEWEST, newest], [Flag.HAS_OLDER, 1 - newest]]) {
      const record = which * maxUsers + place;
      if ((flags & flag) === 0 || !isRevoked(this.memory, record, serial)) continue;
      wipeRecord(this.memory, record);
      kept &= ~flag;
    }
    userWords[at + User.FLAGS] = kept;
    userWords[at + User.STAMP]++;
    if (serial !== Infinity) {
      userFloats[at / 2 + User.REVOKED] = Math.max(userFloats[at / 2 + User.REVOKED], serial);
    }
    return (kept & Flag.HAS_NEWEST) !== 0 || userWords[at + User.FETCHER] !== 0;
  }
}
