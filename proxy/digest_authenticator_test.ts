/** Digest at the proxy: RFC 3261 §22, RFC 7616 §3, RFC 8760; the response itself is checked by DBclient (docs/PROTOCOL.md §9). */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  answerDigest,
  authParam,
  type DigestChallenge,
  DigestHasher,
  isMalformed,
  parseAuth,
  parseDigestChallenge,
} from "../mod.ts";
import {
  backend,
  CALLED,
  cancelOf,
  challengesOf,
  firstLine,
  header,
  headers,
  ProxyHarness,
  request,
  type RequestParts,
  response,
  statusOf,
} from "./testing.ts";

const hasher = new DigestHasher(backend);
const open = (...flags: string[]) => new ProxyHarness(["--auth", "digest", ...flags]);

/** Sends a request and waits for its one answer, a 100 aside. */
async function ask(harness: ProxyHarness, text: string): Promise<string> {
  harness.receive(text);
  await harness.settled();
  const sent = harness.take().filter(({ text }) => !text.startsWith("SIP/2.0 100"));
  if (sent.length !== 1) {
    throw new Error(`${sent.length} messages: ${sent.map(({ text }) => firstLine(text))}`);
  }
  return sent[0].text;
}

/** The Digest challenges of a 401 or 407. */
function digestChallenges(text: string): DigestChallenge[] {
  return [...headers(text, "Proxy-Authenticate"), ...headers(text, "WWW-Authenticate")]
    .filter((value) => value.startsWith("Digest "))
    .map((value) => {
      const challenge = parseDigestChallenge(parseAuth(value));
      if (isMalformed(challenge)) throw new Error(`${challenge.field} ${challenge.problem}`);
      return challenge;
    });
}

interface Answering {
  readonly username?: string;
  readonly password?: string;
  readonly nc?: number;
  readonly method?: string;
  readonly uri?: string;
}

function answer(challenge: DigestChallenge, how: Answering = {}): string {
  const { username = "alice", password = "secret", nc = 1, method = "INVITE", uri = "sip:bob@example.com" } =
    how;
  return answerDigest(hasher, challenge, { username, password }, { method, uri }, "5f3a", nc);
}

function withAnswer(value: string, parts: RequestParts = {}, method = "INVITE"): string {
  return request(method, { ...parts, headers: [`Proxy-Authorization: ${value}`, ...(parts.headers ?? [])] });
}

Deno.test("digest: challenge, answer, forwarded without the answer; one question to DBclient", async () => {
  const harness = open();
  const challenged = await ask(harness, request("INVITE"));
  assertEquals(firstLine(challenged), "SIP/2.0 407 Proxy Authentication Required");
  assertMatch(
    header(challenged, "Proxy-Authenticate"),
    /^Digest realm="example\.com", nonce="[0-9a-f]+", algorithm=MD5, qop="auth"$/,
  );
  assertEquals([harness.dbclient.verified, harness.dbclient.asked], [[], []]);
  const forwarded = await ask(harness, withAnswer(answer(digestChallenges(challenged)[0])));
  assertEquals([firstLine(forwarded), headers(forwarded, "Proxy-Authorization")], [
    "INVITE sip:bob@example.com SIP/2.0",
    [],
  ]);
  assertEquals(harness.dbclient.verified.length, 1);
  const [question] = harness.dbclient.verified[0];
  assertEquals([question.username, question.method, question.uri, question.qop, question.nc], [
    "alice",
    "INVITE",
    "sip:bob@example.com",
    "auth",
    "00000001",
  ]);
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(headers(harness.takeOne(), "Proxy-Authentication-Info"), []);
});

Deno.test("digest: a wrong password and a user that does not exist are the same 407", async () => {
  const shape = (text: string) =>
    text.replace(/nonce="[0-9a-f]+"/, "nonce").replace(/(tag=|branch=)[^\s;]+/g, "$1");
  const seen: string[] = [];
  for (const username of ["alice", "nobody"]) {
    const harness = open();
    const from = { from: "<sip:" + username + "@example.com>" };
    const challenged = await ask(harness, request("INVITE", from));
    const value = answer(digestChallenges(challenged)[0], { username, password: "wrong" });
    const again = await ask(harness, withAnswer(value, from));
    assertEquals(digestChallenges(again)[0].stale, false);
    seen.push(shape(again).replaceAll(username, "U"));
  }
  assertEquals(seen[1], seen[0]);
});

Deno.test("digest: the same use of a nonce again is refused with stale; the next count is good", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  const value = answer(challenge);
  assertEquals(statusOf(await ask(harness, withAnswer(value))), 0);
  const again = await ask(harness, withAnswer(value));
  assertEquals(digestChallenges(again)[0].stale, true);
  assertEquals(harness.dbclient.verified.length, 1); // Seen without asking.
  assertEquals(statusOf(await ask(harness, withAnswer(answer(challenge, { nc: 2 })))), 0);
  assertEquals(statusOf(await ask(harness, withAnswer(answer(challenge, { nc: 4 })))), 0);
});

Deno.test("digest: two requests at once with the same use of a nonce: one gets through", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  harness.dbclient.mode = "hold";
  harness.receive(withAnswer(answer(challenge)));
  harness.receive(withAnswer(answer(challenge)));
  await harness.settled();
  harness.release();
  await harness.settled();
  const statuses = harness.take().map(({ text }) => statusOf(text)).filter((status) => status !== 100);
  assertEquals(statuses.sort(), [0, 407]);
});

Deno.test("digest: a nonce that is too old, of another proxy or made up is stale, and costs no question", async () => {
  const harness = open("--nonce_expire", "10");
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  harness.runTo(10_000);
  harness.take();
  for (const nonce of [challenge.nonce, "00".repeat(30), "x"]) {
    const again = await ask(harness, withAnswer(answer({ ...challenge, nonce })));
    assertEquals([statusOf(again), digestChallenges(again)[0].stale], [407, true]);
    assertNotEquals(digestChallenges(again)[0].nonce, nonce);
  }
  assertEquals(harness.dbclient.verified, []);
});

Deno.test("digest: malformed answers are 400 with the field", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  const good = answer(challenge);
  const cases: [string, string][] = [
    ["nonce", good.replace(/nonce="[0-9a-f]+", /, "")],
    ["uri", good.replace('uri="sip:bob@', 'uri="sip:carol@')],
    ["nc", good.replace("nc=00000001", "nc=1")],
    ["nc", good.replace("nc=00000001", "nc=00000000")],
    ["qop", good.replace("qop=auth", "qop=auth-int")],
    ["qop", good.replace(", qop=auth", "")],
    [
      "algorithm",
      good.replace("algorithm=MD5", "algorithm=SHA-256").replace(
        /response="[0-9a-f]+"/,
        `response="${"0".repeat(64)}"`,
      ),
    ],
    ["response", good.replace(/response="[0-9a-f]+"/, 'response="00"')],
    ["username", good.replace(/username="alice", /, "")],
  ];
  for (const [field, value] of cases) {
    const refused = await ask(harness, withAnswer(value));
    assertMatch(firstLine(refused), new RegExp(`^SIP/2\\.0 400 Bad Request \\(.*${field}`), value);
  }
  assertEquals(harness.dbclient.verified, []);
});

Deno.test("digest: another user's name is 403, but for an alias or with check_from 0; nobody is asked", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  const refused = await ask(harness, withAnswer(answer(challenge), { from: "<sip:bob@example.com>" }));
  assertEquals(statusOf(refused), 403);
  assertEquals(harness.dbclient.verified, []);
  for (const flags of [["--from_alias", "+49=alice"], ["--check_from", "0"]]) {
    const lenient = open(...flags);
    const from = { from: "<sip:+49@example.com>" };
    const [offered] = digestChallenges(await ask(lenient, request("INVITE", from)));
    assertEquals(statusOf(await ask(lenient, withAnswer(answer(offered), from))), 0);
  }
});

Deno.test("digest: DBclient away, or without its database, is 503 with Retry-After", async () => {
  for (const mode of ["fail", "unavailable"] as const) {
    const harness = open();
    const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
    harness.dbclient.mode = mode;
    const refused = await ask(harness, withAnswer(answer(challenge)));
    assertEquals([statusOf(refused), headers(refused, "Retry-After").length], [503, 1]);
    harness.dbclient.mode = "answer"; // That was no use of the nonce.
    assertEquals(statusOf(await ask(harness, withAnswer(answer(challenge)))), 0);
  }
});

Deno.test("digest: answers that come together go to DBclient together", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (let nc = 1; nc <= 5; nc++) {
    const message = bytes(withAnswer(answer(challenge, { nc })));
    harness.proxy.receive(message, 0, message.length, { host: "192.0.2.10", port: 5070 }, 0);
  }
  harness.proxy.flush(0);
  assertEquals(harness.dbclient.verified.map((answers) => answers.length), [5]);
  await harness.settled();
  assertEquals(harness.take().filter(({ to }) => to.port === CALLED.port).length, 5);
});

Deno.test("digest: an INVITE whose answer is being checked hears 100 after 200 ms, and can be cancelled", async () => {
  const harness = open();
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  harness.dbclient.mode = "hold";
  const invite = withAnswer(answer(challenge));
  harness.receive(invite);
  await harness.settled();
  harness.runTo(220);
  assertEquals(harness.takeLines().filter((line) => !line.includes("407")), ["5070 SIP/2.0 100 Trying"]);
  harness.receive(cancelOf(invite));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK", "5070 SIP/2.0 487 Request Terminated"]);
  harness.release();
  await harness.settled();
  assertEquals(harness.takeLines(), []);
});

Deno.test("digest: several algorithms are offered in their order, each is taken", async () => {
  const harness = open("--digest_algorithms", "SHA-512-256,SHA-256,MD5");
  const challenges = digestChallenges(await ask(harness, request("INVITE")));
  assertEquals(challenges.map(({ algorithm }) => algorithm), ["SHA-512-256", "SHA-256", "MD5"]);
  for (const [i, challenge] of challenges.entries()) {
    assertEquals(statusOf(await ask(harness, withAnswer(answer(challenge, { nc: i + 1 })))), 0);
  }
});

Deno.test("digest: a REGISTER is asked with 401 and answers in Authorization", async () => {
  const harness = open("--auth_methods", "REGISTER");
  const parts = { uri: "sip:example.com" };
  const challenged = await ask(harness, request("REGISTER", parts));
  assertEquals([statusOf(challenged), headers(challenged, "WWW-Authenticate").length], [401, 1]);
  const value = answer(digestChallenges(challenged)[0], { method: "REGISTER", uri: "sip:example.com" });
  const forwarded = await ask(
    harness,
    request("REGISTER", { ...parts, headers: [`Authorization: ${value}`] }),
  );
  assertEquals([firstLine(forwarded), headers(forwarded, "Authorization")], [
    "REGISTER sip:example.com SIP/2.0",
    [],
  ]);
});

Deno.test("digest: answers for other realms stay, and are no answers here", async () => {
  const harness = open();
  const foreign =
    'Digest username="x", realm="elsewhere.org", nonce="1", uri="sip:bob@example.com", response="0"';
  const challenged = await ask(harness, withAnswer(foreign));
  assertEquals(digestChallenges(challenged)[0].stale, false);
  const value = answer(digestChallenges(challenged)[0]);
  const forwarded = await ask(harness, withAnswer(value, { headers: [`Proxy-Authorization: ${foreign}`] }));
  assertEquals(headers(forwarded, "Proxy-Authorization"), [foreign]);
});

Deno.test("digest: with --auth both a Digest answer is checked as such, and a wrong one gets both challenges", async () => {
  const harness = open("--auth", "both");
  const challenged = await ask(harness, request("INVITE"));
  const [challenge] = digestChallenges(challenged);
  const wrong = await ask(harness, withAnswer(answer(challenge, { password: "wrong" })));
  assertEquals([digestChallenges(wrong).length, challengesOf(wrong).length], [1, 1]);
  assertEquals(headers(wrong, "Proxy-Authenticate")[0].slice(0, 6), "Digest");
  assertEquals(statusOf(await ask(harness, withAnswer(answer(challenge)))), 0);
  const malformed = await ask(harness, withAnswer(answer(challenge).replace(/nc=\S+/, "nc=x,")));
  assertEquals(statusOf(malformed), 400);
});

Deno.test("digest: with --auth pc a Digest answer counts for nothing, and stays as another's", async () => {
  const harness = new ProxyHarness();
  const value =
    'Digest username="alice", realm="example.com", nonce="1", uri="sip:bob@example.com", response="0"';
  const challenged = await ask(harness, withAnswer(value));
  assertEquals([statusOf(challenged), digestChallenges(challenged).length, challengesOf(challenged).length], [
    407,
    0,
    1,
  ]);
});

Deno.test("digest: fields of any length and letters are survived", async () => {
  const harness = open("--check_from", "0");
  const [challenge] = digestChallenges(await ask(harness, request("INVITE")));
  const good = answer(challenge);
  for (
    const value of [
      good.replace('username="alice"', `username="${"x".repeat(20_000)}"`),
      good.replace('cnonce="5f3a"', `cnonce="${"y".repeat(30_000)}"`),
      good.replace('username="alice"', 'username="\u{1f600}"'),
      good.replace('username="alice"', 'username="a\\"b"'),
    ]
  ) {
    const refused = await ask(harness, withAnswer(value));
    assert([400, 403, 407].includes(statusOf(refused)), firstLine(refused));
  }
  assertEquals(authParam(parseAuth(good), "realm"), "example.com");
  assertEquals(harness.logs, []);
});
