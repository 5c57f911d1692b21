/** The host's side of the kernel: its module, its memory, and what lies where in it. */
import { TOKEN } from "../ascii.ts";
import { HEADER_IDS, headerForm, headerSpellings } from "../header.ts";
import {
  ENTRIES,
  ENTRY_CARE,
  ENTRY_ID,
  ENTRY_LENGTH,
  ENTRY_SINGLE,
  ENTRY_SIZE,
  FIRST_SIZE,
  FREE,
  INPUT,
  INPUT_SIZE,
  MAX_ENTRIES,
  MAX_LINES,
  MAX_NAME,
  MAX_RESULTS,
  PADDING,
  RESULT_SIZE,
  RESULTS,
  SLOT_BITS,
  SLOTS,
  TOKENS,
} from "./assembly/layout.ts";

/** What the module exports: assembly/kernel.ts. Addresses are bytes from the start of the memory. */
export interface ScanExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  setMultiplier(value: number): void;
  scan(at: number, end: number, base: number, result: number, capacity: number): number;
}

/** Buffers that are given out begin where a cache line does. */
const ALIGNMENT = 64;
/** A multiplier without collisions comes after 25 tries on average. */
const MAX_TRIES = 10_000;

/** The started module. It has one instance in a program (or worker); its memory never grows. */
export class ScanKernel {
  readonly #exports: ScanExports;
  readonly #memory: ArrayBuffer;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #results = 0;
  #free: number = FREE;

  /** @throws {Error} when the tables do not fit */
  constructor(exports: ScanExports) {
    this.#exports = exports;
    this.#memory = exports.memory.buffer;
    this.#bytes = new Uint8Array(this.#memory);
    this.#bytes.set(TOKEN, TOKENS);
    this.#writeNames();
    if (2 * HEADER_IDS > FIRST_SIZE) throw new Error("FIRST_SIZE is too small for the header ids");
  }

  /** The memory, for views of results. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  /** Takes room for a result for as long as the program runs: its address, 0 when there is none left. */
  takeResult(): number {
    return this.#results === MAX_RESULTS ? 0 : RESULTS + this.#results++ * RESULT_SIZE;
  }

  /**
   * Takes memory for as long as the program runs, so that messages received in it need not be copied to be scanned;
   * undefined when there is not so much left.
   */
  allocate(size: number): Uint8Array<ArrayBuffer> | undefined {
    const start = Math.ceil(this.#free / ALIGNMENT) * ALIGNMENT;
    if (start + size + PADDING > this.#memory.byteLength) return undefined;
    this.#free = start + size;
    return new Uint8Array(this.#memory, start, size);
  }

  /** Scans the header section in buffer[start, end): the number of lines; -1: with a fault, or too large. */
  scan(buffer: Uint8Array, start: number, end: number, result: number): number {
    if (start >= end || end > buffer.length) return -1;
    if (buffer.buffer === this.#memory) {
      const base = buffer.byteOffset;
      if (base + end + PADDING > this.#bytes.length) return -1;
      return this.#exports.scan(base + start, base + end, base, result, MAX_LINES);
    }
    const length = end - start;
    if (length > INPUT_SIZE) return -1;
    this.#bytes.set(length === buffer.length ? buffer : buffer.subarray(start, end), INPUT);
    return this.#exports.scan(INPUT, INPUT + length, INPUT - start, result, MAX_LINES);
  }

  #writeNames(): void {
    const spellings = headerSpellings();
    if (spellings.length >= MAX_ENTRIES) throw new Error("MAX_ENTRIES is too small for the header names");
    const bytes = this.#bytes;
    const words = spellings.map(({ bytes }) => nameWord(bytes));
    const multiplier = findMultiplier(words);
    this.#exports.setMultiplier(multiplier);
    spellings.forEach(({ bytes: text, id }, i) => {
      if (text.length > MAX_NAME) throw new Error("a header name is longer than MAX_NAME");
      const entry = ENTRIES + (i + 1) * ENTRY_SIZE;
      bytes.set(text, entry);
      for (let k = 0; k < text.length; k++) bytes[entry + ENTRY_CARE + k] = isLetter(text[k]) ? 0xdf : 0xff;
      bytes[entry + ENTRY_LENGTH] = text.length;
      bytes[entry + ENTRY_ID] = id;
      bytes[entry + ENTRY_SINGLE] = headerForm(id) === "single" ? 1 : 0;
      bytes[SLOTS + slotOf(words[i], multiplier)] = i + 1;
    });
  }
}

/** What the kernel hashes of a name (assembly/names.ts), given in lower case: its last eight bytes and its length. */
function nameWord(name: Uint8Array): number {
  const tail = new DataView(new ArrayBuffer(8));
  for (let k = 1; k <= 8 && k <= name.length; k++) tail.setUint8(8 - k, name[name.length - k] | 0x20);
  return tail.getInt32(0, true) ^ Math.imul(tail.getInt32(4, true), 0x9e3779b1) ^ name.length;
}

function slotOf(word: number, multiplier: number): number {
  return Math.imul(word, multiplier) >>> (32 - SLOT_BITS);
}

function findMultiplier(words: readonly number[]): number {
  let multiplier = 1;
  for (let i = 0; i < MAX_TRIES; i++) {
    multiplier = Math.imul(multiplier, 0x2c1b3c6d) + 0x12e15e35 | 1;
    if (new Set(words.map((word) => slotOf(word, multiplier))).size === words.length) return multiplier;
  }
  throw new Error("no multiplier gives every header name a slot of its own");
}

function isLetter(c: number): boolean {
  return c >= 0x61 && c <= 0x7a;
}

async function start(): Promise<ScanKernel | undefined> {
  try {
    return new ScanKernel(await import("./scan_simd.wasm") as unknown as ScanExports);
  } catch {
    return undefined;
  }
}

/** The kernel; undefined where there is no WebAssembly or it has no vectors. */
export const scanKernel: ScanKernel | undefined = await start();
