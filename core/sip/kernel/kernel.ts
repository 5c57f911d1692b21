/** The host's side of the kernel: its module, its memory, and what lies where in it. */
import { isLws, TOKEN } from "../ascii.ts";
import { HEADER_IDS, headerForm, HeaderId, headerSpellings } from "../header.ts";
import {
  ANGLE_ENDS,
  CALL_ID_FIELD,
  CONTENT_LENGTH_FIELD,
  CSEQ_FIELD,
  ENTRIES,
  ENTRY_CARE,
  ENTRY_ID,
  ENTRY_LENGTH,
  ENTRY_SINGLE,
  ENTRY_SIZE,
  FIRST_SIZE,
  FREE,
  FROM_FIELD,
  INPUT,
  INPUT_SIZE,
  IPV6_BYTES,
  MAX_ENTRIES,
  MAX_FORWARDS_FIELD,
  MAX_LINES,
  MAX_NAME,
  MAX_RESULTS,
  NAME_ENDS,
  PADDING,
  QUOTE_ENDS,
  RESULT_SIZE,
  RESULTS,
  SLOT_BITS,
  SLOTS,
  TO_FIELD,
  TOKEN_BYTES,
  URI_BYTES,
  VALUE_ENDS,
  VIA_FIELD,
  WHITE_SPACE,
} from "./assembly/layout.ts";

/** What the module exports: assembly/kernel.ts. Addresses are bytes from the start of the memory. */
export interface ScanExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  setMultiplier(value: number): void;
  scan(at: number, end: number, base: number, result: number, capacity: number): number;
  readMessage(start: number, end: number, base: number, result: number, capacity: number): number;
}

/** Buffers that are given out begin where a cache line does. */
const ALIGNMENT = 64;
/** A multiplier without collisions comes after 25 tries on average. */
const MAX_TRIES = 10_000;

/** Says that a message cannot be in the memory. No base is so low. */
const NOWHERE = -(2 ** 31);

/** The classes of layout.ts. */
const CLASSES: readonly (readonly [address: number, belongs: (c: number) => boolean])[] = [
  [TOKEN_BYTES, (c) => TOKEN[c] === 1],
  [URI_BYTES, (c) => c > 0x20 && c < 0x7f && !'"<>'.includes(String.fromCharCode(c))],
  [WHITE_SPACE, isLws],
  [VALUE_ENDS, (c) => isLws(c) || ";,".includes(String.fromCharCode(c))],
  [NAME_ENDS, (c) => '<;,"'.includes(String.fromCharCode(c))],
  [ANGLE_ENDS, (c) => c <= 0x20 || "<>".includes(String.fromCharCode(c))],
  [QUOTE_ENDS, (c) => '"\\'.includes(String.fromCharCode(c))],
  [IPV6_BYTES, (c) => /[:.%0-9A-Za-z]/.test(String.fromCharCode(c))],
];

const FIELDS: readonly (readonly [id: number, field: number])[] = [
  [HeaderId.VIA, VIA_FIELD],
  [HeaderId.FROM, FROM_FIELD],
  [HeaderId.TO, TO_FIELD],
  [HeaderId.CALL_ID, CALL_ID_FIELD],
  [HeaderId.CSEQ, CSEQ_FIELD],
  [HeaderId.MAX_FORWARDS, MAX_FORWARDS_FIELD],
  [HeaderId.CONTENT_LENGTH, CONTENT_LENGTH_FIELD],
];

/** The started module. It has one instance in a program (or worker); its memory never grows. */
export class ScanKernel {
  readonly #exports: ScanExports;
  readonly #memory: ArrayBuffer;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #results = Array.from({ length: MAX_RESULTS }, (_, i) => RESULTS + i * RESULT_SIZE).reverse();
  readonly #owners = new FinalizationRegistry<number>((result) => void this.#results.push(result));
  #free: number = FREE;

  /** @throws {Error} when the tables do not fit */
  constructor(exports: ScanExports) {
    this.#exports = exports;
    this.#memory = exports.memory.buffer;
    this.#bytes = new Uint8Array(this.#memory);
    if (2 * HEADER_IDS > FIRST_SIZE) throw new Error("FIRST_SIZE is too small for the header ids");
    for (const [id, field] of FIELDS) if (id !== field) throw new Error(`header ${id} has another number`);
    this.#writeClasses();
    this.#writeNames();
  }

  /** The memory, for views of results. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  /**
   * Room for a result, for as long as its owner is there: its address, 0 when none is left. Views of it must not be kept
   * without the owner.
   */
  takeResult(owner: object): number {
    const result = this.#results.pop();
    if (result === undefined) return 0;
    this.#owners.register(owner, result);
    return result;
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
    const base = this.#baseOf(buffer, start, end);
    return base === NOWHERE ? -1 : this.#exports.scan(base + start, base + end, base, result, MAX_LINES);
  }

  /**
   * Reads the message in buffer[start, end), its header section included: the number of lines; -1: with a problem, with
   * something unusual, or too large.
   */
  readMessage(buffer: Uint8Array, start: number, end: number, result: number): number {
    const base = this.#baseOf(buffer, start, end);
    return base === NOWHERE
      ? -1
      : this.#exports.readMessage(base + start, base + end, base, result, MAX_LINES);
  }

  /** Where offset 0 of the buffer is or would be in the memory, with [start, end) in its place. */
  #baseOf(buffer: Uint8Array, start: number, end: number): number {
    if (start >= end || end > buffer.length) return NOWHERE;
    if (buffer.buffer === this.#memory) {
      const base = buffer.byteOffset;
      return base + end + PADDING > this.#bytes.length ? NOWHERE : base;
    }
    const length = end - start;
    if (length > INPUT_SIZE) return NOWHERE;
    // A view is garbage, but copying byte by byte costs several times as much.
    this.#bytes.set(length === buffer.length ? buffer : buffer.subarray(start, end), INPUT);
    return INPUT - start;
  }

  #writeClasses(): void {
    for (const [address, belongs] of CLASSES) {
      for (let c = 0; c < 128; c++) if (belongs(c)) this.#bytes[address + (c & 15)] |= 1 << (c >> 4);
    }
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
