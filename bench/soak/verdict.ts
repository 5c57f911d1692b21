/** What a soak has shown, and what of it is wrong. */

/** Memory of the proxy at one moment. */
export interface MemorySample {
  /** s since the first call */
  readonly at: number;
  /** Resident memory, MB of 2^20 bytes. */
  readonly rss: number;
  /** That without what V8 has taken for its heap and does not use: it takes and gives back up to 30 MB as it likes. */
  readonly used: number;
}

/** All figures of a run. */
export interface SoakFigures {
  /** calls per s that were wanted */
  readonly rate: number;
  readonly minutes: number;
  readonly calls: { readonly started: number; readonly ok: number; readonly failed: number };
  /** Why calls failed, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  readonly retransmissions: number;
  readonly setupMs: { readonly p50: number; readonly p99: number };
  readonly memory: readonly MemorySample[];
  /** The most transactions that lived at one time, as the proxy's statistics say each second. */
  readonly mostTransactions: number;
  /** What was left when all timers had had their time. */
  readonly transactionsLeft: number;
  /** s from the last call's end until nothing was left. */
  readonly drainSeconds: number;
}

/** Memory is compared when there is this much of it, s: before, the heap has not yet found its size. */
const SETTLED_S = 60;
/** Length of what is compared, s. */
const WINDOW_S = 60;

/** The middle one of some values. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/**
 * How much the memory in use has grown from the minute after the first to the last one, by their medians.
 *
 * @returns % of the former; undefined for a run that is too short to say
 * @example
 * ```ts
 * import { memoryGrowth } from "./verdict.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const samples = Array.from({ length: 300 }, (_, at) => ({
 *   at,
 *   rss: 130,
 *   used: at < 60 ? at : 100 + (at > 240 ? 7 : 0),
 * }));
 * assertEquals(memoryGrowth(samples), 7);
 * assertEquals(memoryGrowth(samples.slice(0, 100)), undefined);
 * ```
 */
export function memoryGrowth(samples: readonly MemorySample[]): number | undefined {
  const end = samples.at(-1)?.at ?? 0;
  if (end < SETTLED_S + 2 * WINDOW_S - 5) return undefined;
  const between = (from: number, to: number) =>
    samples.filter(({ at }) => at >= from && at < to).map(({ used }) => used);
  const first = median(between(SETTLED_S, SETTLED_S + WINDOW_S));
  const last = median(between(end - WINDOW_S, Infinity));
  return Number(((last / first - 1) * 100).toFixed(2));
}

/**
 * What did not hold.
 *
 * @param growth %, the most that memory may grow
 * @returns one line each; none when all is well
 * @example
 * ```ts
 * import { soakProblems } from "./verdict.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const figures = {
 *   rate: 10,
 *   minutes: 1,
 *   calls: { started: 600, ok: 599, failed: 1 },
 *   failures: { timeout: 1 },
 *   retransmissions: 0,
 *   setupMs: { p50: 1, p99: 2 },
 *   memory: [],
 *   mostTransactions: 1280,
 *   transactionsLeft: 0,
 *   drainSeconds: 32,
 * };
 * assertEquals(soakProblems(figures, 8), ["1 of 600 calls failed: timeout 1"]);
 * ```
 */
export function soakProblems(figures: SoakFigures, growth: number): string[] {
  const { calls, failures, memory, transactionsLeft, rate, minutes } = figures;
  const problems: string[] = [];
  const bad = calls.started - calls.ok;
  if (bad > 0) {
    const reasons = Object.entries(failures).map(([name, count]) => `${name} ${count}`).join(", ");
    problems.push(`${bad} of ${calls.started} calls failed: ${reasons || "left open"}`);
  }
  const wanted = Math.round(rate * minutes * 60);
  if (calls.started < wanted) problems.push(`only ${calls.started} of ${wanted} calls were placed`);
  const grown = memoryGrowth(memory);
  if (grown !== undefined && grown > growth) {
    problems.push(`the proxy's memory grew by ${grown} % after the first minute, more than ${growth} %`);
  }
  if (transactionsLeft > 0) problems.push(`${transactionsLeft} transactions were left`);
  return problems;
}
