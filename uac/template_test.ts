import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ByteWriter, SipMessage } from "../mod.ts";
import { InjectionFile, InjectionFiles } from "./injection.ts";
import { type KeywordHost, type MessageContext, type RunFacts, Text } from "./keywords.ts";
import { renderTemplate, TemplateCompiler } from "./template.ts";
import { Variables } from "./variables.ts";

const FACTS: RunFacts = {
  service: "bob",
  remoteIp: "192.0.2.7",
  remotePort: 5060,
  localIp: "::1",
  localPort: 5070,
  transport: "UDP",
  pid: 77,
  domain: "example.com",
  keys: { contact_user: "me" },
  branchPrefix: "abc",
};
const LINES = "SEQUENTIAL\nzero;one;[authentication username=x password=[field0]];a [service] b\n";

function hostOf(facts: RunFacts, variables = new Variables()): KeywordHost {
  return {
    facts,
    variables,
    files: new InjectionFiles([new InjectionFile(new TextEncoder().encode(LINES), "callers.inf")]),
    wallClock: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    clockTick: () => 42,
    users: () => 9,
    dynamicId: () => 10000,
    readFile: () => new TextEncoder().encode("from a file"),
  };
}

function textOf(text: string): Text {
  const made = new Text();
  made.setText(text);
  return made;
}

function context(changes: Partial<MessageContext> = {}): MessageContext {
  return {
    callId: textOf("1-abc@x"),
    callNumber: 12,
    cseq: 3,
    localTag: 0xabc,
    peerTag: textOf(""),
    remote: { host: "198.51.100.1", port: 5099 },
    local: { host: "::1", port: 5070 },
    routes: textOf(""),
    nextUrl: textOf("sip:next"),
    writeUser: (out) => void out.text("alice"),
    lines: [0],
    userId: 7,
    circuit: "0.99.5/1",
    bodyLength: 0,
    received: undefined,
    receivedFrom: { host: "192.0.2.9", port: 40000 },
    authenticate: () => {},
    visits: () => 0,
    sameBranch: -1,
    variables: [],
    userVariables: [],
    ...changes,
  };
}

const compile = (text: string, facts: RunFacts = FACTS, variables?: Variables) =>
  new TemplateCompiler(hostOf(facts, variables), 4).message(text);

function render(
  text: string,
  changes: Partial<MessageContext> = {},
  facts = FACTS,
  variables?: Variables,
): string {
  const out = new ByteWriter();
  renderTemplate(out, compile(text, facts, variables), context(changes));
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
    Y: [call_id] [call_number] [cseq] [branch] [local_tag] [next_url] [user] [field0] [field1] [field9]
    Z: [contact_user] [cseq+2] [call_number-2] [media_port+4] \\[service]
    To: <sip:x>[peer_tag_param]`);
  assertEquals(
    body,
    [
      "MESSAGE sip:bob@192.0.2.7:5060 SIP/2.0",
      "X: [::1] 5070 6 ::1 6 6000 UDP 77 example.com",
      "Y: 1-abc@x 12 3 z9hG4bK-abc-12-4 00000abc sip:next alice zero one ",
      "Z: me 5 10 6004 [service]",
      "To: <sip:x>",
      "",
      "",
    ].join("\r\n"),
  );
  assertStringIncludes(
    render("A sip:x SIP/2.0\nTo: x[peer_tag_param]", { peerTag: textOf("t") }),
    "To: x;tag=t\r\n",
  );
});

Deno.test("a called side takes remote_ip and remote_port from the caller", () => {
  const text = render("A sip:[remote_ip]:[remote_port] SIP/2.0", {}, {
    ...FACTS,
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
    routes: textOf("<sip:p;lr>"),
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
      "To: <sip:x>;tag=00000abc",
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
    () => compile("A sip:x SIP/2.0\nTo: [remote_pi]"),
    SyntaxError,
    "unknown keyword [remote_pi]: did you mean [remote_ip]?",
  );
  assertThrows(() => compile("\n\n"), SyntaxError, "empty");
  assertThrows(() => compile("A sip:x"), SyntaxError, "request line");
  assertThrows(() => compile("SIP/2.0 99 x"), SyntaxError, "99");
});

Deno.test("method, status and CSeq of a template are known without writing it", () => {
  const bye = compile("BYE sip:x SIP/2.0\nVia: x;branch=[branch]\nCSeq: [cseq-1] BYE");
  assertEquals([bye.method, bye.status, bye.fixedCseq, bye.cseqOffset, bye.ownBranch], [
    "BYE",
    0,
    -1,
    -1,
    true,
  ]);
  assertEquals(compile("ACK sip:x SIP/2.0\nCSeq: 7 ACK").fixedCseq, 7);
  const ok = compile("SIP/2.0 200 OK\n[last_CSeq:]");
  assertEquals([ok.method, ok.status, ok.usesLast], ["", 200, true]);
});

const line = (text: string, changes: Partial<MessageContext> = {}, variables?: Variables) =>
  render(`A sip:x SIP/2.0\nX: ${text}`, changes, FACTS, variables).split("\r\n")[1].slice(3);

Deno.test("SIPp's other keywords", () => {
  assertEquals(
    line("[msg_index] [clock_tick] [users] [userid] [dynamic_id] [tdmmap]"),
    "4 42 9 7 10000 0.99.5/1",
  );
  assertEquals(line("[auto_media_port] [remote_port+3] [local_port-70]"), "6044 5063 5000");
  assertEquals(line("[date]"), "Fri, 02 Jan 2026 03:04:05 GMT");
  assertEquals(line('[file name=x.txt] [file name="y"]'), "from a file from a file");
  assertEquals(line("\\x5bservice]"), "[service]");
  assertEquals(line("[branch-3]", { visits: (step) => step === 1 ? 2 : 0 }), "z9hG4bK-abc-12-1.2");
  assertEquals(line("[branch]", { sameBranch: 2 }), "z9hG4bK-abc-12-2");
});

Deno.test("fields: keywords in them are expanded, others and missing ones are empty", () => {
  assertEquals(line('[field3] [field0 file="callers.inf" line=0]|[field0 line=5]|'), "a bob b zero||");
  const seen: (string | undefined)[] = [];
  const authenticate: MessageContext["authenticate"] = (out, username, password) => {
    seen.push(username, password);
    out.text("Authorization: x");
  };
  assertStringIncludes(
    render("A sip:x SIP/2.0\n[field2]\nB: 1", { authenticate }),
    "\r\nAuthorization: x\r\nB: 1",
  );
  assertEquals(seen, ["x", "zero"]);
  assertEquals(render("A sip:x SIP/2.0\n[field9]\nB: 1"), "A sip:x SIP/2.0\r\nB: 1\r\n\r\n");
});

Deno.test("variables: texts, numbers as %lf, booleans; [fill] repeats its text", () => {
  const variables = new Variables();
  const names = ["text", "number", "yes", "none"].map((name) => variables.ref(name));
  const changes = { variables: ["words", 2.5, true, undefined] };
  assertEquals(names.map(({ slot }) => slot), [0, 1, 2, 3]);
  assertEquals(line("[$text] [$number] [$yes] [$none].", changes, variables), "words 2.500000 true .");
  assertEquals(line("[fill variable=number text=ab]|", changes, variables), "ab|");
  assertEquals(line("[field0 line=[$number]]", changes, variables), "");
});

Deno.test("[last_X:] that is missing takes the rest of its line with it; [last_X] is the value alone", () => {
  const message = received(`BYE sip:x SIP/2.0
    Via: SIP/2.0/UDP b;branch=z9hG4bK2
    From: <sip:a@x>;tag=1
    To: <sip:to@x>
    Call-ID: q
    CSeq: 4 BYE`);
  const text = render("SIP/2.0 200 OK\n[last_X-None:];a=b\nA: [last_X-None:] x\nB: [last_From]", {
    received: message,
  });
  assertEquals(text, "SIP/2.0 200 OK\r\nA: \r\nB: <sip:a@x>;tag=1\r\n\r\n");
  assertEquals(line("[last_cseq_number] [last_Request_URI]", { received: message }), "4 sip:to@x");
  assertStringIncludes(
    render("A sip:x SIP/2.0\n\n[last_message]", { received: message }),
    "\r\n\r\nBYE sip:x",
  );
});

Deno.test("what is not supported says so", () => {
  for (
    const [keyword, text] of [
      ["rtpstream_audio_port", "media is not supported"],
      ["authentication aka_K=1", "AKA is not supported"],
      ["authentication user=1", "unknown parameter user"],
      ['field0 file="caller.inf"', "did you mean callers.inf?"],
      ["fill text=x", "[fill] needs variable=name"],
    ]
  ) assertThrows(() => compile(`A sip:x SIP/2.0\nX: [${keyword}]`), SyntaxError, text);
  assertThrows(() => compile("A sip:x SIP/2.0\nX: [service"), SyntaxError, "[ without ]");
});
