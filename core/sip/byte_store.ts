/**
 * Room for copies of messages, given out and taken back without garbage: slots of 512, 1024, 2048 … bytes cut from pages.
 * A slot is a part of a page, since a Uint8Array of its own costs some 200 bytes more.
 */

const SMALLEST = 512;
const PAGE = 65_536;

/** Room for `capacity` bytes at `start` of `buffer`. */
export interface ByteSlot {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly capacity: number;
}

/** Gives out slots; what was given back is used again first. It grows to the most ever in use and stays there. */
export class ByteStore {
  readonly #free: ByteSlot[][] = [];
  #inUse = 0;

  /** How many slots are given out. */
  get inUse(): number {
    return this.#inUse;
  }

  /** A slot for `length` bytes; its content is whatever was there before. */
  take(length: number): ByteSlot {
    const size = length <= SMALLEST ? 0 : 32 - Math.clz32((length - 1) >>> 9);
    const free = this.#free[size] ??= [];
    if (free.length === 0) this.#addPage(free, SMALLEST << size);
    this.#inUse++;
    return free.pop()!;
  }

  /** Takes a slot back. */
  give(slot: ByteSlot): void {
    this.#free[32 - Math.clz32((slot.capacity - 1) >>> 9)].push(slot);
    this.#inUse--;
  }

  #addPage(free: ByteSlot[], capacity: number): void {
    const buffer = new Uint8Array(Math.max(PAGE, capacity));
    for (let start = buffer.length - capacity; start >= 0; start -= capacity) {
      free.push({ buffer, start, capacity });
    }
  }
}
