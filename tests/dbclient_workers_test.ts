/** `dbclient --workers N`: processes that share a port, of which one may die at any time (docs/PROTOCOL.md §9). */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import {
  DbclientConnection,
  decoySecret,
  deriveCredential,
  loadHashBackend,
  parseFlags,
  parseLinkKey,
} from "../mod.ts";
import { sumCounters } from "../dbclient/counters_sum.ts";
import { SERVER_FLAGS } from "../dbclient/options.ts";
import type { ServiceSetup } from "../dbclient/service_io.ts";
import { StoreError } from "../dbclient/subscriber.ts";
import { Supervisor } from "../dbclient/workers/supervisor_io.ts";
import { inTempDir, run, Running, until } from "../proxy/test_process.ts";
import { Asking, childrenOf, isAlive, makeSubscribers } from "./dbclient_processes_io.ts";

const { backend } = await loadHashBackend();
const sha256 = backend.get("SHA-256");
const ignore = Deno.build.os !== "linux";
function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: ignore ? `${name} (skipped: processes share a port on Linux alone)` : name, ignore, fn });
}

const HEX = { old: "00112233445566778899aabbccddeeff", fresh: "ffeeddccbbaa99887766554433221100" };

const connect = (port: number, name = "proxy", keys: readonly string[] = []) =>
  new DbclientConnection({
    addresses: [{ host: "127.0.0.1", port }],
    name,
    keys: keys.map(parseLinkKey),
    sha256,
    backoff: { min: 5, max: 100 },
  });

/** What a supervisor is set up with, for a database that is there. */
function setupOf(path: string, port = 0): ServiceSetup {
  const { values } = parseFlags(SERVER_FLAGS, ["--db", `sqlite:${path}`]);
  const keys = { any: [], named: undefined };
  return { values, given: ["db"], password: "", issuerSecret: "ab".repeat(32), keys, port };
}

test("workers: kill -9 of one mid-batch, again and again: no request is lost, another one starts", () =>
  inTempDir(async (dir) => {
    const users = await makeSubscribers(`${dir}/a.db`, 500);
    const stats = `${dir}/stats.json`;
    const args = [
      "--db",
      `sqlite:${dir}/a.db`,
      "-p",
      "0",
      "-n",
      "20",
      "--workers",
      "2",
      "--stats_file",
      stats,
    ];
    const dbclient = await Running.start("dbclient", ...args);
    assertMatch(dbclient.err, /, 2 workers\n/);
    const proxies = Array.from({ length: 6 }, (_, i) => connect(dbclient.port, `p${i}`));
    try {
      for (const proxy of proxies) assert(await proxy.whenConnected(10_000));
      const asking = proxies.map((proxy) => new Asking(proxy, users, 60_000));
      for (let kills = 1; kills <= 4; kills++) {
        await Promise.all(asking.map((each) => each.more(3)));
        const workers = await childrenOf(dbclient.child.pid);
        assertEquals(workers.length, 2);
        Deno.kill(workers[kills % 2], "SIGKILL");
        await until(() => dbclient.err.split("serves again").length > kills, "a new worker");
      }
      await Promise.all(asking.map((each) => each.more(3)));
      for (const each of asking) assertEquals(await each.end(), []);
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    }
    const workers = await childrenOf(dbclient.child.pid);
    const { code, err } = await dbclient.end();
    assertEquals(code, 0);
    assertStringIncludes(err, "ended by SIGKILL; another is started");
    assertMatch(err, /ended: \d+ credentials/);
    for (const worker of workers) assertEquals(await isAlive(worker), false);
    const { credentialsIssued, connected } = JSON.parse(await Deno.readTextFile(stats));
    assert(credentialsIssued > 0);
    assertEquals(connected, 0);
  }));

test("workers: they end with a supervisor that was killed, and at its orderly end by either signal", () =>
  inTempDir(async (dir) => {
    await makeSubscribers(`${dir}/a.db`, 1);
    for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
      const dbclient = await Running.start(
        "dbclient",
        "--db",
        `sqlite:${dir}/a.db`,
        "-p",
        "0",
        "--workers",
        "3",
      );
      const workers = await childrenOf(dbclient.child.pid);
      assertEquals(workers.length, 3);
      const proxy = connect(dbclient.port);
      assert(await proxy.whenConnected(10_000));
      const { code } = await dbclient.end(signal);
      if (signal !== "SIGKILL") assertEquals(code, 0);
      let alive = workers;
      await until(() => {
        Promise.all(workers.map(isAlive)).then((are) => alive = workers.filter((_, i) => are[i]));
        return alive.length === 0;
      }, `the end of the workers after ${signal}`);
      await proxy.close();
    }
  }));

test("workers: nothing secret is in their arguments or environment", () =>
  inTempDir(async (dir) => {
    await makeSubscribers(`${dir}/a.db`, 1);
    const key = "k".repeat(40);
    await Deno.writeTextFile(`${dir}/key`, key, { mode: 0o600 });
    const args = ["--db", `sqlite:${dir}/a.db`, "-p", "0", "--workers", "2", "--key_file", `${dir}/key`];
    const dbclient = await Running.start("dbclient", ...args);
    for (const worker of await childrenOf(dbclient.child.pid)) {
      for (const file of ["cmdline", "environ"]) {
        const text = await Deno.readTextFile(`/proc/${worker}/${file}`);
        assert(!text.includes(key) && !text.includes(dir), file);
      }
      assertStringIncludes(await Deno.readTextFile(`/proc/${worker}/environ`), "PROXYCHAIN_DB_PASSWORD=\0");
    }
    assertEquals((await dbclient.end()).code, 0);
  }));

test("workers: one that hangs is replaced; counters of all, of those that are gone too; keys reach the new one", () =>
  inTempDir(async (dir) => {
    const [user] = await makeSubscribers(`${dir}/a.db`, 1);
    const log: string[] = [];
    const supervisor = await Supervisor.start({
      workers: 2,
      setup: setupOf(`${dir}/a.db`),
      log: (line) => log.push(line),
      silenceMs: 3000,
    });
    const stopped = supervisor.pids[0]!;
    const key = HEX.fresh;
    try {
      const proxies = Array.from({ length: 8 }, (_, i) => connect(supervisor.port, `p${i}`, [key]));
      assertEquals(await proxies[0].whenConnected(100), false);
      supervisor.setKeys({ any: [key], named: undefined });
      for (const proxy of proxies) {
        assert(await proxy.whenConnected(10_000));
        assertEquals((await proxy.issue("SHA-1", [user]))[0].status, "ok");
      }
      await until(
        () => sumCounters(supervisor.counters()).credentialsIssued === 8,
        "the report of counters",
      );
      assertEquals([sumCounters(supervisor.counters()).connected, supervisor.counters().length], [8, 3]);
      Deno.kill(stopped, "SIGSTOP");
      await until(() => log.some((line) => line.includes("serves again")), "a new worker", 30_000);
      assertMatch(
        log.join("\n"),
        /worker 1: nothing was heard of it for 3 s; it is ended\nworker 1: ended by SIGKILL/,
      );
      await Promise.all(proxies.map((proxy) => proxy.close()));
      const fresh = Array.from({ length: 8 }, (_, i) => connect(supervisor.port, `p${i}`, [key]));
      for (const proxy of fresh) assert(await proxy.whenConnected(10_000));
      await until(() => sumCounters(supervisor.counters()).connected === 8, "the counters of the new one");
      assertEquals(sumCounters(supervisor.counters()).credentialsIssued, 8);
      // A decoy is that of the one issuer secret, whichever worker issues it.
      const nobody = { username: "nobody", realm: "example.com" };
      const secret = decoySecret(sha256, new Uint8Array(32).fill(0xab), nobody);
      for (const proxy of fresh) {
        const [result] = await proxy.issue("SHA-1", [nobody]);
        assert(result.status === "ok");
        const { nonce, n, key } = result.credential;
        assertEquals(key, deriveCredential(backend.get("SHA-1"), secret, nobody, nonce, n).key);
      }
      await Promise.all(fresh.map((proxy) => proxy.close()));
    } finally {
      await supervisor.close();
    }
    assertEquals(supervisor.pids, [undefined, undefined]);
    assertEquals(sumCounters(supervisor.counters()).credentialsIssued, 16);
  }));

test("workers: when one cannot begin, none is left and the reason is one line", () =>
  inTempDir(async (dir) => {
    await makeSubscribers(`${dir}/a.db`, 1);
    const stranger = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const cases: [ServiceSetup, string][] = [
      [setupOf(`${dir}/a.db`, stranger.addr.port), `127.0.0.1:${stranger.addr.port} is in use`],
      [setupOf(`${dir}/none/a.db`), "none/a.db"],
    ];
    for (const [setup, said] of cases) {
      await assertRejects(() => Supervisor.start({ workers: 2, setup, log: () => {} }), StoreError, said);
    }
    stranger.close();
    // Workers share their port with each other, and with nobody else who does the same.
    const dbclient = await Running.start(
      "dbclient",
      "--db",
      `sqlite:${dir}/a.db`,
      "-p",
      "0",
      "--workers",
      "2",
    );
    const second = await run("dbclient", "--db", `sqlite:${dir}/a.db`, "-p", String(dbclient.port));
    assertEquals(second.code, 1);
    assertMatch(second.err, /^\S+ CRIT failed dbclient: \S+ is in use by another program\n$/);
    await dbclient.end();
  }));

test("SIGHUP: keys and realms of the file are taken, old keys stay good; a file that is wrong changes nothing", () =>
  inTempDir(async (dir) => {
    const [user] = await makeSubscribers(`${dir}/a.db`, 1);
    const keysFile = `${dir}/keys`;
    const write = (text: string) => Deno.writeTextFile(keysFile, text, { mode: 0o600 });
    await write(`edge-1 ${HEX.old}\nedge-2 ${HEX.old} other.org\n`);
    for (const workers of ["1", "2"]) {
      const args = ["--db", `sqlite:${dir}/a.db`, "-p", "0", "--workers", workers, "--keys_file", keysFile];
      const dbclient = await Running.start("dbclient", ...args, "--key_overlap", "5");
      const { port } = dbclient;
      const hangUp = async (said: string) => {
        const before = dbclient.err.length;
        dbclient.child.kill("SIGHUP");
        await until(() => dbclient.err.slice(before).includes(said), said);
      };
      const [old, limited] = [connect(port, "edge-1", [HEX.old]), connect(port, "edge-2", [HEX.old])];
      assert(await old.whenConnected(10_000) && await limited.whenConnected(10_000));
      assertEquals(await limited.issue("SHA-1", [user]), [{ status: "error", code: "forbidden_realm" }]);

      await write(`edge-1 ${HEX.fresh}\nedge-2 short`);
      await hangUp("keys:2:8: the key is no hexadecimal number");
      assertStringIncludes(dbclient.err, "the keys of before stay in force");
      await Deno.chmod(keysFile, 0o644);
      await hangUp("may be read by others; it takes chmod 600");
      await Deno.chmod(keysFile, 0o600);
      const tooSoon = connect(port, "edge-1", [HEX.fresh]);
      assertEquals(await tooSoon.whenConnected(200), false);
      await tooSoon.close();

      await write(`edge-1 ${HEX.fresh}\nedge-2 ${HEX.old} other.org,example.com\n`);
      await hangUp("keys that went from it are accepted for 5 s more");
      const [fresh, late] = [connect(port, "edge-1", [HEX.fresh]), connect(port, "edge-1", [HEX.old])];
      assert(await fresh.whenConnected(10_000) && await late.whenConnected(10_000));
      assertEquals((await limited.issue("SHA-1", [user]))[0].status, "ok");
      // The overlap is over: links under the old key end, and cannot be made again.
      await until(() => !old.connected && !late.connected, "the end of the old key");
      assertEquals(await late.whenConnected(300), false);
      late.setKeys([HEX.fresh, HEX.old].map(parseLinkKey));
      assert(await late.whenConnected(10_000));
      assert(fresh.connected);

      // A name that went is not served from now on.
      await write(`edge-1 ${HEX.fresh}\n`);
      await hangUp("was read again");
      await until(() => !limited.connected, "the end of edge-2");
      assert(!dbclient.err.includes(HEX.old) && !dbclient.err.includes(HEX.fresh));
      await Promise.all([old, limited, fresh, late].map((each) => each.close()));
      assertEquals((await dbclient.end()).code, 0);
      await write(`edge-1 ${HEX.old}\nedge-2 ${HEX.old} other.org\n`);
    }
  }));
