/** The proxy's connection to DBclient: kept alive over TCP by reconnecting (docs/PROTOCOL.md §9). */
import type { Identity } from "../chain/derive.ts";
import type { ChainAlgorithm, ChainHash } from "../hash/chain_hash.ts";
import { utf8Length } from "../wire/bytes.ts";
import { MAX_FRAME_LENGTH, MAX_ITEMS, TEXT_LIMIT, type VerifyStatus } from "../wire/constants.ts";
import { DIGEST_ANSWER_FIELDS, type DigestAnswer } from "../wire/frame.ts";
import { type IssueResult, ProxyLink, type ProxyLinkEvent } from "../wire/proxy_link.ts";
import { now, systemRandom } from "./clock_io.ts";

/** DBclient cannot answer now: not connected, the connection was lost, the deadline has passed, or it refused. */
export class DbclientUnavailable extends Error {
  override name = "DbclientUnavailable";
}

/** A byte stream to DBclient: what `Deno.connect` and `Deno.connectTls` give. */
export interface DbclientStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What a {@linkcode DbclientConnection} needs. */
export interface DbclientConnectionOptions {
  /** Where DBclients listen; after a failure the next one is tried. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** The proxy's name, default "proxy"; keys belong to it. */
  readonly name?: string;
  /** Pre-shared keys, best first; none: only for loopback. */
  readonly keys?: readonly Uint8Array[];
  /** The SHA-256 backend, for the proofs. */
  readonly sha256: ChainHash;
  /** Last revocation serial seen, default 0. */
  readonly serial?: number;
  /** Default time for a request in milliseconds, default 2000. */
  readonly deadline?: number;
  /** Shortest and longest pause between attempts to connect, milliseconds, default 50 and 2000. */
  readonly backoff?: { readonly min: number; readonly max: number };
  /** Users whose credentials are void from now on; "all" after a gap too long to list. */
  onRevoked?(serial: number, users: readonly Identity[] | "all"): void;
  /** Each change between connected and not, with the reason; once per change, not per attempt. */
  onState?(connected: boolean, text: string): void;
  /** Opens the stream, default plain TCP. */
  connect?(address: { readonly host: string; readonly port: number }): Promise<DbclientStream>;
}

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

/** Splits items into frames: at most 1000 each, and at most 1 MiB. */
function* inFrames<T>(items: readonly T[], size: (item: T) => number): Iterable<T[]> {
  let part: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const length = size(item);
    if (part.length === MAX_ITEMS || bytes + length > MAX_FRAME_LENGTH - 64) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += length;
  }
  if (part.length > 0) yield part;
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
  #link: ProxyLink | undefined;
  #stream: DbclientStream | undefined;
  #waiting = new Map<number, Waiting>();
  #queue: Uint8Array[] = [];
  #queued = 0;
  #writing = false;
  #writer: Promise<void> = Promise.resolve();
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
    return this.#link?.open ?? false;
  }

  /** The last revocation serial seen. */
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
    const possible: Identity[] = [];
    const sizes = new Map<Identity, number>();
    for (const user of users) {
      const name = utf8Length(user.username);
      const realm = utf8Length(user.realm);
      if (name > TEXT_LIMIT.username || realm > TEXT_LIMIT.realm) continue;
      possible.push(user);
      sizes.set(user, 4 + name + realm);
    }
    const parts = [...inFrames(possible, (user) => sizes.get(user)!)];
    const answers = await this.#request<IssueResult>(
      parts.map((part) => (link, at) => link.issue(algorithm, part, at)),
      deadline,
    );
    if (possible.length === users.length) return answers;
    let next = 0;
    return users.map((user) => sizes.has(user) ? answers[next++] : INVALID_NAME);
  }

  /**
   * Has Digest answers checked, any number of them. One with a field that is too long for the protocol is `malformed`.
   *
   * @returns statuses by position
   * @throws {DbclientUnavailable} (rejects) when there is no answer
   */
  async verify(answers: readonly DigestAnswer[], deadline?: number): Promise<VerifyStatus[]> {
    const sizes = answers.map((answer) => {
      let size = 0;
      for (const [property, field] of DIGEST_ANSWER_FIELDS) {
        const length = utf8Length(answer[property]);
        if (length > TEXT_LIMIT[field]) return undefined;
        size += 2 + length;
      }
      return size;
    });
    const possible = answers.map((answer, i) => ({ answer, size: sizes[i] })).filter((item) =>
      item.size !== undefined
    );
    const parts = [...inFrames(possible, (item) => item.size!)];
    const statuses = await this.#request<VerifyStatus>(
      parts.map((part) => (link, at) => link.verify(part.map((item) => item.answer), at)),
      deadline,
    );
    let next = 0;
    return sizes.map((size) => size === undefined ? "malformed" : statuses[next++]);
  }

  /** Ends it; what is outstanding is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#drop("closed");
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
      const link = this.#link;
      if (link === undefined || !link.open) {
        parts.push(Promise.reject(new DbclientUnavailable("not connected to DBclient")));
        break;
      }
      if (!link.free || this.#queued > MAX_QUEUED) {
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
        reason = error instanceof Error ? error.message : String(error);
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
    this.#link = link;
    this.#stream = stream;
    if (this.#closed) this.#drop("closed");
    this.#flush();
    const buffer = new Uint8Array(64 << 10);
    let opened = false;
    let reason = "the connection was closed";
    try {
      while (!link.closed) {
        const count = await stream.read(buffer);
        if (count === null) break;
        const events = link.receive(buffer.subarray(0, count), now());
        this.#handle(events);
        if (!opened && link.open) {
          opened = true;
          this.#say(true, name);
          for (const done of [...this.#onConnected]) done();
        }
        const closed = events.find((event) => event.event === "closed");
        if (closed !== undefined) reason = `${closed.code}: ${closed.text}`;
        this.#flush();
      }
      if (link.closed && this.#writing) await Promise.race([this.#writer, this.#sleep(GOODBYE_TIMEOUT)]);
      this.#wake?.();
    } catch (error) {
      reason = this.#reason ?? (error instanceof Error ? error.message : String(error));
    }
    this.#drop(this.#reason ?? reason);
    reason = this.#reason ?? reason;
    this.#reason = undefined;
    return [opened, reason];
  }
  /** Why the connection is being dropped, when that was decided outside of its reading. */
  #reason: string | undefined;

  #handle(events: readonly ProxyLinkEvent[]): void {
    for (const event of events) {
      switch (event.event) {
        case "ready":
          this.#chain = { n: event.n, ttl: event.ttl };
          this.#serial = event.serial;
          if (event.revoked === "all" || event.revoked.length > 0) this.#revoked(event.serial, event.revoked);
          break;
        case "revoked":
          this.#serial = Math.max(this.#serial, event.serial);
          this.#revoked(event.serial, event.users);
          break;
        case "issued":
          this.#take(event.id)?.resolve(event.results);
          break;
        case "verified":
          this.#take(event.id)?.resolve(event.statuses);
          break;
        case "failed":
          this.#take(event.id)?.reject(new DbclientUnavailable(event.text));
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

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** Gives up the connection; the reading loop ends by it. */
  #drop(reason: string): void {
    const link = this.#link;
    this.#link = undefined;
    if (link !== undefined) this.#handle(link.lost(reason));
    for (const waiting of this.#waiting.values()) waiting.reject(new DbclientUnavailable(reason));
    this.#waiting.clear();
    this.#queue = [];
    this.#queued = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerDue = Infinity;
    try {
      this.#stream?.close();
    } catch {
      // It is closed already.
    }
    this.#stream = undefined;
  }

  /** Queues what the link has to say, starts the writer, and sets the timer for what comes next. */
  #flush(): void {
    const link = this.#link;
    if (link === undefined) return;
    for (const bytes of link.takeOutput()) {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
    if (!this.#writing && this.#queue.length > 0) this.#writer = this.#write();
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
    const link = this.#link;
    if (link === undefined) return;
    const events = link.advance(now());
    this.#handle(events);
    const closed = events.find((event) => event.event === "closed");
    if (closed === undefined) return this.#flush();
    this.#reason = `${closed.code}: ${closed.text}`;
    this.#drop(this.#reason);
  }

  async #write(): Promise<void> {
    const stream = this.#stream!;
    this.#writing = true;
    try {
      while (this.#queue.length > 0 && this.#stream === stream) {
        const bytes = this.#queue.shift()!;
        for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
        if (this.#stream === stream) this.#queued -= bytes.length;
      }
    } catch (error) {
      if (this.#stream === stream) {
        this.#reason = error instanceof Error ? error.message : String(error);
        this.#drop(this.#reason);
      }
    } finally {
      this.#writing = false;
      if (this.#stream !== undefined && this.#queue.length > 0) this.#writer = this.#write();
    }
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
