/** Flags that have to do with revocation (docs/PROTOCOL.md §10). */
import { type FlagTable, UsageError } from "../mod.ts";
import { REVOCATION_TABLE } from "./revocation_schema.ts";

/** Name of the table, for every command that reads or writes it. */
export const REVOCATION_TABLE_FLAG = {
  revocation_table: {
    type: "text",
    value: "NAME",
    default: REVOCATION_TABLE,
    help: "table of revocations; dbclient schema --revocation makes it",
  },
} as const satisfies FlagTable;

/** Flags of the server. */
export const REVOCATION_FLAGS = {
  ...REVOCATION_TABLE_FLAG,
  revocation_interval: {
    type: "number",
    default: 1,
    min: 0.05,
    max: 60,
    unit: "s",
    help: "how often the table of revocations is read",
  },
} as const satisfies FlagTable;

/**
 * A name of a table or column that every database takes quoted; at most 50 characters, for names of triggers are made of it.
 *
 * @throws {UsageError} for another
 */
export function checkedName(flag: string, name: string): string {
  if (/^[\p{L}\p{N}_$-]{1,50}$/u.test(name)) return name;
  throw new UsageError(
    `--${flag}: ${JSON.stringify(name)} is not allowed; it takes 1 to 50 letters, digits, "_", "$" and "-"`,
  );
}

/** The name of the table that the flags give. @throws {UsageError} when no table can have it */
export function revocationTable(values: { readonly revocation_table: string }): string {
  return checkedName("revocation_table", values.revocation_table);
}
