import { assertEquals } from "@std/assert";
import { observe } from "../mod.ts";
import { type Counters, countRefusal, mergeCounters, newCounters } from "./counters.ts";

/** Counters in which every number differs from zero and from the next. */
function filled(start: number): Counters {
  const counters = newCounters();
  let next = start;
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number") (counters as unknown as Record<string, number>)[name] = next++;
  }
  countRefusal(counters, "timeout", start);
  observe(counters.querySeconds, 0.0003);
  observe(counters.batchUsers, start);
  return counters;
}

Deno.test("counters of processes add up, refusals and histograms too; of revocation serials the last one counts", () => {
  const [a, b] = [filled(100), filled(1000)];
  countRefusal(b, "busy");
  // As they come from another process.
  const merged = mergeCounters([a, JSON.parse(JSON.stringify(b))]);
  for (const [name, value] of Object.entries(a)) {
    if (typeof value !== "number" || name === "revocationSerial") continue;
    const key = name as "issueFrames";
    assertEquals(merged[key], a[key] + b[key], name);
  }
  assertEquals(merged.revocationSerial, b.revocationSerial);
  assertEquals(merged.refusals, { timeout: 1100, busy: 1 });
  assertEquals(merged.querySeconds.counts.slice(0, 3), [0, 2, 0]);
  assertEquals([merged.batchUsers.counts[6], merged.batchUsers.counts[9], merged.batchUsers.sum], [
    1,
    1,
    1100,
  ]);
  assertEquals(mergeCounters([]), newCounters());
  // What was merged is not changed.
  assertEquals([a, b.refusals.busy], [filled(100), 1]);
});
