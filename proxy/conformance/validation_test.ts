/** RFC 3261 §16.3: which requests a proxy refuses, and how; RFC 5393 §4.2 and §5. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  CALLED,
  firstLine,
  header,
  headers,
  PHONE,
  request,
  response,
  statusOf,
  without,
} from "../testing.ts";
import { branchOf, open, routed } from "./testing.ts";

/** A forwarded request that comes back: what the next hop makes of it. */
function spiralled(forwarded: string, uri?: string): string {
  const back = forwarded.replace(/^Via: /m, "Via: SIP/2.0/UDP 192.0.2.20:5080;branch=z9hG4bKnext\r\nVia: ");
  return uri === undefined ? back : back.replace(/^(\S+) \S+ /, `$1 ${uri} `);
}

Deno.test("RFC 3261 16.3.1: what the proxy needs of a message has to be well-formed, else 400", () => {
  const harness = open();
  const ask = (text: string) => firstLine(harness.ask(text));
  assertMatch(ask(without(request("OPTIONS"), "Call-ID")), /^SIP\/2\.0 400 /);
  assertMatch(ask(request("OPTIONS").replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE")), /^SIP\/2\.0 400 /);
  assertMatch(ask(request("OPTIONS", { uri: "sip:bob@[2001:db8" })), /^SIP\/2\.0 400 .*Request-URI/);
  assertMatch(ask(request("OPTIONS", { uri: "<sip:bob@example.com>" })), /^SIP\/2\.0 400 /);
  assertMatch(ask(request("OPTIONS", { uri: "bob@example.com" })), /^SIP\/2\.0 400 /);
  assertMatch(ask(request("OPTIONS", { uri: "sip:bob@example.com?Route=%3Csip:x%3E" })), /^SIP\/2\.0 400 /);
  assertMatch(ask(request("OPTIONS", { headers: ["Max-Breadth: many"] })), /^SIP\/2\.0 400 .*Max-Breadth/);
});

Deno.test("RFC 3261 16.3.1: header fields and methods that are not known are passed on as they are", () => {
  const harness = open();
  const strange = request("NEWMETHOD", { headers: ["X-Strange: %&/(;;,,", "Foo:", "Date: nonsense"] });
  const forwarded = harness.ask(strange);
  assertEquals(firstLine(forwarded), "NEWMETHOD sip:bob@example.com SIP/2.0");
  assertEquals(header(forwarded, "X-Strange"), "%&/(;;,,");
  assertEquals(header(forwarded, "Date"), "nonsense");
});

Deno.test("RFC 3261 16.3.2: a scheme that is not understood is 416", () => {
  const harness = open();
  for (
    const uri of ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002", "mailto:b@c"]
  ) {
    const answer = harness.ask(request("OPTIONS", { uri }));
    assertEquals(firstLine(answer), "SIP/2.0 416 Unsupported URI Scheme");
  }
  // A next hop may know what to do with a telephone number, or an emergency service.
  assertEquals(
    firstLine(harness.ask(request("INVITE", { uri: "tel:+4930123" }))),
    "INVITE tel:+4930123 SIP/2.0",
  );
  assertMatch(firstLine(harness.ask(request("INVITE", { uri: "urn:service:sos" }))), /^INVITE urn/);
});

Deno.test("RFC 3261 16.3.3: Max-Forwards of 0 is 483", () => {
  const harness = open();
  for (const method of ["INVITE", "BYE", "MESSAGE", "OPTIONS"]) {
    assertEquals(statusOf(harness.ask(request(method, { maxForwards: 0 }))), 483, method);
  }
});

Deno.test("RFC 3261 16.3.3: with Max-Forwards of 0 an OPTIONS to the proxy and a REGISTER here are answered", () => {
  const harness = open();
  assertEquals(statusOf(harness.ask(request("OPTIONS", { uri: "sip:example.com", maxForwards: 0 }))), 200);
  const registrar = routed((_request, proxy) => proxy.reply(200));
  assertEquals(statusOf(registrar.ask(request("REGISTER", { uri: "sip:example.com", maxForwards: 0 }))), 200);
});

Deno.test("RFC 3261 16.3.3: a request without Max-Forwards passes", () => {
  assertEquals(statusOf(open().ask(request("OPTIONS", { maxForwards: "none" }))), 0);
});

Deno.test("RFC 3261 16.3.4: a request that was here before with the same Request-URI is 482", () => {
  const harness = open();
  for (const method of ["INVITE", "MESSAGE", "BYE"]) {
    const forwarded = harness.ask(request(method));
    const back = spiralled(forwarded);
    assertEquals(firstLine(harness.ask(back, CALLED)), "SIP/2.0 482 Loop Detected", method);
  }
});

Deno.test("RFC 3261 16.3.4: an ACK in a loop goes no further", () => {
  const harness = routed((_request, proxy) => proxy.relay("sip:192.0.2.20:5080"));
  harness.receive(request("ACK", { toTag: "b" }));
  harness.receive(spiralled(harness.takeOne()), CALLED);
  assertEquals(harness.take(), []);
});

Deno.test("RFC 5393 4.2.2: a request that comes back with another Request-URI is in a spiral, and passes", () => {
  const harness = open();
  const first = harness.ask(request("INVITE"));
  const second = harness.ask(spiralled(first, "sip:carol@example.com"), CALLED);
  assertEquals(firstLine(second), "INVITE sip:carol@example.com SIP/2.0");
  assertEquals(headers(second, "Via").length, 4);
  // And back to the first: now it is a loop.
  const third = spiralled(second, "sip:bob@example.com").replace("z9hG4bKnext", "z9hG4bKnext2");
  assertEquals(statusOf(harness.ask(third, CALLED)), 482);
});

Deno.test("RFC 5393 4.2.1: other fields do not count: a loop is found although Via, Max-Forwards and bodies change", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE", { headers: ["X-Count: 1"] }));
  const changed = spiralled(forwarded).replace("X-Count: 1", "X-Count: 2").replace(
    "Max-Forwards: 69",
    "Max-Forwards: 30",
  )
    .replace("Contact: <sip:alice@192.0.2.10:5070>", "Contact: <sip:other@192.0.2.99>");
  assertEquals(statusOf(harness.ask(changed, CALLED)), 482);
});

Deno.test("RFC 5393 4.2.1: a Via that somebody else wrote under the proxy's address is no loop", () => {
  const harness = open();
  const via = (branch: string) =>
    request("OPTIONS").replace(
      /^Via: /m,
      `Via: SIP/2.0/UDP 192.0.2.20:5080;branch=z9hG4bKx${branch}\r\nVia: ` +
        `SIP/2.0/UDP 192.0.2.1:5060;branch=${branch}\r\nVia: `,
    );
  for (const branch of ["z9hG4bK1", `z9hG4bK${"0".repeat(36)}`, `z9hG4bK${"f".repeat(36)}`]) {
    assertEquals(statusOf(harness.ask(via(branch), CALLED)), 0, branch);
  }
});

Deno.test("RFC 5393 4.2: a request that the route has rewritten is found by what it was when it came", () => {
  const harness = routed((_request, proxy) => {
    proxy.seturi("sip:carol@192.0.2.20:5080");
    proxy.relay();
  });
  const forwarded = harness.ask(request("INVITE"));
  assertEquals(firstLine(forwarded), "INVITE sip:carol@192.0.2.20:5080 SIP/2.0");
  assertEquals(statusOf(harness.ask(spiralled(forwarded, "sip:bob@example.com"), CALLED)), 482);
});

Deno.test("RFC 5393 4.2.2: two proxies that share a key find loops through each other", () => {
  const harness = open();
  const other = open(["--listen", "udp:192.0.2.1:5060"]);
  // Keys are drawn from the same seed here.
  const forwarded = other.ask(request("INVITE"));
  assertEquals(statusOf(harness.ask(spiralled(forwarded), CALLED)), 482);
});

Deno.test("RFC 3261 16.3.5: Proxy-Require is 420, and Unsupported names what is not known", () => {
  const harness = open();
  const answer = harness.ask(
    request("INVITE", { headers: ["Proxy-Require: sec-agree, foo", "Proxy-Require: bar"] }),
  );
  assertEquals(firstLine(answer), "SIP/2.0 420 Bad Extension");
  assertEquals(header(answer, "Unsupported"), "sec-agree, foo, bar");
  assertEquals(statusOf(harness.ask(request("INVITE", { headers: ["Require: foo"] }))), 0);
});

Deno.test("RFC 3261 16.3.6: ACK and CANCEL are never challenged", () => {
  for (
    const challenge of ["proxy_challenge_pc", "www_challenge_pc", "proxy_challenge", "www_challenge"] as const
  ) {
    const harness = routed((_request, proxy) => proxy[challenge]("example.com"));
    harness.receive(request("ACK", { toTag: "b" }));
    harness.receive(request("CANCEL"));
    const answers = harness.take().map(({ text }) => statusOf(text));
    assertEquals(answers.filter((status) => status === 401 || status === 407), [], challenge);
  }
});

Deno.test("RFC 3261 16.3: the first thing that is wrong is what the answer says", () => {
  const harness = open();
  const bad = { maxForwards: 0, headers: ["Proxy-Require: x"] } as const;
  assertEquals(
    statusOf(harness.ask(request("INVITE", { ...bad, uri: "what:ever", from: "<sip:al ice@x>" }))),
    400,
  );
  assertEquals(statusOf(harness.ask(request("INVITE", { ...bad, uri: "what:ever" }))), 416);
  assertEquals(statusOf(harness.ask(request("INVITE", bad))), 483);
  assertEquals(statusOf(harness.ask(request("INVITE", { headers: ["Proxy-Require: x"] }))), 420);
});

Deno.test("RFC 3261 21.5.7: a message that is too large to be sent on is 513", () => {
  const harness = open();
  const filler = `X-Filler: ${"y".repeat(64_900)}`;
  const big = request("OPTIONS", { headers: [filler, "X-More: " + "z".repeat(65_507 - 65_507)] });
  const spare = 65_507 - big.length - 2;
  const full = request("OPTIONS", { headers: [filler, "X-More: " + "z".repeat(spare - 20)] });
  assertEquals(statusOf(harness.ask(full)), 513);
});

Deno.test("RFC 5393 5.3.3: a request without Max-Breadth gets one of 60; one that has it keeps it", () => {
  const harness = open();
  for (const method of ["INVITE", "OPTIONS", "BYE", "MESSAGE"]) {
    assertEquals(header(harness.ask(request(method)), "Max-Breadth"), "60", method);
    assertEquals(header(harness.ask(request(method, { headers: ["Max-Breadth: 7"] })), "Max-Breadth"), "7");
  }
});

Deno.test("RFC 5393 5.3.3: Max-Breadth of 0 is 440", () => {
  const answer = open().ask(request("INVITE", { headers: ["Max-Breadth: 0"] }));
  assertEquals(firstLine(answer), "SIP/2.0 440 Max-Breadth Exceeded");
});

Deno.test("RFC 3261 16.6.8: branches are unique, and begin with the magic cookie", () => {
  const harness = open();
  const branches = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const branch = branchOf(harness.ask(request("OPTIONS")));
    assert(branch.startsWith("z9hG4bK"), branch);
    branches.add(branch);
  }
  assertEquals(branches.size, 100);
});

Deno.test("RFC 3261 8.2.6.2: what the proxy answers by itself has a To tag, and 100 has none", () => {
  const harness = open();
  assertMatch(header(harness.ask(request("INVITE", { maxForwards: 0 })), "To"), /;tag=/);
  harness.receive(request("INVITE"));
  const trying = harness.take().find(({ to }) => to.port === PHONE.port)!;
  assertEquals(header(trying.text, "To"), "Bob <sip:bob@example.com>");
  harness.receive(response(request("INVITE"), 200), CALLED);
});
