/**
 * {@linkcode ChainHash} over any synchronous hash function: one link after the other. What a library has to give
 * is H(bytes) alone, so the rules of the chain stand in one place for all of them.
 */
import type {
  ChainAlgorithm,
  ChainCheck,
  ChainHash,
  ChainSecret,
  ChainWalk,
  DerivedChain,
  HashBackend,
  HmacJob,
} from "./chain_hash.ts";
import { KEY_LABEL, labelled, SEED_LABEL } from "./chain_text.ts";
import { hashBackend } from "./hash_backend.ts";
import {
  BLOCK_SIZE,
  checkHmacInto,
  checkNonceAndLinks,
  checkWalk,
  DIGEST_SIZE,
  NONCE_SIZE,
} from "./check.ts";
import { equalBytes } from "./equal.ts";

/** H: a fresh array of the digest's length; keeps and changes nothing of `data`. */
export type HashFunction = (data: Uint8Array) => Uint8Array;

/** ipad and opad, RFC 2104 §2. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
/** Messages up to this length are put behind the inner pad in one standing buffer: all MACs of the protocol are. */
const SHORT_MESSAGE = 1024;

const encoder = new TextEncoder();

/** A {@linkcode ChainHash} that walks one chain at a time. */
export class SingleLaneHash implements ChainHash {
  readonly backend: string;
  readonly name: ChainAlgorithm;
  readonly size: number;
  readonly #hash: HashFunction;
  /** N || u32(k+1) || h_k, exactly as long as that, so that no view of it has to be made per link. */
  readonly #link: Uint8Array;
  /** (K xor ipad) || message and (K xor opad) || inner digest: contiguous, so that each takes one call of H. */
  readonly #inner = new Uint8Array(BLOCK_SIZE + SHORT_MESSAGE);
  readonly #outer: Uint8Array;

  constructor(backend: string, name: ChainAlgorithm, hash: HashFunction) {
    this.backend = backend;
    this.name = name;
    this.size = DIGEST_SIZE[name];
    this.#hash = hash;
    this.#link = new Uint8Array(NONCE_SIZE + 4 + this.size);
    this.#outer = new Uint8Array(BLOCK_SIZE + this.size);
  }

  digest(data: Uint8Array): Uint8Array {
    return this.#hash(data);
  }

  walk(nonce: Uint8Array, from: number, value: Uint8Array, links: number): Uint8Array {
    checkWalk(this.name, nonce, from, value, links);
    if (links === 0) return new Uint8Array(value);
    this.#link.set(nonce);
    let reached = value;
    for (let k = from + 1; k <= from + links; k++) reached = this.#next(k, reached);
    return reached;
  }

  walkMany(walks: readonly ChainWalk[]): Uint8Array[] {
    const results = new Array<Uint8Array>(walks.length);
    for (let i = 0; i < walks.length; i++) {
      const { nonce, from, value, links } = walks[i];
      results[i] = this.walk(nonce, from, value, links);
    }
    return results;
  }

  chain(nonce: Uint8Array, seed: Uint8Array, n: number): Uint8Array {
    checkWalk(this.name, nonce, 0, seed, n);
    const values = new Uint8Array((n + 1) * this.size);
    values.set(seed);
    this.#link.set(nonce);
    let reached = seed;
    for (let k = 1; k <= n; k++) {
      reached = this.#next(k, reached);
      values.set(reached, k * this.size);
    }
    return values;
  }

  verify(nonce: Uint8Array, from: number, token: Uint8Array, links: number, expected: Uint8Array): boolean {
    if (token.length !== this.size || expected.length !== this.size) return false;
    checkWalk(this.name, nonce, from, token, links);
    this.#link.set(nonce);
    let reached = token;
    for (let k = from + 1; k <= from + links; k++) reached = this.#next(k, reached);
    return equalBytes(reached, expected);
  }

  hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
    return this.#hmac(key, data, data.length);
  }

  hmacInto(key: Uint8Array, data: Uint8Array, length: number, out: Uint8Array): void {
    checkHmacInto(this.size, data, length, out);
    const mac = this.#hmac(key, data, length);
    for (let i = 0; i < mac.length; i++) out[i] = mac[i];
  }

  #hmac(key: Uint8Array, data: Uint8Array, length: number): Uint8Array {
    const short = key.length > BLOCK_SIZE ? this.#hash(key) : key;
    const outer = this.#outer;
    const inner = length <= SHORT_MESSAGE ? this.#inner : new Uint8Array(BLOCK_SIZE + length);
    for (let i = 0; i < short.length; i++) {
      inner[i] = short[i] ^ INNER_PAD;
      outer[i] = short[i] ^ OUTER_PAD;
    }
    inner.fill(INNER_PAD, short.length, BLOCK_SIZE);
    outer.fill(OUTER_PAD, short.length, BLOCK_SIZE);
    inner.set(data.length === length ? data : data.subarray(0, length), BLOCK_SIZE);
    outer.set(this.#hash(inner.subarray(0, BLOCK_SIZE + length)), BLOCK_SIZE);
    return this.#hash(outer);
  }

  verifyMany(checks: readonly ChainCheck[]): boolean[] {
    return checks.map(({ nonce, from, token, links, expected }) =>
      this.verify(nonce, from, token, links, expected)
    );
  }

  hmacMany(jobs: readonly HmacJob[]): Uint8Array[] {
    return jobs.map(({ key, data }) => this.hmac(key, data));
  }

  deriveMany(secrets: readonly ChainSecret[]): DerivedChain[] {
    return secrets.map(({ secret, nonce, n }) => {
      checkNonceAndLinks(nonce, 0, n);
      const key = encoder.encode(secret);
      const seed = this.hmac(key, labelled(SEED_LABEL, nonce, n));
      return { anchor: this.walk(nonce, 0, seed, n), key: this.hmac(key, labelled(KEY_LABEL, nonce, n)) };
    });
  }

  /** h_k from h_(k-1); N already stands in the scratch buffer. */
  #next(k: number, previous: Uint8Array): Uint8Array {
    const link = this.#link;
    link[NONCE_SIZE] = k >>> 24;
    link[NONCE_SIZE + 1] = k >>> 16;
    link[NONCE_SIZE + 2] = k >>> 8;
    link[NONCE_SIZE + 3] = k;
    link.set(previous, NONCE_SIZE + 4);
    return this.#hash(link);
  }
}

/** A backend of one {@linkcode SingleLaneHash} per algorithm. */
export function singleLaneBackend(
  name: string,
  functions: Readonly<Record<ChainAlgorithm, HashFunction>>,
): HashBackend {
  return hashBackend(name, (algorithm) => new SingleLaneHash(name, algorithm, functions[algorithm]));
}
