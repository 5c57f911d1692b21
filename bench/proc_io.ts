/** Reads /proc. By `cat`, since Deno itself reads it only with every permission there is. */
import { type Memory, parseBusy, parseMemory, parseStat, parseUdpPorts, processTree } from "./proc.ts";

/** CPU time at one moment. */
export interface CpuSnapshot {
  /** When, ms since 1970. */
  readonly at: number;
  /** By the names given: the time of the processes and their descendants, µs. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** Time that all cores have worked, for whomever, µs. */
  readonly busyUs: number;
}

async function shell(script: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

async function readAll() {
  const text = await shell("cat /proc/stat /proc/[0-9]*/stat");
  const processes = text.split("\n").map(parseStat).filter((found) => found !== undefined);
  return { text, processes };
}

/** Whether there is a /proc to measure by. */
export const measurable: boolean = Deno.build.os === "linux";

/** The CPU time of programs by name, each with all that descends from its processes. */
export async function readCpu(programs: Readonly<Record<string, readonly number[]>>): Promise<CpuSnapshot> {
  const before = Date.now();
  const { text, processes } = await readAll();
  const at = (before + Date.now()) / 2;
  const cpuUs: Record<string, number> = {};
  for (const [name, roots] of Object.entries(programs)) {
    cpuUs[name] = processTree(processes, roots).reduce((sum, its) => sum + its.cpuUs, 0);
  }
  return { at, cpuUs, busyUs: parseBusy(text) ?? 0 };
}

/** The CPU time of a process with its descendants, µs; undefined when it is not there, or there is no /proc. */
export async function cpuTime(pid: number): Promise<number | undefined> {
  if (!measurable) return undefined;
  const tree = processTree((await readAll()).processes, [pid]);
  return tree.some((its) => its.pid === pid) ? tree.reduce((sum, { cpuUs }) => sum + cpuUs, 0) : undefined;
}

/** The processes that descend from `pid`, without itself. */
export async function descendants(pid: number): Promise<number[]> {
  if (!measurable) return [];
  return processTree((await readAll()).processes, [pid]).map((its) => its.pid).filter((its) => its !== pid);
}

/** The memory of a program with its descendants. */
export async function readMemory(pid: number): Promise<Memory> {
  const pids = [pid, ...await descendants(pid)];
  return parseMemory(await shell(`cat ${pids.map((its) => `/proc/${its}/smaps_rollup`).join(" ")}`));
}

/** Whether some process listens on a UDP port. */
export async function udpPortInUse(port: number): Promise<boolean> {
  return parseUdpPorts(await shell("cat /proc/net/udp /proc/net/udp6")).includes(port);
}

/** How long the machine is watched at a time, ms, and the cores that count as none. */
const WATCH_MS = 1500;
const IDLE_CORES = 0.25;

/** Waits until nearly nothing else runs on the machine, at most `ms`. */
export async function waitForIdle(ms: number): Promise<void> {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    const before = await readCpu({ everything: [Deno.pid] });
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
    const after = await readCpu({ everything: [Deno.pid] });
    const others = after.busyUs - before.busyUs - (after.cpuUs.everything - before.cpuUs.everything);
    if (others / 1000 / (after.at - before.at) < IDLE_CORES) return;
  }
}
