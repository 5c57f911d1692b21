/** The counters of several processes as those of one. Without I/O. */
import { type Counters, newCounters, PRESENT_COUNTERS } from "./counters.ts";

type Tree = number | { [name: string]: Tree } | Tree[];

/** Adds number by number, whatever the depth: objects by name, arrays by position. */
function add(a: Tree | undefined, b: Tree): Tree {
  if (typeof b === "number") return (typeof a === "number" ? a : 0) + b;
  if (Array.isArray(b)) return b.map((value, i) => add(Array.isArray(a) ? a[i] : undefined, value));
  const sum: { [name: string]: Tree } = typeof a === "object" && !Array.isArray(a) ? { ...a } : {};
  for (const [name, value] of Object.entries(b)) sum[name] = add(sum[name], value);
  return sum;
}

/**
 * The counters of several processes as one: sums, and the greatest revocation serial.
 *
 * @example
 * ```ts
 * import { newCounters } from "./counters.ts";
 * import { sumCounters } from "./counters_sum.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sumCounters([{ ...newCounters(), queries: 2 }, { ...newCounters(), queries: 3 }]).queries, 5);
 * ```
 */
export function sumCounters(all: readonly Counters[]): Counters {
  const sum = all.reduce<Counters>(
    (sum, counters) => add(sum as unknown as Tree, counters as unknown as Tree) as unknown as Counters,
    newCounters(),
  );
  return { ...sum, revocationSerial: Math.max(0, ...all.map(({ revocationSerial }) => revocationSerial)) };
}

/** What is left of the counters of a process that has ended: nothing of the present. */
export function endedCounters(counters: Counters): Counters {
  return { ...counters, ...Object.fromEntries(PRESENT_COUNTERS.map((name) => [name, 0])) };
}
