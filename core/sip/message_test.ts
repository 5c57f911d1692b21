import { assert, assertEquals } from "@std/assert";
import { encodeText } from "./ascii.ts";
import { HeaderId, headerIdOf, headerName } from "./header.ts";
import { SipMessage } from "./message.ts";
import { problemReason } from "./problem.ts";
import { MAX_HEADERS } from "./scan.ts";
import { INVITE, lines, RESPONSE, TORTURE } from "./test_messages.ts";

function parse(bytes: Uint8Array): SipMessage {
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  return message;
}

for (const { name, bytes, problem } of TORTURE) {
  Deno.test(`message: ${name}`, () => {
    const found = new SipMessage().parse(bytes, 0, bytes.length);
    assertEquals(found && [found.code, found.field], problem && [...problem], found?.text);
    if (found?.status) assert(/^[A-Z][A-Za-z ]+( \([\x20-\x7e]+\))?$/.test(problemReason(found)), found.text);
  });
}

Deno.test("message: the parts of an INVITE", () => {
  const message = parse(INVITE);
  assert(message.isRequest);
  assertEquals(message.method, "INVITE");
  assertEquals(message.requestUri, "sip:service@example.com:5060");
  assertEquals(message.status, 0);
  assertEquals(message.callId, "1-18351@192.0.2.10");
  assertEquals([message.cseqNumber, message.cseqMethod, message.maxForwards], [2, "INVITE", 70]);
  assertEquals([message.fromTag, message.toTag], ["18351SIPpTag001", ""]);
  assertEquals(message.from.displayName, "User 42");
  assertEquals(message.fromUri()?.user, "user42");
  assertEquals(message.toUri()?.port, 5060);
  assertEquals(message.contactUri()?.host, "192.0.2.10");
  const via = message.topVia();
  assertEquals([via?.transport, via?.host, via?.port, via?.branch, via?.rport, via?.received], [
    "UDP",
    "192.0.2.10",
    5061,
    "z9hG4bK-18351-1-4",
    "",
    undefined,
  ]);
  assert(via?.hasMagicCookie);
  assertEquals(message.headerCount, 11);
  assertEquals(message.lineEnd(10), message.headersEnd);
  assertEquals(message.bodyStart, message.headersEnd + 2);
  assertEquals(message.body().length, message.contentLength);
  assertEquals(message.valueOf("subject"), "Performance Test");
});

Deno.test("message: the parts of a response", () => {
  const message = parse(RESPONSE);
  assertEquals([message.isRequest, message.method, message.status, message.reason], [false, "", 200, "OK"]);
  assertEquals(message.topVia()?.branch, "z9hG4bKproxy1");
  assertEquals(message.secondVia()?.branch, "z9hG4bKproxy2");
  const values = [...message.values(HeaderId.VIA)].map(([start, end]) => message.text(start, end));
  assertEquals(values.length, 3);
  assertEquals(values[1], "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKproxy2");
});

Deno.test("message: wsinv has the values that RFC 4475 §3.1.1.1 means", () => {
  const message = parse(TORTURE[0].bytes);
  assertEquals([message.toTag, message.fromTag], ["1918181833n", "98asjd8"]);
  assertEquals(message.from.displayName, 'J Rosenberg \\"');
  assertEquals([message.cseqNumber, message.maxForwards, message.contentLength], [9, 68, 2]);
  assertEquals(message.topVia()?.branch, "390skdjuw");
  assertEquals(message.topVia()?.hasMagicCookie, false);
  assertEquals(message.secondVia()?.host, "spindle.example.com");
  assertEquals(message.secondVia()?.transport, "TCP");
  assertEquals([...message.values(HeaderId.VIA)].length, 3);
  assertEquals(message.value(HeaderId.SUBJECT), "");
  assertEquals(message.valueOf("newfangledheader"), "newfangled value continued newfangled value");
  assertEquals(message.address(HeaderId.CONTACT)?.param("Q"), "0.33");
  assertEquals(message.address(HeaderId.CONTACT)?.displayName, 'Quoted string ""');
});

Deno.test("message: leading line ends and LF alone are read", () => {
  const text = new TextDecoder().decode(INVITE).replaceAll("\r\n", "\n");
  const bytes = encodeText("\r\n\n" + text);
  const message = new SipMessage();
  message.parse(bytes, 0, bytes.length);
  assertEquals(message.start, 3);
  assertEquals(message.headerCount, 11);
  assertEquals(message.callId, "1-18351@192.0.2.10");
});

Deno.test("message: a CR that ends no line is a fault, wherever it stands: others would see another header there", () => {
  const text = new TextDecoder().decode(INVITE);
  for (const capacity of [MAX_HEADERS, MAX_HEADERS - 1]) { // With the kernel, and without.
    for (let at = 0; at < 40; at++) {
      const smuggled = `Subject: ${"x".repeat(at)}\rProxy-Authenticate: PC a\r\n`;
      const bytes = encodeText(text.replace("Max-Forwards", smuggled + "Max-Forwards"));
      assertEquals(new SipMessage(capacity).parse(bytes, 0, bytes.length)?.status, 400);
    }
    const folded = encodeText(text.replace("Max-Forwards", "Subject: a\r\n b\r\r\n c\r\nMax-Forwards"));
    assertEquals(new SipMessage(capacity).parse(folded, 0, folded.length)?.status, 400);
  }
});

Deno.test("message: a method has 64 bytes at most", () => {
  const text = new TextDecoder().decode(INVITE);
  for (const capacity of [MAX_HEADERS, MAX_HEADERS - 1]) {
    const status = (length: number) => {
      const bytes = encodeText(text.replaceAll("INVITE", "M".repeat(length)));
      return new SipMessage(capacity).parse(bytes, 0, bytes.length)?.status;
    };
    assertEquals([status(64), status(65), status(5000)], [undefined, 400, 400]);
  }
});

Deno.test("message: every header order gives the same", () => {
  const head = ["OPTIONS sip:u@b SIP/2.0"];
  const fields = [
    "v: SIP/2.0/TLS [2001:db8::1];branch=z9hG4bK1;RPORT=9;received=[2001:db8::2];ttl=5;maddr=224.0.0.1",
    "f: sip:a@b;tag=1",
    "t: <sip:u@b>",
    "i: 77",
    "CSeq: 1 OPTIONS",
  ];
  for (let shift = 0; shift < fields.length; shift++) {
    const message = parse(lines([...head, ...fields.slice(shift), ...fields.slice(0, shift)]));
    const via = message.topVia();
    assertEquals([via?.transport, via?.host, via?.port, via?.received, via?.rport, via?.ttl, via?.maddr], [
      "TLS",
      "2001:db8::1",
      5061,
      "2001:db8::2",
      9,
      5,
      "224.0.0.1",
    ]);
    assertEquals([message.callId, message.fromTag, message.maxForwards], ["77", "1", -1]);
  }
});

Deno.test("message: cut at every byte is a problem, never an exception", () => {
  const message = new SipMessage();
  for (const bytes of [INVITE, RESPONSE, TORTURE[0].bytes]) {
    for (let end = 0; end < bytes.length; end++) {
      // The buffer goes on after `end`, as a receive buffer does.
      assert(message.parse(bytes, 0, end) !== undefined, `cut at ${end}`);
      assert(message.bodyEnd <= end && message.headersEnd <= end);
    }
  }
});

Deno.test("message: what follows the body is discarded, and what surrounds the datagram is not looked at", () => {
  const around = new Uint8Array(INVITE.length + 200).fill(0x41);
  around.set(INVITE, 100);
  const message = new SipMessage();
  assertEquals(message.parse(around, 100, around.length), undefined);
  assertEquals([message.start, message.bodyEnd], [100, 100 + INVITE.length]);
  assertEquals(message.callId, "1-18351@192.0.2.10");
});

Deno.test("message: a clone owns its bytes", () => {
  const bytes = INVITE.slice();
  const copy = parse(bytes).clone();
  bytes.fill(0);
  assertEquals(copy.callId, "1-18351@192.0.2.10");
  assertEquals(copy.value(HeaderId.SUBJECT), "Performance Test");
  assertEquals(copy.length, INVITE.length);
});

Deno.test("message: a view that is used again remembers nothing", () => {
  const message = parse(INVITE);
  assertEquals([message.fromTag, message.secondVia()], ["18351SIPpTag001", undefined]);
  const bytes = lines([
    "BYE sip:x SIP/2.0",
    "v: SIP/2.0/UDP a",
    "f: <sip:a>",
    "t: b:c;tag=2",
    "i: 1",
    "CSeq: 1 BYE",
  ]);
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  assertEquals([message.fromTag, message.toTag, message.callId, message.requestUri], ["", "2", "1", "sip:x"]);
  assertEquals([message.maxForwards, message.first(HeaderId.CONTACT), message.topVia()?.branch], [
    -1,
    -1,
    "",
  ]);
});

Deno.test("message: more header lines than there is room for", () => {
  const head = ["BYE sip:x SIP/2.0", "v: SIP/2.0/UDP a"];
  const bytes = lines([...head, ...new Array(MAX_HEADERS).fill("X: y")]);
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length)?.code, "too_large");
  assertEquals(message.headerCount, MAX_HEADERS);
});

Deno.test("header: names and ids agree, whatever their case", () => {
  for (const id of Object.values(HeaderId)) {
    if (id === HeaderId.OTHER) continue;
    assertEquals(headerIdOf(headerName(id)), id);
    assertEquals(headerIdOf(headerName(id).toUpperCase()), id);
  }
  assertEquals(headerIdOf(""), HeaderId.OTHER);
  assertEquals(headerIdOf("x".repeat(40)), HeaderId.OTHER);
});
