/** The command line of `dbclient warmup`. */
import {
  CHAIN_ALGORITHMS,
  type FlagTable,
  type FlagValues,
  type Identity,
  namePattern,
  TEXT_LIMIT,
  UsageError,
  utf8Length,
} from "../mod.ts";
import { nameProblem } from "./names.ts";
import { DATABASE_FLAGS, SERVER_FLAGS } from "./options.ts";
import { REVOCATION_TABLE_FLAG } from "./revocation_options.ts";

/** Flags of `warmup`. */
export const WARMUP_FLAGS = {
  out: { type: "text", value: "FILE", help: "the file to write; it takes the place of one that is there" },
  inspect: { type: "text", value: "FILE", help: "says what is in a file, instead of writing one" },
  json: { type: "boolean", help: "--inspect: as a JSON object" },
  realm: { type: "list", value: "REALM", help: "realms of the users" },
  proxy: {
    type: "text",
    value: "NAME",
    default: "proxy",
    help: "the proxy that may load the file: its --proxy_name",
  },
  users: { type: "text", value: "PATTERN", help: "names with a number, such as user%06d" },
  from: { type: "integer", default: 1, min: 0, max: 0xffffffff, help: "--users: the first number" },
  count: { type: "integer", min: 1, max: 100_000_000, unit: "users", help: "--users: how many numbers" },
  all: { type: "boolean", help: "all users of the realms, numbered from 1 in the order of their names" },
  n: SERVER_FLAGS.n,
  ttl: SERVER_FLAGS.ttl,
  algorithm: {
    type: "choice",
    choices: CHAIN_ALGORITHMS,
    default: "SHA-1",
    help: "hash of the chains: the proxy's --algorithm",
  },
  key_file: {
    type: "text",
    value: "FILE",
    help: "pre-shared key of proxy and DBclient, under which the file's MAC is made; " +
      "or in environment PROXYCHAIN_KEY",
  },
  db: { ...SERVER_FLAGS.db, help: "database; or mysql://USER@ADDRESS:PORT/NAME in place of -d -u --db_host" },
  d: SERVER_FLAGS.d,
  u: SERVER_FLAGS.u,
  P: SERVER_FLAGS.P,
  password_file: SERVER_FLAGS.password_file,
  db_host: { ...SERVER_FLAGS.db_host, alias: ["h", "host"] },
  db_port: SERVER_FLAGS.db_port,
  ...DATABASE_FLAGS,
  ...REVOCATION_TABLE_FLAG,
  hash: SERVER_FLAGS.hash,
} as const satisfies FlagTable;

/** The values of {@linkcode WARMUP_FLAGS}. */
export type WarmupFlagValues = FlagValues<typeof WARMUP_FLAGS>;

/** A user to be written. */
export interface NumberedUser extends Identity {
  readonly number: number;
}

/** What is to be written. */
export interface WarmupChoice {
  readonly out: string;
  readonly realms: readonly string[];
  /** Number of the first user. */
  readonly firstNumber: number;
  /** Names by pattern; undefined: all users of the database. */
  readonly named: { readonly count: number; users(): Iterable<NumberedUser> } | undefined;
}

/**
 * Reads the flags that depend on each other.
 *
 * @throws {UsageError} with one line that says what is wrong and what is allowed
 */
export function chooseWarmup(values: WarmupFlagValues): WarmupChoice {
  const { out, realm: realms, proxy, users: pattern, from, count, all } = values;
  if (out === undefined) throw new UsageError("warmup needs --out FILE (or --inspect FILE)");
  if (realms === undefined || realms.length === 0) throw new UsageError("warmup needs --realm REALM");
  for (const realm of realms) {
    const problem = nameProblem({ username: "user", realm });
    if (problem !== undefined) throw new UsageError(`--realm: ${JSON.stringify(realm)}: ${problem.text}`);
  }
  if (new Set(realms).size < realms.length) throw new UsageError("--realm names a realm twice");
  if (utf8Length(proxy) > TEXT_LIMIT["proxy name"]) {
    throw new UsageError(`--proxy takes at most ${TEXT_LIMIT["proxy name"]} bytes`);
  }
  if (all) {
    if (pattern !== undefined || count !== undefined) {
      throw new UsageError("--all and --users with --count name the users in two ways; it takes one of them");
    }
    return { out, realms, firstNumber: 1, named: undefined };
  }
  if (pattern === undefined || count === undefined) {
    throw new UsageError("warmup needs --users PATTERN with --count N, or --all");
  }
  const last = from + count - 1;
  if (last > 0xffffffff) throw new UsageError(`--from and --count: the last number is over ${0xffffffff}`);
  const name = namePattern("--users", pattern);
  const problem = nameProblem({ username: name(last), realm: realms[0] });
  if (problem !== undefined) {
    throw new UsageError(`--users: ${JSON.stringify(name(last))}: ${problem.text}`);
  }
  function* users(): Iterable<NumberedUser> {
    for (let number = from; number <= last; number++) {
      const username = name(number);
      for (const realm of realms!) yield { number, username, realm };
    }
  }
  return { out, realms, firstNumber: from, named: { count: count * realms.length, users } };
}
