/** The program as a process: command line, ready line, signals, configuration, routes, DBclient that comes later. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PROXY_FLAGS } from "./options.ts";
import { freeTcpPort, inTempDir, type Outcome, run, Running, TestSocket, until } from "./test_process.ts";
import { busy, Phone, withSubscribers } from "./test_phone.ts";
import { firstLine, header, headers, request, statusOf } from "./testing.ts";

const LISTEN = ["--listen", "udp:127.0.0.1:0"];
const USUAL = [...LISTEN, "--realm", "example.com", "--dbclient_port", "1"];

/** One line on standard error, nothing on standard output, this exit code. */
function assertOneLine({ code, out, err }: Outcome, expected: number, ...parts: readonly string[]): void {
  assertEquals([code, out], [expected, ""], err);
  assertMatch(err, /^(?:\S+ (?:CRIT|ERR) \S+ )?proxy: [^\n]+\n$/);
  for (const part of parts) assertStringIncludes(err, part);
}

Deno.test("proxy program: one ready line, and a clean end on SIGTERM and SIGINT", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const proxy = await Running.start("proxy", ...USUAL);
    const { code, out, err } = await proxy.end(signal);
    assertEquals([code, out], [0, ""]);
    assertMatch(
      err.split("\n").find((line) => line.includes("ready"))!,
      /^\S+ NOTICE ready proxy: ready on udp:127\.0\.0\.1:\d+, realm example\.com, auth pc, dbclient 127\.0\.0\.1:1, \S/,
    );
  }
});

Deno.test("proxy program: --help names every flag with its default and unit", async () => {
  const { code, out, err } = await run("proxy", "--help");
  assertEquals([code, err], [0, ""]);
  for (const [name, flag] of Object.entries(PROXY_FLAGS)) {
    const at = out.indexOf(`\n  --${name}`);
    assert(at >= 0, `${name} is not in --help`);
    const text = out.slice(at, out.indexOf("\n  --", at + 1));
    if ("default" in flag && !Array.isArray(flag.default)) {
      const preset = typeof flag.default === "boolean" ? Number(flag.default) : flag.default;
      assertStringIncludes(text, `default ${preset}`);
    }
    if ("unit" in flag) assertStringIncludes(text, flag.unit);
  }
  assertStringIncludes(out, "--hc_enable");
});

Deno.test("proxy program: a wrong flag or value is one line, exit code 2", async () => {
  const cases: [string[], string[]][] = [
    [["--relm", "x"], ["unknown flag --relm", "did you mean --realm?"]],
    [["--realm"], ["--realm needs a value"]],
    [["--realm", "example.com", "--auth", "basic"], ['"basic"', "pc, digest, both, none"]],
    [["--realm", "example.com", "--max_users", "many"], ["--max_users", "users"]],
    [["--realm", "example.com", "--next_hop", "example.com"], ["--next_hop", "sip:ADDRESS:PORT"]],
    [[], ["--realm"]],
    [["--realm", "example.com", "extra"], ['"extra"']],
    [["--realm", "example.com", "--hash", "fast"], ["--hash", "hash-wasm"]],
  ];
  for (const [args, parts] of cases) assertOneLine(await run("proxy", ...args), 2, ...parts);
});

Deno.test("proxy program: a port in use, and an address that is not here, are one line, exit code 1", async () => {
  const taken = new TestSocket();
  try {
    const args = ["--listen", `udp:127.0.0.1:${taken.port}`, "--realm", "example.com"];
    assertOneLine(await run("proxy", ...args), 1, `127.0.0.1:${taken.port}`);
  } finally {
    await taken.close();
  }
  assertOneLine(
    await run("proxy", "--listen", "udp:192.0.2.1:5060", "--realm", "example.com"),
    1,
    "192.0.2.1",
  );
});

Deno.test("proxy program: files that are wrong or missing are one line with the place", () =>
  inTempDir(async (dir) => {
    const config = async (text: string): Promise<Outcome> => {
      await Deno.writeTextFile(`${dir}/proxy.toml`, text);
      return await run("proxy", "--config", `${dir}/proxy.toml`);
    };
    const place = `${dir}/proxy.toml:`;
    assertOneLine(await config('realm = "example.com"\nlisten = [\n'), 2, place);
    assertMatch((await config('realm = "example.com"\nauth = \n')).err, /proxy\.toml:2:\d+: /);
    assertOneLine(
      await config('realm = "example.com"\n  max_user = 5\n'),
      2,
      `${place}2:3: max_user`,
      "did you mean max_users?",
    );
    assertOneLine(
      await config('realm = "example.com"\nmax_users = 1\n'),
      2,
      `${place}2:1: max_users`,
      "from 4",
    );
    assertOneLine(
      await run("proxy", "--config", `${dir}/none.toml`),
      1,
      "--config",
      "none.toml",
      "no such file",
    );
    assertOneLine(
      await run("proxy", ...USUAL, "--route", `${dir}/none.ts`),
      1,
      "--route",
      "none.ts",
      "no such file",
    );
    await Deno.writeTextFile(`${dir}/empty.ts`, "export const route = 1;\n");
    assertOneLine(
      await run("proxy", ...USUAL, "--route", `${dir}/empty.ts`),
      1,
      "empty.ts",
      "default export",
    );
    await Deno.writeTextFile(`${dir}/broken.ts`, "export default function (\n");
    assertOneLine(await run("proxy", ...USUAL, "--route", `${dir}/broken.ts`), 1, "broken.ts");
    await Deno.writeTextFile(`${dir}/key`, "short\n");
    const key = await run("proxy", ...USUAL, "--key_file", `${dir}/key`);
    assertOneLine(key, 1, "key");
    assert(!key.err.includes("short\n"), "the key is in the error text");
    assertOneLine(await run("proxy", ...USUAL, "--key_file", `${dir}/none`), 1, "no such file");
    assertOneLine(await run("proxy", ...USUAL, "--stats_file", `${dir}/none/stats.json`), 1, "--stats_file");
  }));

Deno.test("proxy program: a TOML file sets flags, the command line wins", () =>
  inTempDir(async (dir) => {
    const text =
      'realm = ["example.com", "second.example"]\nlisten = "udp:127.0.0.1:0"\nauth = "digest"\nhc_enable = true\n';
    await Deno.writeTextFile(`${dir}/proxy.toml`, text);
    const proxy = await Running.start("proxy", "--config", `${dir}/proxy.toml`, "--auth", "both");
    const { code, err } = await proxy.end();
    assertEquals(code, 0);
    assertStringIncludes(err, "realm example.com, second.example, auth both");
  }));

Deno.test("proxy program: the statistics file has the counters at the end", () =>
  inTempDir(async (dir) => {
    const proxy = await Running.start("proxy", ...USUAL, "--stats_file", `${dir}/stats.json`);
    const phone = new TestSocket();
    await phone.send(
      request("OPTIONS", {
        uri: "sip:example.com",
        via: `SIP/2.0/UDP 127.0.0.1:${phone.port};branch=z9hG4bKs`,
      }),
      proxy.port,
    );
    assertEquals(statusOf(await phone.next("answer to OPTIONS")), 200);
    await proxy.end();
    await phone.close();
    const counters = JSON.parse(await Deno.readTextFile(`${dir}/stats.json`));
    assertEquals([counters.received, counters.malformed], [1, 0]);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["stats.json"]);
  }));

Deno.test("proxy program: starts without DBclient, says 503, and serves when it is there; goes on when it is gone again", () =>
  inTempDir(async (dir) => {
    const db = await withSubscribers(dir);
    const port = freeTcpPort();
    const called = new TestSocket();
    const args = [...LISTEN, "--realm", "example.com", "--next_hop", `sip:127.0.0.1:${called.port}`];
    const proxy = await Running.start("proxy", ...args, "--dbclient_port", String(port));
    const phone = new Phone(proxy.port);
    try {
      const refused = await phone.plain("INVITE");
      assertEquals([firstLine(refused), headers(refused, "Retry-After").length], [
        "SIP/2.0 503 Service Unavailable",
        1,
      ]);
      const dbclient = await Running.start("dbclient", "--db", db, "-p", String(port), "-n", "10");
      try {
        await until(() => proxy.err.includes("dbclient_connected"), "the connection to DBclient");
        for (let call = 0; call < 3; call++) {
          const invite = phone.authenticated("INVITE", { callId: `call-${call}` });
          const forwarded = await called.next("INVITE at the called side");
          assertEquals(firstLine(forwarded), "INVITE sip:bob@example.com SIP/2.0");
          await called.send(busy(forwarded), proxy.port);
          assertEquals(firstLine(await called.next("ACK")).split(" ")[0], "ACK");
          assertEquals([statusOf(await invite), phone.caller.confirm(await invite)], [486, "confirmed"]);
        }
      } finally {
        assertEquals((await dbclient.end()).code, 0);
      }
      await until(() => proxy.err.includes("dbclient_lost"), "the loss of DBclient");
      const invite = phone.authenticated("INVITE", { callId: "call-alone" });
      await called.send(busy(await called.next("INVITE without DBclient")), proxy.port);
      await called.next("ACK");
      assertEquals(phone.caller.confirm(await invite), "confirmed");
      const again = await Running.start("dbclient", "--db", db, "-p", String(port));
      try {
        const count = () => proxy.err.split("dbclient_connected").length - 1;
        await until(() => count() === 2, "the second connection to DBclient");
        const other = new Phone(proxy.port, "nobody", "guess");
        assertEquals(statusOf(await other.authenticated("INVITE", { callId: "x" })), 407);
        await other.socket.close();
      } finally {
        await again.end();
      }
    } finally {
      const { code, err } = await proxy.end();
      await Promise.all([phone.socket.close(), called.close()]);
      assertEquals(code, 0);
      for (const secret of ["secret", "token", "Proxy-Authorization"]) assert(!err.includes(secret), err);
    }
  }));

Deno.test("proxy program: the example route asks for INVITE and BYE, and refuses all else", () =>
  inTempDir(async (dir) => {
    const db = await withSubscribers(dir);
    const dbclient = await Running.start("dbclient", "--db", db, "-p", "0");
    const called = new TestSocket();
    const proxy = await Running.start(
      "proxy",
      ...LISTEN,
      "--realm",
      "example.com",
      "--next_hop",
      `sip:127.0.0.1:${called.port}`,
      "--dbclient_port",
      String(dbclient.port),
      "--route",
      "examples/route_invite_and_bye.ts",
    );
    const phone = new Phone(proxy.port);
    try {
      const refused = await phone.plain("OPTIONS");
      assertEquals([statusOf(refused), header(refused, "Allow")], [405, "INVITE, ACK, CANCEL, BYE"]);
      assertEquals(statusOf(await phone.plain("INVITE", { from: "<sip:x@elsewhere.org>" })), 403);
      const invite = phone.authenticated("INVITE", { callId: "call" });
      const forwarded = await called.next("INVITE");
      await called.send(busy(forwarded).replace("486 Busy Here", "200 OK"), proxy.port);
      assertEquals(statusOf(await invite), 200);
      const route = [`Route: ${header(forwarded, "Record-Route")}`];
      const inside = { callId: "call", uri: `sip:bob@127.0.0.1:${called.port}`, toTag: "b", headers: route };
      await phone.socket.send(
        request("ACK", { ...inside, via: `SIP/2.0/UDP 127.0.0.1:${phone.socket.port};branch=z9hG4bKack` }),
        proxy.port,
      );
      assertEquals(firstLine(await called.next("ACK")).split(" ")[0], "ACK");
      assertEquals(statusOf(await phone.plain("BYE", inside)), 407);
      const bye = phone.authenticated("BYE", inside);
      await called.send(busy(await called.next("BYE")).replace("486 Busy Here", "200 OK"), proxy.port);
      assertEquals(statusOf(await bye), 200);
    } finally {
      await proxy.end();
      await dbclient.end();
      await Promise.all([phone.socket.close(), called.close()]);
    }
  }));

Deno.test("proxy program: a datagram of any kind does not end it", async () => {
  const proxy = await Running.start("proxy", ...USUAL, "--auth", "both", "--check_from", "0");
  const phone = new TestSocket();
  const via = (i: number) => ({
    via: `SIP/2.0/UDP 127.0.0.1:${phone.port};branch=z9hG4bKz${i}`,
    uri: "sip:example.com",
  });
  try {
    const odd = [
      "",
      "\0\0\0\0",
      "x".repeat(65_000),
      request("INVITE", {
        headers: [`Proxy-Authorization: PC realm="example.com", username="${"u".repeat(3000)}"`],
      }),
      request("INVITE", { from: "<sip:\u{1f600}@example.com>" }),
      request("INVITE", { via: "SIP/2.0/UDP no.such.host.invalid;branch=z9hG4bKh" }),
      request("MESSAGE", { headers: ["Route: <sip:no.such.host.invalid>"] }),
      request("INVITE", { via: "SIP/2.0/UDP 127.0.0.1:0;branch=z9hG4bKport0" }),
    ];
    for (const text of odd) await phone.send(text, proxy.port);
    for (let i = 0; i < 3; i++) {
      await phone.send(request("OPTIONS", via(i)), proxy.port);
      for (;;) if (header(await phone.next("answer to OPTIONS"), "CSeq").endsWith("OPTIONS")) break;
    }
  } finally {
    const { code, err } = await proxy.end();
    await phone.close();
    assertEquals(code, 0, err);
  }
});
