/** `dbclient schema --revocation`: the SQL of the revocation table, to be read or run (docs/PROTOCOL.md §10). */
import { firstLine, type FlagTable, formatHelp, parseFlags, UsageError } from "../mod.ts";
import { SERVER_FLAGS, sqlitePath } from "./options.ts";
import { print } from "./print_io.ts";
import { checkedName, REVOCATION_TABLE_FLAG } from "./revocation_options.ts";
import {
  firstSerial,
  OPENSIPS_SECRETS,
  type RevocationNames,
  revocationSchema,
} from "./revocation_schema.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { StoreError } from "./subscriber.ts";

const USAGE = `Usage: dbclient schema --revocation [--sqlite] [flags]
       dbclient schema --revocation --apply --db sqlite:FILE [flags]`;
const NOTES =
  `Prints the SQL of a table of revocations and of the triggers on the subscriber table that fill it, for MySQL and
MariaDB or, with --sqlite, for SQLite. Kamailio's table: --secret_columns password,ha1,ha1b.
Example: dbclient schema --revocation | mysql opensips`;

/** Flags of `schema --revocation`. */
export const REVOCATION_SCHEMA_FLAGS = {
  revocation: { type: "boolean", help: "the table of revocations" },
  mysql: { type: "boolean", help: "for MySQL and MariaDB; the default" },
  sqlite: { type: "boolean", help: "for SQLite" },
  apply: { type: "boolean", help: "runs it in the SQLite file of --db instead of printing it" },
  db: { ...SERVER_FLAGS.db, help: "--apply: the database" },
  table: { type: "text", value: "NAME", default: "subscriber", help: "table of the subscribers" },
  user_column: { type: "text", value: "NAME", default: "username", help: "column of the user name" },
  domain_column: { type: "text", value: "NAME", default: "domain", help: "column of the realm" },
  use_domain: {
    type: "boolean",
    default: true,
    help:
      "0, as for the server: the domain column is not compared, or not there; users are revoked in every realm",
  },
  secret_columns: {
    type: "list",
    value: "NAME",
    default: OPENSIPS_SECRETS,
    help: "columns whose change revokes: those of password and hashes that the table has",
  },
  ...REVOCATION_TABLE_FLAG,
} as const satisfies FlagTable;

/**
 * Runs `dbclient schema --revocation …`.
 *
 * @returns the exit code
 * @throws {UsageError} for a wrong command line
 * @throws {StoreError} when the file cannot be changed
 */
export async function revocationSchemaCommand(
  args: readonly string[],
  say: (line: string) => void,
): Promise<number> {
  const { values, positional, help } = parseFlags(REVOCATION_SCHEMA_FLAGS, args);
  if (help) {
    print([formatHelp(USAGE, REVOCATION_SCHEMA_FLAGS, NOTES)]);
    return 0;
  }
  if (positional.length > 0) {
    throw new UsageError(`${JSON.stringify(positional[0])} is not known; schema takes flags alone`);
  }
  if (values.mysql && (values.sqlite || values.apply)) {
    throw new UsageError("--mysql goes with neither --sqlite nor --apply");
  }
  const names: RevocationNames = {
    table: checkedName("table", values.table),
    usernameColumn: checkedName("user_column", values.user_column),
    domainColumn: values.use_domain ? checkedName("domain_column", values.domain_column) : undefined,
    secretColumns: values.secret_columns.map((name) => checkedName("secret_columns", name)),
    revocationTable: checkedName("revocation_table", values.revocation_table),
  };
  const dialect = values.sqlite || values.apply ? "sqlite" : "mysql";
  const statements = revocationSchema(dialect, names, firstSerial(Date.now() / 1000));
  if (!values.apply) {
    print(statements.map((statement) => `${statement};`));
    return 0;
  }
  const store = new SqliteStore(sqlitePath(values.db), { create: false });
  try {
    // SQLite takes triggers on columns that are not there, and then refuses every change.
    const rows = await store.sql.run("SELECT name FROM pragma_table_info(?)", [names.table]);
    const columns = new Set(rows.map(([name]) => name));
    const { table, usernameColumn, domainColumn, secretColumns } = names;
    const needed = [usernameColumn, domainColumn ?? [], secretColumns].flat();
    const absent = needed.find((name) => !columns.has(name));
    if (absent !== undefined) throw new StoreError(`${store.name}: table ${table} has no column ${absent}`);
    // All or nothing: triggers without their table would refuse every change.
    await store.sql.run("BEGIN IMMEDIATE", []);
    for (const statement of statements) await store.sql.run(statement, []);
    await store.sql.run("COMMIT", []);
    say(`${store.name} has table ${names.revocationTable} and its triggers on ${names.table}`);
  } catch (error) {
    throw error instanceof StoreError ? error : new StoreError(firstLine(error));
  } finally {
    await store.close();
  }
  return 0;
}
