import { assertEquals } from "@std/assert";
import { openLog } from "./log_io.ts";

function opened(level: "warn" | "dbg", format: "text" | "json" = "json") {
  const lines: string[] = [];
  let time = 0;
  const open = openLog({
    program: "test",
    format,
    level,
    write: (line) => void lines.push(line),
    now: () => time,
  });
  return { ...open, lines, at: (ms: number) => time = ms };
}

Deno.test("what is less grave than the level is not written", () => {
  const { log, lines } = opened("warn");
  log("a", { level: "crit" });
  log("b");
  log("c", { level: "warn" });
  log("d", { level: "dbg" });
  assertEquals(lines.map((line) => JSON.parse(line).message), ["a", "c"]);
});

Deno.test("a flood is written in part, and the number of the rest follows with its level", () => {
  const { log, lines, at, flush } = opened("dbg");
  for (let i = 0; i < 500; i++) log(`refused ${i}`, { level: "warn", event: "refused" });
  assertEquals(lines.length, 20);
  at(10_000);
  log("something else", { event: "other" });
  const { level, event, message, left_out } = JSON.parse(lines[20]);
  assertEquals([level, event, message, left_out], [
    "warn",
    "refused",
    "480 more of the event refused left out",
    480,
  ]);
  assertEquals(lines.length, 22);
  for (let i = 0; i < 25; i++) log("again", { event: "refused" });
  flush();
  assertEquals(JSON.parse(lines.at(-1)!).left_out, 5);
  assertEquals(lines.every((line) => line.indexOf("\n") === line.length - 1), true);
});
