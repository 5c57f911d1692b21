/** Edits on a parsed message, written out by slices: what is not edited stays byte for byte. */
import { COMMA, encodeTextInto, isLws, trimEnd, writeDecimal } from "./ascii.ts";
import { copyBytes } from "./copy.ts";
import { headerForm } from "./header.ts";
import type { SipMessage } from "./message.ts";
import { findComma } from "./values.ts";

/** Words of one edit: start, end, source start, source end, number of its source. */
const STRIDE = 5;
const ARENA = -1;

/**
 * Collects edits and applies them. Reusable: `begin` forgets the edits of before, and with byte inserts nothing is
 * allocated after the first messages. Offsets are those of the message's buffer; edits come in any order and must not
 * overlap (RangeError at `apply`). Inserts at one offset keep the order in which they were given, and stand before
 * what is removed or replaced from there on.
 *
 * Bytes given to insert and replace must stay as they are until `apply`.
 *
 * @example
 * ```ts
 * import { SipMessage } from "./message.ts";
 * import { Patch } from "./patch.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a, SIP/2.0/UDP b\r\nCSeq: 1 BYE\r\nf: <sip:a@a>\r\nt: <sip:b@b>\r\ni: 1\r\n\r\n";
 * const bytes = new TextEncoder().encode(text);
 * const message = new SipMessage();
 * message.parse(bytes, 0, bytes.length);
 * const patch = new Patch().begin(message);
 * patch.insert(message.lineStart(1), "Server: x\r\n");
 * patch.removeValue(0, message.topVia()!.start);
 * const out = new Uint8Array(1024);
 * const length = patch.apply(out, 0);
 * assertEquals(
 *   new TextDecoder().decode(out.subarray(0, length)),
 *   text.replace("SIP/2.0/UDP a, ", "").replace("CSeq", "Server: x\r\nCSeq"),
 * );
 * ```
 */
export class Patch {
  #message: SipMessage | undefined;
  #edits = new Int32Array(16 * STRIDE);
  #count = 0;
  #sorted = true;
  #sources: Uint8Array[] = [];
  #sourceCount = 0;
  #arena = new Uint8Array(2048);
  #arenaUsed = 0;
  // Values to be taken out of comma lists: line and start. Which comma goes with them depends on their neighbours, so
  // that is settled when all are known.
  #values = new Int32Array(32);
  #valueCount = 0;

  /** Starts with no edits on `message`, which must stay as it is until `apply`. */
  begin(message: SipMessage): this {
    this.#message = message;
    this.#count =
      this.#sourceCount =
      this.#arenaUsed =
      this.#valueCount =
        0;
    this.#sorted = true;
    return this;
  }

  /** The message that is being edited. */
  get message(): SipMessage {
    if (this.#message === undefined) throw new TypeError("Patch: begin(message) has to come first");
    return this.#message;
  }

  /** Inserts text or the bytes from[start, end) before offset `at`. */
  insert(at: number, from: Uint8Array | string, start = 0, end: number = from.length): void {
    this.replace(at, at, from, start, end);
  }

  /** Removes [start, end). */
  remove(start: number, end: number): void {
    if (end > start) this.#add(start, end, 0, 0, ARENA);
  }

  /** Puts text or the bytes from[fromStart, fromEnd) in the place of [start, end). */
  replace(
    start: number,
    end: number,
    from: Uint8Array | string,
    fromStart = 0,
    fromEnd: number = from.length,
  ): void {
    if (typeof from === "string") {
      const at = this.#arenaUsed;
      this.#put(from);
      this.#add(start, end, at, this.#arenaUsed, ARENA);
    } else {
      this.#sources[this.#sourceCount] = from;
      this.#add(start, end, fromStart, fromEnd, this.#sourceCount++);
    }
  }

  /** Inserts the header line "name: value" before offset `at`, the start of a line. */
  insertLine(
    at: number,
    name: string,
    value: Uint8Array | string,
    start = 0,
    end: number = value.length,
  ): void {
    const from = this.#arenaUsed;
    this.#put(name);
    this.#put(": ");
    if (typeof value === "string") this.#put(value);
    else {
      this.#reserve(end - start);
      this.#arenaUsed = copyBytes(value, start, end, this.#arena, this.#arenaUsed);
    }
    this.#put("\r\n");
    this.#add(at, at, from, this.#arenaUsed, ARENA);
  }

  /** Puts a whole number in the place of [start, end). */
  replaceNumber(start: number, end: number, value: number): void {
    this.#reserve(32);
    const from = this.#arenaUsed;
    this.#arenaUsed = writeDecimal(value, this.#arena, from);
    this.#add(start, end, from, this.#arenaUsed, ARENA);
  }

  /** Removes header line `i` with its folds. */
  removeLine(i: number): void {
    this.remove(this.message.lineStart(i), this.message.lineEnd(i));
  }

  /** Removes all lines of one header field. */
  removeHeader(id: number): void {
    for (let i = this.message.first(id); i >= 0; i = this.message.next(i)) this.removeLine(i);
  }

  /**
   * Removes the value that starts at `start` from header line `i`, with one of the commas around it; with the last
   * value the line goes too. Any number of values of a line may be removed; the same one twice counts once.
   */
  removeValue(i: number, start: number): void {
    if (2 * this.#valueCount === this.#values.length) this.#values = grown(this.#values);
    this.#values[2 * this.#valueCount] = i;
    this.#values[2 * this.#valueCount + 1] = start;
    this.#valueCount++;
  }

  /** The length of the edited message in bytes. */
  get length(): number {
    this.#settle();
    let length = this.message.bodyEnd - this.message.start;
    for (let o = 0; o < this.#count * STRIDE; o += STRIDE) {
      const edits = this.#edits;
      length += edits[o + 3] - edits[o + 2] - (edits[o + 1] - edits[o]);
    }
    return length;
  }

  /**
   * Writes the edited message to out[offset, …).
   *
   * @returns the number of bytes written
   * @throws RangeError when edits overlap, lie outside the message, or do not fit into `out` (check `length` before)
   */
  apply(out: Uint8Array, offset: number): number {
    this.#settle();
    const { buffer, start, bodyEnd } = this.message;
    if (offset + this.length > out.length) throw new RangeError("Patch: the edited message does not fit");
    const edits = this.#edits;
    let at = start;
    let o = offset;
    for (let k = 0; k < this.#count * STRIDE; k += STRIDE) {
      if (edits[k] < at || edits[k + 1] > bodyEnd) {
        throw new RangeError(`Patch: edit at ${edits[k]} overlaps another or lies outside the message`);
      }
      o = copyBytes(buffer, at, edits[k], out, o);
      const source = edits[k + 4] === ARENA ? this.#arena : this.#sources[edits[k + 4]];
      o = copyBytes(source, edits[k + 2], edits[k + 3], out, o);
      at = edits[k + 1];
    }
    return copyBytes(buffer, at, bodyEnd, out, o) - offset;
  }

  /** The edited message in an array of its own. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.length);
    this.apply(out, 0);
    return out;
  }

  #add(start: number, end: number, from: number, to: number, source: number): void {
    const o = this.#count * STRIDE;
    if (o === this.#edits.length) this.#edits = grown(this.#edits);
    const edits = this.#edits;
    if (o > 0 && start < edits[o - STRIDE + 1]) this.#sorted = false;
    if (o > 0 && start === end && start === edits[o - STRIDE]) this.#sorted = false;
    edits[o] = start;
    edits[o + 1] = end;
    edits[o + 2] = from;
    edits[o + 3] = to;
    edits[o + 4] = source;
    this.#count++;
  }

  #put(text: string): void {
    this.#reserve(text.length * 3);
    this.#arenaUsed += encodeTextInto(text, this.#arena, this.#arenaUsed);
  }

  #reserve(length: number): void {
    if (this.#arenaUsed + length <= this.#arena.length) return;
    const larger = new Uint8Array(2 * (this.#arenaUsed + length));
    larger.set(this.#arena.subarray(0, this.#arenaUsed));
    this.#arena = larger;
  }

  #settle(): void {
    for (let k = 0; k < this.#valueCount; k++) {
      const line = this.#values[2 * k];
      let seen = false;
      for (let j = 0; j < k && !seen; j++) seen = this.#values[2 * j] === line;
      if (!seen) this.#settleLine(line);
    }
    this.#valueCount = 0;
    if (!this.#sorted) this.#sort();
    this.#sorted = true;
  }

  /** Turns the values to be removed from one line into edits. */
  #settleLine(i: number): void {
    const message = this.message;
    const { buffer } = message;
    const end = message.valueEnd(i);
    const splits = headerForm(message.headerId(i)) === "list";
    let keptEnd = -1;
    let removedFrom = -1;
    for (let at = message.valueStart(i); at < end;) {
      const comma = splits ? findComma(buffer, at, end) : end;
      while (at < comma && isLws(buffer[at])) at++;
      if (at < comma) {
        if (this.#isRemoved(i, at)) {
          if (removedFrom < 0) removedFrom = at;
        } else {
          if (removedFrom >= 0) this.remove(removedFrom, at);
          removedFrom = -1;
          keptEnd = trimEnd(buffer, at, comma);
        }
      }
      at = comma + 1;
    }
    if (removedFrom < 0) return;
    if (keptEnd < 0) this.removeLine(i);
    else this.remove(keptEnd, end);
  }

  #isRemoved(i: number, start: number): boolean {
    for (let k = 0; k < this.#valueCount; k++) {
      if (this.#values[2 * k] === i && this.#values[2 * k + 1] === start) return true;
    }
    return false;
  }

  /** By start; inserts before what is removed from the same offset; else as given. Few and nearly sorted: insertion sort. */
  #sort(): void {
    const edits = this.#edits;
    for (let n = STRIDE; n < this.#count * STRIDE; n += STRIDE) {
      const start = edits[n];
      const end = edits[n + 1];
      const from = edits[n + 2];
      const to = edits[n + 3];
      const source = edits[n + 4];
      let k = n - STRIDE;
      while (k >= 0 && (edits[k] > start || (edits[k] === start && start === end && edits[k + 1] > end))) {
        for (let word = k; word < k + STRIDE; word++) edits[word + STRIDE] = edits[word];
        k -= STRIDE;
      }
      k += STRIDE;
      edits[k] = start;
      edits[k + 1] = end;
      edits[k + 2] = from;
      edits[k + 3] = to;
      edits[k + 4] = source;
    }
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
}

/** The start of the first value of header line `i`, empty list elements passed over. */
export function firstValueStart(message: SipMessage, i: number): number {
  const { buffer } = message;
  const end = message.valueEnd(i);
  let at = message.valueStart(i);
  while (at < end && (isLws(buffer[at]) || buffer[at] === COMMA)) at++;
  return at;
}
