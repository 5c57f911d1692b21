import { assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { CHAIN_ALGORITHMS } from "./chain_hash.ts";
import { chainHashContract } from "./contract.ts";
import { loadHashWasm } from "./hash_wasm.ts";
import { loadLanes, loadScalarLanes } from "./lanes.ts";
import { loadNoble } from "./noble.ts";

chainHashContract("lanes", loadLanes);
chainHashContract("lanes-scalar", loadScalarLanes);
chainHashContract("hash-wasm", loadHashWasm);
chainHashContract("noble", loadNoble);

Deno.test("the backends agree on random input", async () => {
  const seed = 20_26;
  const random = seededRandom(seed);
  const one = await loadHashWasm();
  const other = await loadNoble();
  for (let round = 0; round < 100; round++) {
    for (const algorithm of CHAIN_ALGORITHMS) {
      const a = one.get(algorithm);
      const b = other.get(algorithm);
      const nonce = random.bytes(16);
      const value = random.bytes(a.size);
      const from = random.below(2 ** 32 - 100);
      const links = random.below(40);
      const key = random.bytes(random.below(130));
      const data = random.bytes(random.below(2000));
      const message = `seed ${seed}, round ${round}, ${algorithm}`;
      assertEquals(a.walk(nonce, from, value, links), b.walk(nonce, from, value, links), message);
      assertEquals(a.chain(nonce, value, links), b.chain(nonce, value, links), message);
      assertEquals(a.hmac(key, data), b.hmac(key, data), message);
      assertEquals(a.digest(data), b.digest(data), message);
    }
  }
});
