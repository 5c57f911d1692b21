/** One proxy's connection: reads while there is room for the answers, writes in order. */
import {
  type DbclientLink,
  type DbclientLinkEvent,
  type ErrorName,
  firstLine,
  now,
  StreamWriter,
} from "../mod.ts";

/** Bytes that wait for a proxy that reads slowly; above this nothing more is read from it. */
const MAX_QUEUED = 1 << 20;
/**
 * Users and Digest answers of one proxy in work at once: with this many nothing more is read from it. What one read
 * has brought is taken whole, so that there may be some more.
 */
const MAX_OUTSTANDING = 2000;
/** A proxy that takes no byte for this long is cut off, milliseconds. */
const WRITE_TIMEOUT = 10_000;
/** How often {@linkcode ProxyConnection.tick} is to be called, milliseconds. */
export const TICK = 500;

/** A link and the stream under it. */
export class ProxyConnection {
  /** Ends with the connection; never rejects. */
  readonly done: Promise<void>;
  readonly #writer: StreamWriter;
  #room: (() => void) | undefined;
  #finishing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly stream: Deno.TcpConn,
    readonly link: DbclientLink,
    private readonly onEvents: (connection: ProxyConnection, events: DbclientLinkEvent[]) => void,
  ) {
    this.#writer = new StreamWriter(stream, {
      onProgress: () => this.#readOn(),
      // The reading side finds out why.
      onError: () => this.#shut(),
    });
    this.done = this.#run();
  }

  get peer(): string {
    const { hostname, port } = this.stream.remoteAddr;
    return `${hostname}:${port}`;
  }

  /** Writes what the link has to say. */
  flush(): void {
    this.#writer.push(this.link.takeOutput());
    this.#readOn();
  }

  tick(time: number): void {
    if (this.#writer.stalled(time) > WRITE_TIMEOUT) {
      this.onEvents(this, this.link.lost("it reads too slowly"));
      this.#shut();
      return;
    }
    if (this.#isBusy) this.link.heldUp(time);
    else this.onEvents(this, this.link.advance(time));
    this.flush();
    if (this.link.closed) this.#finish();
  }

  /** Ends it with an ERROR frame. */
  close(code: ErrorName, text: string): void {
    this.onEvents(this, this.link.close(code, text));
    this.flush();
    this.#finish();
  }

  get #mayRead(): boolean {
    return this.link.closed || (this.#writer.queued <= MAX_QUEUED && !this.#isBusy);
  }

  /** It has asked for so much that it is our turn. */
  get #isBusy(): boolean {
    return this.link.outstandingItems >= MAX_OUTSTANDING;
  }

  #readOn(): void {
    if (this.#mayRead) this.#room?.();
  }

  async #run(): Promise<void> {
    const buffer = new Uint8Array(64 << 10);
    let reason = "the connection was closed";
    try {
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
    this.onEvents(this, this.link.lost(reason));
    this.#shut();
  }

  /** Ends our direction when what is queued is written; the stream closes when the peer does so too, or soon. */
  #finish(): void {
    if (this.#finishing !== undefined) return;
    this.#room?.();
    this.#finishing = setTimeout(() => this.#shut(), TICK);
    this.#writer.drained.then(() => this.stream.closeWrite()).catch(() => this.#shut());
  }

  #shut(): void {
    this.#writer.clear();
    this.#room?.();
    try {
      this.stream.close();
    } catch {
      // It is closed already.
    }
  }
}
