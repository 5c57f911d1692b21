/** Trace files and screens: beside those of real SIPp, and in a terminal. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ROOT, startUac, uac } from "./test_process.ts";
import { freePort, ignore, sipp, why } from "./test_sipp.ts";

const SCENARIO = new URL("test_timers.xml", import.meta.url).pathname;
const CALLS = "40";

/** Lines of the file in a folder whose name ends so. */
async function lines(dir: string, ending: string): Promise<string[]> {
  for await (const { name } of Deno.readDir(dir)) {
    if (name.endsWith(ending)) return (await Deno.readTextFile(`${dir}/${name}`)).trimEnd().split("\n");
  }
  throw new Error(`no file …${ending}`);
}

/** Both programs run the scenario against our called side, and write their files. */
async function both(use: (theirs: string, ours: string) => Promise<void>): Promise<void> {
  const theirs = await Deno.makeTempDir();
  const ours = await Deno.makeTempDir();
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  try {
    const args = ["-sf", SCENARIO, "-r", "40", "-m", CALLS, "-fd", "1", "-trace_stat", "-trace_counts"];
    const traces = [...args, "-trace_screen", "-trace_shortmsg", "-trace_msg", "-trace_logs"];
    const peer = sipp(
      [...traces, "-p", String(freePort()), "-trace_rtt", "-rtt_freq", "1", called.address],
      theirs,
    );
    assertEquals((await peer.status).code, 0);
    const { code, err } = await uac([
      ...[...args, "-stf", `${ours}/a_.csv`, "-trace_screen", "-screen_file", `${ours}/a_screen.log`],
      ...["-trace_shortmsg", "-shortmessage_file", `${ours}/a_shortmessages.log`],
      ...["-trace_msg", "-message_file", `${ours}/a_messages.log`],
      ...["-trace_logs", "-log_file", `${ours}/a_logs.log`, "--quiet", called.address],
    ], { cwd: ours });
    assertEquals([code, err], [0, ""]);
    await use(theirs, ours);
  } finally {
    await called.end("SIGTERM");
    for (const dir of [theirs, ours]) await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  name: `-trace_stat and -trace_counts have the columns and counts of SIPp's${why}`,
  ignore,
  fn: () =>
    both(async (theirs, ours) => {
      for (const ending of ["_.csv", "counts.csv"]) {
        const [their, our] = [await lines(theirs, ending), await lines(ours, ending)];
        assertEquals(our[0], their[0]);
        const cells = (line: string) => line.split(";");
        assertEquals(new Set(our.map((line) => cells(line).length)), new Set([cells(their[0]).length]));
        // The last line has what the run came to; times, rates and repartitions are each program's own.
        const shape = (line: string) =>
          cells(line).map((cell, i) => {
            const name = cells(their[0])[i];
            const own = /Time|CallRate|Length|\(P\)/.test(name);
            return `${name}: ${own ? cell.replace(/\d+/g, "#").replace(/^#\.#$/, "#") : cell}`;
          });
        assertEquals(shape(our.at(-1)!), shape(their.at(-1)!), ending);
      }
    }),
});

Deno.test({
  name: `screens, messages and logs look like SIPp's, and only their owner may read them${why}`,
  ignore,
  fn: () =>
    both(async (theirs, ours) => {
      const steps = async (dir: string) => {
        const all = await lines(dir, "screen.log");
        const from = all.findIndex((line) => line.includes("Messages  Retrans"));
        return all.slice(from, from + 12).map((line) => line.trimEnd());
      };
      assertEquals(await steps(ours), await steps(theirs));
      // The messages of the first call: others may come in between.
      const short = async (dir: string) => {
        const all = (await lines(dir, "_shortmessages.log")).map((line) => line.split("\t"));
        return all.filter(([, , , , callId]) => callId === all[0][4]).slice(0, 3)
          .map((
            [day, time, stamp, direction, , cseq],
          ) => [day.length, time.length, stamp.length, direction, cseq]);
      };
      assertEquals(await short(ours), await short(theirs));
      const head = async (dir: string) =>
        (await lines(dir, "_messages.log")).slice(0, 3).map((line) => line.replace(/\d+/g, "#"));
      assertEquals(await head(ours), await head(theirs));
      assertEquals((await lines(ours, "logs.log")).length, Number(CALLS));
      for await (const { name } of Deno.readDir(ours)) {
        assertEquals((await Deno.stat(`${ours}/${name}`)).mode! & 0o777, 0o600, name);
      }
    }),
});

Deno.test("--csv, --ladder, --report and -trace_rtt of a run", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  const dir = await Deno.makeTempDir();
  try {
    const { code, out, err } = await uac([
      ...[
        "-r",
        "100",
        "-m",
        "30",
        "--quiet",
        "--csv",
        `${dir}/a.csv`,
        "--ladder",
        "--report",
        `${dir}/a.html`,
      ],
      ...["-trace_rtt", "-trace_error_codes", called.address],
    ], { cwd: dir });
    assertEquals([code, err], [0, ""]);
    assertMatch(
      out,
      /^call 1-\S+: succeeded\n\n +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+\n +0\.000 ms \|-+ INVITE -+>\|\n/,
    );
    assertMatch(
      out,
      / ms \|<-+ 180 Ringing \(INVITE\) -+\|\n.* ms \|<-+ 200 OK \(INVITE\) -+\|\n.* ms \|-+ ACK -+>\|\n/,
    );
    const [head, ...points] = await lines(dir, "a.csv");
    assertStringIncludes(head, "at,seconds,wanted,started,ok,failed,open,setup_p50_ms");
    assertEquals(points.reduce((sum, line) => sum + Number(line.split(",")[3]), 0), 30);
    assertStringIncludes(await Deno.readTextFile(`${dir}/a.html`), "<h2>Latency</h2>");
    assertMatch((await lines(dir, "rtt.csv"))[0], /^Date_ms;response_time_ms;rtd_no$/);
  } finally {
    await called.end("SIGTERM");
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("--find_max finds a rate that the called side stands, and writes its steps", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  const json = await Deno.makeTempFile();
  try {
    // Answers that get lost on purpose: every rate is too high.
    const { code, out } = await uac([
      ...[
        "-r",
        "20",
        "--find-max",
        "--find-max-time",
        "300ms",
        "-lost",
        "90",
        "-max_retrans",
        "0",
        "--quiet",
      ],
      ...["--json", json, "-recv_timeout", "200", called.address],
    ]);
    assertEquals([code, out], [1, "find-max: no rate was good; beyond: too many failed calls\n"]);
    const { rate, complete, steps } = JSON.parse(await Deno.readTextFile(json));
    assertEquals([rate, complete, steps.length > 3], [0, true, true]);
  } finally {
    await called.end("SIGTERM");
    await Deno.remove(json);
  }
});

Deno.test("--workers: the threads share calls, lines and users, and are counted together", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  const dir = await Deno.makeTempDir();
  try {
    const lines = Array.from({ length: 7 }, (_, i) => `user${i};pw${i}`);
    await Deno.writeTextFile(`${dir}/users.csv`, ["SEQUENTIAL", ...lines, ""].join("\n"));
    const { code, out, err } = await uac([
      ...["-r", "100", "-m", "50", "--workers", "3", "--quiet", "-inf", `${dir}/users.csv`],
      ...["--json", `${dir}/a.json`, "--csv", `${dir}/a.csv`, "--report", `${dir}/a.html`],
      ...["-trace_stat", "-stf", `${dir}/a_.csv`, called.address],
    ]);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "ok 50   failed 0");
    const { calls, setupMs, lagMs, steps, rate } = JSON.parse(await Deno.readTextFile(`${dir}/a.json`));
    assertEquals(calls, { started: 50, ok: 50, failed: 0, open: 0 });
    assertEquals([setupMs.count, lagMs.count, steps[0].sent, rate.wanted], [50, 50, 50, 100]);
    const points = (await Deno.readTextFile(`${dir}/a.csv`)).trim().split("\n").slice(1);
    assertEquals(points.reduce((sum, line) => sum + Number(line.split(",")[3]), 0), 50);
    const [head, ...rows] = (await Deno.readTextFile(`${dir}/a_.csv`)).trim().split("\n");
    assertEquals(rows.at(-1)!.split(";")[head.split(";").indexOf("SuccessfulCall(C)")], "50");

    const few = await uac(["--workers", "8", "-inf", `${dir}/users.csv`, called.address]);
    assertEquals([few.code, few.err], [255, "uac: users.csv: 7 lines are too few for 8 workers\n"]);
    const server = await uac(["--workers", "2", "-sn", "uas"]);
    assertEquals(server.err, "uac: --workers is for callers: a called side is one thread for its port\n");
  } finally {
    await called.end("SIGTERM");
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("-cp takes keys and a rate; -rate_increase ends at -rate_max", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  try {
    const port = freePort();
    const controlled = uac(["-r", "1", "-cp", String(port), "--quiet", "-timeout", "60", called.address]);
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const to = { transport: "udp", hostname: "127.0.0.1", port } as const;
    // Nobody says when it listens: the second q ends the run, whenever it comes.
    const again = setInterval(() => {
      for (const text of ["cset rate 500", "*", "?", "q"]) {
        socket.send(new TextEncoder().encode(text), to).catch(() => {});
      }
    }, 300);
    const { code, out, err } = await controlled;
    clearInterval(again);
    socket.close();
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /wanted 5[12]0\.0/);

    const grown = await uac([
      ...["-r", "20", "-rate_increase", "30", "-rate_interval", "200ms", "-rate_max", "60", "--quiet"],
      called.address,
    ]);
    assertEquals(grown.code, 0);
    assertStringIncludes(grown.out, "(wanted 50.0)");
  } finally {
    await called.end("SIGTERM");
  }
});

async function hasScript(): Promise<boolean> {
  try {
    return (await new Deno.Command("script", { args: ["--version"], stdout: "null", stderr: "null" })
      .output()).success;
  } catch {
    return false;
  }
}
const noTerminal = !await hasScript();

Deno.test({
  name: `in a terminal: screens by number, p pauses, q ends${
    noTerminal ? " (skipped: script of util-linux is not installed)" : ""
  }`,
  ignore: noTerminal,
  async fn() {
    const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
    const command = `${Deno.execPath()} run --quiet -P=uac uac/main.ts -r 20 -f 0.2 ${called.address}`;
    const child = new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      env: { TERM: "xterm" },
    }).spawn();
    const writer = child.stdin.getWriter();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const until = async (what: string) => {
      const from = text.length;
      while (!text.slice(from).includes(what)) {
        const { value, done } = await reader.read();
        assert(!done, `it ended before it showed ${what}: ${text.slice(-2000)}`);
        text += value;
      }
    };
    const key = (key: string) => writer.write(new TextEncoder().encode(key));
    await until("Scenario Screen");
    await until("INVITE ---------->");
    for (
      const [pressed, shown] of [
        ...[["2", "Successful call"], ["3", "Call Length Repartition"], ["4", "Variables Screen"]],
        ...[["5", "own lag"], ["1", "20.0(0 ms)/1.000s"], ["+", "21.0(0 ms)/1.000s"], [
          "*",
          "31.0(0 ms)/1.000s",
        ]],
        ...[["/", "21.0(0 ms)/1.000s"], ["p", "Traffic Paused"], ["p", "[p]: Pause traffic"]],
      ]
    ) {
      await key(pressed);
      await until(shown);
    }
    await key("q");
    await until("server authenticated");
    while (!(await reader.read()).done);
    assertEquals((await child.status).code, 0);
    await writer.close().catch(() => {});
    await called.end("SIGTERM");
  },
});
