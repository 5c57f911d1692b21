/** RFC 3261 §16.7, §18: what of a response goes back, and which responses go nowhere; RFC 3581; RFC 4320. */
import { assertEquals, assertMatch } from "@std/assert";
import { CALLED, firstLine, header, headers, PHONE, request, response, statusOf } from "../testing.ts";
import { assertEmpty, open } from "./testing.ts";

Deno.test("RFC 3261 16.7.6: the To tag of a response is not changed", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  for (const [status, tag] of [[180, "one"], [183, "Two~2"], [200, "three"]] as const) {
    harness.receive(response(forwarded, status, [], tag), CALLED);
    assertEquals(header(harness.takeOne(), "To"), `Bob <sip:bob@example.com>;tag=${tag}`);
  }
});

Deno.test("RFC 3261 16.7.8: Record-Route of a response goes back as it came, changed by others or missing", () => {
  const harness = open();
  for (const method of ["INVITE", "SUBSCRIBE"]) {
    const forwarded = harness.ask(request(method, { callId: method }));
    const [own] = headers(forwarded, "Record-Route");
    for (
      const values of [[own], ["<sip:203.0.113.9;lr>", `${own};x=1`], [
        own.replace("192.0.2.1", "198.51.100.1"),
      ], []]
    ) {
      const bare = forwarded.replace(/^Record-Route: .*\r\n/gm, "");
      const lines = values.map((value) => `Record-Route: ${value}`);
      if (method === "SUBSCRIBE" && values.length > 0) continue;
      harness.receive(response(bare, 200, lines), CALLED);
      assertEquals(headers(harness.takeOne(), "Record-Route"), values);
    }
  }
});

Deno.test("RFC 3261 16.7.9: a response goes back with all that it has but the proxy's Via", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  const body = "v=0\r\n\r\no=x\u00e9\u0000";
  const length = new TextEncoder().encode(body).length;
  const strange = [
    "Server:  A/1 (b)",
    "X-Strange: %&/(;;,,",
    "Contact: <sip:bob@203.0.113.1>",
    "Date: nonsense",
  ];
  const answer = response(forwarded, 200, [...strange, "Supported: a,", "  b"]).replace(
    "Content-Length: 0\r\n\r\n",
    `Content-Length: ${length}\r\n\r\n${body}`,
  );
  harness.receive(answer, CALLED);
  assertEquals(harness.takeOne(), answer.replace(/^Via: SIP\/2\.0\/UDP 192\.0\.2\.1:.*\r\n/m, ""));
});

Deno.test("RFC 3261 18.1.2: a response whose top Via is another's is dropped, and its transaction waits on", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  const via = headers(forwarded, "Via")[0];
  for (
    const other of [
      via.replace("192.0.2.1:5060", "192.0.2.20:5080"),
      via.replace("192.0.2.1:5060", "192.0.2.1:5099"),
      via.replace(/branch=.*/, "branch=z9hG4bKother"),
      via.replace(/;branch=.*/, ""),
    ]
  ) {
    harness.receive(response(forwarded.replace(via, other), 200), CALLED);
    assertEquals(harness.take(), [], other);
  }
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(statusOf(harness.takeOne()), 200);
});

Deno.test("RFC 3261 18.3: a datagram with less body than Content-Length says: a request is 400, a response nothing", () => {
  const harness = open();
  const short = request("MESSAGE", { body: "hello" }).slice(0, -1);
  assertMatch(firstLine(harness.ask(short)), /^SIP\/2\.0 400 /);
  const forwarded = harness.ask(request("INVITE"));
  const whole = response(forwarded, 200).replace("Content-Length: 0", "Content-Length: 5") + "hello";
  harness.receive(whole.slice(0, -1), CALLED);
  assertEquals(harness.take(), []);
  harness.receive(whole, CALLED);
  assertEquals(statusOf(harness.takeOne()), 200);
});

Deno.test("RFC 3581 4: the response leaves by the address and port that the request came to", () => {
  const harness = open(["--listen", "udp:192.0.2.1:5060,udp:192.0.2.2:5060"]);
  for (const flow of [-1, -2]) {
    const from = { ...PHONE, port: 40_000 - flow, flow };
    const via = `SIP/2.0/UDP 10.1.1.1;rport;branch=z9hG4bKflow${-flow}`;
    harness.receive(request("OPTIONS", { via, uri: "sip:example.com" }), from);
    const [{ text, to }] = harness.take();
    assertEquals([statusOf(text), to], [200, from]);
    harness.receive(request("OPTIONS", { via: `${via}x` }), from);
    const [{ text: forwarded }] = harness.take();
    harness.receive(response(forwarded, 200), CALLED);
    assertEquals(harness.take()[0].to, from);
  }
});

Deno.test("RFC 4320 4.2: a late response to another request than INVITE is dropped", () => {
  const harness = open();
  const forwarded = harness.ask(request("MESSAGE"));
  harness.runTo(40_000);
  assertEmpty(harness);
  harness.take();
  for (const status of [200, 404, 503]) harness.receive(response(forwarded, status), CALLED);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});
