import { assertEquals } from "@std/assert";
import { parseUri, UriView } from "../mod.ts";
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
  const names = new LocalNames([V4, V6], undefined, ["example.com"]);
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
  const names = new LocalNames([V4], undefined, ["Example.com"]);
  const uri = parseUri("sip:bob@EXAMPLE.COM:7000")!;
  assertEquals([names.isOwn(uri), names.isOwnOrServed(uri)], [false, true]);
  assertEquals(names.isOwnOrServed(parseUri("sip:bob@example.com.evil.org")!), false);
});

Deno.test("local names: the realm of a From host, in the spelling of --realm", () => {
  const names = new LocalNames([V4, V6], { host: "198.51.100.1", port: 5060 }, [
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
  const names = new LocalNames([V4], undefined, []);
  assertEquals(realmOf(names, "192.0.2.1"), undefined);
  assertEquals(realmOf(names, "example.com"), undefined);
});

Deno.test("local names: Via and Record-Route show the address of the target's family, or the advertised one", () => {
  const names = new LocalNames([V4, V6], undefined, []);
  assertEquals(names.facing({ host: "203.0.113.1", port: 1 }), "192.0.2.1:5060");
  assertEquals(names.facing({ host: "2001:db8::9", port: 1 }), "[2001:db8::1]:5070");
  const advertised = new LocalNames(
    [{ host: "0.0.0.0", port: 5060 }],
    { host: "203.0.113.7", port: 5062 },
    [],
  );
  assertEquals(advertised.facing({ host: "203.0.113.1", port: 1 }), "203.0.113.7:5062");
  assertEquals(own(advertised, "sip:203.0.113.7:5062"), true);
});
