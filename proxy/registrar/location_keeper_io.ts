/**
 * The location of a program: loaded from its table at the start, and written behind: what changed goes to the table in
 * batches, so that a REGISTER waits for no disk. A table that cannot be reached costs no phone its call.
 */
import { now, UsageError } from "../../mod.ts";
import { Fatal } from "../fatal.ts";
import { type Binding, Location, type LocationChange } from "../location.ts";
import type { ProxyValues } from "../options.ts";
import { readRow, rowsOf, type UserRows } from "./location_rows.ts";
import { type LocationStore, LocationStoreError, parseLocationUrl } from "./location_store.ts";
import { locationLimits } from "./registrar_values.ts";

/** How long a change waits for others, ms: what a crash of the machine can lose. */
const WRITE_MS = 100;
/** How long the table is left alone after it failed, ms. */
const RETRY_MS = 1000;
/** Users written in one transaction: SQLite blocks for it. */
const BATCH = 200;
/** How often rows that are over are removed, ms. */
const CLEAN_MS = 60_000;

/** What a keeper is made for. */
export interface KeeperOptions {
  readonly values: ProxyValues;
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** The password of `--location_db`; it never stands on a command line. */
export function locationPassword({ location_password_file: path }: ProxyValues): string {
  if (path === undefined) return Deno.env.get("PROXYCHAIN_DB_PASSWORD") ?? "";
  try {
    return Deno.readTextFileSync(path).split(/\r?\n/, 1)[0];
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "no such file" : (error as Error).message;
    throw new UsageError(`--location_password_file ${path}: ${reason}`);
  }
}

/** Loads only the driver that is needed: it costs time and memory, and permissions. */
async function openStore(values: ProxyValues): Promise<LocationStore | undefined> {
  if (values.location_db === undefined) return undefined;
  const url = parseLocationUrl(values.location_db);
  if (url.kind === "sqlite") {
    const { SqliteLocation } = await import("./sqlite_location_io.ts");
    return new SqliteLocation(url.path);
  }
  const { MysqlLocation } = await import("./mysql_location_io.ts");
  return await MysqlLocation.open(url, locationPassword(values));
}

/** A location with its table, if it has one. */
export class LocationKeeper {
  readonly location: Location;
  readonly #changed = new Map<string, LocationChange>();
  readonly #store: LocationStore | undefined;
  readonly #options: KeeperOptions;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #writing: Promise<void> | undefined;
  #retryAt = 0;
  #cleanAt = now() + CLEAN_MS;
  #failed = false;
  #closed = false;

  private constructor(options: KeeperOptions, store: LocationStore | undefined) {
    this.#options = options;
    this.#store = store;
    this.location = new Location(now(), {
      ...locationLimits(options.values),
      onChange: (change) => {
        if (store !== undefined) this.#changed.set(change.aor, change);
      },
    });
  }

  /**
   * Opens the table and reads all contacts.
   *
   * @throws {Fatal} (rejects) with one line when it cannot be opened or read
   */
  static async open(options: KeeperOptions): Promise<LocationKeeper> {
    let store: LocationStore | undefined;
    try {
      store = await openStore(options.values);
      const keeper = new LocationKeeper(options, store);
      if (store !== undefined) await keeper.#load(store);
      keeper.#begin();
      return keeper;
    } catch (error) {
      await store?.close();
      throw error instanceof LocationStoreError ? new Fatal(error.message) : error;
    }
  }

  async #load(store: LocationStore): Promise<void> {
    const { values, log } = this.#options;
    const domains = new Set(values.realm.map((realm) => realm.toLowerCase()));
    const clocks = { wall: Date.now(), now: now() };
    const users = new Map<string, Binding[]>();
    let skipped = 0;
    for await (const rows of store.load()) {
      for (const row of rows) {
        const read = readRow(row, domains, clocks);
        if (read === undefined) {
          if (!(row.expires * 1000 <= clocks.wall)) skipped++;
          continue;
        }
        const bindings = users.get(read.aor);
        if (bindings === undefined) {
          if (users.size < values.max_aors) users.set(read.aor, [read.binding]);
          else skipped++;
        } else if (bindings.length < values.max_contacts) bindings.push(read.binding);
        else skipped++;
      }
    }
    for (const [aor, bindings] of users) {
      this.location.take({ aor, bindings: bindings.sort((a, b) => b.q - a.q) });
    }
    const { size, contacts } = this.location;
    log("location_loaded", { from: store.name, users: size, contacts, skipped });
  }

  #begin(): void {
    this.#timers.push(setInterval(() => this.location.advance(now()), 1000));
    if (this.#store === undefined) return;
    this.#timers.push(setInterval(() => void this.#write(), WRITE_MS));
  }

  /** Writes what changed, and removes what is over; one at a time. */
  #write(): Promise<void> {
    return this.#writing ??= this.#writeAll().finally(() => this.#writing = undefined);
  }

  async #clean(): Promise<void> {
    if (now() < this.#cleanAt) return;
    this.#cleanAt = now() + CLEAN_MS;
    try {
      await this.#store!.removeExpired(Math.floor(Date.now() / 1000));
    } catch (error) {
      this.#told(error);
    }
  }

  async #writeAll(): Promise<void> {
    await this.#clean();
    while (this.#changed.size > 0 && (now() >= this.#retryAt || this.#closed)) {
      const batch: LocationChange[] = [];
      for (const change of this.#changed.values()) {
        batch.push(change);
        if (batch.length === BATCH) break;
      }
      for (const { aor } of batch) this.#changed.delete(aor);
      const clocks = { wall: Date.now(), now: now() };
      try {
        await this.#replace(batch.map((change) => rowsOf(change, clocks)));
        if (this.#failed) this.#options.log("location_db_works", { name: this.#store!.name });
        this.#failed = false;
      } catch (error) {
        this.#told(error);
        this.#retryAt = now() + RETRY_MS;
        // What has changed again meanwhile is newer.
        for (const change of batch) if (!this.#changed.has(change.aor)) this.#changed.set(change.aor, change);
        return;
      }
      // The next batch after what has come in meanwhile.
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** Writes users; one whom the table does not take is left out, so that the others get in. */
  async #replace(users: readonly UserRows[]): Promise<void> {
    try {
      await this.#store!.replace(users);
    } catch (error) {
      if (!(error instanceof LocationStoreError && error.isOfData)) throw error;
      if (users.length === 1) {
        const { username, domain } = users[0];
        return this.#options.log("location_row_refused", {
          user: `${username}@${domain}`,
          error: error.message,
        });
      }
      for (const user of users) await this.#replace([user]);
    }
  }

  #told(error: unknown): void {
    if (!this.#failed) this.#options.log("location_db_failed", { error: (error as Error).message });
    this.#failed = true;
  }

  /** Writes what is left, and closes the table. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closed = true;
    await this.#writing;
    if (this.#store === undefined) return;
    await this.#write();
    if (this.#changed.size > 0) {
      this.#options.log("location_lost", { name: this.#store.name, users: this.#changed.size });
    }
    await this.#store.close();
  }
}
