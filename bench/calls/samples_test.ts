import { assertEquals } from "@std/assert";
import { countAt, parseProgress, parseSippStatistics } from "./samples.ts";

const NAMES =
  "StartTime;LastResetTime;CurrentTime;ElapsedTime(P);ElapsedTime(C);TargetRate;CallRate(P);CallRate(C);" +
  "IncomingCall(P);IncomingCall(C);OutgoingCall(P);OutgoingCall(C);TotalCallCreated;CurrentCall;SuccessfulCall(P);" +
  "SuccessfulCall(C);FailedCall(P);FailedCall(C);FailedCannotSendMessage(P);FailedCannotSendMessage(C);" +
  "FailedUnexpectedMessage(P);FailedUnexpectedMessage(C);Retransmissions(P);Retransmissions(C);";
const line = (second: string, created: number, ok: number, failed: number, again: number) =>
  [
    "2026-01-31\t10:00:00.000000\t1769853600.000000;2026-01-31\t10:00:00.000000\t1769853600.000000",
    `2026-01-31\t10:00:0${second}\t176985360${second};00:00:01:000000;00:00:01:000000;500;500.0;500.0`,
    `0;0;500;${created};${created};${
      created - ok - failed
    };500;${ok};0;${failed};0;0;0;${failed};0;${again};`,
  ].join(";");

Deno.test("SIPp's statistics file: counts by second, failures by reason", () => {
  const text = [NAMES, line("1.000000", 500, 470, 0, 0), line("2.500000", 1000, 960, 3, 7), ""].join("\n");
  assertEquals(parseSippStatistics(text), {
    samples: [
      { at: 1769853601000, started: 500, ok: 470, failed: 0, retransmissions: 0 },
      { at: 1769853602500, started: 1000, ok: 960, failed: 3, retransmissions: 7 },
    ],
    failures: { UnexpectedMessage: 3 },
  });
});

Deno.test("SIPp's statistics file: empty, names alone, a line that is not whole", () => {
  for (
    const text of ["", NAMES, NAMES + "\n", NAMES + "\n" + line("1.000000", 500, 470, 0, 0).slice(0, 150)]
  ) {
    assertEquals(parseSippStatistics(text), { samples: [], failures: {} });
  }
});

Deno.test("a progress line of uac with large numbers; other lines are none", () => {
  const text = "uac: 12 s: 1,234,567 calls (2,000/s), 65 open, 1,234,400 ok, 102 failed";
  assertEquals(parseProgress(text, 5), { at: 5, started: 1_234_567, ok: 1_234_400, failed: 102 });
  assertEquals(parseProgress("uac: hash-wasm is missing", 5), undefined);
});

Deno.test("counts between samples lie on a line, and stay before and after", () => {
  const samples = [
    { at: 100, started: 2, ok: 0, failed: 0 },
    { at: 200, started: 12, ok: 10, failed: 0 },
    { at: 400, started: 32, ok: 20, failed: 10 },
  ];
  assertEquals([0, 100, 150, 200, 300, 400, 900].map((at) => countAt(samples, at, "ok")), [
    0,
    0,
    5,
    10,
    15,
    20,
    20,
  ]);
  assertEquals(countAt(samples, 300, "failed"), 5);
  assertEquals(countAt([], 300, "ok"), 0);
});
