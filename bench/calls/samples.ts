/** How far a load generator has come, at moments: from our generator's progress lines, or SIPp's statistics file. */

/** Counts since the start of a load generator. */
export interface Sample {
  /** ms since 1970 */
  readonly at: number;
  readonly started: number;
  readonly ok: number;
  readonly failed: number;
  /** SIPp alone says so while it runs. */
  readonly retransmissions?: number;
}

/** Which calls a count is of. */
export type Counted = "started" | "ok" | "failed";

const PROGRESS = /(?:^|\s)([\d,]+) calls \(.*?\), [\d,]+ open, ([\d,]+) ok, ([\d,]+) failed/;
const number = (text: string) => Number(text.replaceAll(",", ""));

/**
 * Reads a progress line of our generator.
 *
 * @param at when it came, ms since 1970
 * @returns undefined for any other line
 * @example
 * ```ts
 * import { parseProgress } from "./samples.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const line = "uac: 3 s: 1,500 calls (500/s), 17 open, 1,481 ok, 2 failed, set-up p99 3.2 ms";
 * assertEquals(parseProgress(line, 7), { at: 7, started: 1500, ok: 1481, failed: 2 });
 * ```
 */
export function parseProgress(line: string, at: number): Sample | undefined {
  const match = PROGRESS.exec(line);
  if (match === null) return undefined;
  const [started, ok, failed] = match.slice(1).map(number);
  return { at, started, ok, failed };
}

/** What SIPp's statistics file says. */
export interface SippStatistics {
  readonly samples: readonly Sample[];
  /** Calls that failed, by SIPp's names of reasons. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Columns of failures by reason: `FailedUnexpectedMessage(C)`. */
const REASON = /^Failed(?!Call)(\w+)\(C\)$/;

/**
 * Reads SIPp's statistics file (`-trace_stat`): names in its first line, a line each period, cumulative columns with (C).
 * A last line that is not written to its end is left out.
 */
export function parseSippStatistics(text: string): SippStatistics {
  const [names = "", ...lines] = text.split("\n").slice(0, -1);
  const columns = new Map(names.split(";").map((name, index) => [name.trim(), index]));
  const samples: Sample[] = [];
  let failures: Record<string, number> = {};
  for (const line of lines) {
    const fields = line.split(";");
    const value = (name: string) => Number(fields[columns.get(name) ?? -1] ?? NaN);
    // 2026-01-31<tab>23:59:59.000000<tab>1769903999.000000
    const at = Number((fields[columns.get("CurrentTime") ?? -1] ?? "").split("\t").at(-1)) * 1000;
    const ok = value("SuccessfulCall(C)");
    if (!Number.isFinite(at) || !Number.isFinite(ok)) continue;
    samples.push({
      at,
      started: value("TotalCallCreated"),
      ok,
      failed: value("FailedCall(C)"),
      retransmissions: value("Retransmissions(C)"),
    });
    failures = {};
    for (const [name, index] of columns) {
      const reason = REASON.exec(name)?.[1];
      const calls = Number(fields[index]);
      if (reason !== undefined && calls > 0) failures[reason] = calls;
    }
  }
  return { samples, failures };
}

/**
 * A count at a moment between two samples, by straight line; before the first and after the last it stays.
 *
 * @example
 * ```ts
 * import { countAt } from "./samples.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const samples = [{ at: 1000, started: 10, ok: 8, failed: 0 }, { at: 2000, started: 30, ok: 28, failed: 0 }];
 * assertEquals(countAt(samples, 1500, "ok"), 18);
 * ```
 */
export function countAt(samples: readonly Sample[], at: number, counted: Counted): number {
  const next = samples.findIndex((sample) => sample.at > at);
  if (next < 0) return samples.at(-1)?.[counted] ?? 0;
  const after = samples[next];
  if (next === 0) return after[counted];
  const before = samples[next - 1];
  return before[counted] + (after[counted] - before[counted]) * (at - before.at) / (after.at - before.at);
}
