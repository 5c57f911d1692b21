import { assert, assertGreater } from "@std/assert";
import { type PcChallenge, toHex, writePcChallenge } from "../../mod.ts";
import { Adversary } from "./adversary.ts";
import type { Device } from "./device.ts";
import { property } from "./seeds_io.ts";
import { World } from "./world.ts";

/** docs/PROTOCOL.md §4: how far below the index of a repeated guided challenge an agent may go. */
const MAX_SPREAD = 31;

/**
 * Watches every token that a device reveals. One that is not the device's own next needs a guided challenge that the
 * proxy itself made for this very request.
 *
 * @returns how many tokens went out, and how many of them because of a guide
 */
function watch(world: World, adversary: Adversary, device: Device): { tokens: number; guided: number } {
  const counts = { tokens: 0, guided: 0 };
  const lowest = new Map<string, number>();
  const believed = new Map<string, readonly PcChallenge[]>();
  device.onChallenges = (challenges, { callId }, cseq) => {
    const real = challenges.filter((challenge) =>
      challenge.guide !== undefined &&
      adversary.genuine.has(`${callId} ${cseq} ${writePcChallenge(challenge)}`)
    );
    believed.set(`${callId} ${cseq + 1}`, real);
  };
  device.onAnswers = (answers, { callId }, cseq) => {
    for (const { token, seq } of answers) {
      const place = token === undefined ? undefined : world.dbclient.places.get(toHex(token));
      if (place === undefined) continue; // Of a chain that no proxy has: worth nothing.
      counts.tokens++;
      const before = lowest.get(place.nonce) ?? world.dbclient.n;
      lowest.set(place.nonce, Math.min(before, place.index));
      if (place.index >= before - 1) continue;
      const guides = (believed.get(`${callId} ${cseq}`) ?? []).filter(({ nonce }) => nonce === place.nonce);
      assert(
        guides.some(({ guide }) => place.index >= Math.min(guide!.seq, before - 1) - MAX_SPREAD),
        `token ${seq} of N ${place.nonce} was revealed, own next was ${before - 1}`,
      );
      counts.guided++;
    }
  };
  return counts;
}

property("who lacks K makes no agent reveal a token below its own next one", 30, (seed) => {
  const world = new World(seed, {
    n: [10, 60, 200][seed % 3],
    proxies: 2,
    flags: ["--auth_methods=INVITE,BYE"],
  });
  world.dbclient.keepPlaces = true;
  world.addUser("alice");
  world.addUser("carol");
  const devices = [world.device("alice"), world.device("alice"), world.device("carol")];
  // An honest start, so that the adversary has something to play again.
  const adversary = new Adversary(world);
  const counts = devices.map((device) => watch(world, adversary, device));
  for (const device of devices) world.call(device);
  adversary.percent = 40;
  let confirmed = 0;
  for (let i = 0; i < 60; i++) {
    const device = devices[world.random.below(devices.length)];
    const call = device.call({ hop: world.proxies[world.random.below(2)].address });
    world.run(world.random.below(1500));
    if (call.invite?.confirmation === "confirmed") confirmed++;
  }
  world.run(60_000);
  assertGreater(adversary.forgeries, 20);
  assert(counts.every(({ tokens }) => tokens > 5), "devices revealed hardly any token");
  assertGreater(confirmed, 0);
});

property("a changed confirmation proves nothing and announces nothing", 10, (seed) => {
  const world = new World(seed);
  world.addUser("alice");
  const alice = world.device("alice");
  world.call(alice);
  const adversary = new Adversary(world);
  adversary.percent = 30;
  for (let i = 0; i < 40; i++) {
    const known = adversary.forgedInfos.size;
    const { invite } = world.call(alice);
    if (adversary.forgedInfos.size > known && invite?.status === 200) {
      assert(invite.confirmation !== "confirmed", "a forged confirmation was believed");
    }
    world.run(3000);
  }
  assertGreater(adversary.forgedInfos.size, 0);
});
