/** SQL for a new database, without I/O. */
import type { SubscriberTable } from "./subscriber_table.ts";

/** Kinds of databases: MySQL stands for MariaDB too. */
export type SchemaDialect = "mysql" | "sqlite";

/** Columns of OpenSIPS's table that are nobody's here, and rows of its version table. */
const TABLE_VERSION = 8;

/**
 * The subscriber table of OpenSIPS, version 8, with the names of `table`, and the version table that OpenSIPS looks at.
 * The password column is wider than OpenSIPS's CHAR(25), which cuts long passwords off or refuses them.
 */
export function subscriberSchema(dialect: SchemaDialect, table: SubscriberTable): string {
  const quote = dialect === "mysql" ? "`" : '"';
  const name = (text: string) => quote + text.replaceAll(quote, quote + quote) + quote;
  const { user, domain, password, hashes } = table;
  const end = dialect === "mysql" ? " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4" : "";
  const id = dialect === "mysql"
    ? "id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL"
    : "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL";
  const index = `${table.table}_account_idx`;
  const insert = dialect === "mysql" ? "INSERT IGNORE" : "INSERT OR IGNORE";
  return `CREATE TABLE IF NOT EXISTS version (
  table_name CHAR(32) NOT NULL PRIMARY KEY,
  table_version INTEGER DEFAULT 0 NOT NULL
)${end};
CREATE TABLE IF NOT EXISTS ${name(table.table)} (
  ${id},
  ${name(user)} CHAR(64) DEFAULT '' NOT NULL,
  ${name(domain)} CHAR(64) DEFAULT '' NOT NULL,
  ${name(password)} ${dialect === "mysql" ? "VARCHAR(128)" : "TEXT"} DEFAULT '' NOT NULL,
  email_address CHAR(64) DEFAULT '' NOT NULL,
  ${name(hashes.ha1)} CHAR(64) DEFAULT '' NOT NULL,
  ${name(hashes.ha1_sha256)} CHAR(64) DEFAULT '' NOT NULL,
  ${name(hashes.ha1_sha512t256)} CHAR(64) DEFAULT '' NOT NULL,
  rpid CHAR(64) DEFAULT NULL,
  CONSTRAINT ${name(index)} UNIQUE (${name(user)}, ${name(domain)})
)${end};
${insert} INTO version (table_name, table_version) VALUES ('${
    table.table.replaceAll("'", "''")
  }', ${TABLE_VERSION});
`;
}
