import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ByteWriter, SipMessage } from "../mod.ts";
import type { MessageContext, TemplateConstants } from "./keywords.ts";
import { compileTemplate, renderTemplate } from "./template.ts";

const CONSTANTS: TemplateConstants = {
  service: "bob",
  remoteIp: "192.0.2.7",
  remotePort: 5060,
  localIp: "::1",
  localPort: 5070,
  transport: "UDP",
  pid: 77,
  domain: "example.com",
  keys: { contact_user: "me" },
};

function context(changes: Partial<MessageContext> = {}): MessageContext {
  return {
    callId: "1-abc@x",
    callNumber: 12,
    cseq: 3,
    branch: "z9hG4bK-1",
    localTag: "l",
    peerTag: "",
    remote: { host: "198.51.100.1", port: 5099 },
    routes: "",
    nextUrl: "sip:next",
    username: "alice",
    field: (index) => ["zero", "one"][index] ?? "",
    bodyLength: 0,
    received: undefined,
    receivedFrom: { host: "192.0.2.9", port: 40000 },
    authenticate: () => {},
    ...changes,
  };
}

function render(text: string, changes: Partial<MessageContext> = {}, constants = CONSTANTS): string {
  const out = new ByteWriter();
  renderTemplate(out, compileTemplate(text, constants), context(changes));
  return new TextDecoder().decode(out.toBytes());
}

function received(text: string): SipMessage {
  const bytes = new TextEncoder().encode(
    text.trim().split("\n").map((line) => line.trim()).join("\r\n") + "\r\n\r\n",
  );
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  return message;
}

Deno.test("every keyword", () => {
  const body = render(`MESSAGE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
    X: [local_ip] [local_port] [local_ip_type] [media_ip] [media_ip_type] [media_port] [transport] [pid] [domain]
    Y: [call_id] [call_number] [cseq] [branch] [local_tag] [next_url] [user] [field0] [field1] [field2]
    Z: [contact_user] [cseq+2] [call_number-2] [media_port+4] \\[service]
    To: <sip:x>[peer_tag_param]`);
  assertEquals(
    body,
    [
      "MESSAGE sip:bob@192.0.2.7:5060 SIP/2.0",
      "X: [::1] 5070 6 ::1 6 6000 UDP 77 example.com",
      "Y: 1-abc@x 12 3 z9hG4bK-1 l sip:next alice zero one ",
      "Z: me 5 10 6004 [service]",
      "To: <sip:x>",
      "",
      "",
    ].join("\r\n"),
  );
  assertStringIncludes(render("A sip:x SIP/2.0\nTo: x[peer_tag_param]", { peerTag: "t" }), "To: x;tag=t\r\n");
});

Deno.test("a called side takes remote_ip and remote_port from the caller", () => {
  const text = render("A sip:[remote_ip]:[remote_port] SIP/2.0", {}, {
    ...CONSTANTS,
    remoteIp: undefined,
    remotePort: undefined,
  });
  assertStringIncludes(text, "A sip:198.51.100.1:5099 SIP/2.0");
});

Deno.test("[len] counts the body's bytes, fixed or not, with offsets; the body ends with a line end", () => {
  const fixed = render("A sip:x SIP/2.0\nContent-Length: [len]\n\nv=0\no=ä [media_ip]\n\n");
  assertStringIncludes(fixed, "Content-Length: 15\r\n\r\nv=0\r\no=ä ::1\r\n");
  const varies = render("A sip:x SIP/2.0\nContent-Length: [len]\n\ncall [call_number]");
  assertStringIncludes(varies, "Content-Length: 9\r\n\r\ncall 12\r\n");
  assertStringIncludes(render("A sip:x SIP/2.0\nL: [len+3]\n\nabc"), "L: 8\r\n");
  assertStringIncludes(render("A sip:x SIP/2.0\nL: [len]"), "L: 0\r\n\r\n");
});

Deno.test("lines of [routes], [authentication] and [last_…] vanish when they are empty", () => {
  const text = "A sip:x SIP/2.0\n[routes]\n[authentication]\n[last_Record-Route:]\nB: 1";
  assertEquals(render(text), "A sip:x SIP/2.0\r\nB: 1\r\n\r\n");
  const full = render(text, {
    routes: "<sip:p;lr>",
    authenticate: (out) => void out.text("Proxy-Authorization: PC x"),
  });
  assertEquals(full, "A sip:x SIP/2.0\r\nRoute: <sip:p;lr>\r\nProxy-Authorization: PC x\r\nB: 1\r\n\r\n");
});

Deno.test("[last_…] copies all lines of a header as they came, folds and compact names too", () => {
  const message = received(`INVITE sip:x SIP/2.0
    v: SIP/2.0/UDP 192.0.2.9:40000;branch=z9hG4bK1
    Via: SIP/2.0/UDP b;branch=z9hG4bK2
    Record-Route: <sip:a;lr>
    Record-Route: <sip:b;lr>
    From: "A" <sip:a@x>;tag=1
    To: <sip:x>
    Call-ID: q
    CSeq: 4 INVITE
    X-Mine: 1
    Max-Forwards: 70`);
  const text = render(
    "SIP/2.0 200 OK\n[last_Via:]\n[last_Record-Route:]\n[last_To:];tag=[local_tag]\n[last_x-mine:]\n[last_CSeq:]",
    { received: message },
  );
  assertEquals(
    text,
    [
      "SIP/2.0 200 OK",
      "v: SIP/2.0/UDP 192.0.2.9:40000;branch=z9hG4bK1",
      "Via: SIP/2.0/UDP b;branch=z9hG4bK2",
      "Record-Route: <sip:a;lr>",
      "Record-Route: <sip:b;lr>",
      "To: <sip:x>;tag=l",
      "X-Mine: 1",
      "CSeq: 4 INVITE",
      "",
      "",
    ].join("\r\n"),
  );
});

Deno.test("[last_Via:] gets received and rport where RFC 3261 §18.2.1 and RFC 3581 §4 say so", () => {
  const via = (value: string) => {
    const message = received(`INVITE sip:x SIP/2.0
      Via: ${value}
      From: <sip:a@x>;tag=1
      To: <sip:x>
      Call-ID: q
      CSeq: 4 INVITE
      Max-Forwards: 70`);
    return /Via: (.*)/.exec(render("SIP/2.0 200 OK\n[last_Via:]", { received: message }))![1];
  };
  assertEquals(via("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"), "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1");
  assertEquals(via("SIP/2.0/UDP pc;branch=z9hG4bK1"), "SIP/2.0/UDP pc;branch=z9hG4bK1;received=192.0.2.9");
  assertEquals(
    via("SIP/2.0/UDP pc;rport;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2"),
    "SIP/2.0/UDP pc;rport=40000;branch=z9hG4bK1;received=192.0.2.9, SIP/2.0/UDP b;branch=z9hG4bK2",
  );
});

Deno.test("what is wrong with a template is said", () => {
  assertThrows(
    () => compileTemplate("A sip:x SIP/2.0\nTo: [remote_pi]", CONSTANTS),
    SyntaxError,
    "unknown keyword [remote_pi]: did you mean [remote_ip]?",
  );
  assertThrows(() => compileTemplate("\n\n", CONSTANTS), SyntaxError, "empty");
  assertThrows(() => compileTemplate("A sip:x", CONSTANTS), SyntaxError, "request line");
  assertThrows(() => compileTemplate("SIP/2.0 99 x", CONSTANTS), SyntaxError, "99");
});

Deno.test("method, status and CSeq of a template are known without writing it", () => {
  const bye = compileTemplate("BYE sip:x SIP/2.0\nCSeq: [cseq-1] BYE\n[authentication]", CONSTANTS);
  assertEquals([bye.method, bye.status, bye.cseq, bye.authenticates], ["BYE", 0, { offset: -1 }, true]);
  const fixed = compileTemplate("ACK sip:x SIP/2.0\nCSeq: 7 ACK", CONSTANTS);
  assertEquals([fixed.cseq, fixed.cseqMethod, fixed.authenticates], [{ fixed: 7 }, "ACK", false]);
  const ok = compileTemplate("SIP/2.0 200 OK\n[last_CSeq:]", CONSTANTS);
  assertEquals([ok.method, ok.status, ok.usesLast], ["", 200, true]);
});
