/** Two DBclients: one is killed, or hangs, and nobody notices but the log (docs/PROTOCOL.md §9). */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DbclientConnection, loadHashBackend } from "../mod.ts";
import { BusySide, Phone, withSubscribers } from "../proxy/test_phone.ts";
import { freeTcpPort, inTempDir, run, Running, until } from "../proxy/test_process.ts";
import { statusOf } from "../proxy/testing.ts";
import { makeAuthority, makeCertificate, noOpenssl } from "./certificates_io.ts";
import { Asking, makeSubscribers } from "./dbclient_processes_io.ts";

const sha256 = (await loadHashBackend()).backend.get("SHA-256");

const missing = await noOpenssl();

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

Deno.test("fail-over: of two DBclients the preferred one is killed, comes back, and hangs: no request is lost", () =>
  inTempDir(async (dir) => {
    const users = await makeSubscribers(`${dir}/a.db`, 200);
    const start = (port: number) =>
      Running.start("dbclient", "--db", `sqlite:${dir}/a.db`, "-p", String(port), "--workers", "1");
    const ports = [freeTcpPort(), freeTcpPort()];
    let first = await start(ports[0]);
    const second = await start(ports[1]);
    const events: string[] = [];
    const states: boolean[] = [];
    const dbclient = new DbclientConnection({
      addresses: ports.map((port) => ({ host: "127.0.0.1", port })),
      sha256,
      backoff: { min: 5, max: 100 },
      onPeer: (name, up) => events.push(`${ports.indexOf(Number(name.split(":")[1]))} ${up ? "up" : "down"}`),
      onState: (connected) => states.push(connected),
    });
    try {
      await until(() => events.length === 2, "both links");
      events.length = 0;
      const asking = new Asking(dbclient, users, 60_000);
      await asking.more(20);
      first.child.kill("SIGKILL");
      await first.child.status;
      await asking.more(20);
      first = await start(ports[0]);
      await until(() => events.includes("0 up"), "the link to the first one");
      await asking.more(20);
      first.child.kill("SIGSTOP");
      await asking.more(20);
      first.child.kill("SIGCONT");
      await until(() => events.filter((event) => event === "0 up").length === 2, "the first one again");
      await asking.more(20);
      // What it issues from now on comes from the preferred one: the other may go.
      assertEquals((await second.end()).code, 0);
      await asking.more(20);
      assertEquals(await asking.end(), []);
      assertEquals(events, ["0 down", "0 up", "0 down", "0 up", "1 down"]);
      assertEquals(states, [true]);
    } finally {
      await dbclient.close();
      await first.end();
    }
  }));

test("programs: two DBclients with TLS and keys, a proxy that fails over, and a key that is changed while it serves", () =>
  inTempDir(async (dir) => {
    const authority = await makeAuthority(`${dir}/ca`);
    const { certificate, key } = await makeCertificate(authority, `${dir}/dbclient`, ["DNS:dbclient.test"]);
    const names = Array.from({ length: 8 }, (_, i) => `user${i}`);
    const db = await withSubscribers(dir, names);
    const hex = ["00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"];
    const write = (file: string, text: string) => Deno.writeTextFile(`${dir}/${file}`, text, { mode: 0o600 });
    await write("keys", `edge-1 ${hex[0]} example.com\n`);
    await write("key", hex[0]);
    const tls = ["--tls_certificate", certificate, "--tls_private_key", key, "--keys_file", `${dir}/keys`];
    const ports = [freeTcpPort(), freeTcpPort()];
    const start = (port: number) =>
      Running.start("dbclient", "--db", db, "-p", String(port), ...tls, "--key_overlap", "5");
    const dbclients = await Promise.all(ports.map(start));
    for (const { err } of dbclients) assertMatch(err, /, TLS, with a key\n/);
    const called = new BusySide();
    const proxyArgs = [
      ...[
        "--listen",
        "udp:127.0.0.1:0",
        "--realm",
        "example.com",
        "--next_hop",
        `sip:127.0.0.1:${called.port}`,
      ],
      ...["--dbclient_addr", ports.map((port) => `127.0.0.1:${port}`).join(), "--proxy_name", "edge-1"],
      ...["--key_file", `${dir}/key`, "--dbclient_tls_ca", authority.certificate],
    ];
    const threads = ["--workers", Deno.build.os === "linux" ? "2" : "1"];
    const proxy = await Running.start(
      "proxy",
      ...proxyArgs,
      ...threads,
      "--dbclient_tls_name",
      "dbclient.test",
    );
    const call = async (name: string) => {
      const phone = new Phone(proxy.port, name);
      const status = statusOf(await phone.authenticated("INVITE", { callId: `call-of-${name}` }));
      await phone.socket.close();
      return status;
    };
    try {
      assertStringIncludes(proxy.err, `dbclient 127.0.0.1:${ports[0]}, 127.0.0.1:${ports[1]} over TLS`);
      assertEquals(await call("user0"), 486);
      // The key is changed: first at the DBclients, then at the proxy.
      await write("keys", `edge-1 ${hex[1]} example.com\n`);
      for (const dbclient of dbclients) {
        dbclient.child.kill("SIGHUP");
        await until(() => dbclient.err.includes("keys that went from it"), "new keys");
      }
      await write("key", hex[1]);
      proxy.child.kill("SIGHUP");
      await until(() => proxy.err.includes("was read again"), "the new key at the proxy");
      assertEquals(await call("user1"), 486);
      await until(() => proxy.err.includes("dbclient_up"), "links under the new key");
      assertEquals(await call("user2"), 486);
      // One is killed; the first question after it is answered by the other.
      dbclients[0].child.kill("SIGKILL");
      await dbclients[0].child.status;
      assertEquals([await call("user3"), await call("user4")], [486, 486]);
      const down = new RegExp(`dbclient_down proxy: DBclient 127\\.0\\.0\\.1:${ports[0]} is down: \\S`);
      await until(() => down.test(proxy.err), "the log line");
      assert(hex.every((secret) => !proxy.err.includes(secret)));
      assertEquals((await proxy.end()).code, 0);

      // A wrong name, and a wrong key: a log line each; DBclient serves on.
      const wrong = await Running.start("proxy", ...proxyArgs, "--dbclient_tls_name", "elsewhere.test");
      assertStringIncludes(wrong.err, "certificate not valid for name");
      await wrong.end();
      await write("key", hex[0]);
      const stranger = await Running.start("proxy", ...proxyArgs, "--dbclient_tls_name", "dbclient.test");
      assertStringIncludes(stranger.err, "unauthorized");
      await stranger.end();
    } finally {
      await Promise.all([called.close(), dbclients[1].end()]);
    }
  }));

test("programs: off loopback they refuse to begin without TLS or without a key", () =>
  inTempDir(async (dir) => {
    const authority = await makeAuthority(`${dir}/ca`);
    await Deno.writeTextFile(`${dir}/key`, "k".repeat(32), { mode: 0o600 });
    const tls = ["--tls_certificate", authority.certificate, "--tls_private_key", authority.key];
    const key = ["--key_file", `${dir}/key`];
    const dbclient = ["--db", `sqlite:${dir}/a.db`, "-p", "0", "-h", "0.0.0.0"];
    const proxy = ["--realm", "example.com", "--listen", "udp:127.0.0.1:0", "--dbclient_addr", "192.0.2.1"];
    const cases: ["dbclient" | "proxy", string[], string][] = [
      ["dbclient", [...dbclient, ...tls], "that needs a key"],
      ["dbclient", [...dbclient, ...key], "that needs TLS"],
      ["dbclient", dbclient, "that needs TLS (--tls_certificate FILE, --tls_private_key FILE) and a key"],
      [
        "dbclient",
        ["--tls_certificate", "x"],
        "needs both --tls_certificate FILE and --tls_private_key FILE",
      ],
      ["proxy", [...proxy, "--dbclient_tls", "1"], "that needs a key"],
      ["proxy", [...proxy, ...key], "that needs TLS"],
    ];
    for (const [program, args, said] of cases) {
      const { code, err } = await run(program, ...args);
      assertEquals([code, err.trimEnd().split("\n").length], [2, 1], err);
      assertStringIncludes(err, said);
    }
    const bad = await run(
      "dbclient",
      "--db",
      `sqlite:${dir}/a.db`,
      "--tls_certificate",
      `${dir}/key`,
      "--tls_private_key",
      authority.key,
    );
    assertStringIncludes(bad.err, "the certificate is no PEM certificate");
  }));
