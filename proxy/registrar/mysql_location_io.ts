/** Contacts in MySQL or MariaDB, in the `location` table of OpenSIPS; it is made where it is missing. */
import mariadb, { type Connection } from "mariadb";
import { firstLine, formatAddress } from "../../mod.ts";
import { LOCATION_COLUMNS, type LocationRow, type UserRows } from "./location_rows.ts";
import { type LocationStore, LocationStoreError, type LocationUrl } from "./location_store.ts";

const SCHEMA = `CREATE TABLE IF NOT EXISTS location (
  contact_id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
  username VARCHAR(64) DEFAULT '' NOT NULL,
  domain VARCHAR(64) DEFAULT NULL,
  contact TEXT NOT NULL,
  received VARCHAR(255) DEFAULT NULL,
  path TEXT DEFAULT NULL,
  expires INT UNSIGNED NOT NULL,
  q FLOAT(10,3) DEFAULT 1.0 NOT NULL,
  callid VARCHAR(255) DEFAULT 'Default-Call-ID' NOT NULL,
  cseq INT DEFAULT 13 NOT NULL,
  last_modified DATETIME DEFAULT '1900-01-01 00:00:01' NOT NULL,
  user_agent VARCHAR(255) DEFAULT '' NOT NULL,
  attr TEXT DEFAULT NULL,
  KEY location_user_idx (username, domain),
  KEY location_expires_idx (expires)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`;

const CONNECT_TIMEOUT = 3000;
const QUERY_TIMEOUT = 10_000;
const ROWS_AT_A_TIME = 500;
/** Error numbers of MySQL: no such table, no right to make one. */
const NO_TABLE = 1146;
const DENIED = 1142;
/** Error numbers that speak of what was to be written: wrong or too long values, names that a column cannot hold. */
const OF_DATA: ReadonlySet<number> = new Set([1264, 1265, 1267, 1366, 1406, 3854, 3988]);

interface DriverError {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlMessage?: string;
}

type MysqlUrl = Extract<LocationUrl, { readonly kind: "mysql" }>;

/** A `location` table over one connection, which is made anew when it was lost. */
export class MysqlLocation implements LocationStore {
  readonly name: string;
  #connection: Connection | undefined;
  readonly #attr: string;
  readonly #columns: readonly (keyof LocationRow)[];

  private constructor(
    private readonly url: MysqlUrl,
    private readonly password: string,
    connection: Connection,
    columns: readonly (keyof LocationRow)[],
  ) {
    this.name = nameOf(url);
    this.#connection = connection;
    this.#columns = columns;
    this.#attr = columns.includes("attr") ? "" : ", NULL AS attr";
  }

  /**
   * Connects, and makes the table where it is missing.
   *
   * @throws {LocationStoreError} (rejects) when there is no answer, the login fails, or a column is missing
   */
  static async open(url: MysqlUrl, password: string): Promise<MysqlLocation> {
    let connection: Connection | undefined;
    try {
      connection = await connect(url, password);
      const names = await columnsOf(connection);
      const missing = LOCATION_COLUMNS.find((name) => name !== "attr" && !names.has(name));
      if (missing !== undefined) {
        throw new LocationStoreError(`${nameOf(url)}: table location has no column ${missing}`);
      }
      return new MysqlLocation(url, password, connection, LOCATION_COLUMNS.filter((name) => names.has(name)));
    } catch (error) {
      connection?.destroy();
      throw explain(error, url);
    }
  }

  async *load(): AsyncIterable<readonly LocationRow[]> {
    const columns = this.#columns.map((name) => `location.${name} AS ${name}`).join(", ");
    for (let last = 0n;;) {
      const rows = await this.#try((connection) =>
        connection.execute<(LocationRow & { id: bigint })[]>(
          `SELECT contact_id AS id, ${columns}${this.#attr} FROM location WHERE contact_id > ? ` +
            `ORDER BY contact_id LIMIT ${ROWS_AT_A_TIME}`,
          [last],
        )
      );
      if (rows.length === 0) return;
      last = BigInt(rows[rows.length - 1].id);
      yield rows.map((row) => ({ ...row, expires: Number(row.expires), cseq: Number(row.cseq) }));
    }
  }

  replace(users: readonly UserRows[]): Promise<void> {
    const names = users.map(({ username, domain }) => [username, domain, username]);
    const rows = users.flatMap(({ rows }) => rows.map((row) => this.#columns.map((name) => row[name])));
    const marks = this.#columns.map(() => "?").join(", ");
    return this.#try(async (connection) => {
      await connection.beginTransaction();
      try {
        // The columns of OpenSIPS compare without case; users differ by it.
        await connection.batch(
          "DELETE FROM location WHERE username = ? AND domain = ? AND username = ? COLLATE utf8mb4_bin",
          names,
        );
        if (rows.length > 0) {
          await connection.batch(
            `INSERT INTO location (${this.#columns.join(", ")}, last_modified) VALUES (${marks}, NOW())`,
            rows,
          );
        }
        await connection.commit();
      } catch (error) {
        await connection.rollback().catch(() => {});
        throw error;
      }
    });
  }

  removeExpired(before: number): Promise<void> {
    return this.#try(async (connection) => {
      await connection.execute("DELETE FROM location WHERE expires <= ?", [before]);
    });
  }

  async close(): Promise<void> {
    await this.#connection?.end().catch(() => {});
    this.#connection = undefined;
  }

  async #try<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      if (this.#connection?.isValid() !== true) {
        this.#connection?.destroy();
        this.#connection = await connect(this.url, this.password);
      }
      return await work(this.#connection);
    } catch (error) {
      throw explain(error, this.url);
    }
  }
}

function nameOf({ user, host, port, database }: MysqlUrl): string {
  return `mysql://${user}@${formatAddress({ host, port })}/${database}`;
}

async function connect({ host, port, user, database }: MysqlUrl, password: string): Promise<Connection> {
  const connection = await mariadb.createConnection({
    host,
    port,
    user,
    password,
    database,
    connectTimeout: CONNECT_TIMEOUT,
    socketTimeout: QUERY_TIMEOUT,
    charset: "utf8mb4",
  });
  // What is lost is found out by the next question.
  connection.on("error", () => {});
  return connection;
}

/** The columns of the table; it is made when it is missing. */
async function columnsOf(connection: Connection): Promise<ReadonlySet<string>> {
  const ask = () => connection.query({ sql: "SELECT * FROM location LIMIT 0", metaAsArray: true });
  let result: unknown[];
  try {
    result = await ask();
  } catch (error) {
    if ((error as DriverError).errno !== NO_TABLE) throw error;
    await connection.query(SCHEMA);
    result = await ask();
  }
  return new Set((result[1] as { name(): string }[]).map((column) => column.name()));
}

/** What the driver says, in one line, without a secret. */
function explain(error: unknown, url: MysqlUrl): LocationStoreError {
  if (error instanceof LocationStoreError) return error;
  const { errno, code, sqlMessage } = error as DriverError;
  const where = nameOf(url);
  if (code === "ER_ACCESS_DENIED_ERROR" || code === "ER_DBACCESS_DENIED_ERROR") {
    return new LocationStoreError(
      `${where}: access denied for user ${url.user}: wrong password or missing rights`,
    );
  }
  if (errno === DENIED) {
    return new LocationStoreError(
      `${where}: user ${url.user} needs the rights SELECT, INSERT and DELETE on table location, and CREATE where it is missing`,
    );
  }
  const said = sqlMessage === undefined ? firstLine(error) : firstLine(sqlMessage);
  return new LocationStoreError(
    `${where}: ${code === undefined ? "" : `${code}: `}${said}`,
    errno !== undefined && OF_DATA.has(errno),
  );
}
