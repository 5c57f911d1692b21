/** One proxy's connection: reads while there is room for the answers, writes in order, ends where a limit is passed. */
import {
  type DbclientLink,
  type DbclientLinkEvent,
  type ErrorName,
  firstLine,
  now,
  StreamWriter,
} from "../mod.ts";
import type { RefusalReason } from "./counters.ts";
import type { LinkStream } from "./link_listener_io.ts";
import type { LinkLimits } from "./limits.ts";

/**
 * Users and Digest answers of one proxy in work at once: with this many nothing more is read from it. What one read
 * has brought is taken whole, so that there may be some more.
 */
const MAX_OUTSTANDING = 2000;
/** Nothing more is read from a proxy with this part of the send buffer's bound waiting. */
const READ_BELOW = 1 / 4;
/** What READY and the frames after it may take of the send buffer's bound: a proxy can always connect. */
export const CATCH_UP_PART = 1 / 4;
/** Revocations are written with no more than this part waiting, so that there is room for answers. */
const NEWS_BELOW = 1 / 8;
/** How often {@linkcode ProxyConnection.tick} is to be called, milliseconds. */
export const TICK = 500;

/** A link and the stream under it. */
export class ProxyConnection {
  /** Ends with the connection; never rejects. */
  readonly done: Promise<void>;
  /** Why it was ended, where no code of the protocol says it. */
  refusal: RefusalReason | undefined;
  readonly #writer: StreamWriter;
  /** Revocations, frame by frame, that are written as the proxy takes what was written before. */
  readonly #news: Uint8Array[] = [];
  #newsBytes = 0;
  #room: (() => void) | undefined;
  #finishing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly stream: LinkStream,
    readonly link: DbclientLink,
    private readonly limits: LinkLimits,
    private readonly onEvents: (connection: ProxyConnection, events: DbclientLinkEvent[]) => void,
  ) {
    this.#writer = new StreamWriter(stream, {
      onProgress: () => {
        this.#writeNews();
        this.#readOn();
      },
      // The reading side finds out why.
      onError: () => this.abort(),
    });
    this.done = this.#run();
  }

  /** The address of the other end, without its port. */
  get host(): string {
    return this.stream.remoteAddr.hostname;
  }

  get peer(): string {
    const { hostname, port } = this.stream.remoteAddr;
    return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /** Writes what the link has to say. */
  flush(): void {
    this.#writer.push(this.link.takeOutput());
    if (this.#writer.queued > this.limits.sendBufferBytes) {
      return this.#cutOff(`it reads too slowly: ${this.#writer.queued} bytes wait for it`);
    }
    this.#writeNews();
    this.#readOn();
  }

  /**
   * Tells revocations, however many: they are written as the proxy takes them, and do not count as slowness unless
   * those of before are still waiting. A proxy that is not ready is told by READY.
   *
   * @param frames REVOKED frames, not to be changed any more
   */
  tell(frames: readonly Uint8Array[]): void {
    if (!this.link.takesNews) return;
    if (this.#newsBytes > this.limits.sendBufferBytes) {
      return this.#cutOff(`it reads too slowly: ${this.#newsBytes} bytes of revocations wait for it`);
    }
    for (const frame of frames) {
      this.#news.push(frame);
      this.#newsBytes += frame.length;
    }
    this.flush();
  }

  tick(time: number): void {
    const stalled = this.#writer.stalled(time);
    if (stalled > this.limits.writeMs) {
      return this.#cutOff(`it reads too slowly: no byte for ${Math.round(stalled)} ms`);
    }
    if (this.#isBusy) this.link.heldUp(time);
    else this.onEvents(this, this.link.advance(time));
    this.flush();
    if (this.link.closed) this.#finish();
  }

  /** Ends it with an ERROR frame. */
  close(code: ErrorName, text: string, refusal?: RefusalReason): void {
    this.refusal ??= refusal;
    this.onEvents(this, this.link.close(code, text));
    this.flush();
    this.#finish();
  }

  /** Ends it at once. */
  abort(): void {
    this.#forgetNews();
    this.#writer.clear();
    this.#room?.();
    try {
      this.stream.close();
    } catch {
      // It is closed already.
    }
  }

  get #mayRead(): boolean {
    return this.link.closed ||
      (this.#writer.queued <= this.limits.sendBufferBytes * READ_BELOW && !this.#isBusy);
  }

  /** It has asked for so much that it is our turn. */
  get #isBusy(): boolean {
    return this.link.outstandingItems >= MAX_OUTSTANDING;
  }

  #readOn(): void {
    if (this.#mayRead) this.#room?.();
  }

  #writeNews(): void {
    if (this.link.closed) return this.#forgetNews();
    const room = this.limits.sendBufferBytes * NEWS_BELOW - this.#writer.queued;
    let count = 0;
    let bytes = 0;
    while (count < this.#news.length && bytes < room) bytes += this.#news[count++].length;
    if (count === 0) return;
    this.#newsBytes -= bytes;
    this.#writer.push(this.#news.splice(0, count));
  }

  #forgetNews(): void {
    this.#news.length = 0;
    this.#newsBytes = 0;
  }

  #cutOff(reason: string): void {
    if (!this.link.closed) {
      this.refusal ??= "slow_reader";
      this.onEvents(this, this.link.lost(reason));
    }
    this.abort();
  }

  async #run(): Promise<void> {
    const buffer = new Uint8Array(64 << 10);
    let reason = "the connection was closed";
    try {
      await this.#secure();
      while (!this.link.closed) {
        if (!this.#mayRead) {
          await new Promise<void>((resolve) => this.#room = resolve);
          this.#room = undefined;
          continue;
        }
        const count = await this.stream.read(buffer);
        if (count === null) break;
        this.onEvents(this, this.link.receive(buffer.subarray(0, count), now()));
        this.flush();
      }
      if (this.link.closed) {
        this.#finish();
        // Without reading on, what the peer has sent meanwhile would turn the close into a reset that eats our ERROR.
        for (let left = 1 << 20; left > 0;) {
          const count = await this.stream.read(buffer);
          if (count === null) break;
          left -= count;
        }
      }
    } catch (error) {
      reason = firstLine(error);
    }
    clearTimeout(this.#finishing);
    if (!this.link.closed && this.link.insideFrame) {
      this.refusal ??= "truncated_field";
      reason = "the connection ended inside a frame";
    }
    this.onEvents(this, this.link.lost(reason));
    this.abort();
  }

  async #secure(): Promise<void> {
    try {
      await this.stream.handshake?.();
    } catch (error) {
      if (!this.link.closed) this.refusal ??= "tls";
      throw error;
    }
  }

  /** Ends our direction when what is queued is written; the stream closes when the peer does so too, or soon. */
  #finish(): void {
    if (this.#finishing !== undefined) return;
    this.#room?.();
    this.#finishing = setTimeout(() => this.abort(), TICK);
    this.#writer.drained.then(() => this.stream.closeWrite()).catch(() => this.abort());
  }
}
