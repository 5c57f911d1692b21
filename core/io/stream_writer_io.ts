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
  let from = 0;
  while (from < pieces.length) {
    let to = from + 1;
    let length = pieces[from].length;
    while (to < pieces.length && length + pieces[to].length <= JOIN_BYTES) length += pieces[to++].length;
    yield to === from + 1 ? pieces[from] : concatenated(pieces.slice(from, to), length);
    from = to;
  }
}

function concatenated(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
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
