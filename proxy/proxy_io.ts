/** Runs a proxy on real sockets and the real clock. */
import {
  type Address,
  connectTls,
  DbclientConnection,
  type DbclientTls,
  formatTransportAddress,
  type HashBackend,
  type Identity,
  type Located,
  now,
  type SipTarget,
  systemRandom,
} from "../mod.ts";
import type { TokenFigures } from "./credential_cache.ts";
import { DbclientService } from "./dbclient_service_io.ts";
import { DIALOG_KEY_BYTES } from "./dialog_tags.ts";
import { flatObservations } from "./metrics.ts";
import type { ProxyValues } from "./options.ts";
import { Proxy } from "./proxy.ts";
import type { ProxyEnvironment } from "./proxy_environment.ts";
import { LocationKeeper } from "./registrar/location_keeper_io.ts";
import type { RouteFunction } from "./route.ts";
import { loadRoute } from "./route_io.ts";
import type { Settings } from "./settings.ts";
import { newLocator } from "./locator_io.ts";
import { ProxySockets, type SocketPair } from "./sockets_io.ts";
import type { ProxyState, ThreadState } from "./status.ts";
import { TokenCount } from "./token_count_io.ts";
import type { Warmup } from "./warmup_io.ts";

/** How often timers are looked at, ms: the resolution of the transaction timers. */
const TICK_MS = 10;
/** How often it is looked whether all requests are answered, before the end, ms. */
const DRAIN_LOOK_MS = 20;

/** What a running proxy needs. */
export interface RunOptions {
  readonly values: ProxyValues;
  readonly settings: Settings;
  readonly hashes: HashBackend;
  readonly keys: readonly Uint8Array[];
  /** How DBclient's certificate is checked; without it the links are plain TCP. */
  readonly tls?: DbclientTls;
  readonly route: RouteFunction | undefined;
  /** What was read from a warm-up file. */
  readonly warmup?: Warmup;
  /** What a worker is given by the thread that started it. */
  readonly shared?: SharedParts;
  /** In a worker: where users are, and the thread that takes registrations. */
  readonly location?: ProxyEnvironment["location"];
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** What the threads of one proxy share. */
export interface SharedParts {
  readonly cache: SharedArrayBuffer;
  /**
   * For each address listened on: the worker's socket at the port of all, and the one at its own reply port; undefined
   * for connections, whose listener each worker opens itself.
   */
  readonly sockets: readonly (SocketPair | undefined)[];
  /** Revocations after this are to be told by DBclient. */
  readonly serial: number | undefined;
}

/** What a program sees of a proxy, in one thread or in many. */
export interface ProgramProxy {
  /** Addresses listened on. */
  readonly listening: readonly Address[];
  /** What carries the datagrams. */
  readonly io: string;
  /** Users who have a credential from the warm-up file. */
  readonly preloaded: number;
  /** Counters; those of the end when it is closed. */
  statistics(): Record<string, number>;
  /** What it is connected to, by worker. */
  state(): ProxyState;
  /** What is left of the credentials in the cache; may be some seconds old. */
  tokens(): Promise<TokenFigures>;
  /** Waits until DBclient is connected, `ms` at most: the proxy serves without it too. */
  whenConnected(ms: number): Promise<void>;
  /** Changes the keys shared with DBclient, best first, for the links made from now on. */
  setKeys(keys: readonly Uint8Array[]): void;
  /**
   * Takes over another routing, for the requests that come after, and other certificates, for new connections.
   *
   * @param version counts the times, so that the module of `--route` is read again
   * @throws {Error} (rejects) with one line; what was before stays then
   */
  reload(values: ProxyValues, settings: Settings, version: number): Promise<void>;
  /** Refuses what begins something, and waits until all requests are answered, `ms` at most. */
  drain(ms: number): Promise<void>;
  /** Stops serving and closes everything. */
  close(): Promise<void>;
}

/** A proxy with its sockets. */
export class RunningProxy implements ProgramProxy {
  #sockets: ProxySockets | undefined;
  readonly #connection: DbclientConnection;
  readonly #service: DbclientService;
  readonly #since = Date.now() / 1000;
  #proxy!: Proxy;
  #tokens!: TokenCount;
  /** Revocations that came before the proxy was there, for what it loads from a file. */
  #early: [serial: number, users: readonly Identity[] | undefined][] | undefined = [];
  #keeper: LocationKeeper | undefined;
  #wasLost = false;
  /** DBclients whose loss was told. */
  readonly #wereDown = new Set<string>();
  #tick: ReturnType<typeof setInterval> | undefined;
  #preloaded = 0;

  private constructor(private readonly options: RunOptions) {
    const { values, settings, hashes, keys, tls, warmup, shared, log } = options;
    this.#connection = new DbclientConnection({
      addresses: settings.dbclients,
      connect: tls && ((address) => connectTls(address, tls)),
      name: values.proxy_name,
      keys,
      sha256: hashes.get("SHA-256"),
      // DBclient tells who was revoked since the file was written.
      serial: shared?.serial ?? warmup?.serial,
      deadline: values.dbclient_timeout,
      silence: values.dbclient_silence,
      onRevoked: (serial, users) => this.#revoked(serial, users === "all" ? undefined : users),
      onState: (connected, text) => {
        // The first connection is no news: the ready line waits for it.
        if (!connected || this.#wasLost) log(connected ? "dbclient_connected" : "dbclient_lost", { text });
        this.#wasLost ||= !connected;
      },
      onPeer: (name, connected, text) => {
        if (!connected) log("dbclient_down", { dbclient: name, reason: text });
        else if (this.#wereDown.delete(name)) log("dbclient_up", { dbclient: name });
        if (!connected) this.#wereDown.add(name);
      },
    });
    this.#service = new DbclientService(this.#connection, log);
  }

  /**
   * Opens the sockets and begins to serve. DBclient may be away: the proxy connects when it is there.
   *
   * @throws {Error} with one clear line when an address cannot be listened on
   */
  static async start(options: RunOptions): Promise<RunningProxy> {
    const running = new RunningProxy(options);
    try {
      await running.#open();
    } catch (error) {
      await running.close();
      throw error;
    }
    return running;
  }

  async #open(): Promise<void> {
    const { values, settings, hashes, route, warmup, shared, log } = this.options;
    if (values.registrar && shared === undefined) this.#keeper = await LocationKeeper.open({ values, log });
    const sockets = await ProxySockets.open(
      values,
      settings,
      {
        // A socket that is open before the proxy is there may receive; SIP sends it again.
        receive: (buffer, start, end, from, now) => this.#proxy?.receive(buffer, start, end, from, now),
        malformed: (problem, buffer, start, end, from) =>
          this.#proxy?.core.receiveMalformed(problem, buffer, start, end, from),
        flush: (now) => this.#flush(now),
        unreachable: (to, now) => this.#guarded(() => this.#proxy?.core.unreachable(to, now)),
        urgent: () => this.#connection.waiting > 0,
        log,
      },
      shared?.sockets,
    );
    this.#sockets = sockets;
    const locator = newLocator(values, settings, log);
    const environment = {
      random: systemRandom,
      now: now(),
      cache: shared?.cache,
      location: this.options.location ??
        (this.#keeper && { location: this.#keeper.location, owner: this.#keeper.location }),
      send: (buffer: Uint8Array, start: number, end: number, to: Address) =>
        sockets.send(buffer, start, end, to),
      locate: (target: SipTarget, done: Located) =>
        locator.locate(target, (addresses, at) => this.#guarded(() => done(addresses, at))),
      log,
    };
    const dialogKey = settings.dialogKey ?? newDialogKey(this.options);
    const bound = { ...settings, listen: this.listening, dialogKey };
    this.#proxy = new Proxy(
      values,
      bound,
      hashes,
      environment,
      this.#service,
      route,
    );
    if (warmup !== undefined) {
      const { records, issuedAt, serial } = warmup;
      this.#preloaded = this.#proxy.preload(records, issuedAt, serial, now());
    }
    this.#tokens = new TokenCount(this.#proxy.cache, values.low_water);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const [serial, users] of early) this.#revoked(serial, users);
    this.#tick = setInterval(() =>
      this.#guarded(() => {
        const time = now();
        this.#sockets!.advance(time);
        this.#proxy.advance(time);
        this.#proxy.flush(time);
      }), TICK_MS);
  }

  #revoked(serial: number, users: readonly Identity[] | undefined): void {
    if (this.#early !== undefined) {
      this.#early.push([serial, users]);
      return;
    }
    // Nothing is lost when the cache was empty, as it is at the start.
    if (users === undefined && this.#proxy.cache.size > 0) {
      this.options.log("credentials_flushed", { users: this.#proxy.cache.size, serial });
    }
    this.#proxy.revoked(serial, users);
  }

  async whenConnected(ms: number): Promise<void> {
    await this.#connection.whenConnected(ms);
  }

  setKeys(keys: readonly Uint8Array[]): void {
    this.#connection.setKeys(keys);
  }

  get listening(): readonly Address[] {
    return this.#sockets!.listening;
  }

  get io(): string {
    return this.#sockets!.io;
  }

  get preloaded(): number {
    return this.#preloaded;
  }

  /** File descriptors that the system keeps when the thread is ended by force: see {@linkcode DatagramSocket.descriptors}. */
  get descriptors(): number[] {
    return this.#sockets!.descriptors;
  }

  /** The last revocation serial of DBclient. */
  get serial(): number {
    return this.#connection.serial;
  }

  /** Number of this thread in the credential cache. */
  get cacheThread(): number {
    return this.#proxy.cache.thread;
  }

  statistics(): Record<string, number> {
    // What V8 has of the process's resident memory, and how much of that is in use.
    const { heapTotal: heap_total, heapUsed: heap_used } = Deno.memoryUsage();
    return {
      ...this.#proxy.statistics(),
      ...this.#sockets!.statistics(),
      heap_total,
      heap_used,
      ...flatObservations(this.#service.seconds),
    };
  }

  /** What this thread knows of others. */
  get thread(): ThreadState {
    return { dbclients: this.#connection.peers, targets: this.#proxy.targets };
  }

  state(): ProxyState {
    const worker = {
      number: 1,
      serving: true,
      since: this.#since,
      ...this.thread,
      counts: this.statistics(),
    };
    const listening = this.listening.map(formatTransportAddress);
    return { listening, draining: this.#proxy.core.draining, workers: [worker] };
  }

  tokens(): Promise<TokenFigures> {
    return this.#tokens.figures();
  }

  async reload(values: ProxyValues, settings: Settings, version: number): Promise<void> {
    const route = values.route === undefined ? undefined : await loadRoute(values.route, version);
    if (settings.tls !== undefined) await this.#sockets!.renew(settings.tls);
    this.#proxy.reload(values, settings, route);
  }

  async drain(ms: number): Promise<void> {
    this.#proxy.drain();
    const end = now() + ms;
    while (this.#proxy.open > 0 && now() < end) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#tick);
    await Promise.all([this.#sockets?.close(), this.#connection.close()]);
    await this.#keeper?.close();
  }

  /** Runs a part of the proxy: a fault in it is logged and costs what it was doing, never the program. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fault(error);
    }
  }

  #fault(error: unknown): void {
    this.options.log("internal_error", {
      error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
  }

  #flush(now: number): void {
    try {
      this.#proxy?.flush(now);
    } catch (error) {
      this.#fault(error);
    }
  }
}

/** From the key shared with DBclient, so that calls outlive a restart of the proxy; without one, drawn at random. */
export function newDialogKey({ keys, hashes }: Pick<RunOptions, "keys" | "hashes">): Uint8Array {
  if (keys.length === 0) return systemRandom.bytes(DIALOG_KEY_BYTES);
  const label = new TextEncoder().encode("Proxychain Record-Route");
  return hashes.get("SHA-256").hmac(keys[0], label).slice(0, DIALOG_KEY_BYTES);
}
