/** The embedded database: the OpenSIPS `subscriber` table, version 8, in a SQLite file (docs/PROTOCOL.md §10). */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { firstLine, type HashBackend, type Identity } from "../mod.ts";
import { FoundSubscribers } from "./found_subscribers.ts";
import { subscriberSchema } from "./schema.ts";
import {
  type HashColumn,
  type NewSubscriber,
  type SqlAccess,
  StoreError,
  type Subscriber,
  type SubscriberAdmin,
  SubscriberError,
  type SubscriberStore,
} from "./subscriber.ts";
import { DEFAULT_TABLE, type SubscriberTable, TableColumns } from "./subscriber_table.ts";
import { rowColumns, rowOf, setClause, type WrittenColumn, writtenColumns } from "./written_columns.ts";

const SECRET_SCHEMA = `CREATE TABLE IF NOT EXISTS proxychain_issuer (
  id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL)`;
/** How long a statement waits for another program's transaction, in milliseconds. */
const BUSY_TIMEOUT = 10_000;
/** Statements kept for {@linkcode SqliteStore.sql}. */
const MAX_STATEMENTS = 16;

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

/** How to open a file. */
export interface SqliteStoreOptions {
  /** false: a file that is not there is an error, and one without tables is left so. Default true. */
  readonly create?: boolean;
  /** Default {@linkcode DEFAULT_TABLE}. */
  readonly table?: SubscriberTable;
  /** For `calculateHa1`. */
  readonly hashes?: HashBackend;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A subscriber table in a SQLite file. Its calls block: a batch of 100 users takes about 0.4 ms. */
export class SqliteStore implements SubscriberStore, SubscriberAdmin {
  readonly name: string;
  /** The file that this store has made. */
  readonly #made: string | undefined;
  readonly #database: DatabaseSync;
  readonly #lookups = new Map<HashColumn, StatementSync>();
  readonly #statements = new Map<string, StatementSync>();
  readonly #table: SubscriberTable;
  readonly #columns: TableColumns;
  readonly #written: readonly WrittenColumn[];
  readonly #found: FoundSubscribers;

  /**
   * Opens the file, or makes it (readable by its owner alone) with an empty table.
   *
   * @throws {StoreError} when it cannot be opened, is damaged, is no database, or has another schema
   */
  constructor(path: string, { create = true, table = DEFAULT_TABLE, hashes }: SqliteStoreOptions = {}) {
    this.name = `sqlite:${path}`;
    this.#table = table;
    this.#found = new FoundSubscribers(table, hashes);
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
      const rows = database.prepare("SELECT name FROM pragma_table_info(?)").all(table.table) as {
        name: string;
      }[];
      this.#columns = new TableColumns(rows.map((row) => row.name));
      if (rows.length === 0) throw new StoreError(`has no table ${table.table}`);
      const problem = this.#columns.problem(table);
      if (problem !== undefined) throw new StoreError(problem);
      this.#written = writtenColumns(table, this.#columns);
    } catch (error) {
      database?.close();
      if (made) removeFile(path);
      const text = error instanceof Deno.errors.NotFound && !create ? "no such file" : firstLine(error);
      throw new StoreError(`database ${path}: ${text}`);
    }
    this.#made = made ? path : undefined;
    this.#database = database;
  }

  readonly sql: SqlAccess = {
    dialect: "sqlite",
    run: (statement: string, values: readonly (string | number)[]) => {
      try {
        const rows = this.#try(() => this.#statement(statement).all(...values));
        return Promise.resolve(rows.map((row) => Object.values(row)));
      } catch (error) {
        return Promise.reject(error);
      }
    },
  };

  /** The statements that are asked again and again are prepared once. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      if (this.#statements.size < MAX_STATEMENTS) this.#statements.set(sql, statement);
    }
    return statement;
  }

  #create(database: DatabaseSync): void {
    database.exec("BEGIN IMMEDIATE");
    try {
      database.exec(subscriberSchema("sqlite", this.#table));
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
      const { user, domain, useDomain, table } = this.#table;
      const source = this.#columns.source(this.#table, column);
      const hash = source === undefined ? "''" : `coalesce(s.${quoted(source)}, '')`;
      const realm = useDomain ? `s.${quoted(domain)}` : "''";
      // One prepared statement for any number of users; CROSS JOIN keeps the list outside and the index inside.
      statement = this.#database.prepare(
        `SELECT s.${
          quoted(user)
        } AS username, ${realm} AS realm, ${hash} AS hash FROM json_each(?) AS asked ` +
          `CROSS JOIN ${quoted(table)} AS s ON s.${quoted(user)} = asked.value ->> 0` +
          (useDomain ? ` AND s.${quoted(domain)} = asked.value ->> 1` : ""),
      );
      this.#lookups.set(column, statement);
    }
    return statement;
  }

  lookup(users: readonly Identity[], column: HashColumn): Promise<(Subscriber | undefined)[]> {
    try {
      const names = this.#table.useDomain
        ? users.map((user) => [user.username, user.realm])
        : Array.from(new Set(users.map((user) => user.username)), (name) => [name]);
      const rows = this.#try(() =>
        this.#lookup(column).all(JSON.stringify(names))
      ) as unknown as Subscriber[];
      return Promise.resolve(this.#found.find(users, rows, column));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  count(): Promise<number> {
    return Promise.resolve(
      this.#try(() =>
        (this.#database.prepare(`SELECT count(*) AS n FROM ${quoted(this.#table.table)}`).get() as {
          n: number;
        }).n
      ),
    );
  }

  async write(
    rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>,
    replace: boolean,
  ): Promise<number> {
    this.#needDomain();
    const columns = this.#written;
    const names = columns.map(({ name }) => quoted(name));
    const update = names.slice(2).map((name) => `${name} = excluded.${name}`).join(", ");
    const sql =
      `INSERT INTO ${quoted(this.#table.table)} (${names.join(", ")}) VALUES (${
        names.map(() => "?").join(", ")
      }) ` +
      `ON CONFLICT (${names[0]}, ${names[1]}) DO ${replace ? `UPDATE SET ${update}` : "NOTHING"}`;
    const insert = this.#try(() => this.#database.prepare(sql));
    this.#try(() => this.#database.exec("BEGIN IMMEDIATE"));
    let written = 0;
    try {
      for await (const row of rows) {
        const { changes } = this.#try(() => insert.run(...columns.map(({ value }) => value(row))));
        if (Number(changes) === 0) {
          throw new SubscriberError(
            `${row.username}@${row.realm} exists already (--replace overwrites)`,
            row,
          );
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

  update(row: NewSubscriber, password: string): Promise<boolean> {
    return this.#promised(() => {
      const { sql, values } = setClause(this.#table, this.#written, quoted, row, password);
      return this.#change(`UPDATE ${quoted(this.#table.table)} ${sql}`, values, row);
    });
  }

  remove(user: Identity): Promise<boolean> {
    return this.#promised(() => this.#change(`DELETE FROM ${quoted(this.#table.table)}`, [], user));
  }

  async *list(realm?: string): AsyncIterable<Identity> {
    const { user, domain } = this.#table;
    for (const [username, at] of this.#select([user, domain], realm)) yield { username, realm: at };
  }

  async *rows(realm?: string): AsyncIterable<NewSubscriber> {
    for (const values of this.#select(rowColumns(this.#table), realm)) yield rowOf(values);
  }

  #needDomain(): void {
    const { domain, table } = this.#table;
    if (!this.#columns.has(domain)) {
      throw new StoreError(`table ${table} has no column ${domain}: users are written USER@REALM`);
    }
  }

  #promised<T>(step: () => T): Promise<T> {
    try {
      return Promise.resolve(this.#try(step));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #change(sql: string, values: readonly string[], { username, realm }: Identity): boolean {
    this.#needDomain();
    const { user, domain } = this.#table;
    const statement = this.#database.prepare(`${sql} WHERE ${quoted(user)} = ? AND ${quoted(domain)} = ?`);
    return Number(statement.run(...values, username, realm).changes) > 0;
  }

  /** Rows in the order of their names; a column that the table has not is "". */
  *#select(names: readonly string[], realm: string | undefined): Iterable<string[]> {
    this.#needDomain();
    const { table, user, domain } = this.#table;
    const columns = names.map((name, i) =>
      `${this.#columns.has(name) ? `coalesce(${quoted(name)}, '')` : "''"} AS c${i}`
    );
    const where = realm === undefined ? "" : `WHERE ${quoted(domain)} = ? `;
    const statement = this.#try(() =>
      this.#database.prepare(
        `SELECT ${columns.join(", ")} FROM ${quoted(table)} ${where}ORDER BY ${quoted(domain)}, ${
          quoted(user)
        }`,
      )
    );
    const rows = realm === undefined ? statement.iterate() : statement.iterate(realm);
    const found = (rows as Iterable<unknown> as Iterable<Record<string, string>>)[Symbol.iterator]();
    for (let next = this.#try(() => found.next()); !next.done; next = this.#try(() => found.next())) {
      yield Object.values(next.value);
    }
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
