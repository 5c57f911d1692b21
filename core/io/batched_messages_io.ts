/**
 * The memory that recvmmsg and sendmmsg work on: `struct mmsghdr`, `iovec`, socket address and data of each message.
 * The layout is that of 64-bit little-endian Linux (recvmmsg(2), recvmsg(2)), the same on x86-64 and arm64.
 */
import type { DatagramOptions } from "./datagram.ts";
import { SOCKADDR_IN6_WORDS } from "./sockaddr.ts";

/** Sizes and offsets in bytes. */
const MMSGHDR = { size: 64, name: 0, nameLength: 8, vectors: 16, vectorCount: 24, flags: 48, length: 56 };
const IOVEC = { size: 16, base: 0, length: 8 };
const SOCKADDR = { size: 32, used: 4 * SOCKADDR_IN6_WORDS };
const MSG_TRUNC = 0x20;

/** Room for data begins at multiples of it. */
const ALIGNMENT = 64;
/** A distance that is a power of two would put the beginnings of all messages into the same few lines of the cache. */
const SKEW = 192;

/**
 * Fixed places for messages. What the system gets to see is made once; a message costs a few words.
 *
 * The data lies in a buffer of its own: it is handed out, and a write past a message must not reach the pointers.
 */
export class MessageBatch {
  /** The data of all messages, see {@linkcode offset}. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Headers and socket addresses; see {@linkcode sockaddr}. */
  readonly words: Uint32Array;
  /** Where message i's header is, for the system. */
  readonly pointers: readonly Deno.PointerValue[];
  readonly #distance: number;
  readonly #vectors: number;
  readonly #addresses: number;

  /**
   * @param size messages
   * @param capacity bytes per message
   * @param memory gives the memory for the data, or undefined when it has none
   */
  constructor(readonly size: number, readonly capacity: number, memory?: DatagramOptions["memory"]) {
    this.#distance = Math.ceil(capacity / ALIGNMENT) * ALIGNMENT + SKEW;
    this.#vectors = size * MMSGHDR.size;
    this.#addresses = this.#vectors + size * IOVEC.size;
    const bytes = size * this.#distance;
    this.data = memory?.(bytes) ?? new Uint8Array(new ArrayBuffer(bytes));
    // The buffers are outside of V8's heap, so they stay where they are as long as this object lives; so must `memory`.
    const control = new Uint8Array(new ArrayBuffer(this.#addresses + size * SOCKADDR.size));
    this.words = new Uint32Array(control.buffer);
    const dataAddress = addressOf(this.data);
    const controlAddress = addressOf(control);
    const view = new DataView(control.buffer);
    const pointers: Deno.PointerValue[] = [];
    for (let i = 0; i < size; i++) {
      const header = i * MMSGHDR.size;
      const vector = this.#vectors + i * IOVEC.size;
      const sockaddr = this.#addresses + i * SOCKADDR.size;
      view.setBigUint64(header + MMSGHDR.name, controlAddress + BigInt(sockaddr), true);
      view.setUint32(header + MMSGHDR.nameLength, SOCKADDR.used, true);
      view.setBigUint64(header + MMSGHDR.vectors, controlAddress + BigInt(vector), true);
      view.setBigUint64(header + MMSGHDR.vectorCount, 1n, true);
      view.setBigUint64(vector + IOVEC.base, dataAddress + BigInt(this.offset(i)), true);
      view.setBigUint64(vector + IOVEC.length, BigInt(capacity), true);
      pointers.push(Deno.UnsafePointer.create(controlAddress + BigInt(header)));
    }
    this.pointers = pointers;
  }

  /** Where the data of message i begins. */
  offset(i: number): number {
    return i * this.#distance;
  }

  /** Where the socket address of message i begins in {@linkcode words}. */
  sockaddr(i: number): number {
    return (this.#addresses + i * SOCKADDR.size) >>> 2;
  }

  /** The length of message i as it was received. */
  received(i: number): number {
    return this.words[(i * MMSGHDR.size + MMSGHDR.length) >>> 2];
  }

  /** Whether message i was longer than its place. */
  isTruncated(i: number): boolean {
    return (this.words[(i * MMSGHDR.size + MMSGHDR.flags) >>> 2] & MSG_TRUNC) !== 0;
  }

  /** Makes place i ready to receive again: the system has written the length of the address over that of its room. */
  reset(i: number): void {
    this.words[(i * MMSGHDR.size + MMSGHDR.nameLength) >>> 2] = SOCKADDR.used;
  }

  /** Makes message i one of `length` bytes to a socket address. */
  address(i: number, length: number, sockaddr: Uint32Array): void {
    const { words } = this;
    const at = this.sockaddr(i);
    for (let word = 0; word < sockaddr.length; word++) words[at + word] = sockaddr[word];
    words[(i * MMSGHDR.size + MMSGHDR.nameLength) >>> 2] = 4 * sockaddr.length;
    words[(this.#vectors + i * IOVEC.size + IOVEC.length) >>> 2] = length;
  }
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}
