import { assertEquals } from "@std/assert";
import { parseAuth, Patch, seededRandom } from "../mod.ts";
import { hasAssertions, removeAnswers, removeAssertions } from "./header_filter.ts";
import { headers, parse, request, response } from "./testing.ts";

const REALMS = new Set(["example.com", "second.example"]);
const NAMES = [
  "Proxy-Authorization",
  "Authorization",
  "Proxy-Authenticate",
  "WWW-Authenticate",
  "Proxy-Authentication-Info",
  "Authentication-Info",
];

function filtered(text: string, edit: (patch: Patch) => void): string[] {
  const patch = new Patch().begin(parse(text));
  edit(patch);
  const out = new Uint8Array(patch.length);
  const result = new TextDecoder().decode(out.subarray(0, patch.apply(out, 0)));
  parse(result); // It must still be a message.
  return NAMES.flatMap((name) => headers(result, name));
}

const answers = (values: readonly string[], digestToo = false) =>
  filtered(request("INVITE", { headers: values }), (patch) => removeAnswers(patch, REALMS, digestToo));
const assertions = (values: readonly string[]) =>
  filtered(response(request("INVITE"), 407, values), (patch) => removeAssertions(patch, REALMS));

Deno.test("header filter: PC answers for served realms go, in both families, however they are spelled", () => {
  assertEquals(
    answers([
      'Proxy-Authorization: PC username="alice", realm="example.com", token="00"',
      'proxy-authorization: pc realm="second.example"',
      "Authorization: Pc realm=example.com,username=alice",
      'PROXY-AUTHORIZATION:PC\t username="alice",\r\n realm = "example.com"',
    ]),
    [],
  );
});

Deno.test("header filter: what is for other realms and of other schemes stays as it came", () => {
  const kept = [
    'PC username="alice", realm="elsewhere.org", token="00"',
    'PC realm="EXAMPLE.COM", token="00"',
    'Digest username="alice", realm="example.com", nonce="1"',
    "Bearer abc",
  ];
  assertEquals(answers(kept.map((value) => `Proxy-Authorization: ${value}`)), kept);
});

Deno.test("header filter: Digest answers for served realms go when they are consumed, others never", () => {
  assertEquals(
    answers([
      'Proxy-Authorization: Digest username="alice", realm="example.com", nonce="1"',
      'Proxy-Authorization: Digest username="alice", realm="elsewhere.org", nonce="1"',
      'Authorization: Digest username="alice", realm="second.example", nonce="1"',
    ], true),
    ['Digest username="alice", realm="elsewhere.org", nonce="1"'],
  );
});

Deno.test("header filter: an answer that breaks off before its realm does not leak its token", () => {
  assertEquals(answers(['Proxy-Authorization: PC token="00112233", =, realm="example.com"']), []);
  assertEquals(answers(['Proxy-Authorization: PC token="00", realm="example.com']), []);
});

Deno.test("header filter: another realm's answer does not hide one of ours", () => {
  const ours = 'username="alice", realm="example.com", token="0011"';
  assertEquals(answers([`Proxy-Authorization: PC realm="other", nonce="00", PC ${ours}`]), []);
  assertEquals(answers([`Proxy-Authorization: PC realm="other", x, ${ours}`]), []);
});

Deno.test("header filter: a realm in other letters of escape is the same realm", () => {
  assertEquals(answers(['Proxy-Authorization: PC token="00", realm="ex\\ample.com"']), []);
});

Deno.test("header filter: PC challenges and confirmations for served realms go, all others stay", () => {
  const mine = 'PC realm="example.com", nonce="00"';
  const other = 'PC realm="elsewhere.org", nonce="00"';
  const digest = 'Digest realm="example.com", nonce="00"';
  for (const name of NAMES.slice(2)) {
    assertEquals(assertions([`${name}: ${mine}`, `${name}: ${other}`, `${name}: ${digest}`]), [
      other,
      digest,
    ]);
  }
});

Deno.test("header filter: responses without such headers need no look", () => {
  assertEquals(hasAssertions(parse(response(request("INVITE"), 200))), false);
  for (const name of NAMES.slice(2)) {
    assertEquals(hasAssertions(parse(response(request("INVITE"), 200, [`${name}: x`]))), true);
  }
});

Deno.test("header filter: a served realm named twice, or behind another scheme's comma, does not get through", () => {
  assertEquals(
    assertions([
      'Proxy-Authentication-Info: PC realm="elsewhere.org", realm="example.com", rspauth="00"',
      'Proxy-Authenticate: Digest realm="elsewhere.org", nonce="1", PC realm="example.com", nonce="00"',
    ]),
    [],
  );
});

/** The rules by objects and texts: whether a line goes. */
function goes(value: string, digestToo: boolean): boolean {
  const header = parseAuth(value);
  const scheme = header.scheme.toUpperCase();
  if (/,\s*PC\s/i.test(value)) return true;
  if (scheme !== "PC" && !(digestToo && scheme === "DIGEST")) return false;
  return header.error !== undefined ||
    header.params.some(([name, value]) => name === "realm" && REALMS.has(value));
}

Deno.test("header filter: generated values go and stay as the rules by objects say", () => {
  const pieces = [
    "PC ",
    "pc\t",
    "Digest ",
    "Basic ",
    'realm="example.com"',
    "realm=example.com",
    'REALM="elsewhere"',
  ];
  pieces.push(
    ", ",
    ",",
    "PC\u00a0",
    'realm="ex\\ample.com"',
    'realm="second.example',
    "token=00",
    '"',
    "=",
    "x",
    "p",
  );
  pieces.push('nonce="PC , pc ="', ",PC", "C ", "\f", " ", "\u2003PC ", 'realm="\u00e9"', "\u00e9");
  for (let round = 0; round < 4000; round++) {
    const random = seededRandom(round);
    const value = Array.from({ length: 1 + random.below(7) }, () => pieces[random.below(pieces.length)]).join(
      "",
    ).trim();
    if (value === "") continue;
    const digestToo = random.below(2) === 0;
    const left = answers([`Proxy-Authorization: ${value}`], digestToo);
    assertEquals(left.length === 0, goes(value, digestToo), `${round}: ${JSON.stringify(value)}`);
  }
});
