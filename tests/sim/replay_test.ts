import { assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { seededRandom } from "../../mod.ts";
import { MALLORY, otherBranch } from "./mallory.ts";
import { BAD_LINK } from "./network.ts";
import { property } from "./seeds_io.ts";
import type { SimProxy } from "./sim_proxy.ts";
import { REALM, World, type WorldOptions } from "./world.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Calls of two users over time, and every request with an answer that reached a proxy. */
function recordCalls(world: World, calls: number): string[] {
  const recorded: string[] = [];
  world.network.taps.push(({ to, bytes }) => {
    const text = decoder.decode(bytes);
    const toProxy = world.proxies.some(({ address }) => address.host === to.host);
    if (toProxy && /^Proxy-Authorization:/m.test(text)) recorded.push(text);
  });
  for (const name of ["alice", "carol"]) world.addUser(name);
  const devices = ["alice", "carol"].map((name) => world.device(name));
  for (let i = 0; i < calls; i++) {
    world.call(devices[i % 2]);
    world.run(world.random.below(2000));
  }
  assertGreater(recorded.length, calls);
  world.network.taps.length = 0;
  return recorded;
}

/** Sends texts to a proxy from a stranger's address; how many of them it accepted. */
function play(world: World, proxy: SimProxy, texts: readonly string[]): number {
  const before = world.accepted.all.length;
  const reached = world.called.arrivals.length;
  for (const text of texts) {
    world.network.send(MALLORY, proxy.address, encoder.encode(text));
    world.run(20);
  }
  world.run(1000);
  const count = world.accepted.all.length - before;
  assertEquals(world.called.arrivals.length - reached, count, "what reached the called side");
  return count;
}

const options = (seed: number): WorldOptions => ({
  n: [10, 40][seed % 2],
  proxies: 2,
  flags: [
    "--auth_methods=INVITE,BYE,MESSAGE,OPTIONS",
    `--auth_int=${seed % 3 === 0 ? 1 : 0}`,
    `--algorithm=${["SHA-1", "SHA-256", "MD5"][seed % 3]}`,
  ],
});

property(
  "recorded requests are refused after a restart, with or without the same credentials",
  10,
  (seed) => {
    const world = new World(seed, options(seed));
    const recorded = recordCalls(world, 12);
    const credentials = world.proxy.link.received;
    for (const warmUp of [undefined, credentials]) {
      world.proxy.restart(warmUp);
      assertEquals(play(world, world.proxy, recorded), 0);
      // Once more, now that the users are in the cache.
      assertEquals(play(world, world.proxy, recorded.map(otherBranch(world.random))), 0);
    }
  },
);

property("recorded requests are refused by another proxy that holds the same credentials", 10, (seed) => {
  const world = new World(seed, { ...options(seed), n: 40 });
  const recorded = recordCalls(world, 12);
  const [, other] = world.proxies;
  other.restart(world.proxy.link.received);
  assertEquals(play(world, other, recorded), 0);
  assertEquals(play(world, other, recorded.map(otherBranch(world.random))), 0);
  const nonceAt = ({ proxy }: SimProxy) => proxy.cache.peek("alice", REALM)?.newest?.nonceHex;
  assertEquals(nonceAt(other), nonceAt(world.proxy));
  // The user itself gets through there, on a chain of the same N.
  assertEquals(world.call(world.device("alice"), { hop: other.address }).invite?.status, 200);
});

property(
  "recorded requests are refused by the same proxy, whatever is changed around the answer",
  12,
  (seed) => {
    const world = new World(seed, options(seed));
    const recorded = recordCalls(world, 12);
    const changes: Record<string, (text: string) => string> = {
      "nothing, long after": (text) => text,
      "branch": (text) => text,
      "Call-ID": (text) => text.replace(/^Call-ID: ./m, "Call-ID: Z"),
      "CSeq": (text) => text.replace(/^CSeq: \d+/m, "CSeq: 77"),
      "method": (text) => text.replace(/^(INVITE|BYE) /, "MESSAGE ").replace(/(CSeq: \d+) \w+/, "$1 MESSAGE"),
      "URI": (text) => text.replace(/^(\w+) sip:\S+/, "$1 sip:eve@example.com"),
      "URI and uri": (text) =>
        text.replace(/^(\w+) sip:\S+/, "$1 sip:eve@example.com").replace(
          /uri="[^"]*"/,
          'uri="sip:eve@example.com"',
        ),
      "seq": (text) => text.replace(/seq=(\d+)/, (_, seq) => `seq=${Math.max(0, Number(seq) - 1)}`),
      "seq above": (text) => text.replace(/seq=(\d+)/, (_, seq) => `seq=${Number(seq) + 1}`),
      "another user": (text) => text.replaceAll("alice", "carol"),
      "renew": (text) => text.replace(/seq=\d+, token="[^"]*"/, "seq=none"),
    };
    world.run(40_000);
    for (const [what, change] of Object.entries(changes)) {
      const other = what === "nothing, long after" ? (text: string) => text : otherBranch(world.random);
      assertEquals(play(world, world.proxy, recorded.map(change).map(other)), 0, what);
    }
  },
);

const ON_THE_WAY: Record<string, (text: string) => string> = {
  "Call-ID": (text) => text.replace(/^Call-ID: ./m, "Call-ID: Z"),
  "CSeq": (text) => text.replace(/^CSeq: \d+/m, "CSeq: 77"),
  "method": (text) => text.replace(/^INVITE /, "MESSAGE ").replace(/(CSeq: \d+) \w+/, "$1 MESSAGE"),
  "URI": (text) =>
    text.replace(/^(\w+) sip:\S+/, "$1 sip:eve@example.com").replace(
      /uri="[^"]*"/,
      'uri="sip:eve@example.com"',
    ),
  "seq": (text) => text.replace(/seq=(\d+)/, (_, seq) => `seq=${Math.max(0, Number(seq) - 1)}`),
  "token": (text) => text.replace(/token="(.)/, (_, digit) => `token="${digit === "0" ? 1 : 0}`),
  "another user": (text) => text.replaceAll("alice", "carol"),
};

for (const [what, change] of Object.entries(ON_THE_WAY)) {
  property(`a fresh token is of no use once the request is changed on the way: ${what}`, 3, (seed) => {
    const world = new World(seed, options(seed));
    for (const name of ["alice", "carol"]) world.addUser(name);
    assertEquals(world.call(world.device("carol")).invite?.status, 200);
    const accepted = world.accepted.all.length;
    world.network.middle = ({ bytes, ...rest }) => {
      const text = decoder.decode(bytes);
      return /^Proxy-Authorization:/m.test(text) && rest.to.host === world.hop.host
        ? [{ ...rest, bytes: encoder.encode(change(text)) }]
        : undefined;
    };
    const call = world.device("alice").call({ hop: world.hop });
    world.run(40_000);
    assertNotEquals(call.invite?.status, 200);
    assertEquals(world.accepted.all.length, accepted);
  });
}

property("a body may not change under auth-int", 4, (seed) => {
  const world = new World(seed, { flags: ["--auth_int=1"] });
  world.addUser("alice");
  world.network.middle = ({ bytes, ...rest }) => {
    const text = decoder.decode(bytes);
    return text.startsWith("INVITE")
      ? [{ ...rest, bytes: encoder.encode(text.replace("c=good", "c=evil")) }]
      : undefined;
  };
  const { invite } = world.call(world.device("alice"), { body: "c=good\r\n" });
  assertEquals(invite?.status, 407);
  assertEquals(world.accepted.all.length, 0);
  world.network.middle = undefined;
  assertEquals(world.call(world.device("alice"), { body: "c=good\r\n" }).invite?.status, 200);
});

property("a request kept back on the way is accepted once, in whatever order it comes", 10, (seed) => {
  const world = new World(seed, { n: 100 });
  const recorded: string[] = [];
  world.network.taps.push(({ bytes }) => {
    const text = decoder.decode(bytes);
    if (/^Proxy-Authorization:/m.test(text)) recorded.push(text);
  });
  world.addUser("alice");
  const alice = world.device("alice");
  world.call(alice);
  world.network.set(BAD_LINK);
  for (let i = 0; i < 10; i++) {
    alice.call({ hop: world.hop });
    world.run(200);
  }
  world.network.heal();
  world.network.taps.length = 0;
  // The record of accepted tokens throws on a second time.
  const random = seededRandom(seed);
  for (let i = 0; i < 100; i++) {
    const text = otherBranch(world.random)(recorded[random.below(recorded.length)]);
    world.network.send(MALLORY, world.hop, encoder.encode(text));
    world.run(50);
  }
});
