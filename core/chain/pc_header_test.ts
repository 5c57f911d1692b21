import { isMalformed } from "../sip/auth_fields.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type ChainAlgorithm } from "../hash/chain_hash.ts";
import { parseAuth, parseAuthAt } from "../sip/auth_params.ts";
import {
  parsePcAnswer,
  parsePcChallenge,
  parsePcInfo,
  type PcAnswer,
  type PcChallenge,
  type PcInfo,
  writePcAnswer,
  writePcChallenge,
  writePcInfo,
} from "./pc_header.ts";
import { wellFormed } from "./testing.ts";

type Params = Record<string, string | undefined>;

const ANSWER: Params = {
  username: '"alice"',
  realm: '"example.com"',
  algorithm: "SHA-1",
  nonce: `"${"0a".repeat(16)}"`,
  opaque: `"${"0b".repeat(8)}"`,
  seq: "9",
  token: `"${"0c".repeat(20)}"`,
  uri: '"sip:bob@example.com"',
  response: `"${"0d".repeat(20)}"`,
};
const CHALLENGE: Params = {
  realm: '"example.com"',
  algorithm: "SHA-1",
  nonce: `"${"0a".repeat(16)}"`,
  chain: "10",
  opaque: `"${"0b".repeat(8)}"`,
};
const GUIDE: Params = { seq: "8", auth: `"${"0e".repeat(20)}"` };
const INFO: Params = {
  realm: '"example.com"',
  nonce: `"${"0a".repeat(16)}"`,
  seq: "9",
  rspauth: `"${"0f".repeat(20)}"`,
  nextnonce: `"${"1a".repeat(16)}"`,
  chain: "10",
};

/** A header value of the parameters that are not undefined. */
function header(params: Params): string {
  const present = Object.entries(params).filter(([, value]) => value !== undefined);
  return `PC ${present.map(([name, value]) => `${name}=${value}`).join(", ")}`;
}
const answer = (changes: Params = {}, qop?: "auth-int") =>
  parsePcAnswer(parseAuth(header({ ...ANSWER, ...changes })), qop);
const challenge = (changes: Params = {}) => parsePcChallenge(parseAuth(header({ ...CHALLENGE, ...changes })));
const info = (changes: Params = {}) => parsePcInfo(parseAuth(header({ ...INFO, ...changes })));

/** The complaint names the field, and nothing is thrown. */
function assertFault(result: object, field: string, problem = ""): void {
  assert(isMalformed(result), `accepted: ${JSON.stringify(result)}`);
  assertEquals(result.field, field);
  assertStringIncludes(result.problem, problem);
}

Deno.test("a challenge, an answer and a confirmation are read as in docs/PROTOCOL.md §4, §5 and §7", () => {
  assertEquals(answer(), {
    username: "alice",
    realm: "example.com",
    algorithm: "SHA-1",
    nonce: "0a".repeat(16),
    opaque: "0b".repeat(8),
    seq: 9,
    token: new Uint8Array(20).fill(0x0c),
    uri: "sip:bob@example.com",
    response: new Uint8Array(20).fill(0x0d),
    qop: undefined,
  });
  const bare = {
    realm: "example.com",
    algorithm: "SHA-1",
    nonce: "0a".repeat(16),
    chain: 10,
    opaque: "0b".repeat(8),
  } as const;
  assertEquals(challenge(), bare);
  assertEquals(challenge(GUIDE), { ...bare, guide: { seq: 8, auth: new Uint8Array(20).fill(0x0e) } });
  assertEquals(info(), {
    realm: "example.com",
    nonce: "0a".repeat(16),
    seq: 9,
    rspauth: new Uint8Array(20).fill(0x0f),
    next: { nonce: "1a".repeat(16), chain: 10 },
  });
});

Deno.test("each mandatory parameter: missing is malformed and named", async (t) => {
  for (const field of Object.keys(ANSWER)) {
    await t.step(
      `answer without ${field}`,
      () => assertFault(answer({ [field]: undefined }), field, "missing"),
    );
  }
  for (const field of Object.keys(CHALLENGE)) {
    await t.step(
      `challenge without ${field}`,
      () => assertFault(challenge({ ...GUIDE, [field]: undefined }), field, "missing"),
    );
  }
  for (const field of Object.keys(INFO)) {
    await t.step(`info without ${field}`, () => assertFault(info({ [field]: undefined }), field, "missing"));
  }
});

Deno.test("each known parameter: repeated is malformed, same value or not, whatever the case of its name", async (t) => {
  for (const [field, value] of Object.entries({ ...ANSWER, qop: "auth-int" })) {
    await t.step(`answer with two ${field}`, () => {
      const text = header({ ...ANSWER, qop: "auth-int" });
      assertFault(parsePcAnswer(parseAuth(`${text}, ${field}=${value}`), "auth-int"), field, "twice");
      assertFault(parsePcAnswer(parseAuth(`${text}, ${field.toUpperCase()}=x`), "auth-int"), field, "twice");
    });
  }
  for (const [field, value] of Object.entries({ ...CHALLENGE, ...GUIDE, stale: "true", qop: "auth-int" })) {
    await t.step(`challenge with two ${field}`, () => {
      const text = header({ ...CHALLENGE, ...GUIDE, stale: "true", qop: "auth-int" });
      assertFault(parsePcChallenge(parseAuth(`${text}, ${field}=${value}`)), field, "twice");
    });
  }
  for (const [field, value] of Object.entries(INFO)) {
    await t.step(`info with two ${field}`, () => {
      assertFault(parsePcInfo(parseAuth(`${header(INFO)}, ${field}=${value}`)), field, "twice");
    });
  }
});

Deno.test("parameters in any order, names in any case, unknown ones ignored even when they repeat", () => {
  const reversed = Object.entries(ANSWER).reverse().map(([name, value]) => `${name.toUpperCase()}=${value}`);
  const text = `pc foo=1, ${reversed.join(" ,\t")}, foo="2", stale=true, auth-param="x\\"y"`;
  assertEquals(parsePcAnswer(parseAuth(text)), answer());
});

Deno.test("hexadecimal fields: length, digits and case", async (t) => {
  for (
    const [name, digits, parse] of [
      ["nonce", 32, answer],
      ["opaque", 16, answer],
      ["token", 40, answer],
      ["response", 40, answer],
      ["nonce", 32, challenge],
      ["opaque", 16, challenge],
      ["auth", 40, (changes: Params) => challenge({ ...GUIDE, ...changes })],
      ["nonce", 32, info],
      ["nextnonce", 32, info],
      ["rspauth", 40, info],
    ] as const
  ) {
    await t.step(`${name} of ${digits} digits`, () => {
      const upper = parse({ [name]: `"${"AB".repeat(digits / 2)}"` });
      assertEquals(upper, parse({ [name]: `"${"ab".repeat(digits / 2)}"` }));
      assertEquals(upper, parse({ [name]: "aB".repeat(digits / 2) }));
      assert(!isMalformed(upper));
      for (
        const wrong of ["", "a", "ab", "a".repeat(digits - 1), "a".repeat(digits + 1), "a".repeat(digits + 2)]
      ) {
        assertFault(parse({ [name]: `"${wrong}"` }), name);
      }
      for (const bad of ["g", " ", "-", ":", "é", "٠", "ａ"]) {
        assertFault(parse({ [name]: `"${"a".repeat(digits - bad.length)}${bad}"` }), name);
        assertFault(parse({ [name]: `"0x${"a".repeat(digits - 2)}"` }), name);
      }
    });
  }
});

Deno.test("token, response, auth and rspauth have the length of the algorithm", () => {
  const lengths = { "MD5": 16, "SHA-1": 20, "SHA-256": 32 } as const;
  for (const [algorithm, right] of Object.entries(lengths)) {
    for (const length of Object.values(lengths)) {
      const value = `"${"ab".repeat(length)}"`;
      const fits = { algorithm, token: `"${"ab".repeat(right)}"`, response: `"${"ab".repeat(right)}"` };
      for (const field of ["token", "response"]) {
        const result = answer({ ...fits, [field]: value });
        if (length === right) assert(!isMalformed(result));
        else assertFault(result, field, `${right * 2} hexadecimal digits`);
      }
      const guided = challenge({ ...GUIDE, algorithm, auth: value });
      if (length === right) assert(!isMalformed(guided));
      else assertFault(guided, "auth");
      assert(!isMalformed(info({ rspauth: value })));
    }
  }
});

Deno.test("decimal fields: canonical and in range, or malformed", async (t) => {
  const notCanonical = [
    "09",
    "00",
    "+9",
    "-9",
    "-0",
    "9.0",
    "1e1",
    "0x9",
    "9 ",
    " 9",
    "٩",
    "９",
    "99999",
    "100000",
    "9".repeat(400),
    "",
    "NaN",
    "nine",
  ];
  const cases = [
    ["answer seq", "seq", answer, ["0", "9", "10", "65534"], ["65535", "65536", "None", "NONE"]],
    ["challenge chain", "chain", challenge, ["1", "10", "65535"], ["0", "65536"]],
    ["guided seq", "seq", (c: Params) => challenge({ ...GUIDE, ...c }), ["0", "9"], ["10", "65534", "none"]],
    ["info seq", "seq", info, ["0", "65534"], ["65535", "none"]],
    ["info chain", "chain", info, ["1", "65535"], ["0", "65536"]],
  ] as const;
  for (const [name, field, parse, right, wrong] of cases) {
    await t.step(name, () => {
      for (const value of right) {
        assert(!isMalformed(parse({ [field]: value })), value);
        assert(!isMalformed(parse({ [field]: `"${value}"` })), `"${value}"`);
      }
      for (const value of [...notCanonical, ...wrong]) assertFault(parse({ [field]: `"${value}"` }), field);
    });
  }
});

Deno.test("quoted and unquoted forms are both read", () => {
  const unquoted = Object.fromEntries(
    Object.entries(ANSWER).map(([name, value]) => [name, value!.replaceAll('"', "")]),
  );
  assertEquals(parsePcAnswer(parseAuth(header(unquoted))), answer());
  const quoted = Object.fromEntries(
    Object.entries(ANSWER).map(([name, value]) => [name, value!.startsWith('"') ? value : `"${value}"`]),
  );
  assertEquals(parsePcAnswer(parseAuth(header(quoted))), answer());
});

Deno.test("values are what quoted-pairs stand for", () => {
  const result = wellFormed(answer({
    username: '"al\\"i\\\\ce"',
    realm: '"\\e\\x\\ample"',
    seq: '"\\9"',
    algorithm: '"SH\\A-1"',
    nonce: `"\\0a${"0a".repeat(15)}"`,
  }));
  assertEquals([result.username, result.realm, result.seq], ['al"i\\ce', "example", 9]);
  assertEquals([result.algorithm, result.nonce], ["SHA-1", "0a".repeat(16)]);
});

Deno.test("UTF-8 in names is kept, broken UTF-8 is malformed", () => {
  const result = wellFormed(answer({ username: '"jürgen-例え🙂"', uri: '"sip:zoë@例え.jp"' }));
  assertEquals([result.username, result.uri], ["jürgen-例え🙂", "sip:zoë@例え.jp"]);
  for (const bad of [[0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    const bytes = new TextEncoder().encode(header({ ...ANSWER, username: '"????"' }));
    bytes.set(bad, bytes.indexOf(0x3f));
    assertFault(parsePcAnswer(parseAuthAt(bytes, 0, bytes.length)), "username");
  }
});

Deno.test("a fold between parameters is white space, inside a value it is malformed", () => {
  const folded = header(ANSWER).replaceAll(", ", ",\r\n\t ").replace("PC ", "PC\r\n ").replace(
    "seq=",
    "seq\r\n = ",
  );
  assertEquals(parsePcAnswer(parseAuth(folded)), answer());
  for (const fold of ["\r\n ", "\r\n\t", "\n "]) {
    for (const field of Object.keys(ANSWER)) {
      const value = ANSWER[field]!;
      const middle = Math.floor(value.length / 2) || 1;
      const split = value.slice(0, middle) + fold + value.slice(middle);
      if (value.length > 1) assertFault(answer({ [field]: split }), field);
      const inQuotes = `"${fold}${value.replaceAll('"', "")}"`;
      assertFault(answer({ [field]: inQuotes }), field);
    }
  }
});

Deno.test("a control byte in any value is malformed", () => {
  for (let code = 0; code < 0x20; code++) {
    for (const control of [String.fromCharCode(code), `\\${String.fromCharCode(code)}`, "\x7f"]) {
      for (const field of ["username", "realm", "uri", "nonce", "seq", "algorithm"]) {
        const inner = ANSWER[field]!.replaceAll('"', "");
        assertFault(answer({ [field]: `"${inner}${control}"` }), field);
      }
      assertFault(challenge({ realm: `"example${control}.com"` }), "realm");
      assertFault(info({ realm: `"example${control}.com"` }), "realm");
    }
  }
});

Deno.test("algorithm names are spelled exactly as in docs/PROTOCOL.md §2", () => {
  for (
    const name of [
      "sha-1",
      "Sha-1",
      "SHA1",
      "SHA-1 ",
      "sha-256",
      "SHA-512",
      "md5",
      "MD5-sess",
      "",
      "toString",
    ]
  ) {
    assertFault(answer({ algorithm: `"${name}"` }), "algorithm", "unknown");
    assertFault(challenge({ algorithm: `"${name}"` }), "algorithm", "unknown");
  }
});

Deno.test("token is absent exactly with seq=none", () => {
  const none = wellFormed(answer({ seq: "none", token: undefined }));
  assertEquals([none.seq, none.token], [undefined, undefined]);
  assertEquals(wellFormed(answer({ seq: '"none"', token: undefined })).seq, undefined);
  assertFault(answer({ seq: "none" }), "token", "absent");
  assertFault(answer({ seq: "none", token: '""' }), "token", "absent");
  assertFault(answer({ token: undefined }), "token", "missing");
});

Deno.test("qop: repeated when offered, absent when not", () => {
  assertEquals(wellFormed(answer({ qop: "auth-int" }, "auth-int")).qop, "auth-int");
  assertEquals(wellFormed(answer({ qop: '"auth-int"' }, "auth-int")).qop, "auth-int");
  assertFault(answer({}, "auth-int"), "qop", "missing");
  assertFault(answer({ seq: "none", token: undefined }, "auth-int"), "qop", "missing");
  assertFault(answer({ qop: "auth-int" }), "qop", "not offered");
  for (const qop of ["auth", '""', '"auth-int,auth"', "AUTH-INT"]) {
    assertFault(answer({ qop }), "qop");
    assertFault(answer({ qop }, "auth-int"), "qop");
  }
});

Deno.test("what a challenge may say besides", () => {
  assertEquals(wellFormed(challenge({ stale: "true" })).stale, true);
  assertEquals(wellFormed(challenge({ stale: '"TRUE"' })).stale, true);
  assertEquals(wellFormed(challenge({ stale: "false" })).stale, false);
  assertEquals(wellFormed(challenge({ qop: '"auth-int"' })).qop, "auth-int");
  assertEquals(wellFormed(challenge({ qop: '"auth, auth-int"' })).qop, "auth-int");
  assertEquals(wellFormed(challenge({ qop: "auth" })).qop, undefined);
});

Deno.test("seq without auth, or auth without seq, guides nobody", () => {
  assertEquals(challenge({ seq: "3" }), challenge());
  assertEquals(challenge({ auth: GUIDE.auth }), challenge());
});

Deno.test("nextnonce and chain stand together or not at all", () => {
  assertEquals(wellFormed(info({ nextnonce: undefined, chain: undefined })).next, undefined);
  assertFault(info({ nextnonce: undefined }), "nextnonce", "missing");
  assertFault(info({ chain: undefined }), "chain", "missing");
});

Deno.test("a broken list names the parameter where it breaks", () => {
  const cases: [string, string][] = [
    ["", "algorithm"],
    ["PC", "algorithm"],
    ["PC username", "username"],
    ["PC username=", "username"],
    ['PC username="alice', "username"],
    ['PC username="alice" realm="x"', "username"],
    ["PC =alice", ""],
    ["PC ,,,", ""],
    [`${header(ANSWER)},`, ""],
    [`${header(ANSWER)}, foo="`, "foo"],
  ];
  for (const [text, field] of cases) {
    const result = parsePcAnswer(parseAuth(text));
    assert(isMalformed(result), text);
    if (text !== "") assertEquals(result.field, field, text);
  }
});

Deno.test("truncated at each byte, or with a byte changed, it is malformed or well-formed and never throws", () => {
  const texts: [string, (text: string) => object][] = [
    [header(ANSWER), (text) => parsePcAnswer(parseAuth(text))],
    [header({ ...ANSWER, qop: "auth-int" }), (text) => parsePcAnswer(parseAuth(text), "auth-int")],
    [header(CHALLENGE), (text) => parsePcChallenge(parseAuth(text))],
    [header({ ...CHALLENGE, ...GUIDE }), (text) => parsePcChallenge(parseAuth(text))],
    [header(INFO), (text) => parsePcInfo(parseAuth(text))],
  ];
  for (const [text, parse] of texts) {
    assert(!isMalformed(parse(text)));
    for (let end = 0; end < text.length; end++) {
      parse(text.slice(0, end));
      parse(text.slice(end));
      for (const c of ['"', "\\", ",", "=", "\0", "\n", "\x7f", "é", "\ud800", " "]) {
        parse(text.slice(0, end) + c + text.slice(end + 1));
      }
    }
  }
  // An answer has no optional end, so every proper beginning of it is malformed.
  const whole = header(ANSWER);
  for (let end = 0; end < whole.length; end++) {
    assert(isMalformed(parsePcAnswer(parseAuth(whole.slice(0, end)))), whole.slice(0, end));
  }
});

Deno.test("what is written is read back the same", async (t) => {
  const sizes: [ChainAlgorithm, number][] = [["MD5", 16], ["SHA-1", 20], ["SHA-256", 32]];
  for (const [algorithm, size] of sizes) {
    const common = { algorithm, nonce: "0123456789abcdef".repeat(2), opaque: "fedcba9876543210" };
    const value = new Uint8Array(size).map((_, i) => i * 7);
    for (const realm of ["example.com", 'a "b" \\c\\', "例え.jp, x=y"]) {
      await t.step(`${algorithm}, realm ${realm}`, () => {
        const names = { ...common, realm, username: `${realm}'`, uri: `sip:${realm}` };
        const answers: [PcAnswer, "auth-int" | undefined][] = [
          [{ ...names, seq: 0, token: value, response: value, qop: undefined }, undefined],
          [{ ...names, seq: 65534, token: value, response: value, qop: "auth-int" }, "auth-int"],
          [{ ...names, seq: undefined, token: undefined, response: value, qop: undefined }, undefined],
        ];
        for (const [answer, qop] of answers) {
          assertEquals(parsePcAnswer(parseAuth(writePcAnswer(answer)), qop), answer);
        }
        const challenges: PcChallenge[] = [
          { ...common, realm, chain: 1 },
          { ...common, realm, chain: 65535, stale: true, guide: { seq: 65534, auth: value } },
          { ...common, realm, chain: 10, qop: "auth-int" },
        ];
        for (const challenge of challenges) {
          assertEquals(parsePcChallenge(parseAuth(writePcChallenge(challenge))), challenge);
        }
        const infos: PcInfo[] = [
          { realm, nonce: common.nonce, seq: 0, rspauth: value },
          { realm, nonce: common.nonce, seq: 9, rspauth: value, next: { nonce: common.nonce, chain: 10 } },
        ];
        for (const info of infos) assertEquals(parsePcInfo(parseAuth(writePcInfo(info))), info);
      });
    }
  }
});

Deno.test("headers are written as docs/PROTOCOL.md shows them", () => {
  assertEquals(
    writePcChallenge(wellFormed(challenge())),
    `PC realm="example.com", algorithm=SHA-1, nonce="${"0a".repeat(16)}", chain=10, opaque="${
      "0b".repeat(8)
    }"`,
  );
  assertEquals(
    writePcChallenge(wellFormed(challenge(GUIDE))),
    `${writePcChallenge(wellFormed(challenge()))}, seq=8, auth="${"0e".repeat(20)}"`,
  );
  assertEquals(writePcAnswer(wellFormed(answer())), header(ANSWER));
  assertEquals(writePcInfo(wellFormed(info())), header(INFO));
  assertEquals(
    writePcInfo(wellFormed(info({ nextnonce: undefined, chain: undefined }))).includes("next"),
    false,
  );
});

Deno.test("a text that no header may carry is not written", () => {
  const right = wellFormed(answer());
  assertThrows(() => writePcAnswer({ ...right, username: "alice\r\nVia: x" }), TypeError);
  assertThrows(() => writePcChallenge({ ...wellFormed(challenge()), realm: "\0" }), TypeError);
});
