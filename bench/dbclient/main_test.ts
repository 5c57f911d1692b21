/** The benchmark from beginning to end, with little work: that it runs, not what it measures. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { measurable } from "../proc_io.ts";
import type { Result } from "./figures.ts";

const ROOT = new URL("../../", import.meta.url);

async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-P=bench", "bench/dbclient/main.ts", ...args],
    cwd: ROOT,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test({
  name: "bench:dbclient measures all its parts" + (measurable ? "" : " (skipped: there is no /proc here)"),
  ignore: !measurable,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "bench_dbclient_" });
    try {
      const [json, markdown] = [`${directory}/a.json`, `${directory}/a.md`];
      const { code, out, err } = await bench(
        ...[
          "--databases",
          "sqlite",
          "--users",
          "1000",
          "--rounds",
          "1",
          "--seconds",
          "1",
          "--requests",
          "100",
        ],
        ...["--proxies", "5", "--credentials", "10000", "--warmup_users", "1000"],
        ...["--json", json, "--markdown", markdown],
      );
      assertEquals(code, 0, err);
      const result: Result = JSON.parse(await Deno.readTextFile(json));
      assert(result.rates[0].perCpuSecond[0] > 0);
      assertEquals(result.latencies.map(({ proxies, requests }) => [proxies, requests]), [[0, 100], [
        5,
        100,
      ]]);
      assert(result.latencies.every(({ p50, p99, max }) => 0 < p50 && p50 <= p99 && p99 <= max));
      assert(result.memory!.samples.at(-1)!.credentials >= 10_000);
      assert(result.memory!.samples.every(({ rss }) => rss > 10e6));
      assertEquals([result.warmup!.users, result.warmup!.write.length, result.warmup!.load.length], [
        1000,
        1,
        1,
      ]);
      assertStringIncludes(out, "credentials per CPU second, SQLite");
      assertStringIncludes(await Deno.readTextFile(markdown), "| credentials per CPU second, SQLite");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("bench:dbclient: a wrong flag or part is one line and exit code 2", async () => {
  for (
    const [args, said] of [[["--parts", "rat"], "rate, latency"], [["--bacth", "1"], "--batch"]] as const
  ) {
    const { code, err } = await bench(...args);
    assertEquals([code, err.trimEnd().split("\n").length], [2, 1], err);
    assertStringIncludes(err, said);
  }
});
