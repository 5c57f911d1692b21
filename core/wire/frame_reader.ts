/** Cuts a byte stream into frames, whatever the pieces it arrives in (docs/PROTOCOL.md §9). */
import { WireError } from "./bytes.ts";
import { MAX_FRAME_LENGTH, MIN_FRAME_LENGTH } from "./constants.ts";
import { decodeFrame, type Frame } from "./frame.ts";

/** What {@linkcode FrameReader.push} found: the frames that were complete, and the error that ended the stream. */
export interface FrameBatch {
  readonly frames: Frame[];
  readonly error?: WireError;
}

const LENGTH_BYTES = 4;

/**
 * Collects pieces of a stream and gives out whole frames. It keeps at most one unfinished frame.
 *
 * After an error the stream is of no further use: every later push gives the same error.
 * @example
 * ```ts
 * import { encodeFrame, FrameReader } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = new FrameReader();
 * const bytes = encodeFrame({ type: "PONG", id: 1 });
 * assertEquals(reader.push(bytes.subarray(0, 6)).frames, []);
 * assertEquals(reader.push(bytes.subarray(6)).frames, [{ type: "PONG", id: 1 }]);
 * ```
 */
export class FrameReader {
  /** The largest length field accepted; a link raises it when the handshake is done. */
  maxLength: number;
  #pending = new Uint8Array(0);
  #filled = 0;
  #error: WireError | undefined;

  constructor(maxLength = MAX_FRAME_LENGTH) {
    this.maxLength = maxLength;
  }

  /** Bytes of an unfinished frame that are kept. */
  get buffered(): number {
    return this.#filled;
  }

  /** Takes the next bytes of the stream; `chunk` may be used again by the caller afterwards. */
  push(chunk: Uint8Array): FrameBatch {
    const frames: Frame[] = [];
    if (this.#error !== undefined) return { frames, error: this.#error };
    let at = 0;
    try {
      while (at < chunk.length) {
        if (this.#filled === 0 && chunk.length - at >= LENGTH_BYTES) {
          // The usual case: the frame lies whole in the chunk and is decoded where it is.
          const end = at + LENGTH_BYTES + this.#length(chunk, at);
          if (end <= chunk.length) {
            frames.push(decodeFrame(chunk, at + LENGTH_BYTES, end));
            at = end;
            continue;
          }
        }
        at += this.#collect(chunk, at, frames);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#error = error;
      this.#pending = new Uint8Array(0);
      this.#filled = 0;
      return { frames, error };
    }
    return { frames };
  }

  #length(bytes: Uint8Array, at: number): number {
    const length = bytes[at] * 2 ** 24 + (bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
    if (length > this.maxLength) {
      // A record of TLS 1.x begins so (RFC 8446 §5.1): 20 … 23, then version 3.
      if (bytes[at] >= 20 && bytes[at] <= 23 && bytes[at + 1] === 3) {
        throw new WireError(
          "frame_too_long",
          "length",
          "is the begin of a TLS record: the other end speaks TLS",
        );
      }
      throw new WireError("frame_too_long", "length", `is ${length}; at most ${this.maxLength} is allowed`);
    }
    if (length < MIN_FRAME_LENGTH) {
      throw new WireError(
        "truncated_field",
        "length",
        `is ${length}; at least ${MIN_FRAME_LENGTH} is needed`,
      );
    }
    return length;
  }

  /** Moves bytes of the chunk to the unfinished frame; decodes it when it is complete. Returns how many were taken. */
  #collect(chunk: Uint8Array, at: number, frames: Frame[]): number {
    let taken = 0;
    while (this.#filled < LENGTH_BYTES && at + taken < chunk.length) {
      this.#reserve(LENGTH_BYTES);
      this.#pending[this.#filled++] = chunk[at + taken++];
    }
    if (this.#filled < LENGTH_BYTES) return taken;
    const total = LENGTH_BYTES + this.#length(this.#pending, 0);
    const count = Math.min(total - this.#filled, chunk.length - at - taken);
    // Memory grows with what has arrived, not with what the length field promises.
    this.#reserve(this.#filled + count);
    this.#pending.set(chunk.subarray(at + taken, at + taken + count), this.#filled);
    this.#filled += count;
    taken += count;
    if (this.#filled === total) {
      const frame = decodeFrame(this.#pending, LENGTH_BYTES, total);
      this.#filled = 0;
      if (this.#pending.length > 1 << 16) this.#pending = new Uint8Array(0);
      frames.push(frame);
    }
    return taken;
  }

  #reserve(size: number): void {
    if (this.#pending.length >= size) return;
    const grown = new Uint8Array(Math.max(256, size, this.#pending.length * 2));
    grown.set(this.#pending.subarray(0, this.#filled));
    this.#pending = grown;
  }
}
