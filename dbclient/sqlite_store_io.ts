/** The embedded database: the OpenSIPS `subscriber` table, version 8, in a SQLite file (docs/PROTOCOL.md §10). */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { firstLine, type Identity } from "../mod.ts";
import {
  byPosition,
  HASH_COLUMNS,
  type HashColumn,
  type NewSubscriber,
  StoreError,
  type Subscriber,
  type SubscriberAdmin,
  type SubscriberStore,
} from "./subscriber.ts";

/** As OpenSIPS makes it, except that password is TEXT: CHAR(25) cuts long passwords off in other databases. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS version (
  table_name CHAR(32) NOT NULL PRIMARY KEY,
  table_version INTEGER DEFAULT 0 NOT NULL
);
CREATE TABLE IF NOT EXISTS subscriber (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  username CHAR(64) DEFAULT '' NOT NULL,
  domain CHAR(64) DEFAULT '' NOT NULL,
  password TEXT DEFAULT '' NOT NULL,
  email_address CHAR(64) DEFAULT '' NOT NULL,
  ha1 CHAR(64) DEFAULT '' NOT NULL,
  ha1_sha256 CHAR(64) DEFAULT '' NOT NULL,
  ha1_sha512t256 CHAR(64) DEFAULT '' NOT NULL,
  rpid CHAR(64) DEFAULT NULL,
  CONSTRAINT subscriber_account_idx UNIQUE (username, domain)
);
INSERT OR IGNORE INTO version (table_name, table_version) VALUES ('subscriber', 8);
`;
const SECRET_SCHEMA = `CREATE TABLE IF NOT EXISTS proxychain_issuer (
  id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL)`;
/** How long a statement waits for another program's transaction, in milliseconds. */
const BUSY_TIMEOUT = 10_000;

/**
 * Pages that SQLite keeps, KiB: with its own 2 MB a look-up in 100,000 rows reads most of its pages from the system again,
 * which is a quarter of its time.
 */
const PAGE_CACHE = 65_536;

/** What SQLite's check has found first, as one line: above it stand lines with nothing but the database's place. */
function damage(found: string): string {
  return found.split("\n").find((line) => !line.startsWith("***")) ?? found;
}

/** Makes the file, its owner's alone, unless it is there; whether it was made. */
function makeFile(path: string): boolean {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return false;
  }
}

/** Takes a file away, with what SQLite has put beside it. */
function removeFile(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.removeSync(path + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A subscriber table in a SQLite file. Its calls block: a batch of 100 users takes about 0.4 ms. */
export class SqliteStore implements SubscriberStore, SubscriberAdmin {
  readonly name: string;
  /** The file that this store has made. */
  readonly #made: string | undefined;
  readonly #database: DatabaseSync;
  readonly #lookups = new Map<HashColumn, StatementSync>();
  readonly #columns: ReadonlySet<string>;

  /**
   * Opens the file, or makes it (readable by its owner alone) with an empty table.
   *
   * @param create false: a file that is not there is an error, and one without tables is left so
   * @throws {StoreError} when it cannot be opened, is damaged, is no database, or has another schema
   */
  constructor(path: string, { create = true }: { readonly create?: boolean } = {}) {
    this.name = `sqlite:${path}`;
    let database: DatabaseSync | undefined;
    let made = false;
    try {
      if (path !== ":memory:") {
        made = create && makeFile(path);
        Deno.openSync(path, { read: true, write: true, create, mode: 0o600 }).close();
      }
      database = new DatabaseSync(path);
      database.exec(`PRAGMA cache_size = -${PAGE_CACHE}`);
      database.exec(
        `PRAGMA busy_timeout = ${BUSY_TIMEOUT}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`,
      );
      const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
      if (create && tables.n === 0) this.#create(database);
      const check = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
      if (check.quick_check !== "ok") throw new StoreError(`is damaged: ${damage(check.quick_check)}`);
      const rows = database.prepare("SELECT name FROM pragma_table_info('subscriber')").all() as {
        name: string;
      }[];
      this.#columns = new Set(rows.map((row) => row.name));
      if (rows.length === 0) throw new StoreError("has no table subscriber");
      for (const column of ["username", "domain", "ha1"]) {
        if (!this.#columns.has(column)) throw new StoreError(`table subscriber has no column ${column}`);
      }
    } catch (error) {
      database?.close();
      if (made) removeFile(path);
      const text = error instanceof Deno.errors.NotFound && !create ? "no such file" : firstLine(error);
      throw new StoreError(`database ${path}: ${text}`);
    }
    this.#made = made ? path : undefined;
    this.#database = database;
  }

  #create(database: DatabaseSync): void {
    database.exec("BEGIN IMMEDIATE");
    try {
      database.exec(SCHEMA);
      database.exec("COMMIT");
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Runs a step; what SQLite does not like is one line that names the file. */
  #try<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(`${this.name}: ${firstLine(error)}`);
    }
  }

  #lookup(column: HashColumn): StatementSync {
    let statement = this.#lookups.get(column);
    if (statement === undefined) {
      const hash = this.#columns.has(column) ? `s.${column}` : "''";
      // One prepared statement for any number of users; CROSS JOIN keeps the list outside and the index inside.
      statement = this.#database.prepare(
        `SELECT s.username AS username, s.domain AS realm, coalesce(${hash}, '') AS hash FROM json_each(?) AS asked ` +
          `CROSS JOIN subscriber AS s ON s.username = asked.value ->> 0 AND s.domain = asked.value ->> 1`,
      );
      this.#lookups.set(column, statement);
    }
    return statement;
  }

  lookup(users: readonly Identity[], column: HashColumn): Promise<(Subscriber | undefined)[]> {
    try {
      const asked = JSON.stringify(users.map((user) => [user.username, user.realm]));
      const rows = this.#try(() => this.#lookup(column).all(asked)) as unknown as Subscriber[];
      return Promise.resolve(byPosition(users, rows));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  count(): Promise<number> {
    return Promise.resolve(
      this.#try(() =>
        (this.#database.prepare("SELECT count(*) AS n FROM subscriber").get() as { n: number }).n
      ),
    );
  }

  async write(
    rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>,
    replace: boolean,
  ): Promise<number> {
    const columns = ["username", "domain", "password", ...HASH_COLUMNS].filter((name) =>
      this.#columns.has(name)
    );
    const update = columns.slice(2).map((name) => `${name} = excluded.${name}`).join(", ");
    const sql =
      `INSERT INTO subscriber (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")}) ` +
      `ON CONFLICT (username, domain) DO ${replace ? `UPDATE SET ${update}` : "NOTHING"}`;
    const insert = this.#try(() => this.#database.prepare(sql));
    this.#try(() => this.#database.exec("BEGIN IMMEDIATE"));
    let written = 0;
    try {
      for await (const row of rows) {
        const values: Record<string, string> = {
          username: row.username,
          domain: row.realm,
          password: row.password,
          ...row.hashes,
        };
        const { changes } = this.#try(() => insert.run(...columns.map((name) => values[name])));
        if (Number(changes) === 0) {
          throw new StoreError(`${row.username}@${row.realm} exists already (--replace overwrites)`);
        }
        written++;
      }
      this.#try(() => this.#database.exec("COMMIT"));
    } catch (error) {
      try {
        this.#database.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      throw error;
    }
    return written;
  }

  *list(realm?: string): Iterable<Identity> {
    const where = realm === undefined ? "" : "WHERE domain = ? ";
    const statement = this.#try(() =>
      this.#database.prepare(
        `SELECT username, domain AS realm FROM subscriber ${where}ORDER BY domain, username`,
      )
    );
    const rows = realm === undefined ? statement.iterate() : statement.iterate(realm);
    const names = (rows as Iterable<unknown> as Iterable<Identity>)[Symbol.iterator]();
    for (let next = this.#try(() => names.next()); !next.done; next = this.#try(() => names.next())) {
      yield next.value;
    }
  }

  remove(user: Identity): boolean {
    return this.#try(() =>
      Number(
        this.#database.prepare("DELETE FROM subscriber WHERE username = ? AND domain = ?")
          .run(user.username, user.realm).changes,
      ) > 0
    );
  }

  /** The issuer secret of docs/PROTOCOL.md §8, kept in its own table; `fresh` is stored when there is none. */
  issuerSecret(fresh: Uint8Array): Uint8Array {
    return this.#try(() => {
      this.#database.exec(SECRET_SCHEMA);
      this.#database.prepare("INSERT OR IGNORE INTO proxychain_issuer (id, secret) VALUES (1, ?)").run(fresh);
      const row = this.#database.prepare("SELECT secret FROM proxychain_issuer").get() as {
        secret: Uint8Array;
      };
      return row.secret;
    });
  }

  /** As {@linkcode close}; a file that this store has made, and that still holds nobody, is taken away. */
  async discard(): Promise<void> {
    const made = this.#made !== undefined && await this.count().catch(() => 1) === 0;
    await this.close();
    if (made) removeFile(this.#made!);
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}
