import { assert, assertEquals } from "@std/assert";
import { type Random, seededRandom } from "../random.ts";
import { decodeText, encodeText } from "./ascii.ts";
import { parseUri, uriParam } from "./uri.ts";
import { UriView } from "./uri_view.ts";

const ROUNDS = 60_000;
/** Another run explores other URIs: FUZZ_SEED=n deno test … */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20261125);
const view = new UriView();

/** Reads a text with both readers, at some offset in a larger buffer, and compares all that they see. */
function compare(text: string, bytes = encodeText(text)): void {
  const buffer = new Uint8Array(bytes.length + 40).fill(0x61);
  buffer.set(bytes, 17);
  const read = view.parse(buffer, 17, 17 + bytes.length);
  const uri = parseUri(decodeText(bytes, 0, bytes.length));
  const expected = uri !== undefined && uri.opaque === undefined;
  assertEquals([read, view.scheme], [expected, expected ? uri.scheme : ""], JSON.stringify(text));
  if (!expected) return;
  const part = (start: number, end: number) => decodeText(buffer, start, end);
  const user = view.userStart < 0 ? undefined : part(view.userStart, view.userEnd);
  assertEquals(
    [user, part(view.hostStart, view.hostEnd), view.hasPort ? view.port : undefined, view.port],
    [uri.user, uri.host, uri.port, uri.port ?? 0],
    text,
  );
  assertEquals(view.userHasEscapes, uri.user?.includes("%") ?? false, text);
  assertEquals(view.hasEscapes, text.includes("%"), text);
  const written = uri.params.map(([name, value]) => value === undefined ? `;${name}` : `;${name}=${value}`);
  assertEquals(part(view.paramsStart, view.paramsEnd), written.join(""), text);
  for (const name of ["lr", "transport", "x", ...uri.params.map(([key]) => key.toLowerCase())]) {
    const found = view.param(encodeText(name)) ? part(view.valueStart, view.valueEnd) : undefined;
    assertEquals(found, uriParam(uri, name), `${text} ${name}`);
  }
}

const PIECES = [
  ["sip:", "sips:", "SIP:", "sIpS:", "tel:", "sip", "", "http:", "sipx:"],
  ["", "alice@", "a%20b@", "al;ice?x/@", "@", "a:b@", "a:@", ":b@", "a%2@", "a%zz@", "%41%C3%A9@", "\u00e9@"],
  ["example.com", "192.0.2.1", "[2001:db8::1]", "[]", "[1]", "[::1", "", "a_b", "ex ample", "h\u00f6st"],
  ["", ":5060", ":0", ":65535", ":65536", ":123456", ":", ":5x", ":00005"],
  [
    "",
    ";lr",
    ";lr=on",
    ";transport=TCP",
    ";x",
    ";",
    ";=1",
    ";x=",
    ";X=%41",
    ";a&b=[/]",
    ";x=1=2",
    ";%4",
    ";x=@",
  ],
  ["", ";lr", ";LR=1", ";x;x=2"],
  [
    "",
    "?a=1",
    "?a",
    "?a=",
    "?",
    "?a=1&b=2",
    "?a&b=1",
    "?a=1&",
    "?a==1",
    "?a=?&b=%20",
    "?=1",
    "?a=;",
    "?a=b#",
  ],
];
const SPECIAL = ":@;?=&%[]/.,+$!~*'() \t\r\n<>\"\\^|`{}#0Aaf9\x00\x7f\u00e9";

function generate(random: Random): string {
  let text = PIECES.map((choices) => choices[random.below(3) > 0 ? 0 : random.below(choices.length)]).join(
    "",
  );
  for (let n = random.below(4); n > 1; n--) {
    const at = random.below(text.length + 1);
    const insert = random.below(2) === 0 ? SPECIAL[random.below(SPECIAL.length)] : "";
    text = text.slice(0, at) + insert + text.slice(at + random.below(2));
  }
  return text;
}

Deno.test("URI view: sees what parseUri sees, in whole, damaged and cut URIs", () => {
  let good = 0;
  for (let n = 0; n < ROUNDS; n++) {
    const random = seededRandom(SEED + n);
    const text = generate(random);
    try {
      compare(text);
      if (view.scheme !== "") good++;
      if (n < 200) { for (let end = 0; end < text.length; end++) compare(text.slice(0, end)); }
    } catch (error) {
      throw new Error(`FUZZ_SEED=${SEED + n}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  assert(good > ROUNDS / 10, `only ${good} URIs were good`);
});

Deno.test("URI view: every combination of the pieces", () => {
  for (const scheme of PIECES[0].slice(0, 4)) {
    for (const user of PIECES[1]) {
      for (const host of PIECES[2]) {
        for (const port of PIECES[3]) compare(scheme + user + host + port);
        for (const params of PIECES[4]) {
          for (const headers of PIECES[6]) compare(scheme + user + host + params + headers);
        }
      }
    }
  }
});

Deno.test("URI view: bytes that are no UTF-8, and every byte in every part", () => {
  for (let byte = 0; byte < 256; byte++) {
    for (
      const text of [
        "sip:a?b@h",
        "sip:a:?@h",
        "sip:?",
        "sip:h;?",
        "sip:h;a=?",
        "sip:h?a=?",
        "sip:h?a?=1",
        "?ip:h",
      ]
    ) {
      const bytes = encodeText(text);
      bytes[text.lastIndexOf("?")] = byte;
      compare(decodeText(bytes, 0, bytes.length), bytes);
    }
  }
});
