/** RFC 3261 §16.4, §16.6 on one branch; §16.11; RFC 3581; RFC 5658; requests in and out of dialogs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Address } from "../../mod.ts";
import {
  ackOf,
  CALLED,
  cancelOf,
  firstLine,
  header,
  headers,
  parse,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "../testing.ts";
import { A, assertEmpty, B, branchOf, lines, open, routed, targetAt } from "./testing.ts";

const relaying = () => routed((_request, proxy) => proxy.relay());

/** Nobody reads them here. */
const TLS_FILES = ["--tls_certificate", "chain.pem", "--tls_private_key", "key.pem"];

/** The Record-Route value that the proxy has put into a forwarded request. */
const ownRoute = (text: string) => header(text, "Record-Route");

Deno.test("RFC 3261 16.4: a Request-URI that the proxy put into Record-Route gives way to the last Route value", () => {
  const harness = open();
  const callId = "strict-upstream";
  const invite = harness.ask(request("INVITE", { callId }));
  const own = ownRoute(invite).slice(1, -1);
  // A strict router before us has put our URI into the Request-URI, and the target at the end of Route.
  harness.receive(request("BYE", {
    callId,
    uri: own,
    toTag: "b",
    headers: ["Route: <sip:203.0.113.1:5061;lr>, <sip:bob@203.0.113.2:5062>"],
  }));
  const [{ text, to }] = harness.take().slice(-1);
  assertEquals(firstLine(text), "BYE sip:bob@203.0.113.2:5062 SIP/2.0");
  assertEquals([to, headers(text, "Route")], [A, ["<sip:203.0.113.1:5061;lr>"]]);
});

Deno.test("RFC 3261 16.4: with the target as the only Route value the request goes to it", () => {
  const harness = relaying();
  const callId = "strict-upstream-2";
  const route = `sip:192.0.2.1:5060;lr;did=${harness.proxy.core.dialogTags.tag(callId)}`;
  harness.receive(
    request("BYE", { callId, uri: route, toTag: "b", headers: ["Route: <sip:bob@203.0.113.2:5062>"] }),
  );
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to, headers(text, "Route")], [
    "BYE sip:bob@203.0.113.2:5062 SIP/2.0",
    B,
    [],
  ]);
});

Deno.test("RFC 3261 16.4: a Request-URI with the tag of another dialog is none of ours", () => {
  const harness = relaying();
  const route = `sip:192.0.2.1:5060;lr;did=${harness.proxy.core.dialogTags.tag("another")}`;
  harness.receive(
    request("BYE", {
      callId: "this",
      uri: route,
      toTag: "b",
      headers: ["Route: <sip:bob@203.0.113.2:5062>"],
    }),
  );
  assertEquals(headers(harness.take()[0].text, "Route"), [`<${route}>`]);
});

Deno.test("RFC 3261 16.4: maddr of the proxy goes, with the port and transport that belong to it", () => {
  const seen: boolean[] = [];
  const harness = routed((r, proxy) => {
    seen.push(r.isForUs);
    proxy.relay("sip:203.0.113.1:5061");
  });
  const ask = (uri: string) => firstLine(harness.ask(request("OPTIONS", { uri })));
  assertEquals(
    ask("sip:bob@example.com:5060;maddr=192.0.2.1;transport=udp;user=phone"),
    "OPTIONS sip:bob@example.com;user=phone SIP/2.0",
  );
  assertEquals(seen, [true]);
  assertEquals(
    ask("sip:bob@example.org;maddr=203.0.113.9"),
    "OPTIONS sip:bob@example.org;maddr=203.0.113.9 SIP/2.0",
  );
});

Deno.test("RFC 3261 16.5: a foreign maddr is where the request goes", () => {
  const harness = relaying();
  harness.receive(request("OPTIONS", { uri: "sip:bob@example.org:5099;maddr=203.0.113.9" }));
  assertEquals(harness.take()[0].to, { host: "203.0.113.9", port: 5099 });
});

Deno.test("RFC 3261 16.5: a Request-URI of another domain is the only target", () => {
  const names = { "example.org": ["203.0.113.1"] };
  const found: boolean[] = [];
  const harness = open(["--registrar", "1"], {
    names,
    route: (r, proxy) => {
      if (r.method === "REGISTER") return proxy.save();
      found.push(proxy.lookup());
      proxy.relay();
    },
  });
  harness.receive(request("REGISTER", { uri: "sip:example.com", to: "<sip:bob@example.com>" }));
  harness.take();
  harness.receive(request("OPTIONS", { uri: "sip:bob@example.org:5061" }));
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to, found], ["OPTIONS sip:bob@example.org:5061 SIP/2.0", {
    host: "203.0.113.1",
    port: 5061,
  }, [false]]);
});

Deno.test("RFC 3261 16.4: the proxy's own Route value at the top goes, and the others stay", () => {
  const harness = relaying();
  harness.receive(request("OPTIONS", { headers: ["Route: <sip:192.0.2.1;lr>, <sip:203.0.113.1:5061;lr>"] }));
  const [{ text, to }] = harness.take();
  assertEquals([to, headers(text, "Route")], [A, ["<sip:203.0.113.1:5061;lr>"]]);
});

Deno.test("RFC 3261 16.4: a Route value with a domain that the proxy serves is its own, as a phone's outbound proxy", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE", { headers: ["Route: <sip:example.com;lr>"] }));
  assertEquals([firstLine(forwarded), headers(forwarded, "Route")], [
    "INVITE sip:bob@example.com SIP/2.0",
    [],
  ]);
});

Deno.test("RFC 3261 16.6.1: what is not meant for the proxy stays byte for byte", () => {
  const harness = open();
  const odd = "X-Odd:  \t spaces , and ; marks \t";
  const invite = request("INVITE", {
    headers: [odd, "v:SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKdeep"],
    body: "v=0\r\n",
  });
  const forwarded = harness.ask(invite);
  assertStringIncludes(forwarded, `${odd}\r\n`);
  assertStringIncludes(forwarded, "v:SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKdeep\r\n");
  assert(forwarded.endsWith("\r\n\r\nv=0\r\n"));
  parse(forwarded);
});

Deno.test("RFC 3261 16.6.2: a target takes the place of the Request-URI", () => {
  const harness = routed((_request, proxy) => proxy.relay([targetAt(A)]));
  harness.receive(request("INVITE"));
  const [{ text, to }] = harness.take().slice(-1);
  assertEquals([firstLine(text), to], ["INVITE sip:bob@203.0.113.1:5061 SIP/2.0", A]);
});

Deno.test("RFC 3261 16.6.3: Max-Forwards goes down by one, and is 70 where there was none", () => {
  const harness = open();
  assertEquals(header(harness.ask(request("OPTIONS", { maxForwards: 10 })), "Max-Forwards"), "9");
  assertEquals(header(harness.ask(request("OPTIONS", { maxForwards: "none" })), "Max-Forwards"), "70");
});

Deno.test("RFC 3261 16.6.4: Record-Route goes before those of others, with lr and without anything that the Contact says", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE", { headers: ["Record-Route: <sip:203.0.113.9;lr>"] }));
  const values = headers(forwarded, "Record-Route");
  assertEquals(values.length, 2);
  assertMatch(values[0], /^<sip:192\.0\.2\.1:5060;lr;did=[0-9a-f]{16}>$/);
  assertEquals(values[1], "<sip:203.0.113.9;lr>");
});

Deno.test("RFC 5658 4: Record-Route stands twice where a request leaves by another way than it came", () => {
  const phone: Address = { host: "2001:db8::10", port: 5070 };
  const harness = open(["--listen", "udp:192.0.2.1:5060,udp:[2001:db8::1]:5060"]);
  const callId = "v6-to-v4";
  const via = "SIP/2.0/UDP [2001:db8::10]:5070;branch=z9hG4bKv6";
  harness.receive(request("INVITE", { via, callId }), phone);
  const invite = harness.take().slice(-1)[0].text;
  const values = headers(invite, "Record-Route");
  assertMatch(values[0], /^<sip:192\.0\.2\.1:5060;lr;did=/);
  assertMatch(values[1], /^<sip:\[2001:db8::1\]:5060;lr;did=/);
  assertMatch(headers(invite, "Via")[0], /^SIP\/2\.0\/UDP 192\.0\.2\.1:5060;/);
  // The caller's route set is the other way round; both values go, and the request is of the dialog.
  harness.receive(
    request("BYE", {
      via: via + "2",
      callId,
      toTag: "b",
      uri: "sip:bob@203.0.113.1:5061",
      headers: [`Route: ${values[1]}, ${values[0]}`],
    }),
    phone,
  );
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to, headers(text, "Route")], [
    "BYE sip:bob@203.0.113.1:5061 SIP/2.0",
    A,
    [],
  ]);
  // And that of the called side as the values stand.
  harness.receive(
    request("BYE", {
      callId,
      toTag: "a",
      uri: "sip:alice@[2001:db8::10]:5070",
      headers: [`Route: ${values[0]}`, `Route: ${values[1]}`],
    }),
    CALLED,
  );
  const back = harness.take()[0];
  assertEquals([back.to, headers(back.text, "Route")], [phone, []]);
});

Deno.test("RFC 3261 16.6.6: a strict router gets its URI as the Request-URI, and the target at the end of Route", () => {
  const harness = relaying();
  harness.receive(request("BYE", {
    toTag: "b",
    uri: "sip:bob@203.0.113.2:5062",
    headers: ["Route: <sip:192.0.2.1;lr>, <sip:203.0.113.1:5061>, <sip:203.0.113.9;lr>"],
  }));
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to], ["BYE sip:203.0.113.1:5061 SIP/2.0", A]);
  assertEquals(headers(text, "Route"), ["<sip:203.0.113.9;lr>", "<sip:bob@203.0.113.2:5062>"]);
});

Deno.test("RFC 3261 16.6.7: the next Route value is the next hop, before all that the route chooses", () => {
  const harness = routed((_request, proxy) => proxy.relay("sip:203.0.113.2:5062"));
  harness.receive(request("BYE", { toTag: "b", headers: ["Route: <sip:203.0.113.1:5061;lr>"] }));
  assertEquals(harness.take()[0].to, A);
});

Deno.test("RFC 3261 16.6.8: the Via names the proxy, where responses reach it", () => {
  const harness = open(["--advertise", "198.51.100.1:5080"]);
  assertMatch(
    headers(harness.ask(request("OPTIONS")), "Via")[0],
    /^SIP\/2\.0\/UDP 198\.51\.100\.1:5080;branch=z9hG4bK/,
  );
});

Deno.test("RFC 3261 16.6.9: over a stream a request gets the Content-Length that it lacks", () => {
  const harness = open();
  const target: Address = { host: "203.0.113.1", port: 5061, transport: "tcp" };
  const toStream = routed((_request, proxy) =>
    proxy.relay([{ uri: "sip:bob@example.com", received: target }])
  );
  const bare = request("MESSAGE", { body: "hello" }).replace(/^Content-Length: .*\r\n/m, "");
  toStream.receive(bare);
  const [{ text, to }] = toStream.take().slice(-1);
  assertEquals([to, header(text, "Content-Length")], [target, "5"]);
  assertMatch(headers(text, "Via")[0], /^SIP\/2\.0\/TCP /);
  assertEquals(headers(harness.ask(bare), "Content-Length"), []);
});

Deno.test("RFC 3261 16.6.4: Record-Route towards a stream names its transport, and the way that the request came", () => {
  const target: Address = { host: "203.0.113.1", port: 5061, transport: "tcp" };
  const harness = routed((_request, proxy) => {
    proxy.record_route();
    proxy.relay([{ uri: "sip:bob@example.com", received: target }]);
  }, ["--listen", "udp:192.0.2.1:5060,tcp:192.0.2.1:5060"]);
  harness.receive(request("INVITE"));
  const values = headers(harness.take().slice(-1)[0].text, "Record-Route");
  assertMatch(values[0], /^<sip:192\.0\.2\.1:5060;transport=tcp;lr;did=/);
  assertMatch(values[1], /^<sip:192\.0\.2\.1:5060;lr;did=/);
});

Deno.test("RFC 3261 16.6.4: a request to a sips URI gets a sips Record-Route where TLS leads to the proxy", () => {
  const target: Address = { host: "203.0.113.1", port: 5061, transport: "tls" };
  const listen = ["--listen", "udp:192.0.2.1:5060,tls:192.0.2.1:5061", ...TLS_FILES];
  const ask = (uri: string, headers: string[], from: Address) => {
    const harness = routed((_request, proxy) => {
      proxy.record_route();
      proxy.relay([{ uri, received: target }]);
    }, listen);
    harness.receive(request("INVITE", { uri, headers }), from);
    const { text } = harness.take().slice(-1)[0];
    return [...text.matchAll(/^Record-Route: <(sips?:[^;]*)/gm)].map(([, uri]) => uri);
  };
  const secure: Address = { host: "192.0.2.10", port: 41_000, transport: "tls", flow: 7 };
  assertEquals(ask("sips:bob@example.com", [], secure), ["sips:192.0.2.1:5061"]);
  assertEquals(ask("SIPS:bob@example.com", [], secure), ["sips:192.0.2.1:5061"]);
  assertEquals(ask("sip:bob@example.com", ["Route: <sips:203.0.113.9;lr>"], secure), ["sips:192.0.2.1:5061"]);
  assertEquals(ask("sip:bob@example.com", [], secure), ["sip:192.0.2.1:5061"]);
  // Nobody reaches a UDP listener by TLS.
  assertEquals(ask("sips:bob@example.com", [], PHONE), ["sips:192.0.2.1:5061", "sip:192.0.2.1:5060"]);
});

Deno.test("RFC 3261 18.2.1: received says where a request came from when its Via does not", () => {
  const harness = open();
  const via = "SIP/2.0/UDP 10.1.1.1:5070;branch=z9hG4bKnat";
  harness.receive(request("OPTIONS", { via }));
  assertEquals(headers(harness.takeOne(), "Via")[1], `${via};received=192.0.2.10`);
});

Deno.test("RFC 3581 4: rport gets its value, and the response goes to the port that the request came from", () => {
  const harness = open();
  const from = { host: "192.0.2.10", port: 40_123 };
  harness.receive(request("OPTIONS", { via: "SIP/2.0/UDP 10.1.1.1:5070;rport;branch=z9hG4bKnat2" }), from);
  const forwarded = harness.takeOne();
  assertStringIncludes(headers(forwarded, "Via")[1], "rport=40123");
  assertStringIncludes(headers(forwarded, "Via")[1], "received=192.0.2.10");
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(harness.take()[0].to, from);
});

for (const method of ["PRACK", "UPDATE", "REFER", "NOTIFY", "MESSAGE", "INFO", "SUBSCRIBE", "INVITE"]) {
  Deno.test(`RFC 3261 16: ${method} inside a dialog goes where its Route and Request-URI lead, and its answer back`, () => {
    const harness = open();
    const callId = `dialog-${method}`;
    const forwarded = harness.ask(request("INVITE", { callId }));
    harness.receive(response(forwarded, 200), CALLED);
    harness.take();
    const parts = {
      callId,
      uri: "sip:bob@203.0.113.1:5061",
      toTag: "b1",
      cseq: 2,
      headers: [`Route: ${ownRoute(forwarded)}`, ...(method === "PRACK" ? ["RAck: 1 1 INVITE"] : [])],
    };
    harness.receive(request(method, parts));
    const sent = harness.take().slice(-1)[0];
    assertEquals(sent.to, A);
    assertEquals(firstLine(sent.text), `${method} sip:bob@203.0.113.1:5061 SIP/2.0`);
    assertEquals(headers(sent.text, "Record-Route"), []);
    harness.receive(response(sent.text, 200), A);
    assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
    // The same from the other side.
    harness.receive(request(method, { ...parts, uri: "sip:alice@192.0.2.10:5070", toTag: "a1" }), CALLED);
    assertEquals(harness.take().slice(-1)[0].to, PHONE);
  });
}

for (const method of ["REFER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "NOTIFY"]) {
  Deno.test(`RFC 3261 16: ${method} outside a dialog goes to the next hop, with Record-Route if it begins one`, () => {
    const harness = open();
    const forwarded = harness.ask(request(method));
    assertEquals(firstLine(forwarded), `${method} sip:bob@example.com SIP/2.0`);
    assertEquals(
      headers(forwarded, "Record-Route").length,
      method === "REFER" || method === "SUBSCRIBE" ? 1 : 0,
    );
    harness.receive(response(forwarded, 202), CALLED);
    assertEquals(harness.takeLines(), ["5070 SIP/2.0 202 Reason"]);
  });
}

Deno.test("RFC 3262 3: a reliable provisional response goes back with its RSeq, and so does what answers its PRACK", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE", { callId: "prack" }));
  harness.receive(response(forwarded, 183, ["Require: 100rel", "RSeq: 7"]), CALLED);
  const progress = harness.takeOne();
  assertEquals([statusOf(progress), header(progress, "RSeq")], [183, "7"]);
});

Deno.test("RFC 3261 11.2: OPTIONS to the proxy itself is 200 with Allow, Accept and Supported", () => {
  for (const uri of ["sip:192.0.2.1:5060", "sip:example.com"]) {
    const answer = open().ask(request("OPTIONS", { uri }));
    assertEquals(statusOf(answer), 200);
    for (const name of ["Allow", "Accept", "Accept-Encoding", "Accept-Language", "Supported"]) {
      assertEquals(headers(answer, name).length, 1, name);
    }
    assertStringIncludes(header(answer, "Allow"), "INVITE");
  }
});

// Without a transaction.

const forwarder = () =>
  routed((r, proxy) => {
    if (r.method === "INVITE") proxy.record_route();
    proxy.forward("sip:192.0.2.20:5080");
  });

Deno.test("RFC 3261 16.11: a stateless forward keeps nothing: no 100, no retransmission, no transaction", () => {
  const harness = forwarder();
  harness.receive(request("INVITE"));
  assertEquals(harness.takeLines(), ["5080 INVITE sip:bob@example.com SIP/2.0"]);
  assertEmpty(harness);
  harness.runTo(40_000);
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 16.11: a request that is sent again, its CANCEL and the ACK of its failure get the same branch", () => {
  for (const branch of ["z9hG4bKstateless", "old-style"]) {
    const harness = forwarder();
    const invite = request("INVITE", { branch });
    harness.receive(invite);
    const first = harness.takeOne();
    harness.receive(invite);
    assertEquals(harness.takeOne(), first);
    harness.receive(cancelOf(invite));
    const cancel = harness.takeOne();
    assertEquals([firstLine(cancel), branchOf(cancel)], [
      "CANCEL sip:bob@example.com SIP/2.0",
      branchOf(first),
    ]);
    harness.receive(response(first, 487), CALLED);
    const terminated = harness.takeOne();
    harness.receive(ackOf(invite, terminated));
    const ack = harness.takeOne();
    assertEquals([firstLine(ack), branchOf(ack)], ["ACK sip:bob@example.com SIP/2.0", branchOf(first)]);
    assertEmpty(harness);
  }
});

Deno.test("RFC 3261 16.11: different requests get different branches", () => {
  const harness = forwarder();
  const branches = new Set<string>();
  for (let i = 0; i < 50; i++) {
    harness.receive(request("OPTIONS"));
    branches.add(branchOf(harness.takeOne()));
  }
  assertEquals(branches.size, 50);
});

Deno.test("RFC 3261 16.11: a response goes back by its Vias, with received and rport", () => {
  const harness = forwarder();
  const from = { host: "192.0.2.10", port: 40_123 };
  harness.receive(request("INVITE", { via: "SIP/2.0/UDP 10.1.1.1:5070;rport;branch=z9hG4bKnat3" }), from);
  const forwarded = harness.takeOne();
  for (const status of [100, 180, 200, 404]) {
    harness.receive(response(forwarded, status), CALLED);
    const [{ text, to }] = harness.take();
    assertEquals([statusOf(text), to, headers(text, "Via").length], [status, from, 1]);
  }
});

Deno.test("RFC 3261 16.11: a response that nothing sent by the proxy has brought forth is dropped", () => {
  const harness = forwarder();
  harness.receive(request("INVITE"));
  const forwarded = harness.takeOne();
  const ours = branchOf(forwarded);
  const forged = [
    forwarded.replace(ours, ours.replace(/.$/, "1").replace(/[0-9a-f]{8}/, "00000000")),
    forwarded.replace("branch=z9hG4bK-t", "branch=z9hG4bK-u"),
    forwarded.replace("192.0.2.10:5070;branch", "203.0.113.200:5070;branch"),
  ];
  for (const text of forged) {
    harness.receive(response(text, 200), CALLED);
    assertEquals(harness.take(), [], text);
  }
});

Deno.test("RFC 3261 16.11: what is wrong with a request is answered as with a transaction", () => {
  const harness = forwarder();
  const ask = (method: string, parts: Parameters<typeof request>[1]) =>
    statusOf(harness.ask(request(method, parts)));
  assertEquals(ask("OPTIONS", { maxForwards: 0 }), 483);
  assertEquals(ask("OPTIONS", { headers: ["Proxy-Require: strange"] }), 420);
  assertEquals(ask("OPTIONS", { uri: "mailto:b@c" }), 416);
  assertEquals(ask("OPTIONS", { headers: ["Max-Breadth: 0"] }), 440);
  assertEquals(ask("OPTIONS", { uri: "bob@example.com" }), 400);
});

Deno.test("RFC 3261 16.11: a loop is found without a transaction too", () => {
  const harness = forwarder();
  harness.receive(request("INVITE"));
  const back = harness.takeOne().replace(
    /^Via: /m,
    "Via: SIP/2.0/UDP 192.0.2.20:5080;branch=z9hG4bKn\r\nVia: ",
  );
  assertEquals(statusOf(harness.ask(back, CALLED)), 482);
});

Deno.test("RFC 3261 16.10: a CANCEL is answered here, and goes on for its own INVITE alone", () => {
  const harness = open();
  const one = request("INVITE", { callId: "one" });
  const two = request("INVITE", { callId: "two" });
  const forwarded = harness.ask(one);
  harness.ask(two);
  harness.receive(response(forwarded, 180), CALLED);
  harness.take();
  harness.receive(cancelOf(one));
  const sent = harness.take();
  assertEquals(lines(sent), ["5070 SIP/2.0 200 OK", "5080 CANCEL sip:bob@example.com SIP/2.0"]);
  assertEquals(header(sent[1].text, "Call-ID"), "one");
});

Deno.test("RFC 3261 16.9: a request that cannot be sent is answered as if 503 had come: with 500", () => {
  const harness = new ProxyHarness(["--auth", "none"]);
  harness.transportWorks = false;
  harness.receive(request("INVITE"));
  harness.take();
  harness.transportWorks = true;
  harness.runTo(20);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 500 Server Internal Error"]);
});

Deno.test("RFC 3261 16.7.6: a 503 of the next hop goes back as 500", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  harness.receive(response(forwarded, 503, ["Retry-After: 3600"]), CALLED);
  const answer = harness.take().find(({ to }) => to.port === PHONE.port)!;
  assertEquals([statusOf(answer.text), headers(answer.text, "Retry-After")], [500, []]);
});

Deno.test("RFC 4320 4.1: provisional responses to other requests than INVITE do not go on, nor does a 408", () => {
  const harness = open();
  const forwarded = harness.ask(request("MESSAGE"));
  harness.receive(response(forwarded, 183), CALLED);
  assertEquals(harness.take(), []);
  harness.receive(response(forwarded, 408), CALLED);
  assertEquals(harness.take(), []);
  harness.runTo(40_000);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 4320 4.1: no 100 to another request than INVITE before 3.5 s, and none if it was answered by then", () => {
  const harness = open();
  const forwarded = harness.ask(request("MESSAGE"));
  harness.receive(response(forwarded, 200), CALLED);
  harness.take();
  harness.runTo(10_000);
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 16.7.9: over a stream a response gets the Content-Length that it lacks", () => {
  const harness = open();
  const phone: Address = { host: "192.0.2.10", port: 41_000, transport: "tcp", flow: 7 };
  harness.receive(request("MESSAGE", { via: "SIP/2.0/TCP 192.0.2.10:5070;branch=z9hG4bKtcp" }), phone);
  const forwarded = harness.takeOne();
  harness.receive(response(forwarded, 200).replace("Content-Length: 0\r\n", ""), CALLED);
  const [{ text, to }] = harness.take();
  assertEquals([to, header(text, "Content-Length")], [phone, "0"]);
});

Deno.test("RFC 3261 16.7.3: a response without a Via below the proxy's own is not sent anywhere", () => {
  const harness = open();
  const forwarded = harness.ask(request("MESSAGE"));
  const alone = forwarded.replace(/^Via: SIP\/2\.0\/UDP 192\.0\.2\.10.*\r\n/m, "");
  harness.receive(response(alone, 200), CALLED);
  assertEquals(harness.take(), []);
});

// The examples of §16.12.1, with this proxy in the places that they tell of.

Deno.test("RFC 3261 16.12.1.1: each loose router takes its own Route value, and the Request-URI arrives as it was sent", () => {
  const harness = open();
  const callId = "trapezoid";
  const invite = harness.ask(
    request("INVITE", {
      callId,
      uri: "sip:callee@example.com",
      headers: ["Record-Route: <sip:p1.example.com;lr>"],
    }),
  );
  const routes = headers(invite, "Record-Route");
  assertEquals(routes.slice(1), ["<sip:p1.example.com;lr>"]);
  // The caller's BYE, after p1 has taken its own value.
  harness.receive(
    request("BYE", {
      callId,
      toTag: "b",
      uri: "sip:callee@203.0.113.1:5061",
      headers: [`Route: ${routes[0]}`],
    }),
  );
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to, headers(text, "Route")], [
    "BYE sip:callee@203.0.113.1:5061 SIP/2.0",
    A,
    [],
  ]);
});

Deno.test("RFC 3261 16.12.1.2: a strict router between two loose ones: the Request-URI of the far end survives", () => {
  const harness = relaying();
  const callId = "strict-between";
  const did = harness.proxy.core.dialogTags.tag(callId);
  const own = `sip:192.0.2.1:5060;lr;did=${did}`;
  // As the second of four: the third, B, is strict; the fourth is this proxy once more.
  harness.receive(request("BYE", {
    callId,
    toTag: "b",
    uri: "sip:callee@203.0.113.3:5063",
    headers: [`Route: <${own}>, <sip:203.0.113.2:5062>, <sip:203.0.113.9;lr>`],
  }));
  const toStrict = harness.take()[0];
  assertEquals([firstLine(toStrict.text), toStrict.to], ["BYE sip:203.0.113.2:5062 SIP/2.0", B]);
  assertEquals(headers(toStrict.text, "Route"), ["<sip:203.0.113.9;lr>", "<sip:callee@203.0.113.3:5063>"]);
  // What the strict router makes of such a request: the first Route value becomes the Request-URI. Here that is this proxy.
  harness.receive(
    request("BYE", { callId, toTag: "b", uri: own, headers: ["Route: <sip:callee@203.0.113.3:5063>"] }),
    B,
  );
  const last = harness.take()[0];
  assertEquals(firstLine(last.text), "BYE sip:callee@203.0.113.3:5063 SIP/2.0");
  assertEquals([last.to.host, headers(last.text, "Route")], ["203.0.113.3", []]);
});
