/**
 * What both ends of a DBclient link have in common: state tables, liveness, and the shape of a link's end.
 * The machines are `proxy_link.ts` and `dbclient_link.ts`; neither does I/O (docs/PROTOCOL.md §9).
 */
import { WireError } from "./bytes.ts";
import { type ErrorName, type FrameName, type LinkTimes, TEXT_LIMIT } from "./constants.ts";
import { encodeFrame, type Frame } from "./frame.ts";
import { FrameReader } from "./frame_reader.ts";

/** Which frame may arrive in which state, and the state after it. What is not listed is `unexpected_frame`. */
export type LinkTable<S extends string> = Readonly<Record<S, Readonly<Partial<Record<FrameName, S>>>>>;

/** The proxy's end. HELLO is sent on entering await_welcome, AUTH on leaving it. */
export const PROXY_LINK_TABLE = {
  await_welcome: { WELCOME: "await_ready", ERROR: "closed" },
  await_ready: { READY: "open", ERROR: "closed" },
  open: { ISSUED: "open", VERIFIED: "open", REVOKED: "open", PING: "open", PONG: "open", ERROR: "open" },
  closed: {},
} as const satisfies LinkTable<string>;
/** States of the proxy's end. */
export type ProxyLinkState = keyof typeof PROXY_LINK_TABLE;

/** DBclient's end. WELCOME is sent on leaving await_hello, READY on leaving await_auth. */
export const DBCLIENT_LINK_TABLE = {
  await_hello: { HELLO: "await_auth", ERROR: "closed" },
  await_auth: { AUTH: "open", ERROR: "closed" },
  open: { ISSUE: "open", VERIFY: "open", PING: "open", PONG: "open", ERROR: "closed" },
  closed: {},
} as const satisfies LinkTable<string>;
/** States of DBclient's end. */
export type DbclientLinkState = keyof typeof DBCLIENT_LINK_TABLE;

/** The end of a link: who ended it, with which code, and what there is to read about it. */
export interface LinkClosed {
  readonly event: "closed";
  /** "peer": it sent an ERROR frame, broke the protocol, or fell silent; "us": {@linkcode LinkEnd.close} was called. */
  readonly by: "us" | "peer";
  readonly code: ErrorName;
  readonly text: string;
}

/** Cuts a text to what the text of an ERROR frame holds. */
function errorText(text: string): string {
  return text.length * 3 <= TEXT_LIMIT.text ? text : text.slice(0, Math.floor(TEXT_LIMIT.text / 3));
}

/** What both machines do alike. Times are milliseconds of any monotonic clock. */
export abstract class LinkEnd<S extends string, E> {
  protected readonly reader: FrameReader;
  protected now: number;
  #state: S;
  #output: Uint8Array<ArrayBuffer>[] = [];
  #started: number;
  #heard: number;
  #pinged = false;

  protected constructor(
    private readonly table: LinkTable<S>,
    start: S,
    private readonly openState: S,
    private readonly closedState: S,
    private readonly times: LinkTimes,
    now: number,
    maxLength: number,
  ) {
    this.reader = new FrameReader(maxLength);
    this.#state = start;
    this.now = this.#started = this.#heard = now;
  }

  /** The state, as in the table. */
  get state(): S {
    return this.#state;
  }

  /** Whether requests may be sent. */
  get open(): boolean {
    return this.#state === this.openState;
  }

  /** Whether it is over: nothing more is read; {@linkcode takeOutput} may still hold an ERROR frame to write. */
  get closed(): boolean {
    return this.#state === this.closedState;
  }

  /** Whether the peer's bytes end inside a frame so far. */
  get insideFrame(): boolean {
    return this.reader.buffered > 0;
  }

  /** The bytes to write, in order; they are not to be changed. */
  takeOutput(): Uint8Array<ArrayBuffer>[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }

  /** Takes bytes that arrived. Never throws for what the peer sent: that ends in a `closed` event. */
  receive(chunk: Uint8Array, now: number): (E | LinkClosed)[] {
    this.now = now;
    if (this.closed) return [];
    this.#heard = now;
    this.#pinged = false;
    const events: (E | LinkClosed)[] = [];
    const { frames, error } = this.reader.push(chunk);
    for (const frame of frames) {
      const next = (this.table[this.#state] as Partial<Record<FrameName, S>>)[frame.type];
      if (next === undefined) {
        this.fail(events, "unexpected_frame", `${frame.type} in state ${this.#state}`, frame.id);
        return events;
      }
      const before = this.#state;
      try {
        this.handle(frame, events);
      } catch (problem) {
        if (!(problem instanceof WireError)) throw problem;
        this.fail(events, problem.code, problem.message);
      }
      if (this.closed) return events;
      // The handler may have closed; else the table says where it goes on.
      if (this.#state === before) this.#state = next;
    }
    if (error !== undefined) this.fail(events, error.code, error.message);
    return events;
  }

  /** Does what time asks for: a PING, the end of a handshake that takes too long, the end of a silent peer. */
  advance(now: number): (E | LinkClosed)[] {
    this.now = now;
    const events: (E | LinkClosed)[] = [];
    if (this.closed) return events;
    if (!this.open) {
      if (now - this.#started >= this.times.handshake) {
        this.fail(events, "timeout", "the handshake took too long");
      }
      return events;
    }
    if (now - this.#heard >= this.times.dead) {
      this.fail(events, "timeout", `nothing heard for ${Math.round(now - this.#heard)} ms`);
    } else if (!this.#pinged && now - this.#heard >= this.times.ping) {
      this.#pinged = true;
      this.send({ type: "PING", id: 0 });
    }
    return events;
  }

  /** When {@linkcode advance} has something to do next. */
  nextDue(): number {
    if (this.closed) return Infinity;
    if (!this.open) return this.#started + this.times.handshake;
    return this.#heard + (this.#pinged ? this.times.dead : this.times.ping);
  }

  /**
   * Instead of {@linkcode advance} while what the peer sends lies unread by our own choice: its silence does not count,
   * and it is told that we live, since its own PING lies unread too.
   */
  heldUp(now: number): void {
    if (!this.open) return;
    this.now = this.#heard = now;
    this.send({ type: "PING", id: 0 });
  }

  /** Ends the link with an ERROR frame. */
  close(code: ErrorName, text: string): (E | LinkClosed)[] {
    const events: (E | LinkClosed)[] = [];
    if (!this.closed) this.fail(events, code, text, 0, "us");
    return events;
  }

  /** Says that the connection is gone: what was outstanding fails, nothing is written. */
  lost(text: string): (E | LinkClosed)[] {
    const events: (E | LinkClosed)[] = [];
    if (!this.closed) this.finish(events, { event: "closed", by: "peer", code: "internal", text });
    return events;
  }

  protected send(frame: Frame): void {
    this.#output.push(encodeFrame(frame));
  }

  /** Sends an ERROR frame of request 0 (or of the frame at fault) and ends. */
  protected fail(
    events: (E | LinkClosed)[],
    code: ErrorName,
    text: string,
    id = 0,
    by: "us" | "peer" = "peer",
  ): void {
    const named = id === 0 ? text : `${text} (request ${id})`;
    this.send({ type: "ERROR", id: 0, code, text: errorText(named) });
    this.finish(events, { event: "closed", by, code, text: named });
  }

  protected finish(events: (E | LinkClosed)[], event: LinkClosed): void {
    this.#state = this.closedState;
    this.ended(events, event);
    events.push(event);
  }

  /** A frame that the table allows; may throw {@linkcode WireError}. */
  protected abstract handle(frame: Frame, events: (E | LinkClosed)[]): void;
  /** The link is over: give up what is outstanding. */
  protected ended(_events: (E | LinkClosed)[], _closed: LinkClosed): void {}
}
