/**
 * The revocation table and its triggers (docs/PROTOCOL.md §10) as SQL: whatever tool changes a password, renames or
 * removes a user, or adds one, a row says so. Every statement stands for itself, without DELIMITER, so that any client
 * runs them.
 */

/** Names in the operator's database; they are quoted, and hold neither quotes nor backslashes. */
export interface RevocationNames {
  /** The table of the subscribers. */
  readonly table: string;
  readonly usernameColumn: string;
  /** undefined: the table has none, or it is not compared (use_domain 0); a user is revoked in every realm. */
  readonly domainColumn: string | undefined;
  /** Columns whose change makes a user's credentials void: those of password and hashes that the table has. */
  readonly secretColumns: readonly string[];
  /** The table of revocations. */
  readonly revocationTable: string;
}

/** As OpenSIPS (version 8) makes the table. */
export const OPENSIPS_SECRETS = ["password", "ha1", "ha1_sha256", "ha1_sha512t256"] as const;
/** As Kamailio (version 7) makes the table. */
export const KAMAILIO_SECRETS = ["password", "ha1", "ha1b"] as const;
/** Name of the table of revocations, unless another is chosen. */
export const REVOCATION_TABLE = "subscriber_revocation";

/** Kinds of database that differ in their SQL. */
export type SqlDialect = "mysql" | "sqlite";

const SERIALS_PER_SECOND = 2 ** 20;

/**
 * Where the serials of a new table begin: above those of any table made before, so that a table that was made anew is
 * not taken for the old one. Below 2^53 until the year 2242.
 *
 * @param time s since 1970
 * @throws {RangeError} for a time outside of that
 *
 * @example
 * ```ts
 * import { firstSerial } from "./revocation_schema.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(firstSerial(1_700_000_000), 1_782_579_200_000_001);
 * ```
 */
export function firstSerial(time: number): number {
  const serial = Math.floor(time) * SERIALS_PER_SECOND + 1;
  if (!Number.isSafeInteger(serial) || serial < 1) throw new RangeError(`time ${time}`);
  return serial;
}

/** Quotes a name. */
export function quoteName(dialect: SqlDialect, name: string): string {
  if (/[`"\\\0]/.test(name)) throw new RangeError(`name ${JSON.stringify(name)} in SQL`);
  return dialect === "mysql" ? `\`${name}\`` : `"${name}"`;
}

/**
 * The statements, without the semicolons between them. They may be run again: rows that are there stay, triggers are
 * made anew.
 *
 * @param first serial of the first revocation: {@linkcode firstSerial}
 */
export function revocationSchema(dialect: SqlDialect, names: RevocationNames, first: number): string[] {
  return dialect === "mysql" ? mysqlSchema(names, first) : sqliteSchema(names, first);
}

/** A trigger for each kind of change: its name, its event, and the rows that it writes. */
function triggers(dialect: SqlDialect, names: RevocationNames): string[] {
  const quote = (name: string) => quoteName(dialect, name);
  const { table, usernameColumn, domainColumn, secretColumns, revocationTable } = names;
  const [username, target] = [usernameColumn, revocationTable].map(quote);
  const identity = domainColumn === undefined ? [username] : [username, quote(domainColumn)];
  // Byte for byte: collations take "abc" for "ABC".
  const changed = (column: string) =>
    dialect === "mysql"
      ? `NOT (CAST(OLD.${column} AS BINARY) <=> CAST(NEW.${column} AS BINARY))`
      : `OLD.${column} IS NOT NEW.${column}`;
  // A NULL would be refused, and with it the change. An empty domain stands for every realm.
  const row = (which: "OLD" | "NEW") =>
    [...identity.map((column) => `COALESCE(${which}.${column}, '')`), "''"].slice(0, 2).join(", ");
  const insert = `INSERT INTO ${target} (username, domain)`;
  const renamed = identity.map(changed).join(" OR ");
  const touched = [...identity, ...secretColumns.map(quote)].map(changed).join(" OR ");
  // One statement, for a body of several needs another delimiter.
  const from = dialect === "mysql" ? " FROM DUAL" : "";
  const bodies = {
    // A name that was unknown until now: proxies may hold decoys for it. In SQLite INSERT OR REPLACE is this alone.
    INSERT: `${insert} VALUES (${row("NEW")})`,
    UPDATE: `${insert} SELECT ${row("OLD")}${from} WHERE ${touched} ` +
      `UNION ALL SELECT ${row("NEW")}${from} WHERE ${renamed}`,
    DELETE: `${insert} VALUES (${row("OLD")})`,
  };
  return Object.entries(bodies).flatMap(([event, body]) => {
    const name = quote(`${revocationTable}_${event.toLowerCase()}`);
    const made = `CREATE TRIGGER ${name} AFTER ${event} ON ${quote(table)} FOR EACH ROW`;
    return [
      `DROP TRIGGER IF EXISTS ${name}`,
      dialect === "mysql" ? `${made}\n  ${body}` : `${made} BEGIN\n  ${body};\nEND`,
    ];
  });
}

function mysqlSchema(names: RevocationNames, first: number): string[] {
  // Longer than the columns of any subscriber table: a row that does not fit would refuse the password's change.
  return [
    `CREATE TABLE IF NOT EXISTS ${quoteName("mysql", names.revocationTable)} (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  username VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  domain VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
  changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB AUTO_INCREMENT=${first}`,
    ...triggers("mysql", names),
  ];
}

function sqliteSchema(names: RevocationNames, first: number): string[] {
  const { revocationTable } = names;
  const text = `'${revocationTable.replaceAll("'", "''")}'`;
  return [
    `CREATE TABLE IF NOT EXISTS ${quoteName("sqlite", revocationTable)} (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  username TEXT NOT NULL,
  domain TEXT NOT NULL DEFAULT '',
  changed TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)`,
    `INSERT INTO sqlite_sequence (name, seq) SELECT ${text}, ${first - 1} ` +
    `WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ${text})`,
    ...triggers("sqlite", names),
  ];
}
