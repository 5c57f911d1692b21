import { assertEquals } from "@std/assert";
import { type CallerReport, makeFigures } from "./figures.ts";
import { readOptions } from "./options.ts";
import { describeLoad, formatFailures, formatTable, summarize, wrap } from "./table.ts";

/** The callers' report of a run in which so many calls succeeded. */
function report(ok: number, failures: Record<string, number> = {}): CallerReport {
  return {
    calls: { ok },
    failures,
    rate: { achieved: 499.6 },
    setupMs: { mean: 3, p50: 2.345, p95: 25.25, p99: 125.5, max: 130 },
    messages: { perCall: 7.4, retransmissionsSent: 0 },
    auth: { challenges: 1000, serverAuthenticated: "yes" },
  };
}

const pc = makeFigures(
  10_000,
  report(10_000),
  { usersAsked: 2000, verifyAnswers: 0, queries: 1020 },
  5_000_000,
);
const digest = makeFigures(
  10_000,
  { ...report(10_000), auth: { challenges: 10_000, serverAuthenticated: "no" } },
  { usersAsked: 0, verifyAnswers: 10_000, queries: 10_000 },
  undefined,
);

Deno.test("demo figures: per call, from what the programs report", () => {
  assertEquals([pc.ok, pc.failed, pc.dbQueriesPerCall, pc.batchedQueriesPerCall], [10_000, 0, 0.2, 0.102]);
  assertEquals([pc.proxyCpuUsPerCall, pc.challengesPerCall, pc.serverAuthenticated], [500, 0.1, true]);
  assertEquals([digest.dbQueriesPerCall, digest.proxyCpuUsPerCall], [1, null]);
});

Deno.test("demo figures: calls that were never placed have failed", () => {
  const figures = makeFigures(100, report(97, { "503 to INVITE": 1 }), {
    usersAsked: 0,
    verifyAnswers: 97,
    queries: 97,
  }, 1);
  assertEquals([figures.ok, figures.failed], [97, 3]);
});

Deno.test("demo table: a column per mode", () => {
  assertEquals(
    formatTable({ modes: { digest, pc } }),
    `                                                            Digest                Proxychain
calls ok / failed                                       10,000 / 0                10,000 / 0
calls per second                                               500                       500
call set-up latency p50 / p95 / p99, ms          2.35 / 25.3 / 126         2.35 / 25.3 / 126
proxy CPU per call, µs                                not measured                       500
database questions per call                                  1.000                     0.200
  as batched queries                                         1.000                     0.102
messages per call                                             7.40                      7.40
server authenticated                                            no                       yes`,
  );
});

Deno.test("demo sentence: what was shown", () => {
  assertEquals(
    summarize({ modes: { digest, pc } }),
    "Proxychain took 0.20 database questions per call where Digest took 1.00 and proved the server to every caller; " +
      "all 20,000 calls succeeded.",
  );
  assertEquals(
    summarize({ modes: { digest } }),
    "Digest took 1.00 database questions per call; all 10,000 calls succeeded.",
  );
  const failed = makeFigures(
    10_000,
    report(9_990, { "503 to INVITE": 2, "no answer to INVITE": 8 }),
    { usersAsked: 0, verifyAnswers: 0, queries: 0 },
    1,
  );
  const figures = { modes: { digest, pc: failed } };
  assertEquals(summarize(figures), "10 of 20,000 calls failed, so nothing was shown.");
  assertEquals(formatFailures(figures), [
    "Proxychain: 10 failed: 8 × no answer to INVITE, 2 × 503 to INVITE",
  ]);
  assertEquals(formatFailures({ modes: { digest, pc } }), []);
});

Deno.test("demo load: the line at the top", () => {
  const line = (...args: string[]) => describeLoad(readOptions(args)!);
  assertEquals(line(), "5,000 calls of 1,000 users at 500 per second, chain length 10 (SHA-1)");
  assertEquals(
    line("--users", "1", "--rtt", "20", "--bye", "--no-preemptive", "--chain=100", "--algorithm", "MD5"),
    "5,000 calls of 1 user at 500 per second, chain length 100 (MD5), database 20 ms away, INVITE and BYE, " +
      "not pre-emptive",
  );
});

Deno.test("demo texts are broken at 100 columns", () => {
  const text = "word ".repeat(50).trimEnd();
  const lines = wrap(text).split("\n");
  assertEquals(lines.join(" "), text);
  assertEquals(lines.map(({ length }) => length), [99, 99, 49]);
  assertEquals(wrap("short"), "short");
});
