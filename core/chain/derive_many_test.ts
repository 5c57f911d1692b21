import { assert, assertEquals, assertThrows } from "@std/assert";
import { CHAIN_ALGORITHMS, type ChainHash } from "../hash/chain_hash.ts";
import { loadHashBackend } from "../hash/select.ts";
import { seededRandom } from "../random.ts";
import { decoySecret, deriveCredential } from "./derive.ts";
import { decoySecrets, deriveCredentials, deriveCredentialsInSteps, type KeyHolder } from "./derive_many.ts";

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

function holdersOf(count: number): KeyHolder[] {
  return Array.from({ length: count }, (_, i) => {
    return { username: `user${i}`, realm: "example.com", secret: `${i % 10}b`.repeat(16) };
  });
}

/** Counts the links that go through it. */
function counting(hash: ChainHash): { readonly hash: ChainHash; readonly links: () => number } {
  let links = 0;
  const count = (items: readonly { readonly links?: number; readonly n?: number }[]) => {
    for (const item of items) links += item.links ?? item.n ?? 0;
  };
  const counted: ChainHash = Object.assign(Object.create(hash), {
    name: hash.name,
    walkMany: (walks: Parameters<ChainHash["walkMany"]>[0]) => (count(walks), hash.walkMany(walks)),
    deriveMany: (
      secrets: Parameters<ChainHash["deriveMany"]>[0],
    ) => (count(secrets), hash.deriveMany(secrets)),
    hmacMany: (jobs: Parameters<ChainHash["hmacMany"]>[0]) => hash.hmacMany(jobs),
  });
  return { hash: counted, links: () => links };
}

Deno.test("in steps: the same credentials, and no step of more links than were asked for", () => {
  const random = seededRandom(812);
  for (
    const [count, n, limit] of [[0, 10, 500], [1, 1, 500], [200, 10, 500], [40, 100, 500], [3, 5000, 500]]
  ) {
    const holders = holdersOf(count);
    const nonces = random.bytes(count * 16);
    const { hash, links } = counting(backend.many("SHA-1"));
    const steps = deriveCredentialsInSteps(hash, holders, nonces, n, limit);
    let before = 0;
    for (;;) {
      const { done, value } = steps.next();
      assert(links() - before <= limit, `${links() - before} links in a step, n ${n}`);
      before = links();
      if (!done) continue;
      assertEquals(links(), count * n);
      assertEquals(value, deriveCredentials(backend.many("SHA-1"), holders, nonces, n));
      break;
    }
  }
  assertThrows(
    () => deriveCredentialsInSteps(backend.many("MD5"), [], new Uint8Array(1), 10, 1).next(),
    RangeError,
  );
});

Deno.test("many decoys at once are those made one by one", () => {
  const secret = seededRandom(813).bytes(32);
  const users = holdersOf(20);
  assertEquals(
    decoySecrets(backend.many("SHA-256"), secret, users),
    users.map((user) => decoySecret(backend.get("SHA-256"), secret, user)),
  );
});
