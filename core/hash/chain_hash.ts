/**
 * The hash interface of the chains (docs/PROTOCOL.md §2, §3). Every backend passes the suite in
 * `contract_test.ts`; `select.ts` chooses one.
 */

/** Algorithms of docs/PROTOCOL.md §2, spelled as in the `algorithm` parameter. */
export type ChainAlgorithm = "MD5" | "SHA-1" | "SHA-256";
/** All of {@linkcode ChainAlgorithm}, weakest first (the order of an agent's "no weaker than" policy). */
export const CHAIN_ALGORITHMS: readonly ChainAlgorithm[] = ["MD5", "SHA-1", "SHA-256"];

/** One walk along a chain: `links` links up from index `from`. */
export interface ChainWalk {
  /** N, the 16-byte salt of the credential. */
  readonly nonce: Uint8Array;
  /** Index k of `value` = h_k. */
  readonly from: number;
  readonly value: Uint8Array;
  /** How many links to go up: the result is h_(from+links). */
  readonly links: number;
}

/** One hash function with what chains need of it. Results are fresh arrays unless said otherwise. */
export interface ChainHash {
  /** The backend's name, for `--help`, logs and benchmarks. */
  readonly backend: string;
  readonly name: ChainAlgorithm;
  /** Length of a digest in bytes: L of docs/PROTOCOL.md §2. */
  readonly size: number;
  /** H(data). */
  digest(data: Uint8Array): Uint8Array;
  /**
   * Walks up a chain: h_(k+1) = H(N || u32(k+1) || h_k), docs/PROTOCOL.md §3.
   *
   * @param nonce N, 16 bytes
   * @param from index of `value`
   * @param value h_from, `size` bytes
   * @param links 0 or more; 0 gives a copy of `value`
   * @throws {RangeError} on a nonce or value of the wrong length, a negative or broken number, or an index past
   * 2^32 - 1: mistakes of the caller, since what comes from a peer is checked when it is parsed
   */
  walk(nonce: Uint8Array, from: number, value: Uint8Array, links: number): Uint8Array;
  /** Many walks at once, results by position. A backend with lanes does them side by side. */
  walkMany(walks: readonly ChainWalk[]): Uint8Array[];
  /** The whole chain from `seed` = h_0: (n + 1) values of `size` bytes, h_k at offset k · `size`. */
  chain(nonce: Uint8Array, seed: Uint8Array, n: number): Uint8Array;
  /**
   * Whether walking `token` = h_from up `links` links gives `expected`, compared in constant time. A token or
   * expected value of the wrong length does not. Throws as {@linkcode walk} does on the rest.
   */
  verify(nonce: Uint8Array, from: number, token: Uint8Array, links: number, expected: Uint8Array): boolean;
  /** HMAC over this hash, RFC 2104; keys longer than 64 bytes are hashed first. */
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
}

/** A family of {@linkcode ChainHash} made by one library or kernel. */
export interface HashBackend {
  readonly name: string;
  get(algorithm: ChainAlgorithm): ChainHash;
}
