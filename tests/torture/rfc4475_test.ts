/** RFC 4475: each of the 49 messages gets what the RFC demands of a proxy, or of the registrar in it. */
import { assert, assertEquals } from "@std/assert";
import { header, headers, request, type Sent, statusOf } from "../../proxy/testing.ts";
import { RFC_4475, type TortureMessage } from "./rfc4475_messages.ts";
import { assertServes, assertVerdict, tortureHarness, type Verdict } from "./torture.ts";

const forward: Verdict = { does: "forward" };
const discard: Verdict = { does: "discard" };
const answer = (status: number, ...lines: string[]): Verdict => ({
  does: "answer",
  status: [status],
  headers: lines,
});

/** By name; where the RFC leaves a choice, what this proxy does. */
const VERDICTS: Readonly<Record<string, Verdict>> = {
  wsinv: forward,
  intmeth: forward,
  esc01: forward,
  escnull: answer(
    200,
    "Contact: <sip:%00@host5.example.com>;expires=3600",
    "Contact: <sip:%00%00@host5.example.com>;expires=3600",
  ),
  esc02: forward,
  lwsdisp: forward,
  longreq: forward,
  dblreq: answer(200, "Contact: <sip:j.user@host.example.com>;expires=3600"),
  semiuri: forward,
  transports: forward,
  mpart01: { does: "forward_strictly", route: "sip:127.0.0.1:5080" },
  // Responses to nothing that this proxy has sent; those that it waits for are further down.
  unreason: discard,
  noreason: discard,
  badinv01: answer(400),
  clerr: answer(400),
  ncl: answer(400),
  scalar02: answer(400),
  scalarlg: discard,
  quotbal: answer(400),
  ltgtruri: answer(400),
  lwsruri: answer(400),
  lwsstart: answer(400),
  trws: answer(400),
  escruri: answer(400),
  // Nobody but the far end reads Date.
  baddate: forward,
  regbadct: answer(400),
  badaspec: answer(400),
  baddn: answer(400),
  badvers: answer(505),
  mismatch01: answer(400),
  mismatch02: answer(400),
  bigcode: discard,
  // Told apart from others of its sort by the rules of RFC 2543.
  badbranch: forward,
  insuf: answer(400),
  unkscm: answer(416),
  novelsc: answer(416),
  unksm2: answer(400),
  bext01: answer(420, "Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis"),
  invut: forward,
  // Without authentication the unknown scheme is nothing to look at; with it, see below.
  regaut01: answer(200),
  multi01: answer(400),
  mcl01: answer(400),
  bcast: discard,
  zeromf: answer(483),
  // The parameter belongs to the header, and not to the URI …
  cparam01: answer(200, "Contact: <sip:+19725552222@gw1.example.net>;expires=3600;unknownparam"),
  // … and here to the URI.
  cparam02: answer(200, "Contact: <sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"),
  regescrt: answer(200, "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600"),
  sdp01: forward,
  inv2543: forward,
};

for (const { section, title, name, bytes } of RFC_4475) {
  Deno.test(`RFC 4475 ${section}: ${title} (${name})`, () => {
    assertVerdict(tortureHarness(), bytes, VERDICTS[name]);
  });
}

Deno.test("RFC 4475: there are 49 messages, all other than the others, and each has a verdict", () => {
  assertEquals(RFC_4475.length, 49);
  assertEquals(new Set(RFC_4475.map(({ section }) => section)).size, 49);
  assertEquals(RFC_4475.map(({ name }) => name).toSorted(), Object.keys(VERDICTS).toSorted());
});

Deno.test("RFC 4475: all messages one after the other, twice, to one proxy", () => {
  const harness = tortureHarness();
  for (let round = 0; round < 2; round++) {
    for (const { bytes } of RFC_4475) {
      harness.receive(bytes);
      assertServes(harness);
    }
  }
  harness.runTo(400_000);
  assertEquals(harness.proxy.core.layer.size, 0);
});

const messageOf = (name: string): TortureMessage => RFC_4475.find((message) => message.name === name)!;

/** A response of the RFC's as the answer to a request that the proxy has forwarded: what comes of it. */
function asAnswer(name: string, changed: (text: string) => string = (text) => text): Sent[] {
  const harness = tortureHarness();
  harness.receive(request("INVITE", { uri: "sip:bob@example.com", cseq: 35 }));
  const forwarded = harness.take().find(({ text }) => text.startsWith("INVITE"))!;
  const text = changed(new TextDecoder().decode(messageOf(name).bytes));
  const vias = headers(forwarded.text, "Via").map((via) => `Via: ${via}`);
  const rest = text.split("\r\n").filter((line) => !line.startsWith("Via:"));
  harness.receive(new TextEncoder().encode([rest[0], ...vias, ...rest.slice(1)].join("\r\n")), forwarded.to);
  const sent = harness.take();
  assertServes(harness);
  return sent;
}

Deno.test("RFC 4475 3.1.1.12: Unusual Reason Phrase (unreason), as an answer that is waited for", () => {
  const [{ text }] = asAnswer("unreason");
  assert(text.startsWith("SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое\r\n"), text);
});

Deno.test("RFC 4475 3.1.1.13: Empty Reason Phrase (noreason), as an answer that is waited for", () => {
  assertEquals(asAnswer("noreason"), []); // 100 goes from hop to hop.
  const [{ text }] = asAnswer("noreason", (text) => text.replace("100 ", "183 "));
  assert(text.startsWith("SIP/2.0 183 \r\n"), text);
});

Deno.test("RFC 4475 3.1.2.5: Response Scalar Fields with Overlarge Values (scalarlg), as an answer that is waited for", () => {
  assertEquals(asAnswer("scalarlg"), []);
});

Deno.test("RFC 4475 3.1.2.19: Overlarge Response Code (bigcode), as an answer that is waited for", () => {
  assertEquals(asAnswer("bigcode"), []);
});

Deno.test("RFC 4475 3.3.10: Broadcast Via (bcast), as an answer that is waited for, goes to the caller alone", () => {
  const [{ to }] = asAnswer("bcast");
  assertEquals(to.host, "192.0.2.10");
});

Deno.test("RFC 4475 3.1.1.4: Escaped Nulls in URIs (escnull): the whole name is registered", () => {
  const harness = tortureHarness();
  harness.receive(messageOf("escnull").bytes);
  harness.take();
  const ask = (user: string) =>
    headers(
      harness.ask(
        request("REGISTER", { uri: "sip:example.com", to: `<sip:${user}@example.com>`, contacts: [] }),
      ),
      "Contact",
    ).length;
  assertEquals(["null-%00-null", "null-", "null-%00"].map(ask), [2, 0, 0]);
});

Deno.test("RFC 4475 3.2.1: Missing Transaction Identifier (badbranch): two of them are two requests", () => {
  const harness = tortureHarness();
  const text = new TextDecoder().decode(messageOf("badbranch").bytes);
  for (const callId of ["one", "two"]) {
    harness.receive(new TextEncoder().encode(text.replace(/Call-ID: .*/, `Call-ID: ${callId}`)));
    assertEquals(header(harness.take()[0].text, "Call-ID"), callId);
  }
});

Deno.test("RFC 4475 3.3.7: Unknown Authorization Scheme (regaut01): a registrar that authenticates challenges", () => {
  const harness = tortureHarness(["--auth", "pc"], (request, proxy) => {
    if (request.method !== "REGISTER") return proxy.relay_to_next_hop();
    if (proxy.www_authorize_pc("example.com") !== "ok") return proxy.www_challenge_pc("example.com");
    return proxy.save();
  });
  assertVerdict(harness, messageOf("regaut01").bytes, answer(401));
});

Deno.test("RFC 4475: the default route, which authenticates, survives all of them too", () => {
  for (const { bytes } of RFC_4475) {
    const harness = tortureHarness(["--auth", "both"], undefined);
    harness.receive(bytes);
    for (const { text } of harness.take()) assert(statusOf(text) >= 0);
    assertServes(harness);
  }
});
