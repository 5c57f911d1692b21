/** What Linux says about processes in /proc (proc(5)), as text in and figures out. */

/** Fields of /proc/PID/stat after the command in parentheses, from 0. */
const PPID = 1;
/** User and system time of all threads, and that of children that were waited for. */
const TIMES = [11, 12, 13, 14];
/** Length of a clock tick of /proc, µs: USER_HZ is 100 on every Linux that Deno runs on. */
const TICK_US = 10_000;
/** The numbers of the cpu line of /proc/stat in which a core works: user, nice, system, irq, softirq. */
const BUSY = [1, 2, 3, 6, 7];

/** One process. */
export interface ProcessTime {
  readonly pid: number;
  readonly parent: number;
  /** User and system time of all its threads, and of its children that have ended, µs. */
  readonly cpuUs: number;
}

/** Resident memory of processes, bytes: pages that several share count in each, or in parts that add up to one. */
export interface Memory {
  readonly rss: number;
  readonly pss: number;
}

/**
 * Reads /proc/PID/stat.
 *
 * @returns undefined for a line that is none
 * @example
 * ```ts
 * import { parseStat } from "./proc.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const line = "7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 150 50 3 2 20 0 1 0 99";
 * assertEquals(parseStat(line), { pid: 7, parent: 1, cpuUs: 2_050_000 });
 * ```
 */
export function parseStat(line: string): ProcessTime | undefined {
  const pid = parseInt(line, 10);
  // The command may hold spaces and parentheses, so fields are counted from the last one.
  const close = line.lastIndexOf(")");
  if (close < 0) return undefined;
  const fields = line.slice(close + 2).split(" ");
  const ticks = TIMES.reduce((sum, field) => sum + Number(fields[field]), 0);
  const parent = Number(fields[PPID]);
  if (!Number.isInteger(pid) || !Number.isInteger(parent) || !Number.isFinite(ticks)) return undefined;
  return { pid, parent, cpuUs: ticks * TICK_US };
}

/** The processes of `roots` and all that descend from them. */
export function processTree(processes: readonly ProcessTime[], roots: readonly number[]): ProcessTime[] {
  const wanted = new Set(roots);
  for (let found = true; found;) {
    found = false;
    for (const { pid, parent } of processes) {
      if (!wanted.has(parent) || wanted.has(pid)) continue;
      wanted.add(pid);
      found = true;
    }
  }
  return processes.filter(({ pid }) => wanted.has(pid));
}

/** Time that all cores together have worked since the machine started, µs: from the first line of /proc/stat. */
export function parseBusy(text: string): number | undefined {
  const line = /^cpu .*$/m.exec(text)?.[0].trim().split(/\s+/);
  if (line === undefined) return undefined;
  return BUSY.reduce((sum, field) => sum + Number(line[field] ?? 0), 0) * TICK_US;
}

/** Adds up the text of several /proc/PID/smaps_rollup files. */
export function parseMemory(text: string): Memory {
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}:\\s+(\\d+) kB`, "gm"))].reduce(
      (all, [, kB]) => all + Number(kB),
      0,
    );
  return { rss: sum("Rss") * 1024, pss: sum("Pss") * 1024 };
}

/** The local ports of /proc/net/udp or udp6. */
export function parseUdpPorts(text: string): number[] {
  return [...text.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm)].map(([, port]) => parseInt(port, 16));
}
