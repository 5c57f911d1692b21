/** RFC 5118: each message gets what the RFC demands of a proxy that listens at an IPv6 address too. */
import { assert, assertEquals } from "@std/assert";
import { header, statusOf } from "../../proxy/testing.ts";
import { RFC_5118 } from "./rfc5118_messages.ts";
import { assertVerdict, tortureHarness, type Verdict } from "./torture.ts";

const BOTH = ["--listen", "udp:192.0.2.1:5060,udp:[2001:db8::10]:5060"];
const SENDER = { host: "2001:db8::9:1", port: 5060 };
const forward = (host?: string, port = 5060): Verdict =>
  host === undefined ? { does: "forward" } : { does: "forward", to: { host, port } };

const VERDICTS: Readonly<Record<string, Verdict>> = {
  "ipv6-good": {
    does: "answer",
    status: [200],
    headers: ["Contact: <sip:caller@[2001:db8::1]>;expires=3600"],
  },
  "ipv6-bad": { does: "answer", status: [400] },
  // All of it is the address: the port is the default one.
  "port-ambiguous": forward("2001:db8::10:5070"),
  "port-unambiguous": forward("2001:db8::10", 5070),
  "via-received-param-with-delim": forward(),
  "via-received-param-no-delim": forward(),
  "ipv6-in-sdp": forward(),
  "mult-ip-in-header": forward(),
  "mult-ip-in-sdp": forward(),
  "ipv4-mapped-ipv6": forward(),
  // The grammar of RFC 3261 has three colons here; whoever writes them means two.
  "ipv6-bug-abnf-3-colons": forward(),
  "ipv6-correct-abnf-2-colons": forward("2001:db8::192.0.2.1"),
};

for (const { section, title, name, bytes } of RFC_5118) {
  Deno.test(`RFC 5118 ${section}: ${title} (${name})`, () => {
    assertVerdict(tortureHarness(BOTH), bytes, VERDICTS[name], SENDER);
  });
}

Deno.test("RFC 5118: each message has a verdict", () => {
  assertEquals(RFC_5118.map(({ name }) => name).toSorted(), Object.keys(VERDICTS).toSorted());
});

Deno.test("RFC 5118 4.5: received that this proxy writes has no brackets, and replaces one that has", () => {
  for (const { name, bytes } of RFC_5118) {
    if (!name.startsWith("via-received")) continue;
    const harness = tortureHarness(BOTH, (_request, proxy) => proxy.reply(200));
    harness.receive(bytes, { host: "2001:db8::9:77", port: 5060 });
    const text = harness.takeOne();
    assertEquals(statusOf(text), 200);
    assert(/;received=2001:db8::9:77(;|$)/.test(header(text, "Via")), header(text, "Via"));
  }
});
