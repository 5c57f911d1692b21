import { assertEquals } from "@std/assert";
import { addressGroup, UserRates } from "./limits.ts";
import { printable, RefusalLog } from "./refusals.ts";

Deno.test("rates: each proxy has its own bucket, a second's worth, and one full frame in any case", () => {
  const rates = new UserRates(2000);
  assertEquals([rates.take("a", 2000, 0), rates.take("a", 1, 0), rates.take("b", 1500, 0)], [
    true,
    false,
    true,
  ]);
  assertEquals([rates.take("a", 1001, 500), rates.take("a", 1000, 500)], [false, true]);
  rates.forgetFull(499);
  assertEquals(rates.take("b", 2000, 500), false);
  rates.forgetFull(100_000);
  assertEquals(rates.take("a", 2000, 100_000), true);
  const slow = new UserRates(1);
  assertEquals([slow.take("a", 1000, 0), slow.take("a", 2, 1000), slow.take("a", 1, 1000)], [
    true,
    false,
    true,
  ]);
});

Deno.test("addresses: IPv4 one by one, IPv6 by /64", () => {
  assertEquals(addressGroup("192.0.2.1"), "192.0.2.1");
  assertEquals(addressGroup("2001:db8::1"), addressGroup("2001:db8::ffff:2"));
  assertEquals(addressGroup("2001:db8::1") === addressGroup("2001:db8:0:1::1"), false);
});

Deno.test("refusals: the first line of a kind at once, then a number; many kinds are one", () => {
  const lines: string[] = [];
  const log = new RefusalLog((line) => lines.push(line));
  for (let i = 0; i < 10_000; i++) log.note("rate", "192.0.2.1", `line ${i}`, 0);
  log.note("rate", "192.0.2.2", "another", 0);
  assertEquals(lines.splice(0), ["line 0", "another"]);
  log.advance(9999);
  assertEquals(lines.splice(0), []);
  log.advance(10_000);
  assertEquals(lines.splice(0), ["192.0.2.1: rate: 9999 more within 10 s"]);
  log.note("rate", "192.0.2.1", "again", 10_001);
  log.advance(20_000);
  assertEquals(lines.splice(0), ["192.0.2.1: rate: 1 more within 10 s"]);
  for (let i = 0; i < 5000; i++) log.note("tls", `host ${i}`, `line ${i}`, 20_000);
  assertEquals(lines.splice(0).length <= 1001, true);
  log.advance(20_000, true);
  assertEquals(lines, ["many addresses: tls: 4000 more within 10 s"]);
});

Deno.test("refusals: a peer's text is printed without control characters, and not at length", () => {
  assertEquals(printable("a\nb\x1b[31m\u0085é"), "a?b?[31m?é");
  assertEquals(printable("x".repeat(1000)).length, 201);
});
