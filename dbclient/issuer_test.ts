import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  type ChainAlgorithm,
  chainSeed,
  type DigestAnswer,
  digestHa1,
  DigestHasher,
  type DigestInput,
  digestResponse,
  loadHashBackend,
  seededRandom,
} from "../mod.ts";
import { DigestChecker, digestColumn } from "./digest_check.ts";
import { columnOf, Issuer } from "./issuer.ts";
import type { Subscriber } from "./subscriber.ts";

const { backend } = await loadHashBackend();
const hasher = new DigestHasher(backend);
const ALICE = { username: "alice", realm: "example.com" };
const NOBODY = { username: "nobody", realm: "example.com" };
const MD5_HA1 = digestHa1(hasher, "MD5", "alice", "example.com", "secret");
const SHA256_HA1 = digestHa1(hasher, "SHA-256", "alice", "example.com", "secret");

function issuer(secret = 7): Issuer {
  return new Issuer({
    hashes: backend,
    n: 10,
    ttl: 3600,
    secret: new Uint8Array(32).fill(secret),
    random: seededRandom(1),
  });
}

Deno.test("a credential is the one that the user's own HA1 gives, for each algorithm", () => {
  for (const algorithm of ["MD5", "SHA-1", "SHA-256"] as ChainAlgorithm[]) {
    const ha1 = algorithm === "SHA-256" ? SHA256_HA1 : MD5_HA1;
    assertEquals(columnOf(algorithm), algorithm === "SHA-256" ? "ha1_sha256" : "ha1");
    // Some tools write HA1 in capitals, and CHAR columns may be padded.
    for (const hash of [ha1, ha1.toUpperCase(), `${ha1}  `]) {
      const batch = issuer().issue(algorithm, [ALICE], [{ ...ALICE, hash }], 5);
      assertEquals([batch.credentials, batch.decoys], [1, 0]);
      const [result] = batch.results;
      assert(result.status === "ok");
      const { nonce, n, anchor, ttl, serial } = result.credential;
      assertEquals([n, ttl, serial, nonce.length], [10, 3600, 5, 16]);
      const chain = backend.get(algorithm);
      assertEquals(anchor, chain.walk(nonce, 0, chainSeed(chain, ha1, nonce, n), n));
    }
  }
});

Deno.test("unknown users and rows without a usable hash get decoys that look the same", () => {
  const rows: (Subscriber | undefined)[] = [
    { ...ALICE, hash: MD5_HA1 },
    undefined,
    { ...NOBODY, hash: "" },
    { ...NOBODY, hash: "no hexadecimal digits here, 32ch." },
    { ...NOBODY, hash: MD5_HA1.slice(1) },
  ];
  const batch = issuer().issue("SHA-1", [ALICE, NOBODY, NOBODY, NOBODY, NOBODY], rows, 0);
  assertEquals([batch.credentials, batch.decoys, batch.withoutHash], [5, 4, 3]);
  const shapes = batch.results.map((result) =>
    result.status === "ok" &&
    Object.entries(result.credential).map(([name, value]) =>
      value instanceof Uint8Array ? [name, value.length] : [name, value]
    )
  );
  for (const shape of shapes) assertEquals(shape, shapes[0]);
});

Deno.test("a decoy's secret is the same at every call and after a restart, and differs by user and issuer", () => {
  const one = issuer().secretOf(NOBODY, undefined, "ha1").secret;
  assertEquals(issuer().secretOf(NOBODY, undefined, "ha1").secret, one);
  assertNotEquals(issuer(8).secretOf(NOBODY, undefined, "ha1").secret, one);
  assertNotEquals(issuer().secretOf(ALICE, undefined, "ha1").secret, one);
});

Deno.test("names with control characters have no credential, whether there is a row or not", () => {
  for (const name of ["a\nb", "a\x00", "\x7f"]) {
    const users = [{ username: name, realm: "r" }, { username: "u", realm: name }];
    const batch = issuer().issue("MD5", users, [undefined, { ...users[1], hash: MD5_HA1 }], 0);
    assertEquals(batch.results, [{ status: "error", code: "invalid_name" }, {
      status: "error",
      code: "invalid_name",
    }]);
  }
});

Deno.test("no nonce is issued twice in a batch", () => {
  const users = Array.from({ length: 1000 }, () => NOBODY);
  const { results } = issuer().issue("MD5", users, users.map(() => undefined), 0);
  assertEquals(
    new Set(results.map((result) => result.status === "ok" && result.credential.nonce.join())).size,
    1000,
  );
});

function answer(change: Partial<DigestAnswer> = {}): DigestAnswer {
  return {
    ...ALICE,
    nonce: "abc",
    uri: "sip:bob@example.com",
    method: "INVITE",
    qop: "",
    nc: "",
    cnonce: "",
    algorithm: "MD5",
    bodyHash: "",
    response: "",
    ...change,
  };
}
const protectedBy = { qop: "auth", nc: "00000001", cnonce: "xyz" } as const;

Deno.test("Digest answers: right, wrong and unknown, for every algorithm and qop", () => {
  const checker = new DigestChecker(backend, issuer());
  for (const algorithm of ["MD5", "SHA-256", "SHA-512-256"] as const) {
    const hash = digestHa1(hasher, algorithm, "alice", "example.com", "secret");
    const kinds: Partial<DigestInput>[] = [
      {},
      protectedBy,
      { ...protectedBy, qop: "auth-int", bodyHash: "ab".repeat(16) },
    ];
    for (const kind of kinds) {
      const asked = answer({ algorithm, ...kind });
      const column = digestColumn(asked);
      assert(column !== undefined);
      const response = digestResponse(hasher, hash, {
        algorithm,
        nonce: asked.nonce,
        uri: asked.uri,
        method: asked.method,
        ...kind,
      });
      const row = { ...ALICE, hash };
      assertEquals(checker.check({ ...asked, response }, row, column), "ok");
      assertEquals(checker.check({ ...asked, response: response.toUpperCase() }, row, column), "ok");
      assertEquals(checker.check({ ...asked, response, method: "BYE" }, row, column), "wrong");
      assertEquals(checker.check({ ...asked, response: "" }, row, column), "wrong");
      assertEquals(checker.check({ ...asked, response }, undefined, column), "wrong");
      assertEquals(checker.check({ ...asked, response }, { ...ALICE, hash: "" }, column), "wrong");
    }
  }
});

Deno.test("an answer made with a decoy's secret is wrong too", () => {
  const own = issuer();
  const checker = new DigestChecker(backend, own);
  const secret = own.secretOf(NOBODY, undefined, "ha1").secret.slice(0, 32);
  const asked = answer({ ...NOBODY });
  const response = digestResponse(hasher, secret, {
    algorithm: "MD5",
    nonce: asked.nonce,
    uri: asked.uri,
    method: asked.method,
  });
  assertEquals(checker.check({ ...asked, response }, undefined, "ha1"), "wrong");
});

Deno.test("answers that cannot be checked are malformed, without asking", () => {
  const cases: Partial<DigestAnswer>[] = [
    { algorithm: "MD5-sess" },
    { algorithm: "md5" },
    { algorithm: "toString" },
    { qop: "auth-conf", nc: "1", cnonce: "x" },
    { qop: "auth" },
    { ...protectedBy, qop: "auth-int" },
    { username: "a\nb" },
    { realm: "\x01" },
  ];
  for (const change of cases) assertEquals(digestColumn(answer(change)), undefined, JSON.stringify(change));
  assertEquals(digestColumn(answer({ algorithm: "" })), "ha1");
});
