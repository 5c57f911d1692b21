import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { type Address, formatTransportAddress, type Transport } from "../sip/address.ts";
import type { DnsAnswer, DnsRecords, DnsSource, DnsType, NaptrRecord, SrvRecord } from "./records.ts";
import { type LocatorOptions, SipLocator } from "./sip_locator.ts";
import { orderByWeight } from "./srv_order.ts";

/** A zone by "name type". */
class Zone implements DnsSource {
  readonly records = new Map<string, DnsAnswer<DnsRecords[DnsType]>>();
  readonly asked: string[] = [];
  down = false;

  add<T extends DnsType>(name: string, type: T, records: readonly DnsRecords[T][], ttl = 60): this {
    this.records.set(`${name} ${type}`, { records, ttl });
    return this;
  }

  srv(name: string, ...records: Partial<SrvRecord>[]): this {
    const full = records.map((record) => ({
      priority: 1,
      weight: 0,
      port: 5070,
      target: "a.example.com",
      ...record,
    }));
    return this.add(name, "SRV", full);
  }

  naptr(...records: Partial<NaptrRecord>[]): this {
    const full = records.map((record) => ({
      order: 1,
      preference: 1,
      flags: "s",
      services: "SIP+D2U",
      regexp: "",
      replacement: "_sip._udp.example.com",
      ...record,
    }));
    return this.add("example.com", "NAPTR", full);
  }

  query<T extends DnsType>(name: string, type: T): Promise<DnsAnswer<DnsRecords[T]>> {
    this.asked.push(`${name} ${type}`);
    if (this.down) return Promise.reject(new Error("nobody answers"));
    const none = { records: [], ttl: 10 };
    return Promise.resolve((this.records.get(`${name} ${type}`) ?? none) as DnsAnswer<DnsRecords[T]>);
  }
}

class Scene {
  now = 0;
  readonly zone = new Zone();
  readonly failures: string[] = [];
  readonly locator: SipLocator;

  constructor(options: Partial<LocatorOptions> = {}) {
    this.locator = new SipLocator({
      source: this.zone,
      random: seededRandom(7),
      now: () => this.now,
      transports: ["udp", "tcp", "tls"],
      ipv4: true,
      ipv6: true,
      onFailure: ({ host }) => void this.failures.push(host),
      ...options,
    });
    this.zone.add("a.example.com", "A", ["192.0.2.1"]).add("b.example.com", "A", ["192.0.2.2"]);
    this.zone.add("b.example.com", "AAAA", ["2001:db8::2"]);
  }

  addresses(host: string, port = 0, transport?: Transport): Promise<readonly Address[]> {
    return new Promise((resolve) => this.locator.locate({ host, port, transport }, resolve));
  }

  async find(host: string, port = 0, transport?: Transport): Promise<string[]> {
    return (await this.addresses(host, port, transport)).map(formatTransportAddress);
  }
}

Deno.test("RFC 3263 §4.1: a numeric host, a port, a transport", async () => {
  const scene = new Scene();
  assertEquals(await scene.find("192.0.2.9"), ["udp:192.0.2.9:5060"]);
  assertEquals(await scene.find("192.0.2.9", 0, "tls"), ["tls:192.0.2.9:5061"]);
  assertEquals(await scene.find("2001:db8::9", 5070, "tcp"), ["tcp:[2001:db8::9]:5070"]);
  assertEquals(scene.zone.asked, []);
  assertEquals(await scene.find("b.example.com", 5080), ["udp:192.0.2.2:5080", "udp:[2001:db8::2]:5080"]);
  assertEquals(scene.zone.asked, ["b.example.com A", "b.example.com AAAA"]);
  scene.zone.srv("_sip._tcp.example.com", { target: "a.example.com", port: 5075 });
  assertEquals(await scene.find("example.com", 0, "tcp"), ["tcp:192.0.2.1:5075"]);
  // Without SRV, its own addresses and the default port.
  assertEquals(await scene.find("a.example.com", 0, "tls"), ["tls:192.0.2.1:5061"]);
});

Deno.test("RFC 3263 §4.1: NAPTR in its order, as far as it can be used", async () => {
  const scene = new Scene();
  scene.zone.naptr(
    { order: 2, services: "SIP+D2U", replacement: "_sip._udp.example.com" },
    { order: 1, preference: 2, services: "sips+d2t", replacement: "_sips._tcp.example.com" },
    { order: 1, preference: 1, services: "SIP+D2S", replacement: "_sip._sctp.example.com" },
    { order: 0, services: "SIP+D2T", regexp: "!.*!x!", replacement: "_odd.example.com" },
    { order: 0, services: "SIP+D2T", flags: "a", replacement: "_odd.example.com" },
  );
  scene.zone.srv("_sips._tcp.example.com", { port: 5071 });
  scene.zone.srv("_sip._udp.example.com", { target: "b.example.com" });
  const [address] = await scene.addresses("example.com");
  assertEquals([formatTransportAddress(address), address.name], ["tls:192.0.2.1:5071", "example.com"]);
  // One whose targets have no address gives way to the next.
  const other = new Scene({ transports: ["udp", "tcp"] });
  other.zone.naptr({ order: 1, services: "SIP+D2T", replacement: "_sip._tcp.example.com" }, { order: 2 });
  other.zone.srv("_sip._tcp.example.com", { target: "." });
  other.zone.srv("_sip._udp.example.com", {});
  assertEquals(await other.find("example.com"), ["udp:192.0.2.1:5070"]);
});

Deno.test("RFC 3263 §4.1: without NAPTR the SRV of each transport, without SRV the addresses", async () => {
  const scene = new Scene({ ipv6: false });
  scene.zone.srv("_sip._tcp.example.com", { target: "b.example.com" });
  assertEquals(await scene.find("example.com"), ["tcp:192.0.2.2:5070"]);
  assertEquals(await scene.find("a.example.com"), ["udp:192.0.2.1:5060"]);
  assertEquals(await scene.find("nowhere.example.com"), []);
});

Deno.test("RFC 2782: priorities in order, weights in proportion, drawn anew for each request", async () => {
  const scene = new Scene({ ipv6: false });
  scene.zone.srv(
    "_sip._udp.example.com",
    { priority: 2, port: 5001 },
    { priority: 1, weight: 30, port: 5002 },
    { priority: 1, weight: 10, port: 5003 },
  );
  const firsts = { 5002: 0, 5003: 0 };
  for (let i = 0; i < 4000; i++) {
    const ports = (await scene.addresses("example.com")).map(({ port }) => port);
    assertEquals(ports[2], 5001);
    firsts[ports[0] as 5002 | 5003]++;
  }
  assert(Math.abs(firsts[5002] - 3000) < 150, JSON.stringify(firsts));
  assertEquals(scene.zone.asked.filter((name) => name.endsWith("SRV")).length, 1);
  const zeros = orderByWeight([{ priority: 1, weight: 0 }, { priority: 1, weight: 0 }], seededRandom(1));
  assertEquals(zeros.length, 2);
});

Deno.test("locator: the shortest life counts, one question at a time, negative answers are short", async () => {
  const scene = new Scene({ ipv6: false });
  scene.zone.add("c.example.com", "A", ["192.0.2.3"], 20).srv("_sip._udp.example.com", {
    target: "c.example.com",
  });
  const both = await Promise.all([scene.find("example.com"), scene.find("EXAMPLE.com")]);
  assertEquals(both, [["udp:192.0.2.3:5070"], ["udp:192.0.2.3:5070"]]);
  const count = scene.zone.asked.length;
  // The life of what is not there (NAPTR) counts too: 10 s.
  scene.now = 9999;
  let atOnce: readonly Address[] = [];
  scene.locator.locate({ host: "example.com", port: 0, transport: undefined }, (found) => atOnce = found);
  assertEquals([atOnce.length, scene.zone.asked.length], [1, count]);
  scene.now = 10_001;
  await scene.find("example.com");
  assertEquals(scene.zone.asked.length, 2 * count);
  assertEquals(await scene.find("no.example.com", 5060), []);
  const asked = scene.zone.asked.length;
  assertEquals(await scene.find("no.example.com", 5060), []);
  assertEquals(scene.zone.asked.length, asked);
});

Deno.test("locator: what was known is used while nobody answers, for a while", async () => {
  const scene = new Scene({ ipv6: false });
  assertEquals(await scene.find("a.example.com", 5060), ["udp:192.0.2.1:5060"]);
  scene.zone.down = true;
  scene.now = 120_000;
  assertEquals(await scene.find("a.example.com", 5060), ["udp:192.0.2.1:5060"]);
  assertEquals(scene.failures, ["a.example.com"]);
  scene.now = 4_000_000;
  assertEquals(await scene.find("a.example.com", 5060), []);
});

Deno.test("locator: what is remembered is bounded", async () => {
  const scene = new Scene({ maxNames: 100 });
  for (let i = 0; i < 1000; i++) await scene.find(`h${i}.example.com`, 5060);
  assertEquals(scene.locator.size, 100);
});
