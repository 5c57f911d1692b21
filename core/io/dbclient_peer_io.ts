/** The link to one DBclient, kept alive by reconnecting: a part of dbclient_link_io.ts. */
import { firstLine } from "../cli/first_line.ts";
import { type Address, formatAddress } from "../sip/address.ts";
import type { VerifyStatus } from "../wire/constants.ts";
import {
  type IssueResult,
  ProxyLink,
  type ProxyLinkEvent,
  type ProxyLinkOptions,
} from "../wire/proxy_link.ts";
import { now, systemRandom } from "./clock_io.ts";
import { type DbclientStream, DbclientUnavailable } from "./dbclient_link_types.ts";
import { StreamWriter } from "./stream_writer_io.ts";

/** Bytes that may wait to be written before new requests are refused. */
const MAX_QUEUED = 4 << 20;
/** Milliseconds for the TCP (and TLS) connection to be made. */
const CONNECT_TIMEOUT = 3000;
/** Milliseconds that a last ERROR frame may take to be written. */
const GOODBYE_TIMEOUT = 200;

/** One frame that is asked, on one link after the other until one answers. */
export interface DbclientRequest {
  /** When it is given up, on the clock of `now`. */
  readonly deadline: number;
  /** How many links it was lost with. */
  losses: number;
  /** Puts it on a link that is free; its id there. */
  send(link: ProxyLink): number;
  resolve(value: readonly IssueResult[] | readonly VerifyStatus[]): void;
  reject(reason: DbclientUnavailable): void;
}

/** What a {@linkcode DbclientPeer} needs. */
export interface DbclientPeerOptions {
  readonly address: Address;
  readonly backoff: { readonly min: number; readonly max: number };
  /** What each new link begins with. */
  linkOptions(): ProxyLinkOptions;
  connect(address: Address): Promise<DbclientStream>;
  /** What a link has told. */
  onEvent(event: Extract<ProxyLinkEvent, { event: "ready" | "revoked" }>): void;
  /** The link is open. */
  onOpen(): void;
  /** An attempt has failed, or a link has ended; these requests have no answer. */
  onLost(reason: string, requests: readonly DbclientRequest[]): void;
}

/** One connection, from its opening to its end. */
interface Session {
  readonly link: ProxyLink;
  readonly stream: DbclientStream;
  readonly writer: StreamWriter;
  readonly waiting: Map<number, DbclientRequest>;
  /** Why it ended: what was known first. */
  reason: string | undefined;
}

/** Connects when it is made, and again after every loss, until {@linkcode close}. */
export class DbclientPeer {
  /** `host:port`, for logs. */
  readonly name: string;
  /** Whether the last attempt to connect, or the last link, has failed. */
  failed: string | undefined;
  readonly #options: DbclientPeerOptions;
  #session: Session | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = Infinity;
  #closed = false;
  #wake: (() => void) | undefined;
  readonly #running: Promise<void>;

  constructor(options: DbclientPeerOptions) {
    this.#options = options;
    this.name = formatAddress(options.address);
    this.#running = this.#run();
  }

  /** Whether its link is open. */
  get open(): boolean {
    return this.#session?.link.open ?? false;
  }

  /** Whether it takes a request now. */
  get free(): boolean {
    const session = this.#session;
    return session !== undefined && session.link.free && session.writer.queued <= MAX_QUEUED;
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#session?.waiting.size ?? 0;
  }

  /** Asks; it leaves with {@linkcode flush}. To be called only while {@linkcode free}. */
  ask(request: DbclientRequest): void {
    const { link, waiting } = this.#session!;
    waiting.set(request.send(link), request);
  }

  /** Writes what the link has to say, and sets the timer for what comes next. */
  flush(): void {
    if (this.#session === undefined) return;
    const { link, writer } = this.#session;
    writer.push(link.takeOutput());
    const due = link.nextDue();
    if (due < this.#timerDue || this.#timer === undefined) {
      clearTimeout(this.#timer);
      this.#timerDue = due;
      if (due === Infinity) return;
      this.#timer = setTimeout(() => this.#onTimer(), Math.max(0, due - now()));
    }
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#session !== undefined) this.#drop(this.#session, "closed");
    this.#wake?.();
    await this.#running;
  }

  /** Connects, reads until the end, pauses, and so on until {@linkcode close}. Never rejects. */
  async #run(): Promise<void> {
    const { address, connect, backoff: { min, max }, onLost } = this.#options;
    let pause = min;
    // Not before the constructor of whoever made it is done.
    await Promise.resolve();
    while (!this.#closed) {
      let session: Session | undefined;
      let reason = "";
      try {
        session = this.#begin(await this.#opening(connect(address)));
        if (await this.#serve(session)) pause = min;
      } catch (error) {
        reason = firstLine(error);
      }
      this.failed = session?.reason ?? reason;
      onLost(this.failed, [...session?.waiting.values() ?? []]);
      if (this.#closed) return;
      // Half of the pause is chance, so that many proxies do not come back at the same moment.
      await this.#sleep(pause / 2 + systemRandom.below(Math.ceil(pause / 2)));
      pause = Math.min(max, pause * 2);
    }
  }

  /** The stream, unless it takes too long or this is closed meanwhile; a late stream is closed. */
  async #opening(opening: Promise<DbclientStream>): Promise<DbclientStream> {
    let given = false;
    const pause = this.#sleep(CONNECT_TIMEOUT);
    try {
      const stream = await Promise.race([opening, pause]);
      if (stream !== undefined) {
        given = true;
        return stream;
      }
      throw new DbclientUnavailable(`no connection within ${CONNECT_TIMEOUT} ms`);
    } finally {
      this.#wake?.();
      if (!given) opening.then((stream) => stream.close()).catch(() => {});
    }
  }

  #begin(stream: DbclientStream): Session {
    const link = new ProxyLink(this.#options.linkOptions(), now());
    const writer = new StreamWriter(stream, { onError: (error) => this.#drop(session, firstLine(error)) });
    const session: Session = { link, stream, writer, waiting: new Map(), reason: undefined };
    this.#session = session;
    if (this.#closed) this.#drop(session, "closed");
    this.flush();
    return session;
  }

  /** Reads one connection to its end. Returns whether it was ever open. */
  async #serve(session: Session): Promise<boolean> {
    const { link, stream, writer } = session;
    const buffer = new Uint8Array(64 << 10);
    let opened = false;
    try {
      while (!link.closed) {
        const count = await stream.read(buffer);
        if (count === null) break;
        this.#take(session, link.receive(buffer.subarray(0, count), now()));
        if (!opened && link.open) {
          opened = true;
          this.failed = undefined;
          this.#options.onOpen();
        }
        this.flush();
      }
      if (link.closed) {
        await Promise.race([writer.drained, this.#sleep(GOODBYE_TIMEOUT)]);
        this.#wake?.();
      }
    } catch (error) {
      session.reason ??= firstLine(error);
    }
    this.#drop(session, "the connection was closed");
    return opened;
  }

  /** Whether the link has ended by these events; then the session knows why. */
  #take(session: Session, events: readonly ProxyLinkEvent[]): boolean {
    const { waiting } = session;
    let ended = false;
    for (const event of events) {
      switch (event.event) {
        case "ready":
        case "revoked":
          this.#options.onEvent(event);
          break;
        case "issued":
          waiting.get(event.id)?.resolve(event.results);
          waiting.delete(event.id);
          break;
        case "verified":
          waiting.get(event.id)?.resolve(event.statuses);
          waiting.delete(event.id);
          break;
        case "failed":
          // Those that the end of the link leaves without an answer may be asked elsewhere.
          if (event.reason === "closed") break;
          waiting.get(event.id)?.reject(new DbclientUnavailable(event.text));
          waiting.delete(event.id);
          break;
        case "closed":
          session.reason ??= `${event.code}: ${event.text}`;
          ended = true;
          break;
      }
    }
    return ended;
  }

  /** Gives up a connection, unless that has been done; its reading loop ends by it. */
  #drop(session: Session, reason: string): void {
    session.reason ??= reason;
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#take(session, session.link.lost(session.reason));
    session.writer.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerDue = Infinity;
    try {
      session.stream.close();
    } catch {
      // It is closed already.
    }
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.#timerDue = Infinity;
    const session = this.#session;
    if (session === undefined) return;
    if (this.#take(session, session.link.advance(now()))) this.#drop(session, "closed");
    else this.flush();
  }

  #sleep(ms: number): Promise<undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(undefined);
      };
      if (this.#closed) this.#wake();
    });
  }
}
