/** HMAC-SHA-256 over much data, from the system's crypto. */
import type { IncrementalMac } from "../wire/warmup.ts";

/**
 * Gives the function that starts an HMAC-SHA-256 under a key. For 30 MB it takes 20 ms (pieces of 1 MiB), against
 * 120 ms with hash-wasm and 150 ms with noble (`deno bench -A bench/warmup_bench.ts`).
 *
 * @example
 * ```ts
 * import { loadHmacSha256, toHex } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // RFC 4231 §4.3
 * const mac = (await loadHmacSha256())(new TextEncoder().encode("Jefe"));
 * mac.update(new TextEncoder().encode("what do ya want "));
 * mac.update(new TextEncoder().encode("for nothing?"));
 * assertEquals(toHex(mac.digest()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
 * ```
 */
export async function loadHmacSha256(): Promise<(key: Uint8Array) => IncrementalMac> {
  // Loaded when it is needed: the module takes 10 to 20 ms to start, and a browser has none.
  const { createHmac } = await import("node:crypto");
  return (key) => {
    const hmac = createHmac("sha256", key);
    return {
      update: (bytes) => void hmac.update(bytes),
      digest: () => new Uint8Array(hmac.digest()),
    };
  };
}
