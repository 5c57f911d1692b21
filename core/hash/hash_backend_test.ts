import { assertEquals, assertRejects } from "@std/assert";
import type { HashBackend } from "./chain_hash.ts";
import { hashBackend, type Loader, loadInOrder } from "./hash_backend.ts";
import { loadNoble } from "./noble.ts";
import { SingleLaneHash } from "./single_lane.ts";

const starts = (name: string): Loader => [name, () =>
  Promise.resolve(
    hashBackend(name, (algorithm) => new SingleLaneHash(name, algorithm, (data) => data)),
  )];
const fails = (name: string): Loader => [name, () => Promise.reject(new Error(`${name} broke\nat length`))];
const used = ({ get, many }: HashBackend): string[] => [get("MD5").backend, many("MD5").backend];

Deno.test("the first that starts is used for everything", async () => {
  const { backend, warning } = await loadInOrder({ get: [starts("one"), fails("two")] });
  assertEquals([backend.name, ...used(backend)], ["one", "one", "one"]);
  assertEquals(warning, undefined);
});

Deno.test("failures are passed over, down the whole chain, with one warning", async () => {
  const order = { get: [fails("simd"), fails("scalar"), fails("hash-wasm"), ["noble", loadNoble] as const] };
  const { backend, warning } = await loadInOrder(order);
  assertEquals([backend.name, ...used(backend)], ["noble", "noble", "noble"]);
  assertEquals(
    warning,
    "hash backend simd does not start (simd broke); scalar does not start (scalar broke); " +
      "hash-wasm does not start (hash-wasm broke): going on with noble, which is slower",
  );
});

Deno.test("many chains at once have an order of their own", async () => {
  const { backend, warning } = await loadInOrder({ get: [starts("one")], many: [starts("lanes")] });
  assertEquals([backend.name, ...used(backend)], ["one", "one", "lanes"]);
  assertEquals(warning, undefined);
});

Deno.test("many chains at once fall back to the next, then to the single backend", async () => {
  const next = await loadInOrder({ get: [starts("one")], many: [fails("simd"), starts("scalar")] });
  assertEquals(used(next.backend), ["one", "scalar"]);
  assertEquals(
    next.warning,
    "hash backend simd does not start (simd broke): many chains at once go through scalar",
  );
  const none = await loadInOrder({ get: [fails("one"), starts("two")], many: [fails("simd")] });
  assertEquals(used(none.backend), ["two", "two"]);
  assertEquals(
    none.warning,
    "hash backend one does not start (one broke): going on with two, which is slower; " +
      "simd does not start (simd broke): many chains at once go through two",
  );
});

Deno.test("nothing that starts is an error", async () => {
  await assertRejects(
    () => loadInOrder({ get: [fails("one")] }),
    Error,
    "no hash backend starts: one does not",
  );
});
