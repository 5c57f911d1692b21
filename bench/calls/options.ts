/** The command line of the benchmark of calls. */
import { type FlagTable, nearest, parseFlags, UsageError } from "../../mod.ts";
import { MODE_NAMES, type ModeName, modeOf } from "./modes.ts";

/** All flags. */
export const CALLS_FLAGS = {
  modes: {
    type: "list",
    value: "MODE",
    help: `What is measured; without it all that can be: ${MODE_NAMES.join(", ")}`,
  },
  rates: {
    type: "list",
    value: "N",
    default: ["500", "1000", "2000"],
    help: "Call rates at which CPU per call and memory are measured, calls per s",
  },
  calls: {
    type: "integer",
    default: 20_000,
    min: 1,
    max: 100_000_000,
    unit: "calls",
    help: "Calls in the measured window, after the warm-up",
  },
  warmup: {
    type: "integer",
    min: 0,
    max: 100_000_000,
    unit: "calls",
    help:
      "Calls before the window; without it 3 s of calls, and one call of each user where users are remembered",
  },
  rounds: {
    type: "integer",
    default: 3,
    min: 1,
    max: 100,
    help: "How often each is measured, in turn with the others: median and spread are reported",
  },
  users: {
    type: "list",
    value: "N",
    default: ["10000"],
    help:
      "Users in the database; they call in turn. Several: cost per call at the highest of --rates for each number",
  },
  numbers: {
    type: "list",
    value: "N",
    help:
      "Numbers of calls: what they cost from the proxy's start on, at the highest of --rates, with all there is to learn",
  },
  max: {
    type: "boolean",
    help: "Search for the highest rate with less than 1 % failed calls, and at least 95 % of it completed",
  },
  distance: {
    type: "list",
    value: "MS",
    help: "Round trips to the database: the highest rate at each, or the figures at --distance_rate",
  },
  distance_rate: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    unit: "calls per s",
    help: "With --distance: measure at this rate instead of searching the highest",
  },
  max_rate: {
    type: "integer",
    default: 20_000,
    min: 1,
    max: 1_000_000,
    unit: "calls per s",
    help: "No higher rate is tried",
  },
  trials: { type: "integer", default: 8, min: 1, max: 30, help: "Trials per search" },
  trial_seconds: { type: "number", default: 6, min: 0.5, max: 600, unit: "s", help: "Window of a trial" },
  caller: {
    type: "choice",
    choices: ["sipp", "uac"],
    default: "sipp",
    help: "Who calls through our proxy with Digest or without authentication (with PC: uac)",
  },
  called: { type: "choice", choices: ["sipp", "uac"], default: "sipp", help: "Who is called" },
  chain: {
    type: "integer",
    alias: ["n"],
    default: 10,
    min: 1,
    max: 65_535,
    unit: "links",
    help: "Chain length: calls that one credential is good for",
  },
  children: { type: "integer", default: 2, min: 1, max: 256, help: "Kamailio's processes" },
  distant_children: {
    type: "integer",
    default: 8,
    min: 1,
    max: 256,
    help: "Kamailio's processes with its database at a distance",
  },
  wait: {
    type: "number",
    default: 0,
    min: 0,
    max: 3600,
    unit: "s",
    help: "Before each measurement, wait until nothing else runs on the machine, at most so long",
  },
  quick: {
    type: "boolean",
    help:
      "Our proxy alone with uac at both ends, once each, at 2000 calls per s with 700 users: figures in under 50 s. Flags that are given win",
  },
  json: { type: "text", value: "FILE", help: "Write all figures to this file, after each measurement" },
  read: {
    type: "list",
    value: "FILE",
    help: "Measure nothing: take the figures of files that --json has written",
  },
  write_docs: { type: "boolean", help: "Write docs/PERFORMANCE.md and its charts from the figures" },
} as const satisfies FlagTable;

/** First lines of `--help`. */
export const USAGE = `Usage: deno task bench:calls [flags]

What a call costs: CPU per call by process, memory, highest rate, with the proxy's ways of authentication and beside
Kamailio where it is installed, at the same rate and with the same calls (INVITE, 407, ACK, INVITE, 100, 180, 200, ACK,
BYE, 200 over UDP, with pauses of 30 ms). What is not installed is left out by name.`;
/** Last line of `--help`. */
export const NOTES =
  "Exit code: 0 all was measured, 1 a program failed or (--quick) the rate could not be held, 2 wrong flag.";

/** A run. */
export interface CallsOptions {
  /** undefined: all that can be. */
  readonly modes: readonly ModeName[] | undefined;
  readonly rates: readonly number[];
  readonly calls: number;
  readonly warmup: number | undefined;
  readonly rounds: number;
  readonly users: readonly number[];
  /** Which questions are asked. */
  readonly asks: { readonly rates: boolean; readonly users: boolean; readonly max: boolean };
  /** Numbers of calls; empty: not asked. */
  readonly numbers: readonly number[];
  /** ms; empty: not asked. */
  readonly distances: readonly number[];
  readonly distanceRate: number | undefined;
  readonly maxRate: number;
  readonly trials: number;
  readonly trialSeconds: number;
  readonly caller: "uac" | "sipp";
  readonly called: "uac" | "sipp";
  readonly chain: number;
  readonly children: number;
  readonly distantChildren: number;
  /** s */
  readonly wait: number;
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly read: readonly string[];
  readonly writeDocs: boolean;
}

/** Sizes of `--quick`: the window is one whole cycle of each user's chain, so that renewals have their share. */
const QUICK = { rate: 2000, users: 700, calls: 7000 } as const;
/**
 * Calls before its windows. With PC as many as 50 s for all allow: V8's compiler takes its part of the time for ten seconds
 * (docs/decisions/hot_path.md).
 */
export const quickWarmup = (mode: ModeName): number => modeOf(mode).learns ? 10_000 : 5000;
/** Its modes. */
export const QUICK_MODES: readonly ModeName[] = ["pc", "pc-preemptive", "digest", "noauth"];

function numbers(flag: string, texts: readonly string[], min: number, max: number): number[] {
  if (texts.length === 0) throw new UsageError(`--${flag} takes one number or more, separated by commas`);
  return texts.map((text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new UsageError(
      `--${flag}: ${JSON.stringify(text)} is not allowed; it takes whole numbers from ${min} to ${max}`,
    );
  });
}

function readModes(names: readonly string[] | undefined): ModeName[] | undefined {
  return names?.map((name) => {
    const mode = MODE_NAMES.find((known) => known === name);
    if (mode !== undefined) return mode;
    const near = nearest(name, MODE_NAMES);
    throw new UsageError(
      `--modes: ${JSON.stringify(name)} is not known; ${
        near === undefined ? `it takes ${MODE_NAMES.join(", ")}` : `did you mean ${near}?`
      }`,
    );
  });
}

/**
 * Reads the command line.
 *
 * @returns undefined when the help was asked for
 * @throws {UsageError} one line
 */
export function readOptions(args: readonly string[]): CallsOptions | undefined {
  const { values, positional, given, help } = parseFlags(CALLS_FLAGS, args);
  if (help) return undefined;
  if (positional.length > 0) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positional[0])}; --help names every flag`);
  }
  const { quick } = values;
  const given_or = <T>(flag: string, value: T, other: T): T => quick && !given.has(flag) ? other : value;
  const modes = given_or("modes", readModes(values.modes), [...QUICK_MODES]);
  const users = given_or("users", numbers("users", values.users, 1, 10_000_000), [QUICK.users]);
  const rates = given_or("rates", numbers("rates", values.rates, 1, 1_000_000), [QUICK.rate]);
  const distances = values.distance === undefined ? [] : numbers("distance", values.distance, 0, 10_000);
  const callNumbers = values.numbers === undefined ? [] : numbers("numbers", values.numbers, 1, 100_000_000);
  if (values.distance_rate !== undefined && distances.length === 0) {
    throw new UsageError("--distance_rate is only allowed with --distance");
  }
  if (quick) {
    for (const flag of ["max", "numbers", "distance", "read", "write_docs", "caller", "called"]) {
      if (given.has(flag)) throw new UsageError(`--${flag} is not allowed with --quick`);
    }
    if (users.length > 1 || rates.length > 1) {
      throw new UsageError("--quick takes one rate and one number of users");
    }
    const peers = modes?.filter((mode) => modeOf(mode).peer !== "proxychain") ?? [];
    if (peers.length > 0) throw new UsageError(`--quick measures our proxy alone, not ${peers[0]}`);
  }
  const other = values.max || distances.length > 0 || callNumbers.length > 0 || users.length > 1;
  return {
    modes,
    rates,
    calls: given_or("calls", values.calls, QUICK.calls),
    warmup: values.warmup,
    rounds: given_or("rounds", values.rounds, 1),
    users,
    numbers: callNumbers,
    asks: {
      rates: !other || given.has("rates") && users.length === 1,
      users: users.length > 1,
      max: values.max,
    },
    distances,
    distanceRate: values.distance_rate,
    maxRate: values.max_rate,
    trials: values.trials,
    trialSeconds: values.trial_seconds,
    caller: quick ? "uac" : values.caller,
    called: quick ? "uac" : values.called,
    chain: values.chain,
    children: values.children,
    distantChildren: values.distant_children,
    wait: values.wait,
    quick,
    json: values.json,
    read: values.read ?? [],
    writeDocs: values.write_docs,
  };
}
