import { isMalformed } from "../sip/auth_fields.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { loadHashBackend } from "../hash/select.ts";
import { seededRandom } from "../random.ts";
import { type AuthHeader, parseAuth } from "../sip/auth_params.ts";
import { DIGEST_ALGORITHMS, DigestHasher } from "./algorithms.ts";
import { answerDigest, type DigestCredentials, type DigestRequest, selectDigest } from "./client.ts";
import { type DigestChallenge, parseDigestAnswer, parseDigestChallenge } from "./digest_header.ts";
import { DIGEST_VERDICTS } from "./digest_verdict.ts";
import { DigestNonces } from "./nonce.ts";
import { NonceUses } from "./nonce_uses.ts";
import { digestHa1, digestMatches } from "./response.ts";
import { DigestServer, type DigestServerOptions } from "./server.ts";

const { backend } = await loadHashBackend();
const hasher = new DigestHasher(backend);
const random = seededRandom(4);
const REALM = "example.com";
const ALICE: DigestCredentials = { username: "alice", password: "secret" };
const INVITE: DigestRequest = { method: "INVITE", uri: "sip:bob@example.com" };
const LIFETIME = 10_000;

function newServer(options: Partial<DigestServerOptions> = {}): DigestServer {
  const nonces = new DigestNonces({
    hash: backend.get("SHA-256"),
    key: random.bytes(32),
    realm: REALM,
    lifetimeMs: LIFETIME,
  });
  const uses = new NonceUses({ lifetimeMs: LIFETIME });
  return new DigestServer({ realm: REALM, nonces, uses, ...options });
}

function challengesOf(server: DigestServer, now = 0): DigestChallenge[] {
  return server.challenges(now, random).map((text) => {
    const challenge = parseDigestChallenge(parseAuth(text));
    assert(!isMalformed(challenge));
    return challenge;
  });
}

const answerTo = (challenge: DigestChallenge, nc = 1, request = INVITE, credentials = ALICE): AuthHeader =>
  parseAuth(answerDigest(hasher, challenge, credentials, request, "c0ffee", nc));

Deno.test("challenge, answer, check and acceptance, for every algorithm and qop", () => {
  for (const algorithm of DIGEST_ALGORITHMS) {
    for (const qop of ["none", "auth", "auth-int"] as const) {
      const server = newServer({ algorithms: [algorithm], qops: [qop] });
      const [challenge] = challengesOf(server);
      assertEquals(challenge.qops, qop === "none" ? [] : [qop]);
      const request = { ...INVITE, body: new TextEncoder().encode("v=0\r\n") };
      const finding = server.examine([answerTo(challenge, 1, request)], request.uri, 10);
      assert(finding.verdict === "check");
      const { answer } = finding;
      const bodyHash = hasher.bytes(algorithm, request.body);
      const input = { ...answer, ...answer.protection, method: "INVITE", bodyHash };
      const ha1 = digestHa1(hasher, algorithm, "alice", REALM, "secret");
      assert(digestMatches(hasher, ha1, input, answer.response));
      assert(!digestMatches(hasher, ha1, { ...input, method: "BYE" }, answer.response));
      const other = { ...input, bodyHash: hasher.bytes(algorithm, new Uint8Array(0)) };
      assertEquals(digestMatches(hasher, ha1, other, answer.response), qop !== "auth-int");
      const wrong = digestHa1(hasher, algorithm, "alice", REALM, "Secret");
      assert(!digestMatches(hasher, wrong, input, answer.response));
      // HA1 instead of the password gives the same answer.
      const known = { username: "alice", ha1: { [algorithm]: ha1 } };
      assertEquals(parseDigestAnswer(answerTo(challenge, 1, request, known)), answer);
      assertEquals(server.accept(answer, 20), "ok");
      assertEquals(server.accept(answer, 20), "replayed");
    }
  }
});

Deno.test("a nonce is used with rising nc until it is stale", () => {
  const server = newServer();
  const [challenge] = challengesOf(server);
  for (const nc of [1, 2, 5, 3]) {
    const finding = server.examine([answerTo(challenge, nc)], INVITE.uri, 100);
    assert(finding.verdict === "check");
    assertEquals(server.accept(finding.answer, 100), "ok");
  }
  for (const nc of [1, 3, 5]) {
    assertEquals(server.examine([answerTo(challenge, nc)], INVITE.uri, 100).verdict, "replayed");
  }
  assertEquals(server.examine([answerTo(challenge, 6)], INVITE.uri, LIFETIME).verdict, "stale");
});

Deno.test("a nonce may grow stale while its answer is being checked", () => {
  const server = newServer();
  const finding = server.examine([answerTo(challengesOf(server)[0])], INVITE.uri, LIFETIME - 1);
  assert(finding.verdict === "check");
  assertEquals(server.accept(finding.answer, LIFETIME), "stale");
});

Deno.test("an answer that was not accepted uses nothing, nor does examining", () => {
  const uses = new NonceUses({ lifetimeMs: LIFETIME });
  const server = newServer({ uses });
  const answer = answerTo(challengesOf(server)[0]);
  for (let i = 0; i < 3; i++) assertEquals(server.examine([answer], INVITE.uri, 5).verdict, "check");
  assertEquals(uses.size, 0);
});

Deno.test("many challenges are outstanding without state", () => {
  const uses = new NonceUses({ lifetimeMs: LIFETIME });
  const server = newServer({ uses });
  const challenges = Array.from({ length: 1000 }, (_, i) => challengesOf(server, i)[0]);
  assertEquals(uses.size, 0);
  for (const challenge of challenges) {
    assertEquals(server.examine([answerTo(challenge)], INVITE.uri, 1000).verdict, "check");
  }
});

Deno.test("a nonce of another run is bad_nonce", () => {
  const [challenge] = challengesOf(newServer());
  assertEquals(newServer().examine([answerTo(challenge)], INVITE.uri, 5).verdict, "bad_nonce");
});

Deno.test("other schemes and realms are not ours; of ours the first in order counts", () => {
  const server = newServer();
  const [challenge] = challengesOf(server);
  const good = answerTo(challenge);
  const pc = parseAuth('PC username="alice", realm="example.com"');
  const foreign = parseAuth('Digest username="alice", realm="example.org"');
  const broken = parseAuth('Digest username="alice", realm="example.com"');
  const verdict = (...headers: AuthHeader[]): string => server.examine(headers, INVITE.uri, 5).verdict;
  assertEquals(verdict(), "no_credentials");
  assertEquals(verdict(pc, foreign), "no_credentials");
  assertEquals(verdict(pc, foreign, good), "check");
  assertEquals(verdict(broken), "malformed");
  assertEquals(verdict(broken, good), "check");
});

Deno.test("what was not asked for is malformed, with its field", () => {
  const server = newServer({ algorithms: ["SHA-256"] });
  const [challenge] = challengesOf(server);
  const fault = (changes: Partial<DigestChallenge>, uri = INVITE.uri, asked = server): string => {
    const finding = asked.examine([answerTo({ ...challenge, ...changes })], uri, 5);
    return finding.verdict === "malformed" ? `${finding.field} ${finding.problem}` : finding.verdict;
  };
  assertEquals(fault({}), "check");
  assertEquals(fault({ algorithm: "MD5" }), "algorithm was not offered");
  assertEquals(fault({ qops: [] }), "qop is missing");
  assertEquals(fault({ qops: ["auth-int"] }), "qop was not offered");
  assertEquals(fault({ userhash: true }), "userhash was not offered");
  assertEquals(fault({}, "sip:carol@example.com"), "uri is not the Request-URI");
  assertEquals(fault({}, "sip:bob@EXAMPLE.com"), "uri is not the Request-URI");
  const sameUri = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  const lenient = newServer({ algorithms: ["SHA-256"], sameUri });
  const [its] = challengesOf(lenient);
  assertEquals(fault(its, "sip:bob@EXAMPLE.com", lenient), "check");
  assertEquals(fault(its, "sip:carol@example.com", lenient), "uri is not the Request-URI");
});

Deno.test("RFC 8760 §2.3: several algorithms are several challenges, in the server's order", () => {
  const server = newServer({ algorithms: ["SHA-512-256", "SHA-256", "MD5"] });
  const texts = server.challenges(0, random, true);
  assertEquals(texts.length, 3);
  for (const [i, algorithm] of ["SHA-512-256", "SHA-256", "MD5"].entries()) {
    assertStringIncludes(texts[i], `algorithm=${algorithm}, qop="auth", stale=true`);
  }
});

Deno.test("the client takes the strongest challenge that it can answer", () => {
  const server = newServer({ algorithms: ["MD5", "SHA-512-256", "SHA-256"] });
  const all = challengesOf(server);
  const unknown = parseDigestChallenge(parseAuth('Digest realm="example.com", nonce="n", algorithm=SHA-3'));
  assertEquals(selectDigest([unknown, ...all])?.algorithm, "SHA-512-256");
  const credentials = { username: "alice", ha1: { "MD5": "00", "SHA-256": "00" } };
  assertEquals(selectDigest(all, { credentials })?.algorithm, "SHA-256");
  assertEquals(selectDigest(all, { realm: "example.org" }), undefined);
  assertEquals(selectDigest(all.slice(0, 1), { weakest: "SHA-256" }), undefined);
  assertEquals(selectDigest(all.slice(0, 1))?.algorithm, "MD5");
  assertEquals(selectDigest([unknown]), undefined);
  assertEquals(selectDigest([{ ...all[0], nonce: "first" }, all[0]])?.nonce, "first");
});

Deno.test("the client prefers auth, and says what it lacks", () => {
  const [challenge] = challengesOf(newServer({ qops: ["auth-int", "auth"] }));
  const answer = parseDigestAnswer(answerTo(challenge));
  assert(!isMalformed(answer));
  assertEquals(answer.protection, { qop: "auth", nc: "00000001", count: 1, cnonce: "c0ffee" });
  assertThrows(() => answerTo(challenge, 1, INVITE, { username: "alice" }), TypeError, "no secret");
  assertThrows(() => answerTo(challenge, 0), RangeError, "nc 0");
  assertThrows(() => answerTo(challenge, 2 ** 32), RangeError);
});

Deno.test("every verdict has its answer", () => {
  for (const row of Object.values(DIGEST_VERDICTS)) {
    assertEquals(row.status !== undefined, row.answer === "refuse");
    assert(!row.stale || row.answer === "challenge");
  }
});
