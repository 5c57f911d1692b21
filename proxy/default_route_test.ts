/** What the default route does with whom: docs/PROTOCOL.md §4, §6, §7 and RFC 3261 §16, §22. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  CALLED,
  challengesOf,
  firstLine,
  forwardedCall,
  headers,
  infosOf,
  PcCaller,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "./testing.ts";

Deno.test("default route: INVITE that begins a dialog is authenticated, all else goes on", () => {
  const harness = new ProxyHarness();
  assertEquals(statusOf(harness.ask(request("INVITE"))), 407);
  for (const method of ["OPTIONS", "MESSAGE", "SUBSCRIBE", "REGISTER", "BYE", "PUBLISH"]) {
    assertEquals(statusOf(harness.ask(request(method))), 0, method);
  }
  const inside = { toTag: "b1", headers: ["Route: <sip:192.0.2.1;lr>"], uri: "sip:bob@192.0.2.20:5080" };
  assertEquals(statusOf(harness.ask(request("INVITE", inside))), 0);
});

Deno.test("default route: a made-up To tag and Route lead nobody past authentication, nor anywhere", () => {
  const harness = new ProxyHarness();
  const stranger = "sip:victim@203.0.113.9";
  const cases: [string, Record<string, unknown>, number][] = [
    // Without the tag of a dialog, a Route with our address is as good as none.
    ["INVITE", { toTag: "x", headers: ["route: <sip:192.0.2.1;lr>"], uri: stranger }, 407],
    [
      "INVITE",
      { toTag: "x", headers: ["route: <sip:192.0.2.1;lr;did=0123456789abcdef>"], uri: stranger },
      407,
    ],
    ["BYE", { toTag: "x", headers: ["route: <sip:192.0.2.1;lr>"], uri: stranger }, 404],
    // A preloaded Route chooses no target.
    ["MESSAGE", { headers: ["Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>"] }, 403],
    ["MESSAGE", { headers: ["Route: <sip:203.0.113.9;lr>"] }, 403],
    ["INVITE", { headers: ["Route: <sip:203.0.113.9;lr>"] }, 403],
    ["invite", {}, 407],
  ];
  for (const [method, parts, status] of cases) {
    assertEquals(statusOf(harness.ask(request(method, parts))), status, `${method} ${JSON.stringify(parts)}`);
  }
  // What begins a dialog goes to the next hop, whatever its Request-URI and Route say.
  harness.receive(request("MESSAGE", { headers: ["Route: <sip:192.0.2.1;lr>"], uri: stranger }));
  assertEquals(harness.take()[0].to, CALLED);
  harness.receive(request("ACK", { toTag: "x", headers: ["route: <sip:192.0.2.1;lr>"], uri: stranger }));
  assertEquals(harness.take(), []);
});

Deno.test("default route: without a next hop, strangers send nothing to where they like", () => {
  for (const foreignFrom of ["reject", "relay"]) {
    const harness = new ProxyHarness(["--foreign_from", foreignFrom], { without: ["--next_hop"] });
    const uri = "sip:victim@203.0.113.9";
    for (const method of ["MESSAGE", "OPTIONS", "INVITE", "SUBSCRIBE"]) {
      assertEquals(statusOf(harness.ask(request(method, { uri }))), 407, method);
      const stranger = request(method, { uri }).replace(
        "From: Alice <sip:alice@example.com>",
        "From: <sip:a@b.org>",
      );
      assertEquals(statusOf(harness.ask(stranger)), 403, method);
    }
    harness.receive(request("ACK", { uri }));
    assertEquals(harness.take(), []);
    // A CANCEL that belongs to nothing proves nothing either.
    assertEquals(statusOf(harness.ask(request("CANCEL", { uri }))), 481);
  }
  // Who is known may.
  const harness = new ProxyHarness([], { without: ["--next_hop"] });
  const caller = new PcCaller("alice", "secret");
  const parts = { uri: "sip:bob@203.0.113.9" };
  const challenge = harness.ask(caller.request("MESSAGE", parts));
  harness.receive(caller.again(challenge, "MESSAGE", parts));
  assertEquals(harness.take()[0].to.host, "203.0.113.9");
});

Deno.test("default route: nobody registers without authentication, wherever From is of", () => {
  const harness = new ProxyHarness(["--foreign_from", "relay", "--registrar"]);
  const parts = { uri: "sip:example.com", from: "<sip:m@evil.net>", to: "<sip:alice@example.com>" };
  const stranger = request("REGISTER", { ...parts, headers: ["Contact: <sip:m@203.0.113.9>"] });
  assertEquals(statusOf(harness.ask(stranger)), 403);
});

Deno.test("default route: what is not authenticated gets no Route that leads past authentication", () => {
  const harness = new ProxyHarness();
  for (const method of ["SUBSCRIBE", "REFER"]) {
    assertEquals(headers(harness.ask(request(method)), "Record-Route"), [], method);
  }
  const open = new ProxyHarness(["--auth", "none"]);
  assertEquals(headers(open.ask(request("SUBSCRIBE")), "Record-Route").length, 1);
});

Deno.test("default route: an INVITE with a To tag but without our Route is authenticated", () => {
  const harness = new ProxyHarness();
  assertEquals(statusOf(harness.ask(request("INVITE", { toTag: "made-up" }))), 407);
});

Deno.test("default route: other methods of --auth_methods are authenticated in dialogs too", () => {
  const harness = new ProxyHarness(["--auth_methods", "INVITE,BYE"]);
  const caller = new PcCaller();
  const { forwarded } = forwardedCall(harness, caller);
  harness.take();
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(caller.confirm(harness.takeOne()), "confirmed");
  const parts = { uri: "sip:bob@192.0.2.20:5080", toTag: "b1", headers: ["Route: <sip:192.0.2.1:5060;lr>"] };
  const bye = harness.ask(caller.request("BYE", parts)); // Pre-emptive: no 407.
  assertEquals([firstLine(bye), headers(bye, "Proxy-Authorization")], [
    "BYE sip:bob@192.0.2.20:5080 SIP/2.0",
    [],
  ]);
  harness.receive(response(bye, 200), CALLED);
  assertEquals(caller.confirm(harness.takeOne()), "confirmed");
  assertEquals(statusOf(harness.ask(request("BYE", parts))), 407);
});

Deno.test("default route: a BYE of the called side is authenticated under its own From", () => {
  const harness = new ProxyHarness(["--auth_methods", "INVITE,BYE"]);
  const bob = new PcCaller("bob", "geheim");
  const parts = { uri: "sip:alice@192.0.2.10:5070", toTag: "a1", headers: ["Route: <sip:192.0.2.1;lr>"] };
  const challenged = harness.ask(bob.request("BYE", parts), CALLED);
  assertEquals(statusOf(challenged), 407);
  assertEquals(harness.dbclient.asked.flat(), ["bob@example.com"]);
  const forwarded = harness.ask(bob.again(challenged, "BYE", parts), CALLED);
  assertEquals(firstLine(forwarded), "BYE sip:alice@192.0.2.10:5070 SIP/2.0");
});

Deno.test("default route: OPTIONS to the proxy itself is answered, OPTIONS to somebody is relayed", () => {
  const harness = new ProxyHarness();
  for (
    const uri of ["sip:192.0.2.1", "sip:192.0.2.1:5060", "sip:example.com", "sip:192.0.2.1;transport=udp"]
  ) {
    assertEquals(firstLine(harness.ask(request("OPTIONS", { uri }))), "SIP/2.0 200 OK", uri);
  }
  assertEquals(firstLine(harness.ask(request("OPTIONS"))), "OPTIONS sip:bob@example.com SIP/2.0");
});

Deno.test("default route: in dialog without our Route, and not for us, is 404; its ACK is dropped", () => {
  const harness = new ProxyHarness();
  const parts = { uri: "sip:bob@203.0.113.5", toTag: "b1" };
  assertEquals(statusOf(harness.ask(request("BYE", parts))), 404);
  assertEquals(statusOf(harness.ask(request("INFO", parts))), 404);
  harness.receive(request("ACK", parts));
  assertEquals(harness.take(), []);
});

Deno.test("default route: in dialog without our Route, but for the next hop itself, is relayed there", () => {
  // A called side such as `sipp -sn uas` gives no Record-Route back, and its callers know the proxy as outbound proxy.
  const harness = new ProxyHarness();
  for (const method of ["ACK", "BYE"]) {
    harness.receive(request(method, { uri: "sip:192.0.2.20:5080;transport=UDP", toTag: "b1" }));
    assertEquals(harness.takeLines(), [`5080 ${method} sip:192.0.2.20:5080;transport=UDP SIP/2.0`]);
  }
  for (
    const uri of [
      "sip:192.0.2.20",
      "sip:192.0.2.20:5080;maddr=203.0.113.5",
      "sip:192.0.2.20:5080;transport=tcp",
    ]
  ) {
    assertEquals(statusOf(harness.ask(request("BYE", { uri, toTag: "b1" }))), 404, uri);
  }
  const again = request("INVITE", { uri: "sip:192.0.2.20:5080", toTag: "made-up" });
  assertEquals(statusOf(harness.ask(again)), 407);
});

Deno.test("default route: a From that is not served is refused, or relayed where the operator wants it", () => {
  const from = "<sip:alice@elsewhere.org>";
  const harness = new ProxyHarness();
  assertMatch(firstLine(harness.ask(request("INVITE", { from }))), /^SIP\/2\.0 403 Forbidden/);
  assertEquals(statusOf(harness.ask(request("INVITE", { from: "<tel:+4930123>" }))), 403);
  assertEquals(statusOf(harness.ask(request("OPTIONS", { from }))), 0);
  assertEquals(harness.dbclient.asked, []);
  const relay = new ProxyHarness(["--foreign_from", "relay"]);
  assertEquals(statusOf(relay.ask(request("INVITE", { from }))), 0);
  assertEquals(statusOf(relay.ask(request("INVITE"))), 407); // Ours are asked still.
  assertEquals(statusOf(relay.ask(request("INVITE", { from: "<sip:alice@192.0.2.1>" }))), 407);
});

Deno.test("default route: Record-Route for what begins a dialog, unless switched off", () => {
  const harness = new ProxyHarness(["--auth", "none"]);
  const recorded = (method: string, parts = {}) =>
    headers(harness.ask(request(method, parts)), "Record-Route").length;
  assertEquals(
    ["INVITE", "SUBSCRIBE", "REFER", "MESSAGE", "REGISTER", "OPTIONS"].map((method) => recorded(method)),
    [
      1,
      1,
      1,
      0,
      0,
      0,
    ],
  );
  const off = new ProxyHarness(["--auth", "none", "--record_route", "0"]);
  assertEquals(headers(off.ask(request("INVITE")), "Record-Route"), []);
});

Deno.test("default route: several realms, each with its own users", () => {
  const harness = new ProxyHarness(["--realm", "example.com,second.example"]);
  const ask = (from: string) => challengesOf(harness.ask(request("INVITE", { from })))[0].realm;
  assertEquals(ask("<sip:alice@second.example>"), "second.example");
  assertEquals(ask("<sip:alice@example.com>"), "example.com");
  assertEquals(harness.dbclient.asked.flat(), ["alice@second.example", "alice@example.com"]);
  // An answer for the one realm is nothing in the other.
  const answer = 'Proxy-Authorization: PC realm="second.example", username="alice", seq=x';
  assertEquals(statusOf(harness.ask(request("INVITE", { headers: [answer] }))), 407);
});

Deno.test("--auth none asks nobody and lets everything through, our own answers excepted", () => {
  const harness = new ProxyHarness(["--auth", "none"]);
  const line = 'Proxy-Authorization: PC realm="example.com", username="alice", token="00"';
  const forwarded = harness.ask(request("INVITE", { headers: [line], from: "<sip:x@elsewhere.org>" }));
  assertEquals(headers(forwarded, "Proxy-Authorization"), []);
  assertEquals(harness.dbclient.asked, []);
});

Deno.test("credentials: those for served realms go from every request, ACK too; other realms' stay", () => {
  const harness = new ProxyHarness(["--auth", "none", "--realm", "example.com,second.example"]);
  const other = 'PC realm="elsewhere.org", username="alice", token="00"';
  const lines = [
    'Proxy-Authorization: PC realm="example.com", username="alice", token="00"',
    `Proxy-Authorization: ${other}`,
    'Authorization: PC realm="second.example", username="alice", token="00"',
  ];
  for (const method of ["INVITE", "ACK", "BYE", "REGISTER", "OPTIONS"]) {
    harness.receive(request(method, { headers: lines }));
    const { text } = harness.take().find(({ to }) => to.port === CALLED.port)!;
    assertEquals(
      [...headers(text, "Proxy-Authorization"), ...headers(text, "Authorization")],
      [other],
      method,
    );
  }
});

Deno.test("assertions: PC challenges and confirmations of strangers for served realms go, a peer's stay", () => {
  const mine = 'PC realm="example.com", nonce="00", seq=1';
  const other = 'PC realm="elsewhere.org", nonce="00", seq=1';
  const lines = ["Proxy-Authenticate", "WWW-Authenticate", "Proxy-Authentication-Info", "Authentication-Info"]
    .flatMap((
      name,
    ) => [`${name}: ${mine}`, `${name}: ${other}`]);
  const all = (text: string) =>
    ["Proxy-Authenticate", "WWW-Authenticate", "Proxy-Authentication-Info", "Authentication-Info"].flatMap((
      name,
    ) => headers(text, name));
  for (const [flags, expected] of [[[], [other]], [["--peers", "192.0.2.20"], [mine, other]]] as const) {
    for (const status of [180, 200, 407, 401]) {
      const harness = new ProxyHarness(["--auth", "none", ...flags]);
      const forwarded = harness.ask(request("INVITE"));
      harness.receive(response(forwarded, status, lines), CALLED);
      const { text } = harness.take().find(({ to }) => to.port === 5070)!;
      assertEquals(all(text), [...expected, ...expected, ...expected, ...expected]);
    }
  }
});

Deno.test("--auth both: Digest first, then PC, in one 407; either answer will do", async () => {
  const harness = new ProxyHarness(["--auth", "both"]);
  const caller = new PcCaller();
  const challenged = harness.ask(caller.request("INVITE"));
  assertEquals(headers(challenged, "Proxy-Authenticate").map((value) => value.split(" ")[0]), [
    "Digest",
    "PC",
  ]);
  const forwarded = harness.ask(caller.again(challenged, "INVITE"));
  assertEquals(statusOf(forwarded), 0);
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(infosOf(harness.take().at(-1)!.text).length, 1);
  await harness.settled();
  assertEquals(harness.dbclient.verified, []);
});

Deno.test("--auth both: a PC answer that fails is answered by PC alone, as its verdict asks", () => {
  const harness = new ProxyHarness(["--auth", "both"]);
  const caller = new PcCaller("alice", "wrong");
  const challenged = harness.ask(caller.request("INVITE"));
  const again = harness.ask(caller.again(challenged, "INVITE"));
  assertEquals(statusOf(again), 407);
  assertEquals(challengesOf(again).length, 1);
});

Deno.test("--auth both: DBclient away is 503 for both", () => {
  const harness = new ProxyHarness(["--auth", "both"]);
  harness.dbclient.mode = "fail";
  assertEquals(statusOf(harness.ask(request("INVITE"))), 503);
});
