import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { DemoFigures } from "./figures.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The demo as `deno task demo` runs it, with a directory of its own for temporary files. */
class Demo {
  readonly #child: Deno.ChildProcess;

  constructor(temporary: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--config",
        `${root}deno.json`,
        "-P=demo",
        `${root}bench/demo/main.ts`,
        ...args,
      ],
      env: { TMPDIR: temporary, TMP: temporary, TEMP: temporary, NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async end(): Promise<{ code: number; stdout: string; stderr: string }> {
    const [{ code }, stdout, stderr] = await Promise.all([
      this.#child.status,
      new Response(this.#child.stdout).text(),
      new Response(this.#child.stderr).text(),
    ]);
    return { code, stdout, stderr };
  }
}

/** Runs `body` with a temporary directory, in which nothing of the demo may be left, nor a process that has it. */
async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/tmp`);
    await body(directory);
    assertEquals([...Deno.readDirSync(`${directory}/tmp`)].map(({ name }) => name), []);
    assertEquals(processesOf(directory), []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The processes that have this directory for temporary files; none on systems without /proc. */
function processesOf(directory: string): { pid: number; command: string }[] {
  if (Deno.build.os !== "linux") return [];
  const found: { pid: number; command: string }[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!Deno.readTextFileSync(`/proc/${name}/environ`).includes(`TMPDIR=${directory}`)) continue;
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      found.push({ pid: Number(name), command });
    } catch {
      // It has ended, or belongs to somebody else.
    }
  }
  return found;
}

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

Deno.test("demo: both modes, every call succeeds, figures in the table and in the JSON file", async () => {
  await withDirectory(async (directory) => {
    const file = `${directory}/figures.json`;
    const { code, stdout, stderr } = await new Demo(`${directory}/tmp`, [
      ...["--calls", "100", "--rate", "100", "--users", "20", "--rtt", "4", "--json", file],
    ]).end();
    assertEquals(code, 0, stdout + stderr);
    const { modes, ...rest }: DemoFigures = JSON.parse(await Deno.readTextFile(file));
    assertEquals(rest, {});
    assertEquals(Object.keys(modes), ["digest", "pc"]);
    const { digest, pc } = modes;
    assert(digest !== undefined && pc !== undefined);
    for (const mode of [digest, pc]) {
      const { calls, ok, failed, setupMs, proxyCpuUsPerCall } = mode;
      assertEquals([calls, ok, failed], [100, 100, 0]);
      assert(setupMs.p50 > 0 && setupMs.p50 <= setupMs.p95 && setupMs.p95 <= setupMs.p99);
      if (Deno.build.os === "linux") assertGreater(proxyCpuUsPerCall ?? 0, 0);
    }
    // Each Digest answer is a question. 20 users with 5 calls each: the first call of a user fetches its credential.
    assertEquals([digest.digestAnswers, digest.usersAsked], [100, 0]);
    assertEquals([digest.dbQueriesPerCall, digest.serverAuthenticated], [1, false]);
    assertEquals([pc.digestAnswers, pc.usersAsked], [0, 20]);
    assertEquals([pc.dbQueriesPerCall, pc.serverAuthenticated], [0.2, true]);
    assertGreater(digest.messagesPerCall, pc.messagesPerCall);

    for (const line of stdout.split("\n")) assert(line.length <= 100, `too wide: ${line}`);
    assertMatch(stdout, /calls ok \/ failed +100 \/ 0 +100 \/ 0\n/);
    assertMatch(stdout, /database questions per call +1\.000 +0\.200\n/);
    assertMatch(stdout, /server authenticated +no +yes\n/);
    assertStringIncludes(stdout.replaceAll("\n", " "), "all 200 calls succeeded.");
  });
});

Deno.test("demo: one mode, tokens for BYE too and only when challenged, several demos at once", async () => {
  await withDirectory(async (directory) => {
    const args = ["--calls", "40", "--rate", "100", "--users", "5", "--auth", "pc", "--algorithm", "SHA-256"];
    const demos = [["--bye"], ["--no-preemptive"]].map((more) =>
      new Demo(`${directory}/tmp`, [...args, "--chain", "100", ...more]).end()
    );
    for (const { code, stdout, stderr } of await Promise.all(demos)) {
      assertEquals(code, 0, stdout + stderr);
      assertMatch(stdout, /calls ok \/ failed +40 \/ 0\n/);
      assertMatch(stdout, /database questions per call +0\.125\n/);
    }
  });
});

Deno.test("demo: a wrong flag is one line and exit code 2; --help names every flag", async () => {
  await withDirectory(async (directory) => {
    for (
      const [args, said] of [
        [["--cals", "5"], "demo: unknown flag --cals: did you mean --calls?"],
        [["--auth", "md5"], 'demo: --auth: "md5" is not allowed; it takes one of digest, pc, both'],
        [["--json", `${directory}/missing/x.json`], "demo: --json: there is no directory"],
        [["5"], 'demo: unexpected argument "5"'],
      ] as const
    ) {
      const { code, stdout, stderr } = await new Demo(`${directory}/tmp`, args).end();
      assertEquals([code, stdout], [2, ""]);
      assert(stderr.startsWith(said) && stderr.indexOf("\n") === stderr.length - 1, stderr);
    }
    const { code, stdout } = await new Demo(`${directory}/tmp`, ["--help"]).end();
    assertEquals(code, 0);
    for (const flag of ["calls", "rate", "users", "auth", "rtt", "bye", "algorithm", "chain", "json"]) {
      assertStringIncludes(stdout, `  --${flag}`);
    }
    assertStringIncludes(stdout, "--no-preemptive");
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `demo: ${signal} in the middle leaves no process and no file`,
    ignore: Deno.build.os === "windows",
    async fn() {
      await withDirectory(async (directory) => {
        const demo = new Demo(`${directory}/tmp`, ["--calls", "100000", "--rate", "100", "--users", "20"]);
        const ended = demo.end();
        // Four programs and the demo: the callers are at work.
        if (Deno.build.os === "linux") await waitFor(() => processesOf(directory).length === 5);
        else await new Promise((resolve) => setTimeout(resolve, 5000));
        demo.signal(signal);
        const { code, stderr } = await ended;
        assertEquals(code, signal === "SIGINT" ? 130 : 143);
        assertStringIncludes(stderr, "demo: interrupted");
      });
    },
  });
}

Deno.test("demo: when a program cannot start, the demo says why", async () => {
  await withDirectory(async (directory) => {
    const env = { PROXYCHAIN_HASH: "md4" };
    const { code, stderr } = await new Demo(`${directory}/tmp`, ["--calls", "10"], env).end();
    assertEquals(code, 1);
    assertMatch(stderr, /^demo: dbclient users import ended with exit code 2: .*PROXYCHAIN_HASH.*\n$/);
  });
});

Deno.test({
  name: "demo: when a program dies in the middle, the demo says so and ends the others",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const demo = new Demo(`${directory}/tmp`, ["--calls", "100000", "--rate", "100", "--users", "20"]);
      const ended = demo.end();
      const running = () => processesOf(directory).filter(({ command }) => command.includes("main.ts"));
      await waitFor(() => running().length === 5);
      const proxy = running().find(({ command }) => command.includes("proxy/main.ts"));
      Deno.kill(proxy!.pid, "SIGKILL");
      const { code, stderr } = await ended;
      assertEquals(code, 1);
      assertMatch(stderr, /\ndemo: proxy ended by SIGKILL: .*ready.*\n$/);
    });
  },
});
