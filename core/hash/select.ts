/** Chooses the hash backend: the value of `--hash` and of the environment variable `PROXYCHAIN_HASH`. */
import type { HashBackend } from "./chain_hash.ts";
import { loadHashWasm } from "./hash_wasm.ts";
import { loadNoble } from "./noble.ts";

/** Every backend by name, the preferred first. A kernel with lanes takes its place here, before "hash-wasm". */
const LOADERS = [
  ["hash-wasm", loadHashWasm],
  ["noble", loadNoble],
] as const;

/** What {@linkcode loadHashBackend} can be asked for. */
export type HashChoice = "auto" | (typeof LOADERS)[number][0];
/** All of {@linkcode HashChoice}: for flag tables and messages. */
export const HASH_CHOICES: readonly HashChoice[] = ["auto", ...LOADERS.map(([name]) => name)];

/** A started backend. */
export interface LoadedHashBackend {
  readonly backend: HashBackend;
  /** One line that says what was wanted, why it failed and what is used; the program prints it once. */
  readonly warning?: string;
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0];
}

/**
 * Starts a hash backend.
 *
 * "auto" tries them from the fastest to noble, which needs nothing. Another choice means that one; if it fails to
 * start the search goes on behind it, so that a program without WebAssembly works, more slowly, and says so.
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
  const first = choice === "auto" ? 0 : LOADERS.findIndex(([name]) => name === choice);
  const failures: string[] = [];
  for (const [name, load] of LOADERS.slice(first)) {
    try {
      const backend = await load();
      if (failures.length === 0) return { backend };
      return {
        backend,
        warning: `hash backend ${failures.join("; ")}: going on with ${name}, which is slower`,
      };
    } catch (error) {
      failures.push(`${name} does not start (${reason(error)})`);
    }
  }
  throw new Error(`no hash backend starts: ${failures.join("; ")}`);
}
