import { assert, assertEquals } from "@std/assert";
import { formatAddress, parseHostPort, sameAddress } from "./address.ts";
import { parseNameAddr } from "./name_addr.ts";
import { escapeUser, formatUri, parseUri, unescapeUser, uriParam } from "./uri.ts";
import { sameUri } from "./uri_compare.ts";

const GOOD = [
  "sip:alice@atlanta.com",
  "sip:alice:secretword@atlanta.com;transport=tcp",
  "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
  "sip:+1-212-555-1212:1234@gateway.com;user=phone",
  "sips:1212@gateway.com",
  "sip:alice@192.0.2.4",
  "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
  "sip:alice;day=tuesday@atlanta.com",
  "sip:[2001:db8::10]",
  "sip:[2001:db8::10]:5070;lr",
  "sip:user;par=u%40example.net@example.com",
  "sip:null-%00-null@example.com",
  "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
];

Deno.test("uri: the examples of RFC 3261 §19.1.3 and RFC 4475 come back as they were", () => {
  for (const text of GOOD) {
    const uri = parseUri(text);
    assert(uri !== undefined, text);
    assertEquals(formatUri(uri), text);
  }
  assertEquals(parseUri("tel:+1-201-555-0123;x=y")?.opaque, "+1-201-555-0123;x=y");
  assertEquals(formatUri(parseUri("TEL:+1")!), "tel:+1");
});

Deno.test("uri: cut at every byte or with trailing data it is another URI or none, never an exception", () => {
  for (const text of GOOD) {
    for (let end = 0; end <= text.length; end++) {
      const uri = parseUri(text.slice(0, end));
      if (uri !== undefined) assertEquals(formatUri(uri), text.slice(0, end));
    }
    for (const trail of [" ", "\r\n", ">", "\0"]) assertEquals(parseUri(text + trail), undefined);
  }
});

Deno.test("uri: malformed", () => {
  for (
    const text of [
      "",
      "sip",
      "sip:",
      ":a",
      "sip:@b",
      "sip:a@",
      "sip:a@b:",
      "sip:a@b:99999",
      "sip:a@b:x",
      "sip:a@b;",
      "sip:a@b;=x",
      "sip:a@b?x",
      "sip:a%4@b",
      "sip:a@[::1",
      "sip:a@::1",
      "sip:a b@c",
      "sip:a@b@c",
      "1sip:x",
      "tel:",
      "tel:1 2",
    ]
  ) assertEquals(parseUri(text), undefined, text);
});

Deno.test("uri: parts", () => {
  const uri = parseUri("SIPS:%61li%63e:p@[::1]:7;LR;Transport=TCP?a=b&c=")!;
  assertEquals([uri.scheme, uri.user, uri.password, uri.host, uri.port], [
    "sips",
    "%61li%63e",
    "p",
    "::1",
    7,
  ]);
  assertEquals([uriParam(uri, "lr"), uriParam(uri, "transport"), uriParam(uri, "x")], ["", "TCP", undefined]);
  assertEquals(uri.headers, [["a", "b"], ["c", ""]]);
  assertEquals(unescapeUser("%61li%63e"), "alice");
  assertEquals(unescapeUser("%ff"), undefined);
  assertEquals(unescapeUser(escapeUser("j\u00fcrgen@x y;a=b")), "j\u00fcrgen@x y;a=b");
  assertEquals(escapeUser("a;b=c&d+e$f,g?h/i@j"), "a;b=c&d+e$f,g?h/i%40j");
});

Deno.test("uri: comparison with the examples of RFC 3261 §19.1.4", () => {
  const same: [string, string][] = [
    ["sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com;security=on"],
    ["sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"],
    [
      "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
      "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ],
    [
      "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
      "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ],
    ["tel:+1", "tel:+1"],
  ];
  const different: [string, string][] = [
    ["SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"],
    ["sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"],
    ["sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"],
    ["sip:a@b", "sips:a@b"],
    ["sip:a@b", "sip:b"],
    ["tel:+1", "tel:+2"],
  ];
  for (const [a, b] of same) {
    assert(sameUri(parseUri(a)!, parseUri(b)!) && sameUri(parseUri(b)!, parseUri(a)!), `${a} = ${b}`);
  }
  for (const [a, b] of different) {
    assert(!sameUri(parseUri(a)!, parseUri(b)!) && !sameUri(parseUri(b)!, parseUri(a)!), `${a} <> ${b}`);
  }
});

Deno.test("name-addr: forms", () => {
  const read = (text: string) => {
    const found = parseNameAddr(text);
    return found && [found.displayName, formatUri(found.uri), found.tag];
  };
  assertEquals(read('"A \\"b\\", <c>" <sip:x@y;p=1>;q=0.7;TAG=t'), ['A "b", <c>', "sip:x@y;p=1", "t"]);
  assertEquals(read("Mr. Watson <sip:x@y>"), ["Mr. Watson", "sip:x@y", ""]);
  // Without <> the parameters are the header's (RFC 3261 §20).
  assertEquals(read("sip:x@y;tag=1"), ["", "sip:x@y", "1"]);
  for (
    const text of [
      "",
      "<>",
      "<sip:x@y",
      '"a <sip:x@y>',
      '"a" sip:x@y',
      "<sip:x@y>;",
      "<sip:x@y> z",
      "<sip:a>, <sip:b>",
    ]
  ) {
    assertEquals(read(text), undefined, text);
  }
});

Deno.test("address: host and port", () => {
  assertEquals(formatAddress({ host: "::1", port: 5 }), "[::1]:5");
  assertEquals(parseHostPort("a.b:0"), { host: "a.b", port: 0 });
  for (const text of ["", ":5", "a:", "a:65536", "::1", "[::1", "[x]", "a b"]) {
    assertEquals(parseHostPort(text), undefined);
  }
  assert(sameAddress({ host: "A", port: 1 }, { host: "a", port: 1 }));
});
