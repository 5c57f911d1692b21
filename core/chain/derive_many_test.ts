import { assertEquals, assertThrows } from "@std/assert";
import { CHAIN_ALGORITHMS } from "../hash/chain_hash.ts";
import { loadHashBackend } from "../hash/select.ts";
import { seededRandom } from "../random.ts";
import { deriveCredential } from "./derive.ts";
import { deriveCredentials } from "./derive_many.ts";

const { backend } = await loadHashBackend();

Deno.test("many credentials at once are those made one by one", () => {
  const seed = 811;
  const random = seededRandom(seed);
  for (const algorithm of CHAIN_ALGORITHMS) {
    const hash = backend.get(algorithm);
    for (const [count, n] of [[0, 10], [1, 1], [2, 10], [9, 257]]) {
      const holders = Array.from({ length: count }, (_, i) => ({
        username: `user${i}`,
        realm: "example.com",
        // As long as the HA1 of SHA-256, now and then: what decoys have.
        secret: (i % 2 === 0 ? "5ebe2294ecd0e0f08eab7690d2a6ee69" : "ab".repeat(32)).replace("5", `${i}`),
      }));
      const nonces = random.bytes(count * 16);
      const expected = holders.map(({ secret, ...identity }, i) =>
        deriveCredential(hash, secret, identity, nonces.slice(i * 16, i * 16 + 16), n)
      );
      assertEquals(
        deriveCredentials(hash, holders, nonces, n),
        expected,
        `seed ${seed}, ${algorithm}, ${count}`,
      );
    }
  }
});

Deno.test("nonces that do not fit the users, and impossible chains, are refused", () => {
  const hash = backend.get("SHA-1");
  const holders = [{ username: "alice", realm: "example.com", secret: "00" }];
  for (const size of [0, 15, 32]) {
    assertThrows(() => deriveCredentials(hash, holders, new Uint8Array(size), 10), RangeError);
  }
  for (const n of [0, 1.5, 65536]) {
    assertThrows(() => deriveCredentials(hash, holders, new Uint8Array(16), n), RangeError);
  }
});
