import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createHash, createHmac } from "node:crypto";
import { CHAIN_ALGORITHMS } from "../hash/chain_hash.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import vectors from "../../tests/vectors/pc.json" with { type: "json" };
import { chainSeed, credentialKey, decoySecret, deriveCredential, ha1, ha1Algorithm } from "./derive.ts";
import { ALICE, backend, secretOf } from "./testing.ts";

const NODE_NAMES = { "MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256" } as const;
const NONCE = fromHex("000102030405060708090a0b0c0d0e0f");

Deno.test("derivation gives the values of tests/vectors/pc.json", async (t) => {
  for (const [i, vector] of vectors.entries()) {
    const algorithm = CHAIN_ALGORITHMS.find((name) => name === vector.algorithm)!;
    await t.step(`vector ${i}: ${algorithm}, n = ${vector.chain}`, () => {
      const hash = backend.get(algorithm);
      const nonce = fromHex(vector.nonce);
      const secret = ha1(backend.get(ha1Algorithm(algorithm)), vector, vector.password);
      assertEquals(secret, vector.ha1);
      const h_0 = chainSeed(hash, secret, nonce, vector.chain);
      assertEquals(toHex(h_0), vector.h_0);
      assertEquals(toHex(hash.walk(nonce, 0, h_0, 1)), vector.h_1);
      assertEquals(toHex(hash.walk(nonce, 0, h_0, vector.seq)), vector.token);
      assertEquals(toHex(credentialKey(hash, secret, nonce, vector.chain)), vector.key);
      const credential = deriveCredential(hash, secret, vector, nonce, vector.chain);
      assertEquals(toHex(credential.anchor), vector.anchor);
      assertEquals(toHex(credential.key), vector.key);
    });
  }
  assertEquals(new Set(vectors.map(({ algorithm }) => algorithm)).size, CHAIN_ALGORITHMS.length);
});

Deno.test("derivation is docs/PROTOCOL.md §3 word for word, on another library", () => {
  for (const algorithm of CHAIN_ALGORITHMS) {
    for (const n of [1, 2, 255, 256, 300, 65535]) {
      const secret = secretOf(ALICE, algorithm);
      const u32 = (x: number) => new Uint8Array([x >>> 24, x >>> 16, x >>> 8, x]);
      const hmac = (label: string) =>
        createHmac(NODE_NAMES[algorithm], secret).update(label).update(NONCE).update(u32(n)).digest();
      let value = hmac("PC1 seed");
      for (let k = 0; k < n; k++) {
        value = createHash(NODE_NAMES[algorithm]).update(NONCE).update(u32(k + 1)).update(value).digest();
      }
      const { anchor, key } = deriveCredential(backend.get(algorithm), secret, ALICE, NONCE, n);
      assertEquals(toHex(anchor), value.toString("hex"), `${algorithm}, n = ${n}`);
      assertEquals(toHex(key), hmac("PC1 key").toString("hex"), `${algorithm}, n = ${n}`);
    }
  }
});

Deno.test("a credential carries what it was derived for, and no h_0", () => {
  const secret = secretOf(ALICE, "SHA-1");
  const credential = deriveCredential(backend.get("SHA-1"), secret, ALICE, NONCE, 10);
  const { algorithm, username, realm, nonce, n } = credential;
  assertEquals({ algorithm, username, realm, nonce, n }, {
    algorithm: "SHA-1",
    username: "alice",
    realm: "example.com",
    nonce: NONCE,
    n: 10,
  });
  assertEquals(Object.keys(credential).sort(), [
    "algorithm",
    "anchor",
    "key",
    "n",
    "nonce",
    "realm",
    "username",
  ]);
});

Deno.test("K and h_0 differ by secret, N and n", () => {
  const hash = backend.get("SHA-256");
  const other = NONCE.slice();
  other[15] ^= 1;
  for (const value of [chainSeed, credentialKey]) {
    const base = toHex(value(hash, "ab", NONCE, 10));
    assertNotEquals(toHex(value(hash, "ac", NONCE, 10)), base);
    assertNotEquals(toHex(value(hash, "ab", other, 10)), base);
    assertNotEquals(toHex(value(hash, "ab", NONCE, 11)), base);
  }
});

Deno.test("HA1 is UTF-8, MD5 for MD5 and SHA-1, SHA-256 for SHA-256", () => {
  const identity = { username: "jürgen", realm: "例え.jp" };
  const text = `jürgen:例え.jp:pä:ß`;
  assertEquals(ha1Algorithm("MD5"), "MD5");
  assertEquals(ha1Algorithm("SHA-1"), "MD5");
  assertEquals(ha1Algorithm("SHA-256"), "SHA-256");
  assertEquals(ha1(backend.get("MD5"), identity, "pä:ß"), createHash("md5").update(text).digest("hex"));
  assertEquals(
    ha1(backend.get("SHA-256"), identity, "pä:ß"),
    createHash("sha256").update(text).digest("hex"),
  );
});

Deno.test("N and n out of range throw RangeError", async (t) => {
  const hash = backend.get("MD5");
  for (const n of [0, -1, 65536, 1.5, NaN, Infinity, 2 ** 32 + 1]) {
    await t.step(`n = ${n}`, () => {
      for (const value of [chainSeed, credentialKey]) {
        assertThrows(() => value(hash, "ab", NONCE, n), RangeError, "chain length");
      }
      assertThrows(() => deriveCredential(hash, "ab", ALICE, NONCE, n), RangeError, "1 … 65535");
    });
  }
  for (const bytes of [0, 8, 15, 17, 32]) {
    await t.step(`N of ${bytes} bytes`, () => {
      assertThrows(() => deriveCredential(hash, "ab", ALICE, new Uint8Array(bytes), 10), RangeError, "N has");
      assertThrows(() => credentialKey(hash, "ab", new Uint8Array(bytes), 10), RangeError, "N has");
    });
  }
});

Deno.test("S of a decoy is docs/PROTOCOL.md §8: the same at every call, another for every user", () => {
  const sha256 = backend.get("SHA-256");
  const issuerSecret = new Uint8Array(32).fill(5);
  const secret = decoySecret(sha256, issuerSecret, { username: "nöbody", realm: "example.com" });
  const expected = createHmac("sha256", issuerSecret).update("PC1 decoy\nnöbody\nexample.com").digest("hex");
  assertEquals(secret, expected);
  assertNotEquals(decoySecret(sha256, issuerSecret, { username: "nobody", realm: "example.com" }), secret);
  for (const algorithm of CHAIN_ALGORITHMS) {
    const hash = backend.get(algorithm);
    const { anchor } = deriveCredential(
      hash,
      secret,
      { username: "nöbody", realm: "example.com" },
      NONCE,
      10,
    );
    assert(anchor.length === hash.size);
  }
});
