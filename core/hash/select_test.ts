import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { HASH_CHOICES, type HashChoice, loadHashBackend } from "./select.ts";
import { toHex } from "./hex.ts";

/** Runs `body` with another `WebAssembly` (undefined: with none at all) and puts the real one back. */
async function withWebAssembly(substitute: unknown, body: () => Promise<void>): Promise<void> {
  const real = Object.getOwnPropertyDescriptor(globalThis, "WebAssembly");
  assert(real);
  Reflect.deleteProperty(globalThis, "WebAssembly");
  if (substitute !== undefined) {
    Object.defineProperty(globalThis, "WebAssembly", { value: substitute, configurable: true });
  }
  try {
    await body();
  } finally {
    Object.defineProperty(globalThis, "WebAssembly", real);
  }
}

async function assertFallsBack(choice: HashChoice, reason: string): Promise<void> {
  const { backend, warning } = await loadHashBackend(choice);
  assertEquals(backend.name, "noble");
  assert(warning !== undefined);
  assertStringIncludes(warning, "hash-wasm does not start");
  assertStringIncludes(warning, reason);
  assertStringIncludes(warning, "noble");
  assertEquals(warning.includes("\n"), false);
  const abc = backend.get("SHA-1").digest(new TextEncoder().encode("abc"));
  assertEquals(toHex(abc), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

Deno.test("auto gives the lanes kernel, hash-wasm and noble give themselves, without a warning", async () => {
  for (
    const [choice, name] of [["auto", "lanes"], ["hash-wasm", "hash-wasm"], ["noble", "noble"]] as const
  ) {
    const { backend, warning } = await loadHashBackend(choice);
    assertEquals([backend.name, warning], [name, undefined]);
  }
  const { backend } = await loadHashBackend();
  assertEquals([backend.name, backend.get("SHA-1").backend], ["lanes", "lanes"]);
  assertEquals(backend.many("SHA-1").backend, "lanes");
});

Deno.test("lanes gives the kernel for everything, hash-wasm and noble give themselves", async () => {
  for (const name of ["lanes", "hash-wasm", "noble"] as const) {
    const { backend } = await loadHashBackend(name);
    assertEquals([backend.get("MD5").backend, backend.many("MD5").backend], [name, name]);
  }
});

Deno.test("an unknown choice is an error that names those allowed", async () => {
  assertEquals(HASH_CHOICES, ["auto", "lanes", "hash-wasm", "noble"]);
  const expected = `unknown hash backend "openssl"; allowed: auto, lanes, hash-wasm, noble`;
  await assertRejects(() => loadHashBackend("openssl" as HashChoice), RangeError, expected);
});

Deno.test("without WebAssembly hash-wasm goes on with noble and says so", async () => {
  await withWebAssembly(undefined, async () => {
    await assertFallsBack("hash-wasm", "WebAssembly is not supported");
    assertEquals((await loadHashBackend("noble")).warning, undefined);
  });
});

Deno.test("where WebAssembly throws when it starts, likewise", async () => {
  const refuse = (): never => {
    throw new Error("code generation disallowed\nby policy");
  };
  await withWebAssembly({ compile: refuse, instantiate: refuse }, async () => {
    await assertFallsBack("hash-wasm", "code generation disallowed");
  });
  await withWebAssembly(
    { compile: refuse, instantiate: () => Promise.reject(new Error("no memory")) },
    async () => {
      await assertFallsBack("hash-wasm", "no memory");
    },
  );
  assertEquals((await loadHashBackend()).backend.name, "lanes");
});

Deno.test("a WebAssembly that miscounts is not used", async () => {
  const memory = { buffer: new ArrayBuffer(65536) };
  const exports = {
    memory,
    Hash_GetBuffer: () => 0,
    Hash_Init: () => {},
    Hash_Update: () => {},
    Hash_Final: () => {},
  };
  const real = globalThis.WebAssembly;
  const broken = { compile: real.compile, instantiate: () => Promise.resolve({ exports }) };
  await withWebAssembly(broken, () => assertFallsBack("hash-wasm", "wrong digests"));
});
