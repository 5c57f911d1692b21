/** V8's CPU profiles (`deno run --cpu-prof`): which functions the time was spent in. */

/** What of a .cpuprofile file is used. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  /** Node that each sample fell into. */
  readonly samples: readonly number[];
  /** µs from each sample to the one before. */
  readonly timeDeltas: readonly number[];
}

/** A function's time. */
export interface FunctionTime {
  readonly name: string;
  /** Path and line, or what V8 calls it: `(garbage collector)`. */
  readonly place: string;
  /** Time in itself, and with all that it called, µs. */
  readonly selfUs: number;
  readonly totalUs: number;
}

/** What a profile says. */
export interface ProfileSummary {
  /** From the first to the last sample, µs. */
  readonly lengthUs: number;
  /** Of it, time in which nothing was to be done. */
  readonly idleUs: number;
  /** By time in themselves, most first; without idling. */
  readonly functions: readonly FunctionTime[];
}

const IDLE = "(idle)";
/** A call of the system in which the thread sleeps, waiting for more datagrams: V8 takes it for work. */
const SLEEP = { functionName: "sleep", file: "core/io/batched_libc_io.ts" };

const isIdle = ({ functionName, url }: CpuProfile["nodes"][number]["callFrame"]): boolean =>
  functionName === IDLE || functionName === SLEEP.functionName && url.endsWith(SLEEP.file);

/**
 * Adds up a profile by function.
 *
 * @param shorten makes the URL of a file into what is shown
 * @throws {SyntaxError} when the text is no CPU profile
 * @example
 * ```ts
 * import { summarizeProfile } from "./cpu_profile.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = (functionName: string) => ({ functionName, url: "a.ts", lineNumber: 6 });
 * const text = JSON.stringify({
 *   nodes: [{ id: 1, callFrame: frame("main"), children: [2] }, { id: 2, callFrame: frame("scan") }],
 *   samples: [1, 2, 2],
 *   timeDeltas: [10, 20, 30],
 * });
 * assertEquals(summarizeProfile(text).functions, [
 *   { name: "scan", place: "a.ts:7", selfUs: 50, totalUs: 50 },
 *   { name: "main", place: "a.ts:7", selfUs: 10, totalUs: 60 },
 * ]);
 * ```
 */
export function summarizeProfile(
  text: string,
  shorten: (url: string) => string = (url) => url,
): ProfileSummary {
  const profile = JSON.parse(text) as CpuProfile;
  const { nodes, samples, timeDeltas } = profile;
  if ([nodes, samples, timeDeltas].some((list) => !Array.isArray(list))) {
    throw new SyntaxError("it is no CPU profile: nodes, samples and timeDeltas are missing");
  }
  const own = new Map<number, number>();
  samples.forEach((id, index) => own.set(id, (own.get(id) ?? 0) + Math.max(0, timeDeltas[index] ?? 0)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const called = new Set(nodes.flatMap(({ children }) => children ?? []));
  let idleUs = 0;
  const functions = new Map<string, { name: string; place: string; selfUs: number; totalUs: number }>();

  /** Time of a node with all below it; a function that calls itself is counted once. */
  const visit = (id: number, above: ReadonlySet<string>): number => {
    const node = byId.get(id);
    if (node === undefined) return 0;
    const { functionName, url, lineNumber } = node.callFrame;
    const name = functionName === "" ? "(anonymous)" : functionName;
    const place = url === "" ? "" : `${shorten(url)}:${lineNumber + 1}`;
    const key = `${name} ${place}`;
    let entry = functions.get(key);
    if (entry === undefined) functions.set(key, entry = { name, place, selfUs: 0, totalUs: 0 });
    const spent = own.get(id) ?? 0;
    const self = isIdle(node.callFrame) ? 0 : spent;
    idleUs += spent - self;
    entry.selfUs += self;
    const inside = above.has(key) ? above : new Set(above).add(key);
    const total = self + (node.children ?? []).reduce((sum, child) => sum + visit(child, inside), 0);
    if (!above.has(key)) entry.totalUs += total;
    return total;
  };
  for (const { id } of nodes) if (!called.has(id)) visit(id, new Set());

  const all = [...functions.values()];
  return {
    lengthUs: [...own.values()].reduce((sum, us) => sum + us, 0),
    idleUs,
    functions: all.filter(({ selfUs, totalUs }) => selfUs > 0 || totalUs > 0)
      .sort((a, b) => b.selfUs - a.selfUs || b.totalUs - a.totalUs),
  };
}

/** The functions with most time in themselves, as a table. */
export function formatProfile(
  { lengthUs, idleUs, functions }: ProfileSummary,
  rows: number,
  calls: number,
): string {
  const busy = Math.max(1, lengthUs - idleUs);
  const share = (us: number) => `${(100 * us / busy).toFixed(1)} %`;
  const cells = functions.filter(({ name }) => name !== "(root)").slice(0, rows).map((its) => [
    share(its.selfUs),
    (its.selfUs / Math.max(1, calls)).toFixed(2),
    share(its.totalUs),
    `${its.name}  ${its.place}`.trimEnd(),
  ]);
  const table = [["self", "µs/call", "total", "function"], ...cells];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column].length)));
  const seconds = (us: number) => (us / 1e6).toFixed(2);
  return [
    `${seconds(lengthUs)} s, of which ${seconds(lengthUs - idleUs)} s busy: ${
      (busy / Math.max(1, calls)).toFixed(1)
    } µs per call, start included`,
    "",
    ...table.map((row) =>
      row.map((cell, column) => column < 3 ? cell.padStart(widths[column]) : cell).join("  ")
    ),
  ].join("\n");
}
