/** The command line of the profile. */
import { type FlagTable, type FlagValues, parseFlags, UsageError } from "../../mod.ts";

/** All flags. */
export const PROFILE_FLAGS = {
  auth: {
    type: "choice",
    choices: ["pc", "digest", "none"],
    default: "pc",
    help: "The proxy's authentication",
  },
  preemptive: { type: "boolean", help: "Callers send Proxychain tokens before they are asked" },
  rate: { type: "integer", default: 1000, min: 1, max: 100_000, unit: "calls per s", help: "Call rate" },
  calls: { type: "integer", default: 15_000, min: 1, max: 10_000_000, unit: "calls", help: "Calls" },
  users: { type: "integer", default: 1000, min: 1, max: 1_000_000, unit: "users", help: "They call in turn" },
  rows: { type: "integer", default: 30, min: 1, max: 1000, unit: "functions", help: "Length of the table" },
  interval: {
    type: "integer",
    default: 500,
    min: 50,
    max: 100_000,
    unit: "µs",
    help: "Time between two samples",
  },
  keep: {
    type: "text",
    value: "FILE",
    help: "Keep the profile (.cpuprofile: Chrome's developer tools show it)",
  },
  read: { type: "text", value: "FILE", help: "Run nothing: the table of a profile that was kept" },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task profile [flags]

Runs the proxy under a load with V8's CPU profiler, DBclient and agents beside it, and prints the functions that most of
the time was spent in. The profile is of JavaScript's thread; the system's part of a call is in the functions that ask it.`;
/** Last line of `--help`. */
export const NOTES = "Exit code: 0 done, 1 a program or a call failed, 2 wrong flag.";

/** A run. */
export type ProfileOptions = FlagValues<typeof PROFILE_FLAGS>;

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): ProfileOptions | undefined {
  const { values, positional, help } = parseFlags(PROFILE_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`);
  }
  return values;
}
