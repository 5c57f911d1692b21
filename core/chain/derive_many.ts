/** Credentials for many users at once: docs/PROTOCOL.md §3, for backends that walk several chains side by side. */
import type { ChainHash, ChainSecret, DerivedChain } from "../hash/chain_hash.ts";
import { KEY_LABEL, labelled, SEED_LABEL } from "../hash/chain_text.ts";
import { toHex } from "../hash/hex.ts";
import { MAX_CHAIN, MIN_CHAIN, NONCE_BYTES } from "./constants.ts";
import { type Credential, decoyText, type Identity } from "./derive.ts";

const encoder = new TextEncoder();
/** Chains that are walked side by side when each takes many links: enough for every lane of a kernel. */
const LONG_CHAINS = 16;
/** What the two MACs of a credential cost, in links. */
const MACS = 16;

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
  checkBatch(holders, nonces, n);
  const secrets = withNonces(holders, nonces, n);
  const derived = hash.deriveMany(secrets);
  return credentials(hash, holders, secrets, derived);
}

/**
 * {@linkcode deriveCredentials} in steps of bounded work, so that others may have their turn in between: each step
 * of the generator is about `links` links, whether that is many short chains or a part of a few long ones.
 *
 * @param links 1 or more
 * @throws {RangeError} (at the first step) as {@linkcode deriveCredentials}
 */
export function* deriveCredentialsInSteps(
  hash: ChainHash,
  holders: readonly KeyHolder[],
  nonces: Uint8Array,
  n: number,
  links: number,
): Generator<void, Credential[]> {
  checkBatch(holders, nonces, n);
  const short = Math.floor(links / (n + MACS));
  const size = Math.max(short, LONG_CHAINS);
  const results: Credential[] = [];
  for (let first = 0; first < holders.length; first += size) {
    if (first > 0) yield;
    const some = holders.slice(first, first + size);
    const part = nonces.subarray(first * NONCE_BYTES, (first + some.length) * NONCE_BYTES);
    if (short >= LONG_CHAINS) results.push(...deriveCredentials(hash, some, part, n));
    else results.push(...yield* longChains(hash, some, part, n, links));
  }
  return results;
}

/** A few chains that take more links than one step has: all go up together, a part of the way at a time. */
function* longChains(
  hash: ChainHash,
  holders: readonly KeyHolder[],
  nonces: Uint8Array,
  n: number,
  links: number,
): Generator<void, Credential[]> {
  const secrets = withNonces(holders, nonces, n);
  const macs = (label: string) =>
    hash.hmacMany(secrets.map(({ secret, nonce }) => {
      return { key: encoder.encode(secret), data: labelled(label, nonce, n) };
    }));
  const keys = macs(KEY_LABEL);
  let values = macs(SEED_LABEL);
  const most = Math.max(1, Math.floor(links / holders.length));
  for (let from = 0; from < n; from += most) {
    yield;
    const step = Math.min(most, n - from);
    values = hash.walkMany(secrets.map(({ nonce }, i) => ({ nonce, from, value: values[i], links: step })));
  }
  return credentials(hash, holders, secrets, values.map((anchor, i) => ({ anchor, key: keys[i] })));
}

/**
 * S_d of many users at once, by position, docs/PROTOCOL.md §8: each as `decoySecret`.
 *
 * @param sha256 `HashBackend.many("SHA-256")`
 * @param issuerSecret at least 16 bytes that only DBclient knows
 */
export function decoySecrets(
  sha256: ChainHash,
  issuerSecret: Uint8Array,
  identities: readonly Identity[],
): string[] {
  const jobs = identities.map((identity) => ({ key: issuerSecret, data: decoyText(identity) }));
  return sha256.hmacMany(jobs).map(toHex);
}

/** @throws {RangeError} when there is not one nonce for each, or n is out of range */
function checkBatch(holders: readonly KeyHolder[], nonces: Uint8Array, n: number): void {
  if (nonces.length !== holders.length * NONCE_BYTES) {
    throw new RangeError(`${nonces.length} bytes of N for ${holders.length} users`);
  }
  if (!Number.isInteger(n) || n < MIN_CHAIN || n > MAX_CHAIN) {
    throw new RangeError(`chain length ${n} is not within ${MIN_CHAIN} … ${MAX_CHAIN}`);
  }
}

function withNonces(holders: readonly KeyHolder[], nonces: Uint8Array, n: number): ChainSecret[] {
  return holders.map(({ secret }, i) => {
    return { secret, nonce: nonces.slice(i * NONCE_BYTES, (i + 1) * NONCE_BYTES), n };
  });
}

function credentials(
  hash: ChainHash,
  holders: readonly KeyHolder[],
  secrets: readonly ChainSecret[],
  derived: readonly DerivedChain[],
): Credential[] {
  return holders.map(({ username, realm }, i) => ({
    algorithm: hash.name,
    username,
    realm,
    nonce: secrets[i].nonce,
    n: secrets[i].n,
    anchor: derived[i].anchor,
    key: derived[i].key,
  }));
}
