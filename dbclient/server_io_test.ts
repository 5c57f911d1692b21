/** The server and the proxy's connection to it, over real TCP. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DbclientConnection,
  DbclientUnavailable,
  type DigestAnswer,
  digestHa1,
  digestResponse,
  encodeFrame,
  type IssueResult,
  seededRandom,
} from "../mod.ts";
import { DbclientServer } from "./server_io.ts";
import {
  AUTH,
  backend,
  eventually,
  eventuallySo,
  hasher,
  HELLO,
  KEY,
  raw,
  sha256,
  user,
  withServer,
} from "./testing.ts";

Deno.test("several proxies at once, many requests each, every user its own credential", () =>
  withServer(async ({ server, connect }) => {
    const proxies = Array.from({ length: 5 }, (_, i) => connect({ name: `proxy${i}` }));
    for (const proxy of proxies) assert(await proxy.whenConnected(5000));
    assertEquals(proxies[0].chain, { n: 10, ttl: 3600 });
    const users = Array.from({ length: 120 }, (_, i) => user(i));
    const batches = await Promise.all(
      proxies.flatMap((proxy) => Array.from({ length: 10 }, () => proxy.issue("SHA-1", users))),
    );
    const nonces = new Set<string>();
    for (const batch of batches) {
      for (const [i, result] of batch.entries()) {
        assert(result.status === "ok");
        assertEquals([result.credential.username, result.credential.n], [`user${i}`, 10]);
        nonces.add(result.credential.nonce.join());
      }
    }
    assertEquals(nonces.size, 50 * 120);
    const { issueFrames, usersAsked, queries, credentialsIssued, decoys, connected } = server.counters;
    assertEquals({ issueFrames, usersAsked, queries, credentialsIssued, decoys, connected }, {
      issueFrames: 50,
      usersAsked: 6000,
      queries: 50,
      credentialsIssued: 6000,
      decoys: 50 * 20,
      connected: 5,
    });
  }));

Deno.test("more users than fit one frame, and names that fit none", () =>
  withServer(async ({ server, connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    const users = Array.from({ length: 2500 }, (_, i) => user(i));
    users[7] = { username: "x".repeat(300), realm: "example.com" };
    const results = await proxy.issue("SHA-256", users);
    assertEquals(results.length, 2500);
    assertEquals(results[7], { status: "error", code: "invalid_name" });
    for (const i of [0, 6, 8, 999, 1000, 1001, 2499]) {
      const result = results[i];
      assert(result.status === "ok" && result.credential.username === `user${i}`);
    }
    assertEquals([server.counters.issueFrames, server.counters.usersAsked], [3, 2499]);
    assertEquals(await proxy.issue("SHA-1", []), []);
  }));

function answer(i: number, password: string): DigestAnswer {
  const input = { nonce: "n", uri: "sip:b@example.com", method: "INVITE" };
  const { username, realm } = user(i);
  const ha1 = digestHa1(hasher, "MD5", username, realm, password);
  const response = digestResponse(hasher, ha1, { algorithm: "MD5", ...input });
  return { username, realm, ...input, qop: "", nc: "", cnonce: "", algorithm: "MD5", bodyHash: "", response };
}

Deno.test("VERIFY: one question for each answer", () =>
  withServer(async ({ server, connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    const statuses = await proxy.verify([
      answer(1, "secret"),
      answer(2, "wrong"),
      answer(1000, "secret"),
      { ...answer(3, "secret"), algorithm: "MD5-sess" },
      { ...answer(3, "secret"), cnonce: "x".repeat(2000) },
    ]);
    assertEquals(statuses, ["ok", "wrong", "wrong", "malformed", "malformed"]);
    const { verifyAnswers, queries, verifyOk } = server.counters;
    assertEquals({ verifyAnswers, queries, verifyOk }, { verifyAnswers: 4, queries: 3, verifyOk: 1 });
  }));

Deno.test("garbage on one connection: ERROR and close there, the others go on", () =>
  withServer(async ({ server, log, connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    const broken: [Uint8Array[], string][] = [
      [[Uint8Array.of(0xff, 0xff, 0xff, 0xff)], "frame_too_long"],
      [[Uint8Array.of(0, 0, 0, 5, 0x77, 0, 0, 0, 0)], "unknown_type"],
      [[new TextEncoder().encode("INVITE sip:bob@example.com SIP/2.0\r\n\r\n")], "frame_too_long"],
      [[encodeFrame({ type: "PING", id: 0 })], "unexpected_frame"],
      [
        [HELLO, AUTH, encodeFrame({ type: "PONG", id: 0 }), Uint8Array.of(0, 0, 0, 6, 0x30, 0, 0, 0, 0, 1)],
        "trailing_bytes",
      ],
    ];
    for (const [pieces, code] of broken) {
      const frames = await raw(server.port, ...pieces);
      const last = frames.at(-1);
      assert(last?.type === "ERROR", code);
      assertEquals(last.code, code);
      assertEquals((await proxy.issue("MD5", [user(1)]))[0].status, "ok");
    }
    const random = seededRandom(5);
    await Promise.all(Array.from({ length: 30 }, () => raw(server.port, random.bytes(200)).catch(() => [])));
    assertEquals((await proxy.issue("MD5", [user(1)]))[0].status, "ok");
    assertEquals(server.counters.protocolErrors >= broken.length, true);
    assert(log.every((line) => !line.includes("\n")));
  }));

Deno.test("a wrong key, and none where one is needed, is refused; the right one works", () =>
  withServer(async ({ connect }) => {
    const says: string[] = [];
    const wrong = connect({
      name: "a",
      keys: [new Uint8Array(16)],
      onState: (up, text) => says.push(`${up} ${text}`),
    });
    const none = connect({ name: "b" });
    const right = connect({ name: "c", keys: [KEY] });
    assert(await right.whenConnected(5000));
    assertEquals((await right.issue("SHA-1", [user(1)]))[0].status, "ok");
    assertEquals([await wrong.whenConnected(50), await none.whenConnected(50)], [false, false]);
    assertEquals(says.length, 1);
    assert(says[0].includes("another key"), says[0]);
    await assertRejects(() => none.issue("SHA-1", [user(1)]), DbclientUnavailable);
  }, { keysOf: () => [KEY] }));

Deno.test("no answer in time rejects that request alone; a broken database has its own code", () =>
  withServer(async ({ store, log, connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    let open = () => {};
    store.gate = new Promise((resolve) => open = resolve);
    await assertRejects(() => proxy.issue("SHA-1", [user(1)], 50), DbclientUnavailable, "deadline");
    assert(proxy.connected);
    open();
    assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
    store.broken = true;
    for (let i = 0; i < 3; i++) {
      assertEquals(await proxy.issue("SHA-1", [user(1)]), [{ status: "error", code: "unavailable" }]);
    }
    assertEquals(await proxy.verify([answer(1, "secret")]), ["unavailable"]);
    store.broken = false;
    assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
    assertEquals(log, ["memory: broken", "memory answers again"]);
  }));

Deno.test("a proxy starts without DBclient, reconnects when it comes, and again after it was gone", async () => {
  const states: boolean[] = [];
  const reserved = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = reserved.addr;
  reserved.close();
  const proxy = new DbclientConnection({
    addresses: [{ host: "127.0.0.1", port }],
    sha256,
    backoff: { min: 5, max: 20 },
    onState: (up) => states.push(up),
  });
  try {
    assertEquals(await proxy.whenConnected(60), false);
    await assertRejects(() => proxy.issue("SHA-1", [user(1)]), DbclientUnavailable, "not connected");
    for (let i = 0; i < 2; i++) {
      await withServer(async () => {
        const [result] = await eventually(() => proxy.issue("SHA-1", [user(1)]));
        assertEquals(result.status, "ok");
      }, { port });
    }
    await assertRejects(() => proxy.issue("SHA-1", [user(1)]), DbclientUnavailable);
    assertEquals(states, [false, true, false, true, false]);
  } finally {
    await proxy.close();
  }
});

Deno.test("requests under way when the connection is cut are asked again on the next one, none is lost", () =>
  withServer(async ({ server, store, connect }) => {
    const streams: Deno.TcpConn[] = [];
    const proxy = connect({
      connect: async ({ host, port }) => {
        const stream = await Deno.connect({ hostname: host, port });
        streams.push(stream);
        return stream;
      },
    });
    await proxy.whenConnected(5000);
    let open = () => {};
    store.gate = new Promise((resolve) => open = resolve);
    const asked = Array.from({ length: 20 }, () => proxy.issue("SHA-1", [user(1)], 60_000));
    const late = proxy.issue("SHA-1", [user(1)], 50);
    await eventuallySo(() => server.counters.issueFrames === 21);
    streams[0].close();
    await assertRejects(() => late, DbclientUnavailable);
    open();
    for (const [result] of await Promise.all(asked)) assertEquals(result.status, "ok");
    assertEquals(streams.length, 2);
    assertEquals(server.counters.issueFrames >= 41, true);
  }));

Deno.test("the second address is tried when the first does not answer", () =>
  withServer(async ({ server, connect }) => {
    const addresses = [{ host: "127.0.0.1", port: 1 }, { host: "127.0.0.1", port: server.port }];
    assert(await connect({ addresses }).whenConnected(5000));
  }));

Deno.test("an algorithm that is not issued is refused; the link stays", () =>
  withServer(async ({ connect }) => {
    const proxy = connect();
    await proxy.whenConnected(5000);
    await assertRejects(() => proxy.issue("MD5", [user(1)]), DbclientUnavailable, "not issued");
    assertEquals((await proxy.issue("SHA-1", [user(1)]))[0].status, "ok");
  }, { algorithms: ["SHA-1"] }));

Deno.test("one connection too many is told so", () =>
  withServer(async ({ server, connect }) => {
    assert(await connect().whenConnected(5000));
    const frames = await raw(server.port, HELLO);
    assertEquals(frames.map((frame) => frame.type === "ERROR" && frame.code), ["busy"]);
  }, { limits: { connections: 1 } }));

Deno.test("a proxy that asks and never reads does not fill the memory, and the others go on", () =>
  withServer(async ({ server, connect }) => {
    const stream = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const users = Array.from({ length: 1000 }, (_, i) => user(i));
    await stream.write(HELLO);
    await stream.read(new Uint8Array(4096));
    await stream.write(AUTH);
    await stream.read(new Uint8Array(4096));
    let id = 0;
    let stalled = false;
    // Writes until the server takes no more: its own queue, the two socket buffers, and then nothing.
    while (!stalled && id < 2000) {
      const bytes = encodeFrame({ type: "ISSUE", id: ++id, algorithm: "MD5", users });
      const timeout = new Promise<"stalled">((resolve) => setTimeout(() => resolve("stalled"), 500));
      const write = (async () => {
        for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
      })().catch(() => {});
      stalled = await Promise.race([write, timeout]) === "stalled";
    }
    assert(stalled, "the server went on reading");
    const proxy = connect();
    await proxy.whenConnected(5000);
    assertEquals((await eventually(() => proxy.issue("SHA-1", [user(1)])))[0].status, "ok");
    stream.close();
  }, { n: 1 }));

/** Slices of work that wait until the test lets them run, one at a time; sockets have their turn in between. */
function heldSlices() {
  const waiting: (() => void)[] = [];
  const turn = () => new Promise((resolve) => setTimeout(resolve));
  return {
    defer: (run: () => void) => void waiting.push(run),
    /** Runs slices, at most `most`, until something is so; how many it took. */
    async until(isSo: () => boolean, most = Infinity): Promise<number> {
      for (let count = 0;;) {
        if (isSo()) return count;
        const run = waiting.shift();
        if (run !== undefined) {
          if (++count > most) throw new Error(`not so after ${most} slices`);
          run();
        }
        await turn();
      }
    },
  };
}

for (const kind of ["ISSUE", "VERIFY"] as const) {
  Deno.test(`a proxy that sends ${kind} of 1000 back to back does not hold up another`, async () => {
    const slices = heldSlices();
    await withServer(async ({ server, connect }) => {
      const [heavy, light] = [connect({ name: "heavy" }), connect({ name: "light" })];
      assert(await heavy.whenConnected(5000) && await light.whenConnected(5000));
      const users = Array.from({ length: 1000 }, (_, i) => user(i));
      const answers = kind === "VERIFY" ? users.map((_, i) => answer(i, "secret")) : [];
      let done = 0;
      const asked = Array.from({ length: 8 }, async () => {
        if (kind === "ISSUE") await heavy.issue("SHA-1", users, 600_000);
        else await heavy.verify(answers, 600_000);
        done++;
      });
      const { counters } = server;
      const frames = () => counters.issueFrames + counters.verifyFrames;
      await eventuallySo(() => frames() >= 2);
      let answered = false;
      const single = light.issue("SHA-1", [user(1)], 600_000).then(([result]) => {
        answered = result.status === "ok";
      });
      await eventuallySo(() => counters.usersAsked % 1000 === 1);
      // It has two jobs, the look-up and the chain; before each there is one step of the other link, which may fill a
      // slice, and a slice more.
      await slices.until(() => answered, 6);
      if (kind === "ISSUE") assertEquals(done, 0);
      await single;
      await slices.until(() => done === asked.length);
      assertEquals(frames(), 9);
    }, { n: kind === "ISSUE" ? 2000 : 10, defer: slices.defer });
  });
}

Deno.test("requests are counted by users: with 2000 of them in work nothing more is read", async () => {
  const slices = heldSlices();
  await withServer(async ({ server, connect }) => {
    const proxy = connect();
    assert(await proxy.whenConnected(5000));
    const users = Array.from({ length: 1000 }, (_, i) => user(i));
    const asked = Array.from({ length: 40 }, () => proxy.issue("MD5", users, 600_000));
    const { counters } = server;
    await eventuallySo(() => counters.usersAsked >= 2000);
    // Nothing is worked on; what comes is what one read has brought beyond the limit.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
    assert(counters.usersAsked < 2000 + (64 << 10) / 14, `${counters.usersAsked} users are in work`);
    let done = false;
    Promise.all(asked).then(() => done = true);
    await slices.until(() => done);
    assertEquals([counters.usersAsked, counters.credentialsIssued], [40_000, 40_000]);
  }, { n: 1, defer: slices.defer });
});

Deno.test("the work of a link ends with it, however much is left", async () => {
  const slices = heldSlices();
  await withServer(async ({ server, connect }) => {
    const proxy = connect({ name: "gone" });
    const other = connect({ name: "other" });
    assert(await proxy.whenConnected(5000) && await other.whenConnected(5000));
    const rejected = proxy.issue("MD5", Array.from({ length: 1000 }, (_, i) => user(i)), 600_000)
      .catch(() => "rejected");
    const { counters } = server;
    await slices.until(() => counters.queries === 1);
    await proxy.close();
    assertEquals(await rejected, "rejected");
    await eventuallySo(() => counters.connected === 1);
    let chains: IssueResult[] | undefined;
    other.issue("MD5", [user(1)], 600_000).then((results) => chains = results);
    await slices.until(() => chains !== undefined);
    assertEquals([chains![0].status, counters.credentialsIssued], ["ok", 1]);
  }, { n: 65535, defer: slices.defer });
});

Deno.test("a port in use is the system's error", () =>
  withServer(async ({ server, store }) => {
    await assertRejects(() =>
      DbclientServer.start({
        host: "127.0.0.1",
        port: server.port,
        store,
        hashes: backend,
        n: 10,
        ttl: 1,
        issuerSecret: new Uint8Array(16),
        log: () => {},
      }), Deno.errors.AddrInUse);
  }));
