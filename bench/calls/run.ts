/** The questions of a run, in turn: which measurements are made, and in which order. */
import type { HighestRate, Measurement } from "./figures.ts";
import { type ModeName, modeOf } from "./modes.ts";
import { type CallsOptions, quickWarmup } from "./options.ts";
import { findHighest } from "./search.ts";

/** What one measurement is of. */
export interface Plan {
  readonly mode: ModeName;
  readonly rate: number;
  /** Calls in the window. */
  readonly calls: number;
  readonly users: number;
  readonly rtt: number;
  /** Calls before the window; by default what the mode needs. */
  readonly warmup?: number;
  /** Our proxy starts with a credential of every user. */
  readonly preloaded?: boolean;
}

/** What a run needs of its surroundings. */
export interface Bench {
  /** @returns undefined when it could not be made: the reason is kept elsewhere */
  measure(plan: Plan): Promise<Measurement | undefined>;
  readonly result: {
    readonly rates: Measurement[];
    readonly distances: Measurement[];
    readonly userNumbers: Measurement[];
    readonly callNumbers: Measurement[];
    readonly highest: HighestRate[];
  };
  /** Is called when the result has grown. */
  save(): Promise<void>;
}

/** Where a search begins, calls per s. */
const START_RATE = 1000;
/** The part of the rate that Kamailio's waiting processes allow, at which its search begins. */
const START_PART = 0.7;
/** A window that is not what is asked for, s. */
const WINDOW_S = 1;
/** Modes that say how the number of users or the distance of the database tells, where none are named. */
const TELLING: readonly ModeName[] = ["pc", "pc-preemptive", "digest", "kamailio-authdb"];
const MANY_USERS: readonly ModeName[] = ["pc"];

const withoutDirect = (modes: readonly ModeName[]) => modes.filter((mode) => modeOf(mode).peer !== "direct");
const among = (modes: readonly ModeName[], wanted: readonly ModeName[]) =>
  wanted.filter((mode) => modes.includes(mode));

async function askRates(bench: Bench, options: CallsOptions, modes: readonly ModeName[]): Promise<void> {
  const [users] = options.users;
  const { calls } = options;
  for (let round = 0; round < options.rounds; round++) {
    for (const rate of options.rates) {
      for (const mode of modes) {
        const warmup = options.warmup ?? (options.quick ? quickWarmup(mode) : undefined);
        const measured = await bench.measure({ mode, rate, calls, users, rtt: 0, warmup });
        if (measured === undefined) continue;
        bench.result.rates.push(measured);
        await bench.save();
      }
    }
  }
}

async function search(
  bench: Bench,
  options: CallsOptions,
  mode: ModeName,
  rtt: number,
): Promise<void> {
  const { peer } = modeOf(mode);
  const distant = peer === "kamailio" && rtt > 0;
  const start = distant ? START_PART * options.distantChildren * 1000 / rtt : START_RATE;
  let at: Measurement | undefined;
  const found = await findHighest(async (rate) => {
    const calls = Math.ceil(rate * options.trialSeconds);
    const { warmup } = options;
    const measured = await bench.measure({ mode, rate, calls, users: options.users[0], rtt, warmup });
    if (measured?.held) at = measured;
    return measured?.held ?? false;
  }, { start: Math.min(start, START_RATE), cap: options.maxRate, trials: options.trials });
  const children = distant ? options.distantChildren : options.children;
  bench.result.highest.push({ mode, rtt, ...found, at, ...peer === "kamailio" ? { children } : {} });
  await bench.save();
}

async function askDistances(bench: Bench, options: CallsOptions, modes: readonly ModeName[]): Promise<void> {
  const { distanceRate: rate, calls, warmup } = options;
  for (const rtt of options.distances) {
    for (const mode of modes) {
      if (rate === undefined) {
        await search(bench, options, mode, rtt);
        continue;
      }
      const measured = await bench.measure({ mode, rate, calls, users: options.users[0], rtt, warmup });
      if (measured === undefined) continue;
      bench.result.distances.push(measured);
      await bench.save();
    }
  }
}

async function askUsers(bench: Bench, options: CallsOptions, modes: readonly ModeName[]): Promise<void> {
  const rate = Math.max(...options.rates);
  const { calls, warmup } = options;
  for (let round = 0; round < options.rounds; round++) {
    for (const users of options.users) {
      for (const mode of modes) {
        // All are in the cache, though not all can call: what is asked is what a full cache costs.
        const measured = await bench.measure({ mode, rate, calls, users, rtt: 0, warmup, preloaded: true });
        if (measured === undefined) continue;
        bench.result.userNumbers.push(measured);
        await bench.save();
      }
    }
  }
}

async function askNumbers(bench: Bench, options: CallsOptions, modes: readonly ModeName[]): Promise<void> {
  const rate = Math.max(...options.rates);
  for (let round = 0; round < options.rounds; round++) {
    for (const warmup of options.numbers) {
      for (const mode of modes) {
        // The calls in question are those before the window.
        const plan = { mode, rate, calls: WINDOW_S * rate, users: options.users[0], rtt: 0, warmup };
        const measured = await bench.measure(plan);
        if (measured === undefined) continue;
        bench.result.callNumbers.push(measured);
        await bench.save();
      }
    }
  }
}

/**
 * Asks all questions of the options.
 *
 * @param possible modes that can be measured here
 */
export async function ask(bench: Bench, options: CallsOptions, possible: readonly ModeName[]): Promise<void> {
  const { modes: named, asks } = options;
  const modes = named === undefined ? possible : among(possible, named);
  if (asks.rates) await askRates(bench, options, named === undefined ? withoutDirect(modes) : modes);
  if (asks.users) {
    await askUsers(bench, options, withoutDirect(named === undefined ? among(possible, MANY_USERS) : modes));
  }
  if (options.numbers.length > 0) {
    await askNumbers(bench, options, withoutDirect(named === undefined ? among(possible, TELLING) : modes));
  }
  if (asks.max) { for (const mode of modes) await search(bench, options, mode, 0); }
  if (options.distances.length > 0) {
    await askDistances(
      bench,
      options,
      withoutDirect(named === undefined ? among(possible, TELLING) : modes),
    );
  }
}
