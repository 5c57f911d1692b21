/** The command line of DBclient: its flags, and what they mean together. */
import {
  CHAIN_ALGORITHMS,
  type ChainAlgorithm,
  type FlagTable,
  type FlagValues,
  HASH_CHOICES,
  OBSERVATION_FLAGS,
  UsageError,
} from "../mod.ts";
import { LINK_FLAGS } from "./link_options.ts";
import { REVOCATION_FLAGS } from "./revocation_options.ts";
import { SUBSCRIBER_TABLE_FLAGS, type SubscriberTable, subscriberTable } from "./subscriber_table.ts";

/** Flags that say how a database is asked. */
export const DATABASE_FLAGS = {
  db_connections: {
    type: "integer",
    default: 2,
    min: 1,
    max: 64,
    help: "connections to MySQL or MariaDB that are asked at once",
  },
  db_timeout: {
    type: "integer",
    default: 2000,
    min: 100,
    max: 60_000,
    unit: "ms",
    help: "time for an answer of MySQL or MariaDB; then users are unavailable",
  },
  db_tls: {
    type: "boolean",
    help: "encrypt the connection to MySQL or MariaDB, and verify the server's certificate and its name",
  },
  db_tls_ca: {
    type: "text",
    value: "FILE",
    help: "certificates (PEM) to verify it with, in place of the system's; --db_tls is then on",
  },
  ...SUBSCRIBER_TABLE_FLAGS,
} as const satisfies FlagTable;

/** Flags of the server. The names of one letter are those of the original DBclient. */
export const SERVER_FLAGS = {
  n: {
    type: "integer",
    alias: ["chain"],
    default: 10,
    min: 1,
    max: 65535,
    unit: "links",
    help: "chain length",
  },
  p: {
    type: "integer",
    alias: ["port"],
    default: 19760,
    min: 0,
    max: 65535,
    help: "TCP port for proxies; 0: any free one",
  },
  h: {
    type: "list",
    alias: ["host"],
    value: "ADDRESS",
    help:
      "with SQLite: address to listen on (default 127.0.0.1); with -d: addresses of the database, as --db_host",
  },
  listen: {
    type: "text",
    value: "ADDRESS",
    help: "address to listen on, with either database; default 127.0.0.1",
  },
  d: {
    type: "text",
    alias: ["database"],
    value: "NAME",
    help: "MySQL or MariaDB database with the subscriber table",
  },
  u: { type: "text", alias: ["user"], value: "NAME", default: "opensips", help: "database user" },
  P: {
    type: "text",
    alias: ["password"],
    value: "PASSWORD",
    secret: true,
    env: "PROXYCHAIN_DB_PASSWORD",
    help: "database password; here it shows in ps, so better --password_file or the environment",
  },
  password_file: { type: "text", value: "FILE", help: "file with the database password on its first line" },
  db_host: {
    type: "list",
    value: "ADDRESS[:PORT]",
    help: "address of the database, or of a cluster's nodes, the first preferred; default 127.0.0.1",
  },
  db_port: { type: "integer", default: 3306, min: 1, max: 65535, help: "TCP port of the database" },
  db: {
    type: "text",
    value: "sqlite:FILE",
    default: "sqlite:proxychain.db",
    help: "embedded database, made on first use; or mysql://USER@ADDRESS:PORT,…/NAME in place of -u -h -d",
  },
  ...DATABASE_FLAGS,
  schema: { type: "boolean", help: "print the SQL for a new database and end; dbclient schema --help" },
  ttl: {
    type: "integer",
    default: 3600,
    min: 1,
    max: 0xffffffff,
    unit: "s",
    help: "time to live of credentials",
  },
  algorithms: { type: "list", value: "NAME", default: CHAIN_ALGORITHMS, help: "algorithms that are issued" },
  hash: {
    type: "choice",
    choices: HASH_CHOICES,
    default: "auto",
    env: "PROXYCHAIN_HASH",
    help: "hash backend",
  },
  issuer_secret_file: {
    type: "text",
    value: "FILE",
    help:
      "secret for decoys, made on first use; default: inside the SQLite file, else dbclient_issuer_secret",
  },
  stats_file: {
    type: "text",
    value: "FILE",
    help: "write counters there as JSON, each second and at the end",
  },
  ...OBSERVATION_FLAGS,
  ...LINK_FLAGS,
  ...REVOCATION_FLAGS,
} as const satisfies FlagTable;

/** The values of {@linkcode SERVER_FLAGS}. */
export type ServerValues = FlagValues<typeof SERVER_FLAGS>;

/** Which database, without its password. */
export type DatabaseChoice =
  | { readonly kind: "sqlite"; readonly path: string; readonly table: SubscriberTable }
  | {
    readonly kind: "mysql";
    readonly hosts: readonly { readonly host: string; readonly port: number }[];
    readonly database: string;
    readonly user: string;
    /** In a mysql: URL. */
    readonly password?: string;
    readonly table: SubscriberTable;
    /** Asked at once. */
    readonly connections: number;
    /** ms */
    readonly timeout: number;
    /** With a file of certificates, or with the system's. */
    readonly tls?: { readonly caFile?: string };
  };

type MysqlPlace = Pick<
  Extract<DatabaseChoice, { kind: "mysql" }>,
  "hosts" | "database" | "user" | "password"
>;

/** Splits ADDRESS, ADDRESS:PORT or [IPV6]:PORT. */
function hostPort(label: string, text: string, port: number): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ??
    (/^[0-9a-fA-F:.]+$/.test(text) ? [text, text] : undefined);
  const chosen = match?.[3] === undefined ? port : Number(match[3]);
  if (!match || chosen < 1 || chosen > 65535) {
    throw new UsageError(`${label}: ${JSON.stringify(text)} is no ADDRESS or ADDRESS:PORT`);
  }
  return { host: (match[1] ?? match[2])!, port: chosen };
}

function mysqlUrl(text: string, port: number): MysqlPlace {
  const wrong = new UsageError("--db: a MySQL database is written mysql://USER@ADDRESS:PORT,…/NAME");
  const parts = /^(?:mysql|mariadb):\/\/([^@:/]+)(?::([^@/]*))?@([^@/]+)\/([^/?#]+)$/.exec(text);
  if (parts === null) throw wrong;
  const [, user, password, hosts, database] = parts;
  try {
    return {
      hosts: hosts.split(",").map((host) => hostPort("--db", host, port)),
      database: decodeURIComponent(database),
      user: decodeURIComponent(user),
      ...(password === undefined ? {} : { password: decodeURIComponent(password) }),
    };
  } catch (error) {
    throw error instanceof URIError ? wrong : error;
  }
}

/** The file of `--db sqlite:FILE`. */
export function sqlitePath(db: string): string {
  const path = db.startsWith("sqlite:") ? db.slice("sqlite:".length) : "";
  if (path === "") {
    throw new UsageError(`--db: ${JSON.stringify(db)} is not allowed; it takes sqlite:FILE or mysql://…`);
  }
  return path;
}

/** What the server's flags mean together. */
export interface ServerChoice {
  readonly listen: string;
  readonly database: DatabaseChoice;
  readonly algorithms: readonly ChainAlgorithm[];
}

/**
 * Reads the flags that depend on each other.
 *
 * @throws {UsageError} for a contradiction
 */
export function chooseServer(
  values: FlagValues<typeof SERVER_FLAGS>,
  given: ReadonlySet<string>,
): ServerChoice {
  const isUrl = /^(mysql|mariadb):/.test(values.db);
  if (values.d !== undefined && given.has("db")) {
    throw new UsageError("-d and --db both name a database; it takes one of them");
  }
  const mysql = values.d !== undefined || isUrl;
  if (!mysql && (values.db_host !== undefined || given.has("db_port"))) {
    throw new UsageError("--db_host and --db_port need a MySQL database: -d NAME");
  }
  if (values.db_host !== undefined && values.h !== undefined && mysql && !isUrl) {
    throw new UsageError("-h and --db_host both name the database's address; it takes one of them");
  }
  if (!mysql && values.h !== undefined && values.h.length !== 1) {
    throw new UsageError("-h: it takes one address to listen on");
  }
  const listen = values.listen ?? (mysql ? undefined : values.h?.[0]) ?? "127.0.0.1";
  if (values.db_host !== undefined && isUrl) {
    throw new UsageError("--db_host and --db both name the database's address; it takes one of them");
  }
  const hosts = (values.db_host ?? values.h ?? ["127.0.0.1"]).map((text) =>
    hostPort(values.db_host === undefined ? "-h" : "--db_host", text, values.db_port)
  );
  const table = subscriberTable(values);
  const place: MysqlPlace | undefined = isUrl
    ? mysqlUrl(values.db, values.db_port)
    : values.d !== undefined
    ? { hosts, database: values.d, user: values.u }
    : undefined;
  const database: DatabaseChoice = place === undefined
    ? { kind: "sqlite", path: sqlitePath(values.db), table }
    : {
      kind: "mysql",
      ...place,
      table,
      connections: values.db_connections,
      timeout: values.db_timeout,
      ...(values.db_tls || values.db_tls_ca !== undefined ? { tls: { caFile: values.db_tls_ca } } : {}),
    };
  for (const name of values.algorithms) {
    if (!CHAIN_ALGORITHMS.includes(name as ChainAlgorithm)) {
      throw new UsageError(
        `--algorithms: ${JSON.stringify(name)} is not allowed; it takes ${CHAIN_ALGORITHMS.join(", ")}`,
      );
    }
  }
  return { listen, database, algorithms: values.algorithms as ChainAlgorithm[] };
}
