import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../mod.ts";
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

  /** @param cache its size, or the cache itself */
  constructor(options: Partial<SourceOptions> = {}, cache: number | CredentialCache = 10_000) {
    this.cache = typeof cache === "number" ? CredentialCache.create(cache, backend, seededRandom(1)) : cache;
    this.source = new CredentialSource(this.cache, this.dbclient, { ...USUAL, ...options });
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

  /** What the cache knows of a user. */
  user(name: string): CachedUser | undefined {
    return this.cache.peek(name, REALM);
  }

  /** A user with a credential of which `used` tokens were accepted. */
  userAt(name: string, used: number): CachedUser {
    this.fetch(name);
    this.source.flush(this.now);
    if (used > 0) this.use(name, used);
    return this.user(name)!;
  }

  /** As if tokens had been accepted, without walking any chain. */
  use(name: string, used: number): void {
    const user = this.user(name)!;
    const live = user.newest!;
    live.state.index = live.n - used;
    this.cache.commit(user, live, true, this.now);
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
  assertEquals(offered, `${bench.user("alice")?.newest?.nonceHex} at 0`);
});

Deno.test("credential source: a user who was forgotten while waiting comes back with the answer", () => {
  const bench = new Bench({}, 4);
  bench.dbclient.mode = "hold";
  let told: CachedUser | undefined;
  bench.fetch("alice", (user) => told = user);
  bench.source.flush(0);
  bench.cache.getOrAdd("bob", REALM);
  assertEquals(bench.user("alice"), undefined);
  bench.dbclient.release();
  assertEquals(told?.username, "alice");
  assert(told?.tag !== 0 && bench.user("alice")?.tag === told?.tag);
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
  assert(bench.user("alice")?.newest !== undefined);
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
  bench.userAt("alice", 8); // i = 2
  bench.userAt("bob", 0);
  bench.asked();
  bench.runTo(3000);
  assertEquals(bench.asked(), []);
  const first = bench.user("alice")!.tag;
  bench.use("alice", 9);
  bench.use("bob", 9);
  assertEquals(bench.asked(), []);
  bench.runTo(3900);
  assertEquals(bench.asked(), []);
  bench.runTo(4000);
  assertEquals(bench.asked(), [["alice", "bob"]]);
  assertEquals(bench.source.counters.prefetched, 2);
  const alice = bench.user("alice")!;
  assertEquals(alice.older?.tag, first);
  assert(alice.tag !== first);
  bench.source.noteAccepted(alice, bench.now); // Another token of the older one: the next is there already.
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: a used up credential is replaced at once, without waiting for the prefetcher", () => {
  const bench = new Bench();
  bench.userAt("alice", 9);
  bench.asked();
  bench.use("alice", 10); // i = 0
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
  bench.use("alice", 1);
  bench.runTo(10_000);
  assertEquals(bench.asked(), [["alice"]]);
});

Deno.test("credential source: a question on the way or on demand makes the prefetch needless", () => {
  const bench = new Bench();
  bench.userAt("alice", 9);
  bench.asked();
  bench.fetch("alice"); // Wanted already: the demand is quicker.
  bench.source.flush(0);
  assertEquals(bench.asked(), [["alice"]]);
  bench.runTo(3000);
  assertEquals(bench.asked(), []);
  bench.dbclient.mode = "hold";
  bench.fetch("alice");
  bench.source.flush(bench.now);
  bench.use("alice", 9);
  bench.runTo(6000);
  assertEquals(bench.asked(), [["alice"]]);
});

Deno.test("credential source: no prefetching means none", () => {
  const bench = new Bench({ prefetching: false });
  bench.userAt("alice", 10);
  bench.asked();
  bench.runTo(10_000);
  assertEquals(bench.asked(), []);
});

Deno.test("credential source: a tenth of its life left and its user seen: a new credential comes", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 100;
  bench.userAt("seen", 1);
  bench.userAt("quiet", 0);
  bench.asked();
  bench.runTo(89_000);
  assertEquals(bench.asked(), []);
  bench.runTo(92_000);
  assertEquals(bench.asked(), [["seen"]]);
  assertEquals(bench.user("seen")?.seenSinceIssue, false);
  bench.runTo(101_000);
  assertEquals(bench.user("quiet"), undefined); // Its credential is over, and nobody uses it.
  assertEquals(bench.user("seen")?.newest?.issuedAt, 90_000);
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
  assert(bench.user("alice")!.newest!.canOffer(bench.now));
});

Deno.test("credential source: a life is counted from the question", () => {
  const bench = new Bench();
  bench.dbclient.ttl = 100;
  bench.dbclient.mode = "hold";
  bench.fetch("alice");
  bench.source.flush(0);
  bench.runTo(1500);
  bench.dbclient.release();
  const alice = bench.user("alice")!;
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
  bench.source.revoked(5, [{ username: "alice", realm: REALM }]);
  bench.dbclient.release();
  assertEquals(told, undefined);
  assertEquals(bench.user("alice")?.newest, undefined);
  assert(bench.user("bob")?.newest !== undefined);
  bench.dbclient.serial = 5;
  bench.userAt("alice", 0);
  assert(bench.user("alice")?.newest !== undefined);
});

Deno.test("credential source: a flush of all concerns what is on the way too", () => {
  const bench = new Bench();
  bench.userAt("bob", 0);
  bench.dbclient.mode = "hold";
  bench.dbclient.serial = 8;
  bench.fetch("alice");
  bench.source.flush(0);
  bench.source.revoked(9, undefined);
  bench.dbclient.release();
  assertEquals(bench.user("alice")?.newest, undefined);
  assertEquals(bench.user("bob"), undefined);
});

Deno.test("credential source: a wish for a new credential is granted once in 2 s, whatever asked last", () => {
  const bench = new Bench();
  const alice = bench.userAt("alice", 0);
  assertEquals([0, 1999, 2000].map((now) => bench.source.mayRenew(alice, now)), [false, false, true]);
  bench.runTo(2000);
  bench.use("alice", 9); // A prefetch counts, and is not delayed.
  bench.runTo(3000);
  assertEquals(bench.asked().length, 2);
  bench.cache.peek("alice", REALM, alice);
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

/** Two threads of one proxy, each with its own link to DBclient. */
function twoThreads(): [Bench, Bench] {
  const here = new Bench();
  const there = new Bench({}, CredentialCache.attach(here.cache.buffer, backend));
  there.dbclient.mode = here.dbclient.mode = "hold";
  return [here, there];
}

Deno.test("credential source: what another thread asks for is waited for, and told on the next tick", () => {
  const [here, there] = twoThreads();
  const told: (string | undefined)[] = [];
  here.fetch("alice");
  here.source.flush(0);
  there.fetch("alice", (user, now) => void told.push(`${user?.newest?.nonceHex} at ${now}`));
  there.fetch("alice", (user) => void told.push(user?.username));
  there.source.flush(0);
  assert(there.source.isFetching(there.user("alice")!, 0));
  there.runTo(1000);
  assertEquals([here.asked(), there.asked(), told], [[["alice"]], [], []]);
  here.dbclient.release();
  const nonce = here.user("alice")!.newest!.nonceHex;
  there.runTo(1100);
  assertEquals(told, [`${nonce} at 1100`, "alice"]);
  there.fetch("alice");
  there.source.flush(0);
  assertEquals(there.asked(), [["alice"]]);
});

Deno.test("credential source: a question of another thread that fails is told too; one that is lost is asked again", () => {
  const [here, there] = twoThreads();
  const told: (string | undefined)[] = [];
  here.fetch("alice");
  here.source.flush(0);
  there.fetch("alice", (user) => void told.push(user?.username));
  here.dbclient.release("fail");
  there.runTo(100);
  assertEquals([told, there.asked()], [[undefined], []]);
  here.fetch("bob");
  there.fetch("bob", (user) => void told.push(user?.username));
  there.runTo(29_900);
  assertEquals([told.length, there.asked()], [1, []]);
  there.runTo(30_200);
  assertEquals(there.asked(), [["bob"]]);
  there.dbclient.release();
  assertEquals(told, [undefined, "bob"]);
});

Deno.test("credential source: what one thread has renewed, the other does not renew again", () => {
  const [here, there] = twoThreads();
  there.dbclient.mode = here.dbclient.mode = "answer";
  here.userAt("alice", 0);
  here.asked();
  here.use("alice", 9);
  there.source.noteAccepted(there.user("alice")!, 0);
  here.runTo(1000);
  there.runTo(1000);
  assertEquals([here.asked(), there.asked()], [[["alice"]], []]);
  here.dbclient.ttl = there.dbclient.ttl = 100;
  const bob = here.userAt("bob", 1);
  here.asked();
  for (let now = 1000; now <= bob.newest!.expiresAt + 2000; now += 100) {
    here.runTo(now);
    there.runTo(now);
  }
  assertEquals([...here.asked(), ...there.asked()], [["bob"]]);
});
