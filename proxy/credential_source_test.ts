import { assert, assertEquals } from "@std/assert";
import { type CachedUser, CredentialCache } from "./credential_cache.ts";
import { CredentialSource, type FetchWaiter, type SourceOptions } from "./credential_source.ts";
import { backend, FakeDbclient } from "./testing.ts";

const REALM = "example.com";
const USUAL: SourceOptions = { algorithm: "SHA-1", prefetching: true, prefetchDelayMs: 1000, lowWater: 1 };

/** A source with its cache and a DBclient in the test's hands. */
class Bench {
  now = 0;
  readonly cache: CredentialCache;
  readonly dbclient = new FakeDbclient();
  readonly source: CredentialSource;

  constructor(options: Partial<SourceOptions> = {}, maxUsers = 10_000) {
    this.cache = new CredentialCache(maxUsers);
    this.source = new CredentialSource(this.cache, this.dbclient, backend, { ...USUAL, ...options });
    this.source.advance(0); // The first round; the next one is prefetch_delay later.
  }

  runTo(time: number): void {
    while (this.now < time) {
      this.now = Math.min(time, this.now + 100);
      this.dbclient.now = this.now;
      this.source.advance(this.now);
      this.source.flush(this.now);
    }
  }

  fetch(name: string, waiter?: FetchWaiter): CachedUser {
    const user = this.cache.getOrAdd(name, REALM);
    this.source.fetch(user, this.now, waiter);
    return user;
  }

  /** A user with a credential of which `used` tokens were accepted. */
  userAt(name: string, used: number): CachedUser {
    const user = this.fetch(name);
    this.source.flush(this.now);
    if (used > 0) this.use(user, used);
    return user;
  }

  /** As if tokens had been accepted, without walking any chain. */
  use(user: CachedUser, used: number): void {
    const live = user.newest!;
    const index = live.credential.n - used;
    Object.defineProperty(live, "index", { value: index, configurable: true });
    Object.defineProperty(live, "touched", { value: used > 0, configurable: true });
    user.seenSinceIssue = true;
    this.source.noteAccepted(user, this.now);
  }

  asked(): string[][] {
    return this.dbclient.asked.splice(0).map((users) => users.map((user) => user.replace(`@${REALM}`, "")));
  }
}

Deno.test("credential source: one question per user in flight, every waiter is told once", () => {
  const bench = new Bench();
  bench.dbclient.mode = "hold";
  const told: (string | undefined)[] = [];
  const waiter: FetchWaiter = (user) => void told.push(user?.username);
  for (let i = 0; i < 5; i++) bench.fetch("alice", waiter);
  bench.source.flush(0);
  for (let i = 0; i < 5; i++) bench.fetch("alice", waiter);
  bench.source.flush(0);
  assertEquals(bench.asked(), [["alice"]]);
  assertEquals([bench.source.outstanding, told], [1, []]);
  bench.dbclient.release();
  assertEquals(told, new Array(10).fill("alice"));
  assertEquals(bench.source.outstanding, 0);
  bench.fetch("alice", waiter);
  bench.source.flush(0);
  assertEquals(bench.asked(), [["alice"]]);
  assertEquals(told.length, 11);
});

Deno.test("credential source: questions leave with flush, in frames of at most 1000 users", () => {
  const bench = new Bench();
  for (let i = 0; i < 2500; i++) bench.fetch(`user${i}`);
  assertEquals(bench.asked(), []);
  bench.source.flush(0);
  assertEquals(bench.asked().map((users) => users.length), [1000, 1000, 500]);
  assertEquals([bench.source.counters.issueFrames, bench.source.counters.usersAsked], [3, 2500]);
  bench.source.flush(0);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: the answer is put in use before the waiters are told", () => {
  const bench = new Bench();
  let offered = "";
  bench.fetch("alice", (user, now) => offered = `${user?.newest?.nonceHex} at ${now}`);
  bench.source.flush(0);
  assertEquals(offered, `${bench.cache.peek("alice", REALM)?.newest?.nonceHex} at 0`);
});

Deno.test("credential source: a user who was forgotten while waiting comes back with the answer", () => {
  const bench = new Bench({}, 4);
  bench.dbclient.mode = "hold";
  let told: CachedUser | undefined;
  const before = bench.fetch("alice", (user) => told = user);
  bench.source.flush(0);
  bench.cache.getOrAdd("bob", REALM);
  assertEquals(bench.cache.peek("alice", REALM), undefined);
  bench.dbclient.release();
  assert(told !== undefined && told !== before);
  assertEquals(bench.cache.peek("alice", REALM), told);
});

Deno.test("credential source: an outage is told to all who wait, and made up for by the prefetcher", () => {
  const bench = new Bench();
  bench.dbclient.mode = "fail";
  const told: (CachedUser | undefined)[] = [];
  bench.fetch("alice", (user) => void told.push(user));
  bench.fetch("bob", (user) => void told.push(user));
  bench.source.flush(0);
  assertEquals(told, [undefined, undefined]);
  assertEquals(bench.source.counters.failed, 2);
  bench.asked();
  bench.dbclient.connected = false;
  bench.runTo(10_000);
  assertEquals(bench.asked(), []); // Nobody to ask.
  bench.dbclient.connected = true;
  bench.dbclient.mode = "answer";
  bench.runTo(11_100);
  assertEquals(bench.asked(), [["alice", "bob"]]);
  assert(bench.cache.peek("alice", REALM)?.newest !== undefined);
  bench.runTo(20_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: an outage without prefetching is not made up for", () => {
  const bench = new Bench({ prefetching: false });
  bench.dbclient.mode = "fail";
  bench.fetch("alice");
  bench.source.flush(0);
  bench.asked();
  bench.dbclient.mode = "answer";
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: DBclient without its database is as good as away; a name that cannot be is not asked again", () => {
  for (const [mode, again] of [["unavailable", true], ["invalid_name", false]] as const) {
    const bench = new Bench();
    bench.dbclient.mode = mode;
    let told: CachedUser | undefined | "not told" = "not told";
    bench.fetch("alice", (user) => told = user);
    bench.source.flush(0);
    assertEquals(told, undefined);
    bench.asked();
    bench.dbclient.mode = "answer";
    bench.runTo(3000);
    assertEquals(bench.asked(), again ? [["alice"]] : []);
  }
});

Deno.test("credential source: prefetch at low water, once, in one frame, after prefetch_delay", () => {
  const bench = new Bench();
  const alice = bench.userAt("alice", 8); // i = 2
  const bob = bench.userAt("bob", 0);
  bench.asked();
  bench.runTo(3000);
  assertEquals(bench.asked(), []);
  const [first] = [alice.newest];
  bench.use(alice, 9);
  bench.use(bob, 9);
  assertEquals(bench.asked(), []);
  bench.runTo(3900);
  assertEquals(bench.asked(), []);
  bench.runTo(4000);
  assertEquals(bench.asked(), [["alice", "bob"]]);
  assertEquals(bench.source.counters.prefetched, 2);
  assertEquals(alice.older, first);
  assert(alice.newest !== first);
  bench.source.noteAccepted(alice, bench.now); // Another token of the older one: the next is there already.
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: a used up credential is replaced at once, without waiting for the prefetcher", () => {
  const bench = new Bench();
  const alice = bench.userAt("alice", 9);
  bench.asked();
  bench.use(alice, 10); // i = 0
  bench.source.flush(bench.now);
  assertEquals(bench.asked(), [["alice"]]);
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: a low water above the chain length does not ask for ever", () => {
  const bench = new Bench({ lowWater: 65535 });
  const alice = bench.userAt("alice", 0);
  bench.asked();
  bench.source.noteAccepted(alice, bench.now);
  bench.runTo(5000);
  assertEquals(bench.asked(), []); // Untouched.
  bench.use(alice, 1);
  bench.runTo(10_000);
  assertEquals(bench.asked(), [["alice"]]);
});

Deno.test("credential source: a question on the way or on demand makes the prefetch needless", () => {
  const bench = new Bench();
  const alice = bench.userAt("alice", 9);
  bench.asked();
  bench.fetch("alice"); // Wanted already: the demand is quicker.
  bench.source.flush(0);
  assertEquals(bench.asked(), [["alice"]]);
  bench.runTo(3000);
  assertEquals(bench.asked(), []);
  bench.dbclient.mode = "hold";
  bench.fetch("alice");
  bench.source.flush(bench.now);
  bench.use(alice, 9);
  bench.runTo(6000);
  assertEquals(bench.asked(), [["alice"]]);
});

Deno.test("credential source: no prefetching means none", () => {
  const bench = new Bench({ prefetching: false });
  const alice = bench.userAt("alice", 10);
  alice.seenSinceIssue = true;
  bench.asked();
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: a tenth of its life left and its user seen: a new credential comes", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 100;
  const seen = bench.userAt("seen", 1);
  bench.userAt("quiet", 0);
  bench.asked();
  bench.runTo(89_000);
  assertEquals(bench.asked(), []);
  bench.runTo(92_000);
  assertEquals(bench.asked(), [["seen"]]);
  assertEquals(seen.seenSinceIssue, false);
  bench.runTo(101_000);
  assertEquals(bench.cache.peek("quiet", REALM), undefined); // Its credential is over, and nobody uses it.
  assertEquals(bench.cache.peek("seen", REALM), seen);
  bench.runTo(300_000); // Not seen again: it ends too.
  assertEquals(bench.asked(), []);
  assertEquals(bench.cache.size, 0);
});

Deno.test("credential source: ageing waits for DBclient, and survives a clock that jumps", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 100;
  bench.userAt("alice", 1);
  bench.asked();
  bench.dbclient.connected = false;
  bench.runTo(99_000);
  assertEquals(bench.asked(), []);
  bench.dbclient.connected = true;
  bench.now = bench.dbclient.now = 5_000_000;
  bench.source.advance(bench.now);
  assertEquals(bench.asked(), [["alice"]]);
  assert(bench.cache.peek("alice", REALM)!.newest!.canOffer(bench.now));
});

Deno.test("credential source: a life is counted from the question", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 100;
  bench.dbclient.mode = "hold";
  const alice = bench.fetch("alice");
  bench.source.flush(0);
  bench.runTo(1500);
  bench.dbclient.release();
  assertEquals([alice.newest?.issuedAt, alice.newest?.expiresAt], [0, 100_000]);
});

Deno.test("credential source: the longest and the shortest time to live", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 0xffffffff;
  const long = bench.userAt("long", 0);
  assert(long.newest!.canOffer(1e12));
  bench.dbclient.ttl = 1;
  const short = bench.userAt("short", 0);
  assert(short.newest!.canOffer(999) && !short.newest!.canOffer(1000));
});

Deno.test("credential source: a credential that was on the way when its user was revoked is dropped", () => {
  const bench = new Bench();
  bench.dbclient.mode = "hold";
  bench.dbclient.serial = 4; // Read before the revocation with serial 5.
  let told: CachedUser | undefined | "not told" = "not told";
  bench.fetch("alice", (user) => told = user);
  bench.fetch("bob");
  bench.source.flush(0);
  bench.source.revoked(5, [{ username: "alice", realm: REALM }], 0);
  bench.dbclient.release();
  assertEquals(told, undefined);
  assertEquals(bench.cache.peek("alice", REALM)?.newest, undefined);
  assert(bench.cache.peek("bob", REALM)?.newest !== undefined);
  bench.dbclient.serial = 5;
  bench.userAt("alice", 0);
  assert(bench.cache.peek("alice", REALM)?.newest !== undefined);
});

Deno.test("credential source: a flush of all concerns what is on the way too", () => {
  const bench = new Bench();
  bench.userAt("bob", 0);
  bench.dbclient.mode = "hold";
  bench.dbclient.serial = 8;
  bench.fetch("alice");
  bench.source.flush(0);
  bench.source.revoked(9, undefined, 0);
  bench.dbclient.release();
  assertEquals(bench.cache.peek("alice", REALM)?.newest, undefined);
  assertEquals(bench.cache.peek("bob", REALM), undefined);
});

Deno.test("credential source: a wish for a new credential is granted once in 2 s, whatever asked last", () => {
  const bench = new Bench();
  const alice = bench.userAt("alice", 0);
  assertEquals([0, 1999, 2000].map((now) => bench.source.mayRenew(alice, now)), [false, false, true]);
  bench.runTo(2000);
  bench.use(alice, 9); // A prefetch counts, and is not delayed.
  bench.runTo(3000);
  assertEquals(bench.asked().length, 2);
  assertEquals([3000, 4999, 5000].map((now) => bench.source.mayRenew(alice, now)), [false, false, true]);
  bench.dbclient.mode = "hold";
  bench.runTo(5000);
  bench.fetch("alice");
  bench.source.flush(bench.now);
  assertEquals(bench.source.mayRenew(alice, 5001), true); // It shares the question that is under way.
});

Deno.test("credential source: names that wait for DBclient are bounded", () => {
  const bench = new Bench({}, 1_000_000);
  bench.dbclient.mode = "fail";
  for (let i = 0; i < 100_500; i++) bench.fetch(`user${i}`);
  bench.source.flush(0);
  bench.asked();
  bench.dbclient.mode = "hold";
  bench.runTo(1100);
  assertEquals(bench.asked().reduce((sum, users) => sum + users.length, 0), 100_000);
});

Deno.test("credential source: users whom the cache has forgotten leave nothing behind", () => {
  const bench = new Bench({}, 40);
  for (let i = 0; i < 20_000; i++) {
    bench.fetch(`made-up-${i}`);
    bench.source.flush(bench.now);
  }
  // Entries of the cache's own users, a quarter more, and the slack.
  assert(bench.source.waiting <= 40 * 1.25 + 1024, `${bench.source.waiting} entries wait`);
});
