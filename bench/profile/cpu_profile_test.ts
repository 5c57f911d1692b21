import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../mod.ts";
import { formatProfile, summarizeProfile } from "./cpu_profile.ts";
import { readOptions } from "./options.ts";

const node = (id: number, functionName: string, children: number[] = [], url = "file:///p/core/scan.ts") => ({
  id,
  callFrame: { functionName, url, lineNumber: 9 },
  children,
});

/** main calls scan twice from different places; scan calls itself. */
const PROFILE = JSON.stringify({
  nodes: [
    node(1, "(root)", [2, 3, 7], ""),
    node(2, "(idle)", [], ""),
    node(3, "main", [4, 5]),
    node(4, "scan", [6]),
    node(5, "", [8]),
    node(6, "scan"),
    node(7, "(garbage collector)", [], ""),
    node(8, "scan"),
  ],
  samples: [2, 3, 4, 6, 8, 7, 2, 5],
  timeDeltas: [1000, 10, 20, 30, 40, 5, 1000, -3],
});

Deno.test("profile: the socket's sleep is no work", () => {
  const sleep = node(3, "sleep", [], "file:///p/core/io/batched_libc_io.ts");
  const nodes = [node(1, "(root)", [2], ""), node(2, "main", [3]), sleep];
  const text = JSON.stringify({ nodes, samples: [2, 3], timeDeltas: [10, 500] });
  const { lengthUs, idleUs, functions } = summarizeProfile(text);
  assertEquals([lengthUs, idleUs], [510, 500]);
  assertEquals(functions.map(({ name, totalUs }) => [name, totalUs]), [["main", 10], ["(root)", 10]]);
});

Deno.test("profile: time in a function itself and below it, idling apart, recursion once", () => {
  const { lengthUs, idleUs, functions } = summarizeProfile(PROFILE, (url) => url.replace("file:///p/", ""));
  assertEquals([lengthUs, idleUs], [2105, 2000]);
  assertEquals(functions.find(({ name }) => name === "scan"), {
    name: "scan",
    place: "core/scan.ts:10",
    selfUs: 90,
    totalUs: 90,
  });
  assertEquals(functions.find(({ name }) => name === "main")?.totalUs, 100);
  assertEquals(functions.map(({ name }) => name), [
    "scan",
    "main",
    "(garbage collector)",
    "(root)",
    "(anonymous)",
  ]);
});

Deno.test("profile: the table has shares of the busy time and µs per call", () => {
  const text = formatProfile(summarizeProfile(PROFILE), 2, 10);
  const lines = text.split("\n");
  assertEquals(lines.length, 5);
  assertStringIncludes(lines[3], "85.7 %");
  assertStringIncludes(lines[3], "9.00");
  assertStringIncludes(lines[0], "10.5 µs per call");
});

Deno.test("profile: a file that is none", () => {
  assertThrows(() => summarizeProfile("{}"), SyntaxError);
  assertThrows(() => summarizeProfile("nothing"), SyntaxError);
});

Deno.test("profile: wrong arguments are one line", () => {
  assertEquals(readOptions([])?.rate, 1000);
  assertEquals(readOptions(["--help"]), undefined);
  for (const args of [["--auth", "both"], ["--rate", "0"], ["now"], ["--rats", "1"]]) {
    assertThrows(() => readOptions(args), UsageError);
  }
});
