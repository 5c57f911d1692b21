/** Runs a proxy on real sockets and the real clock. */
import {
  type Address,
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
import type { RouteFunction } from "./route.ts";
import type { Settings } from "./settings.ts";
import type { Warmup } from "./warmup_io.ts";

/** How often timers are looked at, ms: the resolution of the transaction timers. */
const TICK_MS = 10;
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
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** A proxy with its sockets. */
export class RunningProxy {
  readonly #sockets: DatagramSocket[] = [];
  readonly #resolved = new Map<string, { readonly address: string; readonly until: number }>();
  readonly #connection: DbclientConnection;
  #proxy!: Proxy;
  #wasLost = false;
  #tick: ReturnType<typeof setInterval> | undefined;
  #preloaded = 0;

  private constructor(private readonly options: RunOptions) {
    const { values, hashes, keys, warmup, log } = options;
    this.#connection = new DbclientConnection({
      addresses: [{ host: values.dbclient_addr, port: values.dbclient_port }],
      name: values.proxy_name,
      keys,
      sha256: hashes.get("SHA-256"),
      // DBclient tells who was revoked since the file was written.
      serial: warmup?.serial,
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
    const { values, settings, hashes, route, warmup, log } = this.options;
    for (const { host, port } of settings.listen) {
      this.#sockets.push(
        await openDatagramSocket({
          host,
          port,
          io: values.io,
          moderation: values.io_wait,
          memory: messageMemory,
          onDatagram: (buffer, start, end, from) => this.#receive(buffer, start, end, from),
          onBatchEnd: () => this.#guarded(() => this.#proxy?.flush(now())),
          onError: (error) => log("socket_error", { error: error.message }),
        }),
      );
    }
    const environment = {
      random: systemRandom,
      now: now(),
      send: (buffer: Uint8Array, start: number, end: number, to: Address) =>
        this.#send(buffer, start, end, to),
      resolve: (host: string, done: (address: string | undefined, now: number) => void) =>
        this.#resolve(host, done),
      log,
    };
    const bound = { ...settings, listen: this.listening, dialogKey: this.#dialogKey() };
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

  /** From the key shared with DBclient, so that calls outlive a restart of the proxy; without one, drawn at random. */
  #dialogKey(): Uint8Array {
    const { keys, hashes } = this.options;
    if (keys.length === 0) return systemRandom.bytes(DIALOG_KEY_BYTES);
    const label = new TextEncoder().encode("Proxychain Record-Route");
    return hashes.get("SHA-256").hmac(keys[0], label).slice(0, DIALOG_KEY_BYTES);
  }

  /** Waits until DBclient is connected, `ms` at most: the proxy serves without it too. */
  async whenConnected(ms: number): Promise<void> {
    await this.#connection.whenConnected(ms);
  }

  /** Addresses listened on. */
  get listening(): Address[] {
    return this.#sockets.map(({ local }) => ({ host: local.host, port: local.port }));
  }

  /** What carries the datagrams. */
  get io(): string {
    return this.#sockets[0].io;
  }

  /** Users who have a credential from the warm-up file. */
  get preloaded(): number {
    return this.#preloaded;
  }

  /** Counters. */
  statistics(): Record<string, number> {
    const sum = (key: "dropped" | "truncated") => this.#sockets.reduce((all, socket) => all + socket[key], 0);
    return {
      ...this.#proxy.statistics(),
      datagrams_dropped: sum("dropped"),
      datagrams_truncated: sum("truncated"),
    };
  }

  /** Stops serving and closes everything. */
  async close(): Promise<void> {
    clearInterval(this.#tick);
    await Promise.all([...this.#sockets.map((socket) => socket.close()), this.#connection.close()]);
  }

  /** Runs a part of the proxy: a fault in it is logged and costs what it was doing, never the program. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.options.log("internal_error", {
        error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      });
    }
  }

  #receive(buffer: Uint8Array, start: number, end: number, from: Address): void {
    // A socket that is open before the proxy is there may receive; SIP sends it again.
    this.#proxy?.receive(buffer, start, end, from, now());
  }

  #send(buffer: Uint8Array, start: number, end: number, to: Address): boolean {
    const ipv6 = to.host.includes(":");
    const socket = this.#sockets.find(({ local }) => local.host.includes(":") === ipv6);
    if (socket === undefined || !isIpAddress(to.host)) return false;
    socket.send(buffer, start, end, to);
    return true;
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
