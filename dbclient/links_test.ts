/** Proxies, and strangers, that pass the limits of a link: each is told, counted and logged, and the others go on. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DbclientUnavailable, encodeFrame, FrameReader, handshakeProof, type Identity } from "../mod.ts";
import type { RefusalReason } from "./counters.ts";
import type { DbclientServer } from "./server_io.ts";
import { AUTH, eventually, eventuallySo, HELLO, KEY, raw, sha256, user, withServer } from "./testing.ts";

/** What was refused, without the zeros. */
function refused({ counters }: DbclientServer): Partial<Record<RefusalReason, number>> {
  return Object.fromEntries(Object.entries(counters.refused).filter(([, count]) => count > 0));
}

Deno.test("a truncated frame, another version, a wrong key, no key: an ERROR, a log line and a counter each", () =>
  withServer(async ({ server, log, connect }) => {
    const proxy = connect({ keys: [KEY] });
    assert(await proxy.whenConnected(5000));
    const code = async (...pieces: Uint8Array[]) => {
      const last = (await raw(server.port, ...pieces)).at(-1);
      return last?.type === "ERROR" ? `${last.code}: ${last.text}` : last?.type;
    };
    const otherVersion = HELLO.slice();
    otherVersion[9] = 2;
    const shortName = HELLO.slice(0, 12);
    new DataView(shortName.buffer).setUint32(0, 8);
    assertMatch(String(await code(otherVersion)), /^unsupported_version: .*2/);
    assertMatch(String(await code(shortName)), /^truncated_field: /);
    assertMatch(String(await code(HELLO, AUTH)), /^unauthorized: /);
    const half = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await half.write(HELLO.subarray(0, 20));
    half.close();
    const wrong = connect({ keys: [new Uint8Array(16)], name: "wr\nong" });
    await eventuallySo(() => server.counters.refused.unauthorized >= 2);
    await wrong.close();
    await eventuallySo(() => server.counters.refused.truncated_field === 2);
    const { unauthorized, ...others } = refused(server);
    assertEquals(others, { unsupported_version: 1, truncated_field: 2 });
    assert(unauthorized! >= 2);
    assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
    const said = log.map((line) => line.replace(/127\.0\.0\.1:\d+/, "HOST"));
    assert(said.some((line) => line.startsWith("connection at HOST: unsupported_version: ")), said.join("|"));
    assert(said.some((line) => line.startsWith("connection at HOST: truncated_field: ")), said.join("|"));
    assert(said.some((line) => /^proxy "(raw|wr\?ong)" at HOST: unauthorized: /.test(line)), said.join("|"));
    assert(said.every((line) => !line.includes("\n")));
  }, { keysOf: () => [KEY] }));

Deno.test("TLS where there is none is named in the log", () =>
  withServer(async ({ server, log }) => {
    await Deno.connectTls({ hostname: "127.0.0.1", port: server.port }).then(
      (stream) => stream.handshake().finally(() => stream.close()),
    ).catch(() => {});
    await eventuallySo(() => log.length > 0);
    assertMatch(log[0], /frame_too_long: .*the other end speaks TLS/);
  }));

Deno.test("a name that is not served has no keys", () =>
  withServer(async ({ server, connect }) => {
    const states: string[] = [];
    connect({ name: "stranger", keys: [KEY], onState: (_, text) => states.push(text) });
    assert(await connect({ name: "edge-1", keys: [KEY] }).whenConnected(5000));
    await eventuallySo(() => states.length > 0);
    assertMatch(states[0], /unauthorized: .*not served/);
    assert(server.counters.refused.unauthorized >= 1);
  }, { keysOf: (name) => name === "edge-1" ? [KEY] : undefined }));

Deno.test("who connects and says nothing, or stops after HELLO, is sent away when the handshake's time is over", () =>
  withServer(async ({ server, log }) => {
    const ends = await Promise.all([raw(server.port), raw(server.port, HELLO)]);
    assertEquals(
      ends.map((frames) => frames.map((frame) => frame.type === "ERROR" ? frame.code : frame.type)),
      [
        ["timeout"],
        ["WELCOME", "timeout"],
      ],
    );
    assertEquals(refused(server), { timeout: 2 });
    assertMatch(log[0], /^connection at 127\.0\.0\.1:\d+: timeout: the handshake took too long$/);
    await eventuallySo(() => server.counters.connected === 0);
  }, { limits: { handshakeMs: 200 } }));

Deno.test("a proxy that falls silent is sent a PING, and away", () =>
  withServer(async ({ server }) => {
    const frames = await raw(server.port, HELLO, AUTH);
    assertEquals(frames.map((frame) => frame.type === "ERROR" ? frame.code : frame.type), [
      "WELCOME",
      "READY",
      "PING",
      "timeout",
    ]);
    assertEquals(refused(server), { timeout: 1 });
  }, { limits: { idleMs: 3000 } }));

/** 10,000, or what the limit of open files leaves room for. */
const MANY = Math.min(10_000, await openFiles() - 1500);

async function openFiles(): Promise<number> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -n"] }).output();
  return Number(new TextDecoder().decode(stdout)) || Infinity;
}

Deno.test("10,000 connections from one address: proxies are served on, those from there too, and the log stays short", () =>
  withServer(async ({ server, log, connect }) => {
    const proxy = connect();
    assert(await proxy.whenConnected(5000));
    const streams: Deno.TcpConn[] = [];
    let opened = 0;
    const open = async () => {
      while (opened < MANY) {
        opened++;
        streams.push(await Deno.connect({ hostname: "127.0.0.1", port: server.port }));
        if (opened % 1000 === 0) assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
      }
    };
    try {
      await Promise.all(Array.from({ length: 50 }, open));
      await eventuallySo(() => server.counters.connections === MANY + 1);
      for (const other of [connect({ name: "late" }), proxy]) {
        assert(await other.whenConnected(5000));
        assertEquals((await other.issue("SHA-1", [user(1)]))[0].status, "ok");
      }
      assert(server.counters.connected <= 256, `${server.counters.connected} are connected`);
      assert(server.counters.refused.connections_per_address >= MANY - 1000);
      assert(log.length <= 2, log.join("\n"));
      assertMatch(
        log[0],
        /^connection at 127\.0\.0\.1:\d+: connections_per_address: too many connections from/,
      );
    } finally {
      for (const stream of streams) stream.close();
    }
  }));

Deno.test("in all, strangers give way to those that come; proxies that have proven themselves never", () =>
  withServer(async ({ server, connect }) => {
    const proxies = Array.from({ length: 3 }, (_, i) => connect({ name: `p${i}` }));
    for (const proxy of proxies) assert(await proxy.whenConnected(5000));
    const silent = raw(server.port);
    await eventuallySo(() => server.counters.connected === 4);
    const fourth = connect({ name: "p3" });
    assert(await fourth.whenConnected(5000));
    const told = (await silent).map((frame) => frame.type === "ERROR" ? frame.code : frame.type);
    assertEquals(told, ["busy"]);
    const fifth = (await raw(server.port, HELLO)).map((frame) => frame.type === "ERROR" && frame.text);
    assertEquals(fifth, ["too many connections"]);
    for (const proxy of [...proxies, fourth]) {
      assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
    }
    assertEquals(refused(server), { connections: 2 });
  }, { limits: { connections: 4 } }));

Deno.test("a frame over the limit ends the link; one below it is taken", () =>
  withServer(async ({ server }) => {
    const issue = (count: number) =>
      encodeFrame({
        type: "ISSUE",
        id: 1,
        algorithm: "SHA-1",
        users: Array.from({ length: count }, (_, i) => user(i)),
      });
    const frames = await raw(server.port, HELLO, AUTH, issue(10), issue(300));
    const last = frames.at(-1)!;
    assert(last.type === "ERROR");
    assertMatch(last.text, /at most 4096/);
    assertEquals(refused(server), { frame_too_long: 1 });
  }, { limits: { frameBytes: 4096 } }));

Deno.test("requests in flight above the limit are refused one by one; the link stays", () =>
  withServer(async ({ server, store, connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    let open = () => {};
    store.gate = new Promise((resolve) => open = resolve);
    const asked = Array.from({ length: 5 }, () => proxy.issue("SHA-1", [user(1)], 60_000));
    const outcomes = Promise.allSettled(asked);
    await eventuallySo(() => server.counters.refused.frames_in_flight === 2);
    open();
    const statuses = (await outcomes).map((outcome) =>
      outcome.status === "fulfilled" ? outcome.value[0].status : outcome.reason.message
    );
    const busy = "busy: more than 3 requests in flight";
    assertEquals(statuses, ["ok", "ok", "ok", busy, busy]);
    assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
  }, { limits: { framesInFlight: 3 } }));

Deno.test("users above a proxy's rate are refused; another proxy is not held up, the link stays", () =>
  withServer(async ({ server, log, connect }) => {
    const [heavy, light] = [connect({ name: "heavy" }), connect({ name: "light" })];
    assert(await heavy.whenConnected(5000) && await light.whenConnected(5000));
    const users = Array.from({ length: 1000 }, (_, i) => user(i));
    await heavy.issue("MD5", users);
    await assertRejects(
      () => heavy.issue("MD5", users),
      DbclientUnavailable,
      "more than 1000 users a second",
    );
    assertEquals((await light.issue("SHA-1", [user(1)]))[0].status, "ok");
    assertEquals((await eventually(() => heavy.issue("SHA-1", [user(1)])))[0].status, "ok");
    assert(server.counters.refused.rate >= 1);
    assertMatch(log[0], /^proxy "heavy" at \S+: rate: more than 1000 users a second$/);
  }, { limits: { usersPerSecond: 1000 } }));

Deno.test("a proxy that does not read is cut off, by time or by what waits for it; the others go on", async () => {
  for (const limits of [{ writeMs: 300 }, { sendBufferBytes: 1 << 18, writeMs: 60_000 }]) {
    await withServer(async ({ server, log, connect }) => {
      const proxy = connect();
      assert(await proxy.whenConnected(5000));
      const stream = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      const users = Array.from({ length: 1000 }, (_, i) => user(i));
      await stream.write(HELLO);
      await stream.read(new Uint8Array(4096));
      await stream.write(AUTH);
      await stream.read(new Uint8Array(4096));
      let id = 0;
      try {
        for (;;) {
          const bytes = encodeFrame({ type: "ISSUE", id: ++id, algorithm: "SHA-256", users });
          for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
        }
      } catch {
        // Cut off.
      }
      stream.close();
      assertEquals(refused(server), { slow_reader: 1 });
      assertMatch(log[0], /^proxy "raw" at \S+: slow_reader: it reads too slowly: /);
      assertEquals((await eventually(() => proxy.issue("SHA-1", [user(1)])))[0].status, "ok");
    }, { n: 1, limits });
  }
});

Deno.test("a proxy that is limited to realms gets a status for the users of others, and no question is asked for them", () =>
  withServer(async ({ server, connect }) => {
    const proxy = connect({ name: "edge-1" });
    const free = connect({ name: "edge-2" });
    assert(await proxy.whenConnected(5000) && await free.whenConnected(5000));
    const elsewhere: Identity = { username: "user1", realm: "other.org" };
    const ask = async (users: Identity[], by = proxy) =>
      (await by.issue("SHA-1", users)).map((result) =>
        result.status === "ok" ? result.credential.username : result.code
      );
    assertEquals(await ask([user(1), elsewhere, user(2)]), ["user1", "forbidden_realm", "user2"]);
    assertEquals(await ask([elsewhere]), ["forbidden_realm"]);
    assertEquals(await ask([elsewhere], free), ["user1"]);
    assertEquals(server.counters.queries, 2);
    const digest = {
      ...{ nonce: "n", uri: "sip:b@example.com", method: "INVITE", qop: "", nc: "", cnonce: "" },
      ...{ algorithm: "MD5", bodyHash: "", response: "x" },
    };
    assertEquals(await proxy.verify([{ ...digest, ...elsewhere }, { ...digest, ...user(1) }]), [
      "forbidden_realm",
      "wrong",
    ]);
    assertEquals(server.counters.queries, 3);
    assertEquals(refused(server), { forbidden_realm: 3 });
  }, { realmsOf: (name) => name === "edge-1" ? new Set(["example.com"]) : undefined }));

Deno.test("keys that change: old and new are accepted, a link whose key is not accepted any more ends", async () => {
  const [old, fresh] = [KEY, new Uint8Array(16).fill(7)];
  let keys: Uint8Array[] | undefined = [old];
  await withServer(async ({ server, connect }) => {
    const before = connect({ name: "before", keys: [old] });
    assert(await before.whenConnected(5000));
    keys = [fresh, old];
    server.recheckKeys();
    const after = connect({ name: "after", keys: [fresh] });
    assert(await after.whenConnected(5000));
    assert(before.connected);
    keys = [fresh];
    server.recheckKeys();
    await eventuallySo(() => !before.connected);
    assertEquals(await before.whenConnected(100), false);
    before.setKeys([fresh, old]);
    assert(await before.whenConnected(5000));
    for (const proxy of [before, after]) {
      assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
    }
    keys = undefined;
    server.recheckKeys();
    await eventuallySo(() => !before.connected && !after.connected);
  }, { keysOf: () => keys });
});

Deno.test("a handshake that began under a key ends with it: AUTH asks again what is accepted", async () => {
  const fresh = new Uint8Array(16).fill(1);
  let keys: Uint8Array[] | undefined = [KEY];
  const handshake = async (server: DbclientServer, next: Uint8Array[] | undefined) => {
    keys = [KEY];
    const stream = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    try {
      const hello = { type: "HELLO", id: 0, proxy: "raw", random: new Uint8Array(16), serial: 0 } as const;
      await stream.write(encodeFrame(hello));
      const reader = new FrameReader();
      const buffer = new Uint8Array(4096);
      const read = async () => {
        for (;;) {
          const count = await stream.read(buffer);
          if (count === null) return undefined;
          const [frame] = reader.push(buffer.subarray(0, count)).frames;
          if (frame !== undefined) return frame;
        }
      };
      const welcome = await read();
      assert(welcome?.type === "WELCOME");
      keys = next;
      server.recheckKeys();
      const proof = handshakeProof(sha256, KEY, "proxy", hello, welcome, welcome.proofs.length);
      await stream.write(encodeFrame({ type: "AUTH", id: 0, proofs: [proof] }));
      const answer = await read();
      return answer?.type === "ERROR" ? answer.code : answer?.type;
    } finally {
      stream.close();
    }
  };
  await withServer(async ({ server }) => {
    assertEquals(await handshake(server, [fresh, KEY]), "READY");
    assertEquals(await handshake(server, [fresh]), "unauthorized");
    assertEquals(await handshake(server, undefined), "unauthorized");
  }, { keysOf: () => keys });
});
