import { assert, assertEquals, assertThrows } from "@std/assert";
import { deriveCredential, LiveCredential } from "../mod.ts";
import { CredentialCache } from "./credential_cache.ts";
import { backend } from "./testing.ts";

const REALM = "example.com";

function live(nonceByte: number, algorithm: "SHA-1" | "MD5" = "SHA-1"): LiveCredential {
  const hash = backend.get(algorithm);
  const alice = { username: "alice", realm: REALM };
  const credential = deriveCredential(hash, "00".repeat(16), alice, new Uint8Array(16).fill(nonceByte), 4);
  return new LiveCredential(hash, credential, 0, 1000);
}

Deno.test("credential cache: users never verified share a quarter, and push out only each other", () => {
  const cache = new CredentialCache(8);
  const real = ["r1", "r2", "r3", "r4", "r5", "r6"].map((name) => {
    const user = cache.getOrAdd(name, REALM);
    cache.markVerified(user);
    return user;
  });
  assertEquals([cache.size, cache.verifiedSize], [6, 6]);
  for (let i = 0; i < 1000; i++) cache.getOrAdd(`made-up-${i}`, REALM);
  assertEquals([cache.size, cache.verifiedSize], [8, 6]);
  for (const user of real) assertEquals(cache.peek(user.username, REALM), user);
  assertEquals(cache.peek("made-up-998", REALM)?.username, "made-up-998");
  assertEquals(cache.peek("made-up-0", REALM), undefined);
});

Deno.test("credential cache: the protected part is bounded too, and forgets the least recently used", () => {
  const cache = new CredentialCache(4);
  for (const name of ["a", "b", "c"]) cache.markVerified(cache.getOrAdd(name, REALM));
  cache.get("a", REALM); // used: b is the oldest now
  cache.markVerified(cache.getOrAdd("d", REALM));
  assertEquals(["a", "b", "c", "d"].map((name) => cache.peek(name, REALM) !== undefined), [
    true,
    false,
    true,
    true,
  ]);
  assertEquals(cache.size, 3);
});

Deno.test("credential cache: peek does not count as use, get and getOrAdd do", () => {
  const cache = new CredentialCache(8); // two places for users never verified
  cache.getOrAdd("a", REALM);
  cache.getOrAdd("b", REALM);
  cache.peek("a", REALM);
  cache.getOrAdd("c", REALM);
  assertEquals(cache.peek("a", REALM), undefined);
  cache.get("b", REALM);
  cache.getOrAdd("d", REALM);
  assert(cache.peek("b", REALM) !== undefined);
  assertEquals(cache.peek("c", REALM), undefined);
});

Deno.test("credential cache: names and realms are kept apart, byte for byte", () => {
  const cache = new CredentialCache(100);
  const spellings = [["alice", REALM], ["ALICE", REALM], ["alice", "Example.com"], ["", REALM], [
    "alice\u0301",
    REALM,
  ]];
  for (const [name, realm] of spellings) cache.getOrAdd(name, realm);
  assertEquals(cache.size, spellings.length);
  for (const [name, realm] of spellings) {
    const user = cache.peek(name, realm);
    assertEquals([user?.username, user?.realm], [name, realm]);
  }
});

Deno.test("credential cache: a user that was forgotten is no ghost", () => {
  const cache = new CredentialCache(4); // one place for users never verified
  const gone = cache.getOrAdd("gone", REALM);
  cache.getOrAdd("other", REALM);
  const again = cache.getOrAdd("gone", REALM);
  assert(gone !== again);
  cache.remove(gone); // an old record must not take the new one with it
  assertEquals(cache.peek("gone", REALM), again);
  cache.remove(again);
  assertEquals(cache.size, 0);
});

Deno.test("credential cache: marking a user verified twice, or after it was forgotten, keeps one record", () => {
  const cache = new CredentialCache(4);
  const user = cache.getOrAdd("alice", REALM);
  cache.markVerified(user);
  cache.markVerified(user);
  assertEquals([cache.size, cache.verifiedSize], [1, 1]);
});

Deno.test("credential cache: revocation of one user and of all", () => {
  const cache = new CredentialCache(8);
  cache.markVerified(cache.getOrAdd("alice", REALM));
  cache.getOrAdd("alice", "other.example");
  cache.getOrAdd("bob", REALM);
  cache.revoke("alice", REALM);
  assertEquals(cache.peek("alice", REALM), undefined);
  assertEquals(cache.size, 2);
  cache.revoke();
  assertEquals([cache.size, cache.verifiedSize], [0, 0]);
});

Deno.test("credential cache: at most two live credentials, the newest first (docs/PROTOCOL.md §4)", () => {
  const user = new CredentialCache(4).getOrAdd("alice", REALM);
  const [first, second, third] = [live(1), live(2), live(3)];
  assertEquals(user.find("SHA-1", first.nonceHex), undefined);
  user.install(first);
  user.seenSinceIssue = true;
  user.install(second);
  assertEquals(user.seenSinceIssue, false);
  assertEquals([user.newest, user.older], [second, first]);
  assertEquals(user.find("SHA-1", first.nonceHex), first);
  user.install(third);
  assertEquals([user.newest, user.older], [third, second]);
  assertEquals(user.find("SHA-1", first.nonceHex), undefined);
});

Deno.test("credential cache: a credential is found by nonce and algorithm together", () => {
  const user = new CredentialCache(4).getOrAdd("alice", REALM);
  const credential = live(1);
  user.install(credential);
  assertEquals(user.find("MD5", credential.nonceHex), undefined);
  assertEquals(user.find("SHA-1", credential.nonceHex), credential);
});

Deno.test("credential cache: max_users below 4 is misuse", () => {
  for (const wrong of [3, 0, -1, 4.5, NaN, Infinity]) {
    assertThrows(() => new CredentialCache(wrong), RangeError);
  }
});
