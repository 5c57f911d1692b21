import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { credentialKey, fromHex, ha1, renewMac, writePcAnswer } from "../../mod.ts";
import { Outsider } from "./outsider.ts";
import { property } from "./seeds_io.ts";
import { isOver, REALM, World } from "./world.ts";

property(
  "a proxy with credentials goes on without DBclient until the tokens end, then 503, then recovers",
  8,
  (seed) => {
    const world = new World(seed, { n: 10 });
    world.addUser("alice");
    const alice = world.device("alice");
    assertEquals(world.call(alice).invite?.status, 200);
    world.dbclient.setUp(false);
    for (let i = 1; i < 10; i++) {
      const { invite } = world.call(alice);
      assertEquals([invite?.status, invite?.confirmation], [200, "confirmed"]);
      world.run(1000);
    }
    for (let i = 0; i < 3; i++) {
      const { invite } = world.call(alice);
      assertEquals(invite?.status, 503);
      assert(Number(invite?.retryAfter) > 0, `Retry-After: ${invite?.retryAfter}`);
      world.run(4000);
    }
    world.dbclient.setUp(true);
    world.run(5000);
    assertEquals(world.call(alice).invite?.status, 200);
  },
);

property(
  "a proxy starts while DBclient is down, refuses with Retry-After, and recovers by itself",
  8,
  (seed) => {
    const world = new World(seed);
    world.addUser("alice");
    world.addUser("carol");
    const warmUp = new Map(
      world.dbclient.issue("SHA-1", [{ username: "carol", realm: REALM }]).map((outcome) =>
        [`${REALM}\ncarol`, outcome] as const
      ),
    );
    world.dbclient.setUp(false);
    world.proxy.restart(warmUp);
    const alice = world.device("alice");
    const { invite } = world.call(alice);
    assertEquals(invite?.status, 503);
    assert(Number(invite?.retryAfter) > 0);
    assertEquals(world.call(world.device("carol")).invite?.status, 200);
    world.dbclient.setUp(true);
    // The next round of the prefetcher gets what was missing.
    world.run(2000);
    const asked = world.questionsAbout("alice");
    assertEquals(asked, 1);
    assertEquals(world.call(alice).invite?.status, 200);
    assertEquals(world.questionsAbout("alice"), asked);
  },
);

property("a DBclient that never answers costs its deadline and nothing else", 4, (seed) => {
  const world = new World(seed);
  world.addUser("alice");
  world.dbclient.silent = true;
  const { invite } = world.call(world.device("alice"));
  assertEquals(invite?.status, 503);
  assert(invite!.took >= 2000 && invite!.took < 2500, `${invite!.took} ms`);
  world.dbclient.silent = false;
  world.run(5000);
  assertEquals(world.call(world.device("alice")).invite?.status, 200);
});

property("one question at a time per user, whatever the number of requests", 8, (seed) => {
  const world = new World(seed, { n: 100 });
  world.dbclient.delay = 1000;
  for (const name of ["alice", "carol"]) world.addUser(name);
  const devices = Array.from({ length: 40 }, (_, i) => world.device(["alice", "carol", "nobody"][i % 3]));
  const calls = devices.map((device) => device.call({ hop: world.hop, bye: "nobody" }));
  world.queue.runUntil(() => calls.every(isOver), 60_000);
  assertEquals(world.dbclient.mostInFlight, 1);
  assertEquals(world.questionsAbout("alice"), 1);
  assertEquals(world.questionsAbout("nobody"), 1);
});

property("questions are as many as calls by n, and the first fetch of each user", 6, (seed) => {
  const n = [5, 10, 100][seed % 3];
  const world = new World(seed, { n });
  const users = Array.from({ length: 30 }, (_, i) => `user${i}`);
  users.forEach((name) => world.addUser(name));
  const devices = users.map((name) => world.device(name));
  const calls = [];
  for (let i = 0; i < 1000; i++) {
    calls.push(devices[world.random.below(devices.length)].call({ hop: world.hop, bye: "nobody" }));
    world.run(20);
  }
  world.run(30_000);
  assertEquals(calls.filter(({ invite }) => invite?.status !== 200), []);
  const limit = calls.length / n + users.length;
  assert(
    world.dbclient.questions.length <= limit,
    `${world.dbclient.questions.length} questions, ${limit} allowed`,
  );
  assert(world.dbclient.frames <= world.dbclient.questions.length, "questions are collected");
});

property("who asks for new credentials again and again causes one question in two seconds", 4, (seed) => {
  const world = new World(seed, { n: 10 });
  world.addUser("alice", "secret");
  const alice = { username: "alice", realm: REALM };
  const hash = world.hashes.get("SHA-1");
  const secret = ha1(world.hashes.get("MD5"), alice, "secret");
  const sender = new Outsider(world);
  sender.send("alice");
  let refused = 0;
  for (let i = 0; i < 40; i++) {
    const [nonce, opaque] = [sender.param("nonce"), sender.param("opaque")];
    const uri = "sip:bob@example.com";
    const request = { method: "INVITE", uri, callId: sender.nextCallId, cseq: 1 };
    const response = renewMac(hash, credentialKey(hash, secret, fromHex(nonce), 10), opaque, request);
    const answer = { ...alice, algorithm: "SHA-1", nonce, opaque, uri, response } as const;
    const header = writePcAnswer({ ...answer, seq: undefined, token: undefined, qop: undefined });
    const { responses } = sender.send("alice", [`Proxy-Authorization: ${header}`]);
    const last = responses.at(-1)!;
    if (last.startsWith("SIP/2.0 503")) {
      refused++;
      assertStringIncludes(last, "\r\nRetry-After: 2\r\n");
      sender.send("alice"); // For the challenge in force.
    } else assertStringIncludes(last, "SIP/2.0 407");
  }
  const times = world.dbclient.questions.map(({ at }) => at);
  assertGreater(times.length, 3);
  assertGreater(refused, 5);
  for (let i = 1; i < times.length; i++) {
    assert(times[i] - times[i - 1] >= 1990, `asked at ${times.join(" ")}`);
  }
});

property("a changed password ends the old credential at every proxy, and the one on the way", 12, (seed) => {
  const world = new World(seed, { proxies: 2, n: 50 });
  const user = { username: "alice", realm: REALM };
  world.addUser("alice", "old");
  const old = world.device("alice", "old");
  for (const { address: hop } of world.proxies) assertEquals(world.call(old, { hop }).invite?.status, 200);
  // The third proxy run has the question under way while the password changes: the row is read before.
  world.proxies[1].restart();
  world.dbclient.delay = 1000;
  const late = world.device("alice", "old").call({ hop: world.proxies[1].address, bye: "nobody" });
  world.run(700);
  world.dbclient.set(user, "new");
  world.run(10_000);
  assertEquals(late.invite?.status, 503);
  world.dbclient.delay = 4;
  for (const { address: hop } of world.proxies) {
    assertEquals(world.call(old, { hop }).invite?.status, 407);
    assertEquals(world.call(world.device("alice", "new"), { hop }).invite?.status, 200);
  }
});

property("what was revoked while DBclient was away is learnt when it is back", 6, (seed) => {
  const world = new World(seed);
  world.addUser("alice");
  const alice = world.device("alice");
  world.call(alice);
  world.dbclient.setUp(false);
  world.dbclient.remove({ username: "alice", realm: REALM });
  world.run(5000);
  assertEquals(world.call(alice).invite?.status, 200);
  world.dbclient.setUp(true);
  world.run(1000);
  assertEquals(world.call(alice).invite?.status, 407);
  assertEquals(world.call(world.device("alice")).invite?.status, 407);
});
