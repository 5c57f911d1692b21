/** The program itself, as a process, with the permissions that deno.json gives it. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FLAGS } from "./flags.ts";
import { ROOT, startUac, uac } from "./test_process.ts";

Deno.test("uac --help names every flag with its default", async () => {
  const { code, out } = await uac(["--help"]);
  assertEquals(code, 0);
  for (const name of Object.keys(FLAGS)) assertMatch(out, new RegExp(`^  --?${name}\\b`, "m"));
  assertStringIncludes(out, "default 20000 calls");
});

const WRONG: [string[], string][] = [
  [
    ["-sn", "uaz", "127.0.0.1"],
    'uac: -sn: "uaz" is not allowed; it takes one of uac, uas, regexp, branchc, branchs, ooc_default, ' +
    "uac_INVITE_auth, uac_INVITE_BYE_auth",
  ],
  [["--reelm", "x", "127.0.0.1"], "uac: unknown flag --reelm: did you mean --realm? --help names every flag"],
  [
    ["-r", "fast", "127.0.0.1"],
    'uac: -r: "fast" is not allowed; it takes a number of calls per -rp from 0.001 to 1000000',
  ],
  [["-p", "70000", "127.0.0.1"], 'uac: -p: "70000" is not allowed; it takes a whole number from 0 to 65535'],
  [[], "uac: whom to call is missing: HOST[:PORT]"],
  [["127.0.0.1:x"], 'uac: "127.0.0.1:x" is not allowed as remote; it takes HOST[:PORT]'],
  [["127.0.0.1", "b"], 'uac: "b": one remote address is allowed, HOST[:PORT]'],
  [["-i", "eth0", "127.0.0.1"], 'uac: -i: "eth0" is not allowed; it takes an IP address'],
  [["--count", "5", "127.0.0.1"], "uac: --count is only allowed with --user_pattern"],
  [["-rate_max", "5", "127.0.0.1"], "uac: -rate_max is only allowed with -rate_increase"],
  [["-stf", "a.csv", "127.0.0.1"], "uac: -stf is only allowed with -trace_stat"],
  [
    ["--ladder", "--workers", "2", "127.0.0.1"],
    "uac: -ladder needs all messages in one thread: it is not allowed with --workers",
  ],
  [
    ["-trace_msg", "-message_file", "/nonexistent/x.log", "127.0.0.1"],
    "uac: /nonexistent/x.log cannot be written: No such file or directory (os error 2): open '/nonexistent/x.log'",
  ],
  [
    ["-bg", "127.0.0.1"],
    "uac: -bg: SIPp has this option, and this program has not: a process is put into the background by the shell or by systemd",
  ],
  [["--csv", "/nonexistent/a.csv", "127.0.0.1"], "uac: --csv: there is no directory /nonexistent/"],
  [["-t", "l1", "127.0.0.1"], "uac: -t l1: TLS is not supported"],
  [["-rtp_echo"], "uac: -rtp_echo: SIPp has this option, and this program has not: media is not supported"],
  [["-key", "a"], "uac: -key needs two values: KEYWORD VALUE"],
  [["-infindex", "x.csv", "0", "127.0.0.1"], "uac: -infindex x.csv: no -inf names this file"],
  [["-t", "t1", "127.0.0.1:1"], "uac: tcp:127.0.0.1:1: nobody listens there"],
  [["-timeout_error", "127.0.0.1"], "uac: -timeout_error needs -timeout"],
  [
    ["-default_behaviors", "by", "127.0.0.1"],
    'uac: -default_behaviors: "by" is not allowed; it takes all, none, ' +
    "bye, abortunexp, pingreply, each with - before it to leave it out",
  ],
];
for (const [args, line] of WRONG) {
  Deno.test(`uac ${args.join(" ")}: one line, SIPp's exit code 255`, async () => {
    const { code, out, err } = await uac(args);
    assertEquals({ code, out, err }, { code: 255, out: "", err: line + "\n" });
  });
}

Deno.test("uac: a port in use is exit code 254, a missing file 255, each with one line", async () => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  const used = await uac(["-sn", "uas", "-p", String(port)]);
  socket.close();
  assertEquals([used.code, used.err], [
    254,
    `uac: udp:127.0.0.1:${port}: the port is in use by another program\n`,
  ]);
  const missing = await uac(["-inf", "/nonexistent.inf", "127.0.0.1"]);
  assertEquals(missing.code, 255);
  assertMatch(missing.err, /^uac: \/nonexistent\.inf cannot be read: .*\n$/);
});

Deno.test("uac: a dead target fails its calls: exit code 1, 97 under -timeout, 255 with -timeout_error", async () => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  const to = ["--quiet", "-m", "1", `127.0.0.1:${port}`];
  const failed = await uac(["-max_retrans", "0", ...to]);
  assertEquals(failed.code, 1);
  assertStringIncludes(failed.out, "1 × no answer to INVITE");
  const late = await uac(["-timeout", "100ms", "-timeout_error", "-recv_timeout", "300", ...to]);
  socket.close();
  assertEquals([late.code, late.err], [255, "uac: the run was ended by -timeout after 0.1 s\n"]);
});

Deno.test("uac lint and -sf say where a scenario is wrong, and -sd prints one that is right", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/bad.xml`;
    await Deno.writeTextFile(
      file,
      '<scenario name="bad">\n  <send><![CDATA[\n    OPTIONS sip:[servce] SIP/2.0\n  ]]></send>\n' +
        '  <recv response="200" nxt="1"/>\n</scenario>\n',
    );
    const lint = await uac(["lint", file]);
    assertEquals([lint.code, lint.out], [
      1,
      `${file}:5:24: <recv> has no attribute nxt: did you mean next?\n`,
    ]);
    const run = await uac(["-sf", file, "127.0.0.1"]);
    assertEquals([run.code, run.err], [255, `uac: ${lint.out}`]);
    await Deno.writeTextFile(file, (await Deno.readTextFile(file)).replace(' nxt="1"', ""));
    assertEquals(
      (await uac(["lint", file])).out,
      `${file}:3:17: unknown keyword [servce]: did you mean [service]?\n`,
    );
    const { out } = await uac(["-sd", "uac_INVITE_BYE_auth"]);
    await Deno.writeTextFile(file, out);
    assertEquals(await uac(["lint", file]), { code: 0, out: `${file}: no findings\n`, err: "" });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("uac calls uac: both end well, and the figures are written", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  const json = await Deno.makeTempFile();
  try {
    const { code, out, err } = await uac([
      "-r",
      "200",
      "-m",
      "100",
      "--quiet",
      "--json",
      json,
      called.address,
    ]);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "ok 100   failed 0");
    const figures = JSON.parse(await Deno.readTextFile(json));
    assertEquals(figures.calls, { started: 100, ok: 100, failed: 0, open: 0 });
    assertEquals(figures.setupMs.count, 100);
    assertEquals(figures.auth.serverAuthenticated, "no");
  } finally {
    await Deno.remove(json);
    const { code, out } = await called.end("SIGTERM");
    assertEquals(code, 0);
    assertStringIncludes(out, "calls                 100   ok 100   failed 0");
  }
});

Deno.test("uac: SIGINT ends a caller with its summary", async () => {
  const called = await startUac(["-sn", "uas", "-p", "0", "--quiet"]);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-P=uac", "uac/main.ts", "-r", "50", called.address],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // The first progress line tells that it is under way.
  const reader = child.stderr.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  child.kill("SIGINT");
  while (!(await reader.read()).done);
  const out = await new Response(child.stdout).text();
  const { code } = await child.status;
  assertMatch(first, /^uac: 1 s: \d+ calls \(\d+\/s\), /);
  assertEquals(code, 0);
  assertStringIncludes(out, "failed 0");
  assertEquals((await called.end("SIGINT")).code, 0);
});
