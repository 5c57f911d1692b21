// deno-lint-ignore-file no-explicit-any
/** sip.js 0.21.2 as a second opinion: on messages that it reads rightly, both parsers must see the same. */
import { assert, assertEquals } from "@std/assert";
import { Parser } from "sip.js/lib/core/messages/parser.js";
import { type Random, seededRandom } from "../random.ts";
import { HeaderId } from "./header.ts";
import { SipMessage } from "./message.ts";
import { INVITE, lines, TORTURE } from "./test_messages.ts";

const silent = { warn() {}, error() {}, log() {}, debug() {} };
const theirs = (bytes: Uint8Array): any =>
  Parser.parseMessage(new TextDecoder().decode(bytes), silent as any) as any;

function ours(bytes: Uint8Array): SipMessage {
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length), undefined, new TextDecoder().decode(bytes));
  return message;
}

function compare(bytes: Uint8Array): void {
  const a = ours(bytes);
  const b = theirs(bytes);
  assert(b !== undefined, "sip.js does not read it");
  if (a.isRequest) assertEquals(a.method, b.method);
  assertEquals(a.status, b.statusCode ?? 0);
  if (a.isRequest) assertEquals(a.requestUri.toLowerCase(), b.ruri.toString().toLowerCase());
  assertEquals(a.callId, b.callId);
  assertEquals([a.cseqNumber, a.cseqMethod], [b.cseq, b.method ?? a.cseqMethod]);
  assertEquals([a.fromTag, a.toTag], [b.fromTag ?? "", b.toTag ?? ""]);
  assertEquals(a.from.displayName, b.from.displayName ?? "");
  assertEquals(a.fromUri()?.user ?? "", b.from.uri.user ?? "");
  assertEquals(a.fromUri()?.host.toLowerCase(), b.from.uri.host.replace(/[[\]]/g, ""));
  assertEquals(a.toUri()?.port, b.to.uri.port);
  const via = a.topVia()!;
  assertEquals([via.transport, via.branch], [b.via.transport, b.viaBranch]);
  assertEquals([via.host, via.port], [b.via.host.replace(/[[\]]/g, ""), b.via.port ?? via.port]);
  assertEquals(a.value(HeaderId.SUBJECT), b.getHeader("subject")?.replace(/\r\n[ \t]+/g, " "));
  assertEquals(new TextDecoder().decode(a.body()), b.body);
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random.below(from.length)];

/** A message of parts that sip.js reads rightly: one Via per line, no white space inside Via. */
function generate(random: Random): Uint8Array {
  const method = pick(random, ["INVITE", "BYE", "OPTIONS", "REGISTER", "MESSAGE"]);
  const user = () => pick(random, ["alice@", "bob@", "+49-30-1234@", "", "j.doe@"]);
  const host = () => pick(random, ["example.com", "192.0.2.7", "[2001:db8::7]", "a.b-c.example"]);
  const port = () => pick(random, ["", ":5060", ":6000"]);
  const uri = () => `sip:${user()}${host()}${port()}`;
  const name = () => pick(random, ["", '"Alice B. Carol" ', '"a, b; c" ', "Bob ", '"\u00fc" ']);
  const fold = () => pick(random, [" ", "\r\n ", "\r\n\t"]);
  const field = (long: string, short: string, value: string) =>
    `${pick(random, [long, short, long.toLowerCase(), long.toUpperCase()])}:${
      pick(random, [" ", "", "  "])
    }${value}`;
  const transport = pick(random, ["UDP", "TCP", "TLS"]);
  const fields = [
    field("Via", "v", `SIP/2.0/${transport} ${host()}${port()};rport;branch=z9hG4bK${random.below(1e9)}`),
    field("From", "f", `${name()}<${uri()}>;tag=${random.below(1e9)}`),
    field("To", "t", `${name()}<${uri()}>${pick(random, ["", ";tag=xyz"])}`),
    field("Call-ID", "i", `${random.below(1e9)}@${pick(random, ["h", "192.0.2.1"])}`),
    `CSeq: ${random.below(2 ** 31)} ${method}`,
    `Max-Forwards: ${random.below(256)}`,
    field("Subject", "Subject", `one${fold()}two`),
  ];
  for (let i = fields.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    [fields[i], fields[k]] = [fields[k], fields[i]];
  }
  const body = pick(random, ["", "v=0\r\n", "x"]);
  const first = random.below(3) === 0
    ? `SIP/2.0 ${100 + random.below(600)} ${pick(random, ["OK", "Not Found", ""])}`
    : `${method} ${uri()} SIP/2.0`;
  return lines([first, ...fields, field("Content-Length", "l", String(body.length))], body);
}

Deno.test("sip.js: generated messages are read alike", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const bytes = generate(seededRandom(seed));
    try {
      compare(bytes);
    } catch (error) {
      throw new Error(`seed ${seed}:\n${new TextDecoder().decode(bytes)}`, { cause: error });
    }
  }
});

Deno.test("sip.js: the INVITE of the benchmarks and messages of RFC 4475 are read alike", () => {
  compare(INVITE);
  for (const name of ["escnull", "noreason", "zeromf"]) {
    compare(TORTURE.find((one) => one.name === name)!.bytes);
  }
});
