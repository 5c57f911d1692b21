/** Contacts in a SQLite file. Its calls block: a batch of 100 users takes about a millisecond. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { firstLine } from "../../mod.ts";
import { LOCATION_COLUMNS, type LocationRow, type UserRows } from "./location_rows.ts";
import { type LocationStore, LocationStoreError } from "./location_store.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS location (
  contact_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  username CHAR(64) DEFAULT '' NOT NULL,
  domain CHAR(64) DEFAULT NULL,
  contact TEXT NOT NULL,
  received CHAR(255) DEFAULT NULL,
  path TEXT DEFAULT NULL,
  expires INTEGER NOT NULL,
  q FLOAT(10,3) DEFAULT 1.0 NOT NULL,
  callid CHAR(255) DEFAULT 'Default-Call-ID' NOT NULL,
  cseq INTEGER DEFAULT 13 NOT NULL,
  last_modified DATETIME DEFAULT '1900-01-01 00:00:01' NOT NULL,
  user_agent CHAR(255) DEFAULT '' NOT NULL,
  attr TEXT DEFAULT NULL
);
CREATE INDEX IF NOT EXISTS location_user_idx ON location (username, domain);
CREATE INDEX IF NOT EXISTS location_expires_idx ON location (expires);
`;
/** How long a statement waits for another program's transaction, ms: nothing else happens meanwhile. */
const BUSY_TIMEOUT = 200;
const ROWS_AT_A_TIME = 500;

/** A `location` table in a SQLite file. */
export class SqliteLocation implements LocationStore {
  readonly name: string;
  readonly #database: DatabaseSync;
  readonly #delete: StatementSync;
  readonly #insert: StatementSync;

  /**
   * Opens the file, or makes it, readable by its owner alone.
   *
   * @throws {LocationStoreError} when it cannot be opened, is damaged, or has another schema
   */
  constructor(path: string) {
    this.name = `sqlite:${path}`;
    let database: DatabaseSync | undefined;
    try {
      Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 }).close();
      database = new DatabaseSync(path);
      database.exec(
        `PRAGMA busy_timeout = ${BUSY_TIMEOUT}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`,
      );
      const check = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
      if (check.quick_check !== "ok") throw new LocationStoreError("is damaged");
      database.exec(SCHEMA);
      this.#delete = database.prepare("DELETE FROM location WHERE username = ? AND domain = ?");
      const marks = LOCATION_COLUMNS.map(() => "?").join(", ");
      this.#insert = database.prepare(
        `INSERT INTO location (${
          LOCATION_COLUMNS.join(", ")
        }, last_modified) VALUES (${marks}, datetime('now'))`,
      );
    } catch (error) {
      database?.close();
      throw new LocationStoreError(`--location_db ${path}: ${firstLine(error)}`);
    }
    this.#database = database;
  }

  async *load(): AsyncIterable<readonly LocationRow[]> {
    const rows = this.#database.prepare(`SELECT ${LOCATION_COLUMNS.join(", ")} FROM location`).iterate();
    let some: LocationRow[] = [];
    for (const row of rows as Iterable<unknown> as Iterable<LocationRow>) {
      some.push(row);
      if (some.length < ROWS_AT_A_TIME) continue;
      yield some;
      some = [];
    }
    yield some;
  }

  replace(users: readonly UserRows[]): Promise<void> {
    return this.#inTransaction(() => {
      for (const { username, domain, rows } of users) {
        this.#delete.run(username, domain);
        for (const row of rows) this.#insert.run(...LOCATION_COLUMNS.map((name) => row[name]));
      }
    });
  }

  removeExpired(before: number): Promise<void> {
    return this.#inTransaction(() =>
      void this.#database.prepare("DELETE FROM location WHERE expires <= ?").run(before)
    );
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }

  #inTransaction(work: () => void): Promise<void> {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      try {
        work();
        this.#database.exec("COMMIT");
      } catch (error) {
        this.#rollBack();
        throw error;
      }
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(new LocationStoreError(`${this.name}: ${firstLine(error)}`));
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full.
    }
  }
}
