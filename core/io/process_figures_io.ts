/** What the system says about this process. */
import process from "node:process";
import type { ProcessFigures } from "../metrics/process_families.ts";

const START_TIME = (Date.now() - performance.now()) / 1000;

/** Reads it; needs no permission. */
export function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: Deno.memoryUsage().rss,
    startTime: START_TIME,
  };
}
