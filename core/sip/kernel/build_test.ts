import { assert } from "@std/assert";
import { buildKernel, MODULE } from "./build.ts";
import { readAssembly } from "./build_io.ts";

Deno.test("the committed scan kernel is what its source builds, byte for byte", async () => {
  const built = await buildKernel(readAssembly);
  const committed = await Deno.readFile(new URL(MODULE, import.meta.url));
  const same = built.length === committed.length && built.every((byte, i) => byte === committed[i]);
  assert(same, `${MODULE} is not what the source builds: deno task build:kernel`);
});
