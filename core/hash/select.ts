/** Chooses the hash backend: the value of `--hash` and of the environment variable `PROXYCHAIN_HASH`. */
import { loadHashWasm } from "./hash_wasm.ts";
import { type LoadedHashBackend, type Loader, loadInOrder } from "./hash_backend.ts";
import { loadLanes, loadScalarLanes } from "./lanes.ts";
import { loadNoble } from "./noble.ts";

const LANES: Loader = ["lanes", loadLanes];
const SCALAR_LANES: Loader = ["lanes-scalar", loadScalarLanes];
const HASH_WASM: Loader = ["hash-wasm", loadHashWasm];
const NOBLE: Loader = ["noble", loadNoble];

/** What {@linkcode loadHashBackend} can be asked for. */
export type HashChoice = "auto" | "lanes" | "hash-wasm" | "noble";
/** All of {@linkcode HashChoice}: for flag tables and messages. */
export const HASH_CHOICES: readonly HashChoice[] = ["auto", "lanes", "hash-wasm", "noble"];

const ORDERS: Readonly<Record<HashChoice, readonly Loader[]>> = {
  // What whole calls cost with each: docs/decisions/lanes_kernel.md.
  "auto": [LANES, SCALAR_LANES, HASH_WASM, NOBLE],
  "lanes": [LANES, SCALAR_LANES, HASH_WASM, NOBLE],
  "hash-wasm": [HASH_WASM, NOBLE],
  "noble": [NOBLE],
};

export type { LoadedHashBackend };

/**
 * Starts a hash backend.
 *
 * "auto" takes the lanes kernel, as "lanes" does. Another choice means that one for
 * everything. What fails to start is replaced by the next slower one, down to noble, which needs nothing; so a program
 * without WebAssembly works, more slowly, and says so.
 *
 * @throws {RangeError} if there is no such choice; the message names those there are
 * @example
 * ```ts
 * import { fromHex, loadHashBackend, toHex } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend, warning } = await loadHashBackend("auto");
 * if (warning) console.error(warning);
 * const sha1 = backend.get("SHA-1");
 * const n = fromHex("fb47ed7641c7535550259544c6858f8b");
 * const h0 = fromHex("2c4645ef5e25b44ae896c002a94071ecc8b4e25d");
 * assertEquals(toHex(sha1.walk(n, 0, h0, 1)), "fa2e8b5084734642e70785f66a863a836df5ce3f");
 * assertEquals(toHex(sha1.walk(n, 0, h0, 10)), "aea704dd7a8ac1e41e89418718569254a3a09a84");
 * ```
 */
export async function loadHashBackend(choice: HashChoice = "auto"): Promise<LoadedHashBackend> {
  if (!HASH_CHOICES.includes(choice)) {
    throw new RangeError(`unknown hash backend "${choice}"; allowed: ${HASH_CHOICES.join(", ")}`);
  }
  return await loadInOrder(ORDERS[choice]);
}
