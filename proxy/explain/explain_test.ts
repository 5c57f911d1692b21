import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseFlags, seededRandom } from "../../mod.ts";
import { PROXY_FLAGS } from "../options.ts";
import type { RouteFunction } from "../route.ts";
import { readSettings } from "../settings.ts";
import { backend, request } from "../testing.ts";
import { explain } from "./explain.ts";
import { shownLines } from "./shown_text.ts";

const encoder = new TextEncoder();
const USUAL = ["--listen", "udp:192.0.2.1:5060", "--realm", "example.com"];

function explained(
  message: string | Uint8Array,
  flags: readonly string[] = ["--next_hop", "sip:192.0.2.20:5080"],
  route?: RouteFunction,
): Promise<string> {
  const { values } = parseFlags(PROXY_FLAGS, [...USUAL, ...flags]);
  let waits = 0;
  return explain({
    bytes: typeof message === "string" ? encoder.encode(message) : message,
    name: "call.sip",
    source: undefined,
    values,
    settings: readSettings(values),
    hashes: backend,
    random: seededRandom(1),
    now: 0,
    route,
    isIpAddress: (host) => /^[0-9.]+$/.test(host),
    idle: async () => {
      await Promise.resolve();
      return ++waits < 100;
    },
  }).then((lines) => lines.join("\n"));
}

Deno.test("explain: a request that is challenged, with the steps and the route's decisions", async () => {
  const text = await explained(request("INVITE"));
  for (
    const part of [
      "bytes from udp:192.0.2.10:5070",
      "start line: INVITE sip:bob@example.com SIP/2.0",
      "ok: Max-Forwards",
      'realm is "example.com"',
      'proxy_authorize_pc("example.com", "subscriber"): "no_credentials"',
      "DBclient is asked for a credential of alice@example.com",
      "Answered to udp:192.0.2.10:5070",
      "SIP/2.0 407 Proxy Authentication Required",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("explain: what is forwarded, with the lines that change", async () => {
  const text = await explained(request("OPTIONS", { maxForwards: 20 }), [
    "--next_hop",
    "sip:next.example.net",
  ]);
  for (
    const part of [
      "next.example.net is looked up",
      "relay_to_next_hop()",
      "Forwarded to udp:next.example.net",
      "  - Max-Forwards: 20",
      "  + Max-Forwards: 19",
      "  + Via: SIP/2.0/UDP 192.0.2.1:5060;branch=",
    ]
  ) assertStringIncludes(text, part);
  assert(!text.includes("+ From"), text);
});

Deno.test("explain: credentials and passwords are not shown, in whatever form they come", async () => {
  const secrets = ["5ec2e7", "s3cret", "cafe01", "hidden", "dGhpcyBpcw", "uripass"];
  const text = await explained(request("INVITE", {
    uri: "sip:bob:uripass@example.com",
    headers: [
      `Proxy-Authorization: PC username="alice", realm="example.com", token="5ec2e7", response="s3cret", uri="x"`,
      `Authorization: Digest username="alice", response =\r\n "cafe01", cnonce=hidden`,
      `proxy-authorization : Basic dGhpcyBpcw==`,
      `Authorization: hidden`,
    ],
  }));
  for (const secret of secrets) assert(!text.includes(secret), `${secret} in\n${text}`);
  assertStringIncludes(text, 'PC username="alice", realm="example.com", token=…, response=…');
  assertEquals(shownLines(encoder.encode("A: \x1b[2J\r\n\r\nbody")), ["A: \\x1b[2J"]);
});

Deno.test("explain: of a Digest answer all is said but what only the running proxy knows", async () => {
  const answer = [
    'Proxy-Authorization: Digest username="alice", realm="example.com", nonce="00", uri="sip:bob@example.com"',
    'response="0123456789abcdef0123456789abcdef", qop=auth, nc=00000001, cnonce="abc"',
  ].join(", ");
  const flags = ["--auth", "digest", "--next_hop", "sip:192.0.2.20"];
  const text = await explained(request("INVITE", { headers: [answer] }), flags);
  assertStringIncludes(text, 'proxy_authorize("example.com", "subscriber"): "bad_nonce" (the nonces of');
  assertStringIncludes(text, "SIP/2.0 407");
  const other = await explained(request("INVITE", { headers: [answer.replace("qop=auth, ", "")] }), flags);
  assertStringIncludes(other, "SIP/2.0 400 Bad Request (qop is missing)");
});

Deno.test("explain: problems have line and column", async () => {
  const positions: [string, RegExp][] = [
    [
      request("INVITE").replace("CSeq: 1", "CSeq: x"),
      /^ {2}call\.sip:7:7: CSeq is malformed \(answered with 400\)$/m,
    ],
    [request("INVITE").replace("sip:bob@example.com SIP", "<sip:bob> x SIP"), /call\.sip:1:\d+: /],
    [request("INVITE").replace(/Call-ID.*\r\n/, ""), /call\.sip:9:1: Call-ID is missing/],
    [
      request("INVITE").replace("Call-ID", "To: <sip:x@y>\r\nCall-ID"),
      /call\.sip:6:5: To is there more than once/,
    ],
    [request("INVITE").replace("Call-ID:", "Call ID"), /call\.sip:6:1: /],
    [request("INVITE").replace("SIP/2.0", "SIP/7.0"), /call\.sip:1:1: SIP-Version .*505/],
    ["rubbish and more of it\r\n\r\n", /call\.sip:1:1: the start line is not SIP \(dropped\)/],
  ];
  for (const [message, position] of positions) {
    const text = await explained(message);
    assert(position.test(text), `${position} not in\n${text}`);
  }
  assertStringIncludes(await explained("\r\n\r\n"), "taken for a keep-alive");
});

Deno.test("explain: a refusal names the step of RFC 3261 §16.3", async () => {
  const text = await explained(request("INVITE", { maxForwards: 0 }));
  assertStringIncludes(text, "  483: Max-Forwards, and Max-Breadth of RFC 5393 (§16.3 step 3)");
  assert(!text.includes("Proxy-Require (§16.3"), text);
});

Deno.test("explain: a route that waits, throws, or a response", async () => {
  const waits: RouteFunction = async (_, proxy) => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    proxy.reply(403);
  };
  assertStringIncludes(await explained(request("INVITE"), [], waits), "SIP/2.0 403 Forbidden");
  const throws: RouteFunction = (_, proxy) => void proxy.lookup();
  const failed = await explained(request("INVITE"), [], throws);
  assertStringIncludes(failed, "lookup() throws: lookup: there is no registrar (--registrar)");
  assertStringIncludes(failed, "SIP/2.0 500 Server Internal Error");
  const never: RouteFunction = () => new Promise(() => {});
  assertStringIncludes(await explained(request("INVITE"), [], never), "Sent\n  nothing");
  const response = request("INVITE").replace("INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK");
  assertStringIncludes(await explained(response), "belongs to no request that this proxy has forwarded");
});
