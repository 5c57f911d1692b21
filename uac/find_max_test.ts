import { assertAlmostEquals, assertEquals } from "@std/assert";
import { RateSearch, type RateStep, resultLine, stepLine } from "./find_max.ts";

const step = (rate: number, limit: RateStep["limit"]): RateStep => ({
  rate,
  achieved: rate,
  calls: rate,
  failed: 0,
  setupP99: 1,
  lagP99: 1,
  limit,
});

function search(first: number, highest: number, hiccup = -1): RateSearch {
  const search = new RateSearch(first);
  for (let i = 0; search.next !== undefined; i++) {
    const rate = search.next;
    search.took(step(rate, rate > highest || i === hiccup ? "failed calls" : ""));
  }
  return search;
}

Deno.test("find-max comes within 5 % of the highest rate, from below and from above", () => {
  for (const first of [10, 5000]) {
    const { rate, limit } = search(first, 1234).result;
    assertEquals(rate <= 1234 && rate > 1234 / 1.05, true, `${rate}`);
    assertEquals(limit, "failed calls");
  }
});

Deno.test("find-max: one bad moment does not end the search", () => {
  const { result, steps } = search(10, 1000, 2);
  assertEquals(result.rate > 950, true);
  assertEquals(steps.slice(1, 4).map(({ rate }) => rate), [20, 40, 40]);
});

Deno.test("find-max: a remote that never answers ends it, and one without a limit too", () => {
  assertEquals(search(16, 0).result, { rate: 0, limit: "failed calls" });
  const endless = search(10, Infinity).result;
  assertAlmostEquals(endless.rate, 1_000_000);
  assertEquals(
    resultLine(endless),
    "find-max: 1000000.0 calls/s with less than 1 % failed; beyond: not tried",
  );
});

Deno.test("find-max: lines", () => {
  assertEquals(
    stepLine({ ...step(200, "generator"), failed: 3 }),
    "find-max: 200.0 calls/s: 200 calls, 1.50 % failed, set-up p99 1.0 ms, own lag p99 1.0 ms: " +
      "this program was too slow, not the remote",
  );
  assertEquals(
    resultLine({ rate: 0, limit: "generator" }),
    "find-max: no rate was good; beyond: this program was too slow, not the remote",
  );
});
