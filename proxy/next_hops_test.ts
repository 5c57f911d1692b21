import { assertEquals } from "@std/assert";
import { type Address, formatTransportAddress } from "../mod.ts";
import { NextHops } from "./next_hops.ts";
import type { PingDone } from "./own_requests.ts";
import { QuietLog } from "./quiet_log.ts";

const A: Address = { host: "192.0.2.1", port: 5060 };
const B: Address = { host: "192.0.2.2", port: 5060, transport: "tcp" };
const C: Address = { host: "2001:db8::3", port: 5061, transport: "tls", name: "sip.example.com" };

function scene() {
  const pings: { readonly text: string; readonly done: PingDone }[] = [];
  const logs: string[] = [];
  const hops = new NextHops({
    intervalMs: 1000,
    ping: (uri, to, _patience, _now, done) =>
      void pings.push({ text: `${uri} at ${formatTransportAddress(to)}`, done }),
    log: (event, fields) => void logs.push(`${event} ${fields.next_hop}`),
  });
  const order = (now: number) => hops.order([A, B, C], now).map(({ host }) => host.at(-1)).join("");
  return { hops, pings, logs, order };
}

Deno.test("next hops: those that are down go last, are asked, and come back when they answer", () => {
  const { hops, pings, logs, order } = scene();
  assertEquals(order(0), "123");
  hops.failed(A, 0);
  hops.failed({ ...A, transport: "udp", flow: -1 }, 0);
  hops.failed(C, 0);
  assertEquals([order(0), hops.down], ["213", 2]);
  hops.advance(999);
  assertEquals(pings, []);
  hops.advance(1000);
  assertEquals(pings.map(({ text }) => text), [
    "sip:192.0.2.1:5060 at udp:192.0.2.1:5060",
    "sip:sip.example.com:5061 at tls:[2001:db8::3]:5061",
  ]);
  const [first, third] = pings.splice(0);
  first.done(503, 1001);
  third.done(404, 1001);
  assertEquals(order(1001), "231");
  hops.advance(2000);
  assertEquals(pings.length, 1);
  pings[0].done(200, 2001);
  pings[0].done(200, 2001);
  assertEquals([order(2001), hops.down], ["123", 0]);
  assertEquals(logs, [
    "next_hop_down udp:192.0.2.1:5060",
    "next_hop_down tls:[2001:db8::3]:5061",
    "next_hop_up tls:[2001:db8::3]:5061",
    "next_hop_up udp:192.0.2.1:5060",
  ]);
});

Deno.test("next hops: one that nobody wants is forgotten, and there are not endlessly many", () => {
  const { hops, pings } = scene();
  hops.failed(A, 0);
  hops.advance(600_001);
  assertEquals([hops.down, pings.length], [0, 0]);
  for (let port = 1; port <= 2000; port++) hops.failed({ ...A, port }, 0);
  assertEquals(hops.down, 1000);
});

Deno.test("quiet log: one line of each event a second, with the count of those left out", () => {
  const lines: string[] = [];
  const log = new QuietLog((event, fields) =>
    void lines.push(`${event} ${fields.n} ${fields.left_out ?? 0}`)
  );
  for (let i = 0; i < 100; i++) log.say("a", { n: i }, i * 15);
  log.say("b", { n: 0 }, 1500);
  log.say("a", { n: 100 }, 2100);
  assertEquals(lines, ["a 0 0", "a 67 66", "b 0 0", "a 100 32"]);
});
