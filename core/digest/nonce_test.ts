import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { loadHashBackend } from "../hash/select.ts";
import { seededRandom } from "../random.ts";
import { DigestNonces } from "./nonce.ts";
import { NC_WINDOW, NonceUses } from "./nonce_uses.ts";

const { backend } = await loadHashBackend();
const hash = backend.get("SHA-256");
const KEY = new Uint8Array(32).fill(7);
const SEED = 99;

Deno.test("a nonce is good for its lifetime and then stale", () => {
  const nonces = new DigestNonces({ hash, key: KEY, realm: "example.com", lifetimeMs: 1000 });
  const random = seededRandom(SEED);
  for (const made of [0, 1, 5000.75, 2 ** 32 + 17, 2 ** 44]) {
    const nonce = nonces.make(made, random);
    assertMatch(nonce, /^[0-9a-f]{60}$/);
    assertEquals(nonces.issuedAt(nonce), Math.floor(made));
    assertEquals(nonces.check(nonce, made), "ok");
    assertEquals(nonces.check(nonce, Math.floor(made) + 999), "ok");
    assertEquals(nonces.check(nonce, Math.floor(made) + 1000), "stale");
    assertEquals(nonces.check(nonce, made + 1e9), "stale");
  }
  assertNotEquals(nonces.make(5, random), nonces.make(5, random));
});

Deno.test("a nonce from elsewhere is invalid: altered, other key, other realm, other spelling", () => {
  const nonces = new DigestNonces({ hash, key: KEY, realm: "example.com" });
  const random = seededRandom(SEED);
  const nonce = nonces.make(1234, random);
  for (let at = 0; at < nonce.length; at++) {
    const altered = nonce.slice(0, at) + (nonce[at] === "0" ? "1" : "0") + nonce.slice(at + 1);
    assertEquals(nonces.check(altered, 1300), "invalid", `digit ${at}`);
  }
  for (
    const text of ["", "a", nonce.slice(1), nonce + "0", nonce + "00", " " + nonce.slice(1), "é".repeat(60)]
  ) {
    assertEquals(nonces.check(text, 1300), "invalid", text);
  }
  // Some digit is a letter, or this would be the same text.
  assertEquals(nonces.check(nonce.toUpperCase(), 1300), "invalid");
  const other = new DigestNonces({ hash, key: new Uint8Array(32).fill(8), realm: "example.com" });
  assertEquals(other.check(nonce, 1300), "invalid");
  const otherRealm = new DigestNonces({ hash, key: KEY, realm: "example.org" });
  assertEquals(otherRealm.check(nonce, 1300), "invalid");
  const again = new DigestNonces({ hash, key: KEY.slice(), realm: "example.com" });
  assertEquals(again.check(nonce, 1300), "ok");
});

Deno.test("misuse of DigestNonces is refused", () => {
  assertThrows(
    () => new DigestNonces({ hash, key: new Uint8Array(15), realm: "r" }),
    RangeError,
    "at least 16",
  );
  assertThrows(
    () => new DigestNonces({ hash: backend.get("MD5"), key: KEY, realm: "r" }),
    RangeError,
    "SHA-256",
  );
  assertThrows(() => new DigestNonces({ hash, key: KEY, realm: "r", lifetimeMs: 0 }), RangeError, "positive");
});

Deno.test("counted: each nc once, late ones within the window", () => {
  const uses = new NonceUses({ lifetimeMs: 1000 });
  assert(uses.use("n", 0, 1, 0));
  assert(!uses.use("n", 0, 1, 0));
  assert(uses.use("n", 0, 4, 0));
  assert(uses.use("n", 0, 2, 0));
  assert(!uses.use("n", 0, 2, 0));
  assert(uses.use("n", 0, 3, 0));
  assert(!uses.use("n", 0, 4, 0));
  assert(uses.use("n", 0, 4 + NC_WINDOW, 0));
  assert(!uses.isFresh("n", 0, 4));
  assert(uses.isFresh("n", 0, 5));
  assert(uses.use("n", 0, 5, 0));
  assert(!uses.use("n", 0, 5, 0));
  assert(uses.use("n", 0, 0xffffffff, 0));
  assert(!uses.use("n", 0, 36, 0));
  assert(!uses.use("n", 0, 0xffffffff, 0));
  assert(uses.use("n", 0, 0xffffffff - 31, 0));
  assert(!uses.use("n", 0, undefined, 0), "a use without nc takes the whole nonce");
  assert(uses.use("m", 0, undefined, 0));
  assert(!uses.use("m", 0, 1, 0));
  assert(!uses.use("m", 0, undefined, 0));
  assertEquals(uses.size, 2);
});

Deno.test("counted: agrees with a plain set on random order", () => {
  const random = seededRandom(SEED);
  for (let round = 0; round < 50; round++) {
    const uses = new NonceUses({ lifetimeMs: 1000 });
    const seen = new Set<number>();
    let highest = 0;
    for (let i = 0; i < 200; i++) {
      const count = Math.max(1, highest - 40 + random.below(random.below(8) === 0 ? 200 : 50));
      const expected = !seen.has(count) && count > highest - NC_WINDOW;
      assertEquals(
        uses.use("n", 0, count, 0),
        expected,
        `seed ${SEED}, round ${round}, count ${count} at ${highest}`,
      );
      if (!expected) continue;
      seen.add(count);
      highest = Math.max(highest, count);
    }
  }
});

Deno.test("one-time: a nonce once, whatever its nc", () => {
  const uses = new NonceUses({ lifetimeMs: 1000, mode: "one-time" });
  assert(uses.use("n", 0, 3, 0));
  for (const count of [1, 3, 4, undefined]) assert(!uses.use("n", 0, count, 0));
  assert(uses.use("m", 0, undefined, 0));
});

Deno.test("uses are forgotten with their nonces, and not before", () => {
  const lifetimeMs = 800;
  const uses = new NonceUses({ lifetimeMs });
  let most = 0;
  for (let now = 0; now < 20_000; now++) {
    assert(uses.use(`nonce ${now}`, now, 1, now));
    most = Math.max(most, uses.size);
    const oldest = now - lifetimeMs + 1; // the oldest nonce that is still good
    if (oldest >= 0) assert(!uses.isFresh(`nonce ${oldest}`, oldest, 1), `forgotten too early at ${now}`);
  }
  assert(most <= lifetimeMs * 9 / 8 + 1, `${most} remembered`);
  uses.expire(25_000);
  assertEquals(uses.size, 0);
});
