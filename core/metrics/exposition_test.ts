import { assertEquals } from "@std/assert";
import { formatExposition, noObservations, observe } from "./exposition.ts";

Deno.test("histogram: buckets are cumulative and their bounds included; +Inf equals the count", () => {
  const bounds = [0.1, 1, 5];
  const observations = noObservations(bounds);
  for (const value of [0.05, 0.1, 0.5, 5, 7, 8]) observe(observations, bounds, value);
  assertEquals(observations.counts, [2, 1, 1, 2]);
  assertEquals(
    formatExposition([{ name: "wait_seconds", help: "Wait.", type: "histogram", bounds, observations }]),
    [
      "# HELP wait_seconds Wait.",
      "# TYPE wait_seconds histogram",
      'wait_seconds_bucket{le="0.1"} 2',
      'wait_seconds_bucket{le="1"} 3',
      'wait_seconds_bucket{le="5"} 4',
      'wait_seconds_bucket{le="+Inf"} 6',
      "wait_seconds_sum 20.65",
      "wait_seconds_count 6",
      "",
    ].join("\n"),
  );
});

Deno.test("help and label values are escaped, special values are spelt as the format has them", () => {
  const text = formatExposition([
    {
      name: "x",
      help: 'a\\b\n"c"',
      type: "gauge",
      samples: [
        { labels: { a: 'q"\\\n', b: "é" }, value: Infinity },
        { value: -Infinity },
        { value: NaN },
        { value: 1e21 },
        { value: 0.1 },
      ],
    },
    { name: "nothing", help: "h", type: "counter", samples: [] },
  ]);
  assertEquals(
    text,
    '# HELP x a\\\\b\\n"c"\n# TYPE x gauge\nx{a="q\\"\\\\\\n",b="é"} +Inf\nx -Inf\nx NaN\nx 1e+21\nx 0.1\n',
  );
});
