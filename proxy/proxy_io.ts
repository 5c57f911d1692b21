/** Runs a proxy on real sockets and the real clock. */
import {
  type Address,
  type AdoptedSockets,
  type DatagramSocket,
  DbclientConnection,
  formatAddress,
  type HashBackend,
  messageMemory,
  now,
  openDatagramSocket,
  systemRandom,
} from "../mod.ts";
import { DbclientService } from "./dbclient_service_io.ts";
import { isIpAddress } from "./destination.ts";
import { DIALOG_KEY_BYTES } from "./dialog_tags.ts";
import type { ProxyValues } from "./options.ts";
import { Proxy } from "./proxy.ts";
import type { ProxyEnvironment } from "./proxy_environment.ts";
import { LocationKeeper } from "./registrar/location_keeper_io.ts";
import type { RouteFunction } from "./route.ts";
import { loadRoute } from "./route_io.ts";
import type { Settings } from "./settings.ts";
import type { Warmup } from "./warmup_io.ts";

/** How often timers are looked at, ms: the resolution of the transaction timers. */
const TICK_MS = 10;
/** How often it is looked whether all requests are answered, before the end, ms. */
const DRAIN_LOOK_MS = 20;
/** How long a name's address is remembered, ms. */
const RESOLVED_MS = 60_000;
/** Names remembered at most. */
const MAX_RESOLVED = 10_000;

/** What a running proxy needs. */
export interface RunOptions {
  readonly values: ProxyValues;
  readonly settings: Settings;
  readonly hashes: HashBackend;
  readonly keys: readonly Uint8Array[];
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
  /** For each address listened on: the worker's socket at the port of all, and the one at its own reply port. */
  readonly sockets: readonly SocketPair[];
  /** Revocations after this are to be told by DBclient. */
  readonly serial: number | undefined;
}

/** Descriptors of bound sockets, to be taken over. */
export interface SocketPair {
  readonly listen: number;
  readonly reply: number;
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
  /** Waits until DBclient is connected, `ms` at most: the proxy serves without it too. */
  whenConnected(ms: number): Promise<void>;
  /**
   * Takes over another routing, for the requests that come after.
   *
   * @param version counts the times, so that the module of `--route` is read again
   * @throws {Error} (rejects) with one line; the old routing stays then
   */
  reload(values: ProxyValues, settings: Settings, version: number): Promise<void>;
  /** Refuses what begins something, and waits until all requests are answered, `ms` at most. */
  drain(ms: number): Promise<void>;
  /** Stops serving and closes everything. */
  close(): Promise<void>;
}

/** A proxy with its sockets. */
export class RunningProxy implements ProgramProxy {
  /** Requests come in here, and responses to them go out. */
  readonly #sockets: DatagramSocket[] = [];
  /** Requests go out here, and responses to them come in: in a worker, at its own port. */
  readonly #outward: DatagramSocket[] = [];
  readonly #resolved = new Map<string, { readonly address: string; readonly until: number }>();
  readonly #connection: DbclientConnection;
  #proxy!: Proxy;
  #keeper: LocationKeeper | undefined;
  #wasLost = false;
  #tick: ReturnType<typeof setInterval> | undefined;
  #preloaded = 0;

  private constructor(private readonly options: RunOptions) {
    const { values, hashes, keys, warmup, shared, log } = options;
    this.#connection = new DbclientConnection({
      addresses: [{ host: values.dbclient_addr, port: values.dbclient_port }],
      name: values.proxy_name,
      keys,
      sha256: hashes.get("SHA-256"),
      // DBclient tells who was revoked since the file was written.
      serial: shared?.serial ?? warmup?.serial,
      deadline: values.dbclient_timeout,
      onRevoked: (serial, users) => this.#proxy.revoked(serial, users === "all" ? undefined : users, now()),
      onState: (connected, text) => {
        // The first connection is no news: the ready line waits for it.
        if (!connected || this.#wasLost) log(connected ? "dbclient_connected" : "dbclient_lost", { text });
        this.#wasLost ||= !connected;
      },
    });
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
    for (const [i, { host, port }] of settings.listen.entries()) {
      const pair = shared?.sockets[i];
      if (pair === undefined) {
        const socket = await this.#openSocket(host, port);
        this.#sockets.push(socket);
        this.#outward.push(socket);
        continue;
      }
      // One loop for both. Responses first: under an overload calls that have begun go on.
      const { listen, reply } = pair;
      this.#sockets.push(
        await this.#openSocket(host, port, { socket: listen, receiveFrom: [reply, listen] }),
      );
      this.#outward.push(await this.#openSocket(host, 0, { socket: reply, receiveFrom: [] }));
    }
    const environment = {
      random: systemRandom,
      now: now(),
      cache: shared?.cache,
      location: this.options.location ??
        (this.#keeper && { location: this.#keeper.location, owner: this.#keeper.location }),
      send: (buffer: Uint8Array, start: number, end: number, to: Address) =>
        this.#send(buffer, start, end, to),
      resolve: (host: string, done: (address: string | undefined, now: number) => void) =>
        this.#resolve(host, done),
      log,
    };
    const dialogKey = settings.dialogKey ?? newDialogKey(this.options);
    const bound = { ...settings, listen: this.listening, dialogKey };
    this.#proxy = new Proxy(
      values,
      bound,
      hashes,
      environment,
      new DbclientService(this.#connection, log),
      route,
    );
    if (warmup !== undefined) {
      const { records, issuedAt, serial } = warmup;
      this.#preloaded = this.#proxy.preload(records, issuedAt, serial, now());
    }
    this.#tick = setInterval(() =>
      this.#guarded(() => {
        this.#proxy.advance(now());
        this.#proxy.flush(now());
      }), TICK_MS);
  }

  #openSocket(host: string, port: number, adopt?: AdoptedSockets): Promise<DatagramSocket> {
    const { values, log } = this.options;
    return openDatagramSocket({
      host,
      port,
      adopt,
      io: values.io,
      moderation: values.io_wait,
      // A socket that only sends leaves the memory to others.
      memory: adopt?.receiveFrom?.length === 0 ? undefined : messageMemory,
      onDatagram: (buffer, start, end, from, now) => this.#receive(buffer, start, end, from, now),
      onBatchEnd: (now) => this.#flush(now),
      urgent: () => this.#connection.waiting > 0,
      onError: (error) => log("socket_error", { error: error.message }),
    });
  }

  async whenConnected(ms: number): Promise<void> {
    await this.#connection.whenConnected(ms);
  }

  get listening(): Address[] {
    return this.#sockets.map(({ local }) => ({ host: local.host, port: local.port }));
  }

  get io(): string {
    return this.#sockets[0].io;
  }

  get preloaded(): number {
    return this.#preloaded;
  }

  /** File descriptors that the system keeps when the thread is ended by force: see {@linkcode DatagramSocket.descriptors}. */
  get descriptors(): number[] {
    return this.#allSockets.flatMap(({ descriptors }) => descriptors);
  }

  /** The last revocation serial of DBclient. */
  get serial(): number {
    return this.#connection.serial;
  }

  /** Number of this thread in the credential cache. */
  get cacheThread(): number {
    return this.#proxy.cache.thread;
  }

  get #allSockets(): DatagramSocket[] {
    return [...new Set([...this.#sockets, ...this.#outward])];
  }

  statistics(): Record<string, number> {
    const sockets = this.#allSockets;
    const sum = (key: "dropped" | "truncated") => sockets.reduce((all, socket) => all + socket[key], 0);
    return {
      ...this.#proxy.statistics(),
      datagrams_dropped: sum("dropped"),
      datagrams_truncated: sum("truncated"),
    };
  }

  async reload(values: ProxyValues, settings: Settings, version: number): Promise<void> {
    const route = values.route === undefined ? undefined : await loadRoute(values.route, version);
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
    await Promise.all([...this.#allSockets.map((socket) => socket.close()), this.#connection.close()]);
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

  #receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void {
    // A socket that is open before the proxy is there may receive; SIP sends it again.
    this.#proxy?.receive(buffer, start, end, from, now);
  }

  #send(buffer: Uint8Array, start: number, end: number, to: Address): boolean {
    if (!isIpAddress(to.host)) return false;
    const sockets = isResponse(buffer, start) ? this.#sockets : this.#outward;
    const ipv6 = to.host.includes(":");
    for (let i = 0; i < sockets.length; i++) {
      if (sockets[i].local.host.includes(":") !== ipv6) continue;
      sockets[i].send(buffer, start, end, to);
      return true;
    }
    return false;
  }

  #resolve(host: string, done: (address: string | undefined, now: number) => void): void {
    const known = this.#resolved.get(host);
    if (known !== undefined && known.until > now()) return done(known.address, now());
    this.#lookUp(host).then((address) => {
      if (address !== undefined) {
        if (this.#resolved.size >= MAX_RESOLVED) this.#resolved.clear();
        this.#resolved.set(host, { address, until: now() + RESOLVED_MS });
      }
      this.#guarded(() => done(address, now()));
    });
  }

  async #lookUp(host: string): Promise<string | undefined> {
    for (const type of ["A", "AAAA"] as const) {
      try {
        const addresses = await Deno.resolveDns(host, type);
        if (addresses.length > 0) return addresses[0];
      } catch {
        // The next type; a name without any address is no error here.
      }
    }
    this.options.log("next_hop_unknown", { host: formatAddress({ host, port: 0 }).replace(/:0$/, "") });
    return undefined;
  }
}

/** Whether a message is a response: it begins with "SIP/", which no method can. */
function isResponse(buffer: Uint8Array, start: number): boolean {
  return buffer[start] === 0x53 && buffer[start + 1] === 0x49 && buffer[start + 2] === 0x50 &&
    buffer[start + 3] === 0x2f;
}

/** From the key shared with DBclient, so that calls outlive a restart of the proxy; without one, drawn at random. */
export function newDialogKey({ keys, hashes }: Pick<RunOptions, "keys" | "hashes">): Uint8Array {
  if (keys.length === 0) return systemRandom.bytes(DIALOG_KEY_BYTES);
  const label = new TextEncoder().encode("Proxychain Record-Route");
  return hashes.get("SHA-256").hmac(keys[0], label).slice(0, DIALOG_KEY_BYTES);
}
