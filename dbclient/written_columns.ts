/** What is written of a subscriber, column by column, without I/O: what all stores have in common. */
import { HASH_COLUMNS, type NewSubscriber } from "./subscriber.ts";
import { HA1B, type SubscriberTable, type TableColumns } from "./subscriber_table.ts";

/** A column, and what stands in it. */
export interface WrittenColumn {
  readonly name: string;
  value(row: NewSubscriber): string;
}

/** Columns that the table has: user, domain, then what changes with a password. */
export function writtenColumns(table: SubscriberTable, columns: TableColumns): readonly WrittenColumn[] {
  const all: WrittenColumn[] = [
    { name: table.user, value: (row) => row.username },
    { name: table.domain, value: (row) => row.realm },
    { name: table.password, value: (row) => row.password },
    ...HASH_COLUMNS.map((column): WrittenColumn => {
      return { name: table.hashes[column], value: (row) => row.hashes[column] };
    }),
    { name: HA1B, value: (row) => row.ha1b ?? "" },
  ];
  return all.filter(({ name }) => columns.has(name));
}

/** Names of all columns of a row, in the order of {@linkcode rowOf}. */
export function rowColumns(table: SubscriberTable): string[] {
  const hashes = HASH_COLUMNS.map((column) => table.hashes[column]);
  return [table.user, table.domain, table.password, ...hashes, HA1B];
}

/** The row of values that were read. */
export function rowOf(values: readonly string[]): NewSubscriber {
  const [username, realm, password, ha1, ha1_sha256, ha1_sha512t256, ha1b] = values;
  return { username, realm, password, hashes: { ha1, ha1_sha256, ha1_sha512t256 }, ha1b };
}

/**
 * The SET clause of {@linkcode SubscriberAdmin.update}.
 *
 * @param columns of {@linkcode writtenColumns}
 * @param quoted puts an identifier in the database's quotes
 */
export function setClause(
  table: SubscriberTable,
  columns: readonly WrittenColumn[],
  quoted: (name: string) => string,
  row: NewSubscriber,
  password: string,
): { readonly sql: string; readonly values: string[] } {
  const set: string[] = [];
  const values: string[] = [];
  for (const { name, value } of columns.slice(2)) {
    const column = quoted(name);
    values.push(value(row));
    if (name === table.password) {
      set.push(`${column} = CASE WHEN COALESCE(${column}, '') = '' THEN ? ELSE ? END`);
      values.push(password);
    } else set.push(`${column} = ?`);
  }
  return { sql: `SET ${set.join(", ")}`, values };
}
