/**
 * Whether two byte strings are equal, in a time that depends on their lengths alone: for MACs and tokens, so that
 * the time of a refusal does not tell how much of a guess was right.
 *
 * @returns false at once if the lengths differ; a length is no secret in this protocol
 * @example
 * ```ts
 * import { equalBytes } from "../../mod.ts";
 * import { assert } from "@std/assert";
 *
 * assert(equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 2])));
 * assert(!equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 3])));
 * ```
 */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** {@linkcode equalBytes} for texts: compares UTF-16 code units. */
export function equalText(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
