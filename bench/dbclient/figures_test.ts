import { assertEquals } from "@std/assert";
import { median, memoryFigure, quantile } from "./figures.ts";
import { resultTables } from "./table.ts";

Deno.test("quantiles by nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1), quantile(values, 0)], [
    50,
    99,
    100,
    1,
  ]);
  assertEquals([median([3, 1, 2]), median([7])], [2, 7]);
});

Deno.test("the floors are those of the quarters", () => {
  const rss = [5, 9, 7, 10, 8, 12, 9, 30];
  assertEquals(memoryFigure(rss.map((value, i) => ({ credentials: i, rss: value }))).floors, [5, 7, 8, 9]);
});

Deno.test("a table says whether the figure is reached", () => {
  const [table] = resultTables({
    rates: [{
      database: "SQLite",
      batch: 100,
      perCpuSecond: [99_000, 120_000, 101_000],
      perSecond: [1, 2, 3],
    }],
    latencies: [
      { database: "SQLite", proxies: 0, requests: 10, p50: 0.1, p99: 0.2, max: 1 },
      { database: "SQLite", proxies: 200, requests: 10, p50: 0.1, p99: 0.4, max: 1 },
    ],
  });
  assertEquals(table[1], [
    "credentials per CPU second, SQLite, batches of 100",
    "101,000 (99,000–120,000)",
    "≥ 100,000",
    "yes",
  ]);
  assertEquals(table.at(-1), ["p99 with 200 proxies beside without, SQLite", "2.00", "≤ 1.5", "no"]);
});
