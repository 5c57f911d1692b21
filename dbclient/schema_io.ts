/** `dbclient schema`: prints the SQL for a new database. */
import { type FlagTable, type FlagValues, formatHelp, parseFlags, UsageError } from "../mod.ts";
import { print } from "./print_io.ts";
import { type SchemaDialect, subscriberSchema } from "./schema.ts";
import { SUBSCRIBER_TABLE_FLAGS, type SubscriberTable, subscriberTable } from "./subscriber_table.ts";

/** Flags of `schema`. */
export const SCHEMA_FLAGS = {
  mysql: { type: "boolean", help: "for MySQL and MariaDB; what is printed when neither is named" },
  sqlite: { type: "boolean", help: "for SQLite" },
  ...SUBSCRIBER_TABLE_FLAGS,
} as const satisfies FlagTable;

const USAGE = "Usage: dbclient schema [--mysql|--sqlite] [flags] | mysql DATABASE";
const NOTES =
  `DBclient makes the tables of a new SQLite file itself. With MySQL and MariaDB it needs no more than
  GRANT SELECT ON DATABASE.subscriber TO 'USER'@'ADDRESS';`;

/** The SQL that the flags ask for. */
export function schemaText(dialect: SchemaDialect, table: SubscriberTable): string {
  return subscriberSchema(dialect, table).trimEnd();
}

function chosenDialect(values: FlagValues<typeof SCHEMA_FLAGS>): SchemaDialect {
  if (values.mysql && values.sqlite) throw new UsageError("--mysql and --sqlite: it takes one of them");
  return values.sqlite ? "sqlite" : "mysql";
}

/**
 * Runs `dbclient schema …`.
 *
 * @returns the exit code
 * @throws {UsageError} for a wrong command line
 */
export function schema(args: readonly string[]): number {
  const { values, positional, help } = parseFlags(SCHEMA_FLAGS, args);
  if (help) {
    print([formatHelp(USAGE, SCHEMA_FLAGS, NOTES)]);
    return 0;
  }
  if (positional.length > 0) {
    throw new UsageError(`${JSON.stringify(positional[0])} is not known; schema takes flags alone`);
  }
  print([schemaText(chosenDialect(values), subscriberTable(values))]);
  return 0;
}
