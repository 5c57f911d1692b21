import { assert, assertEquals } from "@std/assert";
import { KeyedHash, seededRandom } from "../../mod.ts";
import { RecentKeys } from "./recent_keys.ts";
import { SourceKey } from "./source_key.ts";
import { TokenBuckets } from "./token_buckets.ts";

Deno.test("limits: a bucket is taken from and fills up again, up to its burst", () => {
  const buckets = new TokenBuckets({ entries: 8, perSecond: 2, burst: 3 });
  const take = (now: number) => buckets.take(5, 6, now);
  assertEquals([take(0), take(0), take(0), take(0)], [true, true, true, false]);
  assertEquals(buckets.wait(5, 6, 0), 500);
  assertEquals([take(500), take(500)], [true, false]);
  assertEquals([1, 2, 3, 4].map(() => take(100_000)), [true, true, true, false]);
  buckets.give(5, 6, 100_000);
  assertEquals([take(100_000), take(100_000)], [true, false]);
  assertEquals(buckets.wait(7, 8, 0), 0);
});

Deno.test("limits: made-up senders cannot make a table forget who is over the limit", () => {
  const buckets = new TokenBuckets({ entries: 64, perSecond: 1, burst: 2 });
  for (let i = 0; i < 3; i++) buckets.take(1, 1, 0);
  const random = seededRandom(1);
  for (let i = 0; i < 10_000; i++) {
    const [low, high] = new Int32Array(random.bytes(8).buffer);
    buckets.take(low, high, 1);
  }
  assertEquals(buckets.take(1, 1, 1), false);
});

Deno.test("limits: recent keys are known for their lifetime, and the oldest is forgotten", () => {
  const keys = new RecentKeys(8, 1000);
  for (let i = 1; i <= 9; i++) keys.put(i, i, i);
  assertEquals([keys.has(1, 1, 9), keys.has(2, 2, 9), keys.has(9, 9, 1009), keys.has(9, 9, 1010)], [
    false,
    true,
    true,
    false,
  ]);
  keys.remove(2, 2);
  assert(!keys.has(2, 2, 9));
});

Deno.test("limits: a source is an IPv4 address, or the /64 of an IPv6 address", () => {
  const key = new SourceKey(new KeyedHash(new Uint8Array(8)));
  const of = (host: string) => {
    key.read({ host, port: 1 });
    return `${key.low} ${key.high}`;
  };
  const same = [
    ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:DB8:1:2::"],
    ["2001:db8::1", "2001:db8:0:0:1::", "2001:db8::2:3", "2001:db8::5:6:7:8"],
    ["2001:db8::4:5:6:7:8", "2001:db8:0:4:5:6:7:8"],
    ["fe80::1%eth0", "fe80::2"],
    ["192.0.2.1", "::ffff:192.0.2.1"],
    ["::1", "::2"],
    ["192.0.2.2"],
    ["192.0.2.10"],
    ["2001:db8:1:3::1"],
    ["phone.example.com"],
    ["x"],
  ];
  const keys = same.map((hosts) => {
    for (const host of hosts) assertEquals(of(host), of(hosts[0]), `${host} and ${hosts[0]}`);
    return of(hosts[0]);
  });
  assertEquals(new Set(keys).size, same.length);
});
