/** Comma-separated header values, found without copying: quotes, `<>` and folds are understood (RFC 3261 §7.3.1). */
import { BACKSLASH, COMMA, DQUOTE, GREATER, LESS, skipLws, trimEnd } from "./ascii.ts";

/** The offset of the comma that ends the value starting at `at`, or `end`. Commas in quotes and in `<>` do not count. */
export function findComma(buffer: Uint8Array, at: number, end: number): number {
  let quoted = false;
  let angle = false;
  for (; at < end; at++) {
    const c = buffer[at];
    if (quoted) {
      if (c === BACKSLASH) at++;
      else if (c === DQUOTE) quoted = false;
    } else if (angle) {
      if (c === GREATER) angle = false;
    } else if (c === COMMA) return at;
    else if (c === DQUOTE) quoted = true;
    else if (c === LESS) angle = true;
  }
  return end;
}

/** The lines that a {@link ValueCursor} walks over; SipMessage is one. */
export interface HeaderLines {
  readonly buffer: Uint8Array;
  first(id: number): number;
  next(i: number): number;
  valueStart(i: number): number;
  valueEnd(i: number): number;
}

/**
 * Walks the comma-separated values of one header field over all its lines, in order. Empty elements are passed over.
 *
 * `while (cursor.advance()) …cursor.start, cursor.end, cursor.header…` allocates nothing; iterating over the cursor
 * gives `[start, end]` pairs.
 */
export class ValueCursor implements Iterable<readonly [start: number, end: number]> {
  /** The index of the header line that holds the value. */
  header = -1;
  /** The value without the white space around it. */
  start = 0;
  end = 0;
  #lines: HeaderLines;
  #id: number;
  #at = 0;
  #lineEnd = 0;
  #splits: boolean;

  constructor(lines: HeaderLines, id: number, splits: boolean) {
    this.#lines = lines;
    this.#id = id;
    this.#splits = splits;
  }

  /** Moves to the next value; false after the last. */
  advance(): boolean {
    const lines = this.#lines;
    for (;;) {
      while (this.#at >= this.#lineEnd) {
        this.header = this.header < 0 ? lines.first(this.#id) : lines.next(this.header);
        if (this.header < 0) {
          this.header = Number.MAX_SAFE_INTEGER; // Stay at the end however often one asks.
          return false;
        }
        if (this.header === Number.MAX_SAFE_INTEGER) return false;
        this.#at = lines.valueStart(this.header);
        this.#lineEnd = lines.valueEnd(this.header);
      }
      const buffer = lines.buffer;
      const stop = this.#splits ? findComma(buffer, this.#at, this.#lineEnd) : this.#lineEnd;
      this.start = skipLws(buffer, this.#at, stop);
      this.end = trimEnd(buffer, this.start, stop);
      this.#at = stop + 1;
      if (this.end > this.start) return true;
    }
  }

  *[Symbol.iterator](): Iterator<readonly [start: number, end: number]> {
    while (this.advance()) yield [this.start, this.end];
  }
}
