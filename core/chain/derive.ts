/** From HA1 to a credential: docs/PROTOCOL.md §2, §3 and, for decoys, §8. */
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import { KEY_LABEL, labelled, SEED_LABEL } from "../hash/chain_text.ts";
import { toHex } from "../hash/hex.ts";
import { MAX_CHAIN, MIN_CHAIN, NONCE_BYTES } from "./constants.ts";

const encoder = new TextEncoder();

/** Whose credential it is. */
export interface Identity {
  readonly username: string;
  readonly realm: string;
}

/** What DBclient hands to a proxy, docs/PROTOCOL.md §3: the end of the chain and the key, never HA1 or h_0. */
export interface Credential extends Identity {
  readonly algorithm: ChainAlgorithm;
  /** N, 16 bytes. */
  readonly nonce: Uint8Array;
  /** Chain length. */
  readonly n: number;
  /** h_n. */
  readonly anchor: Uint8Array;
  /** K. */
  readonly key: Uint8Array;
}

/** @throws {RangeError} when N or n is none */
function checkNonceAndLength(nonce: Uint8Array, n: number): void {
  if (nonce.length !== NONCE_BYTES) {
    throw new RangeError(`N has ${nonce.length} bytes; it takes ${NONCE_BYTES}`);
  }
  if (!Number.isInteger(n) || n < MIN_CHAIN || n > MAX_CHAIN) {
    throw new RangeError(`chain length ${n} is not within ${MIN_CHAIN} … ${MAX_CHAIN}`);
  }
}

/**
 * HA1 for PC: hex(H1(username ":" realm ":" password)), where H1 is SHA-256 for SHA-256 and MD5 for MD5 and
 * SHA-1 (docs/PROTOCOL.md §2).
 *
 * @param hash the hash of that column: MD5 or SHA-256
 */
export function ha1(hash: ChainHash, identity: Identity, password: string): string {
  return toHex(hash.digest(encoder.encode(`${identity.username}:${identity.realm}:${password}`)));
}

/** Which hash makes the HA1 of a PC algorithm: the `ha1` column is MD5, `ha1_sha256` is SHA-256. */
export function ha1Algorithm(algorithm: ChainAlgorithm): "MD5" | "SHA-256" {
  return algorithm === "SHA-256" ? "SHA-256" : "MD5";
}

/**
 * h_0, docs/PROTOCOL.md §3.
 *
 * @param secret S: HA1 as lower-case hexadecimal
 */
export function chainSeed(hash: ChainHash, secret: string, nonce: Uint8Array, n: number): Uint8Array {
  checkNonceAndLength(nonce, n);
  return hash.hmac(encoder.encode(secret), labelled(SEED_LABEL, nonce, n));
}

/** K, docs/PROTOCOL.md §3. */
export function credentialKey(hash: ChainHash, secret: string, nonce: Uint8Array, n: number): Uint8Array {
  checkNonceAndLength(nonce, n);
  return hash.hmac(encoder.encode(secret), labelled(KEY_LABEL, nonce, n));
}

/**
 * Issues a credential, docs/PROTOCOL.md §3.
 *
 * @param secret S: HA1 as lower-case hexadecimal
 * @param nonce N: 16 random bytes, new for every credential
 * @param n chain length, 1 … 65535
 * @throws {RangeError} when `nonce` or `n` is out of range
 * @example
 * ```ts
 * import { deriveCredential, fromHex, ha1, loadHashBackend, toHex } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const alice = { username: "alice", realm: "example.com" };
 * const secret = ha1(backend.get("MD5"), alice, "secret");
 * const nonce = fromHex("fb47ed7641c7535550259544c6858f8b");
 * const { anchor, key } = deriveCredential(backend.get("SHA-1"), secret, alice, nonce, 10);
 * assertEquals(toHex(anchor), "aea704dd7a8ac1e41e89418718569254a3a09a84");
 * assertEquals(toHex(key), "4564ab2804c256b690d12e86f93e3d1f507cad8d");
 * ```
 */
export function deriveCredential(
  hash: ChainHash,
  secret: string,
  identity: Identity,
  nonce: Uint8Array,
  n: number,
): Credential {
  return {
    algorithm: hash.name,
    username: identity.username,
    realm: identity.realm,
    nonce,
    n,
    anchor: hash.walk(nonce, 0, chainSeed(hash, secret, nonce, n), n),
    key: credentialKey(hash, secret, nonce, n),
  };
}

/** What the issuer secret is put over for S_d, docs/PROTOCOL.md §8. */
export function decoyText({ username, realm }: Identity): Uint8Array {
  return encoder.encode(`PC1 decoy\n${username}\n${realm}`);
}

/**
 * S_d of a user that does not exist, docs/PROTOCOL.md §8: as long as the HA1 of SHA-256, the same at every call
 * while the issuer secret is kept.
 *
 * @param sha256 the SHA-256 backend
 * @param issuerSecret at least 16 bytes that only DBclient knows
 */
export function decoySecret(sha256: ChainHash, issuerSecret: Uint8Array, identity: Identity): string {
  return toHex(sha256.hmac(issuerSecret, decoyText(identity)));
}
