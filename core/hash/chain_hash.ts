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

/** One verification: whether `links` links up from `token` = h_from is `expected`. */
export interface ChainCheck {
  /** N, the 16-byte salt of the credential. */
  readonly nonce: Uint8Array;
  /** Index of `token`. */
  readonly from: number;
  readonly token: Uint8Array;
  readonly links: number;
  /** h_(from+links), if the token is right. */
  readonly expected: Uint8Array;
}

/** One HMAC. */
export interface HmacJob {
  readonly key: Uint8Array;
  readonly data: Uint8Array;
}

/** What a credential is made from, docs/PROTOCOL.md §3. */
export interface ChainSecret {
  /** S, the HA1 of the user as lower-case hexadecimal. */
  readonly secret: string;
  /** N, 16 bytes. */
  readonly nonce: Uint8Array;
  /** Length of the chain. */
  readonly n: number;
}

/** The end of a chain and the key that goes with it, docs/PROTOCOL.md §3. */
export interface DerivedChain {
  /** h_n. */
  readonly anchor: Uint8Array;
  /** K. */
  readonly key: Uint8Array;
}

/**
 * One hash function with what chains need of it. Results are fresh arrays, but those of one call for many
 * may be views of one buffer: whoever keeps a few of them for long should copy them.
 */
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
  /** Many verifications at once, results by position; each as {@linkcode verify}. */
  verifyMany(checks: readonly ChainCheck[]): boolean[];
  /** HMAC over this hash, RFC 2104; keys longer than 64 bytes are hashed first. */
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
  /**
   * {@linkcode hmac} without a new array: for one MAC per message.
   *
   * @param data the message is data[0, length)
   * @param length at most `data.length`
   * @param out its first `size` bytes are overwritten; the others stay as they are
   * @throws {RangeError} when `out` is shorter than `size`, or `length` is none of `data`
   */
  hmacInto(key: Uint8Array, data: Uint8Array, length: number, out: Uint8Array): void;
  /** Many HMACs at once, results by position. */
  hmacMany(jobs: readonly HmacJob[]): Uint8Array[];
  /**
   * h_n and K of many credentials at once, docs/PROTOCOL.md §3, results by position.
   *
   * @throws {RangeError} on a nonce of the wrong length or an n that is no whole number from 0 to 2^32 - 1
   */
  deriveMany(secrets: readonly ChainSecret[]): DerivedChain[];
}

/** A family of {@linkcode ChainHash} made by one library or kernel, or by one for each kind of work. */
export interface HashBackend {
  /** The name of what {@linkcode get} gives. */
  readonly name: string;
  /** For one chain or message at a time: the path of a single request. */
  get(algorithm: ChainAlgorithm): ChainHash;
  /**
   * For many chains or messages at a time: issue, warm-up, prefetch, batches of verification. The results are those of
   * {@linkcode get}; it may be the same object.
   */
  many(algorithm: ChainAlgorithm): ChainHash;
}
