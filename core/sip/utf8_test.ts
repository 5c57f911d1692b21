import { assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { isUtf8, textLength } from "./utf8.ts";

const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 3629);
const fatal = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return fatal.decode(bytes);
  } catch {
    return undefined;
  }
}

Deno.test("UTF-8: the same bytes are taken as by a fatal decoder, and counted as its text", () => {
  const random = seededRandom(SEED);
  // Bytes at the edges of their ranges come often.
  const edges = [
    0x41,
    0x7f,
    0x80,
    0x8f,
    0x90,
    0x9f,
    0xa0,
    0xbf,
    0xc0,
    0xc1,
    0xc2,
    0xdf,
    0xe0,
    0xe1,
    0xec,
    0xed,
  ]
    .concat([0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]);
  for (let round = 0; round < 200_000; round++) {
    const bytes = Uint8Array.from({ length: random.below(6) }, () => edges[random.below(edges.length)]);
    const text = decoded(bytes);
    assertEquals(isUtf8(bytes, 0, bytes.length), text !== undefined, `seed ${SEED}: ${bytes}`);
    if (text !== undefined) assertEquals(textLength(bytes, 0, bytes.length), text.length, `${bytes}`);
  }
});

Deno.test("UTF-8: with quoted-pairs the text counts, not its spelling", () => {
  const bytes = new Uint8Array([0x5c, 0xc3, 0x5c, 0xa9, 0x5c, 0x5c]);
  assertEquals([isUtf8(bytes, 0, 6, true), isUtf8(bytes, 0, 6)], [true, false]);
  assertEquals(isUtf8(bytes, 0, 2, true), false);
  assertEquals(isUtf8(bytes, 4, 6, true), true);
});
