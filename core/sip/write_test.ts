import { assertEquals, assertThrows } from "@std/assert";
import { HeaderId } from "./header.ts";
import { SipMessage } from "./message.ts";
import { reasonPhrase } from "./reason.ts";
import { INVITE, lines, TORTURE } from "./test_messages.ts";
import { ack, cancel, request, response } from "./write.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function parsed(bytes: Uint8Array): SipMessage {
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  return message;
}

Deno.test("response: what RFC 3261 §8.2.6 asks for", () => {
  const head = [
    "INVITE sip:b@b SIP/2.0",
    "Timestamp: 54",
    "v: SIP/2.0/UDP a;rport;branch=1, SIP/2.0/UDP b",
    "Record-Route: <sip:r1;lr>",
    "t: <sip:b@b>",
    "Via: SIP/2.0/TCP c",
    "f: <sip:a@a>;tag=1",
    "Record-Route: <sip:r2;lr>",
    "i: 1",
    "CSeq: 2 INVITE",
  ];
  const invite = parsed(lines(head));
  const common = ["Via: SIP/2.0/UDP a;rport;branch=1, SIP/2.0/UDP b", "Via: SIP/2.0/TCP c"];
  assertEquals(
    text(response(invite, 100, undefined, { toTag: "x" })),
    text(lines([
      "SIP/2.0 100 Trying",
      ...common,
      "From: <sip:a@a>;tag=1",
      "To: <sip:b@b>",
      "Call-ID: 1",
      "CSeq: 2 INVITE",
      "Timestamp: 54",
      "Content-Length: 0",
    ])),
  );
  assertEquals(
    text(response(invite, 200, "Fine", {
      toTag: "x",
      headers: ["Contact: <sip:b@c>"],
      body: "\u20ac",
      source: { host: "192.0.2.9", port: 7 },
    })),
    text(lines([
      "SIP/2.0 200 Fine",
      "Via: SIP/2.0/UDP a;rport=7;branch=1;received=192.0.2.9, SIP/2.0/UDP b",
      "Via: SIP/2.0/TCP c",
      "Record-Route: <sip:r1;lr>",
      "Record-Route: <sip:r2;lr>",
      "From: <sip:a@a>;tag=1",
      "To: <sip:b@b>;tag=x",
      "Call-ID: 1",
      "CSeq: 2 INVITE",
      "Contact: <sip:b@c>",
      "Content-Length: 3",
    ], "\u20ac")),
  );
});

Deno.test("response: received and rport in either order are replaced", () => {
  for (const via of ["SIP/2.0/UDP a;received=1.1.1.1;x;rport=5", "SIP/2.0/UDP a;rport;received=1.1.1.1;x"]) {
    const bytes = lines([
      "BYE sip:b SIP/2.0",
      `v: ${via}`,
      "t: <sip:b>;tag=2",
      "f: <sip:a>",
      "i: 1",
      "CSeq: 2 BYE",
    ]);
    const answer = parsed(
      response(parsed(bytes), 200, undefined, { toTag: "no", source: { host: "::1", port: 6 } }),
    );
    assertEquals(answer.value(HeaderId.VIA), via.replace("1.1.1.1", "::1").replace(/rport(=5)?/, "rport=6"));
    assertEquals(answer.toTag, "2");
  }
});

Deno.test("response: to every faulty request that may be answered, parsable where it was complete", () => {
  for (const { name, bytes, problem } of TORTURE) {
    const message = new SipMessage();
    message.parse(bytes, 0, bytes.length);
    if (problem?.[0] === "drop" || !message.isRequest) continue;
    const answer = response(message, 400, "Bad Request", { toTag: "t", source: { host: "h", port: 1 } });
    const again = new SipMessage();
    again.parse(answer, 0, answer.length);
    assertEquals(again.status, 400, name);
    // A Via that cannot be read goes back as it came.
    assertEquals(again.topVia()?.received, message.topVia() === undefined ? undefined : "h", name);
  }
});

Deno.test("response: a line end in a header is misuse", () => {
  const message = parsed(INVITE);
  assertThrows(() => response(message, 200, undefined, { headers: ["X: a\r\nY: b"] }), TypeError);
  assertThrows(() => response(message, 200, "a\nb"), TypeError);
});

Deno.test("ack and cancel: RFC 3261 §17.1.1.3 and §9.1", () => {
  const invite = parsed(lines([
    "INVITE sip:b@b SIP/2.0",
    "Via: SIP/2.0/UDP top;branch=z9hG4bK1, SIP/2.0/UDP below",
    "Route: <sip:r1;lr>, <sip:r2;lr>",
    "From: <sip:a@a>;tag=1",
    "To: <sip:b@b>",
    "Call-ID: 1",
    "Proxy-Require: x",
    "CSeq: 007 INVITE",
  ]));
  const failure = parsed(response(invite, 486, undefined, { toTag: "z" }));
  const expected = (method: string, to: string) =>
    text(lines([
      `${method} sip:b@b SIP/2.0`,
      "Via: SIP/2.0/UDP top;branch=z9hG4bK1",
      "Max-Forwards: 70",
      "Route: <sip:r1;lr>, <sip:r2;lr>",
      "From: <sip:a@a>;tag=1",
      `To: ${to}`,
      "Call-ID: 1",
      `CSeq: 7 ${method}`,
      "Content-Length: 0",
    ]));
  assertEquals(text(ack(invite, failure)), expected("ACK", "<sip:b@b>;tag=z"));
  assertEquals(text(cancel(invite)), expected("CANCEL", "<sip:b@b>"));
});

Deno.test("request: an agent's INVITE", () => {
  const message = parsed(request({
    method: "INVITE",
    uri: "sip:b@b",
    via: "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
    from: "<sip:a@a>;tag=1",
    to: "<sip:b@b>",
    callId: "c1",
    cseq: 1,
    route: ["<sip:p;lr>"],
    contact: "<sip:a@192.0.2.1>",
    headers: ["Content-Type: application/sdp"],
    body: "v=0\r\n",
  }));
  assertEquals([message.method, message.cseqNumber, message.maxForwards, message.contentLength], [
    "INVITE",
    1,
    70,
    5,
  ]);
  assertEquals(message.value(HeaderId.ROUTE), "<sip:p;lr>");
});

Deno.test("reason phrases", () => {
  assertEquals(reasonPhrase(407), "Proxy Authentication Required");
  assertEquals(reasonPhrase(499), "Bad Request");
  assertEquals(reasonPhrase(299), "OK");
});
