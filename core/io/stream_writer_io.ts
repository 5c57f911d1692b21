/** Writes to a byte stream in order, without making its callers wait. */
import { now } from "./clock_io.ts";

/** What a {@linkcode StreamWriter} tells. */
export interface StreamWriterEvents {
  /** Some of the bytes are on their way: there is room for more. */
  onProgress?(): void;
  /** The stream takes no more; nothing else is told afterwards. */
  onError(error: unknown): void;
}

/** Small pieces that come together are written together, up to so many bytes. */
const JOIN_BYTES = 64 << 10;

/** The pieces, neighbours put together. */
function* joined(pieces: readonly Uint8Array[]): Iterable<Uint8Array> {
  for (let from = 0, to = 0; from < pieces.length; from = to) {
    let bytes = 0;
    for (to = from; to < pieces.length && (to === from || bytes + pieces[to].length <= JOIN_BYTES); to++) {
      bytes += pieces[to].length;
    }
    if (to === from + 1) {
      yield pieces[from];
      continue;
    }
    const all = new Uint8Array(bytes);
    for (let i = from, at = 0; i < to; at += pieces[i++].length) all.set(pieces[i], at);
    yield all;
  }
}

/** The bytes that wait to be written to one stream. */
export class StreamWriter {
  readonly #stream: { write(bytes: Uint8Array): Promise<number> };
  readonly #events: StreamWriterEvents;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  #progress = now();
  #failed = false;

  constructor(stream: { write(bytes: Uint8Array): Promise<number> }, events: StreamWriterEvents) {
    this.#stream = stream;
    this.#events = events;
  }

  /** Bytes that are not written yet. */
  get queued(): number {
    return this.#queued;
  }

  /** Ends when all that was pushed until now is written, or given up. Never rejects. */
  get drained(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  /** How long bytes have been waiting and the stream has taken none, ms. */
  stalled(time: number): number {
    return this.#writing === undefined ? 0 : time - this.#progress;
  }

  /** Takes pieces over; they must not be changed any more. After an error they are thrown away. */
  push(pieces: readonly Uint8Array[]): void {
    if (this.#failed) return;
    for (const bytes of joined(pieces)) {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
    if (this.#queue.length > 0) this.#writing ??= this.#write();
  }

  /** Gives up what waits. A write that is under way ends with its stream. */
  clear(): void {
    this.#queue = [];
    this.#queued = 0;
  }

  async #write(): Promise<void> {
    this.#progress = now();
    try {
      for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
        for (let at = 0; at < bytes.length;) {
          at += await this.#stream.write(bytes.subarray(at));
          this.#progress = now();
        }
        this.#queued = Math.max(0, this.#queued - bytes.length);
        this.#events.onProgress?.();
      }
    } catch (error) {
      this.#failed = true;
      this.clear();
      this.#events.onError(error);
    }
    this.#writing = undefined;
  }
}
