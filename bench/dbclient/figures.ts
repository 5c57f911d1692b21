/** What the benchmark of DBclient measures, and what is worked out from it. */
import type { Machine } from "../calls/figures.ts";

/** Credentials per CPU second. */
export interface RateFigure {
  readonly database: "SQLite" | "MariaDB";
  /** Users of an ISSUE frame. */
  readonly batch: number;
  /** Of each round. */
  readonly perCpuSecond: readonly number[];
  /** Credentials per second of the clock, of each round: the load generator shares the machine. */
  readonly perSecond: readonly number[];
}

/** Times of single requests, ms. */
export interface LatencyFigure {
  readonly database: "SQLite" | "MariaDB";
  /** Proxies that were connected besides the one that asked. */
  readonly proxies: number;
  readonly requests: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Resident memory at a moment. */
export interface MemorySample {
  /** Credentials issued so far. */
  readonly credentials: number;
  readonly rss: number;
}

/** Memory over a long run. */
export interface MemoryFigure {
  readonly samples: readonly MemorySample[];
  /** Of the straight line through the samples of the second half, bytes per credential. */
  readonly slope: number;
}

/** Warm-up files, seconds of the clock. */
export interface WarmupFigure {
  readonly users: number;
  /** From the start of `dbclient warmup` to its end, start of the program included. */
  readonly write: readonly number[];
  /** From the file to the proxy's cache, without the start of the program. */
  readonly load: readonly number[];
}

/** Everything that `--json` writes. */
export interface Result {
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
  readonly rates: readonly RateFigure[];
  readonly latencies: readonly LatencyFigure[];
  readonly memory?: MemoryFigure;
  readonly warmup?: WarmupFigure;
  /** What was left out, and why. */
  readonly left: readonly string[];
}

/** The value below which a part of them lies, 0 … 1, by nearest rank. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}

/** The middle one. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * The slope of the straight line that is nearest to points (least squares).
 *
 * @example
 * ```ts
 * import { slopeOf } from "./figures.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(slopeOf([[0, 1], [1, 3], [2, 5]]), 2);
 * ```
 */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  let above = 0;
  let below = 0;
  for (const point of points) {
    above += (point[0] - x) * (point[1] - y);
    below += (point[0] - x) ** 2;
  }
  return above / below;
}

/** Memory of the second half: the first is the heap's way to its size. */
export function memoryFigure(samples: readonly MemorySample[]): MemoryFigure {
  const half = samples.slice(Math.floor(samples.length / 2));
  return { samples, slope: slopeOf(half.map(({ credentials, rss }) => [credentials, rss])) };
}
