/** The command line of the soak. */
import { type FlagTable, type FlagValues, parseFlags, UsageError } from "../../mod.ts";

/** All flags. */
export const SOAK_FLAGS = {
  rate: { type: "integer", default: 500, min: 1, max: 100_000, unit: "calls per s", help: "Call rate" },
  minutes: {
    type: "number",
    default: 10,
    min: 0.01,
    max: 100_000,
    unit: "min",
    help: "How long calls begin",
  },
  auth: {
    type: "choice",
    choices: ["pc", "digest", "none"],
    default: "pc",
    help: "The proxy's authentication",
  },
  preemptive: { type: "boolean", help: "Callers send Proxychain tokens before they are asked" },
  users: { type: "integer", default: 5000, min: 1, max: 1_000_000, unit: "users", help: "They call in turn" },
  workers: { type: "integer", default: 1, min: 1, max: 256, unit: "threads", help: "The proxy's --workers" },
  growth: {
    type: "number",
    default: 15,
    min: 0,
    max: 1000,
    unit: "%",
    help:
      "What the proxy's memory in use may grow from the minute after the first to the last, in 3 minutes and more: " +
      "what a burst took is kept",
  },
  json: { type: "text", value: "FILE", help: "Write all figures to this file" },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task soak [flags]

Calls with BYE at a steady rate through the real programs on loopback: DBclient, proxy, and uac at both ends. No call may
fail, the proxy's memory may not grow after the first minute, and at the end no transaction may be left.`;
/** Last line of `--help`. */
export const NOTES = "Exit code: 0 all of it held, 1 something did not or a program failed, 2 wrong flag.";

/** A run. */
export type SoakOptions = FlagValues<typeof SOAK_FLAGS>;

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): SoakOptions | undefined {
  const { values, positional, help } = parseFlags(SOAK_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`);
  }
  return values;
}
