import { assert, assertEquals, assertThrows } from "@std/assert";
import { deriveCredential } from "../chain/derive.ts";
import { CHAIN_ALGORITHMS, type ChainAlgorithm } from "../hash/chain_hash.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import { loadHashBackend } from "../hash/select.ts";
import { loadHmacSha256 } from "../io/hmac_io.ts";
import { seededRandom } from "../random.ts";
import { ALGORITHM_BYTE, ALGORITHM_SIZE } from "./constants.ts";
import {
  MAX_WARMUP_RECORD_BYTES,
  WARMUP_LABEL,
  WARMUP_MAC_BYTES,
  WarmupError,
  type WarmupExpectation,
  type WarmupFault,
  type WarmupHeader,
  type WarmupRecord,
  warmupRecordLength,
  type WarmupSummary,
} from "./warmup.ts";
import { WarmupReader } from "./warmup_reader.ts";
import { WarmupWriter } from "./warmup_writer.ts";

const { backend } = await loadHashBackend();
const hmac = await loadHmacSha256();
const KEY = new Uint8Array(16).fill(3);
const OTHER_KEY = new Uint8Array(16).fill(4);
const HEADER: WarmupHeader = {
  proxy: "edge-1",
  issuedAt: 1_700_000_000,
  ttl: 3600,
  serial: 2 ** 40 + 7,
  algorithm: "SHA-1",
  firstNumber: 100,
  realms: ["example.com", "münchen.example"],
};

function record(
  number: number,
  username = `user${number}`,
  realm = "example.com",
  algorithm: ChainAlgorithm = "SHA-1",
): WarmupRecord {
  const nonce = new Uint8Array(16).fill(number);
  const credential = deriveCredential(
    backend.get(algorithm),
    "5ebe2294ecd0e0f08eab7690d2a6ee69",
    { username, realm },
    nonce,
    10,
  );
  return { number, credential, ttl: 3600 };
}

/** As the writer took it: what is read unpacks itself. */
const unpacked = ({ number, credential, ttl }: WarmupRecord): WarmupRecord => {
  const { algorithm, username, realm, nonce, n, anchor, key } = credential;
  return { number, credential: { algorithm, username, realm, nonce, n, anchor, key }, ttl };
};

const RECORDS = [record(100), record(101, "zoë", "münchen.example"), record(103, "u".repeat(256))];

function file(records = RECORDS, header = HEADER, key = KEY): Uint8Array {
  const writer = new WarmupWriter(header, hmac(key));
  for (const each of records) writer.add(each);
  return writer.finish();
}

interface Read {
  readonly records: WarmupRecord[];
  readonly summary: WarmupSummary;
}

function read(
  bytes: Uint8Array,
  expected: WarmupExpectation = {},
  { keys = [KEY], chunk = bytes.length }: { keys?: Uint8Array[]; chunk?: number } = {},
): Read {
  const reader = new WarmupReader(keys.map(hmac), expected);
  const records: WarmupRecord[] = [];
  for (let at = 0; at < bytes.length; at += chunk) records.push(...reader.push(bytes.slice(at, at + chunk)));
  return { records: records.map(unpacked), summary: reader.finish() };
}

function fault(bytes: Uint8Array, expected: WarmupExpectation = {}, chunk?: number): WarmupFault {
  return assertThrows(() => read(bytes, expected, { chunk: chunk ?? bytes.length }), WarmupError).fault;
}

/** The bytes with a right MAC after a change. */
function resealed(bytes: Uint8Array, change: (body: Uint8Array) => Uint8Array | void): Uint8Array {
  const body = bytes.slice(0, -WARMUP_MAC_BYTES);
  const changed = change(body) ?? body;
  const mac = hmac(KEY);
  mac.update(new TextEncoder().encode(WARMUP_LABEL));
  mac.update(changed);
  return Uint8Array.of(...changed, ...mac.digest());
}

/** Where the first record starts: prefix of 12 bytes, and the header. */
const firstRecord = (bytes: Uint8Array) => 12 + new DataView(bytes.buffer).getUint16(10);

Deno.test("what is written is read again, in chunks of any size", () => {
  const bytes = file();
  for (const chunk of [bytes.length, 1, 2, 3, 7, 31, 64, 333]) {
    const { records, summary } = read(bytes, {}, { chunk });
    assertEquals(records, RECORDS);
    assertEquals(summary, { ...HEADER, count: 3 });
  }
});

Deno.test("each algorithm has its widths", () => {
  for (const algorithm of CHAIN_ALGORITHMS) {
    const records = [record(1, "alice", "example.com", algorithm)];
    const bytes = file(records, { ...HEADER, algorithm });
    assertEquals(read(bytes).records, records);
    const at = firstRecord(bytes);
    const size = ALGORITHM_SIZE[algorithm];
    assertEquals(new DataView(bytes.buffer).getUint16(at), warmupRecordLength(5, size));
    assertEquals(bytes.length, at + 2 + warmupRecordLength(5, size) + 2 + 4 + 32);
  }
});

Deno.test("the layout is that of docs/warmup_file.md, byte for byte", () => {
  const nonce = "000102030405060708090a0b0c0d0e0f";
  const anchor = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3";
  const key = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3";
  const body = [
    "50435741524d5550", // "PCWARMUP"
    "0001", // version
    "0024", // header length: 36
    "0002 7031", // proxy name "p1"
    "000000006553f100", // time of issue
    "00000e10", // longest time to live: 3600 s
    "0000000000000005", // revocation serial
    "02", // SHA-1
    "00000001", // first number
    "0001 0003 612e62", // one realm: "a.b"
    "0049", // record length: 73
    "00000001", // number
    "0000", // realm
    "0003 626f62", // "bob"
    nonce,
    "000a", // n
    anchor,
    key,
    "00000e10", // time to live
    "0000", // end of records
    "00000001", // count
  ].join("").replaceAll(" ", "");
  const credential = {
    algorithm: "SHA-1",
    username: "bob",
    realm: "a.b",
    nonce: fromHex(nonce),
    n: 10,
    anchor: fromHex(anchor),
    key: fromHex(key),
  } as const;
  const header = {
    proxy: "p1",
    issuedAt: 0x6553f100,
    ttl: 3600,
    serial: 5,
    algorithm: "SHA-1",
    firstNumber: 1,
    realms: ["a.b"],
  } as const;
  const bytes = file([{ number: 1, credential, ttl: 3600 }], header);
  assertEquals(toHex(bytes.slice(0, -32)), body);
  const mac = backend.get("SHA-256").hmac(
    KEY,
    Uint8Array.of(...new TextEncoder().encode("PC1 warmup"), ...fromHex(body)),
  );
  assertEquals(toHex(bytes.slice(-32)), toHex(mac));
});

Deno.test("a file that ends early is truncated, wherever it ends", () => {
  const bytes = file();
  for (let length = 0; length < bytes.length; length++) {
    assertEquals(fault(bytes.slice(0, length)), "truncated", `${length} bytes`);
  }
});

Deno.test("a byte after the end is named, however it comes", () => {
  const bytes = file();
  const longer = Uint8Array.of(...bytes, 0);
  for (const chunk of [longer.length, bytes.length, 1]) {
    assertEquals(fault(longer, {}, chunk), "trailing_bytes");
  }
  assertEquals(fault(Uint8Array.of(...bytes, ...bytes)), "trailing_bytes");
});

Deno.test("no changed byte goes unnoticed", () => {
  const bytes = file();
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] ^= 0x41;
    fault(damaged);
  }
});

Deno.test("magic and version are named before anything else is looked at", () => {
  const bytes = file();
  assertEquals(fault(new TextEncoder().encode("username,domain")), "not_a_warmup_file");
  assertEquals(fault(new TextEncoder().encode("P!")), "not_a_warmup_file");
  const newer = bytes.slice();
  newer[9] = 2;
  assertEquals(fault(newer), "other_version");
  assertEquals(fault(newer.slice(0, 10)), "other_version");
});

Deno.test("a wrong key and a wrong MAC are named; any of several keys will do", () => {
  const bytes = file();
  assertEquals(fault(file(RECORDS, HEADER, OTHER_KEY)), "wrong_mac");
  const damaged = bytes.slice();
  damaged[bytes.length - 1] ^= 1;
  assertEquals(fault(damaged), "wrong_mac");
  const name = new TextDecoder("latin1").decode(bytes).indexOf("user100");
  const renamed = bytes.slice();
  renamed[name] ^= 1;
  assertEquals(fault(renamed), "wrong_mac");
  assertEquals(read(bytes, {}, { keys: [OTHER_KEY, KEY] }).summary.count, 3);
  assertThrows(() => read(bytes, {}, { keys: [] }), WarmupError, "MAC");
});

Deno.test("a MAC of a link's proof does not serve: the label is the file's own", () => {
  const bytes = file();
  const body = bytes.slice(0, -WARMUP_MAC_BYTES);
  assertEquals(fault(Uint8Array.of(...body, ...backend.get("SHA-256").hmac(KEY, body))), "wrong_mac");
});

Deno.test("the wrong proxy, algorithm and realm are named", () => {
  const bytes = file();
  read(bytes, { proxy: "edge-1", algorithm: "SHA-1", realms: ["münchen.example", "example.com", "more"] });
  assertEquals(fault(bytes, { proxy: "edge-2" }), "other_proxy");
  assertEquals(fault(bytes, { proxy: "" }), "other_proxy");
  assertEquals(fault(bytes, { algorithm: "SHA-256" }), "other_algorithm");
  assertEquals(fault(bytes, { realms: ["example.com"] }), "other_realm");
});

Deno.test("a file is good from its time of issue to the end of its longest life, give or take clocks", () => {
  const bytes = file();
  const at = (time: number) => ({ time: HEADER.issuedAt + time });
  for (const time of [-60, 0, 3599.9]) read(bytes, at(time));
  for (const time of [3600, 1e9]) assertEquals(fault(bytes, at(time)), "expired");
  for (const time of [-61.5, -1e9]) assertEquals(fault(bytes, at(time)), "issued_in_the_future");
});

Deno.test("a record that says it is longer than any can be is named at once", () => {
  const bytes = file();
  const at = firstRecord(bytes);
  const long = bytes.slice(0, at + 2);
  new DataView(long.buffer).setUint16(at, MAX_WARMUP_RECORD_BYTES + 1);
  assertEquals(fault(long), "record_too_long");
});

Deno.test("fields that cannot be are bad values even under a right MAC", () => {
  const bytes = file([record(1, "bob")]);
  const at = firstRecord(bytes);
  const set16 = (offset: number, value: number) => (body: Uint8Array) =>
    new DataView(body.buffer).setUint16(offset, value);
  const set32 = (offset: number, value: number) => (body: Uint8Array) =>
    new DataView(body.buffer).setUint32(offset, value);
  const cases: Record<string, (body: Uint8Array) => Uint8Array | void> = {
    "record shorter than its fields": set16(at, 72),
    "record longer than its fields": (body) =>
      Uint8Array.of(...body.slice(0, at), 0, 74, ...body.slice(at + 2, at + 75), 0, ...body.slice(at + 75)),
    "realm that is not there": set16(at + 6, 2),
    "user name of 0 bytes": (body) =>
      Uint8Array.of(...body.slice(0, at), 0, 70, ...body.slice(at + 2, at + 8), 0, 0, ...body.slice(at + 13)),
    "user name longer than the record": set16(at + 8, 200),
    "user name that is not UTF-8": (body) => body.fill(0xff, at + 10, at + 13),
    "n 0": set16(at + 2 + 6 + 5 + 16, 0),
    "time to live 0": set32(at + 75 - 4, 0),
    "time to live over the header's": set32(at + 75 - 4, 3601),
    "algorithm": (body) => void (body[12 + 8 + 8 + 4 + 8] = 9),
    "header longer than its fields": set16(10, firstRecord(bytes) - 12 + 1),
    "count": set32(bytes.length - 36, 2),
  };
  for (const [name, change] of Object.entries(cases)) {
    assertEquals(fault(resealed(bytes, change)), "bad_value", name);
  }
  assertEquals(bytes[12 + 8 + 8 + 4 + 8], ALGORITHM_BYTE["SHA-1"]);
  read(resealed(bytes, () => {}));
});

Deno.test("whatever comes, the reader names a fault and nothing else", () => {
  const seed = 20260;
  const random = seededRandom(seed);
  const bytes = file();
  for (let round = 0; round < 2000; round++) {
    const damaged = bytes.slice(0, 1 + random.below(bytes.length));
    for (let i = random.below(4); i >= 0; i--) damaged[random.below(damaged.length)] = random.below(256);
    const chunk = 1 + random.below(damaged.length);
    try {
      const { records } = read(damaged, {}, { chunk });
      assertEquals(records, RECORDS, `seed ${seed}, round ${round}`);
    } catch (error) {
      assert(error instanceof WarmupError, `seed ${seed}, round ${round}: ${error}`);
    }
  }
});

Deno.test("the writer hands out chunks and refuses what does not belong into its file", () => {
  const writer = new WarmupWriter(HEADER, hmac(KEY));
  const parts: Uint8Array[] = [];
  let number = 0;
  while (parts.length < 3) {
    writer.add(record(++number));
    if (writer.full) parts.push(writer.take());
    else if (number % 1000 === 0) assertEquals(writer.count, number);
  }
  parts.push(writer.finish());
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  assertEquals(writer.written, whole.length);
  assertEquals(read(whole).summary.count, number);

  const fresh = new WarmupWriter(HEADER, hmac(KEY));
  const good = record(1);
  for (
    const wrong of [
      record(1, "alice", "elsewhere.example"),
      record(1, "alice", "example.com", "MD5"),
      record(1, "x".repeat(257)),
      record(1, ""),
      { ...good, ttl: 3601 },
      { ...good, ttl: 0 },
      { ...good, number: -1 },
      { ...good, credential: { ...good.credential, anchor: new Uint8Array(16) } },
    ]
  ) assertThrows(() => fresh.add(wrong), RangeError);
  for (const wrong of [{ proxy: "p".repeat(65) }, { issuedAt: -1 }, { ttl: 2 ** 32 }, { serial: 0.5 }]) {
    assertThrows(() => new WarmupWriter({ ...HEADER, ...wrong }, hmac(KEY)), RangeError);
  }
});
