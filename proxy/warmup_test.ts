import { assert, assertEquals } from "@std/assert";
import { type Credential, deriveCredential, ha1, toHex, type WarmupRecord } from "../mod.ts";
import { filled, issued, newCache } from "./cache/testing.ts";
import {
  backend,
  CALLED,
  challengeOf,
  forwardedCall,
  PcCaller,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "./testing.ts";

const REALM = "example.com";
const TTL = 3600;

function credential(username: string, nonce: number, password = "secret"): Credential {
  const identity = { username, realm: REALM };
  const secret = ha1(backend.get("MD5"), identity, password);
  return deriveCredential(backend.get("SHA-1"), secret, identity, new Uint8Array(16).fill(nonce), 10);
}

const records = (...names: string[]): WarmupRecord[] =>
  names.map((username, i) => ({ number: i + 1, credential: credential(username, i + 1), ttl: TTL }));

Deno.test("warm-up: a loaded user calls while DBclient is away, and is asked for nothing", () => {
  const harness = new ProxyHarness();
  harness.dbclient.connected = false;
  harness.dbclient.mode = "fail";
  assertEquals(harness.proxy.preload(records("alice", "bob"), -5000, 0, 0), 2);
  const caller = new PcCaller();
  const { forwarded } = forwardedCall(harness, caller);
  harness.receive(response(forwarded, 200), CALLED);
  const answer = harness.take().map(({ text }) => text).find((text) => statusOf(text) === 200)!;
  assertEquals(caller.confirm(answer), "confirmed");
  assertEquals(harness.dbclient.asked, []);
  assertEquals(
    statusOf(harness.ask(request("INVITE", { from: "<sip:carol@example.com>", callId: "c@1" }))),
    503,
  );
  assertEquals(harness.proxy.statistics().preloaded, 2);
});

Deno.test("warm-up: loaded users are protected from made-up names; what is over goes into the other part", () => {
  const harness = new ProxyHarness(["--max_users", "8"]);
  const names = Array.from({ length: 10 }, (_, i) => `user${i}`);
  assertEquals(harness.proxy.preload(records(...names), 0, 0, 0), 8);
  const { cache } = harness.proxy;
  assertEquals([cache.size, cache.verifiedSize], [8, 6]);
  for (let i = 0; i < 100; i++) cache.getOrAdd(`made-up-${i}`, REALM);
  assertEquals(names.map((name) => cache.peek(name, REALM) !== undefined), [
    ...new Array(6).fill(true),
    ...new Array(4).fill(false),
  ]);
});

Deno.test("warm-up: a user that is there already, and one named twice, keep their credential", () => {
  const cache = newCache(8);
  cache.install(issued(filled("alice", 1)));
  assert(!cache.preload(issued(filled("alice", 2))));
  assertEquals(cache.peek("alice", REALM)?.newest?.nonceHex, "01".repeat(16));
  assert(cache.preload(issued(filled("bob", 3))));
  assert(cache.peek("bob", REALM)?.verified);
  assert(!cache.preload(issued(filled("bob", 4))));
  assertEquals(cache.peek("bob", REALM)?.newest?.nonceHex, "03".repeat(16));
  assertEquals(cache.size, 2);
  cache.remove({ username: "bob", realm: REALM });
  assertEquals(cache.size, 1);
});

Deno.test("warm-up: lives count from the writing of the file; what is past its time is left out", () => {
  const harness = new ProxyHarness();
  const [alice, bob] = records("alice", "bob");
  const age = 3000;
  assertEquals(harness.proxy.preload([alice, { ...bob, ttl: age }], -age * 1000, 0, 0), 1);
  const live = harness.proxy.cache.peek("alice", REALM)!.newest!;
  assertEquals([live.issuedAt, live.expiresAt], [-3_000_000, 600_000]);
  harness.dbclient.mode = "fail";
  const offered = challengeOf(harness.ask(request("INVITE")));
  assertEquals(offered.nonce, toHex(alice.credential.nonce));
  harness.runTo(600_000);
  assertEquals(harness.proxy.cache.peek("alice", REALM)?.newest?.canOffer(harness.now) ?? false, false);
});

Deno.test("warm-up: users who were seen are renewed, over a twentieth of the life; the others go at its end", () => {
  const harness = new ProxyHarness();
  const { proxy, dbclient } = harness;
  const names = Array.from({ length: 3000 }, (_, i) => `user${i}`);
  const loaded = names.map((username, i) => ({
    number: i,
    credential: credential("x", 1),
    ttl: 1000,
    username,
  }))
    .map(({ username, ...rest }) => ({ ...rest, credential: { ...rest.credential, username } }));
  proxy.preload(loaded, 0, 0, 0);
  for (const name of names.slice(0, 600)) {
    const user = proxy.cache.peek(name, REALM)!;
    assert(proxy.cache.commit(user, user.newest!, true, 0)); // As after an accepted token.
  }
  harness.runTo(899_000);
  assertEquals(dbclient.asked, []);
  harness.runTo(920_000);
  const early = dbclient.asked.flat().length;
  assert(early > 100 && early < 500, `${early} of 600 after two fifths of the spread`);
  harness.runTo(955_000);
  assertEquals(dbclient.asked.flat().length, 600);
  assertEquals(proxy.cache.size, 3000);
  harness.runTo(1_003_000);
  assertEquals(proxy.cache.size, 600);
});

Deno.test("warm-up: revocations reach loaded users: one, all, and those that are known before", () => {
  const harness = new ProxyHarness();
  const { proxy } = harness;
  proxy.preload(records("alice", "bob", "carol"), 0, 4, 0);
  proxy.revoked(5, [{ username: "alice", realm: REALM }]);
  assertEquals([proxy.cache.peek("alice", REALM), proxy.cache.size], [undefined, 2]);
  proxy.revoked(6, undefined);
  assertEquals(proxy.cache.size, 0);
  assertEquals(proxy.preload(records("bob"), 0, 5, 0), 0);
  assertEquals(proxy.preload(records("bob"), 0, 6, 0), 1);
});
