/**
 * The `subscriber` table of a MySQL or MariaDB database, read only (docs/PROTOCOL.md §10). The driver is mariadb:
 * docs/decisions/mysql_driver.md.
 */
import mariadb, { type Connection, type ConnectionConfig, type QueryOptions } from "mariadb";
import type { Identity } from "../mod.ts";
import {
  byPosition,
  type HashColumn,
  type SqlAccess,
  StoreError,
  type Subscriber,
  type SubscriberStore,
} from "./subscriber.ts";

/** Where the database is and how to log in. */
export interface MysqlAddress {
  /** Tried in this order; the first that answers is used. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** Milliseconds for connecting. */
const CONNECT_TIMEOUT = 3000;
/** Milliseconds for an answer; a connection that takes longer is given up. */
const QUERY_TIMEOUT = 2000;
/** List lengths of prepared statements: a shorter list is filled up with its last name. */
const SIZES = [1, 4, 16, 64, 256, 1000];

interface DriverError {
  readonly code?: string;
  readonly sqlMessage?: string;
  readonly message: string;
  readonly cause?: unknown;
}

/** What the driver says, in one line that names what the operator has to look at, without a secret. */
function explain(error: unknown, address: MysqlAddress, at: { host: string; port: number }): StoreError {
  const problem = error as DriverError;
  const where = `mysql://${address.user}@${at.host}:${at.port}/${address.database}`;
  const said = (problem.sqlMessage ?? problem.message ?? String(error)).split("\n", 1)[0];
  switch (problem.code) {
    case "ER_ACCESS_DENIED_ERROR":
    case "ER_DBACCESS_DENIED_ERROR":
      return new StoreError(
        `${where}: access denied for user ${address.user}: wrong password or missing rights`,
      );
    case "ER_BAD_DB_ERROR":
      return new StoreError(`${where}: there is no database ${address.database}`);
    case "ER_NO_SUCH_TABLE":
      return new StoreError(`${where}: there is no table subscriber`);
    case "ER_TABLEACCESS_DENIED_ERROR":
      return new StoreError(`${where}: user ${address.user} has no right to read table subscriber`);
    default:
      return new StoreError(`${where}: ${problem.code === undefined ? "" : `${problem.code}: `}${said}`);
  }
}

type Host = MysqlAddress["hosts"][number];

/** What was found out about the table. */
interface Table {
  readonly columns: ReadonlySet<string>;
  /** How a name is compared with the column: a placeholder, converted where the column is not utf8mb4. */
  readonly username: string;
  readonly domain: string;
}

/**
 * A placeholder for a name that is compared with a column of this collation. MariaDB refuses to compare a name that the
 * column's character set lacks: one such name would spoil the query for a whole batch. Converted, it becomes a name
 * that no row has byte for byte.
 */
function placeholder(charset: string | null, collation: string | null): string {
  if (charset === null || collation === null || charset === "utf8mb4") return "?";
  if (!/^\w+$/.test(charset) || !/^\w+$/.test(collation)) return "?";
  return `CONVERT(? USING ${charset}) COLLATE ${collation}`;
}

/**
 * A subscriber table in MySQL or MariaDB, over one connection: the driver sends a question without waiting for the
 * answer to the one before, which it does not do in a pool. A connection that is lost is made anew by the next question.
 */
export class MysqlStore implements SubscriberStore {
  readonly name: string;
  readonly #address: MysqlAddress;
  #at: Host;
  #connection: Promise<Connection> | undefined;
  readonly #table: Table;

  private constructor(address: MysqlAddress, at: Host, connection: Connection, table: Table) {
    this.#address = address;
    this.#at = at;
    this.#table = table;
    this.name = `mysql://${address.user}@${at.host}:${at.port}/${address.database}`;
    this.#keep(connection);
  }

  /** Connects to the first host that answers. */
  static async #connect(address: MysqlAddress): Promise<{ at: Host; connection: Connection }> {
    let last: StoreError | undefined;
    for (const at of address.hosts) {
      const settings: ConnectionConfig = {
        host: at.host,
        port: at.port,
        user: address.user,
        password: address.password,
        database: address.database,
        connectTimeout: CONNECT_TIMEOUT,
        charset: "utf8mb4",
        pipelining: true,
      };
      try {
        return { at, connection: await mariadb.createConnection(settings) };
      } catch (error) {
        last = explain(error, address, at);
      }
    }
    throw last ?? new StoreError("no database address");
  }

  /**
   * Connects and looks at the table.
   *
   * @throws {StoreError} when no host answers, the login fails, or the table or one of its columns is missing
   */
  static async open(address: MysqlAddress): Promise<MysqlStore> {
    const { at, connection } = await MysqlStore.#connect(address);
    try {
      const result = await connection.query({ sql: "SELECT * FROM subscriber LIMIT 0", metaAsArray: true });
      const columns = new Set((result[1] as { name(): string }[]).map((column) => column.name()));
      for (const column of ["username", "domain", "ha1"]) {
        if (!columns.has(column)) {
          throw new StoreError(
            `mysql://${address.user}@${at.host}:${at.port}/${address.database}: ` +
              `table subscriber has no column ${column}`,
          );
        }
      }
      const kinds = await connection.query<
        { name: string; charset: string | null; collation: string | null }[]
      >(
        "SELECT COLUMN_NAME AS name, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation " +
          "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'subscriber'",
      );
      const compared = (name: string) => {
        const kind = kinds.find((column) => column.name === name);
        return placeholder(kind?.charset ?? null, kind?.collation ?? null);
      };
      return new MysqlStore(address, at, connection, {
        columns,
        username: compared("username"),
        domain: compared("domain"),
      });
    } catch (error) {
      connection.destroy();
      throw error instanceof StoreError ? error : explain(error, address, at);
    }
  }

  #keep(connection: Connection): void {
    const kept = Promise.resolve(connection);
    this.#connection = kept;
    const forget = () => {
      if (this.#connection === kept) this.#connection = undefined;
    };
    connection.on("error", forget);
    connection.on("end", forget);
  }

  async #reconnect(): Promise<Connection> {
    const { at, connection } = await MysqlStore.#connect(this.#address);
    this.#at = at;
    this.#keep(connection);
    return connection;
  }

  #connected(): Promise<Connection> {
    if (this.#connection === undefined) {
      const opening = this.#reconnect();
      this.#connection = opening;
      opening.catch(() => {
        if (this.#connection === opening) this.#connection = undefined;
      });
    }
    return this.#connection;
  }

  /** Runs a prepared statement; names travel apart from the SQL. */
  async #ask<T>(sql: string | QueryOptions, values: readonly unknown[]): Promise<T> {
    const connection = await this.#connected();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new StoreError(`no answer within ${QUERY_TIMEOUT} ms`)),
          QUERY_TIMEOUT,
        );
      });
      return await Promise.race([connection.execute<T>(sql, values as unknown[]), late]);
    } catch (error) {
      if (error instanceof StoreError || !connection.isValid()) {
        this.#connection = undefined;
        connection.destroy();
      }
      throw explain(error, this.#address, this.#at);
    } finally {
      clearTimeout(timer);
    }
  }

  readonly sql: SqlAccess = {
    dialect: "mysql",
    run: async (sql: string, values: readonly (string | number)[]) => {
      const rows = await this.#ask<unknown[][]>({ sql, rowsAsArray: true }, values);
      return Array.isArray(rows) ? rows : [];
    },
  };

  async lookup(users: readonly Identity[], column: HashColumn): Promise<(Subscriber | undefined)[]> {
    const hash = this.#table.columns.has(column) ? column : "''";
    const names = new Map<string, Set<string>>();
    for (const { username, realm } of users) {
      let list = names.get(realm);
      if (list === undefined) names.set(realm, list = new Set());
      list.add(username);
    }
    const conditions: string[] = [];
    const values: string[] = [];
    for (const [realm, set] of names) {
      const list = [...set];
      const size = SIZES.find((limit) => limit >= list.length) ?? list.length;
      while (list.length < size) list.push(list[list.length - 1]);
      const { domain, username } = this.#table;
      conditions.push(`domain = ${domain} AND username IN (${new Array(size).fill(username).join(", ")})`);
      values.push(realm, ...list);
    }
    const rows = await this.#ask<Subscriber[]>(
      `SELECT username, domain AS realm, COALESCE(${hash}, '') AS hash FROM subscriber WHERE ${
        conditions.join(" OR ")
      }`,
      values,
    );
    return byPosition(users, rows);
  }

  async count(): Promise<number> {
    const [row] = await this.#ask<{ n: bigint | number }[]>("SELECT COUNT(*) AS n FROM subscriber", []);
    return Number(row.n);
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    await connection?.end().catch(() => {});
  }
}
