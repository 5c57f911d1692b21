/** A user as a copy of what the cache knows: made under the user's lock, and unchanged until it is loaded again. */
import type { ChainAlgorithm, ChainHash, Identity, PcAnswerView } from "../../mod.ts";
import { CredentialCopy } from "./credential_copy.ts";
import { type CacheMemory, Flag, MAX_NAME_BYTES, NO_USER, User } from "./layout.ts";
import { type Names, nameText } from "./names.ts";
import type { WindowPool } from "./window_pool.ts";

/** A user with its live credentials: at most two (docs/PROTOCOL.md §4). Made by the cache, and used again and again. */
export class CachedUser implements Identity {
  realm = "";
  /** The credential that challenges come from. */
  newest: CredentialCopy | undefined;
  /** The one before: it serves answers only. */
  older: CredentialCopy | undefined;
  /** When a credential was last asked for, ms; -Infinity when never. */
  lastIssueAt = -Infinity;
  /** Whether a request of the user came since the last credential arrived. */
  seenSinceIssue = false;
  /** Whether a token of the user was ever accepted, or the operator vouched for it: which part of the cache it is in. */
  verified = false;
  /** The thread that asks for a credential of the user; 0 when none does. */
  fetcher = 0;
  /** Where the user stands. An accepted token may move it: then this is the new place. */
  place: number = NO_USER;
  /** How often it had changed, and whether the copy has served: it was moved since. For the cache alone. */
  stamp = 0;
  served = false;
  /** The name is name[0, nameLength), UTF-8. */
  readonly name: Uint8Array = new Uint8Array(MAX_NAME_BYTES);
  nameLength = 0;
  #username: string | undefined = "";
  readonly #copies: readonly [CredentialCopy, CredentialCopy];

  /** @param hashes by the numbers of CHAIN_ALGORITHMS */
  constructor(hashes: readonly ChainHash[]) {
    this.#copies = [new CredentialCopy(hashes), new CredentialCopy(hashes)];
  }

  /** The name as text: made when it is first asked for. */
  get username(): string {
    return this.#username ??= nameText(this.name, this.nameLength);
  }

  /** {@linkcode find} for an answer that was read from bytes. */
  findNamed(answer: PcAnswerView): CredentialCopy | undefined {
    const { newest, older } = this;
    if (newest?.isNamedBy(answer)) return newest;
    return older?.isNamedBy(answer) ? older : undefined;
  }

  /** The live credential that an answer names, or undefined: then the answer is `stale`. */
  find(algorithm: ChainAlgorithm, nonce: string): CredentialCopy | undefined {
    const { newest, older } = this;
    if (newest?.isNamed(algorithm, nonce)) return newest;
    return older?.isNamed(algorithm, nonce) ? older : undefined;
  }

  /** Tells the newest credential from those before and after; 0 when there is none. */
  get tag(): number {
    return this.newest?.tag ?? 0;
  }

  /** Copies the user of a place, whose lock is held and whose name is in hand. */
  load(memory: CacheMemory, pool: WindowPool, place: number, names: Names): void {
    const { userWords, userFloats, maxUsers } = memory;
    const at = place * User.WORDS;
    const flags = userWords[at + User.FLAGS];
    const { bytes, length } = names;
    for (let i = 0; i < length; i++) this.name[i] = bytes[i];
    this.nameLength = length;
    this.#username = undefined;
    this.realm = names.realmText(names.realm);
    this.place = place;
    this.served = false;
    this.stamp = userWords[at + User.STAMP];
    this.verified = place >= memory.unverifiedMax;
    this.seenSinceIssue = (flags & Flag.SEEN) !== 0;
    this.lastIssueAt = userFloats[at / 2 + User.LAST_ISSUE];
    this.fetcher = userWords[at + User.FETCHER];
    this.newest = this.older = undefined;
    const newest = (flags & Flag.SWAPPED) === 0 ? 0 : 1;
    if ((flags & Flag.HAS_NEWEST) !== 0) {
      this.newest = this.#copies[0];
      this.newest.load(memory, pool, newest * maxUsers + place);
    }
    if ((flags & Flag.HAS_OLDER) !== 0) {
      this.older = this.#copies[1];
      this.older.load(memory, pool, (1 - newest) * maxUsers + place);
    }
  }

  /** A user that the cache does not have. */
  clear(username: string, realm: string): void {
    this.#username = username;
    this.realm = realm;
    this.place = NO_USER;
    this.newest = this.older = undefined;
    this.lastIssueAt = -Infinity;
    this.seenSinceIssue = this.verified = false;
    this.fetcher = 0;
  }
}
