/** Changes to a subscriber table in MySQL or MariaDB, and whole rows of it: for the commands of an operator. */
import type { Identity } from "../mod.ts";
import { MysqlConnection, type MysqlLogin } from "./mysql_connection_io.ts";
import type { MysqlError } from "./mysql_error.ts";
import { conditions, type MysqlTable, quoted } from "./mysql_sql.ts";
import { type NewSubscriber, StoreError, type SubscriberAdmin, SubscriberError } from "./subscriber.ts";
import { rowColumns, rowOf, setClause, type WrittenColumn, writtenColumns } from "./written_columns.ts";

/** For connecting, ms. */
const CONNECT_TIMEOUT = 3000;
/** Rows of one INSERT. */
const BATCH = 500;

const nameOf = (user: Identity) => `${user.username}@${user.realm}`;
/** Much as collations fold names, to find whom a database took for whom. */
const folded = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();

/** The table's rows, each command on a connection of its own. */
export class MysqlAdmin implements SubscriberAdmin {
  readonly #columns: readonly WrittenColumn[];
  readonly #from: string;

  /** @param login of a node that takes writes, asked for anew by each command */
  constructor(private readonly login: () => MysqlLogin, private readonly table: MysqlTable) {
    this.#columns = writtenColumns(table, table.columns);
    this.#from = quoted(table.table);
  }

  async write(
    rows: AsyncIterable<NewSubscriber> | Iterable<NewSubscriber>,
    replace: boolean,
  ): Promise<number> {
    return await this.#with(async (connection) => {
      const { driver } = connection;
      await this.#needUniqueNames(connection);
      const engine = await this.#engineWithoutTransactions(connection);
      await driver.beginTransaction();
      let written = 0;
      let batch: NewSubscriber[] = [];
      try {
        for await (const row of rows) {
          batch.push(row);
          // Nothing is written yet.
          if (batch.length > 1 && engine !== undefined) {
            const { table } = this.table;
            throw new StoreError(
              `table ${table} has the engine ${engine}, without transactions: a failure would leave a part of the users ` +
                `written; add them one by one, or ALTER TABLE ${table} ENGINE=InnoDB`,
            );
          }
          if (batch.length < BATCH) continue;
          await this.#writeBatch(connection, batch, replace);
          written += batch.length;
          batch = [];
        }
        if (batch.length > 0) await this.#writeBatch(connection, batch, replace);
        await driver.commit();
      } catch (error) {
        await driver.rollback().catch(() => {});
        throw error;
      }
      return written + batch.length;
    });
  }

  async update(row: NewSubscriber, password: string): Promise<boolean> {
    const { sql, values } = setClause(this.table, this.#columns, quoted, row, password);
    return await this.#change(`UPDATE ${this.#from} ${sql}`, values, row);
  }

  async remove(user: Identity): Promise<boolean> {
    return await this.#change(`DELETE FROM ${this.#from}`, [], user);
  }

  async *list(realm?: string): AsyncIterable<Identity> {
    for await (const [username, domain] of this.#select([this.table.user, this.table.domain], realm)) {
      yield { username, realm: domain };
    }
  }

  async *rows(realm?: string): AsyncIterable<NewSubscriber> {
    for await (const values of this.#select(rowColumns(this.table), realm)) yield rowOf(values);
  }

  async #with<T>(work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    this.#needDomain();
    const connection = await MysqlConnection.open(this.login(), CONNECT_TIMEOUT);
    try {
      // Else a server may cut a long password off instead of refusing it.
      await connection.driver.query(
        "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')",
      );
      return await work(connection);
    } catch (error) {
      const isDriver = error instanceof Error && "sqlState" in error;
      throw isDriver ? connection.explain(error) : error;
    } finally {
      await connection.end();
    }
  }

  #needDomain(): void {
    const { columns, domain, table } = this.table;
    if (!columns.has(domain)) {
      throw new StoreError(`table ${table} has no column ${domain}: users are written USER@REALM`);
    }
  }

  /** Without a unique index a user could be written twice. */
  async #needUniqueNames({ driver }: MysqlConnection): Promise<void> {
    const { user, domain, table } = this.table;
    const rows = await driver.query<string[][]>(
      {
        sql: "SELECT INDEX_NAME, LOWER(COLUMN_NAME) FROM information_schema.STATISTICS " +
          "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0",
        rowsAsArray: true,
      },
      [table],
    );
    const indexes = Map.groupBy(rows, ([index]) => index);
    const wanted = [user, domain].map((name) => name.toLowerCase());
    for (const columns of indexes.values()) {
      if (columns.every(([, column]) => wanted.includes(column))) return;
    }
    throw new StoreError(
      `table ${table} has no unique index over ${user} and ${domain}: a user could be written twice`,
    );
  }

  /** The table's engine, if a transaction means nothing to it. */
  async #engineWithoutTransactions({ driver }: MysqlConnection): Promise<string | undefined> {
    const [row] = await driver.query<string[][]>(
      {
        sql: "SELECT ENGINE FROM information_schema.TABLES JOIN information_schema.ENGINES USING (ENGINE) " +
          "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND TRANSACTIONS = 'NO'",
        rowsAsArray: true,
      },
      [this.table.table],
    );
    return row?.[0];
  }

  /** A statement about one user whose names are the same byte for byte. */
  async #change(sql: string, values: readonly string[], user: Identity): Promise<boolean> {
    const { table } = this;
    const [condition] = conditions({ ...table, useDomain: true }, [user]);
    const exactly = [table.user, table.domain].map((name) =>
      `CONVERT(${quoted(name)} USING utf8mb4) COLLATE utf8mb4_bin = ?`
    );
    return await this.#with(async ({ driver }) => {
      const { affectedRows } = await driver.execute<{ affectedRows: number }>(
        `${sql} WHERE ${condition.sql} AND ${exactly.join(" AND ")}`,
        [...values, ...condition.values, user.username, user.realm],
      );
      return Number(affectedRows) > 0;
    });
  }

  /** Streams rows; a column that the table has not is "". */
  async *#select(names: readonly string[], realm: string | undefined): AsyncIterable<string[]> {
    this.#needDomain();
    const { table } = this;
    const [user, domain] = [quoted(table.user), quoted(table.domain)];
    const columns = names.map((name) => table.columns.has(name) ? `COALESCE(${quoted(name)}, '')` : "''");
    const where = realm === undefined ? "" : ` WHERE ${domain} = ${table.domainPlaceholder}`;
    const connection = await MysqlConnection.open(this.login(), CONNECT_TIMEOUT);
    try {
      const stream = connection.driver.queryStream({
        sql: `SELECT ${columns.join(", ")} FROM ${this.#from}${where} ORDER BY ${domain}, ${user}`,
        rowsAsArray: true,
      }, realm === undefined ? [] : [realm]);
      for await (const row of stream as AsyncIterable<string[]>) {
        if (realm === undefined || row[1] === realm) yield row;
      }
    } catch (error) {
      throw error instanceof Error && "sqlState" in error ? connection.explain(error) : error;
    } finally {
      // Whoever has had enough leaves rows unread.
      connection.cut("read");
    }
  }

  async #writeBatch(
    connection: MysqlConnection,
    batch: readonly NewSubscriber[],
    replace: boolean,
  ): Promise<void> {
    const existing = await this.#existing(connection, batch);
    const isThere = (row: NewSubscriber) => existing.has(`${row.username}\0${row.realm}`);
    if (!replace) {
      const row = batch.find(isThere);
      if (row !== undefined) {
        throw new SubscriberError(`${nameOf(row)} exists already (--replace overwrites)`, row);
      }
    }
    const update = this.#columns.slice(2).map(({ name }) => `${quoted(name)} = VALUES(${quoted(name)})`);
    await this.#insert(connection, batch.filter((row) => !isThere(row)), "");
    await this.#insert(connection, batch.filter(isThere), ` ON DUPLICATE KEY UPDATE ${update.join(", ")}`);
  }

  /** Which of the users are there. One that is there under a name that the database takes for the same is a fault. */
  async #existing(connection: MysqlConnection, batch: readonly NewSubscriber[]): Promise<Set<string>> {
    const { table } = this;
    const head = `SELECT ${quoted(table.user)}, ${quoted(table.domain)} FROM ${this.#from} WHERE `;
    const statements = Array.from(
      conditions({ ...table, useDomain: true }, batch),
      ({ sql, values }) => ({ sql: head + sql, values }),
    );
    const asked = new Set(batch.map((row) => `${row.username}\0${row.realm}`));
    const existing = new Set<string>();
    for (const [username, realm] of (await connection.execute(statements)).flat() as [string, string][]) {
      const key = `${username}\0${realm}`;
      existing.add(key);
      if (asked.has(key)) continue;
      const row = batch.find((one) =>
        folded(one.username) === folded(username) && folded(one.realm) === folded(realm)
      ) ?? batch[0];
      throw new SubscriberError(
        `the database takes ${nameOf(row)} for ${username}@${realm}, who exists already`,
        row,
      );
    }
    return existing;
  }

  async #insert(
    connection: MysqlConnection,
    rows: readonly NewSubscriber[],
    onDuplicate: string,
  ): Promise<void> {
    if (rows.length === 0) return;
    const one = `(${this.#columns.map(() => "?").join(", ")})`;
    const names = this.#columns.map(({ name }) => quoted(name)).join(", ");
    try {
      await connection.driver.execute(
        `INSERT INTO ${this.#from} (${names}) VALUES ${
          new Array(rows.length).fill(one).join(", ")
        }${onDuplicate}`,
        rows.flatMap((row) => this.#columns.map(({ value }) => value(row))),
      );
    } catch (error) {
      throw this.#blame(connection.explain(error), rows);
    }
  }

  /** Which row the server did not like. */
  #blame(error: MysqlError, rows: readonly NewSubscriber[]): StoreError {
    if (error.code === "ER_DUP_ENTRY") {
      const entry = folded(/entry '(.*)' for key/.exec(error.message)?.[1] ?? "");
      const same = rows.filter((row) => folded(`${row.username}-${row.realm}`) === entry);
      const row = same.at(-1);
      if (row === undefined) return error;
      const other = same.length > 1 ? `the same as ${nameOf(same[0])}` : "one that exists already";
      return new SubscriberError(`the database takes ${nameOf(row)} for ${other}`, row);
    }
    const number = Number(/ at row (\d+)/.exec(error.message)?.[1]);
    const row = rows[number - 1];
    if (row === undefined) return error;
    const said = error.message.replace(/^mysql:\S+ (?:ER_\w+: )?/, "").replace(/ at row \d+/, "");
    return new SubscriberError(`${nameOf(row)}: ${said}`, row);
  }
}
