import { assert, assertEquals, assertGreater } from "@std/assert";
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
  for (let i = 0; i < 1500; i++) {
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
  assert(world.dbclient.frames < world.dbclient.questions.length, "questions are collected");
});

property("who asks for new credentials again and again causes one question in two seconds", 6, (seed) => {
  const world = new World(seed, { n: 1, flags: ["--prefetching=0"] });
  world.addUser("alice");
  const devices = Array.from({ length: 10 }, () => world.device("alice"));
  const statuses = new Map<number, number>();
  const began = world.queue.now;
  for (let i = 0; i < 400; i++) {
    // A device that remembers a used chain and is offered it again asks for another: the losers of each race do.
    const device = devices[world.random.below(devices.length)];
    if (world.percent(30)) device.forget();
    const call = device.call({ hop: world.hop, bye: "nobody" });
    world.run(world.random.below(60));
    world.queue.runUntil(() => call.invite !== undefined, 5000);
    statuses.set(call.invite!.status, (statuses.get(call.invite!.status) ?? 0) + 1);
    if (call.invite!.status === 503) assert(Number(call.invite!.retryAfter) > 0);
  }
  assertGreater(statuses.get(200) ?? 0, 10);
  assertEquals(world.dbclient.mostInFlight, 1);
  void began;
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
