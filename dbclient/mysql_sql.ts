/** SQL for MySQL and MariaDB, without I/O. Names of users travel apart from the text, as values of a statement. */
import type { Identity } from "../mod.ts";
import type { HashColumn, Subscriber } from "./subscriber.ts";
import type { SubscriberTable, TableColumns } from "./subscriber_table.ts";

/** A statement and its values. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/** A column of information_schema.COLUMNS. */
export interface ColumnKind {
  readonly name: string;
  readonly charset: string | null;
  readonly collation: string | null;
}

/** What was found out about the table. */
export interface MysqlTable extends SubscriberTable {
  readonly columns: TableColumns;
  /** How a name is compared with the user and the domain column: {@linkcode placeholder}. */
  readonly userPlaceholder: string;
  readonly domainPlaceholder: string;
}

/**
 * List lengths of statements: a shorter list is filled up with its last name, so that few are prepared. MariaDB turns
 * lists of 1000 and more into temporary tables (in_predicate_conversion_threshold), hence the limit.
 */
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const LONGEST = SIZES[SIZES.length - 1];
/** A realm with so many of the users asked gets a list of its own; the other realms share one of pairs. */
const OWN_LIST = 16;

/** An identifier in quotes. */
export function quoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/**
 * A placeholder for a name that is compared with a column of this collation. MariaDB refuses to compare a name that the
 * column's character set lacks: one such name would spoil the query for a whole batch. Converted, it becomes a name
 * that no row has byte for byte.
 */
export function placeholder(kind: ColumnKind | undefined): string {
  const { charset, collation } = kind ?? { charset: null, collation: null };
  if (charset === null || collation === null || charset === "utf8mb4") return "?";
  if (!/^\w+$/.test(charset) || !/^\w+$/.test(collation)) return "?";
  return `CONVERT(? USING ${charset}) COLLATE ${collation}`;
}

/** Columns of a table, with their character sets. */
export function columnsStatement(table: SubscriberTable): Statement {
  return {
    sql: "SELECT COLUMN_NAME AS name, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation " +
      "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
    values: [table.table],
  };
}

/** Lists of at most {@linkcode LONGEST}, filled up to one of {@linkcode SIZES}. */
function* lists<T>(items: readonly T[]): Iterable<T[]> {
  for (let at = 0; at < items.length; at += LONGEST) {
    const list = items.slice(at, at + LONGEST);
    const size = SIZES.find((limit) => limit >= list.length)!;
    while (list.length < size) list.push(list[list.length - 1]);
    yield list;
  }
}

/** Conditions that are true for the users asked, as far as collations tell names apart. */
export function* conditions(table: MysqlTable, users: readonly Identity[]): Iterable<Statement> {
  const { userPlaceholder, domainPlaceholder } = table;
  const [user, domain] = [quoted(table.user), quoted(table.domain)];
  const names = new Map<string, Set<string>>();
  for (const { username, realm } of users) {
    const key = table.useDomain ? realm : "";
    const list = names.get(key);
    if (list === undefined) names.set(key, new Set([username]));
    else list.add(username);
  }
  const pairs: [string, string][] = [];
  for (const [realm, set] of names) {
    if (names.size > 1 && set.size < OWN_LIST) {
      for (const username of set) pairs.push([username, realm]);
      continue;
    }
    for (const list of lists([...set])) {
      const among = `${user} IN (${new Array(list.length).fill(userPlaceholder).join(", ")})`;
      yield table.useDomain
        ? { sql: `${domain} = ${domainPlaceholder} AND ${among}`, values: [realm, ...list] }
        : { sql: among, values: list };
    }
  }
  for (const list of lists(pairs)) {
    const pair = `(${user} = ${userPlaceholder} AND ${domain} = ${domainPlaceholder})`;
    yield { sql: new Array(list.length).fill(pair).join(" OR "), values: list.flat() };
  }
}

/** Statements that find users: rows of username, realm ("" without use_domain) and hash or password. */
export function lookupStatements(
  table: MysqlTable,
  users: readonly Identity[],
  column: HashColumn,
): Statement[] {
  const source = table.columns.source(table, column);
  const realm = table.useDomain ? quoted(table.domain) : "''";
  const hash = source === undefined ? "''" : `COALESCE(${quoted(source)}, '')`;
  const head = `SELECT ${quoted(table.user)}, ${realm}, ${hash} FROM ${quoted(table.table)} WHERE `;
  return Array.from(conditions(table, users), ({ sql, values }) => ({ sql: head + sql, values }));
}

/**
 * Rows of {@linkcode lookupStatements}. Without use_domain a row whose name is not byte for byte one of its statement is left
 * out: a collation finds alice by ALICE in one statement, and by alice in another, and she would seem to stand twice.
 */
export function lookupRows(
  table: MysqlTable,
  statements: readonly Statement[],
  results: readonly (readonly unknown[][])[],
): Subscriber[] {
  return results.flatMap((rows, i) => {
    const asked = table.useDomain ? undefined : new Set(statements[i].values);
    return (rows as [string, string, string][])
      .filter(([username]) => asked?.has(username) !== false)
      .map(([username, realm, hash]) => ({ username, realm, hash }));
  });
}
