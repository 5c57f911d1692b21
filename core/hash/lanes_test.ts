import { assert, assertEquals } from "@std/assert";
import { type Random, seededRandom } from "../random.ts";
import { CHAIN_ALGORITHMS, type ChainHash } from "./chain_hash.ts";
import { loadHashWasm } from "./hash_wasm.ts";
import { toHex } from "./hex.ts";
import {
  MAC_INNER,
  MAC_OUTER,
  MAC_SIZE,
  WALK_INDEX,
  WALK_LINKS,
  WALK_SIZE,
} from "./kernel/assembly/layout.ts";
import { LanesHash, loadLanes, loadScalarLanes } from "./lanes.ts";
import { loadNoble } from "./noble.ts";

/** How many random inputs in all; `deno task test:kernel` takes a million. */
const INPUTS = Number(Deno.env.get("PROXYCHAIN_KERNEL_INPUTS") ?? 20_000);
const SEED = Number(Deno.env.get("PROXYCHAIN_KERNEL_SEED") ?? 20_27);
/** More than the kernel takes at once, and no multiple of the lanes. */
const BATCH = 301;

const lanes = await loadLanes();
const scalar = await loadScalarLanes();
const hashWasm = await loadHashWasm();
const noble = await loadNoble();

/** Runs the same random jobs through both kernels and both libraries; `run` gives results as text. */
function agree<Job>(
  name: string,
  job: (random: Random, hash: ChainHash) => Job,
  run: (hash: ChainHash, jobs: Job[]) => string[],
): void {
  for (const algorithm of CHAIN_ALGORITHMS) {
    Deno.test(`${name}, ${algorithm}: kernels and libraries agree on random input`, () => {
      const random = seededRandom(SEED);
      for (let done = 0; done < INPUTS / 12; done += BATCH) {
        const reference = hashWasm.get(algorithm);
        const jobs = Array.from({ length: BATCH }, () => job(random, reference));
        const expected = run(reference, jobs);
        for (const backend of [lanes, scalar, noble]) {
          const results = run(backend.many(algorithm), jobs);
          const wrong = results.findIndex((result, i) => result !== expected[i]);
          assert(
            results.length === BATCH && wrong < 0,
            `${backend.name}, seed ${SEED}, job ${done + wrong}: ${results[wrong]}, not ${expected[wrong]}`,
          );
        }
      }
    });
  }
}

agree("walkMany", (random, hash) => ({
  nonce: random.bytes(16),
  from: random.below(2 ** 32 - 100),
  value: random.bytes(hash.size),
  links: random.below(12),
}), (hash, walks) => hash.walkMany(walks).map(toHex));

agree("verifyMany", (random, hash) => {
  const [nonce, from, token, links] = [
    random.bytes(16),
    random.below(65_536),
    random.bytes(hash.size),
    random.below(4),
  ];
  const expected = hash.walk(nonce, from, token, links);
  if (random.below(2) === 0) expected[random.below(hash.size)] ^= 1 << random.below(8);
  return { nonce, from, token, links, expected };
}, (hash, checks) => hash.verifyMany(checks).map(String));

agree("hmacMany", (random) => ({
  key: random.bytes(random.below(100)),
  data: random.bytes(random.below(260)),
}), (hash, jobs) => hash.hmacMany(jobs).map(toHex));

agree("deriveMany", (random) => ({
  secret: toHex(random.bytes(random.below(2) === 0 ? 16 : 32)),
  nonce: random.bytes(16),
  n: 1 + random.below(20),
}), (hash, secrets) => hash.deriveMany(secrets).map(({ anchor, key }) => `${toHex(anchor)} ${toHex(key)}`));

for (const backend of [lanes, scalar]) {
  Deno.test(`${backend.name}: flat areas are filled through words, and outlive the memory's growth`, () => {
    const random = seededRandom(SEED);
    const hash = backend.get("SHA-1");
    assert(hash instanceof LanesHash);
    const small = hash.areas(10, 2048);
    const nonce = random.bytes(16);
    const token = random.bytes(20);
    small.walks.put(0, nonce, 9, token, 0);
    // As large as the whole memory is now.
    const large = hash.areas(small.walks.kernel.bytes.length / WALK_SIZE, 2048);
    const { kernel } = small.walks;
    assertEquals(kernel.bytes.length % 65_536, 0);

    const template = small.walks.records / 4;
    for (let i = 0; i < 9; i++) {
      const record = large.walks.records + i * WALK_SIZE;
      kernel.words.copyWithin(record / 4, template, template + WALK_SIZE / 4);
      kernel.words[(record + WALK_INDEX) / 4] = 9 + i;
      kernel.words[(record + WALK_LINKS) / 4] = i;
      large.walks.putExpected(i, hash.walk(nonce, 9 + (i === 4 ? 0 : i), token, i));
    }
    large.walks.verify(large.algorithm, 9);
    const verdicts = Array.from({ length: 9 }, (_, i) => large.walks.verdict(i));
    assertEquals(verdicts, [true, true, true, true, false, true, true, true, true]);
  });

  Deno.test(`${backend.name}: states behind the pads may be kept and put back`, () => {
    const random = seededRandom(SEED);
    const hash = backend.get("SHA-256");
    assert(hash instanceof LanesHash);
    const { macs, algorithm } = hash.areas(4, 4096);
    const keys = Array.from({ length: 4 }, () => random.bytes(32));
    keys.forEach((key, i) => macs.putKey(i, key));
    macs.pads(algorithm, 4);
    const { words } = macs.kernel;
    const kept = keys.map((_, i) => {
      const record = macs.records + i * MAC_SIZE;
      return words.slice((record + MAC_INNER) / 4, (record + MAC_OUTER + 32) / 4);
    });
    // Back in the other order, twice, with other messages.
    for (let round = 0; round < 2; round++) {
      macs.clear();
      const messages = keys.map(() => random.bytes(110));
      messages.forEach((message, i) => {
        words.set(kept[3 - i], (macs.records + i * MAC_SIZE + MAC_INNER) / 4);
        assert(macs.putMessage(i, message));
      });
      macs.finish(algorithm, 4);
      messages.forEach((message, i) => assertEquals(macs.result(i, 32), hash.hmac(keys[3 - i], message)));
    }
    assertEquals(macs.putMessage(0, new Uint8Array(4096)), false);
  });
}

Deno.test("a kernel is started once", async () => {
  assertEquals(await loadLanes() === lanes, true);
  assertEquals(await loadScalarLanes() === scalar, true);
});
