/** A live credential as a copy of its record in the memory of a cache, and the way back. */
import {
  CHAIN_ALGORITHMS,
  type ChainHash,
  type Credential,
  type CredentialState,
  type HashBackend,
  LiveCredential,
  NONCE_BYTES,
  type PcAnswerView,
  ReplayWindow,
} from "../../mod.ts";
import { type CacheMemory, Record } from "./layout.ts";
import type { WindowPool } from "./window_pool.ts";

/** That of SHA-256, bytes. */
const LONGEST_DIGEST = 32;
const NONCE_WORDS = NONCE_BYTES / 4;

/** Numbers of algorithms in a record, and their hashes; once per thread. */
export function hashesByNumber(hashes: HashBackend): readonly ChainHash[] {
  return CHAIN_ALGORITHMS.map((algorithm) => hashes.get(algorithm));
}

/** Room for one digest, seen as words and as exactly as many bytes as each algorithm has. */
class DigestBuffer {
  readonly words = new Int32Array(LONGEST_DIGEST / 4);
  readonly bytes: readonly Uint8Array[];

  constructor(hashes: readonly ChainHash[]) {
    this.bytes = hashes.map(({ size }) => new Uint8Array(this.words.buffer, 0, size));
  }
}

/** The copy of one record; used again for the next. */
export class CredentialCopy extends LiveCredential {
  /** Tells the credential from all others of its cache. */
  tag = 0;
  /** Its replay window in the pool + 1, 0 when it has none. */
  place = 0;
  /** Number of its algorithm in CHAIN_ALGORITHMS. */
  algorithmNumber = 0;
  readonly #nonce = new Int32Array(NONCE_WORDS);
  readonly #value: DigestBuffer;
  readonly #key: DigestBuffer;
  readonly #window = new ReplayWindow();
  readonly #hashes: readonly ChainHash[];
  #record = 0;

  /** @param hashes by the numbers of CHAIN_ALGORITHMS */
  constructor(hashes: readonly ChainHash[]) {
    super(
      { hash: hashes[0], n: 0, index: 0, issuedAt: 0, expiresAt: 0, walks: 0, walksAt: 0 } as CredentialState,
    );
    this.#hashes = hashes;
    this.#value = new DigestBuffer(hashes);
    this.#key = new DigestBuffer(hashes);
    this.state.nonce = new Uint8Array(this.#nonce.buffer);
  }

  /** Whether an answer is for this credential. */
  isNamedBy({ algorithm, nonceWords }: PcAnswerView): boolean {
    if (algorithm !== this.algorithmNumber) return false;
    for (let i = 0; i < NONCE_WORDS; i++) if (nonceWords[i] !== this.#nonce[i]) return false;
    return true;
  }

  /** Copies a record. The lock of its user is held. */
  load(memory: CacheMemory, pool: WindowPool, record: number): void {
    const { recordWordsOf: words, recordFloatsOf: floats } = memory;
    const { state } = this;
    const at = record * memory.recordWords;
    const float = at / 2;
    const algorithm = words[at + Record.ALGORITHM];
    this.#record = record;
    this.algorithmNumber = algorithm;
    state.hash = this.#hashes[algorithm];
    state.issuedAt = floats[float + Record.ISSUED_AT];
    state.expiresAt = floats[float + Record.EXPIRES_AT];
    state.walks = floats[float + Record.WALKS];
    state.walksAt = floats[float + Record.WALKS_AT];
    const packed = words[at + Record.INDEX];
    state.n = packed & 0xffff;
    state.index = packed >>> 16;
    state.value = this.#value.bytes[algorithm];
    state.key = this.#key.bytes[algorithm];
    const length = state.hash.size / 4;
    const key = at + Record.VALUE + memory.digestBytes / 4;
    for (let i = 0; i < NONCE_WORDS; i++) this.#nonce[i] = words[at + Record.NONCE + i];
    for (let i = 0; i < length; i++) this.#value.words[i] = words[at + Record.VALUE + i];
    for (let i = 0; i < length; i++) this.#key.words[i] = words[key + i];
    this.tag = words[at + Record.TAG];
    this.place = words[at + Record.WINDOW];
    state.window = this.place !== 0 && pool.load(this.place, this.tag, this.#window)
      ? this.#window
      : undefined;
  }

  /** Writes back what an answer has changed. The lock of its user is held, and the record is as it was copied. */
  save(memory: CacheMemory, pool: WindowPool, now: number): void {
    const { recordWordsOf: words, recordFloatsOf: floats } = memory;
    const { state } = this;
    const at = this.#record * memory.recordWords;
    floats[at / 2 + Record.WALKS] = state.walks;
    floats[at / 2 + Record.WALKS_AT] = state.walksAt;
    words[at + Record.INDEX] = state.n | (state.index << 16);
    const length = state.hash.size / 4;
    for (let i = 0; i < length; i++) words[at + Record.VALUE + i] = this.#value.words[i];
    if (state.window !== undefined) this.place = pool.store(this.place, this.tag, state.window, now);
    else if (this.place !== 0) {
      pool.drop(this.place, this.tag);
      this.place = 0;
    }
    words[at + Record.WINDOW] = this.place;
  }
}

/**
 * Writes the record of a new credential. The lock of its user is held.
 */
export function writeRecord(
  memory: CacheMemory,
  record: number,
  credential: Credential,
  tag: number,
  issuedAt: number,
  expiresAt: number,
  serial: number,
): void {
  const { recordWordsOf: words, recordFloatsOf: floats, digestBytes } = memory;
  const at = record * memory.recordWords;
  floats[at / 2 + Record.ISSUED_AT] = issuedAt;
  floats[at / 2 + Record.EXPIRES_AT] = expiresAt;
  floats[at / 2 + Record.WALKS] = Infinity;
  floats[at / 2 + Record.WALKS_AT] = issuedAt;
  floats[at / 2 + Record.SERIAL] = serial;
  words[at + Record.ALGORITHM] = CHAIN_ALGORITHMS.indexOf(credential.algorithm);
  words[at + Record.INDEX] = credential.n | (credential.n << 16);
  words[at + Record.TAG] = tag;
  words[at + Record.WINDOW] = 0;
  copyBytes(credential.nonce, words, at + Record.NONCE);
  copyBytes(credential.anchor, words, at + Record.VALUE);
  copyBytes(credential.key, words, at + Record.VALUE + digestBytes / 4);
}

/** Whether the row of a record was read before a revocation. The lock of its user is held. */
export function isRevoked(memory: CacheMemory, record: number, serial: number): boolean {
  return memory.recordFloatsOf[record * memory.recordWords / 2 + Record.SERIAL] < serial;
}

/** Wipes a record out. The lock of its user is held. */
export function wipeRecord(memory: CacheMemory, record: number): void {
  const first = record * memory.recordWords;
  for (let i = first; i < first + memory.recordWords; i++) memory.recordWordsOf[i] = 0;
}

const bytes = new Uint8Array(LONGEST_DIGEST);
const asWords = new Int32Array(bytes.buffer);

/** Copies bytes, a whole number of words, into shared words; a view of that place would be garbage. */
function copyBytes(from: Uint8Array, words: Int32Array, at: number): void {
  bytes.set(from);
  for (let i = 0; i < from.length / 4; i++) words[at + i] = asWords[i];
}
