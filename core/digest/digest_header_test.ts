import { isMalformed } from "../sip/auth_fields.ts";
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { parseAuth } from "../sip/auth_params.ts";
import {
  parseDigestAnswer,
  parseDigestChallenge,
  writeDigestAnswer,
  writeDigestChallenge,
} from "./digest_header.ts";

const RESPONSE = "8ca523f5e9506fed4657c9700eebdbec";
const PARAMS: readonly (readonly [name: string, written: string])[] = [
  ["username", '"alice"'],
  ["realm", '"example.com"'],
  ["nonce", '"abc"'],
  ["uri", '"sip:bob@example.com"'],
  ["response", `"${RESPONSE}"`],
  ["algorithm", "MD5"],
  ["cnonce", '"f00"'],
  ["qop", "auth"],
  ["nc", "0000000a"],
  ["opaque", '"o"'],
];

/** The answer above with one parameter written otherwise, left out (undefined), or added. */
function answerWith(name = "", written?: string): string {
  const params = PARAMS.flatMap(([its, value]) =>
    its !== name ? [[its, value]] : written ? [[its, written]] : []
  );
  if (written !== undefined && !PARAMS.some(([its]) => its === name)) params.push([name, written]);
  return "Digest " + params.map(([its, value]) => `${its}=${value}`).join(", ");
}

function faultOf(text: string): string {
  const result = parseDigestAnswer(parseAuth(text));
  assert(isMalformed(result), text);
  return `${result.field} ${result.problem}`;
}

Deno.test("an answer is read and written", () => {
  const answer = parseDigestAnswer(parseAuth(answerWith()));
  assertEquals(answer, {
    username: "alice",
    userhash: false,
    realm: "example.com",
    nonce: "abc",
    uri: "sip:bob@example.com",
    response: RESPONSE,
    algorithm: "MD5",
    opaque: "o",
    protection: { qop: "auth", nc: "0000000a", count: 10, cnonce: "f00" },
  });
  assert(!isMalformed(answer));
  assertEquals(writeDigestAnswer(answer), answerWith());
});

Deno.test("an answer may be spelled in other ways", () => {
  const strict = parseDigestAnswer(parseAuth(answerWith()));
  for (
    const text of [
      answerWith().replace("Digest", "dIGEST"),
      answerWith("qop", '"auth"'),
      answerWith("qop", "AUTH"),
      answerWith("algorithm", '"md5"'),
      answerWith("algorithm"),
      answerWith("nc", '"0000000a"'),
      answerWith("response", RESPONSE.toUpperCase()),
      answerWith("x-other", "1") + ", x-other=2",
      answerWith().replaceAll(", ", ",\r\n\t"),
      answerWith().replaceAll("=", " = "),
      answerWith("username", '"al\\ice"'),
    ]
  ) {
    assertEquals(parseDigestAnswer(parseAuth(text)), strict, text);
  }
});

Deno.test("an answer of the old form has no qop", () => {
  const text = `Digest username="a", realm="r", nonce="n", uri="sip:r", response="${RESPONSE}"`;
  const answer = parseDigestAnswer(parseAuth(text));
  assert(!isMalformed(answer));
  assertEquals([answer.algorithm, answer.protection, answer.opaque], ["MD5", undefined, undefined]);
});

Deno.test("what is wrong with an answer is said with the field", () => {
  for (const name of ["username", "realm", "nonce", "uri", "response", "nc", "cnonce"]) {
    assertEquals(faultOf(answerWith(name)), `${name} is missing`);
  }
  for (const [name, written] of PARAMS) {
    assertEquals(faultOf(`${answerWith()}, ${name}=${written}`), `${name} stands twice`);
  }
  for (const name of ["username", "nonce", "uri", "cnonce"]) {
    assertEquals(faultOf(answerWith(name, '""')), `${name} is empty`);
  }
  for (const nc of ["1", "000000001", "0000000g", '"-0000001"', '" 0000001"', '"0x000001"']) {
    assertEquals(faultOf(answerWith("nc", nc)), "nc is not 8 hexadecimal digits");
  }
  assertEquals(faultOf(answerWith("nc", "00000000")), "nc is zero");
  for (const qop of ["auth-conf", '"auth,auth-int"', '""']) {
    assertEquals(faultOf(answerWith("qop", qop)), "qop is unknown");
  }
  for (const algorithm of ["MD5-sess", "SHA-1", "SHA256", '""']) {
    assertEquals(faultOf(answerWith("algorithm", algorithm)), "algorithm is unknown");
  }
  for (const response of ['""', '"12"', `"${RESPONSE}00"`, `"${RESPONSE.slice(1)}g"`]) {
    assertEquals(faultOf(answerWith("response", response)), "response is not 32 hexadecimal digits");
  }
  assertEquals(faultOf(answerWith("algorithm", "SHA-256")), "response is not 64 hexadecimal digits");
  assertEquals(faultOf("Basic abc=1"), "scheme is not Digest");
  assertEquals(faultOf("Digest"), "username is missing");
  assertEquals(faultOf(answerWith("opaque", '"a')), "opaque has no closing quote");
});

Deno.test("a cut or altered answer is read or refused, and never throws", () => {
  const seed = 311;
  const random = seededRandom(seed);
  const text = answerWith();
  for (let end = 0; end < text.length; end++) parseDigestAnswer(parseAuth(text.slice(0, end)));
  for (let round = 0; round < 2000; round++) {
    const at = random.below(text.length);
    const altered = text.slice(0, at) + String.fromCharCode(random.below(256)) +
      text.slice(at + random.below(3));
    const answer = parseDigestAnswer(parseAuth(altered));
    if (isMalformed(answer)) continue;
    assertEquals(parseDigestAnswer(parseAuth(writeDigestAnswer(answer))), answer, `seed ${seed}: ${altered}`);
  }
});

Deno.test("a challenge is read and written", () => {
  const text =
    'Digest realm="example.com", nonce="abc", opaque="o\\"p", algorithm=SHA-256, qop="auth,auth-int", stale=true';
  const challenge = parseDigestChallenge(parseAuth(text));
  assert(!isMalformed(challenge));
  assertEquals(challenge, {
    realm: "example.com",
    nonce: "abc",
    algorithm: "SHA-256",
    qops: ["auth", "auth-int"],
    opaque: 'o"p',
    stale: true,
    userhash: false,
  });
  assertEquals(writeDigestChallenge(challenge), text);
  const old = parseDigestChallenge(parseAuth('Digest realm="r", nonce="n"'));
  assert(!isMalformed(old));
  assertEquals([old.algorithm, old.qops, old.stale], ["MD5", [], false]);
  assertEquals(writeDigestChallenge(old), 'Digest realm="r", nonce="n", algorithm=MD5');
});

Deno.test("what is wrong with a challenge is said with the field", () => {
  const faults = [
    ['Digest nonce="n"', "realm is missing"],
    ['Digest realm="r"', "nonce is missing"],
    ['Digest realm="r", nonce="n", nonce="m"', "nonce stands twice"],
    ['Digest realm="r", nonce="n", algorithm=SHA-3', "algorithm is unknown"],
    ['Digest realm="r", nonce="n", qop="auth-conf"', "qop is unknown"],
    ['PC realm="r", nonce="n"', "scheme is not Digest"],
  ] as const;
  for (const [text, expected] of faults) {
    const result = parseDigestChallenge(parseAuth(text));
    assert(isMalformed(result), text);
    assertEquals(`${result.field} ${result.problem}`, expected);
  }
  // A qop that is not known does not spoil one that is.
  const mixed = parseDigestChallenge(parseAuth('Digest realm="r", nonce="n", qop="token, auth-int ,auth"'));
  assert(!isMalformed(mixed));
  assertEquals(mixed.qops, ["auth-int", "auth"]);
});
