/** What every hash backend must do: one suite, run against each of them by contract_test.ts. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createHash, createHmac } from "node:crypto";
import { seededRandom } from "../random.ts";
import { CHAIN_ALGORITHMS, type ChainAlgorithm, type ChainWalk, type HashBackend } from "./chain_hash.ts";
import { KEY_LABEL, labelled, SEED_LABEL } from "./chain_text.ts";
import { DIGEST_VECTORS, HMAC_VECTORS } from "./contract_vectors.ts";
import { toHex } from "./hex.ts";

const NODE_NAME: Readonly<Record<ChainAlgorithm, string>> = {
  "MD5": "md5",
  "SHA-1": "sha1",
  "SHA-256": "sha256",
};
const SIZE: Readonly<Record<ChainAlgorithm, number>> = { "MD5": 16, "SHA-1": 20, "SHA-256": 32 };
const SEED = 0x5ca1ab1e;

/** The reference: docs/PROTOCOL.md §3 word for word, on another library. */
function referenceWalk(name: ChainAlgorithm, { nonce, from, value, links }: ChainWalk): Uint8Array {
  let reached = value;
  for (let k = from; k < from + links; k++) {
    const index = new Uint8Array(4);
    new DataView(index.buffer).setUint32(0, k + 1);
    reached = createHash(NODE_NAME[name]).update(nonce).update(index).update(reached).digest();
  }
  return new Uint8Array(reached);
}

function referenceHmac(name: ChainAlgorithm, key: Uint8Array, data: Uint8Array): string {
  return createHmac(NODE_NAME[name], key).update(data).digest("hex");
}

/**
 * Registers the tests of one backend.
 *
 * @param name how the tests are called
 * @param load starts the backend anew
 */
export function chainHashContract(name: string, load: () => Promise<HashBackend>): void {
  for (const algorithm of CHAIN_ALGORITHMS) {
    Deno.test(`${name} ${algorithm}`, async (t) => {
      const backend = await load();
      const hash = backend.get(algorithm);
      const size = SIZE[algorithm];
      const random = seededRandom(SEED);
      const someWalk = (links: number): ChainWalk => ({
        nonce: random.bytes(16),
        from: random.below(70_000),
        value: random.bytes(size),
        links,
      });

      await t.step("tells its names and size", () => {
        assertEquals(hash.backend, backend.name);
        assertEquals(hash.name, algorithm);
        assertEquals(hash.size, size);
      });

      for (const { text, repeat, digest } of DIGEST_VECTORS[algorithm]) {
        await t.step(`digest of "${text.slice(0, 20)}" × ${repeat}`, () => {
          assertEquals(toHex(hash.digest(new TextEncoder().encode(text.repeat(repeat)))), digest);
        });
      }

      for (const { source, key, data, mac } of HMAC_VECTORS[algorithm]) {
        await t.step(`HMAC ${source}`, () => assertEquals(toHex(hash.hmac(key, data)), mac));
      }

      await t.step("digest and HMAC agree with node:crypto at every length around the blocks", () => {
        for (const length of [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 1023, 1024, 1025, 1088, 20_000]) {
          const data = random.bytes(length);
          const message = `seed ${SEED}, length ${length}`;
          assertEquals(
            toHex(hash.digest(data)),
            createHash(NODE_NAME[algorithm]).update(data).digest("hex"),
            message,
          );
          for (const keyLength of [0, size, 63, 64, 65, 200]) {
            const key = random.bytes(keyLength);
            assertEquals(toHex(hash.hmac(key, data)), referenceHmac(algorithm, key, data), message);
          }
        }
      });

      await t.step("a long key or message leaves nothing behind for a short one", () => {
        const key = random.bytes(3);
        const data = random.bytes(5);
        const before = toHex(hash.hmac(key, data));
        hash.hmac(random.bytes(64), random.bytes(1024));
        hash.hmac(random.bytes(300), random.bytes(5000));
        assertEquals(toHex(hash.hmac(key, data)), before);
      });

      await t.step("hmacInto agrees with hmac at every length, and touches nothing but its result", () => {
        for (const length of [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 300, 1024, 1025, 32_768, 50_000]) {
          for (const behind of [0, 1, 300]) {
            const data = random.bytes(length + behind);
            const before = new Uint8Array(data);
            for (const keyLength of [0, size, 64, 65]) {
              const key = random.bytes(keyLength);
              const keyBefore = new Uint8Array(key);
              const out = new Uint8Array(size + 3).fill(0xee);
              hash.hmacInto(key, data, length, out);
              const message = `seed ${SEED}, length ${length}, key ${keyLength}`;
              const expected = referenceHmac(algorithm, key, data.subarray(0, length));
              assertEquals(toHex(out), `${expected}eeeeee`, message);
              assertEquals([data, key], [before, keyBefore], message);
            }
          }
        }
      });

      await t.step("hmacInto may write over its own key and message", () => {
        const bytes = random.bytes(100);
        const expected = referenceHmac(algorithm, bytes.slice(0, size), bytes);
        const key = bytes.slice(0, size);
        hash.hmacInto(key, bytes, 100, key);
        assertEquals(toHex(key), expected);
        const again = referenceHmac(algorithm, key, bytes);
        hash.hmacInto(key, bytes, 100, bytes);
        assertEquals(toHex(bytes.slice(0, size)), again);
      });

      await t.step("walk, walkMany and verify agree with the reference", () => {
        const walks = [0, 1, 2, 9, 100, ...Array.from({ length: 20 }, () => random.below(30))].map(someWalk);
        const many = hash.walkMany(walks);
        assertEquals(many.length, walks.length);
        for (const [i, walk] of walks.entries()) {
          const { nonce, from, value, links } = walk;
          const message = `seed ${SEED}, walk ${i}`;
          const expected = referenceWalk(algorithm, walk);
          assertEquals(toHex(hash.walk(nonce, from, value, links)), toHex(expected), message);
          assertEquals(toHex(many[i]), toHex(expected), message);
          assert(hash.verify(nonce, from, value, links, expected), message);
          for (const at of [0, size - 1]) {
            const other = new Uint8Array(expected);
            other[at] ^= 1;
            assert(!hash.verify(nonce, from, value, links, other), message);
          }
          assert(links === 0 || !hash.verify(nonce, from + 1, value, links, expected), message);
        }
        assertEquals(hash.walkMany([]), []);
      });

      await t.step("walkMany takes any number of walks, of any mixture of lengths", () => {
        for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 16, 127, 128, 129, 300]) {
          const walks = Array.from(
            { length: count },
            () => someWalk(random.below(4) === 0 ? 0 : random.below(12)),
          );
          const many = hash.walkMany(walks);
          for (const [i, walk] of walks.entries()) {
            const message = `seed ${SEED}, walk ${i} of ${count}`;
            assertEquals(toHex(many[i]), toHex(referenceWalk(algorithm, walk)), message);
          }
        }
      });

      await t.step("verifyMany tells the right tokens from the wrong ones", () => {
        for (const count of [0, 1, 3, 64, 129]) {
          const checks = Array.from({ length: count }, (_, i) => {
            const walk = someWalk(random.below(3));
            const expected = referenceWalk(algorithm, walk);
            // Every third is wrong: in a bit of the anchor or the token, in its index, or in a length.
            const wrong = i % 3 === 2 ? random.below(5) : -1;
            if (wrong === 0) expected[random.below(size)] ^= 1 << random.below(8);
            const token = new Uint8Array(walk.value);
            if (wrong === 1) token[random.below(size)] ^= 1 << random.below(8);
            const { nonce, from, links } = walk;
            return {
              nonce,
              from: wrong === 2 ? from + 1 : from,
              token: wrong === 3 ? token.subarray(1) : token,
              links: wrong === 2 && links === 0 ? 1 : links,
              expected: wrong === 4 ? new Uint8Array([...expected, 0]) : expected,
            };
          });
          const verdicts = checks.map((_, i) => i % 3 !== 2);
          assertEquals(hash.verifyMany(checks), verdicts, `seed ${SEED}, ${count} checks`);
        }
      });

      await t.step("hmacMany agrees with hmac at every mixture of lengths", () => {
        for (const count of [0, 1, 2, 5, 64, 130]) {
          const jobs = Array.from({ length: count }, () => ({
            key: random.bytes(random.below(10) === 0 ? random.below(200) : random.below(65)),
            data: random.bytes(random.below(20) === 0 ? random.below(50_000) : random.below(300)),
          }));
          const macs = hash.hmacMany(jobs).map(toHex);
          const expected = jobs.map(({ key, data }) => referenceHmac(algorithm, key, data));
          assertEquals(macs, expected, `seed ${SEED}, ${count} MACs`);
        }
      });

      await t.step("deriveMany gives what docs/PROTOCOL.md §3 says, for any S", () => {
        const letters = [..."0123456789abcdef"];
        const some = (length: number) => Array.from({ length }, () => letters[random.below(16)]).join("");
        for (const count of [0, 1, 2, 9, 129]) {
          const secrets = Array.from({ length: count }, (_, i) => ({
            secret: i === 5 ? "ümläüt" : i === 6 ? some(100) : some([32, 64, 0, 63, 65][i % 5]),
            nonce: random.bytes(16),
            n: i === 3 ? 0 : random.below(20),
          }));
          const expected = secrets.map(({ secret, nonce, n }) => {
            const key = new TextEncoder().encode(secret);
            const value = hash.hmac(key, labelled(SEED_LABEL, nonce, n));
            return {
              anchor: referenceWalk(algorithm, { nonce, from: 0, value, links: n }),
              key: hash.hmac(key, labelled(KEY_LABEL, nonce, n)),
            };
          });
          assertEquals(hash.deriveMany(secrets), expected, `seed ${SEED}, ${count} secrets`);
        }
      });

      await t.step("the index is four bytes, big endian, up to 2^32 - 1", () => {
        for (const from of [254, 255, 65_534, 2 ** 24 - 1, 2 ** 31 - 2, 2 ** 32 - 4]) {
          const walk = { ...someWalk(3), from };
          const { nonce, value, links } = walk;
          assertEquals(hash.walk(nonce, from, value, links), referenceWalk(algorithm, walk), `from ${from}`);
        }
      });

      await t.step("chain gives h_0 … h_n at their offsets", () => {
        const { nonce, value } = someWalk(0);
        for (const n of [0, 1, 10]) {
          const values = hash.chain(nonce, value, n);
          assertEquals(values.length, (n + 1) * size);
          for (let k = 0; k <= n; k++) {
            const expected = referenceWalk(algorithm, { nonce, from: 0, value, links: k });
            assertEquals(values.slice(k * size, (k + 1) * size), expected, `h_${k} of ${n}`);
          }
        }
      });

      await t.step("arguments are never changed, and may be views", () => {
        const shared = random.bytes(400);
        const before = new Uint8Array(shared);
        const nonce = shared.subarray(3, 19);
        const value = shared.subarray(19, 19 + size);
        const rest = shared.subarray(100, 300);
        const reached = hash.walk(nonce, 5, value, 4);
        assertEquals(reached, referenceWalk(algorithm, { nonce, from: 5, value, links: 4 }));
        hash.walkMany([{ nonce, from: 5, value, links: 4 }]);
        hash.verifyMany([{ nonce, from: 5, token: value, links: 4, expected: reached }]);
        hash.hmacMany([{ key: value, data: rest }]);
        hash.deriveMany([{ secret: "ab", nonce, n: 2 }]);
        hash.chain(nonce, value, 4);
        hash.verify(nonce, 5, value, 4, reached);
        hash.digest(rest);
        hash.hmac(value, rest);
        hash.hmac(rest, value);
        assertEquals(shared, before);
      });

      await t.step("results belong to the caller", () => {
        const walk = someWalk(3);
        const { nonce, from, value } = walk;
        for (const links of [0, 1, 3]) {
          const first = hash.walk(nonce, from, value, links);
          const kept = toHex(first);
          const second = hash.walk(nonce, from, random.bytes(size), links);
          assertEquals(toHex(first), kept);
          assertNotEquals(first.buffer, second.buffer);
          first.fill(0);
          assertEquals(toHex(hash.walk(nonce, from, value, links)), kept);
        }
        const [a, b] = hash.walkMany([walk, walk]);
        a.fill(0);
        assertEquals(b, referenceWalk(algorithm, walk));
        const [c, d] = hash.hmacMany([{ key: value, data: nonce }, { key: value, data: nonce }]);
        c.fill(0);
        assertEquals(toHex(d), referenceHmac(algorithm, value, nonce));
        const [e] = hash.deriveMany([{ secret: "ab", nonce, n: 3 }]);
        const kept = toHex(e.anchor);
        e.key.fill(0);
        hash.deriveMany([{ secret: "cd", nonce, n: 3 }]);
        assertEquals(toHex(e.anchor), kept);
        const digest = hash.digest(value);
        const mac = hash.hmac(value, nonce);
        digest.fill(0);
        mac.fill(0);
        assertEquals(toHex(hash.hmac(value, nonce)), referenceHmac(algorithm, value, nonce));
      });

      await t.step("operations mixed with those of the other algorithms do not disturb each other", () => {
        const walk = someWalk(6);
        let reached = walk.value;
        for (let k = 0; k < walk.links; k++) {
          reached = hash.walk(walk.nonce, walk.from + k, reached, 1);
          for (const other of CHAIN_ALGORITHMS) {
            backend.get(other).hmac(random.bytes(20), random.bytes(100));
            backend.get(other).walk(random.bytes(16), 0, random.bytes(SIZE[other]), 2);
          }
        }
        assertEquals(reached, referenceWalk(algorithm, walk));
      });

      await t.step("goes on after a call that throws", () => {
        const { nonce, from, value } = someWalk(1);
        const misuses: (() => unknown)[] = [
          () => hash.walk(nonce.subarray(1), from, value, 1),
          () => hash.walk(nonce, from, value.subarray(1), 1),
          () => hash.walk(nonce, from, value, -1),
          () => hash.walk(nonce, -1, value, 1),
          () => hash.walk(nonce, 0.5, value, 1),
          () => hash.walk(nonce, 2 ** 32 - 1, value, 1),
          () => hash.walkMany([{ nonce, from, value, links: NaN }]),
          () => hash.chain(nonce, value, -1),
          () => hash.verify(nonce, from, value, -1, value),
          () => hash.verifyMany([{ nonce, from: -1, token: value, links: 1, expected: value }]),
          () => hash.hmacInto(value, nonce, 16, new Uint8Array(size - 1)),
          () => hash.hmacInto(value, nonce, 17, new Uint8Array(size)),
          () => hash.hmacInto(value, nonce, -1, new Uint8Array(size)),
          () => hash.hmacInto(value, nonce, 0.5, new Uint8Array(size)),
          () => hash.deriveMany([{ secret: "ab", nonce, n: -1 }]),
          () => hash.deriveMany([{ secret: "ab", nonce: nonce.subarray(1), n: 1 }]),
        ];
        for (const misuse of misuses) assertThrows(misuse, RangeError);
        const expected = referenceWalk(algorithm, { nonce, from, value, links: 1 });
        assertEquals(hash.walk(nonce, from, value, 1), expected);
      });

      await t.step("a token or anchor of the wrong length does not verify", () => {
        const { nonce, from, value } = someWalk(1);
        const expected = hash.walk(nonce, from, value, 1);
        assert(!hash.verify(nonce, from, value.subarray(1), 1, expected));
        assert(!hash.verify(nonce, from, value, 1, expected.subarray(1)));
        assert(!hash.verify(nonce, from, new Uint8Array(0), 0, new Uint8Array(0)));
      });
    });
  }

  Deno.test(`${name} gives every algorithm for many chains too`, async () => {
    const backend = await load();
    for (const algorithm of CHAIN_ALGORITHMS) assertEquals(backend.many(algorithm).name, algorithm);
  });

  Deno.test(`${name} names the algorithms when asked for another`, async () => {
    const backend = await load();
    assertThrows(() => backend.get("SHA-512" as ChainAlgorithm), RangeError, "MD5, SHA-1, SHA-256");
    assertThrows(() => backend.get("toString" as ChainAlgorithm), RangeError);
    assertThrows(() => backend.many("SHA-512" as ChainAlgorithm), RangeError);
  });
}
