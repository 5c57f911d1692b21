import { assertEquals, assertGreater } from "@std/assert";
import { Outsider } from "./outsider.ts";
import { property } from "./seeds_io.ts";
import { REALM, World } from "./world.ts";

/** Names of the same length: one exists, the others do not. */
const NAMES = ["alice", "trudy", "wendy"];

const answer = (outsider: Outsider, username: string, rest: string) =>
  `Proxy-Authorization: PC username="${username}", realm="${REALM}", algorithm=${
    outsider.param("algorithm")
  }, ` +
  `nonce="${outsider.param("nonce")}", opaque="${outsider.param("opaque")}", ${rest}`;

/** Requests of somebody without the password: with no answer, made-up ones, broken ones, and for old nonces. */
function probes(outsider: Outsider, size: number): ((username: string) => string[])[] {
  const hex = (bytes: number, digit: string) => digit.repeat(bytes * 2);
  const uri = 'uri="sip:bob@example.com"';
  return [
    () => [],
    (
      name,
    ) => [answer(outsider, name, `seq=9, token="${hex(size, "a")}", ${uri}, response="${hex(size, "b")}"`)],
    (
      name,
    ) => [answer(outsider, name, `seq=0, token="${hex(size, "a")}", ${uri}, response="${hex(size, "b")}"`)],
    (name) => [answer(outsider, name, `seq=none, ${uri}, response="${hex(size, "c")}"`)],
    (name) => [answer(outsider, name, `seq=9, token="${hex(size, "a")}", ${uri}`)],
    (
      name,
    ) => [
      answer(outsider, name, `seq=65534, token="${hex(size, "a")}", ${uri}, response="${hex(size, "b")}"`),
    ],
    (name) => [
      answer(outsider, name, `seq=none, ${uri}, response="${hex(size, "c")}"`)
        .replace(/nonce="[^"]*"/, `nonce="${hex(16, "0")}"`),
    ],
    () => [answer(outsider, "other", `seq=none, ${uri}, response="${hex(size, "c")}"`)],
    () => [],
  ];
}

for (const flags of [[], ["--auth=both"], ["--algorithm=SHA-256", "--auth_int=1"]]) {
  property(`an outsider cannot tell who exists ${flags.join(" ")}`, 6, (seed) => {
    const world = new World(seed, { flags });
    world.addUser("alice");
    const outsider = new Outsider(world);
    const size = flags.includes("--algorithm=SHA-256") ? 32 : 20;
    // The first round finds the cache cold, the second warm; in the third credentials have run out.
    for (const wait of [0, 5000, 3_700_000]) {
      world.run(wait);
      const sights = NAMES.map((name) =>
        probes(outsider, size).map((probe) => outsider.send(name, probe(name)))
      );
      for (const sight of sights[0]) assertGreater(sight.responses.length, 0);
      assertEquals(sights[1], sights[0]);
      assertEquals(sights[2], sights[0]);
    }
    assertEquals([world.accepted.all, world.called.arrivals], [[], []]);
  });
}

property(
  "wrong passwords and unknown users never get through, and look alike with Digest too",
  2,
  async (seed) => {
    const world = new World(seed, { flags: ["--auth=digest"] });
    world.addUser("alice");
    const outsider = new Outsider(world);
    const sights = [];
    for (const name of NAMES) {
      const first = await outsider.sendSlowly(name);
      const digest = `Proxy-Authorization: Digest username="${name}", realm="${REALM}", nonce="${
        outsider.param("nonce")
      }", uri="sip:bob@example.com", qop=auth, nc=00000001, cnonce="x", response="${
        "ab".repeat(16)
      }", algorithm=MD5`;
      sights.push([first, await outsider.sendSlowly(name, [digest])]);
    }
    assertEquals(sights[0][1].questions, 1);
    assertEquals(sights[1], sights[0]);
    assertEquals(sights[2], sights[0]);
    assertEquals(world.called.arrivals, []);
  },
);

property("a device with a wrong password ends where one of an unknown user ends", 10, (seed) => {
  const world = new World(seed);
  world.addUser("alice");
  const ends = [world.device("alice", "wrong"), world.device("trudy"), world.device("alice", "")].map(
    (device) => {
      const { invite } = world.call(device);
      world.run(3000);
      return [invite!.status, invite!.challenges, invite!.refusal, invite!.took, invite!.confirmation];
    },
  );
  assertEquals(ends[1].slice(0, 3), ends[0].slice(0, 3));
  assertEquals(ends[2].slice(0, 3), ends[0].slice(0, 3));
  assertEquals(world.called.arrivals, []);
  assertEquals(world.call(world.device("alice")).invite?.status, 200);
});

property("made-up names do not push verified users out of the cache", 3, (seed) => {
  const world = new World(seed, { flags: ["--max_users=40"] });
  const users = Array.from({ length: 20 }, (_, i) => `user${i}`);
  users.forEach((name) => world.addUser(name));
  const devices = users.map((name) => world.device(name));
  for (const device of devices) world.call(device);
  const outsider = new Outsider(world);
  for (let i = 0; i < 500; i++) {
    assertGreater(outsider.send(`made-up-${i}`, [], "OPTIONS").responses.length, -1);
    outsider.send(`made-up-${i}`);
  }
  assertEquals(world.proxy.proxy.cache.verifiedSize, 20);
  assertEquals(world.proxy.proxy.cache.size, 30);
  const questions = world.dbclient.questions.length;
  for (const device of devices) {
    const { invite } = world.call(device);
    assertEquals([invite?.status, invite?.challenges], [200, 0]);
  }
  assertEquals(world.dbclient.questions.length, questions);
});

property("past the limit on misses 503 is the same for all names", 3, (seed) => {
  const world = new World(seed, { flags: ["--miss_limit_per_source=5"] });
  world.addUser("alice");
  world.addUser("early");
  const early = world.device("early");
  world.call(early);
  const outsider = new Outsider(world);
  world.dbclient.delay = 10;
  const sights = NAMES.map((name) => {
    for (let i = 0; i < 5; i++) world.network.send(outsider.address, world.hop, invite(`${name}${i}`));
    const { responses, times } = outsider.send(name);
    return { responses, times, questions: world.questionsAbout(name) };
  });
  assertEquals(sights[0].responses.map((text) => text.slice(0, 11)), ["SIP/2.0 503"]);
  assertEquals(sights[0].responses[0].includes("\r\nRetry-After: "), true);
  assertEquals(sights[0].questions, 0);
  assertEquals(sights[1], sights[0]);
  assertEquals(sights[2], sights[0]);
  // Those in the cache notice nothing, and neither do other sources.
  assertEquals(world.call(early).invite?.challenges, 0);
  assertEquals(world.call(world.device("alice")).invite?.status, 200);
});

const encoder = new TextEncoder();

function invite(username: string): Uint8Array {
  return encoder.encode([
    "INVITE sip:bob@example.com SIP/2.0",
    `Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK-${username}`,
    `From: <sip:${username}@${REALM}>;tag=f`,
    "To: <sip:bob@example.com>",
    `Call-ID: flood-${username}`,
    "CSeq: 1 INVITE",
    "\r\n",
  ].join("\r\n"));
}
