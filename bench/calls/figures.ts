/** What a measurement gives, and what several say together. */
import type { ModeName } from "./modes.ts";
import type { Highest } from "./search.ts";

/** The programs whose CPU time and memory are measured. */
export const PROGRAMS = ["proxy", "dbclient", "mariadb", "caller", "called"] as const;
/** One of them. */
export type ProgramName = (typeof PROGRAMS)[number];

/** A share of failed calls from which a rate does not hold. */
export const MAX_FAILED = 0.01;
/** The part of the wanted rate that has to be completed. */
export const MIN_ACHIEVED = 0.95;

/** One run of one mode. Times and memory are those of the measured window, after the warm-up. */
export interface Measurement {
  readonly mode: ModeName;
  /** Calls per s that were wanted, and that succeeded. */
  readonly rate: number;
  readonly achieved: number;
  /** Whether nearly all calls were completed at nearly the wanted rate. */
  readonly held: boolean;
  readonly users: number;
  /** Distance of the database: round trip, ms. */
  readonly rtt: number;
  readonly window: { readonly seconds: number; readonly calls: number; readonly warmup: number };
  /** User and system time of all threads and child processes in the window, by calls that succeeded in it, µs. */
  readonly cpuUsPerCall: Readonly<Partial<Record<ProgramName, number>>>;
  /** The same of the proxy from its start to the window: start, compilation, first call of each user. */
  readonly coldCpuUsPerCall: number | undefined;
  /** Credentials that DBclient issued, and Digest answers that it checked, per call in that time. */
  readonly coldIssuedPerCall?: number;
  readonly coldCheckedPerCall?: number;
  /** At the end of the window; MB are 2^20 bytes. */
  readonly memoryMb: Readonly<Partial<Record<ProgramName, { readonly rss: number; readonly pss: number }>>>;
  /** The proxy's before the first call. */
  readonly idleMemoryMb: { readonly rss: number; readonly pss: number } | undefined;
  /** Of the whole run, warm-up included. */
  readonly calls: { readonly started: number; readonly ok: number; readonly failed: number };
  readonly failures: Readonly<Record<string, number>>;
  /** Sent by the callers, in the whole run. */
  readonly retransmissions: number;
  /** Of the whole run; our generator alone says so. */
  readonly challengesPerCall?: number;
  readonly setupMs?: { readonly p50: number; readonly p99: number };
  /** Credentials that DBclient issued, and Digest answers that it checked, per call in the window. */
  readonly issuedPerCall?: number;
  readonly checkedPerCall?: number;
  /** Cores that other programs of the machine kept busy meanwhile. */
  readonly foreignCores: number;
  readonly caller: "uac" | "sipp";
  readonly called: "uac" | "sipp";
}

/** The highest rate of a mode. */
export interface HighestRate extends Highest {
  readonly mode: ModeName;
  readonly rtt: number;
  /** Kamailio's processes. */
  readonly children?: number;
  /** The measurement at that rate. */
  readonly at?: Measurement;
}

/** The machine and the programs. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** Everything that `--json` writes. */
export interface Result {
  readonly date: string;
  /** The command line. */
  readonly command: string;
  readonly machine: Machine;
  /** Modes that were left out, with the reason; measurements that could not be made. */
  readonly left: readonly { readonly what: string; readonly reason: string }[];
  /** Which of the questions each belongs to. */
  readonly rates: readonly Measurement[];
  readonly distances: readonly Measurement[];
  readonly userNumbers: readonly Measurement[];
  /** By the number of calls since the proxy's start: `window.warmup`. */
  readonly callNumbers: readonly Measurement[];
  readonly highest: readonly HighestRate[];
}

/** Median, and how far the values lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/**
 * @returns undefined without values
 * @example
 * ```ts
 * import { spreadOf } from "./figures.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(spreadOf([3, 1, 2, 9]), { median: 2.5, min: 1, max: 9, count: 4 });
 * ```
 */
export function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1], count: sorted.length };
}

/** Measurements of the same thing in several rounds. */
export interface Group {
  readonly mode: ModeName;
  readonly rate: number;
  readonly users: number;
  readonly rtt: number;
  readonly rounds: readonly Measurement[];
}

/** Puts together what differs in nothing but the round, in the order of the first ones. */
export function groupRounds(measurements: readonly Measurement[]): Group[] {
  const groups = new Map<string, Group & { rounds: Measurement[] }>();
  for (const measurement of measurements) {
    const { mode, rate, users, rtt } = measurement;
    const key = JSON.stringify([mode, rate, users, rtt]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { mode, rate, users, rtt, rounds: [measurement] });
    else group.rounds.push(measurement);
  }
  return [...groups.values()];
}

/** All values that differ, as one text. */
const together = (texts: readonly (string | undefined)[]) =>
  [...new Set(texts.filter((text) => text !== undefined))].join("; ");

/** Several results as one: all dates, machines and versions; later highest rates take the place of former ones. */
export function mergeResults(results: readonly Result[]): Result {
  const [first] = results;
  const highest = new Map<string, HighestRate>();
  for (const found of results.flatMap((result) => result.highest)) {
    highest.set(JSON.stringify([found.mode, found.rtt]), found);
  }
  const machines = results.map(({ machine }) => machine);
  const names = new Set(machines.flatMap(({ versions }) => Object.keys(versions)));
  return {
    ...first,
    date: together(results.map(({ date }) => date)),
    machine: {
      ...first.machine,
      cpu: together(machines.map(({ cpu }) => cpu)),
      system: together(machines.map(({ system }) => system)),
      versions: Object.fromEntries(
        [...names].map((name) => [name, together(machines.map(({ versions }) => versions[name]))]),
      ),
    },
    command: results.map(({ command }) => command).join("\n"),
    left: results.flatMap(({ left }) => left),
    rates: results.flatMap(({ rates }) => rates),
    distances: results.flatMap(({ distances }) => distances),
    userNumbers: results.flatMap(({ userNumbers }) => userNumbers),
    callNumbers: results.flatMap(({ callNumbers }) => callNumbers),
    highest: [...highest.values()],
  };
}
