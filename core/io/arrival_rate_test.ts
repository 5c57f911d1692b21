import { assertAlmostEquals, assertEquals } from "@std/assert";
import { ArrivalRate } from "./arrival_rate.ts";

Deno.test("the rate is that of the last window; a few datagrams after a silence are no rate", () => {
  const rate = new ArrivalRate(0);
  assertEquals(rate.perMs, 0);
  for (let now = 1; now <= 64; now++) rate.note(20, now);
  assertAlmostEquals(rate.perMs, 20, 0.01);
  rate.note(1, 10_000);
  assertAlmostEquals(rate.perMs, 0, 0.01);
  for (let i = 1; i <= 8; i++) rate.note(1, 10_000 + i / 2);
  assertAlmostEquals(rate.perMs, 0, 0.01);
});
