/**
 * Users by name: chained in the buffer by a keyed hash, so that a look-up takes the same time whether there are a
 * thousand or a million, and nobody can choose names that share a chain. Look-ups take no lock; whoever adds, moves or
 * forgets users takes that of the table, and each user's lock where its record changes. Two locks of users are
 * held at a time only under the table's.
 */
import { type CacheMemory, Header, NO_USER, User } from "./layout.ts";
import type { Names } from "./names.ts";
import { Places } from "./places.ts";
import { BROKEN, type WordLock } from "./word_lock.ts";

/** Users looked at in one chain: far above what any has, but a chain that changes meanwhile may lead in a circle. */
const MAX_STEPS = 256;
/** Looks without the lock of the table, while the chains change. */
const FREE_LOOKS = 64;
/** Look-ups tried again because the user was moved or forgotten meanwhile. */
const MAX_LOOKS = 1000;

/** The users of a cache, for one thread. Names come from {@linkcode Names.take}. */
export class UserTable {
  readonly #mask: number;
  readonly #places: Places;
  #ticket = 0;
  #tableTicket = 0;

  constructor(
    private readonly memory: CacheMemory,
    private readonly names: Names,
    private readonly lock: WordLock,
  ) {
    this.#mask = memory.heads.length - 1;
    this.#places = new Places(memory);
  }

  /** End of the places that were ever used in a part. */
  end(part: 0 | 1): number {
    return this.#places.end(part);
  }

  /** Users in the part of those never verified (0), or in the protected one (1). */
  count(part: 0 | 1): number {
    return this.#places.count(part);
  }

  /** Finds the user with the name in hand and takes its lock. NO_USER when there is none. */
  open(): number {
    for (let look = 0; look < MAX_LOOKS; look++) {
      const user = this.#find();
      if (user === NO_USER) return NO_USER;
      if (!this.openAt(user)) continue;
      if (this.#holds(user)) return user;
      this.close(user);
    }
    return NO_USER;
  }

  /** Takes the lock of a place. False when it is broken. */
  openAt(user: number): boolean {
    this.#ticket = this.lock.take(this.memory.userWords, user * User.WORDS + User.LOCK);
    return this.#ticket !== 0;
  }

  /** Gives the lock of {@linkcode open} back. */
  close(user: number): void {
    this.lock.release(this.memory.userWords, user * User.WORDS + User.LOCK, this.#ticket);
  }

  /**
   * Adds a user, never verified, if it is not there, forgetting another where there is no room. The name is in hand then.
   *
   * @throws RangeError when the name is too long
   */
  add(username: string, realm: string): void {
    this.#begin();
    try {
      this.names.addRealm(realm);
      if (!this.names.take(username, realm)) {
        throw new RangeError(`user name of ${username.length} characters`);
      }
      if (this.#find() === NO_USER) this.close(this.#create(0));
    } finally {
      this.#end();
    }
  }

  /**
   * Adds a user where nobody has to be forgotten for it: in the protected part, else in the other. Returns its
   * place, with its lock taken; NO_USER when there is no room, or the user is there already.
   */
  addIfRoom(username: string, realm: string): number {
    this.#begin();
    try {
      this.names.addRealm(realm);
      if (!this.names.take(username, realm) || this.#find() !== NO_USER) return NO_USER;
      const part = this.#places.hasRoom(1) ? 1 : 0;
      return this.#places.hasRoom(part) ? this.#create(part) : NO_USER;
    } finally {
      this.#end();
    }
  }

  /** Moves the user with the name in hand to the protected part. Returns its new place, or NO_USER when it is gone. */
  protect(user: number): number {
    this.#begin();
    try {
      const target = this.#allocate(1);
      const targetTicket = this.#ticket;
      let moved = NO_USER;
      if (this.openAt(user)) {
        if (this.#holds(user)) {
          this.#unlink(user);
          this.#places.move(user, target);
          this.names.copy(user, target);
          this.#link(target);
          this.#places.free(user);
          moved = target;
        }
        this.close(user);
      }
      if (moved === NO_USER) this.#places.free(target);
      this.#ticket = targetTicket;
      this.close(target);
      return moved;
    } finally {
      this.#end();
    }
  }

  /** Forgets the user with the name in hand. */
  remove(): void {
    this.#begin();
    const user = this.open();
    if (user !== NO_USER) {
      this.#unlink(user);
      this.#places.free(user);
      this.close(user);
    }
    this.#end();
  }

  /** Forgets all users. */
  clear(): void {
    this.#begin();
    this.memory.heads.fill(0);
    for (const part of [0, 1] as const) {
      for (let user = this.#places.first(part); user < this.#places.end(part); user++) {
        if (!this.openAt(user)) continue;
        if (this.#places.isUsed(user)) this.#places.free(user);
        this.close(user);
      }
    }
    this.#end();
  }

  /** A new user with the name in hand; its lock stays taken. */
  #create(part: 0 | 1): number {
    const user = this.#allocate(part);
    this.names.write(user);
    this.#places.occupy(user);
    this.#link(user);
    return user;
  }

  /** A place that holds nobody, with its lock taken; the least recently used user makes room. */
  #allocate(part: 0 | 1): number {
    for (let attempt = 0; attempt < MAX_LOOKS; attempt++) {
      const free = this.#places.takeFree(part);
      const user = free === NO_USER ? this.#places.nextVictim(part) : free;
      if (!this.openAt(user)) continue;
      if (free === NO_USER) {
        if (this.#places.isUsed(user)) this.#unlink(user);
        this.#places.vacate(user);
      }
      return user;
    }
    throw new Error("all places of the credential cache were lost with threads that were ended");
  }

  /** Only while the chains stand still, or are in this thread's own hands, does not finding mean not being there. */
  #find(): number {
    if (this.#tableTicket !== 0) return this.#look();
    const { header } = this.memory;
    for (let look = 0; look < FREE_LOOKS; look++) {
      const stamp = Atomics.load(header, Header.TABLE_STAMP);
      const user = this.#look();
      if (user !== NO_USER) return user;
      if ((stamp & 1) === 0 && Atomics.load(header, Header.TABLE_STAMP) === stamp) return NO_USER;
    }
    // Whoever changes the chains was stopped by the system in the middle of it, or others follow all the time.
    this.#begin();
    const user = this.#look();
    this.#end();
    return user;
  }

  #look(): number {
    const { heads, userWords } = this.memory;
    const { hash } = this.names;
    let next = Atomics.load(heads, hash & this.#mask);
    for (let step = 0; next !== 0 && step < MAX_STEPS; step++) {
      const at = (next - 1) * User.WORDS;
      if (
        Atomics.load(userWords, at + User.HASH) === hash && this.names.matches(next - 1) &&
        Atomics.load(userWords, at + User.LOCK) !== BROKEN
      ) return next - 1;
      next = Atomics.load(userWords, at + User.NEXT);
    }
    return NO_USER;
  }

  /** Whether a place, whose lock is held, holds the user with the name in hand. */
  #holds(user: number): boolean {
    return this.#places.isUsed(user) && this.names.matches(user);
  }

  #link(user: number): void {
    const { heads, userWords } = this.memory;
    const chain = userWords[user * User.WORDS + User.HASH] & this.#mask;
    Atomics.store(userWords, user * User.WORDS + User.NEXT, heads[chain]);
    Atomics.store(heads, chain, user + 1);
  }

  #unlink(user: number): void {
    const { heads, userWords } = this.memory;
    const chain = userWords[user * User.WORDS + User.HASH] & this.#mask;
    const after = userWords[user * User.WORDS + User.NEXT];
    if (heads[chain] === user + 1) {
      Atomics.store(heads, chain, after);
      return;
    }
    for (let next = heads[chain]; next !== 0;) {
      const at = (next - 1) * User.WORDS + User.NEXT;
      next = userWords[at];
      if (next === user + 1) {
        Atomics.store(userWords, at, after);
        return;
      }
    }
  }

  #begin(): void {
    const { header } = this.memory;
    const ticket = this.lock.takeOver(header, Header.TABLE_LOCK);
    Atomics.store(header, Header.TABLE_STAMP, (header[Header.TABLE_STAMP] + 1) | 1);
    this.#tableTicket = ticket;
    if (this.lock.recovered) this.#rebuild();
  }

  #end(): void {
    const { header } = this.memory;
    Atomics.add(header, Header.TABLE_STAMP, 1);
    this.lock.release(header, Header.TABLE_LOCK, this.#tableTicket);
    this.#tableTicket = 0;
  }

  /** Makes chains and free places anew from the users: a thread was ended while it changed them. */
  #rebuild(): void {
    this.memory.heads.fill(0);
    for (const part of [0, 1] as const) {
      this.#places.reset(part);
      for (let user = this.#places.first(part); user < this.#places.end(part); user++) {
        // A place that the lost thread was writing to is still locked; waiting for it breaks it.
        if (!this.openAt(user)) continue;
        if (this.#places.recount(user)) this.#link(user);
        this.close(user);
      }
    }
  }
}
