import { assertEquals, assertThrows } from "@std/assert";
import { CHAIN_ALGORITHMS, type ChainHash } from "../hash/chain_hash.ts";
import { seededRandom } from "../random.ts";
import { AgentChain } from "./agent_chain.ts";
import { chainSeed, credentialKey } from "./derive.ts";
import { ALICE, backend, OPAQUE, secretOf } from "./testing.ts";

const NONCE = new Uint8Array(16).map((_, i) => 200 - i);

function agentChain(hash: ChainHash, n: number): AgentChain {
  return new AgentChain(hash, secretOf(ALICE, hash.name), NONCE, n, OPAQUE);
}

/** h_0 … h_n one after the other. */
function wholeChain(hash: ChainHash, n: number): (j: number) => Uint8Array {
  const values = hash.chain(NONCE, chainSeed(hash, secretOf(ALICE, hash.name), NONCE, n), n);
  return (j) => values.slice(j * hash.size, (j + 1) * hash.size);
}

Deno.test("every token is right, from n - 1 down to 0", async (t) => {
  for (const algorithm of CHAIN_ALGORITHMS) {
    for (const n of [1, 2, 10, 255, 256, 257, 511, 512, 513, 1000, 5000]) {
      await t.step(`${algorithm}, n = ${n}`, () => {
        const hash = backend.get(algorithm);
        const chain = agentChain(hash, n);
        const expected = wholeChain(hash, n);
        assertEquals(chain.key, credentialKey(hash, secretOf(ALICE, algorithm), NONCE, n));
        for (let j = n - 1; j >= 0; j--) {
          assertEquals(chain.left, j + 1);
          assertEquals(chain.reveal(j), expected(j), `j = ${j}`);
          assertEquals(chain.lowest, j);
        }
        assertEquals(chain.left, 0);
      });
    }
  }
});

Deno.test("tokens are right after jumps of any width", () => {
  const hash = backend.get("SHA-1");
  const n = 65_535;
  const expected = wholeChain(hash, n);
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed);
    const chain = agentChain(hash, n);
    let revealed = 0;
    for (let j = n - 1; j >= 0; j -= 1 + random.below([2, 300, 5000][random.below(3)])) {
      assertEquals(chain.reveal(j), expected(j), `seed ${seed}, j = ${j}`);
      if (++revealed === 200) break;
    }
  }
});

Deno.test("each token once, and never upwards", () => {
  const chain = agentChain(backend.get("MD5"), 10);
  assertThrows(() => chain.reveal(10), RangeError);
  chain.reveal(5);
  for (const j of [5, 6, 9, 10, -1, 1.5, NaN]) {
    assertThrows(() => chain.reveal(j), RangeError, "is not below 5");
  }
  assertEquals(chain.lowest, 5);
  chain.reveal(0);
  assertThrows(() => chain.reveal(0), RangeError);
});

Deno.test("a revealed token belongs to the caller", () => {
  const hash = backend.get("SHA-256");
  const chain = agentChain(hash, 300);
  chain.reveal(299).fill(0);
  chain.reveal(256).fill(0);
  chain.reveal(255).fill(0);
  chain.reveal(1).fill(0);
  assertEquals(chain.reveal(0), wholeChain(hash, 300)(0));
});

Deno.test("nothing is walked before a token is revealed, then no link more than needed", async (t) => {
  // [n, links for the first token, links for all]: up to 256 the chain is kept whole, of a longer one most links
  // are walked twice, once for the checkpoints and once for their segment.
  for (
    const [n, first, all] of [[1, 0, 0], [10, 9, 9], [256, 255, 255], [257, 256, 511], [5000, 4999, 9844]]
  ) {
    await t.step(`n = ${n}`, () => {
      const hash = backend.get("SHA-1");
      let links = 0;
      const counting: ChainHash = {
        ...bound(hash),
        walk: (nonce, from, value, count) => {
          links += count;
          return hash.walk(nonce, from, value, count);
        },
      };
      const chain = agentChain(counting, n);
      assertEquals(links, 0);
      chain.reveal(n - 1);
      assertEquals(links, first);
      for (let j = n - 2; j >= 0; j--) chain.reveal(j);
      assertEquals(links, all);
    });
  }
});

/** The methods of a hash as own properties, to replace one of them. */
function bound(hash: ChainHash): ChainHash {
  return {
    backend: hash.backend,
    name: hash.name,
    size: hash.size,
    digest: hash.digest.bind(hash),
    walk: hash.walk.bind(hash),
    walkMany: hash.walkMany.bind(hash),
    chain: hash.chain.bind(hash),
    verify: hash.verify.bind(hash),
    verifyMany: hash.verifyMany.bind(hash),
    hmac: hash.hmac.bind(hash),
    hmacInto: hash.hmacInto.bind(hash),
    hmacMany: hash.hmacMany.bind(hash),
    deriveMany: hash.deriveMany.bind(hash),
  };
}
