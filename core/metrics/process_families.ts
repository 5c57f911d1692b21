/** Metrics of the process and of the build, the same for every program. */
import { type FamilyOf, labelledFamily, singleFamily } from "./families.ts";

/** What the system says about a process. */
export interface ProcessFigures {
  /** User and system time, seconds. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Seconds since 1970. */
  readonly startTime: number;
}

/** What the build is, and what it runs on. */
export interface BuildInfo {
  readonly version: string;
  readonly deno: string;
  /** Name of the hash backend. */
  readonly hash: string;
}

/** Families under the names that Prometheus's own client libraries use. */
export const PROCESS_FAMILIES: readonly FamilyOf<{ readonly usage: ProcessFigures }>[] = [
  singleFamily(
    "counter",
    "process_cpu_seconds_total",
    "User and system CPU time that the answering process has used.",
    ({ usage }) => usage.cpuSeconds,
  ),
  singleFamily(
    "gauge",
    "process_resident_memory_bytes",
    "Memory that the answering process has resident.",
    ({ usage }) => usage.residentBytes,
  ),
  singleFamily(
    "gauge",
    "process_start_time_seconds",
    "Start of the process, in seconds since 1970.",
    ({ usage }) => usage.startTime,
  ),
];

/** What runs, as labels of a 1. @param name such as `dbclient_build_info` */
export function buildFamily(name: string): FamilyOf<{ readonly build: BuildInfo }> {
  return labelledFamily(
    "gauge",
    name,
    "1; its labels say what runs.",
    ({ build: { version, deno, hash } }) => [{ labels: { version, deno, hash }, value: 1 }],
  );
}
