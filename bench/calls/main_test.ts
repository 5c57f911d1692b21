import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { QuickResult } from "./quick.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-P=bench", `${root}bench/calls/main.ts`, ...args],
    cwd: root,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("bench:calls: wrong arguments end with one line and code 2", async () => {
  for (const args of [["--modes", "all"], ["--json", "/nowhere/at/all.json"], ["--read", "/nowhere.json"]]) {
    const { code, out, err } = await run(args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertMatch(err, /^bench:calls: [^\n]+\n$/);
  }
});

Deno.test({
  name: "bench:calls --quick: the shape of the JSON file, by a tiny run",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const file = `${directory}/figures.json`;
      const sizes = ["--rates", "20", "--users", "5", "--calls", "20", "--warmup", "5"];
      const { code, out, err } = await run(["--quick", ...sizes, "--modes", "pc,digest", "--json", file]);
      const result = JSON.parse(await Deno.readTextFile(file)) as QuickResult;
      assertEquals(result.rate, 20);
      // A machine that is busy with other tests may not hold even this rate: then it is said, and code 1.
      assertEquals(code, result.held ? 0 : 1, err);
      if (!result.held) assertStringIncludes(out, "could not be held");
      for (const name of ["pcChallengedCpuUsPerCall", "digestCpuUsPerCall"]) {
        assertGreater(result.figures[name], 0);
      }
      for (const [name, value] of Object.entries(result.figures)) {
        assert(typeof value === "number" && Number.isFinite(value) && value >= 0, name);
      }
      assertEquals(result.measurements.map(({ mode }) => mode), ["pc", "digest"]);
      const [pc, digest] = result.measurements;
      assertGreater(pc.window.calls, 0);
      assertEquals([pc.caller, pc.called], ["uac", "uac"]);
      assertGreater(digest.checkedPerCall ?? 0, 0);
      assertGreater(pc.memoryMb.proxy!.rss, 1);
      assertStringIncludes(out, "PC, with the 407 round trip");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
