/** The command line of the benchmark of DBclient. */
import { type FlagTable, type FlagValues, parseFlags, UsageError } from "../../mod.ts";

/** What can be measured. */
export const PARTS = ["rate", "latency", "memory", "warmup"] as const;
/** One of {@linkcode PARTS}. */
export type Part = (typeof PARTS)[number];

/** All flags. */
export const DBCLIENT_BENCH_FLAGS = {
  parts: { type: "list", value: "PART", default: PARTS, help: `what is measured: ${PARTS.join(", ")}` },
  databases: { type: "list", value: "NAME", default: ["sqlite", "mariadb"], help: "for rate and latency" },
  users: {
    type: "integer",
    default: 100_000,
    min: 1000,
    max: 1_000_000,
    unit: "users",
    help: "rows of the table; who is asked for is chance",
  },
  batch: { type: "integer", default: 100, min: 1, max: 1000, unit: "users", help: "users of an ISSUE frame" },
  prefetchers: { type: "integer", default: 8, min: 1, max: 100, help: "proxies that send batches, one each" },
  rounds: { type: "integer", default: 3, min: 1, max: 20, help: "rounds of each measurement" },
  seconds: { type: "integer", default: 5, min: 1, max: 600, unit: "s", help: "length of a round of rate" },
  requests: {
    type: "integer",
    default: 5000,
    min: 100,
    max: 1_000_000,
    help: "requests of a round of latency",
  },
  proxies: {
    type: "integer",
    default: 200,
    min: 1,
    max: 1000,
    help: "proxies connected besides, for latency",
  },
  credentials: {
    type: "integer",
    default: 10_000_000,
    min: 10_000,
    max: 1_000_000_000,
    help: "credentials of the run that looks at memory",
  },
  warmup_users: {
    type: "integer",
    default: 200_000,
    min: 1,
    max: 1_000_000,
    help: "users of a warm-up file",
  },
  profile: {
    type: "text",
    value: "DIRECTORY",
    help: "DBclient writes a V8 CPU profile there; deno task profile --read FILE shows it",
  },
  json: { type: "text", value: "FILE", help: "write all figures there" },
  markdown: { type: "text", value: "FILE", help: "write the tables there as a document" },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task bench:dbclient [flags]

What DBclient can do: the real program as a process of its own, asked over TCP on loopback for credentials (n = 10, SHA-1).
CPU is user and system time of that process from /proc; the database's and the load generator's do not count.`;
/** Last line of `--help`. */
export const NOTES = "Exit code: 0 done, 1 a program failed, 2 wrong flag.";

/** A run. */
export type DbclientBenchOptions = FlagValues<typeof DBCLIENT_BENCH_FLAGS>;

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): DbclientBenchOptions | undefined {
  const { values, positional, help } = parseFlags(DBCLIENT_BENCH_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`);
  }
  const closed = (flag: string, given: readonly string[], allowed: readonly string[]) => {
    const wrong = given.find((name) => !allowed.includes(name));
    if (wrong === undefined) return;
    throw new UsageError(`${flag}: ${JSON.stringify(wrong)} is not allowed; it takes ${allowed.join(", ")}`);
  };
  closed("--parts", values.parts, PARTS);
  closed("--databases", values.databases, ["sqlite", "mariadb"]);
  return values;
}
