/** A time of everything that may go wrong, for the properties that have to hold during and after it. */
import type { CHAIN_ALGORITHMS } from "../../mod.ts";
import type { IssueOutcome } from "../../proxy/issue_service.ts";
import type { Call, Device } from "./device.ts";
import { BAD_LINK } from "./network.ts";
import { World, type WorldOptions } from "./world.ts";

/** A world after its bad time, with what was done in it. */
export interface Disorder {
  readonly world: World;
  readonly lone: readonly Device[];
  readonly crowd: readonly Device[];
  readonly calls: readonly Call[];
}

const ALGORITHMS: typeof CHAIN_ALGORITHMS = ["MD5", "SHA-1", "SHA-256"];

/** Options drawn from a seed: chain length, algorithm, auth-int, prefetching, one to three proxies. */
export function anyOptions(seed: number, lengths: readonly number[] = [1, 2, 5, 10, 100, 300]): WorldOptions {
  const pick = <T>(choices: readonly T[], shift: number): T =>
    choices[Math.floor(seed / shift) % choices.length];
  return {
    n: pick(lengths, 1),
    proxies: pick([1, 2, 3], 2),
    flags: [
      "--auth_methods=INVITE,BYE",
      `--algorithm=${pick(ALGORITHMS, 3)}`,
      `--auth_int=${pick([0, 0, 1], 5)}`,
      `--prefetching=${pick([1, 1, 0], 7)}`,
    ],
  };
}

/**
 * Two lone devices and eight devices under one name call for a minute over links that lose, double and reorder, while
 * proxies restart (at times with the credentials of another run or another proxy), devices forget all they knew, and
 * DBclient comes and goes. Then the network heals, and everything under way comes to its end.
 *
 * @param before is given the world at its start
 */
export function disorder(
  seed: number,
  options: WorldOptions = anyOptions(seed),
  before: (world: World) => void = () => {},
): Disorder {
  const world = new World(seed, options);
  before(world);
  const { random, network, dbclient, proxies } = world;
  for (const name of ["alice", "carol", "office"]) world.addUser(name);
  const lone = [world.device("alice"), world.device("carol", undefined, { preemptive: seed % 4 > 0 })];
  const crowd = Array.from({ length: 8 }, () => world.device("office"));
  const devices = [...lone, ...crowd];
  const calls: Call[] = [];
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)];
  network.set(BAD_LINK);
  // Now and then a copy comes when its transaction is long over.
  network.set({ ...BAD_LINK, doubling: 60, maxDelay: 45_000 }, lone[1].address.host);
  world.called.hangUpAfter = undefined;
  for (let step = 0; step < 120; step++) {
    world.run(500);
    for (let i = random.below(3); i > 0; i--) {
      const call = pick(devices).call({
        hop: pick(proxies).address,
        bye: world.percent(70) ? "caller" : "nobody",
        body: world.percent(30) ? "v=0\r\n" : undefined,
      });
      calls.push(call);
    }
    if (world.percent(6)) pick(proxies).restart(world.percent(50) ? someCredentials(world) : undefined);
    if (world.percent(8)) pick(devices).forget();
    if (world.percent(8)) dbclient.setUp(!dbclient.up);
    dbclient.silent = world.percent(10);
  }
  network.heal();
  dbclient.setUp(true);
  dbclient.silent = false;
  world.run(100_000);
  return { world, lone, crowd, calls };
}

function someCredentials({ proxies, random }: World): ReadonlyMap<string, IssueOutcome> {
  return proxies[random.below(proxies.length)].link.received;
}
