/** Requests on their way through the proxy: RFC 3261 §16.3 … §16.6, §18.2; what is refused, and how. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import {
  ackOf,
  CALLED,
  firstLine,
  forwardedCall,
  header,
  headers,
  parse,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
  STRANGER,
  without,
} from "./testing.ts";
import type { RouteActions, RouteRequest } from "./route.ts";

const open = (flags: readonly string[] = [], options = {}) =>
  new ProxyHarness(["--auth", "none", ...flags], options);

Deno.test("RFC 3261 16.6: forward: 100 to the caller, Via pushed, Max-Forwards less one, Record-Route, the rest as it came", () => {
  const harness = open();
  const invite = request("INVITE", { body: "v=0\r\n", headers: ["X-Own: \t kept  as it is", "s: compact"] });
  harness.receive(invite);
  const [trying, forwarded] = harness.take();
  assertEquals([trying.to, forwarded.to], [PHONE, CALLED]);
  assertEquals(firstLine(trying.text), "SIP/2.0 100 Trying");
  assertEquals(header(trying.text, "To"), "Bob <sip:bob@example.com>"); // No tag in a 100.
  const vias = headers(forwarded.text, "Via");
  assertMatch(vias[0], /^SIP\/2\.0\/UDP 192\.0\.2\.1:5060;branch=z9hG4bK[0-9A-Za-z.]{16,}$/);
  assertEquals(vias[1], header(invite, "Via"));
  assertEquals(header(forwarded.text, "Max-Forwards"), "69");
  assertMatch(header(forwarded.text, "Record-Route"), /^<sip:192\.0\.2\.1:5060;lr;did=[0-9a-f]{16}>$/);
  const rest = (text: string) => ["Via", "Max-Forwards", "Max-Breadth", "Record-Route"].reduce(without, text);
  assertEquals(rest(forwarded.text), rest(invite));
});

Deno.test("forward: branches differ for each request, and for each run's traffic as seen outside", () => {
  const harness = open();
  const branches = new Set<string>();
  for (let i = 0; i < 200; i++) {
    branches.add(/branch=(\S+)/.exec(headers(harness.ask(request("OPTIONS")), "Via")[0])![1]);
  }
  assertEquals(branches.size, 200);
});

Deno.test("RFC 3261 16.7.3: forward: a response goes back by Via, without ours", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  for (const status of [180, 183, 200]) {
    harness.receive(response(forwarded, status, ["Contact: <sip:bob@192.0.2.20:5080>"]), CALLED);
    const [{ text, to }] = harness.take();
    assertEquals(to, PHONE);
    assertEquals(headers(text, "Via"), headers(invite, "Via"));
    assertEquals(header(text, "Record-Route"), header(forwarded, "Record-Route"));
    assertEquals(statusOf(text), status);
  }
});

Deno.test("RFC 3261 16.7.5: forward: a 100 of the called side stays here", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  harness.receive(response(forwarded, 100), CALLED);
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 16.6.3: Max-Forwards: 0 is 483, without it 70 is put in, nonsense is 400", () => {
  const harness = open();
  assertEquals(firstLine(harness.ask(request("INVITE", { maxForwards: 0 }))), "SIP/2.0 483 Too Many Hops");
  assertEquals(statusOf(harness.ask(request("OPTIONS", { maxForwards: 0 }))), 483);
  assertEquals(header(harness.ask(request("INVITE", { maxForwards: "none" })), "Max-Forwards"), "70");
  assertEquals(header(harness.ask(request("BYE", { maxForwards: 1 })), "Max-Forwards"), "0");
  assertEquals(statusOf(harness.ask(request("INVITE", { maxForwards: 256 }))), 400);
});

Deno.test("RFC 3261 16.3.3: Max-Forwards: an ACK with 0 goes no further", () => {
  const harness = open();
  harness.receive(request("ACK", { toTag: "b1", maxForwards: 0, headers: ["Route: <sip:192.0.2.1;lr>"] }));
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 16.4: loose routing: our Route value goes, the next one leads on, the Request-URI stays", () => {
  const harness = open();
  const bye = request("BYE", {
    uri: "sip:bob@203.0.113.5:5099",
    toTag: "b1",
    headers: ["Route: <sip:192.0.2.1:5060;lr>, <sip:203.0.113.7:5070;lr>", "Route: <sip:203.0.113.8;lr>"],
  });
  harness.receive(bye);
  const [{ text, to }] = harness.take();
  assertEquals(to, { host: "203.0.113.7", port: 5070 });
  assertEquals(headers(text, "Route"), ["<sip:203.0.113.7:5070;lr>", "<sip:203.0.113.8;lr>"]);
  assertEquals(firstLine(text), "BYE sip:bob@203.0.113.5:5099 SIP/2.0");
  assertEquals(headers(text, "Record-Route"), []);
});

Deno.test("RFC 3261 16.4: loose routing: with our Route alone the Request-URI leads on", () => {
  const harness = open();
  for (const method of ["BYE", "ACK", "INVITE", "INFO"]) {
    harness.receive(
      request(method, {
        uri: "sip:bob@203.0.113.5:5099",
        toTag: "b1",
        headers: ["Route: <sip:192.0.2.1;lr;ftag=x>"],
      }),
    );
    const sent = harness.take().at(-1)!;
    assertEquals([sent.to, headers(sent.text, "Route")], [{ host: "203.0.113.5", port: 5099 }, []]);
  }
});

Deno.test("RFC 3261 16.6.7: loose routing: a Route value that is not ours stays and leads on, where a route lets it", () => {
  const harness = open([], { route: (_request: RouteRequest, proxy: RouteActions) => proxy.relay() });
  harness.receive(request("OPTIONS", { headers: ["Route: <sip:203.0.113.7;lr>"] }));
  const [{ text, to }] = harness.take();
  assertEquals([to.host, header(text, "Route")], ["203.0.113.7", "<sip:203.0.113.7;lr>"]);
});

Deno.test("RFC 3261 16.6.7: a Route that cannot be followed: 416 for another scheme, 500 for another transport, 400 without a URI", () => {
  const harness = open();
  const ask = (route: string) => {
    const text = harness.ask(
      request("BYE", { toTag: "b", headers: [`Route: <sip:192.0.2.1;lr>, ${route}`] }),
    );
    return statusOf(text);
  };
  assertEquals(ask("<sips:203.0.113.7;lr>"), 416);
  assertEquals(ask("<tel:+4930>"), 416);
  assertEquals(ask("<sip:203.0.113.7;transport=sctp;lr>"), 500);
  assertEquals(ask("not a route"), 400);
});

Deno.test("RFC 3261 16.6.7: Request-URI: sips and tel are 416 where they would have to be followed", () => {
  const harness = open();
  const ask = (uri: string) =>
    statusOf(harness.ask(request("BYE", { uri, toTag: "b", headers: ["Route: <sip:192.0.2.1;lr>"] })));
  assertEquals([ask("sips:bob@203.0.113.5"), ask("tel:+4930123")], [416, 416]);
});

Deno.test("RFC 3261 18.2.1: received and rport: what the sender wrote is not believed", () => {
  const harness = open();
  const via = (text: string) => headers(text, "Via")[1];
  const send = (params: string, sentBy = "192.0.2.10:5070", from = PHONE) => {
    harness.receive(
      request("OPTIONS", {
        via: `SIP/2.0/UDP ${sentBy};branch=z9hG4bK${Math.abs(hash(params + sentBy))}${params}`,
      }),
      from,
    );
    return via(harness.takeOne());
  };
  assert(!send("").includes("received"));
  assertStringIncludes(send("", "10.0.0.1:5070"), ";received=192.0.2.10");
  assertStringIncludes(send("", "phone.example.com"), ";received=192.0.2.10");
  assertStringIncludes(send(";rport"), ";rport=5070;received=192.0.2.10");
  const spoofed = send(";received=203.0.113.9;rport=9");
  assertStringIncludes(spoofed, ";received=192.0.2.10;rport=5070");
});

function hash(text: string): number {
  let value = 7;
  for (const c of text) value = (value * 31 + c.charCodeAt(0)) | 0;
  return value;
}

Deno.test("RFC 3581 4: responses go where the request came from: its port with rport, that of sent-by without", () => {
  const harness = open();
  const from = { host: "198.51.100.66", port: 40001 };
  const ask = (via: string) => {
    harness.receive(request("OPTIONS", { via, uri: "sip:example.com" }), from);
    return harness.take()[0].to;
  };
  assertEquals(ask("SIP/2.0/UDP 10.0.0.1:5090;branch=z9hG4bK1;rport"), from);
  assertEquals(ask("SIP/2.0/UDP 10.0.0.1:5090;branch=z9hG4bK2"), { host: from.host, port: 5090 });
  assertEquals(ask("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK3;maddr=203.0.113.200;received=203.0.113.9"), {
    host: from.host,
    port: 5060,
  });
});

Deno.test("RFC 3261 16.3.5: 420 names every extension that Proxy-Require asks for; ACK and CANCEL are not asked", () => {
  const harness = open();
  const answer = harness.ask(
    request("INVITE", { headers: ["Proxy-Require: foo, bar", "Proxy-Require: baz"] }),
  );
  assertEquals([firstLine(answer), header(answer, "Unsupported")], [
    "SIP/2.0 420 Bad Extension",
    "foo, bar, baz",
  ]);
  harness.receive(
    request("ACK", {
      toTag: "b",
      headers: ["Proxy-Require: foo", "Route: <sip:192.0.2.1;lr>"],
      uri: "sip:b@203.0.113.5",
    }),
  );
  assertEquals(firstLine(harness.takeOne()), "ACK sip:b@203.0.113.5 SIP/2.0");
});

Deno.test("420: control characters in Proxy-Require do not come back, and do no harm", () => {
  const harness = open();
  for (const value of ["foo\rInjected: yes", "a\0b", "\x7f", "x\r\r"]) {
    const answer = harness.ask(request("OPTIONS", { headers: [`Proxy-Require: ${value}`] }));
    assertEquals(statusOf(answer), 420);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00\x7f]|\r(?!\n)/.test(answer), JSON.stringify(answer));
  }
});

Deno.test("RFC 3261 16.3.1: a message that cannot be used is 400 with the field, 505 or 513; without an answer where there can be none", () => {
  const harness = open();
  const ask = (text: string) => firstLine(harness.ask(text));
  assertMatch(ask(without(request("INVITE"), "Call-ID")), /^SIP\/2\.0 400 Bad Request \(Call-ID/);
  assertMatch(ask(without(request("INVITE"), "From")), /^SIP\/2\.0 400 Bad Request \(From/);
  assertMatch(ask(without(request("INVITE"), "CSeq")), /^SIP\/2\.0 400 Bad Request \(CSeq/);
  assertMatch(ask(request("INVITE").replace("CSeq: 1 INVITE", "CSeq: 1 BYE")), /^SIP\/2\.0 400 .*CSeq/);
  assertMatch(
    ask(request("INVITE").replace("Content-Length: 0", "Content-Length: 99")),
    /400 .*Content-Length/,
  );
  assertMatch(ask(request("INVITE", { from: "<sip:al ice@example.com>" })), /^SIP\/2\.0 400 .*From/);
  assertMatch(ask(request("INVITE").replace(" SIP/2.0", " SIP/3.0")), /^SIP\/2\.0 505 /);
  assertMatch(ask(request("INVITE", { headers: new Array(400).fill("X: y") })), /^SIP\/2\.0 513 /);
  for (
    const silent of [
      without(request("INVITE"), "Via"),
      without(request("ACK"), "Call-ID"),
      without(response(request("INVITE"), 200), "CSeq"),
      "\r\n\r\n\r\n\r\n",
      "x",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\0".repeat(1000),
      "INVITE sip:bob@example.com SIP/2.0\r\n",
      "",
    ]
  ) {
    harness.receive(silent);
    assertEquals(harness.takeLines(), [], silent);
  }
  assertEquals(harness.proxy.core.layer.size, 0);
});

Deno.test("hostile text does not get into reason phrases or headers of answers", () => {
  const harness = new ProxyHarness();
  for (
    const line of [
      'Proxy-Authorization: PC realm="example.com", username="alice", sEq\u0000=1',
      'Proxy-Authorization: PC realm="example.com", username="alice",\r\n X: y',
      'Proxy-Authorization: PC realm="example.com", username="alice", a%0d%0aX=1',
      "Proxy-Require: foo\r\n Injected: yes",
      'Proxy-Authorization: PC realm="example.com", \u00e9=1',
    ]
  ) {
    const answer = harness.ask(request("INVITE", { headers: [line] }));
    parse(answer);
    assert(statusOf(answer) >= 400 && statusOf(answer) < 500, firstLine(answer));
    assertEquals(headers(answer, "Injected"), []);
  }
  assertEquals(harness.logs, []);
});

Deno.test("From without a user part is nobody's", () => {
  const harness = new ProxyHarness();
  const answer = harness.ask(request("INVITE", { from: "<sip:example.com>" }));
  assert([400, 403, 407].includes(statusOf(answer)), firstLine(answer));
});

Deno.test("RFC 3261 18.1.1: a request that grows beyond a datagram is 513; a response that does is turned into a failure", () => {
  const harness = open();
  const filler = (size: number) => `X-Filler: ${"y".repeat(size)}`;
  const spare = 65_507 - request("INVITE", { headers: [filler(0)], branch: "z9hG4bKbig1" }).length;
  assertEquals(
    statusOf(harness.ask(request("INVITE", { headers: [filler(spare)], branch: "z9hG4bKbig1" }))),
    513,
  );
  assertEquals(harness.take(), []);

  const secure = new ProxyHarness();
  const { forwarded } = forwardedCall(secure, new PcCaller());
  secure.take();
  const room = 65_507 - response(forwarded, 200, [filler(0)]).length;
  secure.receive(response(forwarded, 200, [filler(room)]), CALLED); // With the confirmation it is too long.
  const sent = secure.take().filter(({ to }) => to.port === PHONE.port);
  assertEquals(sent.map(({ text }) => statusOf(text)), [500]);
  secure.runTo(100_000);
  assertEquals(secure.proxy.core.layer.size, 0);
});

Deno.test("overload: a new request beyond max_transactions is 503 with Retry-After, ACK is not answered", () => {
  const harness = open(["--max_transactions", "16"]);
  for (let i = 0; i < 8; i++) harness.receive(request("INVITE"));
  harness.take();
  const answer = harness.ask(request("INVITE"));
  assertEquals([firstLine(answer), headers(answer, "Retry-After").length], [
    "SIP/2.0 503 Service Unavailable",
    1,
  ]);
  harness.receive(ackOf(request("INVITE"), answer));
  assertEquals(harness.takeLines().filter((line) => line.includes("SIP/2.0 ") && line.includes("503")), []);
});

Deno.test("overload: room for the request but not for its forwarding is 503 too, and nothing is left", () => {
  const harness = open(["--max_transactions", "17"]);
  for (let i = 0; i < 8; i++) harness.receive(request("OPTIONS"));
  harness.take();
  assertEquals(statusOf(harness.ask(request("OPTIONS"))), 503);
  harness.runTo(80_000);
  assertEquals(harness.proxy.core.layer.size, 0);
});

Deno.test("host names of next hops are resolved; the caller hears 100 meanwhile; none is 500", () => {
  const names = { "sbc.example.net": "203.0.113.20" };
  const harness = open(["--next_hop", "sip:sbc.example.net:5082"], { names });
  harness.holdLookUps = true;
  harness.receive(request("INVITE"));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 100 Trying"]);
  harness.lookUps.shift()!.done("203.0.113.20");
  const [{ to, text }] = harness.take();
  assertEquals([to, firstLine(text)], [
    { host: "203.0.113.20", port: 5082 },
    "INVITE sip:bob@example.com SIP/2.0",
  ]);
  harness.holdLookUps = false;
  assertEquals(firstLine(harness.ask(request("OPTIONS"))), "OPTIONS sip:bob@example.com SIP/2.0");
  const unknown = open(["--next_hop", "sip:nowhere.example.net"], { names });
  assertEquals(statusOf(unknown.ask(request("INVITE"))), 500);
});

Deno.test("RFC 3261 16.10: a CANCEL while the name is looked up ends the INVITE; a late address sends nothing", () => {
  const harness = open(["--next_hop", "sip:sbc.example.net"]);
  harness.holdLookUps = true;
  const invite = request("INVITE");
  harness.receive(invite);
  harness.take();
  harness.receive(invite.replaceAll("INVITE", "CANCEL"));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK", "5070 SIP/2.0 487 Request Terminated"]);
  harness.lookUps.shift()!.done("203.0.113.20");
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 16.10: an ACK for a 2xx is forwarded without a transaction, once for each that comes", () => {
  const harness = open();
  const ack = request("ACK", {
    uri: "sip:bob@203.0.113.5",
    toTag: "b1",
    headers: ["Route: <sip:192.0.2.1;lr>"],
  });
  harness.receive(ack);
  harness.receive(ack);
  const [first, second] = harness.take();
  assertEquals([firstLine(first.text), first.to.host], ["ACK sip:bob@203.0.113.5 SIP/2.0", "203.0.113.5"]);
  assertEquals(headers(first.text, "Via").length, 2);
  assertNotEquals(second, undefined);
  assertEquals(harness.proxy.core.layer.size, 0);
});

Deno.test("RFC 3261 16.9: a request that cannot be sent is 500, not silence", () => {
  for (const method of ["INVITE", "OPTIONS"]) {
    const harness = open();
    harness.transportWorks = false;
    harness.receive(request(method));
    harness.take();
    harness.transportWorks = true;
    harness.runTo(20);
    assertEquals(harness.takeLines(), ["5070 SIP/2.0 500 Server Internal Error"]);
  }
});

Deno.test("RFC 6026 7.3: a stranger's response, and one to nothing, is dropped", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  harness.receive(response(forwarded.replace(/branch=z9hG4bK\S+/, "branch=z9hG4bKnone"), 200), STRANGER);
  harness.receive(response(request("INVITE"), 200), CALLED);
  harness.receive(response(forwarded.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 200), CALLED);
  assertEquals(harness.take(), []);
  const alone = forwarded.replace(/Via: SIP\/2\.0\/UDP 192\.0\.2\.10\S*\r\n/, "");
  harness.receive(response(alone, 200), CALLED); // Nothing left to send it to.
  assertEquals(harness.take(), []);
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
});
