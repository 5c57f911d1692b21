import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { barChart, lineChart } from "./svg.ts";

/** Every element is closed, and no number is missing. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, rest] of svg.matchAll(/<(\/?)([a-z]+)([^>]*)>/g)) {
    if (close !== "") assertEquals(open.pop(), name);
    else if (!rest.endsWith("/")) open.push(name);
  }
  assertEquals(open, []);
  assert(!/NaN|Infinity|undefined/.test(svg), svg);
}

Deno.test("bars: a part per series, the sum behind them, texts escaped", () => {
  const svg = barChart('CPU <of> "calls" & more', "µs", ["proxy", "database"], [
    { name: "ours", values: [90, 4] },
    { name: "Kamailio: <Digest>", values: [220, 110] },
    { name: "nothing", values: [0, 0] },
  ]);
  assertWellFormed(svg);
  assertStringIncludes(svg, "CPU &lt;of&gt; &quot;calls&quot; &amp; more");
  assertStringIncludes(svg, ">330 µs</text>");
  assertStringIncludes(svg, ">94 µs</text>");
  assertEquals(svg.match(/<rect [^>]*height="14"/g)?.length, 4);
  // The colour of texts follows the ground.
  assertStringIncludes(svg, "prefers-color-scheme:dark");
  assertWellFormed(barChart("none", "µs", ["proxy"], []));
});

Deno.test("lines: a point each, greater values higher up, no 0 on a logarithmic axis", () => {
  const svg = lineChart("rates", { name: "ms" }, { name: "calls/s", logarithmic: true }, [
    { name: "ours", points: [[0, 3000], [100, 3000]] },
    { name: "theirs", points: [[0, 2800], [20, 400], [100, 0]] },
    { name: "not there", points: [] },
  ]);
  assertWellFormed(svg);
  const points = [...svg.matchAll(/points="([^"]*)"/g)].map(([, text]) =>
    text.split(" ").map((point) => point.split(",").map(Number))
  );
  assertEquals(points.map((its) => its.length), [2, 2]);
  assertEquals(points[0][0][1], points[0][1][1]);
  assert(points[1][0][1] < points[1][1][1] && points[1][0][0] < points[1][1][0]);
  assert(!svg.includes("not there"));
  assertThrows(() => lineChart("none", { name: "x" }, { name: "y" }, []), TypeError);
});

Deno.test("lines: a single point, and values that are all the same", () => {
  assertWellFormed(lineChart("one", { name: "x", logarithmic: true }, { name: "y" }, [
    { name: "a", points: [[1000, 80]] },
  ]));
  assertWellFormed(
    lineChart("zero", { name: "x" }, { name: "y" }, [{ name: "a", points: [[0, 0], [1, 0]] }]),
  );
});
