/** Reads the revocation table again and again, and tells whoever listens (docs/PROTOCOL.md §9, §10). */
import { firstLine, type Identity, MAX_ITEMS, now } from "../mod.ts";
import {
  RevocationLog,
  type RevocationLogOptions,
  revokedFrames,
  type RevokedSince,
  type RevokedUsers,
} from "./revocation_log.ts";
import { RevocationTable } from "./revocation_table.ts";
import { StoreError, type SubscriberStore } from "./subscriber.ts";

/** How often a table that is not there is looked for, ms. */
const LOOK_FOR_TABLE_MS = 10_000;
/** So many times the newest row has to be missing before the table counts as another: a node may lag behind. */
const TIMES_MISSING = 5;

/** Who is told. */
export interface RevocationListener {
  /** Credentials of these users are void; the last frame says up to which serial everything was told. */
  revoked(frames: readonly RevokedUsers[]): void;
  /** The table is not the one of before: what proxies know of it is worth nothing. */
  replaced(): void;
}

/** What {@linkcode Revocations} may be made with. */
export interface RevocationsOptions extends RevocationLogOptions {
  /** Name of the table. */
  readonly table: string;
  /** ms between two looks, default 1000. */
  readonly interval?: number;
  log(line: string): void;
}

/** The revocations of one database, followed. */
export class Revocations {
  readonly #log: RevocationLog;
  readonly #table: RevocationTable | undefined;
  readonly #listeners = new Set<RevocationListener>();
  readonly #interval: number;
  readonly #say: (line: string) => void;
  readonly #where: string;
  /** Whether the table was read. */
  #loaded = false;
  /** Whether the table is there; undefined: not known yet. */
  #present: boolean | undefined;
  #lookAt = -Infinity;
  #missing = 0;
  #failing = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #polling: Promise<boolean> = Promise.resolve(true);
  /** A look that has not begun. */
  #next: Promise<boolean> | undefined;
  /** The serial that was told last. */
  #told = 0;

  private constructor(store: SubscriberStore, options: RevocationsOptions) {
    // SQLite lets one write at a time, so that nothing comes late.
    this.#log = new RevocationLog(store.sql?.dialect === "sqlite" ? { ...options, gapMs: 0 } : options);
    this.#table = store.sql === undefined ? undefined : new RevocationTable(store.sql, options.table);
    this.#interval = options.interval ?? 1000;
    this.#say = options.log;
    this.#where = `${store.name}: table ${options.table}`;
  }

  /** Reads the table, where there is one, and follows it until {@linkcode close}. */
  static async follow(store: SubscriberStore, options: RevocationsOptions): Promise<Revocations> {
    const revocations = new Revocations(store, options);
    await revocations.refresh();
    revocations.#wait();
    return revocations;
  }

  /**
   * The serial up to which everything in the table is known now.
   *
   * @returns 0 without a table
   * @throws {StoreError} (rejects) when the database cannot be asked
   */
  static async serialNow(store: SubscriberStore, table: string): Promise<number> {
    let problem: string | undefined;
    const revocations = new Revocations(store, { table, log: (line) => problem = line });
    if (!await revocations.refresh()) throw new StoreError(problem ?? `${store.name}: cannot be asked`);
    return revocations.serial;
  }

  /**
   * Whether a database has the table.
   *
   * @throws {StoreError} (rejects) when the database cannot be asked
   */
  static async exist(store: SubscriberStore, table: string): Promise<boolean> {
    return store.sql !== undefined && await new RevocationTable(store.sql, table).exists();
  }

  /** Everything up to this serial is known. */
  get serial(): number {
    return this.#log.serial;
  }

  /** Whether there is a table. */
  get active(): boolean {
    return this.#present === true;
  }

  /** The serials of credentials whose rows are read from now on, by position, or one for all. */
  serialsOf(users: readonly Identity[]): number | number[] {
    return this.#log.serialsOf(users);
  }

  /** What a proxy that was told everything up to a serial does not know. */
  since(serial: number): RevokedSince {
    // What was never read may hold anything.
    return this.#loaded || this.#present === false ? this.#log.since(serial) : "later";
  }

  listen(listener: RevocationListener): void {
    this.#listeners.add(listener);
  }

  forget(listener: RevocationListener): void {
    this.#listeners.delete(listener);
  }

  /** Reads the table now; whether it could be read, or is known to be absent. */
  refresh(): Promise<boolean> {
    // What is being read may have begun before the question.
    this.#next ??= this.#polling = this.#polling.then(() => {
      this.#next = undefined;
      return this.#poll();
    });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#polling;
  }

  #wait(): void {
    if (this.#closed || this.#table === undefined) return;
    this.#timer = setTimeout(() => this.refresh().then(() => this.#wait()), this.#interval);
  }

  /** Never rejects: a fault of the table costs nothing but its revocations. */
  async #poll(): Promise<boolean> {
    if (this.#closed || this.#table === undefined) return true;
    try {
      if (this.#present !== true && !await this.#look()) return true;
      if (this.#loaded) await this.#read();
      else await this.#load();
      if (this.#failing) this.#say(`${this.#where} can be read again`);
      this.#failing = false;
      return true;
    } catch (error) {
      // It may have been dropped.
      this.#present = undefined;
      if (!this.#failing) {
        this.#say(`${this.#where} cannot be read, so that revocations wait: ${firstLine(error)}`);
      }
      this.#failing = true;
      return false;
    }
  }

  /** Whether the table is there. */
  async #look(): Promise<boolean> {
    if (this.#present === false && now() < this.#lookAt) return false;
    this.#lookAt = now() + LOOK_FOR_TABLE_MS;
    const present = await this.#table!.exists();
    if (present && this.#present === false) this.#say(`${this.#where} is there: revocations are followed`);
    if (!present && this.#loaded) this.#replaced();
    this.#present = present;
    return present;
  }

  async #load(): Promise<void> {
    this.#log.load(await this.#table!.newest(this.#log.maxEntries), now());
    this.#loaded = true;
    this.#missing = 0;
    this.#told = this.#log.serial;
  }

  async #read(): Promise<void> {
    const { young, watched } = this.#log.gaps(now());
    const { found, news, late } = await this.#table!.read(this.#log.newest, young, watched);
    // Emptied, or put back from a copy: ids may come again.
    const gone = !found && news.length === 0;
    this.#missing = gone ? this.#missing + 1 : 0;
    if (this.#missing >= TIMES_MISSING) {
      this.#replaced();
      return await this.#load();
    }
    const revocations = this.#log.take(news, late, now());
    const { serial } = this.#log;
    const frames: RevokedUsers[] = revokedFrames(revocations, serial, MAX_ITEMS);
    if (serial !== this.#told) frames.push({ serial, users: [] });
    this.#told = serial;
    if (frames.length > 0) { for (const listener of this.#listeners) listener.revoked(frames); }
  }

  #replaced(): void {
    this.#say(`${this.#where} was emptied or replaced: proxies have to drop all credentials`);
    this.#log.load([], now());
    this.#loaded = false;
    for (const listener of this.#listeners) listener.replaced();
  }
}
