/** Links over TLS: DBclient's certificate, and those who do not speak TLS or not to the end. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { connectTls, type DbclientTls, encodeFrame, seededRandom } from "../mod.ts";
import { makeAuthority, makeCertificate, noOpenssl } from "../tests/certificates_io.ts";
import type { ServerTls } from "./link_listener_io.ts";
import type { DbclientServerOptions } from "./server_io.ts";
import { AUTH, eventually, eventuallySo, HELLO, KEY, type Setup, user, withServer } from "./testing.ts";

const missing = await noOpenssl();

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

interface Certificates {
  readonly ca: string;
  readonly otherCa: string;
  /** For dbclient.test and 127.0.0.1. */
  readonly first: ServerTls;
  readonly second: ServerTls;
}

let certificates: Promise<Certificates> | undefined;

async function make(): Promise<Certificates> {
  const directory = await Deno.makeTempDir({ prefix: "dbclient_tls_" });
  try {
    const authority = await makeAuthority(`${directory}/ca`);
    const other = await makeAuthority(`${directory}/other`, "Another");
    const read = (path: string) => Deno.readTextFile(path);
    const server = async (base: string, names: string[]) => {
      const files = await makeCertificate(authority, `${directory}/${base}`, names);
      return { cert: await read(files.certificate), key: await read(files.key) };
    };
    return {
      ca: await read(authority.certificate),
      otherCa: await read(other.certificate),
      first: await server("first", ["DNS:dbclient.test", "IP:127.0.0.1"]),
      second: await server("second", ["DNS:second.test"]),
    };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function withTls(
  run: (setup: Setup, certificates: Certificates) => Promise<void>,
  options: Partial<DbclientServerOptions> = {},
): Promise<void> {
  const made = await (certificates ??= make());
  await withServer((setup) => run(setup, made), { tls: made.first, keysOf: () => [KEY], ...options });
}

const by = (tls: DbclientTls) => ({
  keys: [KEY],
  connect: (address: { host: string; port: number }) => connectTls(address, tls),
});

test("TLS: requests of proxies, by name and by address; many and large ones", () =>
  withTls(async ({ server, connect }, { ca }) => {
    const named = connect(by({ caCerts: [ca], name: "dbclient.test" }));
    const addressed = connect(by({ caCerts: [ca] }));
    assert(await named.whenConnected(5000) && await addressed.whenConnected(5000));
    const users = Array.from({ length: 2500 }, (_, i) => user(i));
    const all = await Promise.all(
      [named, addressed].flatMap((proxy) =>
        Array.from({ length: 5 }, () => proxy.issue("SHA-256", users, 60_000))
      ),
    );
    for (const results of all) assert(results.every(({ status }) => status === "ok"));
    assertEquals(server.counters.credentialsIssued, 25_000);
  }));

test("TLS: a wrong name, an unknown authority and plain TCP get nowhere, are told why, counted and logged", () =>
  withTls(async ({ server, log, connect }, { ca, otherCa }) => {
    const right = connect(by({ caCerts: [ca] }));
    assert(await right.whenConnected(5000));
    const cases: [Parameters<typeof connect>[0], RegExp][] = [
      [by({ caCerts: [ca], name: "elsewhere.test" }), /certificate not valid for name "elsewhere.test"/],
      [
        by({ caCerts: [otherCa], name: "dbclient.test" }),
        /invalid peer certificate: UnknownIssuer|BadSignature/,
      ],
      [{ keys: [KEY] }, /frame_too_long: .*the other end speaks TLS/],
    ];
    for (const [options, said] of cases) {
      const { tls } = server.counters.refused;
      const states: string[] = [];
      const proxy = connect({ ...options, onState: (_, text) => states.push(text) });
      await eventuallySo(() => states.length > 0 && server.counters.refused.tls > tls);
      assertMatch(states[0], said);
      await proxy.close();
      assertEquals((await right.issue("SHA-1", [user(1)]))[0].status, "ok");
    }
    assertMatch(log[0], /^connection at 127\.0\.0\.1:\d+: tls: /);
    assertEquals(server.counters.issueFrames, 3);
  }));

test("TLS: right certificate, wrong key", () =>
  withTls(async ({ server, connect }, { ca }) => {
    const states: string[] = [];
    connect({
      ...by({ caCerts: [ca] }),
      keys: [new Uint8Array(16)],
      onState: (_, text) => states.push(text),
    });
    await eventuallySo(() => states.length > 0);
    assertMatch(states[0], /another key/);
    await eventuallySo(() => server.counters.refused.unauthorized > 0);
  }));

test("TLS: who connects and begins no handshake, or none of ours after it, is closed in time", () =>
  withTls(async ({ server }, { ca }) => {
    const read = async (stream: { read(into: Uint8Array): Promise<number | null>; close(): void }) => {
      const buffer = new Uint8Array(4096);
      while (await stream.read(buffer).catch(() => null) !== null);
      stream.close();
    };
    const address = { host: "127.0.0.1", port: server.port };
    const silent = await Deno.connect({ hostname: address.host, port: address.port });
    await Promise.all([read(silent), read(await connectTls(address, { caCerts: [ca] }))]);
    assertEquals(server.counters.refused.timeout, 2);
    await eventuallySo(() => server.counters.connected === 0);
  }, { limits: { handshakeMs: 300 } }));

test("TLS: garbage, halves of a handshake and resets end nothing but their own connection", () =>
  withTls(async ({ server, connect }, { ca }) => {
    const random = seededRandom(7);
    // The begin of a ClientHello (RFC 8446 §4.1.2): record, version, length, handshake type.
    const hello = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3);
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const stream = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      const bytes = random.bytes(1 + random.below(3000));
      if (i % 2 === 0) bytes.set(hello.subarray(0, bytes.length));
      await stream.write(bytes).catch(() => {});
      if (i % 3 === 0) await stream.read(new Uint8Array(100)).catch(() => {});
      stream.close();
    }));
    await eventuallySo(() => server.counters.connections === 200 && server.counters.connected === 0);
    assertEquals(server.counters.refused.tls + server.counters.refused.timeout, 200);
    const proxy = connect(by({ caCerts: [ca] }));
    assertEquals((await eventually(() => proxy.issue("SHA-1", [user(1)])))[0].status, "ok");
  }, { limits: { handshakeMs: 1000 } }));

test("TLS: a proxy that does not read is cut off", () =>
  withTls(async ({ server, connect }, { ca }) => {
    const stream = await connectTls({ host: "127.0.0.1", port: server.port }, { caCerts: [ca] });
    const users = Array.from({ length: 1000 }, (_, i) => user(i));
    await stream.write(HELLO);
    await stream.read(new Uint8Array(4096));
    await stream.write(AUTH);
    await stream.read(new Uint8Array(4096));
    try {
      for (let id = 1;; id++) {
        const bytes = encodeFrame({ type: "ISSUE", id, algorithm: "SHA-256", users });
        for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
      }
    } catch {
      // Cut off.
    }
    stream.close();
    assertEquals(server.counters.refused.slow_reader, 1);
    const proxy = connect({ ...by({ caCerts: [ca] }), keys: [] });
    assertEquals((await eventually(() => proxy.issue("SHA-1", [user(1)], 60_000)))[0].status, "ok");
  }, { n: 1, limits: { writeMs: 300 }, keysOf: () => [] }));

test("TLS: another certificate for new connections; open ones stay; a bad one changes nothing", () =>
  withTls(async ({ server, connect }, { ca, first, second }) => {
    const before = connect(by({ caCerts: [ca], name: "dbclient.test" }));
    assert(await before.whenConnected(5000));
    server.setTls(second);
    assert(await connect(by({ caCerts: [ca], name: "second.test" })).whenConnected(5000));
    assertEquals((await before.issue("SHA-1", [user(1)]))[0].status, "ok");
    assertThrows(
      () => server.setTls({ cert: first.cert, key: second.key }),
      Error,
      "not that of the certificate",
    );
    assertThrows(() => server.setTls({ cert: "x", key: second.key }), Error, "no PEM certificate");
    assertThrows(() => server.setTls({ cert: first.cert, key: "x" }), Error, "no PEM key");
    assert(await connect(by({ caCerts: [ca], name: "second.test" })).whenConnected(5000));
  }));
