/**
 * ns per link, per verification and per HMAC, for each backend and algorithm:
 *
 *     deno bench bench/hash_bench.ts
 *
 * The name of a walk says its links; divide by them for ns per link. For many at once see lanes_bench.ts.
 */
import { CHAIN_ALGORITHMS, loadHashBackend, seededRandom } from "../mod.ts";

const random = seededRandom(1);
const backends = await Promise.all(
  (["hash-wasm", "lanes", "noble"] as const).map(async (choice) => (await loadHashBackend(choice)).backend),
);
const nonce = random.bytes(16);
/** As long as the text of a response MAC in an ordinary call: docs/PROTOCOL.md §5. */
const macText = random.bytes(110);

for (const algorithm of CHAIN_ALGORITHMS) {
  for (const backend of backends) {
    const hash = backend.get(algorithm);
    const seed = random.bytes(hash.size);
    const key = random.bytes(hash.size);
    // Baselines are hash-wasm, so that a summary reads as "times the default".
    const of = { baseline: backend === backends[0] } as const;

    Deno.bench({
      name: `link ${algorithm} ${backend.name}`,
      group: `1 link, ${algorithm}`,
      ...of,
      fn: () => void hash.walk(nonce, 0, seed, 1),
    });

    const anchor = hash.walk(nonce, 9, seed, 1);
    Deno.bench({
      name: `verify next token ${algorithm} ${backend.name}`,
      group: `verification, ${algorithm}`,
      ...of,
      fn() {
        if (!hash.verify(nonce, 9, seed, 1, anchor)) throw new Error("a right token was refused");
      },
    });

    Deno.bench({
      name: `HMAC 110 bytes ${algorithm} ${backend.name}`,
      group: `HMAC, ${algorithm}`,
      ...of,
      fn: () => void hash.hmac(key, macText),
    });

    for (const n of [10, 100, 1000]) {
      Deno.bench({
        name: `walk ${n} links ${algorithm} ${backend.name}`,
        group: `walk ${n} links, ${algorithm}`,
        ...of,
        fn: () => void hash.walk(nonce, 0, seed, n),
      });
      Deno.bench({
        name: `chain of ${n} kept ${algorithm} ${backend.name}`,
        group: `chain of ${n} kept, ${algorithm}`,
        ...of,
        fn: () => void hash.chain(nonce, seed, n),
      });
    }
  }
}
