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
  const { backend, warning } = await loadInOrder([starts("one"), fails("two")]);
  assertEquals([backend.name, ...used(backend)], ["one", "one", "one"]);
  assertEquals(warning, undefined);
});

Deno.test("failures are passed over, down the whole chain, with one warning", async () => {
  const order = [fails("simd"), fails("scalar"), fails("hash-wasm"), ["noble", loadNoble] as const];
  const { backend, warning } = await loadInOrder(order);
  assertEquals([backend.name, ...used(backend)], ["noble", "noble", "noble"]);
  assertEquals(
    warning,
    "hash backend simd does not start (simd broke); scalar does not start (scalar broke); " +
      "hash-wasm does not start (hash-wasm broke): going on with noble, which is slower",
  );
});

Deno.test("nothing that starts is an error", async () => {
  await assertRejects(
    () => loadInOrder([fails("one")]),
    Error,
    "no hash backend starts: one does not",
  );
});
