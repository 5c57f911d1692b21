import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
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
