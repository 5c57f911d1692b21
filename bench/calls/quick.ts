/** The figures of `--quick`: one flat object of numbers. */
import type { Machine, Measurement } from "./figures.ts";
import type { ModeName } from "./modes.ts";

/** What `--quick --json FILE` writes. */
export interface QuickResult {
  /** calls per s */
  readonly rate: number;
  /** Whether every mode held the rate. */
  readonly held: boolean;
  /**
   * `pcChallengedCpuUsPerCall`, …: CPU time of the proxy (user and system, all threads) in the measured window, by the
   * calls that were completed in it, µs. `…Cold…`: the same from the proxy's start to the window. `…RssMb`: its memory.
   */
  readonly figures: Readonly<Record<string, number>>;
  readonly notes: string;
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
}

const NAMES: Readonly<Partial<Record<ModeName, string>>> = {
  "pc": "pcChallenged",
  "pc-preemptive": "pcPreemptive",
  "digest": "digest",
  "noauth": "noauth",
};

/** How the figures came about. */
export const QUICK_NOTES =
  "CpuUsPerCall: CPU time of the proxy in the measured window, after the warm-up, divided by the calls completed in it. " +
  "ColdCpuUsPerCall: from the proxy's start to the window, by the calls until then: start, compilation, first call of " +
  "each user. Our generator (uac) is at both ends, on the same machine.";

/** Makes them of one measurement per mode. */
export function quickResult(
  rate: number,
  measurements: readonly Measurement[],
  machine: Machine,
): QuickResult {
  const figures: Record<string, number> = {};
  const put = (name: string, value: number | undefined) => {
    if (value !== undefined) figures[name] = value;
  };
  // The main figures first.
  for (const { mode, cpuUsPerCall } of measurements) {
    put(`${NAMES[mode] ?? mode}CpuUsPerCall`, cpuUsPerCall.proxy);
  }
  for (const { mode, coldCpuUsPerCall, cpuUsPerCall, memoryMb, setupMs, calls } of measurements) {
    const name = NAMES[mode] ?? mode;
    put(`${name}ColdCpuUsPerCall`, coldCpuUsPerCall);
    put(`${name}DbclientCpuUsPerCall`, cpuUsPerCall.dbclient);
    put(`${name}RssMb`, memoryMb.proxy?.rss);
    put(`${name}SetupP99Ms`, setupMs?.p99);
    put(`${name}FailedCalls`, calls.failed);
  }
  return {
    rate,
    held: measurements.every(({ held }) => held),
    figures,
    notes: QUICK_NOTES,
    machine,
    measurements,
  };
}
