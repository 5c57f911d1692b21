/**
 * The places of users in the memory of a cache, in two parts (docs/PROTOCOL.md §8), and which of them is given up next:
 * a hand goes round each part and takes the first user that was not used since it last came by. All methods are
 * called under the lock of the table, and those that name a place under that of the place as well.
 */
import { wipeRecord } from "./credential_copy.ts";
import { type CacheMemory, Flag, Header, NO_USER, Part, User } from "./layout.ts";

/** Users that the hand spares in one turn: it must take the same time however many were used. */
const MAX_SPARED = 64;

/** The places of one cache. */
export class Places {
  constructor(private readonly memory: CacheMemory) {}

  /** The first place of a part. */
  first(part: 0 | 1): number {
    return part === 0 ? 0 : this.memory.unverifiedMax;
  }

  /** The end of the places of a part that were ever used. */
  end(part: 0 | 1): number {
    return this.first(part) + this.memory.header[at(part) + Part.USED];
  }

  /** Users in a part. */
  count(part: 0 | 1): number {
    return Atomics.load(this.memory.header, at(part) + Part.COUNT);
  }

  /** Whether a user can be added without forgetting another. */
  hasRoom(part: 0 | 1): boolean {
    const { header } = this.memory;
    return header[at(part) + Part.FREE] !== 0 || header[at(part) + Part.USED] < this.#size(part);
  }

  isUsed(user: number): boolean {
    return (this.memory.userWords[user * User.WORDS + User.FLAGS] & Flag.USED) !== 0;
  }

  /** A place that holds nobody; NO_USER when there is none. */
  takeFree(part: 0 | 1): number {
    const { header, userWords } = this.memory;
    const free = header[at(part) + Part.FREE];
    if (free !== 0) {
      header[at(part) + Part.FREE] = userWords[(free - 1) * User.WORDS + User.NEXT];
      return free - 1;
    }
    if (header[at(part) + Part.USED] >= this.#size(part)) return NO_USER;
    return this.first(part) + header[at(part) + Part.USED]++;
  }

  /** Whose place is given up next. */
  nextVictim(part: 0 | 1): number {
    const { header, referenced } = this.memory;
    const size = this.#size(part);
    for (let spared = 0;; spared++) {
      const place = header[at(part) + Part.HAND] % size;
      header[at(part) + Part.HAND] = place + 1;
      const user = this.first(part) + place;
      if (referenced[user] === 0 || spared >= MAX_SPARED) return user;
      referenced[user] = 0;
    }
  }

  /** Puts a user with no credentials in a place; its name is written already. */
  occupy(user: number): void {
    const { header, userWords, userFloats } = this.memory;
    const word = user * User.WORDS;
    userFloats[word / 2 + User.LAST_ISSUE] = -Infinity;
    userFloats[word / 2 + User.REVOKED] = 0;
    userWords[word + User.FETCHER] = 0;
    userWords[word + User.FLAGS] = Flag.USED;
    userWords[word + User.STAMP]++;
    Atomics.add(header, at(this.#partOf(user)) + Part.COUNT, 1);
  }

  /** Copies a user, its name aside, to an empty place. */
  move(from: number, to: number): void {
    const { userWords, userFloats, due, referenced, recordWordsOf, recordWords, maxUsers } = this.memory;
    this.occupy(to);
    const source = from * User.WORDS;
    const target = to * User.WORDS;
    userFloats[target / 2 + User.LAST_ISSUE] = userFloats[source / 2 + User.LAST_ISSUE];
    userFloats[target / 2 + User.REVOKED] = userFloats[source / 2 + User.REVOKED];
    userWords[target + User.FETCHER] = userWords[source + User.FETCHER];
    const flags = userWords[target + User.FLAGS] = userWords[source + User.FLAGS];
    due[to] = due[from];
    referenced[to] = referenced[from];
    for (const place of [0, 1] as const) {
      if (!hasRecord(flags, place)) continue;
      const first = (place * maxUsers + from) * recordWords;
      const shift = (to - from) * recordWords;
      for (let i = first; i < first + recordWords; i++) recordWordsOf[i + shift] = recordWordsOf[i];
    }
  }

  /** Wipes out the user of a place, if there is one. */
  vacate(user: number): void {
    if (!this.isUsed(user)) return;
    const { header, userWords, due, referenced, maxUsers } = this.memory;
    const word = user * User.WORDS;
    const flags = userWords[word + User.FLAGS];
    for (const place of [0, 1] as const) {
      if (hasRecord(flags, place)) wipeRecord(this.memory, place * maxUsers + user);
    }
    userWords[word + User.FLAGS] = 0;
    userWords[word + User.STAMP]++;
    due[user] = 0;
    referenced[user] = 0;
    Atomics.sub(header, at(this.#partOf(user)) + Part.COUNT, 1);
  }

  /** Wipes out the user of a place and keeps the place for another. */
  free(user: number): void {
    this.vacate(user);
    const { header, userWords } = this.memory;
    const first = at(this.#partOf(user)) + Part.FREE;
    Atomics.store(userWords, user * User.WORDS + User.NEXT, header[first]);
    header[first] = user + 1;
  }

  /** Forgets which places of a part are free: {@linkcode recount} finds out again. */
  reset(part: 0 | 1): void {
    const { header } = this.memory;
    header[at(part) + Part.FREE] = header[at(part) + Part.COUNT] = 0;
    header[at(part) + Part.USED] = Math.min(header[at(part) + Part.USED], this.#size(part));
  }

  /** Counts a place as used or free. */
  recount(user: number): boolean {
    if (this.isUsed(user)) {
      Atomics.add(this.memory.header, at(this.#partOf(user)) + Part.COUNT, 1);
      return true;
    }
    this.free(user);
    return false;
  }

  #partOf(user: number): 0 | 1 {
    return user < this.memory.unverifiedMax ? 0 : 1;
  }

  #size(part: 0 | 1): number {
    const { unverifiedMax, maxUsers } = this.memory;
    return part === 0 ? unverifiedMax : maxUsers - unverifiedMax;
  }
}

/** Whether the first (0) or second (1) place of a user's credentials holds one. */
export function hasRecord(flags: number, place: 0 | 1): boolean {
  const newest = (flags & Flag.SWAPPED) === 0 ? 0 : 1;
  return (flags & (place === newest ? Flag.HAS_NEWEST : Flag.HAS_OLDER)) !== 0;
}

function at(part: 0 | 1): number {
  return Header.PARTS + part * Part.WORDS;
}
