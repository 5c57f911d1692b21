/** DBclient's server: many proxies over TCP, each a link (docs/PROTOCOL.md §9). */
import {
  DbclientLink,
  type DbclientLinkEvent,
  type DigestAnswer,
  firstLine,
  type HashBackend,
  type Identity,
  inNextTurn,
  type Log,
  now,
  observe,
  systemRandom,
  type VerifyStatus,
} from "../mod.ts";
import {
  BATCH_BOUNDS,
  type Counters,
  newCounters,
  QUERY_BOUNDS,
  type RefusalReason,
  REFUSALS,
} from "./counters.ts";
import { DigestChecker, digestColumn } from "./digest_check.ts";
import { columnOf, Issuer } from "./issuer.ts";
import { ProxyConnection, TICK } from "./proxy_connection_io.ts";
import { type HashColumn, StoreError, type Subscriber, type SubscriberStore } from "./subscriber.ts";
import { type Steps, TimeSlices } from "./time_slices.ts";

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
  /** Puts the rest of the work off, as {@linkcode TimeSlices} says; for tests. */
  defer?(run: () => void): void;
  readonly log: Log;
}

type Rows = readonly (Subscriber | undefined)[];
interface Question {
  readonly users: readonly Identity[];
  readonly column: HashColumn;
}

/** Digest answers that are looked up, or checked, in one step. */
const STEP_ANSWERS = 32;

/** Serves proxies until {@linkcode close}. What one of them does wrong ends its own connection alone. */
export class DbclientServer {
  readonly counters: Counters = newCounters();
  readonly port: number;
  readonly #options: DbclientServerOptions;
  readonly #listener: Deno.TcpListener;
  readonly #issuer: Issuer;
  readonly #checker: DigestChecker;
  readonly #slices: TimeSlices;
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
    let slices = 0;
    this.#slices = new TimeSlices({
      now,
      // A timer after every slice would idle for a sixth of the time.
      defer: options.defer ?? ((run, more) => inNextTurn(run, more ? slices++ : 1, 2)),
    });
    this.#listener = Deno.listen({ hostname: options.host, port: options.port });
    this.port = this.#listener.addr.port;
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => {
      const time = now();
      for (const connection of this.#connections) connection.tick(time);
    }, TICK);
  }

  /** Whether it accepts connections. */
  get listening(): boolean {
    return !this.#closing;
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
        this.#options.log(`cannot accept a connection: ${firstLine(error)}`, {
          level: "err",
          event: "accept_failed",
        });
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
    if (this.#connections.size > maxConnections) {
      this.#refuse("connections");
      connection.close("busy", "too many connections");
    }
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
          this.#slices.forget(from);
          const orderly = event.by === "us" || event.code === "internal" || event.code === "shutting_down";
          if (orderly) break;
          this.counters.protocolErrors++;
          const reason = REFUSALS.find((reason) => reason === event.code);
          if (reason !== undefined) this.#refuse(reason);
          this.#options.log(`proxy ${from.link.proxy || "?"} at ${from.peer}: ${event.code}: ${event.text}`, {
            level: "warn",
            event: "link_refused",
            fields: { proxy: from.link.proxy, peer: from.peer, reason: event.code, detail: event.text },
          });
          break;
        }
      }
    }
  }

  #refuse(reason: RefusalReason, count = 1): void {
    this.counters.refused[reason] += count;
  }

  /** A fault of our own: it costs one request, not the service. */
  #failed(from: ProxyConnection, id: number, error: unknown): void {
    if (from.link.closed) return;
    this.#refuse("fault");
    this.#options.log(`request ${id} of proxy ${from.link.proxy}: ${error}`, {
      level: "crit",
      event: "internal_fault",
      fields: { proxy: from.link.proxy, peer: from.peer },
    });
    from.link.refuse(id, "internal", "a fault in DBclient");
    from.flush();
  }

  async #issue(
    from: ProxyConnection,
    { id, algorithm, users }: Extract<DbclientLinkEvent, { event: "issue" }>,
  ): Promise<void> {
    const { counters } = this;
    counters.issueFrames++;
    observe(counters.batchUsers, BATCH_BOUNDS, users.length);
    if (this.#options.algorithms?.includes(algorithm) === false) {
      this.#refuse("algorithm");
      from.link.refuse(id, "bad_value", `algorithm ${algorithm} is not issued here`);
      return from.flush();
    }
    counters.usersAsked += users.length;
    const [asked] = await this.#slices.do(from, this.#ask([{ users, column: columnOf(algorithm) }]));
    const rows = await asked;
    if (from.link.closed) return;
    if (rows === undefined) {
      this.#refuse("unavailable", users.length);
      from.link.issued(id, algorithm, users.map(() => ({ status: "error", code: "unavailable" })));
    } else {
      const batch = await this.#slices.do(from, this.#issuer.issueInSteps(algorithm, users, rows, 0));
      counters.credentialsIssued += batch.credentials;
      counters.decoys += batch.decoys;
      counters.withoutHash += batch.withoutHash;
      this.#refuse("invalid_name", users.length - batch.credentials);
      from.link.issued(id, algorithm, batch.results);
    }
    from.flush();
  }

  async #verify(from: ProxyConnection, id: number, answers: readonly DigestAnswer[]): Promise<void> {
    const { counters } = this;
    counters.verifyFrames++;
    counters.verifyAnswers += answers.length;
    // One question for each answer, as auth_db asks: this is what the frame stands for in comparisons.
    const columns = answers.map(digestColumn);
    const questions = answers.map((answer, i): Question | undefined => {
      const column = columns[i];
      return column === undefined ? undefined : { users: [answer], column };
    });
    const rows = await Promise.all(await this.#slices.do(from, this.#ask(questions)));
    if (from.link.closed) return;
    const statuses = await this.#slices.do(from, this.#check(answers, columns, rows));
    counters.verifyOk += statuses.filter((status) => status === "ok").length;
    from.link.verified(id, statuses);
    from.flush();
  }

  /** Asks the store a few questions per step: the answers of an embedded database come while it is being asked. */
  *#ask(questions: readonly (Question | undefined)[]): Steps<Promise<Rows | undefined>[]> {
    const asked: Promise<Rows | undefined>[] = [];
    for (const question of questions) {
      if (asked.length > 0 && asked.length % STEP_ANSWERS === 0) yield;
      asked.push(
        question === undefined ? Promise.resolve(undefined) : this.#lookup(question.users, question.column),
      );
    }
    return asked;
  }

  *#check(
    answers: readonly DigestAnswer[],
    columns: readonly (HashColumn | undefined)[],
    rows: readonly (Rows | undefined)[],
  ): Steps<VerifyStatus[]> {
    const statuses: VerifyStatus[] = [];
    for (const [i, answer] of answers.entries()) {
      if (i > 0 && i % STEP_ANSWERS === 0) yield;
      const column = columns[i];
      const found = rows[i];
      if (column === undefined) statuses.push("malformed");
      else if (found === undefined) statuses.push("unavailable");
      else statuses.push(this.#checker.check(answer, found[0], column));
    }
    return statuses;
  }

  /** Asks the store; undefined when it cannot be asked, which is logged once until it can again. */
  async #lookup(users: readonly Identity[], column: HashColumn): Promise<Rows | undefined> {
    const { store, log } = this.#options;
    this.counters.queries++;
    const start = now();
    try {
      const rows = await store.lookup(users, column);
      if (this.#databaseDown) log(`${store.name} answers again`, { event: "database_up" });
      this.#databaseDown = false;
      return rows;
    } catch (error) {
      this.counters.databaseErrors++;
      if (!this.#databaseDown) {
        log(error instanceof StoreError ? error.message : `${store.name}: ${error}`, {
          level: "err",
          event: "database_down",
        });
      }
      this.#databaseDown = true;
      return undefined;
    } finally {
      observe(this.counters.querySeconds, QUERY_BOUNDS, (now() - start) / 1000);
    }
  }
}
