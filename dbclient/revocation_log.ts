/**
 * What DBclient knows of revocations (docs/PROTOCOL.md §9, §10), without I/O: rows of the table in, what proxies are to
 * be told out.
 *
 * A row's id is its serial. Databases give ids when a row is written and show the row when its transaction is
 * committed, so that a later id may be seen before an earlier one: an id that is missing below one that is there is a
 * gap. For a while a gap holds {@linkcode RevocationLog.serial} back, the serial up to which everything is known;
 * gaps are looked at on for an hour, and a row that comes late is told under a serial above every one given since.
 */
import { type Identity, MAX_ITEMS, type ReadyNews, TEXT_LIMIT, utf8Length } from "../mod.ts";

/** A row of the table. */
export interface RevocationRow {
  readonly id: number;
  readonly username: string;
  /** "" for every realm. */
  readonly domain: string;
}

/** A user whose credentials are void if their serial is below this one. An empty realm stands for every realm. */
export interface Revocation extends Identity {
  readonly serial: number;
}

/** Users revoked up to one serial: what a REVOKED frame tells. */
export interface RevokedUsers {
  readonly serial: number;
  /** Empty: everything up to the serial has been told. */
  readonly users: readonly Identity[];
}

/** What a proxy that has seen a serial is told. */
export type RevokedSince =
  | readonly Revocation[]
  /** More than is known here: it has to drop everything. */
  | "all"
  /** The proxy has seen a later serial than this log: the table has to be read first, or is another. */
  | "later";

/** Ids from and to, both included, that were missing when it was seen. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** ms */
  readonly since: number;
}

/** What an operator need not know. */
export interface RevocationLogOptions {
  /** How long a gap holds the serial back, ms: longer than a change of a password takes to be committed. */
  readonly gapMs?: number;
  /** How long a row may come late, ms: longer than the longest transaction. */
  readonly watchMs?: number;
  /** Revocations kept. */
  readonly maxEntries?: number;
  /** Gaps looked at after they have ceased to hold the serial back. */
  readonly maxWatched?: number;
  /** Realms are not told apart (use_domain=0): every row is told for all of them. */
  readonly anyRealm?: boolean;
}

/** Rows at the end of a table that is read for the first time whose gaps count. */
const LOADED_FOR_GAPS = 1000;
/** The longest gap: a database may skip any number of ids, but not so many at once for open transactions. */
const MAX_GAP = 1_000_000;

/** Users of one frame, bytes: little enough for the smallest send buffer that DBclient may be given. */
const MAX_FRAME_BYTES = 32 << 10;
/** Bytes of a frame around its users (docs/PROTOCOL.md §9.1). */
const FRAME_BYTES = 4 + 1 + 4 + 8 + 2;

const keyOf = ({ username, realm }: Identity) => `${realm}\n${username}`;

/** Revocations in memory: bounded, oldest forgotten first. */
export class RevocationLog {
  readonly #options: Required<RevocationLogOptions>;
  #entries: Revocation[] = [];
  /** Serials below this one are not known any more. */
  #floor = 0;
  #newest: RevocationRow | undefined;
  #serial = 0;
  /** In the order of their ids. */
  #gaps: Gap[] = [];
  /** Serials of users that were told ahead of {@linkcode serial}. */
  readonly #ahead = new Map<string, number>();

  constructor(options: RevocationLogOptions = {}) {
    this.#options = {
      gapMs: 10_000,
      watchMs: 3_600_000,
      maxEntries: 50_000,
      maxWatched: 400,
      anyRealm: false,
      ...options,
    };
  }

  /** Every revocation up to this serial is known, and was told. */
  get serial(): number {
    return this.#serial;
  }

  /** The row with the highest id. */
  get newest(): RevocationRow | undefined {
    return this.#newest;
  }

  /** Revocations kept. */
  get size(): number {
    return this.#entries.length;
  }

  /** Rows to load: {@linkcode load}. */
  get maxEntries(): number {
    return this.#options.maxEntries;
  }

  /** The gaps that hold the serial back, and those that are looked at for rows that come late. */
  gaps(now: number): { readonly young: readonly Gap[]; readonly watched: readonly Gap[] } {
    const isYoung = (gap: Gap) => gap.since + this.#options.gapMs > now;
    return { young: this.#gaps.filter(isYoung), watched: this.#gaps.filter((gap) => !isYoung(gap)) };
  }

  /**
   * Begins with a table.
   *
   * @param rows its newest {@linkcode maxEntries}, by their ids, with their age in ms
   */
  load(rows: readonly (RevocationRow & { readonly age: number })[], now: number): void {
    const { watchMs } = this.#options;
    this.#entries = [];
    this.#gaps = [];
    this.#ahead.clear();
    this.#newest = rows.at(-1);
    this.#serial = 0;
    this.#floor = rows.length === 0 ? 0 : rows[0].id - 1;
    for (const [i, { id, username, domain, age }] of rows.entries()) {
      this.#entries.push({ serial: id, username, realm: this.#realm(domain) });
      // Who stands behind a gap was written after the ids in it were given.
      if (i > 0 && rows.length - i <= LOADED_FOR_GAPS && age < watchMs) {
        this.#addGap(rows[i - 1].id + 1, id - 1, now - age);
      }
    }
    this.#advance(now);
    for (const entry of this.#entries.slice(-LOADED_FOR_GAPS)) this.#noteAhead(entry);
  }

  /**
   * Takes what was read: all that was new, and what was found of the ids in the gaps.
   *
   * @param news rows with ids above the newest, in order
   * @param found rows with ids below; those that are known already are ignored
   * @returns what is to be told
   */
  take(news: readonly RevocationRow[], found: readonly RevocationRow[], now: number): Revocation[] {
    const told: Revocation[] = [];
    for (const row of found) if (this.#fillGap(row.id)) told.push(this.#tell(row));
    for (const row of news) {
      if (this.#newest !== undefined && row.id <= this.#newest.id) continue;
      this.#addGap((this.#newest?.id ?? row.id - 1 - LOADED_FOR_GAPS) + 1, row.id - 1, now);
      this.#newest = row;
      told.push(this.#tell(row));
    }
    this.#advance(now);
    return told;
  }

  /** The serial of a credential whose row is read from now on. */
  serialOf(user: Identity): number {
    if (this.#ahead.size === 0) return this.#serial;
    const { username } = user;
    const ofUser = this.#ahead.get(keyOf(user)) ?? 0;
    return Math.max(this.#serial, ofUser, this.#ahead.get(keyOf({ username, realm: "" })) ?? 0);
  }

  /** The serials of credentials whose rows are read from now on: one for all of them where that is so. */
  serialsOf(users: readonly Identity[]): number | number[] {
    return this.#ahead.size === 0 ? this.#serial : users.map((user) => this.serialOf(user));
  }

  /** What a proxy does not know that was told everything up to a serial. */
  since(serial: number): RevokedSince {
    if (serial > (this.#newest?.id ?? 0)) return "later";
    if (serial < this.#floor) return "all";
    if (serial === this.#entries.at(-1)?.serial) return [];
    return this.#entries.filter((entry) => entry.serial > serial);
  }

  #realm(domain: string): string {
    return this.#options.anyRealm ? "" : domain;
  }

  #tell({ id, username, domain }: RevocationRow): Revocation {
    const user = { username, realm: this.#realm(domain) };
    const last = this.#ahead.get(keyOf(user)) ?? 0;
    // Late: credentials read before it was committed may have any serial up to now.
    const serial = Math.max(id > this.#serial ? id : (this.#newest?.id ?? id) + 1, id > last ? 0 : last + 1);
    const entry = { ...user, serial };
    this.#entries.push(entry);
    this.#noteAhead(entry);
    const { maxEntries } = this.#options;
    if (this.#entries.length > maxEntries * 1.25) {
      for (const gone of this.#entries.splice(0, this.#entries.length - maxEntries)) {
        this.#floor = Math.max(this.#floor, gone.serial);
      }
    }
    return entry;
  }

  #noteAhead(entry: Revocation): void {
    if (entry.serial > this.#serial) this.#ahead.set(keyOf(entry), entry.serial);
  }

  #addGap(from: number, to: number, since: number): void {
    if (from <= to) this.#gaps.push({ from: Math.max(from, to - MAX_GAP + 1), to, since });
  }

  /** Takes an id out of its gap; false when it is in none. */
  #fillGap(id: number): boolean {
    let low = 0;
    let high = this.#gaps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#gaps[middle].to < id) low = middle + 1;
      else high = middle;
    }
    const gap = this.#gaps[low];
    if (gap === undefined || gap.from > id) return false;
    const rest = [{ ...gap, to: id - 1 }, { ...gap, from: id + 1 }].filter(({ from, to }) => from <= to);
    this.#gaps.splice(low, 1, ...rest);
    return true;
  }

  #advance(now: number): void {
    const { gapMs, watchMs, maxWatched } = this.#options;
    const { young, watched } = this.gaps(now);
    const until = young.length > 0 ? young[0].from - 1 : this.#newest?.id ?? 0;
    const kept = watched.filter(({ since }) => since + watchMs > now).slice(-maxWatched);
    if (kept.length < watched.length) {
      const forgotten = new Set(watched);
      for (const gap of kept) forgotten.delete(gap);
      this.#gaps = this.#gaps.filter((gap) => !forgotten.has(gap) || gap.since + gapMs > now);
    }
    if (until <= this.#serial) return;
    this.#serial = until;
    for (const [key, serial] of this.#ahead) if (serial <= until) this.#ahead.delete(key);
  }
}

/** Bytes of a user in a frame; undefined for a name that is too long for the protocol. */
function bytesOf({ username, realm }: Identity): number | undefined {
  const [name, ofRealm] = [utf8Length(username), utf8Length(realm)];
  return name > TEXT_LIMIT.username || ofRealm > TEXT_LIMIT.realm ? undefined : 2 + name + 2 + ofRealm;
}

function bytesOfAll(users: readonly Identity[]): number {
  return users.reduce((sum, user) => sum + (bytesOf(user) ?? 0), 0);
}

/**
 * Revocations as frames. Up to `complete` any credential read from now on has a serial of at least that, so that
 * many users share a frame; what lies ahead is told under serials of its own. Names that are too long for the protocol
 * have no credentials, and are left out.
 *
 * @param complete {@linkcode RevocationLog.serial}
 * @param maxUsers of a frame
 */
export function revokedFrames(
  revocations: readonly Revocation[],
  complete: number,
  maxUsers: number,
): RevokedUsers[] {
  const frames: { serial: number; users: Identity[] }[] = [];
  let bytes = 0;
  for (const { serial, username, realm } of revocations) {
    const last = frames.at(-1);
    const user = { username, realm };
    const size = bytesOf(user);
    if (size === undefined) continue;
    const together = last !== undefined && last.users.length < maxUsers && bytes + size <= MAX_FRAME_BYTES &&
      (serial === last.serial || (serial <= complete && last.serial <= complete));
    if (together) {
      last.serial = Math.max(last.serial, serial);
      last.users.push(user);
      bytes += size;
    } else {
      frames.push({ serial, users: [user] });
      bytes = size;
    }
  }
  return frames;
}

/** Users of some realms, undefined: of all; and those that are revoked in every realm. */
function inRealms<T extends Identity>(
  users: readonly T[],
  realms: ReadonlySet<string> | undefined,
): readonly T[] {
  return realms === undefined ? users : users.filter(({ realm }) => realm === "" || realms.has(realm));
}

/** What frames tell of some realms, undefined: of all. That everything up to a serial was told stays. */
export function framesForRealms(
  frames: readonly RevokedUsers[],
  realms: ReadonlySet<string> | undefined,
): readonly RevokedUsers[] {
  if (realms === undefined) return frames;
  return frames.flatMap(({ serial, users }) => {
    const told = inRealms(users, realms);
    return users.length > 0 && told.length === 0 ? [] : [{ serial, users: told }];
  });
}

/**
 * What READY tells a proxy (docs/PROTOCOL.md §9).
 *
 * @param log undefined where nothing is ever revoked
 * @param serial that the proxy has seen
 * @param final whether all there is has been read
 * @param limits realms: those that the proxy may ask for, default all; maxBytes: of the frames, for more than that the
 * proxy has to drop everything
 */
export function readyNews(
  log: Pick<RevocationLog, "serial" | "since"> | undefined,
  serial: number,
  final: boolean,
  { realms, maxBytes = Infinity }: { realms?: ReadonlySet<string>; maxBytes?: number } = {},
): ReadyNews | "later" {
  const now = log?.serial ?? 0;
  const rows = log?.since(serial) ?? (serial > 0 ? "all" : []);
  if (rows === "later" && !final) return "later";
  if (rows === "all" || rows === "later") return { serial: now, revoked: "all" };
  const since = inRealms(rows, realms);
  if (since.length === 0) return { serial: now, revoked: [] };
  // READY holds the proxy's own serial until all of it is told: the link may break in between.
  const then = revokedFrames(since, now, MAX_ITEMS);
  const bytes = then.reduce((sum, { users }) => sum + FRAME_BYTES + bytesOfAll(users), 2 * FRAME_BYTES);
  if (bytes > maxBytes) return { serial: now, revoked: "all" };
  return { serial, revoked: [], then: [...then, { serial: now, users: [] }] };
}
