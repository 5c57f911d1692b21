/** The host's side of the kernel: its module, its memory, and flat areas of records in it. */
import type { ChainAlgorithm } from "../chain_hash.ts";
import {
  EXPECTED_SIZE,
  MAC_KEY,
  MAC_LENGTH,
  MAC_MESSAGE,
  MAC_RESULT,
  MAC_SIZE,
  MD5,
  RUN_SIZE,
  SHA1,
  SHA256,
  WALK_INDEX,
  WALK_LINKS,
  WALK_NONCE,
  WALK_SIZE,
  WALK_VALUE,
} from "./assembly/layout.ts";

/** What the module exports: assembly/kernel.ts. Addresses are bytes from the start of the memory. */
export interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  freeMemory(): number;
  walk(algorithm: number, records: number, count: number): void;
  verify(algorithm: number, records: number, expected: number, verdicts: number, count: number): void;
  chain(algorithm: number, record: number, values: number, count: number): void;
  collect(algorithm: number, from: number, stride: number, to: number, count: number): void;
  start(algorithm: number, state: number): void;
  update(algorithm: number, state: number, data: number, blocks: number): void;
  finish(algorithm: number, state: number, data: number, length: number, total: number): void;
  hmacPads(algorithm: number, macs: number, count: number, list: number): void;
  hmac(algorithm: number, macs: number, count: number, list: number): void;
  derive(
    algorithm: number,
    macs: number,
    walks: number,
    count: number,
    list: number,
    labels: number,
    seedLength: number,
    keyLength: number,
  ): void;
}

/** What the kernel calls each algorithm. */
export const ALGORITHM_NUMBER: Readonly<Record<ChainAlgorithm, number>> = {
  "MD5": MD5,
  "SHA-1": SHA1,
  "SHA-256": SHA256,
};

const PAGE_SIZE = 65536;
const BLOCK_SIZE = 64;
/** Records begin where a cache line does. */
const ALIGNMENT = 64;

/**
 * A started module and its memory. A module has one instance in a program (or worker), so everything that uses it
 * shares one memory; since all calls are synchronous, none sees another half done.
 */
export class LaneKernel {
  #bytes: Uint8Array;
  #words: Uint32Array;
  #free: number;

  constructor(readonly exports: KernelExports) {
    this.#bytes = new Uint8Array(exports.memory.buffer);
    this.#words = new Uint32Array(exports.memory.buffer);
    this.#free = exports.freeMemory();
  }

  /** The whole memory. Not to be kept: when the memory grows, older views are empty. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The same by little-endian words of 32 bits: index = address / 4. */
  get words(): Uint32Array {
    return this.#words;
  }

  /** Takes memory for as long as the program runs; its address is a multiple of 64. */
  allocate(size: number): number {
    const address = Math.ceil(this.#free / ALIGNMENT) * ALIGNMENT;
    this.#free = address + size;
    const missing = this.#free - this.#bytes.length;
    if (missing > 0) {
      this.exports.memory.grow(Math.ceil(missing / PAGE_SIZE));
      this.#bytes = new Uint8Array(this.exports.memory.buffer);
      this.#words = new Uint32Array(this.exports.memory.buffer);
    }
    return address;
  }
}

/**
 * Walks side by side in the kernel's memory, one record each; with {@linkcode verify}, verifications. The caller puts
 * in what it has, or writes to `bytes` and `words` itself: it may keep half of a record (N, say) standing from one
 * batch to the next. Nothing is checked here.
 */
export class WalkArea {
  /** Addresses from one value to the next. */
  readonly stride = WALK_SIZE;
  /** Address of the first record; the others follow at {@linkcode WALK_SIZE} bytes each. */
  readonly records: number;
  /** Address of the first expected value; the others follow at {@linkcode EXPECTED_SIZE} bytes each. */
  readonly expected: number;
  /** Address of the first verdict, a byte each. */
  readonly verdicts: number;

  constructor(readonly kernel: LaneKernel, readonly capacity: number) {
    this.records = kernel.allocate(capacity * WALK_SIZE);
    this.expected = kernel.allocate(capacity * EXPECTED_SIZE);
    this.verdicts = kernel.allocate(capacity);
  }

  /** Puts a walk into record `i`. */
  put(i: number, nonce: Uint8Array, from: number, value: Uint8Array, links: number): void {
    const record = this.records + i * WALK_SIZE;
    const { bytes, words } = this.kernel;
    copy(nonce, bytes, record + WALK_NONCE);
    copy(value, bytes, record + WALK_VALUE);
    words[(record + WALK_INDEX) >>> 2] = from;
    words[(record + WALK_LINKS) >>> 2] = links;
  }

  /** Puts the value that walk `i` should come to. */
  putExpected(i: number, expected: Uint8Array): void {
    copy(expected, this.kernel.bytes, this.expected + i * EXPECTED_SIZE);
  }

  /** Walks the first `count` records to their ends. The values are then {@linkcode value}s; links are 0. */
  walk(algorithm: number, count: number): void {
    this.kernel.exports.walk(algorithm, this.records, count);
  }

  /** Address of the value of the first record. */
  get values(): number {
    return this.records + WALK_VALUE;
  }

  /** The value of record `i`: a copy. */
  value(i: number, size: number): Uint8Array {
    const at = this.values + i * WALK_SIZE;
    return this.kernel.bytes.slice(at, at + size);
  }

  /** {@linkcode walk}, and compares the values with the expected ones in constant time. */
  verify(algorithm: number, count: number): void {
    this.kernel.exports.verify(algorithm, this.records, this.expected, this.verdicts, count);
  }

  /** Whether record `i` came to its expected value. */
  verdict(i: number): boolean {
    return this.kernel.bytes[this.verdicts + i] === 1;
  }
}

/** HMACs side by side in the kernel's memory: a record each, and room for the messages. */
export class MacArea {
  /** Addresses from one result to the next. */
  readonly stride = MAC_SIZE;
  readonly records: number;
  readonly #messages: number;
  readonly #room: number;
  readonly #list: number;
  #used = 0;

  /** @param room bytes for all messages of a batch, each filled up to whole blocks with its padding */
  constructor(readonly kernel: LaneKernel, readonly capacity: number, room: number) {
    this.records = kernel.allocate(capacity * MAC_SIZE);
    this.#messages = kernel.allocate(room);
    this.#room = room;
    this.#list = kernel.allocate(capacity * RUN_SIZE);
  }

  /** Whether a message of that length has room in an empty area. */
  takes(length: number): boolean {
    return length + 2 * BLOCK_SIZE <= this.#room;
  }

  /** Begins a new batch. */
  clear(): void {
    this.#used = 0;
  }

  /** Puts the key of record `i`, at most 64 bytes. */
  putKey(i: number, key: Uint8Array): void {
    const at = this.records + i * MAC_SIZE + MAC_KEY;
    copy(key, this.kernel.bytes, at);
    this.kernel.bytes.fill(0, at + key.length, at + BLOCK_SIZE);
  }

  /**
   * Puts the key of record `i` from ASCII characters.
   *
   * @returns false, with nothing of use put, if it is no ASCII or longer than 64 characters
   */
  putAsciiKey(i: number, key: string): boolean {
    const at = this.records + i * MAC_SIZE + MAC_KEY;
    const { bytes } = this.kernel;
    const { length } = key;
    if (length > BLOCK_SIZE) return false;
    let all = 0;
    for (let k = 0; k < length; k++) {
      const code = key.charCodeAt(k);
      all |= code;
      bytes[at + k] = code;
    }
    bytes.fill(0, at + length, at + BLOCK_SIZE);
    return all < 0x80;
  }

  /** Puts the message of record `i`, message[0, length); false if the batch has no room for it any more. */
  putMessage(i: number, message: Uint8Array, length: number = message.length): boolean {
    if (this.#used + length + 2 * BLOCK_SIZE > this.#room) return false;
    const { bytes, words } = this.kernel;
    const record = this.records + i * MAC_SIZE;
    const at = this.#messages + this.#used;
    if (length === message.length) copy(message, bytes, at);
    // A view of the part would be garbage.
    else for (let k = 0; k < length; k++) bytes[at + k] = message[k];
    words[(record + MAC_MESSAGE) >>> 2] = at;
    words[(record + MAC_LENGTH) >>> 2] = length;
    this.#used = (this.#used + length + 9 + BLOCK_SIZE - 1) & -BLOCK_SIZE;
    return true;
  }

  /** Works out the first `count` records. Keys are used up. */
  hmac(algorithm: number, count: number): void {
    this.pads(algorithm, count);
    this.finish(algorithm, count);
  }

  /** The first half of {@linkcode hmac}: the states behind the pads, which may be kept and put back for later. */
  pads(algorithm: number, count: number): void {
    this.kernel.exports.hmacPads(algorithm, this.records, count, this.#list);
  }

  /** The second half: results from the states behind the pads and the messages. Leaves the states as they are. */
  finish(algorithm: number, count: number): void {
    this.kernel.exports.hmac(algorithm, this.records, count, this.#list);
  }

  /**
   * Issues credentials (docs/PROTOCOL.md §3) from S in the keys here, and N and n in the nonces and links of `walks`.
   * K is then the {@linkcode result} here, h_n the value there.
   */
  derive(
    algorithm: number,
    walks: WalkArea,
    count: number,
    labels: number,
    seedLength: number,
    keyLength: number,
  ): void {
    this.kernel.exports.derive(
      algorithm,
      this.records,
      walks.records,
      count,
      this.#list,
      labels,
      seedLength,
      keyLength,
    );
  }

  /** Address of the result of the first record. */
  get values(): number {
    return this.records + MAC_RESULT;
  }

  /** Copies the result of record `i` to the beginning of `out`. */
  copyResult(i: number, size: number, out: Uint8Array): void {
    const at = this.values + i * MAC_SIZE;
    const { bytes } = this.kernel;
    for (let k = 0; k < size; k++) out[k] = bytes[at + k];
  }

  /** The result of record `i`: a copy. */
  result(i: number, size: number): Uint8Array {
    const at = this.values + i * MAC_SIZE;
    return this.kernel.bytes.slice(at, at + size);
  }
}

/** For the few bytes of a nonce or value a loop is quicker than `set`. */
function copy(from: Uint8Array, to: Uint8Array, at: number): void {
  const { length } = from;
  if (length > BLOCK_SIZE) return to.set(from, at);
  for (let i = 0; i < length; i++) to[at + i] = from[i];
}
