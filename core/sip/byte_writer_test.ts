import { assertEquals } from "@std/assert";
import { ByteWriter } from "./byte_writer.ts";

const text = (writer: ByteWriter) => new TextDecoder().decode(writer.toBytes());

Deno.test("byte writer: numbers in decimal, in the middle and where the buffer has to grow", () => {
  for (const number of [0, -0, 1, 9, 10, 99, 100, 12_345, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, -1, -10, 1.5]) {
    const writer = new ByteWriter(1);
    writer.text("<").number(number).text(">").number(number);
    assertEquals(text(writer), `<${number}>${number}`);
  }
});

Deno.test("byte writer: bytes as hexadecimal", () => {
  const writer = new ByteWriter(1);
  writer.hex(new Uint8Array([0, 0xab, 7])).text("-").hex(new Uint8Array([0xff, 1]), 1).hex(new Uint8Array(0));
  assertEquals(text(writer), "00ab07-ff");
});
