/**
 * What Digest costs each side, without network and database:
 *
 *     deno bench bench/digest_bench.ts
 */
import {
  answerDigest,
  DIGEST_ALGORITHMS,
  digestHa1,
  DigestHasher,
  digestMatches,
  DigestNonces,
  DigestServer,
  loadHashBackend,
  NonceUses,
  parseAuth,
  parseDigestAnswer,
  parseDigestChallenge,
  seededRandom,
  selectDigest,
} from "../mod.ts";

const REALM = "example.com";
const request = { method: "INVITE", uri: "sip:bob@example.com" };
const { backend } = await loadHashBackend();
const hasher = new DigestHasher(backend);
const random = seededRandom(1);
const nonces = new DigestNonces({ hash: backend.get("SHA-256"), key: random.bytes(32), realm: REALM });
const uses = new NonceUses({ lifetimeMs: nonces.lifetimeMs });

for (const algorithm of DIGEST_ALGORITHMS) {
  const server = new DigestServer({ realm: REALM, algorithms: [algorithm], nonces, uses });
  const ha1 = digestHa1(hasher, algorithm, "alice", REALM, "secret");
  const credentials = { username: "alice", ha1: { [algorithm]: ha1 } };
  const challenge = selectDigest(
    server.challenges(0, random).map((text) => parseDigestChallenge(parseAuth(text))),
  );
  if (challenge === undefined) throw new Error("no challenge");
  const text = answerDigest(hasher, challenge, credentials, request, "0a4f113b", 1);
  const parsed = parseAuth(text);
  const finding = server.examine([parsed], request.uri, 1);
  if (finding.verdict !== "check") throw new Error(`the answer is ${finding.verdict}`);
  const { answer } = finding;
  const input = { ...answer, ...answer.protection, method: request.method };
  const group = algorithm;

  Deno.bench({ name: `challenge ${algorithm}`, group, fn: () => void server.challenges(0, random) });
  Deno.bench({
    name: `answer a challenge ${algorithm}`,
    group,
    fn: () => void answerDigest(hasher, challenge, credentials, request, "0a4f113b", 1),
  });
  Deno.bench({
    name: `parse an answer ${algorithm}`,
    group,
    fn: () => void parseDigestAnswer(parseAuth(text)),
  });
  Deno.bench({
    name: `examine (parse, nonce, nc, uri) ${algorithm}`,
    group,
    fn: () => void server.examine([parsed], request.uri, 1),
  });
  Deno.bench({
    name: `check a response ${algorithm}`,
    group,
    baseline: true,
    fn() {
      if (!digestMatches(hasher, ha1, input, answer.response)) {
        throw new Error("a right response was refused");
      }
    },
  });
}
