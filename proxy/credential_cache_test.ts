import { assert, assertEquals, assertThrows } from "@std/assert";
import { DEFAULT_VERIFIER_POLICY, seededRandom, toHex } from "../mod.ts";
import { addVerified, filled, issued, newCache, REALM } from "./cache/testing.ts";
import { CredentialCache } from "./credential_cache.ts";
import { backend } from "./testing.ts";

const hex = (fill: number) => toHex(new Uint8Array(16).fill(fill));

Deno.test("credential cache: users never verified share a quarter, and push out only each other", () => {
  const cache = newCache(8);
  const names = ["r1", "r2", "r3", "r4", "r5", "r6"];
  for (const name of names) addVerified(cache, name);
  assertEquals([cache.size, cache.verifiedSize], [6, 6]);
  for (let i = 0; i < 1000; i++) cache.getOrAdd(`made-up-${i}`, REALM);
  assertEquals([cache.size, cache.verifiedSize], [8, 6]);
  for (const name of names) assertEquals(cache.peek(name, REALM)?.newest?.nonceHex, hex(1));
  assertEquals(cache.peek("made-up-998", REALM)?.username, "made-up-998");
  assertEquals(cache.peek("made-up-0", REALM), undefined);
});

Deno.test("credential cache: the protected part is bounded too, and spares who was used lately", () => {
  const cache = newCache(4);
  for (const name of ["a", "b", "c"]) addVerified(cache, name);
  cache.get("a", REALM); // used: b is the oldest now
  addVerified(cache, "d");
  assertEquals(["a", "b", "c", "d"].map((name) => cache.peek(name, REALM) !== undefined), [
    true,
    false,
    true,
    true,
  ]);
  assertEquals(cache.size, 3);
});

Deno.test("credential cache: peek does not count as use, get and getOrAdd do", () => {
  const cache = newCache(8); // two places for users never verified
  cache.getOrAdd("a", REALM);
  cache.getOrAdd("b", REALM);
  cache.peek("a", REALM);
  cache.getOrAdd("c", REALM);
  assertEquals(cache.peek("a", REALM), undefined);
  cache.get("b", REALM);
  cache.getOrAdd("d", REALM);
  assert(cache.peek("b", REALM) !== undefined);
  assertEquals(cache.peek("c", REALM), undefined);
  cache.getOrAdd("d", REALM);
  cache.getOrAdd("e", REALM);
  assert(cache.peek("d", REALM) !== undefined);
});

Deno.test("credential cache: adding stays cheap when all users were used: the hand spares a limited number", () => {
  const cache = newCache(4000); // 1000 places for users never verified
  for (let i = 0; i < 1000; i++) cache.getOrAdd(`u${i}`, REALM);
  for (let i = 0; i < 1000; i++) cache.get(`u${i}`, REALM);
  cache.getOrAdd("new", REALM);
  assertEquals(cache.size, 1000);
  assertEquals(cache.peek("u64", REALM), undefined);
  assert(cache.peek("u65", REALM) !== undefined && cache.peek("u63", REALM) !== undefined);
});

Deno.test("credential cache: names and realms are kept apart, byte for byte", () => {
  const cache = newCache(100);
  const spellings = [
    ["alice", REALM],
    ["ALICE", REALM],
    ["alice", "Example.com"],
    ["", REALM],
    ["alice\u0301", REALM],
    ["\ufeffalice", REALM],
    ["x".repeat(20), REALM], // as long as a record has room for
    ["x".repeat(21), REALM],
    ["x".repeat(20) + "y", REALM],
    ["é".repeat(128), REALM],
    ["é".repeat(127) + "xy", REALM],
    ["alice", "r".repeat(256)],
  ];
  for (const [name, realm] of spellings) cache.getOrAdd(name, realm);
  assertEquals(cache.size, spellings.length);
  for (const [i, [username, realm]] of spellings.entries()) {
    const lookAt = 1000 * (i + 1);
    cache.install({ ...issued(filled(username, i, { realm })), lookAt });
  }
  const user = cache.newUser();
  for (const [i, [name, realm]] of spellings.entries()) {
    assertEquals(cache.peek(name, realm)?.newest?.nonceHex, hex(i));
    // The name as it stands in memory.
    assertEquals([cache.nextDue(1000 * (i + 1), user)?.username, user.realm], [name, realm]);
  }
});

Deno.test("credential cache: names that are too long, and too many realms", () => {
  const cache = newCache(1000);
  for (const name of ["x".repeat(257), "é".repeat(129), "x".repeat(100_000)]) {
    assertEquals(cache.get(name, REALM), undefined);
    assertThrows(() => cache.getOrAdd(name, REALM), RangeError, "user name");
  }
  for (let i = 0; i < 255; i++) cache.getOrAdd("alice", `realm${i}`);
  assertThrows(() => cache.getOrAdd("alice", "realm255"), RangeError, "256 realms");
  assertThrows(() => newCache(8).getOrAdd("alice", "r".repeat(257)), RangeError, "realm");
  assertEquals(cache.peek("alice", "realm254")?.realm, "realm254");
});

Deno.test("credential cache: a user who was forgotten and came again has nothing of before", () => {
  const cache = newCache(4); // one place for users never verified
  const before = cache.install(issued(filled("gone", 1)))!;
  cache.getOrAdd("other", REALM);
  assertEquals(cache.peek("gone", REALM), undefined);
  const again = cache.getOrAdd("gone", REALM);
  assertEquals([again.newest, again.older, again.lastIssueAt], [undefined, undefined, -Infinity]);
  assert(!cache.commit(before, before.newest!, true, 0), "a copy of before is worth nothing");
  assertEquals(cache.verifiedSize, 0);
  cache.remove(again);
  assertEquals([cache.size, cache.peek("gone", REALM)], [0, undefined]);
});

Deno.test("credential cache: a user who is verified again, or was forgotten meanwhile, has one place", () => {
  const cache = newCache(4);
  addVerified(cache, "alice");
  addVerified(cache, "alice");
  assertEquals([cache.size, cache.verifiedSize], [1, 1]);
  const bob = cache.install(issued(filled("bob", 1)))!;
  cache.remove(bob);
  assert(!cache.commit(bob, bob.newest!, true, 0));
  assertEquals([cache.size, cache.verifiedSize], [1, 1]);
});

Deno.test("credential cache: who moves to the protected part takes everything along", () => {
  const cache = newCache(100);
  const name = "a name that is longer than its record";
  cache.install(issued(filled(name, 1)));
  const user = cache.install({ ...issued(filled(name, 2), 7), issuedAt: 5, lookAt: 3000 })!;
  assert(cache.commit(user, user.newest!, true, 0));
  const moved = cache.peek(name, REALM)!;
  assertEquals([moved.verified, moved.seenSinceIssue, moved.lastIssueAt], [true, true, 5]);
  assertEquals([moved.newest?.nonceHex, moved.older?.nonceHex], [hex(2), hex(1)]);
  assertEquals(cache.nextDue(3000, user)?.username, name);
  cache.revoke(name, REALM, 7);
  assertEquals(cache.peek(name, REALM)?.newest?.nonceHex, hex(2));
});

Deno.test("credential cache: revocation of one user and of all", () => {
  const cache = newCache(8);
  addVerified(cache, "alice");
  cache.getOrAdd("alice", "other.example");
  cache.getOrAdd("bob", REALM);
  cache.revoke("alice", REALM);
  assertEquals(cache.peek("alice", REALM), undefined);
  assertEquals(cache.size, 2);
  cache.revoke();
  assertEquals([cache.size, cache.verifiedSize], [0, 0]);
  for (const name of ["x", "y", "z"]) addVerified(cache, name);
  assertEquals([cache.size, cache.verifiedSize], [3, 3]);
});

Deno.test("credential cache: credentials that were read after a revocation stay", () => {
  const cache = newCache(8);
  cache.install(issued(filled("alice", 1), 4));
  cache.install(issued(filled("alice", 2), 6));
  cache.revoke("alice", REALM, 5);
  const user = cache.peek("alice", REALM)!;
  assertEquals([user.newest?.nonceHex, user.older], [hex(2), undefined]);
  assertEquals(cache.install(issued(filled("alice", 3), 4)), undefined);
  assertEquals(cache.install(issued(filled("alice", 3), 5))?.newest?.nonceHex, hex(3));
  // Whoever waits for a credential keeps the serial.
  cache.beginFetch("alice", REALM, 0);
  cache.revoke("alice", REALM, 9);
  assertEquals(cache.install(issued(filled("alice", 4), 8)), undefined);
  assertEquals(cache.peek("alice", REALM)?.newest, undefined);
});

Deno.test("credential cache: at most two live credentials, the newest first (docs/PROTOCOL.md §4)", () => {
  const cache = newCache(4);
  const user = cache.getOrAdd("alice", REALM);
  assertEquals(user.find("SHA-1", hex(1)), undefined);
  cache.install(issued(filled("alice", 1)), user);
  assert(cache.commit(user, user.newest!, true, 0));
  assert(cache.peek("alice", REALM, user)!.seenSinceIssue);
  cache.install(issued(filled("alice", 2)), user);
  assertEquals(user.seenSinceIssue, false);
  assertEquals([user.newest?.nonceHex, user.older?.nonceHex], [hex(2), hex(1)]);
  assertEquals(user.find("SHA-1", hex(1)), user.older);
  cache.install(issued(filled("alice", 3)), user);
  assertEquals([user.newest?.nonceHex, user.older?.nonceHex], [hex(3), hex(2)]);
  assertEquals(user.find("SHA-1", hex(1)), undefined);
});

Deno.test("credential cache: a credential is found by nonce and algorithm together, and comes back as it was", () => {
  const cache = newCache(4);
  for (const [fill, algorithm] of [[1, "SHA-1"], [2, "MD5"], [3, "SHA-256"]] as const) {
    const credential = filled("alice", fill, { algorithm, n: 65_535 });
    const live = cache.install({ ...issued(credential), issuedAt: -5.5, expiresAt: 2 ** 42 + 0.25 })!.newest!;
    const { hash, nonce, key, n, index, value, issuedAt, expiresAt, window } = live.state;
    assertEquals([hash, nonce, key, value], [
      backend.get(algorithm),
      credential.nonce,
      credential.key,
      credential.anchor,
    ]);
    assertEquals([n, index, issuedAt, expiresAt, window], [65_535, 65_535, -5.5, 2 ** 42 + 0.25, undefined]);
    const user = cache.peek("alice", REALM)!;
    assert(user.find(algorithm, hex(fill)) !== undefined);
    for (const other of ["MD5", "SHA-1", "SHA-256"] as const) {
      if (other !== algorithm) assertEquals(user.find(other, hex(fill)), undefined);
    }
  }
});

Deno.test("credential cache: made for the digests of its algorithm, it refuses longer ones", () => {
  const cache = newCache(4, 20);
  assert(cache.install(issued(filled("alice", 1))) !== undefined);
  assertThrows(() => cache.install(issued(filled("alice", 1, { algorithm: "SHA-256" }))), RangeError);
});

Deno.test("credential cache: what a copy of a user has changed counts once, and only if nobody was quicker", () => {
  const cache = newCache(4);
  cache.install(issued(filled("alice", 1)));
  const [first, second] = [cache.get("alice", REALM)!, cache.get("alice", REALM)!];
  first.newest!.state.index = 8;
  second.newest!.state.index = 7;
  assert(cache.commit(first, first.newest!, false, 0));
  assert(!cache.commit(second, second.newest!, false, 0));
  assertEquals(cache.get("alice", REALM, second)?.newest?.index, 8);
  second.newest!.state.index = 7;
  assert(cache.commit(second, second.newest!, false, 0));
  assertEquals(cache.get("alice", REALM)?.newest?.index, 7);
  assert(!cache.commit(first, first.newest!, false, 0), "the first copy is old now");
});

Deno.test("credential cache: a question in flight is one, whoever asks, and one that was lost is asked again", () => {
  const here = newCache(4);
  const there = CredentialCache.attach(here.buffer, backend);
  here.getOrAdd("alice", REALM);
  assert(there.beginFetch("alice", REALM, 1000));
  assert(there.beginFetch("alice", REALM, 1000));
  assert(!here.beginFetch("alice", REALM, 2000));
  assert(here.isFetching(here.peek("alice", REALM)!, 2000));
  here.endFetch("alice", REALM); // It is not this thread's.
  assert(!here.beginFetch("alice", REALM, 30_999));
  assert(here.beginFetch("alice", REALM, 31_000));
  assert(!there.beginFetch("alice", REALM, 31_000));
  here.endFetch("alice", REALM);
  assert(!here.isFetching(here.peek("alice", REALM)!, 31_000));
  assert(there.beginFetch("alice", REALM, 31_000));
  there.install(issued(filled("alice", 1)));
  assert(!here.isFetching(here.peek("alice", REALM)!, 31_000));
});

Deno.test("credential cache: other threads see the same users, realms and credentials", () => {
  const here = newCache(100);
  const there = CredentialCache.attach(here.buffer, backend);
  here.install(issued(filled("alice", 1, { realm: "one.example" })));
  there.install(issued(filled("alice", 2, { realm: "two.example" })));
  assertEquals(there.peek("alice", "one.example")?.newest?.nonceHex, hex(1));
  assertEquals(here.peek("alice", "two.example")?.newest?.nonceHex, hex(2));
  assertEquals([here.size, there.size], [2, 2]);
  assertThrows(() => CredentialCache.attach(new SharedArrayBuffer(4096), backend), TypeError);
});

Deno.test("credential cache: windows are few; without one skipped tokens are refused, and one not needed is given on", () => {
  const cache = newCache(1000); // 64 windows
  const skip = (name: string, now: number) => {
    const user = cache.install(issued(filled(name, 1)))!;
    const live = user.newest!;
    const { state } = live;
    // As the verifier does for a token five below i.
    state.hash = {
      ...state.hash,
      name: "SHA-1",
      size: 20,
      verify: () => true,
      hmac: () => new Uint8Array(20),
    };
    const answer = { seq: 5, token: new Uint8Array(20), response: new Uint8Array(20) };
    const request = { method: "INVITE", uri: "sip:b@x", callId: "c", cseq: 1 };
    const verdict = live.verify(answer as never, request, "", now, DEFAULT_VERIFIER_POLICY);
    assertEquals(verdict, "ok");
    assert(cache.commit(user, live, true, now));
  };
  const isOpen = (name: string, index: number, now: number) => {
    const { window, index: i } = cache.peek(name, REALM)!.newest!.state;
    return window?.isOpen(i, index, now, DEFAULT_VERIFIER_POLICY.reorderMs) ?? false;
  };
  for (let i = 0; i < 65; i++) skip(`u${i}`, 1000);
  assertEquals([0, 63, 64].map((i) => isOpen(`u${i}`, 7, 1001)), [true, true, false]);
  skip("late", 6000);
  assertEquals(["u0", "late", "u1"].map((name) => isOpen(name, 7, 6000)), [false, true, false]);
  assertEquals(cache.peek("u0", REALM)!.newest!.index, 5);
});

Deno.test("credential cache: it agrees with a model of unlimited memory as long as there is room", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed);
    const cache = CredentialCache.create(4000, backend, random);
    const model = new Map<string, number[]>();
    const verified = new Set<string>();
    for (let step = 0; step < 5000; step++) {
      const name = `u${random.below(300)}`;
      const what = random.below(10);
      const nonces = model.get(name);
      if (what < 5) {
        const fill = 1 + random.below(255);
        cache.install(issued(filled(name, fill)));
        model.set(name, [fill, ...nonces ?? []].slice(0, 2));
      } else if (what < 7 && nonces !== undefined && nonces.length > 0) {
        const user = cache.get(name, REALM)!;
        assert(cache.commit(user, user.newest!, true, 0));
        verified.add(name);
      } else if (what < 8) {
        cache.remove({ username: name, realm: REALM });
        model.delete(name);
        verified.delete(name);
      } else {
        const user = cache.peek(name, REALM);
        const found = [user?.newest, user?.older].filter((live) => live !== undefined)
          .map((live) => live.state.nonce[3]);
        assertEquals(found, nonces ?? [], `seed ${seed}, step ${step}`);
        assertEquals(user?.verified ?? false, verified.has(name), `seed ${seed}, step ${step}`);
      }
      assertEquals(
        [cache.size, cache.verifiedSize],
        [model.size, verified.size],
        `seed ${seed}, step ${step}`,
      );
    }
  }
});

Deno.test("credential cache: max_users below 4 is misuse, and more than there is memory for an error", () => {
  for (const wrong of [3, 0, -1, 4.5, NaN, Infinity, 2 ** 40]) {
    assertThrows(() => newCache(wrong), RangeError);
  }
});

Deno.test("credential cache: a user is found by the bytes of its name as by its text", () => {
  const cache = newCache(100);
  assertEquals(cache.realmNumber(REALM), -1);
  const encoder = new TextEncoder();
  const names = [
    "alice",
    "",
    "\u00e9\u{1f600}",
    "\ufeffx",
    "a\r\n b",
    "x".repeat(20),
    "x".repeat(21),
    "x".repeat(256),
  ];
  const into = cache.newUser();
  for (const [i, name] of names.entries()) {
    const bytes = encoder.encode(`<<${name}>>`);
    const find = (realm = REALM) =>
      cache.getBytes(bytes, 2, bytes.length - 2, cache.realmNumber(realm), into);
    assertEquals(find(), undefined);
    cache.install(issued(filled(name, i)));
    assertEquals(find(), into);
    assertEquals([into.username, into.realm, into.newest?.nonceHex], [name, REALM, hex(i)]);
    assertEquals(find("elsewhere.org"), undefined);
  }
  assertEquals(cache.realmNumber(REALM), 0);
  assertEquals(cache.realmNumber("elsewhere.org"), -1);
  const long = encoder.encode("x".repeat(257));
  assertEquals(cache.getBytes(long, 0, 257, 0, into), undefined);
  assertEquals(cache.getBytes(long, 0, 256, -1, into), undefined);
  assertEquals(cache.getBytes(long, 0, 256, 0, into)?.newest?.nonceHex, hex(names.length - 1));
});

Deno.test("credential cache: getBytes counts as use", () => {
  const cache = newCache(8); // two places for users never verified
  cache.getOrAdd("a", REALM);
  cache.getOrAdd("b", REALM);
  const a = new TextEncoder().encode("a");
  cache.getBytes(a, 0, 1, cache.realmNumber(REALM), cache.newUser());
  cache.getOrAdd("c", REALM);
  assert(cache.peek("a", REALM) !== undefined && cache.peek("b", REALM) === undefined);
});

Deno.test("credential cache: after the first accepted token the copy knows the user's new place, and has served", () => {
  const cache = newCache(8);
  const user = cache.install(issued(filled("alice", 1)))!;
  const before = user.place;
  assert(cache.commit(user, user.newest!, true, 0));
  assertEquals([user.verified, user.place], [true, cache.peek("alice", REALM)!.place]);
  assert(user.place !== before);
  assert(!cache.commit(user, user.newest!, true, 0));
  const again = cache.peek("alice", REALM)!;
  assert(cache.commit(again, again.newest!, true, 0));
  assertEquals(again.place, user.place);
});

Deno.test("credential cache: the next credential of a user is announced by place and tag", () => {
  const cache = newCache(8);
  const nonce = new Uint8Array(16);
  const announced = (place: number, tag: number, now = 0) => cache.announced(place, tag, now, nonce);
  const first = cache.install(issued(filled("alice", 1)))!;
  const { place, tag } = first;
  assertEquals([announced(place, tag), announced(-1, tag), announced(place + 1, tag)], [0, 0, 0]);
  const second = cache.install(issued(filled("alice", 2, { n: 77 })))!;
  assertEquals([announced(place, tag), toHex(nonce)], [77, hex(2)]);
  assertEquals([announced(place, second.tag), announced(place, 0), announced(place, tag, 1_000_000)], [
    0,
    0,
    0,
  ]);
  const third = cache.install(issued(filled("alice", 3, { n: 65_535 })))!;
  // The first is gone; the second is the older of the two now.
  assertEquals([announced(place, tag), announced(place, second.tag), toHex(nonce)], [0, 65_535, hex(3)]);
  third.newest!.state.index--;
  assert(cache.commit(third, third.newest!, false, 0));
  assertEquals(announced(place, second.tag), 0); // A token of it was accepted.
  cache.remove(third);
  assertEquals(announced(place, second.tag), 0);
});

Deno.test("cache: the questions of a thread that is gone are waited for no more", () => {
  const cache = newCache(16);
  const other = CredentialCache.attach(cache.buffer, backend);
  for (const name of ["alice", "bob", "carol"]) cache.getOrAdd(name, REALM);
  cache.install(issued(filled("dave", 1)));
  const dave = cache.get("dave", REALM)!;
  assert(cache.commit(dave, dave.newest!, true, 0));
  for (const name of ["alice", "dave"]) assert(other.beginFetch(name, REALM, 5));
  assert(cache.beginFetch("bob", REALM, 5));
  assertEquals(["alice", "dave"].map((name) => cache.beginFetch(name, REALM, 6)), [false, false]);
  cache.abandonFetches(other.thread);
  const fetchers = ["alice", "bob", "carol", "dave"].map((name) => cache.peek(name, REALM)!.fetcher);
  assertEquals(fetchers, [0, cache.thread, 0, 0]);
  assertEquals(["alice", "dave"].map((name) => cache.beginFetch(name, REALM, 6)), [true, true]);
});
