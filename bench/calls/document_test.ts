import { assertEquals, assertStringIncludes } from "@std/assert";
import { writeDocuments } from "./document.ts";
import { groupRounds, type Measurement, mergeResults, type Result } from "./figures.ts";
import { costTable, formatMarkdown, formatSpread, formatText } from "./table.ts";

const measurement = (
  mode: Measurement["mode"],
  rate: number,
  proxy: number,
  more: Partial<Measurement> = {},
) => ({
  mode,
  rate,
  achieved: rate,
  held: true,
  users: 10_000,
  rtt: 0,
  window: { seconds: 10, calls: 10 * rate, warmup: 3 * rate },
  cpuUsPerCall: { proxy, caller: 100 },
  coldCpuUsPerCall: undefined,
  memoryMb: { proxy: { rss: 120, pss: 80 } },
  idleMemoryMb: { rss: 60, pss: 30 },
  calls: { started: 100, ok: 99, failed: 1 },
  failures: {},
  retransmissions: 2,
  foreignCores: 0.1,
  caller: "sipp" as const,
  called: "sipp" as const,
  ...more,
});

const result = (more: Partial<Result>): Result => ({
  date: "2026-01-31",
  command: "deno task bench:calls",
  machine: { cpu: "a processor", cores: 2, memoryGb: 8, system: "Linux 6", versions: { Deno: "2.9.6" } },
  left: [],
  rates: [],
  distances: [],
  userNumbers: [],
  callNumbers: [],
  highest: [],
  ...more,
});

Deno.test("rounds are put together: median and spread, sums of failures", () => {
  const rounds = [90, 120, 100].map((us) => measurement("pc", 2000, us));
  const other = measurement("kamailio-htable", 2000, 180);
  assertEquals(groupRounds([...rounds, other]).map((group) => group.rounds.length), [3, 1]);
  const [head, pc, kamailio] = costTable([other, ...rounds]);
  assertEquals(pc[head.indexOf("proxy µs/call")], "100 (90–120)");
  assertEquals(pc[head.indexOf("failed")], "3 of 300");
  assertEquals(kamailio[head.indexOf("proxy µs/call")], "180");
  const lost = costTable([measurement("pc", 2000, 90, { held: false })]);
  assertStringIncludes(lost[1][0], "(rate not held)");
  assertEquals(formatSpread(undefined), "–");
});

Deno.test("tables: columns without a value are left out of the terminal's", () => {
  const text = formatText(costTable([measurement("pc", 2000, 90)]));
  assertEquals(text.includes("issued"), false);
  assertEquals(new Set(text.split("\n").map((line) => line.length)).size, 1);
  assertEquals(formatMarkdown([["a", "bcde"], ["x", "1"]]), "| a   | bcde |\n| --- | ---- |\n| x   | 1    |");
});

Deno.test("the document has a part for each question that was asked, and its charts", () => {
  const highest = (mode: Measurement["mode"], rtt: number, rate: number) =>
    ({ mode, rtt, rate, failedAt: 2 * rate, trials: 8 }) as const;
  const merged = mergeResults([
    result({ rates: [measurement("pc", 2000, 90), measurement("kamailio-noauth", 2000, 140)] }),
    result({
      command: "deno task bench:calls --max",
      highest: [highest("pc", 0, 4000), highest("pc", 100, 4000), highest("kamailio-authdb", 100, 80)],
      userNumbers: [measurement("pc", 2000, 90), measurement("pc", 2000, 99, { users: 1_000_000 })],
      callNumbers: [1000, 100_000].map((warmup) =>
        measurement("pc", 2000, 90, {
          window: { seconds: 1, calls: 2000, warmup },
          coldCpuUsPerCall: 90 + 1e6 / warmup,
          coldIssuedPerCall: 0.1,
        })
      ),
      left: [{ what: "kamailio-forward", reason: "kamailio is not installed" }],
    }),
  ]);
  const files = writeDocuments(merged);
  assertEquals(Object.keys(files).sort(), [
    "PERFORMANCE.md",
    "performance/calls.svg",
    "performance/cost.svg",
    "performance/distance.svg",
    "performance/highest.svg",
    "performance/users.svg",
  ]);
  const text = files["PERFORMANCE.md"];
  for (
    const part of ["a processor, 2 cores", "--max", "kamailio-forward: kamailio is not", "1,000,000", "4,000"]
  ) {
    assertStringIncludes(text, part);
  }
  assertEquals(Object.keys(writeDocuments(result({}))), ["PERFORMANCE.md"]);
});

Deno.test("later highest rates take the place of former ones", () => {
  const found = (rate: number) => ({ mode: "pc", rtt: 0, rate, failedAt: undefined, trials: 3 }) as const;
  assertEquals(mergeResults([result({ highest: [found(1)] }), result({ highest: [found(2)] })]).highest, [
    found(2),
  ]);
});
