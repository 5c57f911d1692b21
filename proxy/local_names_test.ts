import { assertEquals } from "@std/assert";
import { type Address, parseUri, UriView } from "../mod.ts";
import { LocalNames } from "./local_names.ts";

const V4 = { host: "192.0.2.1", port: 5060 };
const V6 = { host: "2001:db8::1", port: 5070 };

/** Both ways of asking, which have to agree. */
function own(names: LocalNames, uri: string): boolean {
  const bytes = new TextEncoder().encode(uri);
  const view = new UriView();
  const readable = view.parse(bytes, 0, bytes.length);
  const own = names.isOwn(parseUri(uri)!);
  assertEquals(readable && names.isOwnAt(bytes, view), own);
  return own;
}

function realmOf(names: LocalNames, host: string): string | undefined {
  const bytes = new TextEncoder().encode(`<sip:a@${host}>`);
  return names.realmAt(bytes, 7, bytes.length - 1);
}

Deno.test("local names: an address is own with its port only; 5060 when none is given", () => {
  const names = new LocalNames([V4, V6], [], ["example.com"]);
  assertEquals(own(names, "sip:192.0.2.1"), true);
  assertEquals(own(names, "sip:anybody@192.0.2.1:5060;lr"), true);
  assertEquals(own(names, "sip:192.0.2.1:5061"), false);
  assertEquals(own(names, "sip:[2001:db8::1]:5070"), true);
  assertEquals(own(names, "sip:[2001:DB8::1]:5070"), true);
  assertEquals(own(names, "sip:[2001:db8::1]"), false);
  assertEquals(own(names, "sip:192.0.2.10"), false);
  assertEquals(own(names, "tel:+123"), false);
});

Deno.test("local names: a served domain is ours but not an address of ours", () => {
  const names = new LocalNames([V4], [], ["Example.com"]);
  const uri = parseUri("sip:bob@EXAMPLE.COM:7000")!;
  assertEquals([names.isOwn(uri), names.isOwnOrServed(uri)], [false, true]);
  assertEquals(names.isOwnOrServed(parseUri("sip:bob@example.com.evil.org")!), false);
});

Deno.test("local names: the realm of a From host, in the spelling of --realm", () => {
  const names = new LocalNames([V4, V6], [{ host: "198.51.100.1", port: 5060 }], [
    "Example.com",
    "other.example",
  ]);
  assertEquals(realmOf(names, "example.com"), "Example.com");
  assertEquals(realmOf(names, "other.example"), "other.example");
  assertEquals(realmOf(names, "sub.example.com"), undefined);
  // A phone that knows the proxy by its address alone.
  assertEquals(realmOf(names, "192.0.2.1"), "Example.com");
  assertEquals(realmOf(names, "198.51.100.1"), "Example.com");
  assertEquals(realmOf(names, "2001:db8::1"), "Example.com");
  assertEquals(realmOf(names, "192.0.2"), undefined);
  assertEquals(realmOf(names, "2001:db8:"), undefined);
  assertEquals(realmOf(names, "2001"), undefined);
  assertEquals(realmOf(names, "192.0.2.10"), undefined);
  assertEquals(realmOf(names, ""), undefined);
});

Deno.test("local names: without realms nothing is authenticated", () => {
  const names = new LocalNames([V4], [], []);
  assertEquals(realmOf(names, "192.0.2.1"), undefined);
  assertEquals(realmOf(names, "example.com"), undefined);
});

Deno.test("local names: Via and Record-Route show the address of the target's family, or the advertised one", () => {
  const names = new LocalNames([V4, V6], [], []);
  assertEquals(names.facing({ host: "203.0.113.1", port: 1 }), "192.0.2.1:5060");
  assertEquals(names.facing({ host: "2001:db8::9", port: 1 }), "[2001:db8::1]:5070");
  const advertised = new LocalNames(
    [{ host: "0.0.0.0", port: 5060 }],
    [{ host: "203.0.113.7", port: 5062 }],
    [],
  );
  assertEquals(advertised.facing({ host: "203.0.113.1", port: 1 }), "203.0.113.7:5062");
  assertEquals(own(advertised, "sip:203.0.113.7:5062"), true);
});

Deno.test("local names: a worker shows its reply port in Via alone, and knows those of all workers as own", () => {
  const at = (host: string, port: number) => ({ host, port });
  const reply = {
    own: [at(V4.host, 7001), at(V6.host, 7002)],
    all: [7001, 7002, 7003, 7004].map((port) => at(port % 2 === 1 ? V4.host : V6.host, port)),
  };
  const names = new LocalNames([V4, V6], [], ["example.com"], reply);
  const [towards4, towards6] = [at("203.0.113.1", 1), at("2001:db8::9", 1)];
  assertEquals([names.facing(towards4), names.viaFacing(towards4)], [
    "192.0.2.1:5060",
    "SIP/2.0/UDP 192.0.2.1:7001",
  ]);
  assertEquals([names.facing(towards6), names.viaFacing(towards6)], [
    "[2001:db8::1]:5070",
    "SIP/2.0/UDP [2001:db8::1]:7002",
  ]);
  assertEquals([own(names, "sip:192.0.2.1:7003;lr"), own(names, "sip:[2001:db8::1]:7004")], [true, true]);
  assertEquals([own(names, "sip:192.0.2.1:7004"), own(names, "sip:192.0.2.1:7005")], [false, false]);

  const hidden = new LocalNames([at("0.0.0.0", 5060)], [at("proxy.example.com", 5062)], [], {
    own: [at("0.0.0.0", 7001)],
    all: [at("0.0.0.0", 7001), at("0.0.0.0", 7002)],
  });
  assertEquals(hidden.facing(towards4), "proxy.example.com:5062");
  assertEquals(hidden.viaFacing(towards4), "SIP/2.0/UDP proxy.example.com:7001");
  assertEquals([own(hidden, "sip:proxy.example.com:7002"), own(hidden, "sip:proxy.example.com:5062")], [
    true,
    true,
  ]);
  const both = new LocalNames([V4, V6], [at("2001:db8::99", 5060)], [], reply);
  assertEquals(both.viaFacing(towards6), "SIP/2.0/UDP [2001:db8::99]:7002");
});

Deno.test("local names: a listener of the target's transport, and that of its flow; none: Via names what it leaves by", () => {
  const listen: Address[] = [
    V4,
    { host: "192.0.2.1", port: 5060, transport: "tcp" },
    { host: "192.0.2.1", port: 5061, transport: "tls" },
    { host: "192.0.2.2", port: 5060 },
  ];
  const names = new LocalNames(listen, [], []);
  const target: Address = { host: "203.0.113.1", port: 1 };
  const towards = (more: Partial<Address>) => {
    const to = { ...target, ...more };
    return `${names.viaFacing(to)} ${names.facing(to)}`;
  };
  assertEquals(towards({}), "SIP/2.0/UDP 192.0.2.1:5060 192.0.2.1:5060");
  assertEquals(towards({ flow: -4 }), "SIP/2.0/UDP 192.0.2.2:5060 192.0.2.2:5060");
  assertEquals(
    towards({ transport: "tcp" }),
    "SIP/2.0/TCP 192.0.2.1:5060 192.0.2.1:5060;transport=tcp",
  );
  assertEquals(
    towards({ transport: "tls", flow: 7 }),
    "SIP/2.0/TLS 192.0.2.1:5061 192.0.2.1:5061;transport=tls",
  );
  assertEquals(own(names, "sip:192.0.2.1;transport=tls"), true);
  const one = new LocalNames([V4], [], []);
  assertEquals(one.viaFacing({ ...target, transport: "tcp" }), "SIP/2.0/TCP 192.0.2.1:5060");
  const hidden = new LocalNames(listen, [{ host: "203.0.113.7", port: 5070 }], []);
  assertEquals(hidden.facing({ ...target, transport: "tls" }), "203.0.113.7:5061;transport=tls");
  assertEquals(hidden.facing({ ...target, transport: "tcp" }), "203.0.113.7:5070;transport=tcp");
});
