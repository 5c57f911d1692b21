import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { memoryGrowth, type SoakFigures, soakProblems } from "./verdict.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-P=bench", `${root}bench/soak/main.ts`, ...args],
    cwd: root,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("soak: some seconds of calls with BYE: none fails, and no transaction is left", async () => {
  const file = await Deno.makeTempFile();
  try {
    // 64 T1 after the last call the proxy's transactions end.
    const sizes = ["--rate", "50", "--minutes", "0.08", "--users", "20"];
    const { code, out, err } = await run([...sizes, "--json", file]);
    assertEquals(code, 0, `${out}${err}`);
    const figures = JSON.parse(await Deno.readTextFile(file)) as SoakFigures;
    const { started, ok, failed } = figures.calls;
    assertEquals({ started, ok, failed }, { started: 240, ok: 240, failed: 0 });
    assertEquals(figures.transactionsLeft, 0);
    assert(figures.mostTransactions >= 240);
    if (Deno.build.os === "linux") assert(figures.memory.length > 0);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("soak: a wrong flag is one line, exit code 2", async () => {
  for (const args of [["--rate", "0"], ["--minute", "1"], ["now"]]) {
    const { code, out, err } = await run(args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertMatch(err, /^soak: [^\n]+\n$/);
  }
});

Deno.test("soak: what did not hold is said, one line each", () => {
  const memory = Array.from({ length: 600 }, (_, at) => ({ at, rss: 130, used: 100 + at / 30 }));
  const figures = {
    rate: 10,
    minutes: 10,
    calls: { started: 5990, ok: 5980, failed: 9 },
    failures: { timeout: 9 },
    retransmissions: 0,
    setupMs: { p50: 1, p99: 2 },
    memory,
    mostTransactions: 1280,
    transactionsLeft: 3,
    drainSeconds: 45,
  };
  assertEquals(memoryGrowth(memory), 15.5);
  assertEquals(soakProblems(figures, 8), [
    "10 of 5990 calls failed: timeout 9",
    "only 5990 of 6000 calls were placed",
    "the proxy's memory grew by 15.5 % after the first minute, more than 8 %",
    "3 transactions were left",
  ]);
  assertEquals(soakProblems({ ...figures, memory: memory.slice(0, 100) }, 8).length, 3);
});
