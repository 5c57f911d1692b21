/** The command line of the demo. */
import { type ChainAlgorithm, type FlagTable, type FlagValues, parseFlags, UsageError } from "../../mod.ts";

/** All flags. */
export const DEMO_FLAGS = {
  calls: { type: "integer", default: 5000, min: 1, max: 10_000_000, unit: "calls", help: "Calls per mode" },
  rate: { type: "number", default: 500, min: 0.1, max: 100_000, unit: "calls per s", help: "Call rate" },
  users: {
    type: "integer",
    default: 1000,
    min: 1,
    max: 1_000_000,
    unit: "users",
    help: "Users in the database; they call in turn",
  },
  auth: {
    type: "choice",
    choices: ["digest", "pc", "both"],
    default: "both",
    help: "Which modes run; both: the same load with Digest, then with Proxychain",
  },
  rtt: {
    type: "number",
    default: 0,
    min: 0,
    max: 10_000,
    unit: "ms",
    help: "Distance to the database: round trip added between proxy and DBclient",
  },
  preemptive: {
    type: "boolean",
    default: true,
    help: "Callers send Proxychain tokens before they are asked (--no-preemptive: only when challenged)",
  },
  bye: { type: "boolean", help: "BYE is authenticated too, not INVITE alone" },
  algorithm: {
    type: "choice",
    choices: ["SHA-1", "SHA-256", "MD5"],
    default: "SHA-1",
    help: "Hash of the chains; Digest uses SHA-256 with SHA-256, else MD5",
  },
  chain: {
    type: "integer",
    alias: ["n"],
    default: 10,
    min: 1,
    max: 65_535,
    unit: "links",
    help: "Chain length: calls that one credential is good for",
  },
  json: { type: "text", value: "FILE", help: "Write all figures to this file" },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task demo [flags]

Real calls on loopback: DBclient with an SQLite database, proxy, called agent and callers as separate processes. The same
load runs with Digest and with Proxychain; the table at the end compares them.`;
/** Last line of `--help`. */
export const NOTES =
  "Exit code: 0 every call succeeded, 1 a call failed or a program did not run, 2 wrong flag.";

/** The two ways of authentication that are compared. */
export type Mode = "digest" | "pc";
/** What a mode is called in texts. */
export const MODE_NAMES: Readonly<Record<Mode, string>> = { digest: "Digest", pc: "Proxychain" };

/** A run of the demo. */
export interface DemoOptions {
  readonly calls: number;
  /** Calls per second. */
  readonly rate: number;
  readonly users: number;
  /** In the order in which they run. */
  readonly modes: readonly Mode[];
  /** ms */
  readonly rtt: number;
  readonly preemptive: boolean;
  readonly bye: boolean;
  readonly algorithm: ChainAlgorithm;
  readonly chain: number;
  readonly json: string | undefined;
}

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): DemoOptions | undefined {
  const { values, positional, help } = parseFlags(DEMO_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(
      `unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`,
    );
  }
  const { auth, ...rest }: FlagValues<typeof DEMO_FLAGS> = values;
  return { ...rest, modes: auth === "both" ? ["digest", "pc"] : [auth] };
}
