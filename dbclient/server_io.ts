/** DBclient's server: many proxies over TCP, each a link (docs/PROTOCOL.md §9). */
import {
  type ChainAlgorithm,
  DbclientLink,
  type DbclientLinkEvent,
  type DigestAnswer,
  encodeFrame,
  firstLine,
  type HashBackend,
  type Identity,
  inNextTurn,
  type LinkTimes,
  type Log,
  now,
  observe,
  systemRandom,
  type VerifyStatus,
  type WireIssueResult,
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
import {
  type LinkListener,
  type LinkStream,
  listenTcp,
  listenTls,
  type ServerTls,
} from "./link_listener_io.ts";
import { addressGroup, DEFAULT_LIMITS, type LinkLimits, UserRates } from "./limits.ts";
import { CATCH_UP_PART, ProxyConnection, TICK } from "./proxy_connection_io.ts";
import { printable, RefusalLog } from "./refusals.ts";
import { framesForRealms, readyNews } from "./revocation_log.ts";
import type { RevocationListener, Revocations } from "./revocations_io.ts";
import { type HashColumn, StoreError, type Subscriber, type SubscriberStore } from "./subscriber.ts";
import { type Steps, TimeSlices } from "./time_slices.ts";

/** What a {@linkcode DbclientServer} needs. */
export interface DbclientServerOptions {
  readonly host: string;
  /** 0: any free port; see {@linkcode DbclientServer.port}. */
  readonly port: number;
  /** Whether other processes may listen on the same port, and share its connections (Linux). */
  readonly reusePort?: boolean;
  /** Default: plain TCP. */
  readonly tls?: ServerTls;
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
  /** What has been revoked in the store's database; without it nothing ever is. */
  readonly revocations?: Revocations;
  /** The realms that a proxy may ask for; undefined: all, the default. */
  realmsOf?(proxy: string): ReadonlySet<string> | undefined;
  /** Default {@linkcode DEFAULT_LIMITS}. */
  readonly limits?: Partial<LinkLimits>;
  /** Puts the rest of the work off, as {@linkcode TimeSlices} says; for tests. */
  defer?(run: () => void): void;
  readonly log: Log;
}

type Rows = readonly (Subscriber | undefined)[];
interface Question {
  readonly users: readonly Identity[];
  readonly column: HashColumn;
  /** Whether the one user is asked for with a query of its own. */
  readonly alone: boolean;
}

/** Digest answers that are looked up, or checked, in one step. */
const STEP_ANSWERS = 32;
/** Connections that are ending and still told why; past this they are just closed. */
const MAX_ENDING = 256;
const FORBIDDEN: WireIssueResult = { status: "error", code: "forbidden_realm" };

/** Serves proxies until {@linkcode close}. What one of them does wrong ends its own connection alone. */
export class DbclientServer {
  readonly counters: Counters = newCounters();
  readonly #options: DbclientServerOptions;
  readonly #limits: LinkLimits;
  readonly #times: LinkTimes;
  readonly #listener: LinkListener;
  readonly #issuer: Issuer;
  readonly #checker: DigestChecker;
  readonly #slices: TimeSlices;
  readonly #rates: UserRates;
  readonly #refusals: RefusalLog;
  /** Links that are open, or on the way there; the address group of each. */
  readonly #connections = new Map<ProxyConnection, string>();
  /** Those of them that have not proven to be a proxy yet, the oldest first. */
  readonly #strangers = new Set<ProxyConnection>();
  readonly #perAddress = new Map<string, number>();
  /** Connections whose link is over. */
  readonly #ending = new Set<ProxyConnection>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onRevocation: RevocationListener = {
    revoked: (frames) => {
      // Encoded once for all proxies of the same realms.
      const encoded = new Map<string, Uint8Array[]>();
      for (const connection of [...this.#connections.keys()]) {
        const realms = this.#options.realmsOf?.(connection.link.proxy);
        const key = realms === undefined ? "" : JSON.stringify([...realms].sort());
        let told = encoded.get(key);
        if (told === undefined) {
          told = framesForRealms(frames, realms).map((frame) =>
            encodeFrame({ type: "REVOKED", id: 0, ...frame })
          );
          encoded.set(key, told);
        }
        connection.tell(told);
      }
    },
    // They come back with serials that nobody knows, and are told to drop everything.
    replaced: () => {
      for (const connection of [...this.#connections.keys()]) {
        connection.close("shutting_down", "the table of revocations was emptied or replaced");
      }
    },
  };
  #databaseDown = false;
  #closing = false;

  private constructor(options: DbclientServerOptions, listener: LinkListener) {
    this.#listener = listener;
    this.#options = options;
    const { hashes, n, ttl, issuerSecret } = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { handshakeMs, idleMs, usersPerSecond } = this.#limits;
    this.#times = { handshake: handshakeMs, ping: idleMs / 2, dead: idleMs };
    this.#rates = new UserRates(usersPerSecond);
    this.#refusals = new RefusalLog(options.log);
    this.#issuer = new Issuer({ hashes, n, ttl, secret: issuerSecret, random: systemRandom });
    this.#checker = new DigestChecker(hashes, this.#issuer);
    let slices = 0;
    this.#slices = new TimeSlices({
      now,
      // A timer after every slice would idle for a sixth of the time.
      defer: options.defer ?? ((run, more) => inNextTurn(run, more ? slices++ : 1, 2)),
    });
    options.revocations?.listen(this.#onRevocation);
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  /**
   * Begins to serve.
   *
   * @throws (rejects) {Deno.errors.AddrInUse} and other errors of listening, or of the certificate
   */
  static async start(options: DbclientServerOptions): Promise<DbclientServer> {
    // No connection comes before the turn in which the listener is there has ended.
    let server: DbclientServer | undefined;
    const listening = {
      host: options.host,
      port: options.port,
      reusePort: options.reusePort ?? false,
      onStream: (stream: LinkStream) => server!.#serve(stream),
      onError: (error: unknown) => server!.#acceptFailed(error),
    };
    const { tls } = options;
    const listener = tls === undefined ? listenTcp(listening) : await listenTls(listening, tls);
    return server = new DbclientServer(options, listener);
  }

  get port(): number {
    return this.#listener.port;
  }

  /**
   * Takes another certificate for connections from now on; those that are open stay.
   *
   * @throws {Error} with one line when it cannot be used: the one of before stays
   */
  setTls(tls: ServerTls): void {
    this.#listener.setTls(tls);
  }

  /** To be called when `keysOf` answers differently: ends the links of proxies whose key is not accepted any more. */
  recheckKeys(): void {
    for (const connection of [...this.#connections.keys()]) {
      const { open, keyAccepted } = connection.link;
      // A handshake that is under way asks again when it is done.
      if (open && !keyAccepted) {
        connection.close("unauthorized", "the key is not accepted any more", "unauthorized");
      }
    }
  }

  /** Whether it accepts connections. */
  get listening(): boolean {
    return !this.#closing;
  }

  /** Ends every connection with an ERROR frame that says so. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#listener.close();
    this.#options.revocations?.forget(this.#onRevocation);
    clearInterval(this.#timer);
    this.#refusals.advance(now(), true);
    const connections = [...this.#connections.keys()];
    for (const connection of connections) connection.close("shutting_down", "DBclient is ending");
    await Promise.all([...this.#ending].map(({ done }) => done));
  }

  #keysOf(proxy: string): readonly Uint8Array[] | undefined {
    const { keysOf } = this.#options;
    return keysOf === undefined ? [] : keysOf(proxy);
  }

  /** Such as too many open files: the next one may succeed when others have gone. */
  #acceptFailed(error: unknown): void {
    const reason = `cannot accept a connection: ${firstLine(error)}`;
    this.#refusals.note(reason, "listener", reason, now(), { level: "err", event: "accept_failed" });
  }

  #tick(): void {
    const time = now();
    for (const connection of [...this.#connections.keys(), ...this.#ending]) connection.tick(time);
    this.#rates.forgetFull(time);
    this.counters.revocationSerial = this.#options.revocations?.serial ?? 0;
    this.#refusals.advance(time);
  }

  #serve(stream: LinkStream): void {
    const { hashes, n, ttl } = this.#options;
    const { connections, connectionsPerAddress, frameBytes, framesInFlight } = this.#limits;
    this.counters.connections++;
    if (this.#closing) return stream.close();
    const link: DbclientLink = new DbclientLink({
      n,
      ttl,
      keysOf: (proxy) => this.#keysOf(proxy),
      serial: () => this.#options.revocations?.serial ?? 0,
      revokedSince: (serial, final) =>
        readyNews(this.#options.revocations, serial, final, {
          realms: this.#options.realmsOf?.(link.proxy),
          maxBytes: this.#limits.sendBufferBytes * CATCH_UP_PART,
        }),
      sha256: hashes.get("SHA-256"),
      random: systemRandom,
      times: this.#times,
      maxFrame: frameBytes,
      maxOutstanding: framesInFlight,
    }, now());
    const connection = new ProxyConnection(
      stream,
      link,
      this.#limits,
      (from, events) => this.#handle(from, events),
    );
    const group = addressGroup(connection.host);
    const ofGroup = (this.#perAddress.get(group) ?? 0) + 1;
    this.#connections.set(connection, group);
    this.#strangers.add(connection);
    this.#perAddress.set(group, ofGroup);
    this.counters.connected = this.#connections.size;
    connection.done.then(() => this.#ending.delete(connection));
    if (ofGroup > connectionsPerAddress) this.#makeRoom(connection, "connections_per_address", group);
    else if (this.#connections.size > connections) this.#makeRoom(connection, "connections");
  }

  /** Who has proven nothing gives way, the oldest first; where all are proxies, the newest is one too many. */
  #makeRoom(
    newest: ProxyConnection,
    reason: "connections" | "connections_per_address",
    group?: string,
  ): void {
    let victim = newest;
    for (const stranger of this.#strangers) {
      if (group !== undefined && this.#connections.get(stranger) !== group) continue;
      victim = stranger;
      break;
    }
    const text = group === undefined ? "too many connections" : "too many connections from one address";
    victim.close("busy", text, reason);
    if (this.#ending.size > MAX_ENDING) victim.abort();
  }

  /** The link of a connection is over. */
  #leave(connection: ProxyConnection): void {
    const group = this.#connections.get(connection);
    if (group === undefined) return;
    this.#connections.delete(connection);
    this.#strangers.delete(connection);
    this.#ending.add(connection);
    const left = this.#perAddress.get(group)! - 1;
    if (left === 0) this.#perAddress.delete(group);
    else this.#perAddress.set(group, left);
    this.counters.connected = this.#connections.size;
  }

  #handle(from: ProxyConnection, events: DbclientLinkEvent[]): void {
    for (const event of events) {
      switch (event.event) {
        case "ready":
          this.#strangers.delete(from);
          break;
        case "issue":
          if (!this.#admit(from, event.id, event.users.length)) break;
          this.#issue(from, event).catch((error) => this.#failed(from, event.id, error));
          break;
        case "verify":
          if (!this.#admit(from, event.id, event.answers.length)) break;
          this.#verify(from, event.id, event.answers).catch((error) => this.#failed(from, event.id, error));
          break;
        case "ahead":
          this.#lookAgain(from);
          break;
        case "refused":
          this.#noteRefusal(from, "frames_in_flight", event.text);
          break;
        case "closed":
          this.#slices.forget(from);
          this.#leave(from);
          this.#noteEnd(from, event);
          break;
      }
    }
  }

  /** Counts and logs the end of a link that did not end in good order. */
  #noteEnd(from: ProxyConnection, { by, code, text }: Extract<DbclientLinkEvent, { event: "closed" }>): void {
    const reason = from.refusal ?? REFUSALS.find((reason) => reason === code);
    if (reason === undefined) return;
    if (by === "peer" && reason !== "slow_reader") this.counters.protocolErrors++;
    this.#noteRefusal(from, reason, text);
  }

  #noteRefusal(from: ProxyConnection, reason: RefusalReason, text: string): void {
    this.#refuse(reason);
    const { proxy } = from.link;
    const who = proxy === "" ? "connection" : `proxy ${JSON.stringify(printable(proxy))}`;
    const line = `${who} at ${from.peer}: ${reason}: ${printable(text)}`;
    this.#refusals.note(reason, from.host, line, now(), {
      level: "warn",
      event: "link_refused",
      fields: { proxy, peer: from.peer, reason, detail: text },
    });
  }

  #refuse(reason: RefusalReason, count = 1): void {
    this.counters.refused[reason] += count;
  }

  /** Whether a request is within the proxy's rate; else it is refused, and the link stays. */
  #admit(from: ProxyConnection, id: number, count: number): boolean {
    const { usersPerSecond } = this.#limits;
    if (this.#rates.take(from.link.proxy, count, now())) return true;
    const text = `more than ${usersPerSecond} users a second`;
    this.#noteRefusal(from, "rate", text);
    from.link.refuse(id, "busy", text);
    from.flush();
    return false;
  }

  /** A fault of our own: it costs one request, not the service. */
  #failed(from: ProxyConnection, id: number, error: unknown): void {
    if (from.link.closed) return;
    this.#refuse("fault");
    this.#options.log(`request ${id} of proxy ${JSON.stringify(printable(from.link.proxy))}: ${error}`, {
      level: "crit",
      event: "internal_fault",
      fields: { proxy: from.link.proxy, peer: from.peer },
    });
    from.link.refuse(id, "internal", "a fault in DBclient");
    from.flush();
  }

  /** A proxy knows a serial that this server does not: another DBclient may have read the table sooner. */
  async #lookAgain(from: ProxyConnection): Promise<void> {
    if (await this.#options.revocations?.refresh() === false) {
      from.close("internal", "the table of revocations cannot be read");
      return;
    }
    this.#handle(from, from.link.tellReady());
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
    const realms = this.#options.realmsOf?.(from.link.proxy);
    const allowed = realms === undefined ? users : users.filter(({ realm }) => realms.has(realm));
    const issued = allowed.length === 0 ? [] : await this.#issueTo(from, algorithm, allowed);
    if (from.link.closed) return;
    this.#refuse("forbidden_realm", users.length - allowed.length);
    let next = 0;
    const results = realms === undefined
      ? issued
      : users.map(({ realm }) => realms.has(realm) ? issued[next++] : FORBIDDEN);
    from.link.issued(id, algorithm, results);
    from.flush();
  }

  /** Credentials for users, by position; what it gives after the end of the link is of no use. */
  async #issueTo(
    from: ProxyConnection,
    algorithm: ChainAlgorithm,
    users: readonly Identity[],
  ): Promise<readonly WireIssueResult[]> {
    const { counters } = this;
    // Before the rows are read: a change that is committed meanwhile makes these credentials void.
    const serials = this.#options.revocations?.serialsOf(users) ?? 0;
    const question = { users, column: columnOf(algorithm), alone: false };
    const [asked] = await this.#slices.do(from, this.#ask([question]));
    const rows = await asked;
    if (from.link.closed) return [];
    if (rows === undefined) {
      this.#refuse("unavailable", users.length);
      return users.map(() => ({ status: "error", code: "unavailable" }));
    }
    const batch = await this.#slices.do(from, this.#issuer.issueInSteps(algorithm, users, rows, serials));
    counters.credentialsIssued += batch.credentials;
    counters.decoys += batch.decoys;
    counters.withoutHash += batch.withoutHash;
    this.#refuse("invalid_name", users.length - batch.credentials);
    return batch.results;
  }

  async #verify(from: ProxyConnection, id: number, answers: readonly DigestAnswer[]): Promise<void> {
    const { counters } = this;
    counters.verifyFrames++;
    counters.verifyAnswers += answers.length;
    // One question for each answer, as auth_db asks: this is what the frame stands for in comparisons.
    const realms = this.#options.realmsOf?.(from.link.proxy);
    const columns = answers.map((answer) =>
      realms?.has(answer.realm) === false ? "forbidden" : digestColumn(answer)
    );
    const questions = answers.map((answer, i): Question | undefined => {
      const column = columns[i];
      return column === undefined || column === "forbidden"
        ? undefined
        : { users: [answer], column, alone: true };
    });
    const rows = await Promise.all(await this.#slices.do(from, this.#ask(questions)));
    if (from.link.closed) return;
    const statuses = await this.#slices.do(from, this.#check(answers, columns, rows));
    counters.verifyOk += statuses.filter((status) => status === "ok").length;
    this.#refuse("forbidden_realm", statuses.filter((status) => status === "forbidden_realm").length);
    from.link.verified(id, statuses);
    from.flush();
  }

  /** Asks the store a few questions per step: the answers of an embedded database come while it is being asked. */
  *#ask(questions: readonly (Question | undefined)[]): Steps<Promise<Rows | undefined>[]> {
    const asked: Promise<Rows | undefined>[] = [];
    for (const question of questions) {
      if (asked.length > 0 && asked.length % STEP_ANSWERS === 0) yield;
      asked.push(
        question === undefined ? Promise.resolve(undefined) : this.#lookup(question),
      );
    }
    return asked;
  }

  *#check(
    answers: readonly DigestAnswer[],
    columns: readonly (HashColumn | "forbidden" | undefined)[],
    rows: readonly (Rows | undefined)[],
  ): Steps<VerifyStatus[]> {
    const statuses: VerifyStatus[] = [];
    for (const [i, answer] of answers.entries()) {
      if (i > 0 && i % STEP_ANSWERS === 0) yield;
      const column = columns[i];
      const found = rows[i];
      if (column === "forbidden") statuses.push("forbidden_realm");
      else if (column === undefined) statuses.push("malformed");
      else if (found === undefined) statuses.push("unavailable");
      else statuses.push(this.#checker.check(answer, found[0], column));
    }
    return statuses;
  }

  /** Asks the store; undefined when it cannot be asked, which is logged once until it can again. */
  async #lookup({ users, column, alone }: Question): Promise<Rows | undefined> {
    const { store, log } = this.#options;
    this.counters.queries++;
    const start = now();
    try {
      const rows = alone && store.lookupAlone !== undefined
        ? [await store.lookupAlone(users[0], column)]
        : await store.lookup(users, column);
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
