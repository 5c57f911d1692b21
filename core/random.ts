/** Where randomness comes from: an argument everywhere in core/, so that a run can be repeated from a seed. */
export interface Random {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A whole number 0 … `limit` - 1, uniform. `limit` is 1 … 2^32. */
  below(limit: number): number;
}

/**
 * A repeatable source for tests and simulations (mulberry32). Never use it for secrets.
 *
 * @param seed any 32-bit number; the same seed gives the same sequence
 * @example
 * ```ts
 * import { seededRandom } from "../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(seededRandom(7).below(1000), seededRandom(7).below(1000));
 * ```
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    bytes(count) {
      const out = new Uint8Array(count);
      for (let i = 0; i < count; i++) out[i] = next() >>> 24;
      return out;
    },
    below: (limit) => Math.floor((next() / 2 ** 32) * limit),
  };
}
