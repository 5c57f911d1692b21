import { assert, assertEquals, assertGreater } from "@std/assert";
import { anyOptions, disorder } from "./disorder.ts";
import { mimic } from "./mallory.ts";
import { property } from "./seeds_io.ts";
import { isOver } from "./world.ts";

/** docs/PROTOCOL.md §4: challenges that an agent answers for one request. */
const MOST_CHALLENGES = 6;

property("no token is accepted twice in loss, doubling, reordering, restarts and outages", 24, (seed) => {
  // The record of accepted tokens throws; here only whether there was anything to see.
  assertGreater(disorder(seed).world.accepted.all.length, 10);
});

property("no token is accepted twice while a stranger sends every request again", 24, (seed) => {
  assertGreater(disorder(seed, anyOptions(seed, [10, 100, 300]), mimic).world.accepted.all.length, 10);
});

property("after disorder a lone device gets through with one challenge more than usual", 24, (seed) => {
  const { world, lone } = disorder(seed);
  for (const device of lone) {
    for (const { address: hop } of world.proxies) {
      const { invite, bye } = world.call(device, { hop });
      assertEquals([invite!.status, bye!.status], [200, 200], `${device.account.username}`);
      assert(invite!.challenges <= 2, `${invite!.challenges} challenges for INVITE`);
      assert(bye!.challenges <= 2, `${bye!.challenges} challenges for BYE`);
      assertEquals([invite!.confirmation, bye!.confirmation], ["confirmed", "confirmed"]);
      world.run(3000);
    }
  }
});

property("after disorder eight devices under one name get through at once", 24, (seed) => {
  // A chain shorter than the crowd cannot serve it in one round: those are left to the test below.
  const { world, crowd } = disorder(seed, anyOptions(seed, [10, 20, 100, 300]));
  const calls = crowd.map((device) => device.call({ hop: world.hop, bye: "nobody" }));
  world.queue.runUntil(() => calls.every(isOver), 60_000);
  const seen = calls.map(({ invite }) => `${invite?.status}/${invite?.challenges}/${invite?.refusal}`);
  for (const { invite } of calls) {
    assertEquals(invite?.status, 200, seen.join(" "));
    assert(invite!.challenges <= MOST_CHALLENGES, `${invite!.challenges} challenges`);
  }
});

property("eight devices of a chain shorter than they are many: none is locked out", 12, (seed) => {
  const { world, crowd } = disorder(seed, anyOptions(seed, [1, 2, 3, 5]));
  const waiting = new Set(crowd);
  for (let round = 0; waiting.size > 0; round++) {
    assert(round < 8, `${waiting.size} devices still wait after ${round} rounds`);
    const calls = [...waiting].map((device) => device.call({ hop: world.hop, bye: "nobody" }));
    world.queue.runUntil(() => calls.every(isOver), 60_000);
    for (const { device, invite } of calls) if (invite?.status === 200) waiting.delete(device);
    world.run(2500);
  }
});
