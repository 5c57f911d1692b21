/**
 * A bounded map that forgets its least recently used entry. The order of use is a ring through the entries themselves: a
 * Map alone can tell its oldest key only by stepping over all that were deleted before it, which under a flood of new
 * names costs tens of microseconds for each.
 */

/** What a {@linkcode RecencyMap} can hold: extend it. An entry is in one map at a time. */
export abstract class RecencyEntry {
  /** @internal the neighbours in the ring; undefined outside of it */
  lessRecent: RecencyEntry | undefined = undefined;
  /** @internal */
  moreRecent: RecencyEntry | undefined = undefined;

  constructor(readonly key: string) {}
}

/** The place where the ring begins and ends. */
class Ends extends RecencyEntry {
  constructor() {
    super("");
    this.lessRecent = this;
    this.moreRecent = this;
  }
}

/** A bounded map of entries by their keys. */
export class RecencyMap<T extends RecencyEntry> {
  readonly #entries = new Map<string, T>();
  readonly #ends = new Ends();

  /** @param max entries at most, at least 1 */
  constructor(readonly max: number) {}

  /** Entries in the map. */
  get size(): number {
    return this.#entries.size;
  }

  /** The entry of a key; this is no use of it. */
  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  /** Makes an entry of the map the most recently used. */
  touch(entry: T): void {
    if (entry.lessRecent === undefined || entry.moreRecent === this.#ends) return;
    unlink(entry);
    this.#link(entry);
  }

  /** Adds an entry as the most recently used, in place of one with the same key; the oldest goes when there is no room. */
  add(entry: T): void {
    this.delete(entry.key);
    this.#entries.set(entry.key, entry);
    this.#link(entry);
    if (this.#entries.size > this.max) this.delete(this.#ends.moreRecent!.key);
  }

  /** Takes the entry of a key out; whether there was one. */
  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    unlink(entry);
    return true;
  }

  /** Takes all entries out. */
  clear(): void {
    for (const key of [...this.#entries.keys()]) this.delete(key);
  }

  #link(entry: T): void {
    const last = this.#ends.lessRecent!;
    entry.lessRecent = last;
    entry.moreRecent = this.#ends;
    last.moreRecent = entry;
    this.#ends.lessRecent = entry;
  }
}

function unlink(entry: RecencyEntry): void {
  entry.lessRecent!.moreRecent = entry.moreRecent;
  entry.moreRecent!.lessRecent = entry.lessRecent;
  entry.lessRecent = undefined;
  entry.moreRecent = undefined;
}
