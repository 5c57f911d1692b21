import { assert, assertEquals, assertGreater } from "@std/assert";
import { CHAIN_ALGORITHMS } from "../../mod.ts";
import { property } from "./seeds_io.ts";
import { isOver, World } from "./world.ts";

property("with prefetching a device that calls on never sees a second challenge", 9, (seed) => {
  const algorithm = CHAIN_ALGORITHMS[seed % 3];
  const world = new World(seed, { n: [3, 10, 300][seed % 3], flags: [`--algorithm=${algorithm}`] });
  world.addUser("alice");
  const alice = world.device("alice");
  const calls = Array.from({ length: 350 }, () => {
    const call = world.call(alice, { bye: "nobody" });
    world.run(1500);
    return call.invite!;
  });
  assertEquals(calls[0].challenges, 1);
  assertEquals(calls.slice(1).filter(({ challenges }) => challenges > 0), []);
  assert(calls.every(({ status, confirmation }) => status === 200 && confirmation === "confirmed"));
  assertGreater(new Set(world.accepted.all.map(({ nonce }) => nonce)).size, 1);
});

property("without prefetching, and with n = 1, each credential costs one challenge", 6, (seed) => {
  const n = [1, 2, 10][seed % 3];
  const world = new World(seed, { n, flags: ["--prefetching=0"] });
  world.addUser("alice");
  const alice = world.device("alice");
  let challenges = 0;
  for (let i = 0; i < 40; i++) {
    const { invite } = world.call(alice, { bye: "nobody" });
    assertEquals(invite?.status, 200);
    challenges += invite!.challenges;
    world.run(2500);
  }
  assertEquals(challenges, 40 / n);
  assertEquals(world.dbclient.questions.length, 40 / n);
});

property("a credential with a tenth of its life left is renewed only for users who were seen", 4, (seed) => {
  const world = new World(seed, { n: 100, ttl: 100 });
  for (const name of ["alice", "carol"]) world.addUser(name);
  const alice = world.device("alice");
  const carol = world.device("carol");
  world.call(alice, { bye: "nobody" });
  carol.forget();
  carol.ask("INVITE", world.hop, () => {}, "sip:bob@example.com");
  world.run(95_000);
  // Both were seen once: both are renewed once, and never again.
  assertEquals([world.questionsAbout("alice"), world.questionsAbout("carol")], [2, 2]);
  world.run(30_000);
  assertEquals(world.call(alice, { bye: "nobody" }).invite?.challenges, 1);
  world.run(170_000);
  assertEquals([world.questionsAbout("alice"), world.questionsAbout("carol")], [3, 2]);
  assertEquals(world.proxy.proxy.cache.size, 0, "whoever was not seen in a whole life is forgotten");
  const { invite } = world.call(carol, { bye: "nobody" });
  assertEquals([invite?.status, invite!.challenges <= 2], [200, true]);
});

property("devices that lost their memory are guided to an unused token", 10, (seed) => {
  const world = new World(seed, { n: [5, 20, 400][seed % 3], flags: [`--auth_int=${seed % 2}`] });
  world.addUser("alice");
  const devices = [world.device("alice"), world.device("alice", undefined, { preemptive: false })];
  for (let i = 0; i < 40; i++) {
    const device = devices[world.random.below(2)];
    if (world.percent(50)) device.forget();
    const { invite } = world.call(device, { body: "v=0\r\n" });
    assertEquals(invite?.status, 200);
    assert(invite!.challenges <= 2, `${invite!.challenges} challenges`);
    world.run(2500);
  }
  assertGreater(world.proxy.count("replayed"), 0);
});

property("a token too far down asks for a new credential, and its challenge is guided", 8, (seed) => {
  const world = new World(seed, { n: 100, flags: ["--max_skip=5"] });
  world.addUser("alice");
  const alice = world.device("alice");
  world.call(alice, { bye: "nobody" });
  world.run(3000);
  // Its requests are lost, its tokens are spent.
  world.network.set({ loss: 100, doubling: 0, minDelay: 1, maxDelay: 1 }, alice.address.host);
  const lost = Array.from({ length: 8 }, () => alice.call({ hop: world.hop, bye: "nobody" }));
  world.queue.runUntil(() => lost.every(isOver), 60_000);
  assert(lost.every(({ invite }) => invite?.status === 0));
  world.network.heal();
  const { invite } = world.call(alice, { bye: "nobody" });
  assertEquals([invite?.status, invite?.challenges, invite?.confirmation], [200, 1, "confirmed"]);
  assertEquals([world.proxy.count("out_of_range"), world.questionsAbout("alice")], [1, 2]);
});

property("tokens that overtake each other are accepted, those skipped long ago are not", 8, (seed) => {
  const world = new World(seed, { n: 200 });
  world.addUser("alice");
  const alice = world.device("alice");
  world.call(alice, { bye: "nobody" });
  world.network.set({ loss: 0, doubling: 0, minDelay: 1, maxDelay: 400 });
  const calls = Array.from({ length: 40 }, () => alice.call({ hop: world.hop, bye: "nobody" }));
  world.queue.runUntil(() => calls.every(isOver), 60_000);
  assert(calls.every(({ invite }) => invite?.status === 200 && invite.challenges === 0));
  assertEquals(world.proxy.count("ok"), 41);
});

property("a BYE of the called side is challenged under its own name", 6, (seed) => {
  const world = new World(seed, { flags: ["--auth_methods=INVITE,BYE"] });
  world.addUser("alice");
  world.called.hangUpAfter = 50;
  const alice = world.device("alice");
  for (let i = 0; i < 12; i++) {
    const call = world.call(alice, { bye: "nobody" });
    world.queue.runUntil(() => call.ended, 10_000);
    assertEquals([call.invite?.status, call.ended], [200, true]);
    world.run(2500);
  }
  assertEquals(
    world.called.byes.filter(({ status, confirmation }) => status !== 200 || confirmation !== "confirmed"),
    [],
  );
  assert(world.accepted.all.some(({ username }) => username === "bob"));
});

property(
  "a user who comes when the last tenth has begun is renewed then, not when the life is over",
  4,
  (seed) => {
    const world = new World(seed, { n: 100, ttl: 100 });
    world.addUser("alice");
    const alice = world.device("alice");
    world.call(alice, { bye: "nobody" });
    // Renewed at 90 s; of the second credential nothing is seen until 93 of its 100 s are over.
    world.run(184_000);
    assertEquals(world.questionsAbout("alice"), 2);
    world.call(alice, { bye: "nobody" });
    world.run(2000);
    assertEquals(world.questionsAbout("alice"), 3);
    assertEquals(world.call(alice, { bye: "nobody" }).invite?.confirmation, "confirmed");
    world.run(10_000);
    assertEquals(world.call(alice, { bye: "nobody" }).invite?.challenges, 0);
  },
);
