import { assert, assertEquals, assertThrows } from "@std/assert";
import { fromHex, fromHexAt, isHex, toHex, writeHex } from "./hex.ts";
import { equalBytes, equalText } from "./equal.ts";

const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);

Deno.test("toHex and fromHex agree for every byte, in either case", () => {
  const text = toHex(everyByte);
  assertEquals(text.length, 512);
  assertEquals(text.slice(0, 8) + text.slice(-4), "00010203feff");
  assertEquals(fromHex(text), everyByte);
  assertEquals(fromHex(text.toUpperCase()), everyByte);
  assertEquals(toHex(everyByte.subarray(10, 12)), "0a0b");
  assertEquals([toHex(new Uint8Array(0)), fromHex("").length], ["", 0]);
});

Deno.test("fromHex refuses what is no hexadecimal, without repeating it", () => {
  for (const text of ["0", "0g", "g0", " 0", "0x12", "é0", "0é", "００", "12 4", "-1", "\u0130\u0131"]) {
    const error = assertThrows(() => fromHex(text), SyntaxError);
    if (text.length > 2) assert(!error.message.includes(text));
    assert(!isHex(text, text.length >> 1));
  }
  assert(isHex("00fF", 2));
  assert(!isHex("00ff", 3));
  assert(isHex("", 0));
});

Deno.test("equalBytes and equalText compare content and length", () => {
  assert(equalBytes(everyByte, everyByte.slice()));
  assert(equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert(!equalBytes(everyByte, everyByte.subarray(1)));
  for (const at of [0, 128, 255]) {
    const other = everyByte.slice();
    other[at] ^= 0x80;
    assert(!equalBytes(everyByte, other));
  }
  assert(equalText("abc", "abc"));
  assert(!equalText("abc", "abd"));
  assert(!equalText("abc", "ab"));
});

Deno.test("fromHexAt and writeHex work in place, on every pair of bytes", () => {
  const out = new Uint8Array(1);
  for (let high = 0; high < 256; high++) {
    for (let low = 0; low < 256; low++) {
      const text = String.fromCharCode(high, low);
      assertEquals(fromHexAt(new Uint8Array([0x66, high, low, 0x66]), 1, 3, out), isHex(text, 1));
      if (isHex(text, 1)) assertEquals(out, fromHex(text));
    }
  }
  assert(!fromHexAt(new Uint8Array(4).fill(0x30), 0, 4, out));
  assert(!fromHexAt(new Uint8Array(4).fill(0x30), 0, 1, out));
  const text = new Uint8Array(514).fill(0x2e);
  assertEquals(writeHex(everyByte, 256, text, 1), 513);
  assertEquals(new TextDecoder().decode(text), `.${toHex(everyByte)}.`);
});
