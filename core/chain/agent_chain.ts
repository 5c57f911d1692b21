/** What an agent keeps of one chain: the values it may reveal, and the lowest index it has revealed. */
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import { chainSeed, credentialKey } from "./derive.ts";

/** A chain up to this length is kept whole; of a longer one, every `SEGMENT`th value and the segment in use. */
const SEGMENT = 256;

/** One chain of one user as the agent holds it, per (realm, N, opaque): docs/PROTOCOL.md §4, §11. */
export class AgentChain {
  readonly algorithm: ChainAlgorithm;
  /** K. */
  readonly key: Uint8Array;
  /** The lowest index revealed so far, n when none was. */
  lowest: number;
  /** The chain that a confirmation of this one announced (`nextnonce`, docs/PROTOCOL.md §7). */
  successor: AgentChain | undefined;
  readonly #secret: string;
  /** h_0, h_256, h_512 …; empty until the first token is revealed. */
  readonly #checkpoints: Uint8Array[] = [];
  /** The values of the segment in use, one after the other, and its number. */
  #segment = new Uint8Array(0);
  #segmentNumber = -1;

  /**
   * Computes K alone: the chain is walked when its first token is revealed, so that a challenge whose `auth` is wrong
   * costs no walk, however long the chain that it claims (docs/PROTOCOL.md §4).
   *
   * @param secret S: HA1 as lower-case hexadecimal
   * @param nonce N, 16 bytes
   * @param n chain length that the challenge says
   */
  constructor(
    readonly hash: ChainHash,
    secret: string,
    readonly nonce: Uint8Array,
    readonly n: number,
    readonly opaque: string,
  ) {
    this.algorithm = hash.name;
    this.key = credentialKey(hash, secret, nonce, n);
    this.lowest = n;
    this.#secret = secret;
  }

  /** Tokens that can still be revealed. */
  get left(): number {
    return this.lowest;
  }

  /**
   * Takes h_j to be sent: j becomes the lowest revealed index. Each request takes its own j.
   *
   * @param j below the lowest revealed index
   * @throws {RangeError} when j would reveal nothing new
   */
  reveal(j: number): Uint8Array {
    if (!Number.isInteger(j) || j < 0 || j >= this.lowest) {
      throw new RangeError(`token ${j} is not below ${this.lowest}`);
    }
    this.lowest = j;
    const segment = Math.floor(j / SEGMENT);
    if (segment !== this.#segmentNumber) {
      if (this.#checkpoints.length === 0) this.#walkCheckpoints();
      const start = segment * SEGMENT;
      const links = Math.min(SEGMENT, this.n - start) - 1;
      this.#segment = this.#chainFrom(start, this.#checkpoints[segment], links);
      this.#segmentNumber = segment;
    }
    const { size } = this.hash;
    const offset = (j % SEGMENT) * size;
    return this.#segment.slice(offset, offset + size);
  }

  #walkCheckpoints(): void {
    let value = chainSeed(this.hash, this.#secret, this.nonce, this.n);
    this.#checkpoints.push(value);
    for (let k = SEGMENT; k < this.n; k += SEGMENT) {
      value = this.hash.walk(this.nonce, k - SEGMENT, value, SEGMENT);
      this.#checkpoints.push(value);
    }
  }

  /** Values h_start … h_(start+links), one after the other. */
  #chainFrom(start: number, value: Uint8Array, links: number): Uint8Array<ArrayBuffer> {
    const { size } = this.hash;
    const out = new Uint8Array((links + 1) * size);
    out.set(value);
    for (let k = 0; k < links; k++) {
      value = this.hash.walk(this.nonce, start + k, value, 1);
      out.set(value, (k + 1) * size);
    }
    return out;
  }
}
