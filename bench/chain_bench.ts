/**
 * What the PC scheme costs each side, without network and database (docs/PROTOCOL.md §11):
 *
 *     deno bench bench/chain_bench.ts
 *
 * The header of each group says what one iteration is. Baselines: SHA-1, the default, among algorithms; the response
 * MAC among MACs; Digest with MD5 among headers.
 */
import {
  acceptedMac,
  answerDigest,
  CHAIN_ALGORITHMS,
  challengeMac,
  DEFAULT_VERIFIER_POLICY,
  deriveCredential,
  digestHa1,
  DigestHasher,
  digestMatches,
  DigestNonces,
  DigestServer,
  ha1,
  ha1Algorithm,
  isMalformed,
  LiveCredential,
  loadHashBackend,
  NonceUses,
  parseAuth,
  parseAuthAt,
  parseDigestChallenge,
  parsePcAnswer,
  PcAgent,
  renewMac,
  responseMac,
  seededRandom,
  selectDigest,
  writePcAnswer,
  writePcChallenge,
} from "../mod.ts";

const LENGTHS = [10, 100, 1000];
const LIFE_MS = 3_600_000;
const OPAQUE = "0123456789abcdef";
const account = { username: "user000042", realm: "example.com", password: "5b1f0e6c9d" };
const challenged = { callId: "4711-0123456789abcdef@192.0.2.10", cseq: 1 };
const request = { ...challenged, cseq: 2, method: "INVITE", uri: "sip:service@example.com:5060" };
const { backend } = await loadHashBackend();
const random = seededRandom(1);
const encoder = new TextEncoder();
const next = { nonce: "00112233445566778899aabbccddeeff", chain: 10 };

for (const algorithm of CHAIN_ALGORITHMS) {
  const hash = backend.get(algorithm);
  const secret = ha1(backend.get(ha1Algorithm(algorithm)), account, account.password);
  const nonce = random.bytes(16);
  const of = { baseline: algorithm === "SHA-1" } as const;

  for (const n of LENGTHS) {
    Deno.bench({
      name: `issue, n = ${n}, ${algorithm}`,
      group: `issue a credential, n = ${n}`,
      ...of,
      fn: () => void deriveCredential(hash, secret, account, nonce, n),
    });
  }

  const credential = deriveCredential(hash, secret, account, nonce, 10);
  const { key } = credential;
  const macs = `MACs, ${algorithm}`;
  Deno.bench({
    name: `response ${algorithm}`,
    group: macs,
    baseline: true,
    fn: () => void responseMac(hash, key, OPAQUE, 9, request),
  });
  Deno.bench({
    name: `challenge (auth) ${algorithm}`,
    group: macs,
    fn: () => void challengeMac(hash, key, OPAQUE, 9, challenged),
  });
  Deno.bench({
    name: `renew ${algorithm}`,
    group: macs,
    fn: () => void renewMac(hash, key, OPAQUE, request),
  });
  Deno.bench({
    name: `accepted (rspauth), next credential announced ${algorithm}`,
    group: macs,
    fn: () => void acceptedMac(hash, key, OPAQUE, 9, request, next),
  });

  const newCredential = () => LiveCredential.issued(hash, credential, 0, LIFE_MS);
  const live = newCredential();
  const challenge = { ...account, algorithm, nonce: live.nonceHex, chain: 10, opaque: OPAQUE };
  const guide = { seq: live.index - 1, auth: live.challengeAuth(OPAQUE, challenged) };
  const challenges = `challenge as text, ${algorithm}`;
  Deno.bench({
    name: `bare challenge ${algorithm}`,
    group: challenges,
    baseline: true,
    fn: () => void writePcChallenge(challenge),
  });
  Deno.bench({
    name: `guided challenge ${algorithm}`,
    group: challenges,
    fn() {
      writePcChallenge({ ...challenge, guide: { ...guide, auth: live.challengeAuth(OPAQUE, challenged) } });
    },
  });

  const agent = new PcAgent(backend, random, [account]);
  const reaction = agent.challenged(agent.begin("proxy"), [challenge], challenged, request);
  if (reaction.kind !== "answer") throw new Error(`the agent refuses: ${reaction.reason}`);
  const right = encoder.encode(writePcAnswer(reaction.answers[0]));
  const wrong = encoder.encode(writePcAnswer({ ...reaction.answers[0], response: random.bytes(hash.size) }));
  const verify = (its: LiveCredential, header: Uint8Array) => {
    const answer = parsePcAnswer(parseAuthAt(header, 0, header.length));
    if (isMalformed(answer)) throw new Error(`malformed: ${answer.field}`);
    return its.verify(answer, request, OPAQUE, 1, DEFAULT_VERIFIER_POLICY);
  };
  Deno.bench({
    name: `PC ${algorithm}: parse, response MAC, link`,
    group: "verify one Proxy-Authorization header",
    fn() {
      // An accepted token changes the credential, so each iteration has one of its own: a small part of the time.
      const verdict = verify(newCredential(), right);
      if (verdict !== "ok") throw new Error(`verdict ${verdict}`);
    },
  });
  Deno.bench({
    name: `PC ${algorithm}: parse, wrong response MAC`,
    group: "verify one Proxy-Authorization header",
    fn() {
      if (verify(live, wrong) !== "bad_response") throw new Error("a wrong response was accepted");
    },
  });
}

{
  const hasher = new DigestHasher(backend);
  const nonces = new DigestNonces({
    hash: backend.get("SHA-256"),
    key: random.bytes(32),
    realm: account.realm,
  });
  const uses = new NonceUses({ lifetimeMs: nonces.lifetimeMs });
  const server = new DigestServer({ realm: account.realm, algorithms: ["MD5"], nonces, uses });
  const secret = digestHa1(hasher, "MD5", account.username, account.realm, account.password);
  const challenge = selectDigest(
    server.challenges(0, random).map((text) => parseDigestChallenge(parseAuth(text))),
  );
  if (challenge === undefined) throw new Error("no challenge");
  const credentials = { username: account.username, ha1: { MD5: secret } };
  const header = encoder.encode(answerDigest(hasher, challenge, credentials, request, "0a4f113b", 1));
  Deno.bench({
    name: "Digest MD5: parse, nonce, response (which DBclient compares)",
    group: "verify one Proxy-Authorization header",
    baseline: true,
    fn() {
      const finding = server.examine([parseAuthAt(header, 0, header.length)], request.uri, 1);
      if (finding.verdict !== "check") throw new Error(`the answer is ${finding.verdict}`);
      const { answer } = finding;
      const input = { ...answer, ...answer.protection, method: request.method };
      if (!digestMatches(hasher, secret, input, answer.response)) throw new Error("a right one was refused");
    },
  });
}
