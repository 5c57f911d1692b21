/** Where in a database the subscribers stand: names of the table and its columns, under OpenSIPS's names (auth_db). */
import { type FlagTable, type FlagValues, nearest, UsageError } from "../mod.ts";
import { HASH_COLUMNS, type HashColumn } from "./subscriber.ts";

/** The table and what its columns mean. Names have passed {@linkcode subscriberTable}; a store still quotes them. */
export interface SubscriberTable {
  readonly table: string;
  readonly user: string;
  readonly domain: string;
  /** The plain password: read with `calculateHa1` alone. */
  readonly password: string;
  /** Columns of the hashes. */
  readonly hashes: Readonly<Record<HashColumn, string>>;
  /** HA1 is calculated from the password column; hashes are not read. */
  readonly calculateHa1: boolean;
  /** The domain column is compared with the realm; else a user name stands in one row for all realms. */
  readonly useDomain: boolean;
}

/** The table of OpenSIPS (version 8) and Kamailio (version 7), as it comes. */
export const DEFAULT_TABLE: SubscriberTable = {
  table: "subscriber",
  user: "username",
  domain: "domain",
  password: "password",
  hashes: { ha1: "ha1", ha1_sha256: "ha1_sha256", ha1_sha512t256: "ha1_sha512t256" },
  calculateHa1: false,
  useDomain: true,
};
/** Kamailio's MD5 of username "@" domain ":" domain ":" password: written where the table has it, never read. */
export const HA1B = "ha1b";

/** Flags of every command that reads or writes subscribers. */
export const SUBSCRIBER_TABLE_FLAGS = {
  table: { type: "text", value: "NAME", default: DEFAULT_TABLE.table, help: "table of the subscribers" },
  user_column: {
    type: "text",
    value: "NAME",
    default: DEFAULT_TABLE.user,
    help: "column with the user name",
  },
  domain_column: {
    type: "text",
    value: "NAME",
    default: DEFAULT_TABLE.domain,
    help: "column with the realm",
  },
  password_column: {
    type: "text",
    value: "NAME",
    help:
      "column with the plain password, default password; without --calculate_ha1 and --hash_column that of " +
      "HA1, as in OpenSIPS",
  },
  hash_column: { type: "text", value: "NAME", help: "column with HA1 in MD5, default ha1" },
  hash_column_sha256: {
    type: "text",
    value: "NAME",
    default: DEFAULT_TABLE.hashes.ha1_sha256,
    help: "column with HA1 in SHA-256",
  },
  hash_column_sha512t256: {
    type: "text",
    value: "NAME",
    default: DEFAULT_TABLE.hashes.ha1_sha512t256,
    help: "column with HA1 in SHA-512-256",
  },
  calculate_ha1: { type: "boolean", help: "calculate HA1 from the plain password in --password_column" },
  use_domain: {
    type: "boolean",
    default: true,
    help: "compare the domain column with the realm; 0: user names are unique in the table",
  },
} as const satisfies FlagTable;

/**
 * A name as MySQL, MariaDB and SQLite take it: letters, digits, "_", "$" and "-", at most 64 characters. It is put into
 * SQL text, quoted; nothing in it could end the quotes.
 */
function identifier(flag: string, name: string): string {
  if (/^[\p{L}\p{N}_$-]{1,64}$/u.test(name)) return name;
  throw new UsageError(
    `--${flag}: ${JSON.stringify(name)} is not allowed; it takes letters, digits, _, $ and -, at most 64`,
  );
}

/**
 * Reads the flags.
 *
 * @throws {UsageError} for a name that no column can have, and for a column that is named for two things
 */
export function subscriberTable(values: FlagValues<typeof SUBSCRIBER_TABLE_FLAGS>): SubscriberTable {
  const { calculate_ha1, password_column, hash_column } = values;
  // OpenSIPS's password_column holds HA1 unless calculate_ha1 is on.
  const holdsHa1 = !calculate_ha1 && hash_column === undefined && password_column !== undefined;
  const table: SubscriberTable = {
    table: identifier("table", values.table),
    user: identifier("user_column", values.user_column),
    domain: identifier("domain_column", values.domain_column),
    password: identifier(
      "password_column",
      holdsHa1 ? DEFAULT_TABLE.password : password_column ?? DEFAULT_TABLE.password,
    ),
    hashes: {
      ha1: holdsHa1
        ? identifier("password_column", password_column)
        : identifier("hash_column", hash_column ?? DEFAULT_TABLE.hashes.ha1),
      ha1_sha256: identifier("hash_column_sha256", values.hash_column_sha256),
      ha1_sha512t256: identifier("hash_column_sha512t256", values.hash_column_sha512t256),
    },
    calculateHa1: calculate_ha1,
    useDomain: values.use_domain,
  };
  const seen = new Set<string>();
  const { user, domain, password, hashes } = table;
  const plain = Object.values(hashes).includes(password) ? [] : [password];
  for (const name of [user, domain, ...plain, ...Object.values(hashes)]) {
    if (seen.has(name.toLowerCase())) {
      throw new UsageError(`column ${name} is named for two things; each needs a column of its own`);
    }
    seen.add(name.toLowerCase());
  }
  return table;
}

/** The columns that a database's table has; their case does not matter in SQL. */
export class TableColumns {
  readonly #names: ReadonlyMap<string, string>;

  constructor(names: Iterable<string>) {
    this.#names = new Map(Array.from(names, (name) => [name.toLowerCase(), name]));
  }

  has(name: string): boolean {
    return this.#names.has(name.toLowerCase());
  }

  /**
   * What is missing for looking users up, in words that name it; undefined when nothing is. A hash that is not there
   * under its usual name is none: Kamailio's table has no ha1_sha256.
   */
  problem(table: SubscriberTable): string | undefined {
    const needed = [
      table.user,
      ...(table.useDomain ? [table.domain] : []),
      ...(table.calculateHa1 ? [table.password] : [table.hashes.ha1]),
      ...(table.calculateHa1
        ? []
        : HASH_COLUMNS.map((column) => table.hashes[column]).filter((name, i) =>
          name !== DEFAULT_TABLE.hashes[HASH_COLUMNS[i]]
        )),
    ];
    const missing = needed.find((name) => !this.has(name));
    if (missing === undefined) return undefined;
    const like = nearest(missing, this.#names.values());
    return `table ${table.table} has no column ${missing}` +
      (like === undefined ? "" : `; did you mean ${like}?`);
  }

  /** The column that a hash is read from, or undefined when the table has none for it. */
  source(table: SubscriberTable, column: HashColumn): string | undefined {
    const name = table.calculateHa1 ? table.password : table.hashes[column];
    return this.has(name) ? name : undefined;
  }
}
