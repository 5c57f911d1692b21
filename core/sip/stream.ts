/** Messages out of a byte stream (RFC 3261 §7.5, §18.3; keep-alives of RFC 5626 §3.5.1, §4.4.1). */
import { CR, LF, parseDecimal } from "./ascii.ts";
import { HeaderId } from "./header.ts";
import { type Problem, problem } from "./problem.ts";
import { HeaderIndex } from "./scan.ts";

/** What comes out of a stream. */
export type StreamEvent =
  /** One whole message, buffer[start, end). The bytes are good until the next `push`, if the chunk pushed stays as it is. */
  | { readonly type: "message"; readonly buffer: Uint8Array; readonly start: number; readonly end: number }
  /** A double line end between messages: answer with a single one, CR LF (RFC 5626 §4.4.1). */
  | { readonly type: "ping" }
  /**
   * The stream cannot be read on: answer if `problem.status` says so, then close. buffer[start, end) is what there is
   * of the message, for the answer.
   */
  | {
    readonly type: "error";
    readonly problem: Problem;
    readonly buffer: Uint8Array;
    readonly start: number;
    readonly end: number;
  };

/** Bounds of one stream, in bytes. */
export interface StreamLimits {
  /** Start line and header section: 16,384 when undefined. */
  readonly maxHeaderBytes?: number;
  /** The whole message: 65,536 when undefined. */
  readonly maxMessageBytes?: number;
}

const NOTHING = new Uint8Array(0);
/** For the look at one header section; all streams share it. */
let sharedIndex: HeaderIndex | undefined;

/** Our own bounds; RFC 3261 sets none. */
const MAX_HEADER_BYTES = 16_384;
const MAX_MESSAGE_BYTES = 65_536;

/**
 * Frames one direction of one connection. Sans-I/O; the events do not depend on how the bytes are cut into chunks.
 *
 * @example
 * ```ts
 * import { StreamFramer } from "./stream.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const framer = new StreamFramer();
 * const bytes = new TextEncoder().encode("\r\n\r\nBYE sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi");
 * assertEquals(framer.push(bytes.subarray(0, 30)).map((event) => event.type), ["ping"]);
 * assertEquals(framer.push(bytes.subarray(30)).map((event) => event.type), ["message"]);
 * ```
 */
export class StreamFramer {
  readonly maxHeaderBytes: number;
  readonly maxMessageBytes: number;
  /** Bytes of its own, or the chunk at hand when nothing was left of the one before. */
  #buffer = NOTHING;
  #owned = false;
  /** What is not yet given out is buffer[start, length). */
  #start = 0;
  #length = 0;
  /** How far the search for the empty line has come, and the line ends seen since the last message. */
  #searched = 0;
  #lineEnds = 0;
  /** The end of the message whose body is awaited, or -1. */
  #messageEnd = -1;
  #failed = false;

  constructor(limits: StreamLimits = {}) {
    this.maxHeaderBytes = limits.maxHeaderBytes ?? MAX_HEADER_BYTES;
    this.maxMessageBytes = limits.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  }

  /** Whether an error ended the stream; what comes then is not looked at. */
  get failed(): boolean {
    return this.#failed;
  }

  /** The bytes of an unfinished message that are held: more than 0 when a stream ends says that it was cut off. */
  get pending(): number {
    return this.#length - this.#start;
  }

  /** Takes bytes, and gives what they complete, in order; what is left over is copied. */
  push(chunk: Uint8Array<ArrayBuffer>): StreamEvent[] {
    const events: StreamEvent[] = [];
    if (this.#failed) return events;
    this.#take(chunk);
    for (;;) {
      if (this.#messageEnd < 0 && !this.#readHead(events)) break;
      if (this.#messageEnd > this.#length) break;
      events.push({ type: "message", buffer: this.#buffer, start: this.#start, end: this.#messageEnd });
      this.#start = this.#searched = this.#messageEnd;
      this.#messageEnd = -1;
    }
    if (!this.#owned) this.#keepRest();
    return events;
  }

  /** Gives memory back that holds nothing any more, when the events of the last `push` are done with. */
  release(): void {
    if (this.#start < this.#length) return;
    this.#buffer = NOTHING;
    this.#owned = false;
    this.#start = this.#length = this.#searched = 0;
  }

  #take(chunk: Uint8Array<ArrayBuffer>): void {
    this.release();
    if (!this.#owned) {
      this.#buffer = chunk;
      this.#length = chunk.length;
      return;
    }
    // Whatever was given out is done with now, so that the rest may move to the front.
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#length);
      this.#moveTo(0);
    }
    if (this.#length + chunk.length > this.#buffer.length) {
      const larger = new Uint8Array(2 * (this.#length + chunk.length));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  /** Copies what the chunk has left of a message, so that the chunk may be used again. */
  #keepRest(): void {
    const rest = this.#length - this.#start;
    if (rest === 0 || this.#failed) {
      this.#buffer = NOTHING;
      this.#start = this.#length = this.#searched = 0;
      return;
    }
    const expected = this.#messageEnd < 0 ? 2 * rest : this.#messageEnd - this.#start;
    const own = new Uint8Array(expected);
    own.set(this.#buffer.subarray(this.#start, this.#length));
    this.#buffer = own;
    this.#owned = true;
    this.#moveTo(0);
  }

  #moveTo(start: number): void {
    const by = this.#start - start;
    this.#length -= by;
    this.#searched -= by;
    if (this.#messageEnd >= 0) this.#messageEnd -= by;
    this.#start = start;
  }

  /** Finds the end of the header section and the length of the body. False when more bytes are needed, or on an error. */
  #readHead(events: StreamEvent[]): boolean {
    const buffer = this.#buffer;
    this.#skipLineEnds(events);
    if (this.#start === this.#length) return false;
    let at = this.#searched;
    const limit = Math.min(this.#length, this.#start + this.maxHeaderBytes);
    for (; at < limit; at++) {
      // The empty line: a line end right after a line end, each with CR or without.
      if (buffer[at] !== LF || at === this.#start) continue;
      const before = buffer[at - 1] === CR ? at - 2 : at - 1;
      if (before >= this.#start && buffer[before] === LF) break;
    }
    this.#searched = at;
    if (at === limit) {
      if (this.#length - this.#start >= this.maxHeaderBytes) {
        this.#fail(events, problem("too_large", "header section", "the header section is too large"), limit);
      }
      return false;
    }
    return this.#readLength(events, at + 1);
  }

  #skipLineEnds(events: StreamEvent[]): void {
    if (this.#searched > this.#start) return;
    const buffer = this.#buffer;
    let at = this.#start;
    while (at < this.#length && (buffer[at] === CR || buffer[at] === LF)) {
      if (buffer[at] === LF && ++this.#lineEnds === 2) {
        events.push({ type: "ping" });
        this.#lineEnds = 0;
      }
      at++;
    }
    if (at < this.#length) this.#lineEnds = 0;
    this.#start = this.#searched = at;
  }

  #readLength(events: StreamEvent[], headEnd: number): boolean {
    const buffer = this.#buffer;
    const index = sharedIndex ??= new HeaderIndex();
    let lineEnd = this.#start;
    while (buffer[lineEnd] !== LF) lineEnd++;
    // A malformed line or one too many is no matter of framing: the reader of the message finds it again.
    const fault = index.scan(buffer, lineEnd + 1, headEnd);
    if (fault === "too_many_headers") {
      return this.#fail(
        events,
        problem("too_large", "header section", "there are too many header fields"),
        headEnd,
      );
    }
    const i = index.first[HeaderId.CONTENT_LENGTH];
    if (i < 0) {
      return this.#fail(
        events,
        problem("bad_request", "Content-Length", "Content-Length is missing"),
        headEnd,
      );
    }
    const length = parseDecimal(buffer, index.valueStart(i), index.valueEnd(i), 2 ** 31 - 1);
    if (length < 0) {
      return this.#fail(
        events,
        problem("bad_request", "Content-Length", "Content-Length is not a number"),
        headEnd,
      );
    }
    for (let k = i + 1; k < index.count; k++) {
      if (index.ids[k] !== HeaderId.CONTENT_LENGTH) continue;
      // Two lengths are two ways to cut the stream: never guess (RFC 4475 §3.3.9).
      return this.#fail(
        events,
        problem("bad_request", "Content-Length", "Content-Length is there more than once"),
        headEnd,
      );
    }
    if (headEnd - this.#start + length > this.maxMessageBytes) {
      return this.#fail(events, problem("too_large", "body", "the message is too large"), headEnd);
    }
    this.#messageEnd = headEnd + length;
    return true;
  }

  #fail(events: StreamEvent[], wrong: Problem, end: number): false {
    this.#failed = true;
    events.push({ type: "error", problem: wrong, buffer: this.#buffer, start: this.#start, end });
    return false;
  }
}
