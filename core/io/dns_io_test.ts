import { assertEquals, assertRejects } from "@std/assert";
import { SipLocator } from "../dns/sip_locator.ts";
import { seededRandom } from "../random.ts";
import { type Address, formatTransportAddress } from "../sip/address.ts";
import { now } from "./clock_io.ts";
import { DnsClient } from "./dns_io.ts";
import { TestDns } from "./test_dns.ts";

async function withDns(use: (dns: TestDns, client: DnsClient) => Promise<void>): Promise<void> {
  const dns = new TestDns();
  try {
    await use(dns, new DnsClient({ servers: [dns.address], waitMs: 200 }));
  } finally {
    await dns.close();
  }
}

Deno.test("DNS: records of each type with their lives, and what there is not", () =>
  withDns(async (dns, client) => {
    dns.add("a.example.com", "A", "192.0.2.1", 30).add("a.example.com", "A", "192.0.2.2", 20);
    dns.add("a.example.com", "AAAA", "2001:db8::1");
    dns.add("_sip._udp.example.com", "SRV", { priority: 1, weight: 2, port: 5070, target: "a.example.com" });
    const naptr = {
      order: 1,
      preference: 2,
      flags: "s",
      services: "SIP+D2U",
      regexp: "",
      replacement: "_sip._udp.example.com",
    };
    dns.add("example.com", "NAPTR", naptr);
    assertEquals(await client.query("A.example.com.", "A"), { records: ["192.0.2.1", "192.0.2.2"], ttl: 20 });
    assertEquals(await client.query("a.example.com", "AAAA"), { records: ["2001:db8::1"], ttl: 60 });
    assertEquals((await client.query("_sip._udp.example.com", "SRV")).records, [
      { priority: 1, weight: 2, port: 5070, target: "a.example.com" },
    ]);
    assertEquals((await client.query("example.com", "NAPTR")).records, [naptr]);
    // RFC 2308: the smaller of the SOA's life and its minimum, for a name that is not there and for one without the type.
    assertEquals(await client.query("no.example.com", "A"), { records: [], ttl: 7 });
    assertEquals(await client.query("a.example.com", "SRV"), { records: [], ttl: 7 });
  }));

Deno.test("DNS: forged answers are passed over, long ones fetched over TCP", () =>
  withDns(async (dns, client) => {
    dns.add("a.example.com", "A", "192.0.2.1");
    dns.behaviour = { forged: true };
    assertEquals((await client.query("a.example.com", "A")).records, ["192.0.2.1"]);
    dns.behaviour = { truncated: true };
    assertEquals((await client.query("a.example.com", "A")).records, ["192.0.2.1"]);
    assertEquals(dns.asked.at(-1), "a.example.com A (tcp)");
  }));

Deno.test("DNS: the next server when one is silent or fails; all silent is an error in one line", async () => {
  await withDns(async (silent, patient) => {
    silent.behaviour = { silent: true };
    await assertRejects(() => patient.query("a.example.com", "A"), Error, "no answer within 200 ms");
    await withDns(async (failing) => {
      failing.behaviour = { rcode: 2 };
      await withDns(async (good) => {
        good.add("a.example.com", "A", "192.0.2.1");
        const client = new DnsClient({
          servers: [silent.address, failing.address, good.address],
          waitMs: 100,
        });
        assertEquals((await client.query("a.example.com", "A")).records, ["192.0.2.1"]);
      });
      const client = new DnsClient({ servers: [failing.address], waitMs: 100 });
      await assertRejects(() => client.query("a.example.com", "A"), Error, "answers SERVFAIL");
    });
  });
});

Deno.test("DNS: from a SIP domain to addresses, by NAPTR and SRV (RFC 3263)", () =>
  withDns(async (dns, client) => {
    const naptr = (preference: number, services: string, replacement: string) =>
      dns.add("example.com", "NAPTR", {
        order: 10,
        preference,
        flags: "s",
        services,
        regexp: "",
        replacement,
      });
    naptr(2, "SIP+D2U", "_sip._udp.example.com");
    naptr(1, "SIP+D2T", "_sip._tcp.example.com");
    const srv = (name: string, priority: number, target: string) =>
      dns.add(name, "SRV", { priority, weight: 0, port: 5070 + priority, target });
    srv("_sip._tcp.example.com", 2, "b.example.com");
    srv("_sip._tcp.example.com", 1, "a.example.com");
    srv("_sip._udp.example.com", 1, "a.example.com");
    dns.add("a.example.com", "A", "192.0.2.1").add("b.example.com", "A", "192.0.2.2");
    const locator = new SipLocator({
      source: client,
      random: seededRandom(1),
      now,
      transports: ["udp", "tcp", "tls"],
      ipv4: true,
      ipv6: false,
    });
    const found = await new Promise<readonly Address[]>((resolve) =>
      locator.locate({ host: "example.com", port: 0, transport: undefined }, resolve)
    );
    assertEquals(found.map(formatTransportAddress), ["tcp:192.0.2.1:5071", "tcp:192.0.2.2:5072"]);
  }));

Deno.test("DNS: localhost is in this machine's own file", async () => {
  const client = new DnsClient({ servers: [{ host: "127.0.0.1", port: 1 }] });
  assertEquals((await client.query("localhost", "A")).records, ["127.0.0.1"]);
});
