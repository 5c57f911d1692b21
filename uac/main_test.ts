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
  [["-sn", "uaz", "127.0.0.1"], 'uac: -sn: "uaz" is not allowed; it takes one of uac, uas'],
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
  [
    ["--users", "u%s", "127.0.0.1"],
    'uac: --users: "u%s" is not allowed; it takes one %d (such as %06d), and %% for %',
  ],
  [["--users", "u%d", "-inf", "x", "127.0.0.1"], "uac: --users and --inf: only one of them is allowed"],
  [["--count", "5", "127.0.0.1"], "uac: --count is only allowed with --users"],
];
for (const [args, line] of WRONG) {
  Deno.test(`uac ${args.join(" ")}: one line, exit code 2`, async () => {
    const { code, out, err } = await uac(args);
    assertEquals({ code, out, err }, { code: 2, out: "", err: line + "\n" });
  });
}

Deno.test("uac: a port in use, a missing file: one line, exit code 1", async () => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  const used = await uac(["-sn", "uas", "-p", String(port)]);
  socket.close();
  assertEquals([used.code, used.err], [
    1,
    `uac: udp:127.0.0.1:${port}: the port is in use by another program\n`,
  ]);
  const missing = await uac(["-inf", "/nonexistent.inf", "127.0.0.1"]);
  assertEquals(missing.code, 1);
  assertMatch(missing.err, /^uac: \/nonexistent\.inf cannot be read: .*\n$/);
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
