/** The command line of the mutation run. */
import { type FlagTable, type FlagValues, parseFlags, UsageError } from "../../mod.ts";

/** All flags. */
export const FUZZ_FLAGS = {
  messages: {
    type: "integer",
    default: 1_000_000,
    min: 1,
    max: 1_000_000_000,
    unit: "messages",
    help: "Mutated messages; those that are as they should be come on top",
  },
  seed: {
    type: "integer",
    default: 1,
    min: 0,
    max: 0xffff_ffff,
    help: "The same seed sends the same messages",
  },
  phase: {
    type: "integer",
    default: 50_000,
    min: 1,
    max: 1_000_000_000,
    unit: "messages",
    help: "So often all timers run out, nothing may be left, and memory is looked at",
  },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task fuzz:sip [flags]

Mutated requests and responses through the proxy's core, on virtual time, as datagrams and through the framer of streams.
Nothing may throw, no rejection may be unhandled, whatever is sent must be SIP, the scan kernel and the code without it
must agree, and when all timers have run out no transaction, copy of a message or timer may be left.`;
/** Last line of `--help`. */
export const NOTES =
  "Exit code: 0 all of it held, 1 something did not (the line has the seed), 2 wrong flag.";

/** A run. */
export type FuzzOptions = FlagValues<typeof FUZZ_FLAGS>;

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): FuzzOptions | undefined {
  const { values, positional, help } = parseFlags(FUZZ_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`);
  }
  return values;
}
