import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Identity } from "../chain/derive.ts";
import { loadNoble } from "../hash/noble.ts";
import { seededRandom } from "../random.ts";
import { DBCLIENT_LINK_TIMES, MAX_ITEMS, PROXY_LINK_TIMES } from "./constants.ts";
import { DbclientLink, type DbclientLinkEvent, type DbclientLinkOptions } from "./dbclient_link.ts";
import { decodeFrame, encodeFrame, type Frame, type WireIssueResult } from "./frame.ts";
import { FrameReader } from "./frame_reader.ts";
import { type LinkClosed, LinkEnd } from "./link.ts";
import { ProxyLink, type ProxyLinkEvent, type ProxyLinkOptions, serialAfter } from "./proxy_link.ts";
import { sampleFrames } from "./sample_frames.ts";

const sha256 = (await loadNoble()).get("SHA-256");
const KEY = new Uint8Array(16).fill(1);
const OTHER_KEY = new Uint8Array(16).fill(2);
const USERS: Identity[] = [{ username: "alice", realm: "a.example" }, {
  username: "bob",
  realm: "a.example",
}];
const RESULTS: WireIssueResult[] = [
  {
    status: "ok",
    credential: {
      nonce: new Uint8Array(16).fill(3),
      n: 10,
      anchor: new Uint8Array(20).fill(4),
      key: new Uint8Array(20).fill(5),
      ttl: 3600,
      serial: 0,
    },
  },
  { status: "error", code: "unavailable" },
];

function makeProxy(options: Partial<ProxyLinkOptions> = {}): ProxyLink {
  return new ProxyLink({ name: "p1", keys: [], sha256, random: seededRandom(1), serial: 0, ...options }, 0);
}
function makeDbclient(options: Partial<DbclientLinkOptions> = {}): DbclientLink {
  return new DbclientLink({
    n: 10,
    ttl: 3600,
    keysOf: () => [],
    serial: () => 5,
    revokedSince: () => ({ serial: 5, revoked: [] }),
    sha256,
    random: seededRandom(2),
    ...options,
  }, 0);
}

/** Carries bytes both ways, `step` at a time, until neither end has more to say. */
function exchange(proxy: ProxyLink, dbclient: DbclientLink, now = 0, step = Infinity) {
  const events = {
    proxy: [] as ProxyLinkEvent[],
    dbclient: [] as DbclientLinkEvent[],
  };
  for (let moved = true; moved;) {
    moved = false;
    const carry = <E>(chunks: Uint8Array[], to: LinkEnd<string, E>, into: (E | LinkClosed)[]) => {
      for (const chunk of chunks) {
        moved = true;
        for (let at = 0; at < chunk.length; at += step) {
          into.push(...to.receive(chunk.slice(at, Math.min(chunk.length, at + step)), now));
        }
      }
    };
    carry(proxy.takeOutput(), dbclient as unknown as LinkEnd<string, DbclientLinkEvent>, events.dbclient);
    carry(dbclient.takeOutput(), proxy as unknown as LinkEnd<string, ProxyLinkEvent>, events.proxy);
  }
  return events;
}

/** Two ends in state open. */
function openPair(): { proxy: ProxyLink; dbclient: DbclientLink } {
  const proxy = makeProxy();
  const dbclient = makeDbclient();
  exchange(proxy, dbclient);
  assert(proxy.open && dbclient.open);
  return { proxy, dbclient };
}

function framesOf(chunks: Uint8Array[]): Frame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => reader.push(chunk).frames);
}

Deno.test("handshake without keys, whole and byte by byte", () => {
  for (const step of [Infinity, 1]) {
    const proxy = makeProxy();
    const dbclient = makeDbclient({ revokedSince: () => ({ serial: 5, revoked: USERS }) });
    const events = exchange(proxy, dbclient, 0, step);
    assertEquals(events.proxy, [{ event: "ready", n: 10, ttl: 3600, serial: 5, revoked: USERS }]);
    assertEquals(events.dbclient, [{ event: "ready", proxy: "p1" }]);
  }
});

Deno.test("keys: the same on both sides opens, while one is changed too; anything else is refused", () => {
  const cases: [Uint8Array[], Uint8Array[] | undefined, boolean, string][] = [
    [[KEY], [KEY], true, ""],
    [[OTHER_KEY], [KEY, OTHER_KEY], true, ""],
    [[KEY, OTHER_KEY], [OTHER_KEY], true, ""],
    [[KEY], [OTHER_KEY], false, "another key"],
    [[KEY], [], false, "no proof"],
    [[], [KEY], false, "has none"],
    [[], undefined, false, "not served"],
  ];
  for (const [keys, accepted, opens, text] of cases) {
    const proxy = makeProxy({ keys });
    const dbclient = makeDbclient({ keysOf: () => accepted });
    const events = exchange(proxy, dbclient);
    assertEquals([proxy.open, dbclient.open], [opens, opens], text);
    if (opens) continue;
    const closed = events.proxy.at(-1);
    assert(closed?.event === "closed");
    assertEquals(closed.code, "unauthorized");
    assertStringIncludes(closed.text, text);
    assert(dbclient.closed);
  }
});

Deno.test("a proof of one role or one handshake is none for another", () => {
  const proxy = makeProxy({ keys: [KEY] });
  const dbclient = makeDbclient({ keysOf: () => [KEY] });
  const [hello] = proxy.takeOutput();
  dbclient.receive(hello, 0);
  const [welcome] = framesOf(dbclient.takeOutput());
  assert(welcome.type === "WELCOME");
  // DBclient's own proof sent back to it.
  const events = dbclient.receive(encodeFrame({ type: "AUTH", id: 0, proofs: welcome.proofs }), 0);
  assertEquals(events.map((event) => event.event), ["closed"]);
  // A recorded handshake against a DBclient that draws other random bytes.
  const first = makeDbclient({ keysOf: () => [KEY] });
  const recorder = makeProxy({ keys: [KEY] });
  const [helloBytes] = recorder.takeOutput();
  first.receive(helloBytes, 0);
  recorder.receive(first.takeOutput()[0], 0);
  const [auth] = recorder.takeOutput();
  const second = makeDbclient({ keysOf: () => [KEY], random: seededRandom(99) });
  second.receive(helloBytes, 0);
  second.takeOutput();
  const replayed = second.receive(auth, 0);
  assert(replayed[0].event === "closed" && replayed[0].code === "unauthorized");
});

Deno.test("a changed WELCOME (chain length, lifetime, serial) breaks the proof", () => {
  for (const change of [{ n: 11 }, { ttl: 9 }, { serial: 6 }, { random: new Uint8Array(16) }]) {
    const proxy = makeProxy({ keys: [KEY] });
    const dbclient = makeDbclient({ keysOf: () => [KEY] });
    dbclient.receive(proxy.takeOutput()[0], 0);
    const [welcome] = framesOf(dbclient.takeOutput());
    assert(welcome.type === "WELCOME");
    const [closed] = proxy.receive(encodeFrame({ ...welcome, ...change }), 0);
    assert(closed.event === "closed" && closed.code === "unauthorized", Object.keys(change)[0]);
  }
});

Deno.test("many requests at once, answered in any order", () => {
  const { proxy, dbclient } = openPair();
  const a = proxy.issue("SHA-1", USERS, 2000);
  const b = proxy.issue("SHA-1", USERS, 2000);
  const asked = exchange(proxy, dbclient).dbclient;
  assertEquals(asked, [
    { event: "issue", id: a, algorithm: "SHA-1", users: USERS },
    { event: "issue", id: b, algorithm: "SHA-1", users: USERS },
  ]);
  dbclient.issued(b, "SHA-1", RESULTS);
  dbclient.issued(a, "SHA-1", RESULTS);
  const got = exchange(proxy, dbclient).proxy;
  assertEquals(got.map((event) => event.event === "issued" && event.id), [b, a]);
  assert(got[0].event === "issued" && got[0].results[0].status === "ok" && RESULTS[0].status === "ok");
  assertEquals(got[0].results[0].credential, { algorithm: "SHA-1", ...USERS[0], ...RESULTS[0].credential });
  assertEquals(got[0].results[1], { status: "error", code: "unavailable" });
  assertEquals([proxy.outstanding, dbclient.outstandingItems], [0, 0]);
  assertThrows(() => dbclient.issued(a, "SHA-1", RESULTS), RangeError);
});

Deno.test("VERIFY, refusal of one request, REVOKED and PING on an open link", () => {
  const { proxy, dbclient } = openPair();
  const sample = sampleFrames(1).find((frame) => frame.type === "VERIFY")!;
  const id = proxy.verify(sample.answers, 2000);
  const refused = proxy.issue("MD5", USERS, 2000);
  exchange(proxy, dbclient);
  dbclient.verified(id, ["ok", "wrong"]);
  dbclient.refuse(refused, "busy", "later");
  dbclient.revoked(7, new Array(MAX_ITEMS).fill(USERS[0]));
  dbclient.revoked(8, []);
  const events = exchange(proxy, dbclient).proxy;
  assertEquals(events.slice(0, 2), [
    { event: "verified", id, statuses: ["ok", "wrong"] },
    { event: "failed", id: refused, reason: "refused", text: "busy: later" },
  ]);
  assertEquals(events.slice(2).map((event) => event.event === "revoked" && event.users.length), [1000, 0]);
  proxy.receive(encodeFrame({ type: "PING", id: 3 }), 0);
  assertEquals(framesOf(proxy.takeOutput()), [{ type: "PONG", id: 3 }]);
});

Deno.test("what waits at DBclient counts by users and answers, not by requests", () => {
  const { proxy, dbclient } = openPair();
  const sample = sampleFrames(1).find((frame) => frame.type === "VERIFY")!;
  const issue = proxy.issue("SHA-1", new Array(MAX_ITEMS).fill(USERS[0]), 2000);
  const verify = proxy.verify(sample.answers, 2000);
  exchange(proxy, dbclient);
  assertEquals(dbclient.outstandingItems, MAX_ITEMS + sample.answers.length);
  dbclient.refuse(issue, "busy", "later");
  assertEquals(dbclient.outstandingItems, sample.answers.length);
  dbclient.verified(verify, sample.answers.map(() => "ok"));
  assertEquals(dbclient.outstandingItems, 0);
  proxy.issue("SHA-1", USERS, 2000);
  exchange(proxy, dbclient);
  dbclient.lost("reset");
  assertEquals(dbclient.outstandingItems, 0);
});

Deno.test("silence that is our own doing ends no link, at either end", () => {
  const { proxy, dbclient } = openPair();
  for (let now = 0; now <= 2 * DBCLIENT_LINK_TIMES.dead; now += PROXY_LINK_TIMES.ping) {
    dbclient.heldUp(now);
    for (const chunk of dbclient.takeOutput()) proxy.receive(chunk, now);
    assertEquals([dbclient.advance(now + 1), proxy.advance(now + 1)], [[], []]);
  }
  assert(dbclient.open && proxy.open);
  dbclient.lost("reset");
  dbclient.heldUp(0);
  assertEquals(dbclient.takeOutput(), []);
});

Deno.test("what does not fit into READY follows it, before anything else", () => {
  const many = new Array(MAX_ITEMS).fill(USERS[0]);
  const then = [{ serial: 7, users: many }, { serial: 9, users: USERS }, { serial: 9, users: [] }];
  const dbclient = makeDbclient({ revokedSince: () => ({ serial: 3, revoked: [], then }) });
  const proxy = makeProxy({ serial: 3 });
  const [ready, ...revoked] = exchange(proxy, dbclient).proxy;
  assertEquals(ready, { event: "ready", n: 10, ttl: 3600, serial: 3, revoked: [] });
  assertEquals(revoked, then.map((news) => ({ event: "revoked", ...news })));
});

Deno.test("READY waits while the proxy knows a serial that DBclient has not read", () => {
  const asked: [number, boolean][] = [];
  const dbclient = makeDbclient({
    revokedSince: (serial, final) => {
      asked.push([serial, final]);
      return final ? { serial: 8, revoked: USERS } : "later";
    },
  });
  const proxy = makeProxy({ serial: 7 });
  const held = exchange(proxy, dbclient);
  assertEquals([held.proxy, held.dbclient], [[], [{ event: "ahead", serial: 7 }]]);
  dbclient.revoked(8, USERS); // READY will tell it.
  assertEquals(exchange(proxy, dbclient).proxy, []);
  assertEquals(dbclient.tellReady(), [{ event: "ready", proxy: "p1" }]);
  assertEquals(dbclient.tellReady(), []);
  assertEquals(exchange(proxy, dbclient).proxy, [{
    event: "ready",
    n: 10,
    ttl: 3600,
    serial: 8,
    revoked: USERS,
  }]);
  assertEquals(asked, [[7, false], [7, true]]);
});

Deno.test("the serial that a proxy goes on from: told up to there; only another table takes it back", () => {
  const ready = { event: "ready", n: 10, ttl: 1 } as const;
  const after = (serial: number, event: Parameters<typeof serialAfter>[1]) => serialAfter(serial, event);
  assertEquals(after(5, { ...ready, serial: 7, revoked: [] }), 7);
  assertEquals(after(5, { ...ready, serial: 4, revoked: USERS }), 5);
  assertEquals(after(5, { ...ready, serial: 2, revoked: "all" }), 2);
  assertEquals(after(5, { event: "revoked", serial: 9, users: USERS }), 5);
  assertEquals(after(5, { event: "revoked", serial: 9, users: [] }), 9);
  assertEquals(after(5, { event: "revoked", serial: 3, users: [] }), 5);
});

Deno.test("a request past its deadline fails; its late answer is ignored", () => {
  const { proxy, dbclient } = openPair();
  const id = proxy.issue("SHA-1", USERS, 2000);
  const later = proxy.issue("SHA-1", USERS, 3000);
  exchange(proxy, dbclient);
  assertEquals(proxy.nextDue(), 2000);
  assertEquals(proxy.advance(1999), []);
  assertEquals(proxy.advance(2000).map((event) => event.event === "failed" && [event.id, event.reason]), [
    [id, "deadline"],
  ]);
  assertEquals(proxy.nextDue(), 3000);
  dbclient.issued(id, "SHA-1", RESULTS);
  assertEquals(exchange(proxy, dbclient, 2100).proxy, []);
  dbclient.issued(later, "SHA-1", RESULTS);
  assertEquals(exchange(proxy, dbclient, 2200).proxy.length, 1);
});

Deno.test("an answer that does not match its request ends the link, and the request fails with it", () => {
  const { proxy, dbclient } = openPair();
  const id = proxy.issue("SHA-1", USERS, 2000);
  exchange(proxy, dbclient);
  const events = proxy.receive(
    encodeFrame({ type: "ISSUED", id, algorithm: "SHA-1", results: RESULTS.slice(0, 1) }),
    0,
  );
  assertEquals(events.map((event) => event.event), ["failed", "closed"]);
});

Deno.test("the end of a link fails what is outstanding", () => {
  const { proxy, dbclient } = openPair();
  const id = proxy.issue("SHA-1", USERS, 2000);
  exchange(proxy, dbclient);
  assertEquals(proxy.lost("reset").map((event) => event.event), ["failed", "closed"]);
  assertEquals(proxy.outstanding, 0);
  assertThrows(() => proxy.issue("SHA-1", USERS, 2000), RangeError);
  dbclient.lost("reset");
  dbclient.issued(id, "SHA-1", RESULTS);
  assertEquals(dbclient.takeOutput(), []);
});

Deno.test("silence: PING, then the end; the handshake has its own limit", () => {
  const { proxy, dbclient } = openPair();
  const { ping, dead } = PROXY_LINK_TIMES;
  assertEquals(proxy.nextDue(), ping);
  assertEquals(proxy.advance(ping), []);
  assertEquals(framesOf(proxy.takeOutput()), [{ type: "PING", id: 0 }]);
  assertEquals(proxy.nextDue(), dead);
  const [closed] = proxy.advance(dead);
  assert(closed.event === "closed" && closed.code === "timeout");
  assertEquals(dbclient.advance(DBCLIENT_LINK_TIMES.ping), []);
  assertEquals(framesOf(dbclient.takeOutput()), [{ type: "PING", id: 0 }]);
  const silent = makeDbclient();
  assertEquals(silent.advance(4999), []);
  const [end] = silent.advance(5000);
  assert(end.event === "closed" && end.code === "timeout");
});

Deno.test("every frame in every state: what the table does not list is unexpected_frame", () => {
  const frames = sampleFrames(3);
  const allowed: Record<string, string[]> = {
    await_hello: ["HELLO", "ERROR"],
    await_auth: ["AUTH", "ERROR"],
    open: ["ISSUE", "VERIFY", "PING", "PONG", "ERROR"],
  };
  for (const state of Object.keys(allowed)) {
    for (const frame of frames) {
      const dbclient = makeDbclient();
      const proxy = makeProxy();
      if (state !== "await_hello") dbclient.receive(proxy.takeOutput()[0], 0);
      if (state === "open") dbclient.receive(encodeFrame({ type: "AUTH", id: 0, proofs: [] }), 0);
      assertEquals(dbclient.state, state);
      const events = dbclient.receive(encodeFrame(frame), 0);
      const unexpected = events.some((event) =>
        event.event === "closed" && event.code === "unexpected_frame"
      );
      assertEquals(unexpected, !allowed[state].includes(frame.type), `${frame.type} in ${state}`);
    }
  }
});

Deno.test("a stranger cannot send a large frame before the handshake", () => {
  const dbclient = makeDbclient();
  const [closed] = dbclient.receive(Uint8Array.of(0, 0, 0x10, 1), 0);
  assert(closed.event === "closed" && closed.code === "frame_too_long");
  const [error] = framesOf(dbclient.takeOutput());
  assert(error.type === "ERROR" && error.id === 0 && error.code === "frame_too_long");
  assertEquals(dbclient.receive(Uint8Array.of(1), 0), []);
});

Deno.test("request ids: 0 and one that is in use are refused", () => {
  for (const id of [0, 7]) {
    const { dbclient } = openPair();
    const issue = encodeFrame({ type: "ISSUE", id, algorithm: "MD5", users: USERS });
    if (id !== 0) dbclient.receive(issue, 0);
    const [closed] = dbclient.receive(issue, 0);
    assert(closed.event === "closed" && closed.code === "bad_value");
  }
});

Deno.test("fuzz: a link never throws for what the peer sends, and says at most one goodbye", () => {
  const valid = sampleFrames(4).map(encodeFrame);
  for (let seed = 1; seed <= 500; seed++) {
    const random = seededRandom(seed);
    const { proxy, dbclient } = openPair();
    const id = proxy.issue("SHA-1", USERS, 2000);
    for (let i = 0; i < 20; i++) {
      const bytes = valid[random.below(valid.length)].slice();
      if (random.below(3) === 0) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
      for (const end of [proxy, dbclient] as const) {
        const wasClosed = end.closed;
        const closes = end.receive(bytes, i).filter((event) => event.event === "closed").length;
        assertEquals(closes, Number(!wasClosed && end.closed), `seed ${seed}`);
      }
    }
    proxy.lost("end");
    assert(proxy.outstanding === 0, `seed ${seed}: request ${id} hangs`);
    for (const frame of framesOf(dbclient.takeOutput())) {
      const bytes = encodeFrame(frame);
      assertEquals(decodeFrame(bytes, 4, bytes.length), frame);
    }
  }
});
