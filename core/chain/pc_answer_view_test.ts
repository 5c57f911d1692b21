import { assert, assertEquals } from "@std/assert";
import { CHAIN_ALGORITHMS } from "../hash/chain_hash.ts";
import { toHex } from "../hash/hex.ts";
import { type Random, seededRandom } from "../random.ts";
import { decodeText, encodeText } from "../sip/ascii.ts";
import { isMalformed } from "../sip/auth_fields.ts";
import { parseAuthAt } from "../sip/auth_params.ts";
import { type AuthValue, PcAnswerView, SEQ_NONE } from "./pc_answer_view.ts";
import { parsePcAnswer } from "./pc_header.ts";

const ROUNDS = 40_000;
/** Another run explores other answers: FUZZ_SEED=n deno test … */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20261125);
const view = new PcAnswerView();

const text = ({ buffer, start, end }: AuthValue) => new TextDecoder().decode(buffer.subarray(start, end));

/** Reads bytes by offsets and as an object, and compares what comes out. Whether it was a good answer. */
function compare(bytes: Uint8Array, qop?: "auth-int"): boolean {
  const buffer = new Uint8Array(bytes.length + 20).fill(0x2c);
  buffer.set(bytes, 11);
  const header = parseAuthAt(buffer, 11, 11 + bytes.length);
  const isPc = view.scan(buffer, 11, 11 + bytes.length);
  assertEquals(isPc, header.scheme.toUpperCase() === "PC");
  if (!isPc) return false;
  assertEquals(view.broken, header.error !== undefined);
  for (
    const [name, value] of [["username", view.username], ["realm", view.realm], ["uri", view.uri]] as const
  ) {
    const stated = header.params.find(([key]) => key === name)?.[1];
    assertEquals(value.present ? text(value) : undefined, stated);
  }
  // The object is read by the same code from decoded texts, so it is read first: nothing of it must be left behind.
  const answer = parsePcAnswer(header, qop);
  if (!view.check(qop)) {
    assertEquals(answer, view.fault);
    return false;
  }
  assert(!isMalformed(answer));
  assertEquals({
    username: text(view.username),
    realm: text(view.realm),
    algorithm: CHAIN_ALGORITHMS[view.algorithm],
    nonce: toHex(view.nonce),
    opaque: toHex(view.opaque),
    seq: view.seq === SEQ_NONE ? undefined : view.seq,
    token: view.token,
    uri: text(view.uri),
    response: view.response,
    qop,
  }, answer);
  assertEquals(new Uint8Array(view.nonceWords.buffer), view.nonce);
  return true;
}

function answerText(random: Random): string {
  const size = random.below(3);
  const digits = [32, 40, 64][size];
  const hex = (length: number) => {
    const value = toHex(random.bytes(length / 2));
    return random.below(4) === 0 ? value.toUpperCase() : value;
  };
  const quoted = (value: string) =>
    random.below(8) > 0 ? `"${value}"` : random.below(2) ? value : `"${value.replace(/./g, "\\$&")}"`;
  const none = random.below(5) === 0;
  const params = [
    `username=${quoted(["alice", "", "\u00e9\u{1f600}", "a b", 'a\\"b'][random.below(5)])}`,
    `realm=${quoted("example.com")}`,
    `algorithm=${["MD5", "SHA-1", "SHA-256"][size]}`,
    `nonce=${quoted(hex(32))}`,
    `opaque=${quoted(hex(16))}`,
    `seq=${none ? "none" : random.below(70_000)}`,
    ...(none ? [] : [`token=${quoted(hex(digits))}`]),
    `uri=${quoted("sip:bob@example.com;lr?a=1")}`,
    `response=${quoted(hex(digits))}`,
    ...(random.below(4) === 0 ? ["qop=auth-int"] : []),
  ];
  for (let n = random.below(4); n > 2; n--) {
    const at = random.below(params.length);
    const what = random.below(3);
    if (what === 0) params.splice(at, 1);
    else if (what === 1) params.splice(random.below(params.length), 0, params[at]);
    else params.push("x=y");
  }
  return `${random.below(5) ? "PC" : "pC"} ${params.join(random.below(5) ? ", " : " ,\r\n ")}`;
}

const SPECIAL = encodeText('\r\n\t "\\,=\x00\x7f\u00e90aNf-');

Deno.test("PC answer view: the same values and the same faults as parsePcAnswer, in whole and damaged answers", () => {
  let good = 0;
  for (let n = 0; n < ROUNDS; n++) {
    const random = seededRandom(SEED + n);
    const bytes = [...encodeText(answerText(random))];
    for (let changes = random.below(4); changes > 1; changes--) {
      const at = random.below(bytes.length);
      const byte = SPECIAL[random.below(SPECIAL.length)];
      bytes.splice(at, random.below(2), ...(random.below(2) ? [byte] : []));
    }
    const spoiled = Uint8Array.from(bytes);
    try {
      if (compare(spoiled, random.below(4) === 0 ? "auth-int" : undefined)) good++;
    } catch (error) {
      const shown = JSON.stringify(decodeText(spoiled, 0, spoiled.length));
      throw new Error(`FUZZ_SEED=${SEED + n}: ${shown}`, { cause: error });
    }
  }
  assert(good > ROUNDS / 10, `only ${good} answers were good`);
});

Deno.test("PC answer view: cut at every byte", () => {
  const whole = encodeText(answerText(seededRandom(3)));
  for (let end = 0; end <= whole.length; end++) compare(whole.subarray(0, end));
});

Deno.test("PC answer view: a fault in the values does not depend on what was read before", () => {
  const read = (value: string) => {
    const bytes = encodeText(value);
    view.scan(bytes, 0, bytes.length);
    return view.check() ? "good" : `${view.fault.field} ${view.fault.problem}`;
  };
  const good = 'PC username="a", realm="r", algorithm=MD5, nonce="' + "0".repeat(32) + '", opaque="' +
    "0".repeat(16) + '", seq=1, token="' + "0".repeat(32) + '", uri="sip:b@c", response="' + "0".repeat(32) +
    '"';
  assertEquals(read(good), "good");
  assertEquals(read("PC"), "algorithm is missing");
  assertEquals(read(good), "good");
  assertEquals(read(`${good}, seq=1`), "seq stands twice");
  assertEquals(read(`${good}, seq=1,`), "seq stands twice");
  assertEquals(read(`${good},`), " parameter without a name");
  assertEquals(read(good.replace(/token="0+", /, "")), "token is missing");
  assertEquals(read(good.replace(/nonce="0/, 'nonce="\u00e9')), "nonce is not hexadecimal");
  assertEquals(read(good.replace(/nonce="00/, 'nonce="\u00e9')), "nonce is not 32 hexadecimal digits");
  assertEquals(read(good), "good");
});
