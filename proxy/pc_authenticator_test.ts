import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { challengeMac, type Credential, equalBytes, toHex } from "../mod.ts";
import {
  backend,
  CALLED,
  challengeOf,
  challengesOf,
  craftAnswer,
  type CraftOptions,
  firstLine,
  forwardedCall,
  header,
  headers,
  infosOf,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  type RequestParts,
  response,
  statusOf,
  STRANGER,
} from "./testing.ts";

/** A harness whose alice has a credential, and what answers to it are made from. */
class Bench extends ProxyHarness {
  readonly opaque: string;
  cseq = 1;

  constructor(flags: readonly string[] = [], n = 10) {
    super(flags);
    this.dbclient.n = n;
    this.opaque = challengeOf(this.ask(request("INVITE"))).opaque;
  }

  get credential(): Credential {
    return this.dbclient.issued.at(-1)!;
  }

  craft(options: Omit<CraftOptions, "cseq">, credential = this.credential): string {
    return craftAnswer(credential, this.opaque, { ...options, cseq: this.cseq });
  }

  /** Sends an INVITE with the answers that `make` gives for its CSeq. */
  send(make: () => string | string[], parts: RequestParts = {}): string {
    this.cseq++;
    const values = [make()].flat();
    const lines = values.map((value) => `Proxy-Authorization: ${value}`);
    return this.ask(
      request("INVITE", { ...parts, cseq: this.cseq, headers: [...lines, ...(parts.headers ?? [])] }),
    );
  }

  /** Sends an INVITE with one crafted answer. */
  try(options: Omit<CraftOptions, "cseq">, credential?: Credential): string {
    return this.send(() => this.craft(options, credential));
  }

  /** A challenge without seq and auth, for the request sent last. */
  assertBare(answer: string, stale: boolean): void {
    assertEquals(firstLine(answer), "SIP/2.0 407 Proxy Authentication Required");
    const challenge = challengeOf(answer);
    assertEquals([challenge.guide, challenge.stale === true], [undefined, stale]);
    assertEquals([challenge.nonce, challenge.opaque], [toHex(this.credential.nonce), this.opaque]);
  }

  /** A challenge with this seq, and the right auth. */
  assertGuided(answer: string, seq: number, callId = "7f3a9c@192.0.2.10"): void {
    assertEquals(statusOf(answer), 407);
    const { guide, nonce, stale } = challengeOf(answer);
    const { algorithm, key } = this.credential;
    assertEquals([nonce, guide?.seq, stale === true], [toHex(this.credential.nonce), seq, false]);
    const auth = challengeMac(backend.get(algorithm), key, this.opaque, seq, { callId, cseq: this.cseq });
    assert(equalBytes(guide!.auth, auth), "auth is wrong");
  }
}

Deno.test("PC: no_credentials is a bare challenge as docs/PROTOCOL.md §4 spells it", () => {
  const harness = new ProxyHarness();
  const answer = harness.ask(request("INVITE"));
  assertEquals(firstLine(answer), "SIP/2.0 407 Proxy Authentication Required");
  assertMatch(
    header(answer, "Proxy-Authenticate"),
    /^PC realm="example\.com", algorithm=SHA-1, nonce="[0-9a-f]{32}", chain=10, opaque="[0-9a-f]{16}"$/,
  );
  assertEquals(harness.dbclient.asked, [["alice@example.com"]]);
  assertEquals(challengeOf(harness.ask(request("INVITE"))), challengeOf(answer)); // From memory.
  assertEquals(harness.dbclient.asked.length, 1);
});

Deno.test("PC: ok is forwarded without the answer, and asks nobody", () => {
  const bench = new Bench();
  const forwarded = bench.try({ seq: 9 });
  assertEquals(firstLine(forwarded), "INVITE sip:bob@example.com SIP/2.0");
  assertEquals(headers(forwarded, "Proxy-Authorization"), []);
  assertEquals(firstLine(bench.try({ seq: 8 })), "INVITE sip:bob@example.com SIP/2.0");
  assertEquals(bench.dbclient.asked.length, 1);
});

Deno.test("PC: malformed is 400 and names the field", () => {
  const bench = new Bench();
  const cases: [string, (good: string) => string][] = [
    ["username", (good) => good.replace(/username="alice", /, "")],
    ["algorithm", (good) => good.replace(/algorithm=SHA-1, /, "")],
    ["algorithm", (good) => good.replace("algorithm=SHA-1", "algorithm=sha-1")],
    ["algorithm", (good) => good.replace("algorithm=SHA-1", "algorithm=SHA-512")],
    ["nonce", (good) => good.replace(/nonce="[0-9a-f]+", /, "")],
    ["nonce", (good) => good.replace(/nonce="../, 'nonce="')],
    ["nonce", (good) => good.replace(/nonce="../, 'nonce="zz')],
    ["opaque", (good) => good.replace(/opaque="[0-9a-f]+", /, "")],
    ["seq", (good) => good.replace(/seq=9, /, "")],
    ["seq", (good) => good.replace("seq=9", "seq=09")],
    ["seq", (good) => good.replace("seq=9", "seq=-1")],
    ["seq", (good) => good.replace("seq=9", "seq=65535")],
    ["seq", (good) => good.replace("seq=9", "seq=NONE")],
    ["seq", (good) => good.replace("seq=9", "seq=9, seq=9")],
    ["token", (good) => good.replace(/token="[0-9a-f]+", /, "")],
    ["token", (good) => good.replace("seq=9", "seq=none")],
    ["token", (good) => good.replace(/token="../, 'token="')],
    ["uri", (good) => good.replace(/uri="[^"]+", /, "")],
    ["uri", (good) => good.replace('uri="sip:bob@', 'uri="sip:carol@')],
    ["response", (good) => good.replace(/, response="[0-9a-f]+"/, "")],
    ["response", (good) => good.replace(/response=".{40}"/, 'response="00"')],
    ["qop", (good) => `${good}, qop=auth-int`],
    ["qop", (good) => `${good}, qop=auth`],
    ["opaque", (good) => good.replace(/opaque="/, 'opaque="\u0001')],
    ["uri", (good) => good.replace('uri="sip:bob', 'uri="sip:bo\r\n b')],
    ["response", (good) => good.slice(0, -1)],
  ];
  for (const [field, spoil] of cases) {
    const answer = bench.send(() => spoil(bench.craft({ seq: 9 })));
    assertMatch(firstLine(answer), new RegExp(`^SIP/2\\.0 400 Bad Request \\(.*${field}`), spoil("…"));
    assertEquals(headers(answer, "Proxy-Authenticate"), []);
  }
  assertEquals(bench.dbclient.asked.length, 1);
  assertEquals(statusOf(bench.try({ seq: 9 })), 0); // Nothing of it has touched the chain.
});

Deno.test("PC: a seq beyond the chain is malformed only with a right MAC (docs/PROTOCOL.md §6)", () => {
  const bench = new Bench();
  bench.assertBare(bench.send(() => bench.craft({ seq: 9 }).replace("seq=9", "seq=10")), false);
  const right = bench.craft({ seq: 10, changes: { token: new Uint8Array(20) } });
  assert(right.includes("seq=10"));
  const answer = bench.try({ seq: 10, changes: { token: new Uint8Array(20) } });
  assertMatch(firstLine(answer), /^SIP\/2\.0 400 Bad Request \(.*seq/);
});

Deno.test("PC: values in either spelling count: hexadecimal in capitals, unquoted, unknown parameters", () => {
  const bench = new Bench();
  const capitals = (good: string) =>
    good.replace(
      /(nonce|opaque|token|response)="([0-9a-f]+)"/g,
      (_, name, hex) => `${name}="${hex.toUpperCase()}"`,
    );
  assertEquals(statusOf(bench.send(() => capitals(bench.craft({ seq: 9 })))), 0);
  const bare = (good: string) =>
    `${good.replace(/(nonce|opaque|token|response)="([0-9a-f]+)"/g, "$1=$2")}, x="y", z=1`;
  assertEquals(statusOf(bench.send(() => bare(bench.craft({ seq: 8 })))), 0);
  assertEquals(
    statusOf(bench.send(() => bench.craft({ seq: 7 }).replaceAll(", ", ",\r\n\t").replace("PC", "pc"))),
    0,
  );
});

Deno.test("PC: another nonce, opaque or algorithm is stale", () => {
  const bench = new Bench();
  const other = "ab".repeat(16);
  bench.assertBare(bench.try({ seq: 9, changes: { nonce: other } }), true);
  bench.assertBare(bench.try({ seq: 9, changes: { opaque: "ab".repeat(8) } }), true);
  bench.assertBare(
    bench.try({
      seq: 9,
      changes: { algorithm: "MD5", token: new Uint8Array(16), response: new Uint8Array(16) },
    }),
    true,
  );
  assertEquals(bench.dbclient.asked.length, 1);
});

Deno.test("PC: a credential past its time is expired; the challenge is from a new one", () => {
  const bench = new Bench(["--prefetching", "0"]);
  const old = bench.credential;
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
  bench.runTo(3_599_990);
  bench.take();
  assertEquals(statusOf(bench.try({ seq: 8 })), 0);
  bench.now = 3_600_000; // To the millisecond; nothing has aged yet.
  const answer = bench.try({ seq: 7 }, old);
  bench.assertBare(answer, true);
  assertNotEquals(challengeOf(answer).nonce, toHex(old.nonce));
});

Deno.test("PC: a wrong MAC is bad_response, with a bare challenge and an untouched chain", () => {
  const bench = new Bench();
  bench.assertBare(bench.try({ seq: 9, changes: { response: new Uint8Array(20) } }), false);
  // The MAC binds method, URI, seq, Call-ID and CSeq.
  bench.assertBare(bench.try({ seq: 9, method: "BYE" }), false);
  bench.assertBare(bench.try({ seq: 9, callId: "other" }), false);
  bench.assertBare(bench.send(() => craftAnswer(bench.credential, bench.opaque, { seq: 9, cseq: 1 })), false);
  bench.assertBare(bench.send(() => bench.craft({ seq: 9 }).replace("seq=9", "seq=8")), false);
  bench.assertBare(bench.try({ seq: "none", changes: { response: new Uint8Array(20) } }), false);
  // Somebody with another password has another K.
  const caller = new PcCaller("alice", "wrong");
  const first = bench.ask(caller.request("INVITE"));
  bench.assertBare(bench.ask(caller.again(first, "INVITE")), false);
  assertEquals(bench.dbclient.asked.length, 1);
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
});

Deno.test("PC: a wrong token with a right MAC is bad_token, guided", () => {
  const bench = new Bench();
  bench.assertGuided(bench.try({ seq: 9, changes: { token: new Uint8Array(20) } }), 9);
  assertEquals(statusOf(bench.try({ seq: 7 })), 0);
  bench.assertGuided(bench.try({ seq: 6, changes: { token: new Uint8Array(20) } }), 6);
});

Deno.test("PC: a token again is replayed, guided; one that was skipped is good once, for reorder_ms", () => {
  const bench = new Bench();
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
  bench.assertGuided(bench.try({ seq: 9 }), 8);
  assertEquals(statusOf(bench.try({ seq: 5 })), 0);
  assertEquals(statusOf(bench.try({ seq: 7 })), 0);
  bench.assertGuided(bench.try({ seq: 7 }), 4);
  bench.runTo(4990);
  bench.take();
  assertEquals(statusOf(bench.try({ seq: 8 })), 0);
  bench.runTo(5010);
  bench.take();
  bench.assertGuided(bench.try({ seq: 6 }), 4);
});

Deno.test("PC: out_of_range is guided from the new credential, with its K", () => {
  const bench = new Bench(["--max_skip", "3"]);
  bench.runTo(2000);
  bench.take();
  const old = bench.credential;
  const answer = bench.try({ seq: 6 });
  assertNotEquals(bench.credential, old);
  bench.assertGuided(answer, 9);
  assertEquals(statusOf(bench.try({ seq: 7 }, old)), 0); // The older one serves on.
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
});

Deno.test("PC: renew takes a new credential and challenges with it; the old one becomes the older of the two", () => {
  const bench = new Bench();
  bench.runTo(2000);
  bench.take();
  const old = bench.credential;
  const answer = bench.try({ seq: "none" });
  assertNotEquals(bench.credential, old);
  bench.assertBare(answer, false);
  // Asked through the older one, the newest is there already.
  bench.assertBare(bench.try({ seq: "none" }, old), false);
  assertEquals(bench.dbclient.asked.length, 2);
});

Deno.test("PC: a user's wishes cause one question in 2 s, then 503 with Retry-After", () => {
  const bench = new Bench();
  bench.runTo(1990); // The challenge at 0 was a question too.
  bench.take();
  let answer = bench.try({ seq: "none" });
  assertEquals([statusOf(answer), header(answer, "Retry-After")], [503, "2"]);
  bench.runTo(2000);
  bench.take();
  assertEquals(statusOf(bench.try({ seq: "none" })), 407);
  answer = bench.try({ seq: "none" });
  assertEquals(statusOf(answer), 503);
  assertEquals(bench.dbclient.asked.length, 2);
});

Deno.test("PC: who lacks K cannot make the proxy ask for new credentials", () => {
  const bench = new Bench();
  bench.runTo(60_000);
  bench.take();
  for (let i = 0; i < 20; i++) bench.try({ seq: "none", changes: { response: new Uint8Array(20) } });
  assertEquals(bench.dbclient.asked.length, 1);
});

Deno.test("PC: forbidden is 403 before any look-up, whatever else the answer is", () => {
  const harness = new ProxyHarness();
  for (
    const value of [
      'PC username="bob", realm="example.com"',
      'PC realm="example.com", username="ALICE", seq=x',
    ]
  ) {
    const answer = harness.ask(request("INVITE", { headers: [`Proxy-Authorization: ${value}`] }));
    assertEquals(statusOf(answer), 403);
  }
  assertEquals(harness.dbclient.asked, []);
  const bench = new Bench();
  assertEquals(statusOf(bench.send(() => bench.craft({ seq: 9 }), { from: "<sip:bob@example.com>" })), 403);
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
});

Deno.test("PC: unavailable is 503 with Retry-After; what is in memory goes on", () => {
  const harness = new ProxyHarness();
  harness.dbclient.mode = "fail";
  let answer = harness.ask(request("INVITE"));
  assertEquals([firstLine(answer), header(answer, "Retry-After")], ["SIP/2.0 503 Service Unavailable", "5"]);
  harness.dbclient.mode = "answer";
  const caller = new PcCaller();
  forwardedCall(harness, caller);
  harness.dbclient.mode = "fail";
  harness.dbclient.connected = false;
  for (let left = 9; left > 0; left--) {
    answer = harness.ask(caller.request("INVITE"));
    if (statusOf(answer) === 407) answer = harness.ask(caller.again(answer, "INVITE"));
    assertEquals(statusOf(answer), 0, `${left} tokens left`);
  }
  answer = harness.ask(caller.request("INVITE"));
  assertEquals([statusOf(answer), headers(answer, "Retry-After").length], [503, 1]);
});

Deno.test("PC: answers for other realms and other schemes are another proxy's", () => {
  const bench = new Bench();
  const foreign = [
    'PC username="mallory", realm="elsewhere.org", seq=x',
    'PC username="mallory"',
    'Digest username="mallory", realm="elsewhere.org", nonce="1"',
    'PC username="mallory", realm="EXAMPLE.COM"',
  ];
  bench.assertBare(bench.send(() => foreign), false);
  const forwarded = bench.send(() => [foreign[0], bench.craft({ seq: 9 }), ...foreign.slice(1)]);
  assertEquals(statusOf(forwarded), 0);
  assertEquals(headers(forwarded, "Proxy-Authorization"), foreign);
});

Deno.test("PC: of several answers for our realm the live one counts; none live is stale", () => {
  const bench = new Bench();
  const dead = () => bench.craft({ seq: 9, changes: { nonce: "ab".repeat(16) } });
  const broken = 'PC realm="example.com", username="alice", seq=x';
  assertEquals(statusOf(bench.send(() => [dead(), bench.craft({ seq: 9 }), broken])), 0);
  bench.assertBare(bench.send(() => [dead(), dead()]), true);
  bench.assertBare(bench.send(() => [broken, broken]), true);
  const wrong = bench.send(
    () => [dead(), bench.craft({ seq: 8, changes: { response: new Uint8Array(20) } })],
  );
  bench.assertBare(wrong, false);
  assertEquals(
    statusOf(bench.send(() => [bench.craft({ seq: 8 }), 'PC realm="example.com", username="bob"'])),
    403,
  );
});

Deno.test("PC: the live one of several is judged: for another Request-URI it is malformed", () => {
  const bench = new Bench();
  const dead = () => bench.craft({ seq: 9, changes: { nonce: "ab".repeat(16) } });
  const answer = bench.send(() => [dead(), bench.craft({ seq: 9, uri: "sip:carol@example.com" })]);
  assertMatch(firstLine(answer), /^SIP\/2\.0 400 .*uri/);
});

Deno.test("PC: two live answers are malformed, and use no token", () => {
  const bench = new Bench();
  bench.runTo(2000);
  bench.take();
  const older = bench.credential;
  bench.try({ seq: "none" });
  const answer = bench.send(() => [bench.craft({ seq: 9 }), bench.craft({ seq: 9 }, older)]);
  assertMatch(firstLine(answer), /^SIP\/2\.0 400 Bad Request \(.*two/);
  assertEquals(statusOf(bench.send(() => [bench.craft({ seq: 9 }), bench.craft({ seq: 9 })])), 400);
  assertEquals(statusOf(bench.try({ seq: 9 })), 0);
  assertEquals(statusOf(bench.try({ seq: 9 }, older)), 0);
});

Deno.test("PC: a third credential ends the first", () => {
  const bench = new Bench();
  const first = bench.credential;
  for (const time of [2000, 4000]) {
    bench.runTo(time);
    bench.take();
    bench.try({ seq: "none" });
  }
  bench.assertBare(bench.try({ seq: 9 }, first), true);
});

Deno.test("PC: a credential that is used up is never offered, and an unproven request gets the next", () => {
  const harness = new ProxyHarness(["--prefetching", "0"]);
  harness.dbclient.n = 1;
  const caller = new PcCaller();
  forwardedCall(harness, caller);
  const before = harness.dbclient.issued.length;
  const answer = harness.ask(request("INVITE"));
  assertEquals(statusOf(answer), 407);
  assertEquals(harness.dbclient.issued.length, before + 1);
  assertEquals(challengeOf(answer).nonce, toHex(harness.dbclient.issued.at(-1)!.nonce));
});

Deno.test("PC: with a chain of one link a replay is guided from the next credential", () => {
  const bench = new Bench(["--prefetching", "0"], 1);
  const spent = bench.credential;
  assertEquals(statusOf(bench.try({ seq: 0 })), 0);
  const answer = bench.try({ seq: 0 }, spent);
  assertNotEquals(bench.credential, spent);
  bench.assertGuided(answer, 0);
});

Deno.test("PC: auth-int is offered, required, and binds the body", () => {
  const bench = new Bench(["--auth_int"]);
  const sdp = "v=0\r\n";
  assertStringIncludes(header(bench.ask(request("INVITE")), "Proxy-Authenticate"), 'qop="auth-int"');
  assertEquals(statusOf(bench.send(() => bench.craft({ seq: 9, body: sdp }), { body: sdp })), 0);
  assertEquals(statusOf(bench.send(() => bench.craft({ seq: 8, body: "" }))), 0); // No body: the empty string.
  bench.assertBare(bench.send(() => bench.craft({ seq: 7, body: sdp }), { body: "v=1\r\n" }), false);
  assertMatch(firstLine(bench.send(() => bench.craft({ seq: 7 }), { body: sdp })), /^SIP\/2\.0 400 .*qop/);
  const caller = new PcCaller();
  const first = bench.ask(caller.request("INVITE", { body: sdp }));
  assertEquals(statusOf(bench.ask(caller.again(first, "INVITE", { body: sdp }))), 407); // Tokens 9 and 8 are gone: guided.
});

Deno.test("PC: an alias answers under its own user name", () => {
  const harness = new ProxyHarness(["--from_alias", "+4930123=alice"]);
  const caller = new PcCaller();
  const parts = { from: "<sip:+4930123@example.com>" };
  const { forwarded } = forwardedCall(harness, caller, parts);
  assertEquals(header(forwarded, "From"), "<sip:+4930123@example.com>;tag=a1");
  assertEquals(harness.dbclient.asked, [["alice@example.com"]]);
  const bob = harness.ask(request("INVITE", {
    from: "<sip:+4930123@example.com>",
    headers: ['Proxy-Authorization: PC realm="example.com", username="bob"'],
  }));
  assertEquals(statusOf(bob), 403);
});

Deno.test("PC: check_from 0 lets a user answer under any From, for the user of the answer", () => {
  const harness = new ProxyHarness(["--check_from", "0"]);
  const caller = new PcCaller();
  const parts = { from: "<sip:reception@example.com>" };
  const first = harness.ask(caller.request("INVITE", parts));
  assertEquals(harness.dbclient.asked.flat(), ["reception@example.com"]);
  const second = harness.ask(caller.again(first, "INVITE", parts));
  assertEquals(challengeOf(second).stale, true); // That was another user's credential.
  assertEquals(harness.dbclient.asked.flat(), ["reception@example.com", "alice@example.com"]);
  assertEquals(statusOf(harness.ask(caller.again(second, "INVITE", parts))), 0);
});

Deno.test("PC: a user name of any length or letters is survived with check_from 0", () => {
  const harness = new ProxyHarness(["--check_from", "0"]);
  for (const name of ["x".repeat(5000), "", "\ud83d\ude00", 'a\\"b']) {
    const line = `Proxy-Authorization: PC realm="example.com", username="${name}", seq=x`;
    const one = statusOf(harness.ask(request("INVITE", { headers: [line] })));
    const two = statusOf(harness.ask(request("INVITE", { headers: [line, line] })));
    assert([400, 407, 503].includes(one), `${one}`);
    assert([400, 407, 503].includes(two), `${two}`);
  }
});

Deno.test("PC: names that no user can have are not asked for", () => {
  const harness = new ProxyHarness();
  const long = harness.ask(request("INVITE", { from: `<sip:${"x".repeat(257)}@example.com>` }));
  assertEquals(statusOf(long), 400);
  assertEquals(statusOf(harness.ask(request("INVITE", { from: "<sip:a%0ab@example.com>" }))), 400);
  assertEquals(statusOf(harness.ask(request("INVITE", { from: "<sip:a%ffb@example.com>" }))), 400);
  assertEquals(harness.dbclient.asked, []);
});

Deno.test("PC: names are compared byte for byte, after unescaping", () => {
  const harness = new ProxyHarness();
  harness.ask(request("INVITE", { from: "<sip:ALICE@example.com>" }));
  harness.ask(request("INVITE", { from: "<sip:%61lice@EXAMPLE.com>" }));
  harness.ask(request("INVITE", { from: "<sip:alice:password@example.com>" }));
  assertEquals(harness.dbclient.asked.flat(), ["ALICE@example.com", "alice@example.com"]);
});

Deno.test("PC: a user that does not exist looks like one that does (docs/PROTOCOL.md §8)", () => {
  const shape = (text: string) =>
    text.replace(/tag=[0-9a-f]{16}/g, "tag").replace(/[0-9a-f]{32}/g, "N").replaceAll("nobody", "alice")
      .replace(/branch=\S+/g, "branch");
  const seen = ["alice", "nobody"].map((name) => {
    const harness = new ProxyHarness();
    const caller = new PcCaller(name, "guess");
    const first = harness.ask(caller.request("INVITE"));
    const second = harness.ask(caller.again(first, "INVITE"));
    const malformed = harness.ask(request("INVITE", {
      from: `<sip:${name}@example.com>`,
      headers: [`Proxy-Authorization: PC realm="example.com", username="${name}"`],
      cseq: 5,
    }));
    return {
      texts: [first, second, malformed].map(shape),
      asked: harness.dbclient.asked.length,
      logs: harness.logs,
    };
  });
  assertEquals(seen[1], seen[0]);
});

Deno.test("PC: a REGISTER is challenged with 401 and shares the chain", () => {
  const harness = new ProxyHarness(["--auth_methods", "INVITE,REGISTER"]);
  const caller = new PcCaller("alice", "secret", 9, "Authorization");
  const parts = { uri: "sip:example.com" };
  const first = harness.ask(caller.request("REGISTER", parts));
  assertEquals(firstLine(first), "SIP/2.0 401 Unauthorized");
  assertEquals([headers(first, "WWW-Authenticate").length, headers(first, "Proxy-Authenticate").length], [
    1,
    0,
  ]);
  const register = caller.again(first, "REGISTER", parts);
  const forwarded = harness.ask(register);
  assertEquals(firstLine(forwarded), "REGISTER sip:example.com SIP/2.0");
  assertEquals(headers(forwarded, "Authorization"), []);
  harness.receive(response(forwarded, 200), CALLED);
  const ok = harness.takeOne();
  assertEquals([headers(ok, "Authentication-Info").length, headers(ok, "Proxy-Authentication-Info").length], [
    1,
    0,
  ]);
  assertEquals(caller.confirm(ok), "confirmed");
  // The same token in the other family of headers is the same token.
  const replay = header(register, "Authorization");
  assertEquals(
    challengesOf(harness.ask(request("INVITE", { headers: [`Authorization: ${replay}`] }))).length,
    1,
  );
  assertEquals(challengeOf(harness.ask(request("INVITE"))).nonce, challengeOf(first).nonce);
});

Deno.test("PC: an answer in the wrong family of headers counts for nothing", () => {
  const bench = new Bench();
  const good = craftAnswer(bench.credential, bench.opaque, { seq: 9, cseq: 7 });
  bench.assertBare(bench.ask(request("INVITE", { cseq: 7, headers: [`Authorization: ${good}`] })), false);
});

Deno.test("PC: the final response proves the proxy, failures too; provisional ones carry nothing", () => {
  for (const status of [200, 302, 404, 486, 603]) {
    const harness = new ProxyHarness();
    const caller = new PcCaller();
    const { forwarded } = forwardedCall(harness, caller);
    harness.take();
    harness.receive(response(forwarded, 180), CALLED);
    assertEquals(infosOf(harness.takeOne()), []);
    harness.receive(response(forwarded, status), CALLED);
    const final = harness.take().find(({ to }) => to.port === PHONE.port)!.text;
    assertEquals([statusOf(final), caller.confirm(final)], [status, "confirmed"]);
    assertMatch(
      header(final, "Proxy-Authentication-Info"),
      /^PC realm="example\.com", nonce="[0-9a-f]{32}", seq=9, rspauth="[0-9a-f]{40}"$/,
    );
  }
});

Deno.test("PC: the proxy's own final responses to an accepted request prove it too", () => {
  const harness = new ProxyHarness();
  const caller = new PcCaller();
  forwardedCall(harness, caller);
  harness.take();
  harness.runTo(40_000);
  const timeout = harness.take().find(({ text }) => statusOf(text) === 408)!.text;
  assertEquals(caller.confirm(timeout), "confirmed");
});

Deno.test("PC: --confirm 0 leaves the confirmation out", () => {
  const harness = new ProxyHarness(["--confirm", "0"]);
  const { forwarded } = forwardedCall(harness, new PcCaller());
  harness.take();
  harness.receive(response(forwarded, 200), CALLED);
  assertEquals(infosOf(harness.takeOne()), []);
});

Deno.test("PC: the next credential is announced from when it is there until a token of it was accepted", () => {
  const harness = new ProxyHarness();
  harness.dbclient.n = 2;
  const caller = new PcCaller();
  /** One call; what its confirmation announces. Challenges are counted. */
  let challenged = 0;
  const call = (agent: PcCaller): string | undefined => {
    let answer = harness.ask(agent.request("INVITE"));
    for (; statusOf(answer) === 407; challenged++) answer = harness.ask(agent.again(answer, "INVITE"));
    harness.take();
    harness.receive(response(answer, 200), CALLED);
    const ok = harness.takeOne();
    assertEquals(agent.confirm(ok), "confirmed");
    return infosOf(ok)[0].next?.nonce;
  };
  assertEquals(call(caller), undefined); // i = 1: low water; the prefetcher comes a second later.
  assertEquals(challenged, 1);
  harness.runTo(1500);
  harness.take();
  const next = call(caller);
  assertEquals(next, toHex(harness.dbclient.issued[1].nonce));
  assertEquals(call(caller), undefined); // The first token of the next: announced no more.
  assertEquals(challenged, 1);
  assertEquals(harness.dbclient.asked.flat().length, 2);
});

Deno.test("PC: a retransmission is not verified again", () => {
  const bench = new Bench();
  bench.cseq = 2;
  const invite = request("INVITE", { cseq: 2, headers: [`Proxy-Authorization: ${bench.craft({ seq: 9 })}`] });
  assertEquals(statusOf(bench.ask(invite)), 0);
  bench.receive(invite);
  bench.receive(invite);
  assertEquals(bench.takeLines(), ["5070 SIP/2.0 100 Trying", "5070 SIP/2.0 100 Trying"]);
  // With another branch it is another request (docs/PROTOCOL.md §6).
  const forked = invite.replace(/branch=\S+/, "branch=z9hG4bKforked");
  bench.assertGuided(bench.ask(forked), 8);
});

Deno.test("PC: misses are limited per source and in total, the same for every name", () => {
  const harness = new ProxyHarness(["--miss_limit_per_source", "2", "--miss_limit", "3"]);
  const ask = (name: string, from = STRANGER) =>
    statusOf(
      harness.ask(
        request("INVITE", {
          from: `<sip:${name}@example.com>`,
          via: `SIP/2.0/UDP h;rport;branch=z9hG4bK${name}${from.port}`,
        }),
        from,
      ),
    );
  assertEquals([ask("x1"), ask("x2"), ask("x3"), ask("alice")], [407, 407, 503, 503]);
  assertEquals([ask("x1"), ask("x2")], [407, 407].map(() => 407)); // From memory (and a retransmission).
  assertEquals(ask("alice", PHONE), 407);
  assertEquals(ask("bob", PHONE), 503);
  harness.runTo(1000);
  harness.take();
  assertEquals(ask("carol", PHONE), 407);
});

Deno.test("PC: a miss that is refused pushes nobody out of the cache", () => {
  const harness = new ProxyHarness(["--max_users", "8", "--miss_limit_per_source", "1"]); // two unverified users
  const caller = new PcCaller();
  const first = harness.ask(caller.request("INVITE"));
  for (let i = 0; i < 100; i++) {
    harness.ask(
      request("INVITE", {
        from: `<sip:made-up-${i}@example.com>`,
        via: `SIP/2.0/UDP h;rport;branch=z9hG4bK${i}`,
      }),
      STRANGER,
    );
  }
  assertEquals(statusOf(harness.ask(caller.again(first, "INVITE"))), 0);
});

Deno.test("PC: a name whose credential could not be had is limited as a miss each time", () => {
  const harness = new ProxyHarness(["--miss_limit_per_source", "5", "--prefetching", "0"]);
  harness.dbclient.mode = "fail";
  for (let i = 0; i < 50; i++) assertEquals(statusOf(harness.ask(request("INVITE"))), 503);
  assertEquals(harness.dbclient.asked.length, 5);
});

Deno.test("PC: many requests of one user while its credential is on the way are one question", () => {
  const harness = new ProxyHarness();
  harness.dbclient.mode = "hold";
  for (let i = 0; i < 20; i++) harness.receive(request("INVITE", { callId: `call-${i}` }));
  assertEquals(harness.takeLines(), []);
  assertEquals(harness.dbclient.asked, [["alice@example.com"]]);
  harness.release();
  const sent = harness.take().map(({ text }) => text);
  assertEquals(sent.map(statusOf), new Array(20).fill(407));
  assertEquals(new Set(sent.map((text) => header(text, "Call-ID"))).size, 20);
});

Deno.test("PC: no log line tells of tokens, keys or passwords", () => {
  const bench = new Bench();
  bench.try({ seq: 9 });
  bench.try({ seq: 9 });
  bench.try({ seq: 8, changes: { token: new Uint8Array(20) } });
  assertEquals(bench.logs, []);
  assertEquals(
    bench.refusals.map((line) => JSON.parse(line.slice(line.indexOf("{")))),
    [
      "replayed",
      "bad_token",
    ].map((reason) => ({
      reason,
      source: "udp:192.0.2.10:5070",
      method: "INVITE",
      user: "alice",
      realm: "example.com",
    })),
  );
});

Deno.test("PC: without check_from a user name that cannot be is malformed, and does not reach the cache", () => {
  const harness = new ProxyHarness(["--check_from", "0"]);
  for (const [name, reason] of [["x".repeat(300), "is too long"], ["a\\\u0001b", "control character"]]) {
    const answer = `Proxy-Authorization: PC username="${name}", realm="example.com", nonce="00"`;
    const refused = harness.ask(request("INVITE", { headers: [answer] }));
    assertEquals(statusOf(refused), 400, reason);
  }
  assertEquals(harness.proxy.statistics().users, 0);
});
