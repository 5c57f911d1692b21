/**
 * One pass over the header section: where each header field starts and ends, and which it is. No strings, no allocation,
 * no exceptions; every byte is looked at a bounded number of times. The kernel (kernel/) takes what has no fault; the
 * scan byte by byte says what is wrong with the rest, and does it all where there is no kernel.
 */
import { COLON, CR, isLws, LF, SP, TAB, TOKEN } from "./ascii.ts";
import { HEADER_IDS, headerForm, headerIdAt } from "./header.ts";
import {
  BODY_START,
  FIRST,
  HEADERS_END,
  IDS,
  LINE_SIZE,
  LINES,
  MAX_LINES,
  REPEATS,
} from "./kernel/assembly/layout.ts";
import { scanKernel } from "./kernel/kernel.ts";

/** More header lines than this in one message is a named problem. Our own bound; RFC 3261 sets none. */
export const MAX_HEADERS = MAX_LINES;

/** What the scanner found wrong; the first one counts. */
export type ScanFault = "none" | "no_end" | "malformed_line" | "too_many_headers";

/** Offsets per header line: name start (which is the line's start), name end, value start, value end, line end. */
const STRIDE = LINE_SIZE / 4;

const SINGLE = Uint8Array.from({ length: HEADER_IDS }, (_, id) => headerForm(id) === "single" ? 1 : 0);

/** Where the header fields of one message are. Reusable. */
export class HeaderIndex {
  /** The number of header lines. */
  count = 0;
  /** The offset of the empty line; the end of the input when there is none. */
  headersEnd = 0;
  /** The first byte after the empty line. */
  bodyStart = 0;
  /** The line that is malformed, with fault "malformed_line". */
  faultAt = -1;
  /** Whether a field that may stand only once stands in more than one line: seldom, and then to be looked into. */
  repeats = false;
  readonly ids: Uint8Array;
  readonly offsets: Int32Array;
  readonly first: Int16Array;
  /** What the kernel found besides: words of its layout, good after {@linkcode readMessage}. */
  readonly found: Int32Array;
  /** The result's address in the kernel, 0 when it is not there. */
  readonly #result: number;

  constructor(capacity: number = MAX_HEADERS) {
    const result = this.#result = capacity === MAX_HEADERS ? scanKernel?.takeResult(this) ?? 0 : 0;
    if (result === 0) {
      this.ids = new Uint8Array(capacity);
      this.offsets = new Int32Array(capacity * STRIDE);
      this.first = new Int16Array(HEADER_IDS);
      this.found = this.offsets;
    } else {
      const { memory } = scanKernel!;
      this.ids = new Uint8Array(memory, result + IDS, capacity);
      this.offsets = new Int32Array(memory, result + LINES, capacity * STRIDE);
      this.first = new Int16Array(memory, result + FIRST, HEADER_IDS);
      this.found = new Int32Array(memory, result, FIRST / 4);
    }
  }

  /** The start of header line `i`, which is the start of its name. */
  nameStart(i: number): number {
    return this.offsets[i * STRIDE];
  }
  nameEnd(i: number): number {
    return this.offsets[i * STRIDE + 1];
  }
  /** The value without the white space around it; folds inside it are kept. */
  valueStart(i: number): number {
    return this.offsets[i * STRIDE + 2];
  }
  valueEnd(i: number): number {
    return this.offsets[i * STRIDE + 3];
  }
  /** The start of the next line: after the line end, all folded lines included. */
  lineEnd(i: number): number {
    return this.offsets[i * STRIDE + 4];
  }

  /** Reads the header section that starts at `start` (after the start line) and ends before `end` at the latest. */
  scan(buffer: Uint8Array, start: number, end: number): ScanFault {
    if (this.#result !== 0 && this.#take(scanKernel!.scan(buffer, start, end, this.#result))) return "none";
    return this.scanBytes(buffer, start, end);
  }

  /**
   * Reads a whole message where there is a kernel: its start line, its header section and the fields that every
   * receiver needs, which are then in {@linkcode found}.
   *
   * @returns false when the message has a problem or something unusual, or is too large; nothing of it is then here
   */
  readMessage(buffer: Uint8Array, start: number, end: number): boolean {
    return this.#result !== 0 && this.#take(scanKernel!.readMessage(buffer, start, end, this.#result));
  }

  #take(count: number): boolean {
    if (count < 0) return false;
    const { found } = this;
    this.count = count;
    this.headersEnd = found[HEADERS_END / 4];
    this.bodyStart = found[BODY_START / 4];
    this.repeats = found[REPEATS / 4] === 1;
    this.faultAt = -1;
    return true;
  }

  /** {@linkcode scan} without the kernel. */
  scanBytes(buffer: Uint8Array, start: number, end: number): ScanFault {
    const { ids, offsets, first } = this;
    const capacity = ids.length;
    first.fill(-1);
    this.faultAt = -1;
    this.repeats = false;
    let count = 0;
    let fault: ScanFault = "none";
    // Below, an LF is only looked for where there is one before `end`: the buffer may go on for megabytes.
    let lastLf = end - 1;
    while (lastLf >= start && buffer[lastLf] !== LF) lastLf--;

    let at = start;
    for (;;) {
      if (at > lastLf) {
        this.#finish(count, end, end);
        return fault === "none" ? "no_end" : fault;
      }
      const c = buffer[at];
      if (c === LF || (c === CR && buffer[at + 1] === LF)) {
        this.#finish(count, at, c === LF ? at + 1 : at + 2);
        return fault;
      }
      let nameEnd = at;
      while (TOKEN[buffer[nameEnd]] === 1) nameEnd++; // Ends at `lastLf` at the latest.
      let colon = nameEnd;
      while (buffer[colon] === SP || buffer[colon] === TAB) colon++;
      // A loop: indexOf leaves compiled code, which costs as much as the bytes of most lines.
      let lf = colon;
      while (buffer[lf] !== LF) lf++;
      while (lf < lastLf && (buffer[lf + 1] === SP || buffer[lf + 1] === TAB)) {
        lf++;
        while (buffer[lf] !== LF) lf++;
      }
      if (lf + 1 < end && lf === lastLf && (buffer[lf + 1] === SP || buffer[lf + 1] === TAB)) {
        // The last line end is followed by a fold that never ends.
        this.#finish(count, end, end);
        return fault === "none" ? "no_end" : fault;
      }
      if (nameEnd === at || buffer[colon] !== COLON || hasBareCr(buffer, colon, lf)) {
        if (fault === "none") {
          fault = "malformed_line";
          this.faultAt = at;
        }
        at = lf + 1;
        continue;
      }
      if (count === capacity) {
        this.#finish(count, at, at);
        return "too_many_headers";
      }
      let valueStart = colon + 1;
      while (valueStart < lf && isLws(buffer[valueStart])) valueStart++;
      let valueEnd = lf;
      while (valueEnd > valueStart && isLws(buffer[valueEnd - 1])) valueEnd--;
      const id = headerIdAt(buffer, at, nameEnd);
      if (first[id] < 0) first[id] = count;
      else if (SINGLE[id] === 1) this.repeats = true;
      ids[count] = id;
      const o = count * STRIDE;
      offsets[o] = at;
      offsets[o + 1] = nameEnd;
      offsets[o + 2] = valueStart;
      offsets[o + 3] = valueEnd;
      offsets[o + 4] = lf + 1;
      count++;
      at = lf + 1;
    }
  }

  #finish(count: number, headersEnd: number, bodyStart: number): void {
    this.count = count;
    this.headersEnd = headersEnd;
    this.bodyStart = bodyStart;
  }
}

/** Whether a CR stands in [start, lf) that no LF follows: some take it for the end of a line, and would see other headers. */
function hasBareCr(buffer: Uint8Array, start: number, lf: number): boolean {
  for (let i = start; i < lf; i++) if (buffer[i] === CR && buffer[i + 1] !== LF) return true;
  return false;
}

/**
 * Memory in which messages are read without being copied first: for the datagrams that a socket receives. It is taken
 * for as long as the program (or worker) runs.
 *
 * @returns undefined when there is no kernel, or not so much left
 */
export function messageMemory(size: number): Uint8Array<ArrayBuffer> | undefined {
  return scanKernel?.allocate(size);
}
