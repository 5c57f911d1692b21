/** Damaged messages of all kinds through the whole proxy: it never throws, and whatever it sends is SIP. */
import { assertEquals } from "@std/assert";
import {
  answerDigest,
  DigestHasher,
  isMalformed,
  parseAuth,
  parseDigestChallenge,
  seededRandom,
  SipMessage,
} from "../mod.ts";
import {
  ackOf,
  backend,
  CALLED,
  cancelOf,
  headers,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
  STRANGER,
} from "./testing.ts";
import { damaged } from "./test_damage.ts";

const ROUNDS = 300;
const encoder = new TextEncoder();
/** Messages as they come and go in calls of both schemes, each good by itself. */
function samples(harness: ProxyHarness): string[] {
  const caller = new PcCaller();
  const invite = request("INVITE", {
    body: "v=0\r\n",
    headers: ["Route: <sip:192.0.2.1;lr>", "Proxy-Require: x"],
  });
  const challenged = harness.ask(caller.request("INVITE"));
  const authorized = caller.again(challenged, "INVITE", { body: "v=0\r\n" });
  const [digest] = headers(challenged, "Proxy-Authenticate").map((value) =>
    parseDigestChallenge(parseAuth(value))
  );
  if (isMalformed(digest)) throw new Error("no Digest challenge");
  const alice = { username: "alice", password: "secret" };
  const uri = "sip:bob@example.com";
  const value = answerDigest(new DigestHasher(backend), digest, alice, { method: "INVITE", uri }, "c", 1);
  const forwarded = harness.ask(authorized);
  harness.take();
  return [
    invite,
    authorized,
    request("INVITE", { headers: [`Proxy-Authorization: ${value}`] }),
    request("REGISTER", { uri: "sip:example.com" }),
    request("BYE", {
      toTag: "b",
      uri: "sip:bob@192.0.2.20:5080",
      headers: ["Route: <sip:192.0.2.1;lr>,<sip:192.0.2.20:5080>"],
    }),
    cancelOf(authorized),
    ackOf(authorized, response(authorized, 486)),
    response(forwarded, 180),
    response(forwarded, 407, ['Proxy-Authenticate: PC realm="example.com", nonce="00"']),
    response(forwarded, 200, ['Proxy-Authentication-Info: PC realm="x", nonce="00"']),
  ];
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  Deno.test(`fuzz: damaged messages, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    const flags = [
      "--auth",
      "both",
      "--auth_methods",
      "INVITE,REGISTER,BYE",
      "--check_from",
      String(seed % 2),
    ];
    const harness = new ProxyHarness(flags);
    harness.dbclient.n = 3;
    const texts = samples(harness);
    const view = new SipMessage();
    for (let round = 0; round < ROUNDS; round++) {
      for (const text of texts) {
        harness.receive(damaged(text, random), [PHONE, CALLED, STRANGER][random.below(3)]);
      }
      await harness.settled();
      for (const { text } of harness.take()) {
        const bytes = encoder.encode(text);
        const problem = view.parse(bytes, 0, bytes.length);
        // What was forwarded may be odd where the proxy has no business; its own answers may lack what the request lacked.
        if (
          problem !== undefined && statusOf(text) !== 400 && statusOf(text) !== 505 && statusOf(text) !== 513
        ) {
          throw new Error(`seed ${seed}, round ${round}: ${problem.text} in\n${text}`);
        }
      }
      harness.runTo(harness.now + 100 * random.below(20));
    }
    assertEquals(harness.logs, [], `seed ${seed}`);
    harness.runTo(harness.now + 600_000);
    assertEquals(harness.proxy.core.layer.size, 0, `seed ${seed}`);
  });
}
