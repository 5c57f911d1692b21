/** Credentials for many users at once: docs/PROTOCOL.md §3, for backends that walk several chains side by side. */
import type { ChainHash } from "../hash/chain_hash.ts";
import { MAX_CHAIN, MIN_CHAIN, NONCE_BYTES } from "./constants.ts";
import type { Credential, Identity } from "./derive.ts";

/** Someone whose credential is wanted. */
export interface KeyHolder extends Identity {
  /** S: HA1 as lower-case hexadecimal. */
  readonly secret: string;
}

/**
 * Issues a credential to each of `holders`: as {@linkcode deriveCredential} one by one, with less work around the hash.
 *
 * @param hash `HashBackend.many(…)`: lanes where there are any
 * @param nonces 16 random bytes for each, one after the other; new for every credential
 * @param n chain length of all, 1 … 65535
 * @returns by position
 * @throws {RangeError} when `nonces` has another length or `n` is out of range
 * @example
 * ```ts
 * import { deriveCredential, deriveCredentials, loadHashBackend, seededRandom } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const hash = backend.many("SHA-1");
 * const alice = { username: "alice", realm: "example.com" };
 * const secret = "5ebe2294ecd0e0f08eab7690d2a6ee69";
 * const nonce = seededRandom(1).bytes(16);
 * assertEquals(deriveCredentials(hash, [{ ...alice, secret }], nonce, 10), [
 *   deriveCredential(hash, secret, alice, nonce, 10),
 * ]);
 * ```
 */
export function deriveCredentials(
  hash: ChainHash,
  holders: readonly KeyHolder[],
  nonces: Uint8Array,
  n: number,
): Credential[] {
  if (nonces.length !== holders.length * NONCE_BYTES) {
    throw new RangeError(`${nonces.length} bytes of N for ${holders.length} users`);
  }
  if (!Number.isInteger(n) || n < MIN_CHAIN || n > MAX_CHAIN) {
    throw new RangeError(`chain length ${n} is not within ${MIN_CHAIN} … ${MAX_CHAIN}`);
  }
  const secrets = holders.map(({ secret }, i) => {
    return { secret, nonce: nonces.slice(i * NONCE_BYTES, (i + 1) * NONCE_BYTES), n };
  });
  const derived = hash.deriveMany(secrets);
  return holders.map(({ username, realm }, i) => ({
    algorithm: hash.name,
    username,
    realm,
    nonce: secrets[i].nonce,
    n,
    anchor: derived[i].anchor,
    key: derived[i].key,
  }));
}
