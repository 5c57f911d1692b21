/** DBclient's server: many proxies over TCP, each a link (docs/PROTOCOL.md §9). */
import {
  DbclientLink,
  type DbclientLinkEvent,
  type DigestAnswer,
  type ErrorName,
  type HashBackend,
  type Identity,
  now,
  systemRandom,
  type VerifyStatus,
} from "../mod.ts";
import { type Counters, newCounters } from "./counters.ts";
import { DigestChecker, digestColumn } from "./digest_check.ts";
import { columnOf, Issuer } from "./issuer.ts";
import { type HashColumn, StoreError, type Subscriber, type SubscriberStore } from "./subscriber.ts";

/** What a {@linkcode DbclientServer} needs. */
export interface DbclientServerOptions {
  readonly host: string;
  /** 0: any free port; see {@linkcode DbclientServer.port}. */
  readonly port: number;
  readonly store: SubscriberStore;
  readonly hashes: HashBackend;
  /** Chain length. */
  readonly n: number;
  /** Time to live of credentials in seconds. */
  readonly ttl: number;
  readonly issuerSecret: Uint8Array;
  /** Algorithms that are issued, default all. */
  readonly algorithms?: readonly string[];
  /** The keys of a proxy's name, newest first; undefined: not served. Default: no keys, every name. */
  keysOf?(proxy: string): readonly Uint8Array[] | undefined;
  /** Connections at once, default 1024. */
  readonly maxConnections?: number;
  /** Where log lines go. */
  log(line: string): void;
}

/** Bytes that wait for a proxy that reads slowly; above this nothing more is read from it. */
const MAX_QUEUED = 1 << 20;
/** Requests of one proxy in work at once; above this nothing more is read from it. */
const MAX_OUTSTANDING = 1024;
/** A proxy that takes no byte for this long is cut off, milliseconds. */
const WRITE_TIMEOUT = 10_000;
/** How often links are looked after, milliseconds. */
const TICK = 500;

/** One proxy's connection: reads while there is room for the answers, writes in order. */
class ProxyConnection {
  readonly done: Promise<void>;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  #progress = now();
  #room: (() => void) | undefined;
  #finishing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly stream: Deno.TcpConn,
    readonly link: DbclientLink,
    private readonly onEvents: (connection: ProxyConnection, events: DbclientLinkEvent[]) => void,
  ) {
    this.done = this.#run();
  }

  get peer(): string {
    const { hostname, port } = this.stream.remoteAddr;
    return `${hostname}:${port}`;
  }

  /** Writes what the link has to say. */
  flush(): void {
    for (const bytes of this.link.takeOutput()) {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
    if (this.#queue.length > 0) this.#writing ??= this.#write();
    if (this.#mayRead) this.#room?.();
  }

  tick(time: number): void {
    if (this.#writing !== undefined && time - this.#progress > WRITE_TIMEOUT) {
      this.onEvents(this, this.link.lost("it reads too slowly"));
      this.#shut();
      return;
    }
    this.onEvents(this, this.link.advance(time));
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
    return this.link.closed || (this.#queued <= MAX_QUEUED && this.link.outstanding <= MAX_OUTSTANDING);
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
      reason = error instanceof Error ? error.message : String(error);
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
    (this.#writing ?? Promise.resolve()).then(() => this.stream.closeWrite()).catch(() => this.#shut());
  }

  #shut(): void {
    this.#queue = [];
    this.#queued = 0;
    this.#room?.();
    try {
      this.stream.close();
    } catch {
      // It is closed already.
    }
  }

  async #write(): Promise<void> {
    this.#progress = now();
    try {
      while (this.#queue.length > 0) {
        const bytes = this.#queue.shift()!;
        for (let at = 0; at < bytes.length;) {
          at += await this.stream.write(bytes.subarray(at));
          this.#progress = now();
        }
        this.#queued = Math.max(0, this.#queued - bytes.length);
      }
    } catch {
      // The reading side finds out why.
      this.#shut();
    }
    this.#writing = undefined;
    if (this.#mayRead) this.#room?.();
  }
}

/** Serves proxies until {@linkcode close}. What one of them does wrong ends its own connection alone. */
export class DbclientServer {
  readonly counters: Counters = newCounters();
  readonly port: number;
  readonly #options: DbclientServerOptions;
  readonly #listener: Deno.TcpListener;
  readonly #issuer: Issuer;
  readonly #checker: DigestChecker;
  readonly #connections = new Set<ProxyConnection>();
  readonly #accepting: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #databaseDown = false;
  #closing = false;

  /** @throws {Deno.errors.AddrInUse} and other errors of listening */
  constructor(options: DbclientServerOptions) {
    this.#options = options;
    const { hashes, n, ttl, issuerSecret } = options;
    this.#issuer = new Issuer({ hashes, n, ttl, secret: issuerSecret, random: systemRandom });
    this.#checker = new DigestChecker(hashes, this.#issuer);
    this.#listener = Deno.listen({ hostname: options.host, port: options.port });
    this.port = this.#listener.addr.port;
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => {
      const time = now();
      for (const connection of this.#connections) connection.tick(time);
    }, TICK);
  }

  /** Ends every connection with an ERROR frame that says so. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#listener.close();
    clearInterval(this.#timer);
    const connections = [...this.#connections];
    for (const connection of connections) connection.close("shutting_down", "DBclient is ending");
    await Promise.all([this.#accepting, ...connections.map((connection) => connection.done)]);
  }

  async #accept(): Promise<void> {
    while (!this.#closing) {
      let stream: Deno.TcpConn;
      try {
        stream = await this.#listener.accept();
      } catch (error) {
        if (this.#closing) return;
        // Such as too many open files: the next one may succeed when others have gone.
        this.#options.log(`cannot accept a connection: ${error instanceof Error ? error.message : error}`);
        await new Promise((resolve) => setTimeout(resolve, TICK));
        continue;
      }
      this.#serve(stream);
    }
  }

  #serve(stream: Deno.TcpConn): void {
    const { hashes, n, ttl, keysOf = () => [], maxConnections = 1024 } = this.#options;
    stream.setNoDelay(true);
    const link = new DbclientLink({
      n,
      ttl,
      keysOf,
      // Revocation comes with its table (docs/PROTOCOL.md §10); until then nothing has been revoked.
      serial: () => 0,
      revokedSince: () => [],
      sha256: hashes.get("SHA-256"),
      random: systemRandom,
    }, now());
    const connection = new ProxyConnection(stream, link, (from, events) => this.#handle(from, events));
    this.counters.connections++;
    this.#connections.add(connection);
    this.counters.connected = this.#connections.size;
    connection.done.then(() => {
      this.#connections.delete(connection);
      this.counters.connected = this.#connections.size;
    });
    if (this.#connections.size > maxConnections) connection.close("busy", "too many connections");
  }

  #handle(from: ProxyConnection, events: DbclientLinkEvent[]): void {
    for (const event of events) {
      switch (event.event) {
        case "issue":
          this.#issue(from, event).catch((error) => this.#failed(from, event.id, error));
          break;
        case "verify":
          this.#verify(from, event.id, event.answers).catch((error) => this.#failed(from, event.id, error));
          break;
        case "closed": {
          const orderly = event.by === "us" || event.code === "internal" || event.code === "shutting_down";
          if (orderly) break;
          this.counters.protocolErrors++;
          this.#options.log(`proxy ${from.link.proxy || "?"} at ${from.peer}: ${event.code}: ${event.text}`);
          break;
        }
      }
    }
  }

  /** A fault of our own: it costs one request, not the service. */
  #failed(from: ProxyConnection, id: number, error: unknown): void {
    this.#options.log(`request ${id} of proxy ${from.link.proxy}: ${error}`);
    from.link.refuse(id, "internal", "a fault in DBclient");
    from.flush();
  }

  async #issue(
    from: ProxyConnection,
    { id, algorithm, users }: Extract<DbclientLinkEvent, { event: "issue" }>,
  ): Promise<void> {
    const { counters } = this;
    counters.issueFrames++;
    if (this.#options.algorithms?.includes(algorithm) === false) {
      from.link.refuse(id, "bad_value", `algorithm ${algorithm} is not issued here`);
      return from.flush();
    }
    counters.usersAsked += users.length;
    const rows = await this.#lookup(users, columnOf(algorithm));
    if (rows === undefined) {
      from.link.issued(id, algorithm, users.map(() => ({ status: "error", code: "unavailable" })));
    } else {
      const batch = this.#issuer.issue(algorithm, users, rows, 0);
      counters.credentialsIssued += batch.credentials;
      counters.decoys += batch.decoys;
      counters.withoutHash += batch.withoutHash;
      from.link.issued(id, algorithm, batch.results);
    }
    from.flush();
  }

  async #verify(from: ProxyConnection, id: number, answers: readonly DigestAnswer[]): Promise<void> {
    const { counters } = this;
    counters.verifyFrames++;
    counters.verifyAnswers += answers.length;
    // One question for each answer, as auth_db asks: this is what the frame stands for in comparisons.
    const statuses = await Promise.all(answers.map(async (answer): Promise<VerifyStatus> => {
      const column = digestColumn(answer);
      if (column === undefined) return "malformed";
      const rows = await this.#lookup([answer], column);
      if (rows === undefined) return "unavailable";
      return this.#checker.check(answer, rows[0], column);
    }));
    counters.verifyOk += statuses.filter((status) => status === "ok").length;
    from.link.verified(id, statuses);
    from.flush();
  }

  /** Asks the store; undefined when it cannot be asked, which is logged once until it can again. */
  async #lookup(
    users: readonly Identity[],
    column: HashColumn,
  ): Promise<(Subscriber | undefined)[] | undefined> {
    const { store, log } = this.#options;
    this.counters.queries++;
    try {
      const rows = await store.lookup(users, column);
      if (this.#databaseDown) log(`${store.name} answers again`);
      this.#databaseDown = false;
      return rows;
    } catch (error) {
      this.counters.databaseErrors++;
      if (!this.#databaseDown) {
        log(error instanceof StoreError ? error.message : `${store.name}: ${error}`);
      }
      this.#databaseDown = true;
      return undefined;
    }
  }
}
