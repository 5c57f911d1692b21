import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../random.ts";
import { KeyedHash } from "./keyed_hash.ts";

const key = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
/** Input 00 01 02 … of length 0, 1, 2, …: from Linux's own test of hsiphash on 32-bit machines. */
// deno-fmt-ignore
const vectors = [
  0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6,
  0x577999b1, 0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6, 0x16658a7c, 0xd0257b04,
];

Deno.test("keyed hash: HalfSipHash-1-3 vectors, at any offset", () => {
  const hash = new KeyedHash(key);
  for (const [length, expected] of vectors.entries()) {
    for (const offset of [0, 1, 7]) {
      const bytes = new Uint8Array(64).fill(0xee);
      for (let i = 0; i < length; i++) bytes[offset + i] = i;
      assertEquals(hash.hash(bytes, offset, offset + length), expected, `length ${length}, offset ${offset}`);
    }
  }
});

Deno.test("keyed hash: another key, another hash", () => {
  const bytes = new TextEncoder().encode("z9hG4bK776asdhds");
  const other = new KeyedHash(Uint8Array.of(1, 1, 2, 3, 4, 5, 6, 7));
  assertNotEquals(new KeyedHash(key).hash(bytes, 0, bytes.length), other.hash(bytes, 0, bytes.length));
  assertThrows(() => new KeyedHash(new Uint8Array(4)), RangeError);
});

/** HalfSipHash with any number of rounds and 64-bit output, written down from the paper's reference, apart from ours. */
function reference64(bytes: Uint8Array, rounds: number, last: number): [number, number] {
  const u32 = (at: number): number => new DataView(key.buffer).getUint32(at, true);
  const v = [u32(0), u32(4) ^ 0xee, u32(0) ^ 0x6c796765, u32(4) ^ 0x74656462];
  const rotate = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
  const run = (times: number): void => {
    for (; times > 0; times--) {
      v[0] += v[1];
      v[1] = rotate(v[1], 5) ^ v[0];
      v[0] = rotate(v[0], 16);
      v[2] += v[3];
      v[3] = rotate(v[3], 8) ^ v[2];
      v[0] += v[3];
      v[3] = rotate(v[3], 7) ^ v[0];
      v[2] += v[1];
      v[1] = rotate(v[1], 13) ^ v[2];
      v[2] = rotate(v[2], 16);
    }
  };
  const padded = new Uint8Array((bytes.length & ~3) + 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 4) {
    const m = new DataView(padded.buffer).getUint32(at, true);
    v[3] ^= m;
    run(rounds);
    v[0] ^= m;
  }
  v[2] ^= 0xee;
  run(last);
  const low = v[1] ^ v[3];
  v[1] ^= 0xdd;
  run(last);
  return [low | 0, (v[1] ^ v[3]) | 0];
}

Deno.test("keyed hash of 64 bits: HalfSipHash-1-3 over the words, whatever parts they came in", () => {
  // The reference is right: vectors 0 and 63 for HalfSipHash-2-4 with 64-bit output of its authors (vectors.h).
  const counting = Uint8Array.from({ length: 64 }, (_, i) => i);
  const hex = ([low, high]: number[]): string => {
    const out = new DataView(new ArrayBuffer(8));
    out.setInt32(0, low, true);
    out.setInt32(4, high, true);
    return new Uint8Array(out.buffer).toHex();
  };
  assertEquals(hex(reference64(counting.subarray(0, 0), 2, 4)), "218d1f59b9b83cc8");
  assertEquals(hex(reference64(counting.subarray(0, 63), 2, 4)), "2ea63c71bf326087");

  const hash = new KeyedHash(key);
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const words: number[] = [];
    hash.begin();
    for (let i = random.below(4); i >= 0; i--) {
      const bytes = random.bytes(random.below(round < 250 ? 40 : 400));
      const offset = random.below(5);
      const shifted = new Uint8Array(bytes.length + 9).fill(0xee);
      shifted.set(bytes, offset);
      const folds = random.below(2) === 1;
      if (folds) hash.partIgnoringCase(shifted, offset, offset + bytes.length);
      else hash.part(shifted, offset, offset + bytes.length);
      const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
      padded.set(folds ? bytes.map((c) => c >= 0x41 && c <= 0x5a ? c + 0x20 : c) : bytes);
      words.push(bytes.length, ...new Int32Array(padded.buffer));
      hash.word(round);
      words.push(round);
    }
    hash.end();
    const expected = reference64(new Uint8Array(Int32Array.from(words).buffer), 1, 3);
    assertEquals([hash.low, hash.high], expected, `round ${round}`);
  }
});
