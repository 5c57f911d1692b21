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
  /** The least memory in each quarter of the run, bytes: what garbage collections leave. */
  readonly floors: readonly number[];
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

const QUARTERS = 4;

/** The value below which a part of them lies, 0 … 1, by nearest rank. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}

/** The middle one. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Looks for what garbage collections leave: between them memory goes up and down by far more than a slow leak. */
export function memoryFigure(samples: readonly MemorySample[]): MemoryFigure {
  const size = samples.length / QUARTERS;
  const floors = Array.from({ length: QUARTERS }, (_, i) => {
    return Math.min(...samples.slice(Math.floor(i * size), Math.ceil((i + 1) * size)).map(({ rss }) => rss));
  });
  return { samples, floors };
}
