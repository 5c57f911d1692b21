import { assertEquals } from "@std/assert";
import { observe } from "../mod.ts";
import { BATCH_BOUNDS, type Counters, newCounters, QUERY_BOUNDS } from "./counters.ts";
import { endedCounters, sumCounters } from "./counters_sum.ts";

/** Counters in which every number differs from zero and from the next. */
function filled(start: number): Counters {
  const counters = newCounters();
  let next = start;
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number") (counters as unknown as Record<string, number>)[name] = next++;
  }
  counters.refused.timeout = start;
  observe(counters.querySeconds, QUERY_BOUNDS, 0.0003);
  observe(counters.batchUsers, BATCH_BOUNDS, start);
  return counters;
}

Deno.test("counters of processes add up, refusals and observations too; of revocation serials the last one counts", () => {
  const [a, b] = [filled(100), filled(1000)];
  b.refused.connections = 1;
  // As they come from another process.
  const sum = sumCounters([a, JSON.parse(JSON.stringify(b))]);
  for (const [name, value] of Object.entries(a)) {
    if (typeof value !== "number" || name === "revocationSerial") continue;
    const key = name as "issueFrames";
    assertEquals(sum[key], a[key] + b[key], name);
  }
  assertEquals(sum.revocationSerial, b.revocationSerial);
  assertEquals(sum.refused, { ...newCounters().refused, timeout: 1100, connections: 1 });
  assertEquals(sum.querySeconds.counts.slice(0, 3), [0, 2, 0]);
  assertEquals([sum.batchUsers.counts[6], sum.batchUsers.counts[9], sum.batchUsers.sum], [1, 1, 1100]);
  assertEquals(sumCounters([]), newCounters());
  // What was added up is not changed.
  assertEquals(a, filled(100));
});

Deno.test("of a process that has ended nothing is left of the present", () => {
  assertEquals(endedCounters(filled(5)), { ...filled(5), connected: 0 });
});
