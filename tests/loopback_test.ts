/** Scenarios of tests/sim over real sockets: the programs' own proxy and DBclient in one process, on loopback. */
import { assert, assertEquals } from "@std/assert";
import { type Address, formatAddress, ha1, loadHashBackend, parseFlags } from "../mod.ts";
import { DbclientServer } from "../dbclient/server_io.ts";
import { SqliteStore } from "../dbclient/sqlite_store_io.ts";
import { PROXY_FLAGS } from "../proxy/options.ts";
import { RunningProxy } from "../proxy/proxy_io.ts";
import { readSettings } from "../proxy/settings.ts";
import { Loopback } from "./loopback_io.ts";
import { CalledSide } from "./sim/called_side.ts";
import { type Call, type CallOptions, Device } from "./sim/device.ts";
import { isOver, REALM } from "./sim/world.ts";

const { backend } = await loadHashBackend();
const N = 10;

/** One system: DBclient on a SQLite database in memory, a proxy, the called side, and devices. */
class System {
  readonly around = new Loopback(backend);
  readonly store = new SqliteStore(":memory:");
  dbclient!: DbclientServer;
  proxy!: RunningProxy;
  called!: CalledSide;
  hop!: Address;
  #port = 0;
  #probes = 0;

  static async start(dbclientUp = true): Promise<System> {
    const system = new System();
    const rows = ["alice", "carol", "bob"].map((username) => ({
      username,
      realm: REALM,
      hashes: {
        ha1: ha1(backend.get("MD5"), { username, realm: REALM }, `${username}'s`),
        ha1_sha256: "",
        ha1_sha512t256: "",
      },
      password: "",
    }));
    await system.store.write(rows, false);
    await system.startDbclient();
    if (!dbclientUp) await system.dbclient.close();
    const bob = { username: "bob", realm: REALM, password: "bob's" };
    system.called = new CalledSide(system.around, await system.around.network.open(), bob);
    system.called.ring = 5;
    await system.startProxy(0);
    if (dbclientUp) await system.fetchesWork();
    return system;
  }

  async startDbclient(): Promise<void> {
    this.dbclient = await DbclientServer.start({
      host: "127.0.0.1",
      port: this.#port,
      store: this.store,
      hashes: backend,
      n: N,
      ttl: 3600,
      issuerSecret: new Uint8Array(32).fill(5),
      log: () => {},
    });
    this.#port = this.dbclient.port;
  }

  async startProxy(port: number): Promise<void> {
    const { values } = parseFlags(PROXY_FLAGS, [
      `--listen=udp:127.0.0.1:${port}`,
      `--realm=${REALM}`,
      `--next_hop=sip:${formatAddress(this.called.address)}`,
      "--auth_methods=INVITE,BYE",
      `--dbclient_port=${this.#port}`,
      "--prefetch_delay=0.05",
    ]);
    this.proxy = await RunningProxy.start({
      values,
      settings: readSettings(values),
      hashes: backend,
      keys: [],
      route: undefined,
      log: () => {},
    });
    this.hop = this.proxy.listening[0];
  }

  /** A new run on the same port: another opaque, an empty cache. */
  async restartProxy(): Promise<void> {
    await this.proxy.close();
    await this.startProxy(this.hop.port);
    await this.fetchesWork();
  }

  /** Waits until the proxy has its connection to DBclient. */
  async fetchesWork(): Promise<void> {
    for (let i = 0; i < 200; i++) {
      // Another name each time: what is in the cache asks nobody.
      const probe = await this.device(`nobody-${this.#probes++}`);
      let status = -1;
      probe.ask("INVITE", this.hop, (outcome) => status = outcome.status);
      assert(await this.around.until(() => status >= 0));
      if (status !== 503) return;
      await this.around.until(() => false, 50);
    }
    throw new Error("the proxy does not reach DBclient");
  }

  async device(username: string): Promise<Device> {
    const account = { username, realm: REALM, password: `${username}'s` };
    return new Device(this.around, await this.around.network.open(), account);
  }

  /** Makes a call and waits for its end. */
  async call(device: Device, options: Partial<CallOptions> = {}): Promise<Call> {
    const call = device.call({ hop: this.hop, hold: 5, ...options });
    assert(await this.around.until(() => isOver(call)), "the call does not end");
    return call;
  }

  async close(): Promise<void> {
    await this.proxy.close();
    await this.dbclient.close();
    await this.around.close();
    await this.store.close();
  }
}

async function withSystem(body: (system: System) => Promise<void>, dbclientUp = true): Promise<void> {
  const system = await System.start(dbclientUp);
  try {
    await body(system);
  } finally {
    await system.close();
  }
}

Deno.test("loopback: calls of several devices, some under one name", () =>
  withSystem(async (system) => {
    const devices = [
      await system.device("alice"),
      await system.device("alice"),
      await system.device("carol"),
      await system.device("carol"),
    ];
    const before = system.dbclient.counters.usersAsked;
    for (let round = 0; round < 8; round++) {
      const calls = await Promise.all(devices.map((device) => system.call(device)));
      for (const { invite, bye } of calls) {
        assertEquals([invite?.status, invite?.confirmation], [200, "confirmed"]);
        assertEquals([bye?.status, bye?.confirmation], [200, "confirmed"]);
      }
    }
    const tokens = 8 * devices.length * 2;
    assert(system.dbclient.counters.usersAsked - before <= 2 * tokens / N + 4);
    const wrong = new Device(system.around, await system.around.network.open(), {
      username: "alice",
      realm: REALM,
      password: "wrong",
    });
    assertEquals((await system.call(wrong)).invite?.status, 407);
  }));

Deno.test("loopback: a restarted proxy is accepted after one challenge more", () =>
  withSystem(async (system) => {
    const alice = await system.device("alice");
    assertEquals((await system.call(alice)).invite?.status, 200);
    for (let i = 0; i < 3; i++) {
      await system.restartProxy();
      const { invite, bye } = await system.call(alice);
      assertEquals([invite?.status, bye?.status, invite?.confirmation], [200, 200, "confirmed"]);
      assert(invite!.challenges <= 2 && bye!.challenges <= 1);
    }
  }));

Deno.test("loopback: DBclient ends, tokens go on, then 503; it comes back and so do the calls", () =>
  withSystem(async (system) => {
    const alice = await system.device("alice");
    assertEquals((await system.call(alice)).invite?.status, 200);
    await system.dbclient.close();
    for (let i = 1; i < N / 2; i++) assertEquals((await system.call(alice)).invite?.status, 200);
    const { invite } = await system.call(alice);
    assertEquals(invite?.status, 503);
    assert(Number(invite?.retryAfter) > 0);
    await system.startDbclient();
    await system.fetchesWork();
    assertEquals((await system.call(alice)).invite?.status, 200);
  }));

Deno.test("loopback: a proxy starts while DBclient is down", () =>
  withSystem(async (system) => {
    const alice = await system.device("alice");
    const { invite } = await system.call(alice);
    assertEquals(invite?.status, 503);
    assert(Number(invite?.retryAfter) > 0);
    await system.startDbclient();
    await system.fetchesWork();
    assertEquals((await system.call(alice)).invite?.status, 200);
  }, false));
