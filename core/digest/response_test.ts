import { assert, assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { loadHashBackend } from "../hash/select.ts";
import { DIGEST_ALGORITHMS, DigestHasher } from "./algorithms.ts";
import { digestHa1, digestMatches, digestResponse, digestUserHash } from "./response.ts";

const hasher = new DigestHasher((await loadHashBackend()).backend);
const nobleHasher = new DigestHasher((await loadHashBackend("noble")).backend);
const NODE_NAME = { "MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512-256" } as const;

Deno.test("H agrees with node:crypto for texts of any length and script, with either backend", () => {
  const texts = [
    "",
    "alice:example.com:secret",
    "Jäsøn Doe",
    "名前:🎼",
    "x".repeat(341),
    "x".repeat(342),
    "é".repeat(2000),
  ];
  for (const algorithm of DIGEST_ALGORITHMS) {
    for (const text of texts) {
      const expected = createHash(NODE_NAME[algorithm]).update(text, "utf8").digest("hex");
      assertEquals(hasher.text(algorithm, text), expected);
      assertEquals(nobleHasher.text(algorithm, text), expected);
      assertEquals(hasher.bytes(algorithm, new TextEncoder().encode(text)), expected);
    }
  }
});

Deno.test("RFC 2617 §3.5 vector", () => {
  const ha1 = digestHa1(hasher, "MD5", "Mufasa", "testrealm@host.com", "Circle Of Life");
  assertEquals(ha1, "939e7578ed9e3c518a452acee763bce9");
  const input = {
    algorithm: "MD5",
    nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
    method: "GET",
    uri: "/dir/index.html",
    qop: "auth",
    nc: "00000001",
    cnonce: "0a4f113b",
  } as const;
  assertEquals(digestResponse(hasher, ha1, input), "6629fae49393a05397450978507c4ef1");
  // Without qop, nc and cnonce do not count.
  const old = digestResponse(hasher, ha1, { ...input, qop: undefined });
  assertEquals(old, "670fd8c2df070c60b045671b8b24ff02");
  assertEquals(
    digestResponse(hasher, ha1, { ...input, qop: undefined, nc: undefined, cnonce: undefined }),
    old,
  );
});

Deno.test("RFC 7616 §3.9.1 vectors: MD5 and SHA-256", () => {
  const expected = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
  } as const;
  for (const algorithm of ["MD5", "SHA-256"] as const) {
    const ha1 = digestHa1(hasher, algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
    const input = {
      algorithm,
      nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
      method: "GET",
      uri: "/dir/index.html",
      qop: "auth",
      nc: "00000001",
      cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    } as const;
    assertEquals(digestResponse(hasher, ha1, input), expected[algorithm]);
    assert(digestMatches(hasher, ha1, input, expected[algorithm]));
    assert(!digestMatches(hasher, ha1, { ...input, nc: "00000002" }, expected[algorithm]));
    assert(!digestMatches(hasher, ha1, input, expected[algorithm].slice(1)));
  }
});

Deno.test("RFC 7616 §3.9.2 vector: SHA-512-256, UTF-8 and userhash", () => {
  // As corrected by erratum 4897: the RFC prints values of SHA-512 cut to 256 bits, which is another function.
  const username = "J\u00e4s\u00f8n Doe";
  assertEquals(
    digestUserHash(hasher, "SHA-512-256", username, "api@example.org"),
    "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
  );
  const ha1 = digestHa1(hasher, "SHA-512-256", username, "api@example.org", "Secret, or not?");
  const response = digestResponse(hasher, ha1, {
    algorithm: "SHA-512-256",
    nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
    method: "GET",
    uri: "/doe.json",
    qop: "auth",
    nc: "00000001",
    cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
  });
  assertEquals(response, "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
});

Deno.test("auth-int covers the body, and says what it lacks", () => {
  const H = (text: string): string => createHash("md5").update(text).digest("hex");
  const body = new TextEncoder().encode("v=0\r\n");
  const input = {
    algorithm: "MD5",
    nonce: "n",
    method: "INVITE",
    uri: "sip:bob@example.com",
    qop: "auth-int",
    nc: "0000000A",
    cnonce: "c",
    bodyHash: hasher.bytes("MD5", body),
  } as const;
  const ha2 = H(`INVITE:sip:bob@example.com:${H("v=0\r\n")}`);
  assertEquals(digestResponse(hasher, "00", input), H(`00:n:0000000A:c:auth-int:${ha2}`));
  assertThrows(() => digestResponse(hasher, "00", { ...input, bodyHash: undefined }), TypeError, "body");
  assertThrows(() => digestResponse(hasher, "00", { ...input, nc: undefined }), TypeError, "nc");
  assertThrows(() => digestResponse(hasher, "00", { ...input, cnonce: undefined }), TypeError, "cnonce");
});
