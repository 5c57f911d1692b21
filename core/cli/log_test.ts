import { assert, assertEquals } from "@std/assert";
import { formatLogJson, formatLogText, type LogEntry, LogLimiter, logSafe } from "./log.ts";

const entry = (message: string, fields: LogEntry["fields"] = {}): LogEntry => ({
  time: Date.UTC(2026, 10, 25, 13, 0, 0, 7),
  level: "warn",
  event: "link_refused",
  program: "dbclient",
  message,
  fields,
});

Deno.test("both formats: time, level, event, program, message; JSON has the fields too", () => {
  assertEquals(
    formatLogText(entry("proxy p1: timeout", { proxy: "p1" })),
    "2026-11-25T13:00:00.007Z WARN link_refused dbclient: proxy p1: timeout",
  );
  assertEquals(
    formatLogJson(entry("proxy p1: timeout", { proxy: "p1", count: 2, known: true, none: undefined })),
    '{"time":"2026-11-25T13:00:00.007Z","level":"warn","program":"dbclient","event":"link_refused",' +
      '"message":"proxy p1: timeout","proxy":"p1","count":2,"known":true}',
  );
});

/** Names as they might come from the network. */
const HOSTILE = [
  "eve\n2026-11-25T13:00:00.000Z ALERT root dbclient: gone",
  "a\r\nb",
  "\x1b[2J\x1b]0;title\x07",
  "\x9b31m",
  "a\u2028b\u2029c\u0085d",
  "\u202etxt.exe",
  "\u2066x\u2069",
  "\ud800 alone",
  "nul\0",
  '"},{"level":"alert"',
  "\\n",
];

Deno.test("no name ends a line, forges one, or speaks to the terminal, in either format", () => {
  for (const name of HOSTILE) {
    const lines = [
      formatLogText(entry(`user ${name}`)),
      formatLogJson(entry(`user ${name}`, { user: name })),
    ];
    for (const line of lines) {
      assert(
        // deno-lint-ignore no-control-regex
        !/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/u.test(line),
        JSON.stringify(line),
      );
    }
    // What was escaped comes back whole from JSON.
    assertEquals(JSON.parse(lines[1]).user, name);
  }
  assertEquals(logSafe("漢字😀 é\t"), "漢字😀 é\\t");
});

Deno.test("a field cannot take the place of time, level, program, event or message", () => {
  const forged = { time: "never", level: "dbg", program: "x", event: "y", message: "z", own: 1 };
  const { time, level, program, event, message, own } = JSON.parse(formatLogJson(entry("m", forged)));
  assertEquals([time, level, program, event, message, own], [
    "2026-11-25T13:00:00.007Z",
    "warn",
    "dbclient",
    "link_refused",
    "m",
    1,
  ]);
});

Deno.test("a message of a megabyte is cut", () => {
  assert(formatLogText(entry("x".repeat(1 << 20))).length < 5000);
});

Deno.test("of one event 20 are admitted in 10 s, the rest is counted; other events are untouched", () => {
  const limiter = new LogLimiter();
  let admitted = 0;
  for (let i = 0; i < 1000; i++) if (limiter.admit("flood", "warn", i)) admitted++;
  assertEquals([admitted, limiter.admit("other", "err", 999), limiter.due], [20, true, 10_000]);
  assertEquals(limiter.ended(9_999), []);
  assertEquals(limiter.ended(10_000), [{ event: "flood", level: "warn", count: 980 }]);
  assertEquals([limiter.admit("flood", "warn", 10_000), limiter.due], [true, Infinity]);
  assertEquals(limiter.ended(Infinity), []);
});
