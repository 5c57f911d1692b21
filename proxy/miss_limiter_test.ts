import { assertEquals } from "@std/assert";
import { MissLimiter } from "./miss_limiter.ts";

/** How many of `count` misses at one moment pass. */
function pass(limiter: MissLimiter, source: string, count: number, now: number): number {
  let passed = 0;
  for (let i = 0; i < count; i++) if (limiter.take(source, now)) passed++;
  return passed;
}

Deno.test("miss limiter: a source has one second's worth, and gets it back in a second", () => {
  const limiter = new MissLimiter({ perSource: 10, total: 1000 });
  assertEquals(pass(limiter, "a", 100, 5), 10);
  assertEquals(pass(limiter, "b", 100, 5), 10);
  assertEquals(pass(limiter, "a", 100, 505), 5);
  assertEquals(pass(limiter, "a", 100, 1505), 10);
  assertEquals(pass(limiter, "a", 100, 1_000_000), 10);
});

Deno.test("miss limiter: the total holds for all sources together", () => {
  const limiter = new MissLimiter({ perSource: 10, total: 25 });
  let passed = 0;
  for (let i = 0; i < 100; i++) passed += pass(limiter, `source ${i}`, 10, 0);
  assertEquals(passed, 25);
  assertEquals(pass(limiter, "source 200", 100, 1000), 10);
});

Deno.test("miss limiter: what the total refuses is not charged to the source", () => {
  const limiter = new MissLimiter({ perSource: 2, total: 2 });
  assertEquals(pass(limiter, "flood", 100, 0), 2);
  assertEquals(pass(limiter, "phone", 100, 0), 0);
  assertEquals(pass(limiter, "phone", 100, 1000), 2);
});

Deno.test("miss limiter: the slowest rate, one per second", () => {
  const limiter = new MissLimiter({ perSource: 1, total: 1 });
  assertEquals([0, 500, 999, 1000, 1500, 2000].map((now) => limiter.take("a", now)), [
    true,
    false,
    false,
    true,
    false,
    true,
  ]);
});

Deno.test("miss limiter: more sources than are remembered do not get past the total", () => {
  const limiter = new MissLimiter({ perSource: 1, total: 50 });
  let passed = 0;
  for (let i = 0; i < 70_000; i++) if (limiter.take(`${i}`, 0)) passed++;
  for (let i = 0; i < 70_000; i++) if (limiter.take(`${i}`, 0)) passed++;
  assertEquals(passed, 50);
});
