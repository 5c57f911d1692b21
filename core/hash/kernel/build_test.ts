import { assert, assertEquals } from "@std/assert";
import { buildKernel } from "./build.ts";
import { readAssembly } from "./build_io.ts";
import { compressMd5, MD5_INITIAL } from "./generator/md5.ts";
import { compressSha1, SHA1_INITIAL } from "./generator/sha1.ts";
import { compressSha256, SHA256_INITIAL } from "./generator/sha256.ts";
import { RoundWriter, SCALAR } from "./generator/words.ts";

Deno.test("the committed kernel is what its source builds, byte for byte", async () => {
  const built = await buildKernel(readAssembly);
  assertEquals(Object.keys(built).sort(), [
    "assembly/rounds_lanes.ts",
    "assembly/rounds_scalar.ts",
    "lanes_scalar.wasm",
    "lanes_simd.wasm",
  ]);
  for (const [path, contents] of Object.entries(built)) {
    const committed = await Deno.readFile(new URL(path, import.meta.url));
    const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
    const same = bytes.length === committed.length && bytes.every((byte, i) => byte === committed[i]);
    assert(same, `${path} is not what the source builds: deno task build:kernel`);
  }
});

Deno.test("on known words the algorithms compute instead of writing", () => {
  const writer = new RoundWriter(SCALAR, "");
  // The padded empty message.
  const little = [0x80, ...new Array<number>(15).fill(0)];
  const big = [0x80000000, ...new Array<number>(15).fill(0)];
  // RFC 1321 §A.5, whose bytes are those of little-endian words; FIPS 180 of the empty message.
  assertEquals(compressMd5(writer, MD5_INITIAL, little), [0xd98c1dd4, 0x04b2008f, 0x980980e9, 0x7e42f8ec]);
  assertEquals(
    compressSha1(writer, SHA1_INITIAL, big),
    [0xda39a3ee, 0x5e6b4b0d, 0x3255bfef, 0x95601890, 0xafd80709],
  );
  assertEquals(compressSha256(writer, SHA256_INITIAL, big), [
    0xe3b0c442,
    0x98fc1c14,
    0x9afbf4c8,
    0x996fb924,
    0x27ae41e4,
    0x649b934c,
    0xa495991b,
    0x7852b855,
  ]);
  assertEquals([writer.before, writer.within, writer.after], [[], [], []]);
});
