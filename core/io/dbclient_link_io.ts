/** The proxy's connection to DBclient: kept alive over TCP by reconnecting (docs/PROTOCOL.md §9). */
import type { Identity } from "../chain/derive.ts";
import { firstLine } from "../cli/first_line.ts";
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import { utf8Length } from "../wire/bytes.ts";
import { issueBatches, verifyBatches } from "../wire/batches.ts";
import { TEXT_LIMIT, type VerifyStatus } from "../wire/constants.ts";
import type { DigestAnswer } from "../wire/frame.ts";
import { type IssueResult, ProxyLink, type ProxyLinkEvent, serialAfter } from "../wire/proxy_link.ts";
import { now, systemRandom } from "./clock_io.ts";
import {
  type DbclientConnectionOptions,
  type DbclientStream,
  DbclientUnavailable,
} from "./dbclient_link_types.ts";
import { StreamWriter } from "./stream_writer_io.ts";

interface Waiting {
  resolve(value: readonly IssueResult[] | readonly VerifyStatus[]): void;
  reject(reason: DbclientUnavailable): void;
}

/** Bytes that may wait to be written before new requests are refused. */
const MAX_QUEUED = 4 << 20;
/** Milliseconds for the TCP (and TLS) connection to be made. */
const CONNECT_TIMEOUT = 3000;
/** Milliseconds that a last ERROR frame may take to be written. */
const GOODBYE_TIMEOUT = 200;
const INVALID_NAME: IssueResult = { status: "error", code: "invalid_name" };

async function connectTcp(address: { host: string; port: number }): Promise<DbclientStream> {
  const connection = await Deno.connect({ hostname: address.host, port: address.port });
  connection.setNoDelay(true);
  return connection;
}

/** One connection, from its opening to its end. */
interface Session {
  readonly link: ProxyLink;
  readonly stream: DbclientStream;
  readonly writer: StreamWriter;
  /** Why it ended: what was known first. */
  reason: string | undefined;
}

/**
 * One connection to DBclient that heals itself. It starts to connect when it is made; requests while it is not
 * connected are rejected at once, so that the caller decides what to do without DBclient.
 *
 * @example
 * ```ts ignore
 * const dbclient = new DbclientConnection({ addresses: [{ host: "127.0.0.1", port: 19760 }], sha256 });
 * await dbclient.whenConnected(1000);
 * const [result] = await dbclient.issue("SHA-1", [{ username: "alice", realm: "example.com" }]);
 * ```
 */
export class DbclientConnection {
  readonly #options: DbclientConnectionOptions;
  #session: Session | undefined;
  #waiting = new Map<number, Waiting>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = Infinity;
  #serial: number;
  #chain: { n: number; ttl: number } | undefined;
  #closed = false;
  #said: boolean | undefined;
  #wake: (() => void) | undefined;
  #onConnected = new Set<() => void>();
  readonly #running: Promise<void>;

  constructor(options: DbclientConnectionOptions) {
    if (options.addresses.length === 0) throw new RangeError("a DbclientConnection needs an address");
    if (utf8Length(options.name ?? "") > TEXT_LIMIT["proxy name"]) {
      throw new RangeError(`the proxy's name has more than ${TEXT_LIMIT["proxy name"]} bytes`);
    }
    this.#options = options;
    this.#serial = options.serial ?? 0;
    this.#running = this.#run();
  }

  /** Whether requests can be sent now. */
  get connected(): boolean {
    return this.#session?.link.open ?? false;
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The revocation serial up to which everything is known. */
  get serial(): number {
    return this.#serial;
  }

  /** DBclient's chain length and lifetime in seconds, as of the last connection. */
  get chain(): { readonly n: number; readonly ttl: number } | undefined {
    return this.#chain;
  }

  /** Whether it is connected within `ms` milliseconds. */
  whenConnected(ms: number): Promise<boolean> {
    if (this.connected || this.#closed) return Promise.resolve(this.connected);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#onConnected.delete(done);
        resolve(this.connected);
      };
      const timer = setTimeout(done, ms);
      this.#onConnected.add(done);
    });
  }

  /**
   * Asks for a credential for each user, any number of them. A name that is too long for the protocol has the
   * result `invalid_name`: no such user can exist.
   *
   * @param deadline milliseconds, default that of the options
   * @returns results by position
   * @throws {DbclientUnavailable} (rejects) when there is no answer
   */
  async issue(
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
    deadline?: number,
  ): Promise<IssueResult[]> {
    const { parts, spread } = issueBatches(users);
    const results = await this.#request<IssueResult>(
      parts.map((part) => (link, at) => link.issue(algorithm, part, at)),
      deadline,
    );
    return spread(results, INVALID_NAME);
  }

  /**
   * Has Digest answers checked, any number of them. One with a field that is too long for the protocol is `malformed`.
   *
   * @returns statuses by position
   * @throws {DbclientUnavailable} (rejects) when there is no answer
   */
  async verify(answers: readonly DigestAnswer[], deadline?: number): Promise<VerifyStatus[]> {
    const { parts, spread } = verifyBatches(answers);
    const statuses = await this.#request<VerifyStatus>(
      parts.map((part) => (link, at) => link.verify(part, at)),
      deadline,
    );
    return spread(statuses, "malformed");
  }

  /** Ends it; what is outstanding is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#session !== undefined) this.#drop(this.#session, "closed");
    this.#wake?.();
    for (const done of [...this.#onConnected]) done();
    await this.#running;
  }

  async #request<T>(
    sends: ((link: ProxyLink, deadline: number) => number)[],
    deadline = this.#options.deadline ?? 2000,
  ): Promise<T[]> {
    if (sends.length === 0) return [];
    const parts: Promise<readonly T[]>[] = [];
    for (const send of sends) {
      const session = this.#session;
      if (session === undefined || !session.link.open) {
        parts.push(Promise.reject(new DbclientUnavailable("not connected to DBclient")));
        break;
      }
      const { link, writer } = session;
      if (!link.free || writer.queued > MAX_QUEUED) {
        parts.push(Promise.reject(new DbclientUnavailable("too many requests are waiting for DBclient")));
        break;
      }
      const id = send(link, now() + deadline);
      parts.push(
        new Promise((resolve, reject) =>
          this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject })
        ),
      );
    }
    this.#flush();
    return (await Promise.all(parts)).flat();
  }

  /** Connects, reads until the end, pauses, and so on until {@linkcode close}. Never rejects. */
  async #run(): Promise<void> {
    const { addresses, connect = connectTcp } = this.#options;
    const { min, max } = this.#options.backoff ?? { min: 50, max: 2000 };
    let pause = min;
    for (let attempt = 0; !this.#closed; attempt++) {
      const address = addresses[attempt % addresses.length];
      const name = `${address.host}:${address.port}`;
      let opened = false;
      let reason: string;
      try {
        const stream = await this.#opening(connect(address));
        [opened, reason] = await this.#serve(stream, name);
      } catch (error) {
        reason = firstLine(error);
      }
      if (this.#closed) return;
      this.#say(false, `${name}: ${reason}`);
      // Half of the pause is chance, so that many proxies do not come back at the same moment.
      if (opened) pause = min;
      await this.#sleep(pause / 2 + systemRandom.below(Math.ceil(pause / 2)));
      pause = Math.min(max, pause * 2);
    }
  }

  /** The stream, unless it takes too long or this connection is closed meanwhile; a late stream is closed. */
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

  /** Reads one connection to its end. Returns whether it was ever open, and why it ended. */
  async #serve(stream: DbclientStream, name: string): Promise<[boolean, string]> {
    const link = new ProxyLink({
      name: this.#options.name ?? "proxy",
      keys: this.#options.keys ?? [],
      sha256: this.#options.sha256,
      random: systemRandom,
      serial: this.#serial,
    }, now());
    const writer = new StreamWriter(stream, {
      onError: (error) => this.#drop(session, firstLine(error)),
    });
    const session: Session = { link, stream, writer, reason: undefined };
    this.#session = session;
    if (this.#closed) this.#drop(session, "closed");
    this.#flush();
    const buffer = new Uint8Array(64 << 10);
    let opened = false;
    try {
      while (!link.closed) {
        const count = await stream.read(buffer);
        if (count === null) break;
        this.#take(session, link.receive(buffer.subarray(0, count), now()));
        if (!opened && link.open) {
          opened = true;
          this.#say(true, name);
          for (const done of [...this.#onConnected]) done();
        }
        this.#flush();
      }
      if (link.closed) {
        await Promise.race([writer.drained, this.#sleep(GOODBYE_TIMEOUT)]);
        this.#wake?.();
      }
    } catch (error) {
      session.reason ??= firstLine(error);
    }
    this.#drop(session, "the connection was closed");
    return [opened, session.reason!];
  }

  /** Whether the link has ended by these events; then the session knows why. */
  #take(session: Session, events: readonly ProxyLinkEvent[]): boolean {
    this.#handle(events);
    const closed = events.find((event) => event.event === "closed");
    if (closed !== undefined) session.reason ??= `${closed.code}: ${closed.text}`;
    return closed !== undefined;
  }

  #handle(events: readonly ProxyLinkEvent[]): void {
    for (const event of events) {
      switch (event.event) {
        case "ready":
          this.#chain = { n: event.n, ttl: event.ttl };
          this.#serial = serialAfter(this.#serial, event);
          if (event.revoked === "all" || event.revoked.length > 0) this.#revoked(event.serial, event.revoked);
          break;
        case "revoked":
          this.#serial = serialAfter(this.#serial, event);
          if (event.users.length > 0) this.#revoked(event.serial, event.users);
          break;
        case "issued":
          this.#answered(event.id)?.resolve(event.results);
          break;
        case "verified":
          this.#answered(event.id)?.resolve(event.statuses);
          break;
        case "failed":
          this.#answered(event.id)?.reject(new DbclientUnavailable(event.text));
          break;
      }
    }
  }

  #revoked(serial: number, users: readonly Identity[] | "all"): void {
    try {
      this.#options.onRevoked?.(serial, users);
    } catch (error) {
      reportError(error);
    }
  }

  #say(connected: boolean, text: string): void {
    if (this.#said === connected) return;
    this.#said = connected;
    try {
      this.#options.onState?.(connected, text);
    } catch (error) {
      reportError(error);
    }
  }

  #answered(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** Gives up a connection, unless that has been done; its reading loop ends by it. */
  #drop(session: Session, reason: string): void {
    session.reason ??= reason;
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#handle(session.link.lost(session.reason));
    for (const waiting of this.#waiting.values()) waiting.reject(new DbclientUnavailable(session.reason));
    this.#waiting.clear();
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

  /** Writes what the link has to say, and sets the timer for what comes next. */
  #flush(): void {
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

  #onTimer(): void {
    this.#timer = undefined;
    this.#timerDue = Infinity;
    const session = this.#session;
    if (session === undefined) return;
    if (this.#take(session, session.link.advance(now()))) this.#drop(session, "closed");
    else this.#flush();
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
