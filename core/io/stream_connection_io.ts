/** One connection of a {@linkcode StreamTransport}: what it reads, what waits to be sent, and since when. */
import type { Address } from "../sip/address.ts";
import { type StreamEvent, StreamFramer } from "../sip/stream.ts";
import { now } from "./clock_io.ts";
import { StreamWriter } from "./stream_writer_io.ts";

/** What a connection needs of the system's. */
export interface ByteStream {
  read(bytes: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Why a connection is over, seen from here. */
export type CutReason = "idle" | "half message" | "slow reader" | "malformed" | "closed" | "error";

/** What a connection tells its transport. */
export interface ConnectionEvents {
  /** What came in one chunk, in order; the bytes are good during the call only. */
  arrived(connection: StreamConnection, events: readonly StreamEvent[], now: number): void;
  /** It is over; told once. */
  ended(connection: StreamConnection, reason: CutReason, error: unknown): void;
}

/** Read ahead by a connection that waits: with thousands of idle ones this is most of what they cost. Bytes. */
const WAITING_BYTES = 1024;
/** Read ahead while more comes than fits into that. Bytes. */
const BUSY_BYTES = 16_384;
/** So many connections at one time read with the larger buffers. */
const MAX_BUSY = 128;
/** Spare buffers that are kept. */
const spare: Uint8Array<ArrayBuffer>[] = [];
let busy = 0;

/** An open connection, or one that is being opened. */
export class StreamConnection {
  /** When it was made, and when something came or went the last time, ms. */
  readonly since: number;
  active: number;
  /** Since when a message is unfinished, ms; 0: none is. */
  begun = 0;
  /** Whether something whole has come: a message, or a keep-alive. */
  proven = false;
  /** It sends what waits, and closes then. */
  closing = false;
  /** What the queue may hold while it closes is not added to. */
  #ended = false;
  readonly #stream: Promise<ByteStream> | ByteStream;
  readonly #framer: StreamFramer;
  #writer: StreamWriter | undefined;
  #busy: Uint8Array<ArrayBuffer> | undefined;

  /**
   * @param address the other end, with this flow
   * @param target as it was given to be connected to; undefined: the peer has opened it
   * @param stream the open stream, or what is awaited of it
   * @param maxMessageBytes see StreamLimits
   */
  constructor(
    readonly address: Address,
    readonly target: Address | undefined,
    stream: Promise<ByteStream> | ByteStream,
    private readonly events: ConnectionEvents,
    time: number,
    maxMessageBytes?: number,
  ) {
    this.#framer = new StreamFramer({ maxMessageBytes });
    this.since = this.active = time;
    this.#stream = stream;
    this.#read();
  }

  /** Whether it is over: nothing comes and nothing goes any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that wait to be sent. */
  get queued(): number {
    return this.#writer?.queued ?? 0;
  }

  /** Bytes of an unfinished message. */
  get pending(): number {
    return this.#framer.pending;
  }

  /** How long the peer has taken nothing of what waits, ms. */
  stalled(time: number): number {
    return this.#writer?.stalled(time) ?? 0;
  }

  /** Sends bytes, which must stay as they are. */
  send(bytes: Uint8Array<ArrayBuffer>, time: number): void {
    if (this.#ended || this.closing) return;
    this.active = time;
    this.#writer ??= new StreamWriter(
      { write: async (piece) => (await this.#stream).write(piece) },
      { onError: (error) => this.end("error", error) },
    );
    this.#writer.push([bytes]);
  }

  /** Ends it when what waits has been sent; who calls sees to it that this does not take for ever. */
  closeSoon(reason: CutReason): void {
    if (this.closing || this.#ended) return;
    this.closing = true;
    const drained = this.#writer?.drained;
    if (drained === undefined) this.end(reason);
    else drained.then(() => this.end(reason));
  }

  /** Ends it now. */
  end(reason: CutReason, error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writer?.clear();
    if (this.#stream instanceof Promise) this.#stream.then(closeQuietly, () => {});
    else closeQuietly(this.#stream);
    this.events.ended(this, reason, error);
  }

  async #read(): Promise<void> {
    const waiting = new Uint8Array(WAITING_BYTES);
    let buffer = waiting;
    try {
      const stream = this.#stream instanceof Promise ? await this.#stream : this.#stream;
      while (!this.#ended) {
        const count = await stream.read(buffer);
        if (this.#ended) break;
        if (count === null) return this.end("closed");
        this.#take(count === buffer.length ? buffer : buffer.subarray(0, count));
        buffer = this.#nextBuffer(waiting, count);
      }
    } catch (error) {
      this.end("error", error);
    } finally {
      this.#giveBack();
    }
  }

  #take(chunk: Uint8Array<ArrayBuffer>): void {
    // What comes while it closes is not read any more; it is taken, so that the peer gets the answer before the end.
    if (this.closing) return;
    const time = now();
    this.active = time;
    const events = this.#framer.push(chunk);
    if (events.length > 0) this.proven = true;
    this.events.arrived(this, events, time);
    this.#framer.release();
    // A message has its time from its first byte on, whatever came before it in the same chunk.
    if (this.#framer.pending === 0) this.begun = 0;
    else if (this.begun === 0 || events.length > 0) this.begun = time;
  }

  /** Larger ones while they are filled, as long as there are such. */
  #nextBuffer(waiting: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
    if (this.#busy !== undefined) {
      if (2 * count >= BUSY_BYTES) return this.#busy;
      this.#giveBack();
      return waiting;
    }
    if (count < waiting.length || busy >= MAX_BUSY) return waiting;
    busy++;
    return this.#busy = spare.pop() ?? new Uint8Array(BUSY_BYTES);
  }

  #giveBack(): void {
    if (this.#busy === undefined) return;
    spare.push(this.#busy);
    this.#busy = undefined;
    busy--;
  }
}

/** Closes what may be closed already, by the peer's error or by a timer. */
export function closeQuietly(stream: { close(): void }): void {
  try {
    stream.close();
  } catch {
    // It was.
  }
}
