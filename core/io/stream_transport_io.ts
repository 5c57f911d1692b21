/** SIP over TCP and TLS: listeners, connections and their reuse (RFC 3261 §18, RFC 5626 §3.5.1 and §4.4.1). */
import { firstLine } from "../cli/first_line.ts";
import { type Address, formatTransportAddress, isReliable, type Transport } from "../sip/address.ts";
import type { StreamEvent } from "../sip/stream.ts";
import { now } from "./clock_io.ts";
import { type DatagramOptions, ERROR_PAUSE_MS, reportTo } from "./datagram.ts";
import { openReason } from "./open_reason_io.ts";
import { type ByteStream, closeQuietly, type CutReason, StreamConnection } from "./stream_connection_io.ts";
import type { StreamCounters, StreamOptions, TlsIdentity } from "./stream_transport.ts";

/** How often the connections are looked through for those that are late, ms. */
const SWEEP_MS = 250;
/** How long a connection that closes may take to send what waits, ms. */
const CLOSING_MS = 2000;
/** While too much waits in all: the bytes that may wait on one connection, and the time for a message, ms. */
const CROWDED_BYTES = 4096;
const CROWDED_MS = 500;
const CRLF = [0x0d, 0x0a];

/** A place where connections are accepted. */
interface Listener {
  readonly local: Address;
  readonly reusePort: boolean;
  socket: Deno.Listener;
  /** Ends when the socket is closed, and the system has its port back. */
  accepting: Promise<void>;
}

/**
 * All connections of one program. A message goes out on the connection of its address's flow, or on one that leads
 * to its address already, or a new one is opened.
 *
 * @example
 * ```ts ignore
 * const streams = new StreamTransport({ limits, onMessage, onMalformed, onUnreachable, onError });
 * streams.listen({ host: "127.0.0.1", port: 5060, transport: "tcp" });
 * streams.send(bytes, 0, bytes.length, { host: "192.0.2.1", port: 5060, transport: "tcp" });
 * setInterval(() => streams.advance(now()), 100);
 * ```
 */
export class StreamTransport {
  readonly counters: StreamCounters = {
    accepted: 0,
    opened: 0,
    refused: 0,
    failed: 0,
    idle: 0,
    halfMessages: 0,
    slow: 0,
    malformed: 0,
  };
  readonly #options: StreamOptions;
  readonly #listeners: Listener[] = [];
  readonly #byFlow = new Map<number, StreamConnection>();
  /** Those that lead to an address and may be used by all who want to go there. */
  readonly #byAddress = new Map<string, StreamConnection>();
  /** Connections that each IP address has opened. */
  readonly #bySource = new Map<string, number>();
  #flows = 0;
  /** How many of the connections are TLS. */
  #tls = 0;
  #swept = 0;
  /** Too much waits in all. */
  #crowded = false;
  #closed = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  /** Open connections, with those that are being opened. */
  get size(): number {
    return this.#byFlow.size;
  }

  /** Open connections of one transport. */
  sizeOf(transport: "tcp" | "tls"): number {
    return transport === "tls" ? this.#tls : this.#byFlow.size - this.#tls;
  }

  /** Addresses listened on. */
  get listening(): readonly Address[] {
    return this.#listeners.map(({ local }) => local);
  }

  /** Whether the connection of a flow is open. */
  isOpen(flow: number): boolean {
    return this.#byFlow.has(flow);
  }

  /**
   * Accepts connections.
   *
   * @param address an IP address; port 0: any free port
   * @param tls for `tls`
   * @param reusePort whether other listeners of this program share the port (Linux): the system spreads connections
   * @returns where it listens
   * @throws {Error} with one line: the port is in use, the address is none of this machine's, the certificate is not good
   */
  listen(address: Address, tls?: TlsIdentity, reusePort = false): Address {
    const socket = openListener(address, tls, reusePort);
    const { hostname, port } = socket.addr as Deno.NetAddr;
    const local = { host: hostname, port, transport: address.transport };
    const listener: Listener = { local, reusePort, socket, accepting: Promise.resolve() };
    this.#listeners.push(listener);
    listener.accepting = this.#accept(listener, socket);
    return local;
  }

  /**
   * Takes new certificates for new TLS connections; those that are open stay as they are.
   *
   * @throws {Error} (rejects) with one line when they are not good: the old ones stay in use
   */
  async renew(tls: TlsIdentity): Promise<void> {
    const listeners = this.#listeners.filter(({ local }) => local.transport === "tls");
    if (listeners.length === 0) return;
    // Tried at another port first: the old listener has to go before the new one can have its port.
    tryToListen({ ...listeners[0].local, port: 0 }, tls);
    for (const listener of listeners) {
      const { local, reusePort, socket } = listener;
      closeQuietly(socket);
      await listener.accepting;
      if (this.#closed) return;
      listener.socket = openListener(local, tls, reusePort);
      listener.accepting = this.#accept(listener, listener.socket);
    }
  }

  /**
   * Sends a message to an address whose host is an IP address. The bytes are copied.
   *
   * @returns false when it cannot be sent: the connection of its flow is gone, the peer reads too slowly, or there
   * are too many connections. What fails later is told by `onUnreachable`
   */
  send(buffer: Uint8Array, start: number, end: number, to: Address): boolean {
    if (this.#closed || !isReliable(to)) return false;
    const connection = this.#connectionTo(to);
    return connection !== undefined && this.#push(connection, buffer.slice(start, end), now());
  }

  /** Closes what is late. To be called often; it looks a few times a second. */
  advance(time: number): void {
    if (time - this.#swept < SWEEP_MS) return;
    this.#swept = time;
    const { idleMs, firstMs, messageMs, stallMs, totalBytes } = this.#options.limits;
    const patience = this.#crowded ? Math.min(CROWDED_MS, messageMs) : messageMs;
    let waiting = 0;
    for (const connection of this.#byFlow.values()) {
      waiting += connection.queued + connection.pending;
      const silent = time - connection.active;
      if (connection.stalled(time) > (connection.closing ? CLOSING_MS : stallMs)) {
        this.#cut(connection, "slow reader");
      } else if (connection.begun > 0 && time - connection.begun > patience) {
        this.#cut(connection, "half message");
      } else if (silent > idleMs) this.#cut(connection, "idle");
      else if (!connection.proven && connection.target === undefined && time - connection.since > firstMs) {
        this.#cut(connection, "idle");
      }
    }
    this.#crowded = waiting > totalBytes;
  }

  /** Ends everything at once. */
  close(): void {
    this.#closed = true;
    for (const { socket } of this.#listeners) closeQuietly(socket);
    this.#listeners.length = 0;
    for (const connection of [...this.#byFlow.values()]) connection.end("closed");
  }

  #connectionTo(to: Address): StreamConnection | undefined {
    const { flow = 0 } = to;
    if (flow > 0) return this.#byFlow.get(flow);
    const key = addressKey(to);
    const known = this.#byAddress.get(key);
    if (known !== undefined && !known.closing) return known;
    if (this.#byFlow.size >= this.#options.limits.maxConnections) {
      this.#event("connect_failed", { to: formatTransportAddress(to), error: "too many connections" });
      return undefined;
    }
    const stream = connect(to, this.#options);
    this.counters.opened++;
    return this.#add(to, to, stream, key);
  }

  #push(connection: StreamConnection, bytes: Uint8Array<ArrayBuffer>, time: number): boolean {
    if (connection.ended || connection.closing) return false;
    const { queueBytes } = this.#options.limits;
    // One message may always wait.
    const limit = this.#crowded ? Math.max(CROWDED_BYTES, bytes.length) : queueBytes;
    if (connection.queued + bytes.length > limit) {
      this.#cut(connection, "slow reader");
      return false;
    }
    connection.send(bytes, time);
    return true;
  }

  #add(
    other: Address,
    target: Address | undefined,
    stream: Promise<ByteStream> | ByteStream,
    key: string | undefined,
  ): StreamConnection {
    const { host, port, transport, name } = other;
    const flow = ++this.#flows;
    const address = { host, port, transport, flow, name };
    const connection = new StreamConnection(address, target, stream, this, now());
    this.#byFlow.set(flow, connection);
    if (transport === "tls") this.#tls++;
    if (key !== undefined) this.#byAddress.set(key, connection);
    return connection;
  }

  async #accept(listener: Listener, socket: Deno.Listener): Promise<void> {
    const { transport } = listener.local;
    while (!this.#closed) {
      try {
        this.#admit(await socket.accept(), transport!);
      } catch (error) {
        if (this.#closed || error instanceof Deno.errors.BadResource) return;
        // No more file descriptors, for example: others will be closed.
        this.#report(error);
        await new Promise((resolve) => setTimeout(resolve, ERROR_PAUSE_MS));
      }
    }
  }

  #admit(stream: Deno.Conn, transport: Transport): void {
    const { limits } = this.#options;
    const { hostname: host, port } = stream.remoteAddr as Deno.NetAddr;
    const others = this.#bySource.get(host) ?? 0;
    const crowded = this.#byFlow.size >= limits.maxConnections;
    if (this.#closed || crowded || others >= limits.maxPerSource) {
      this.counters.refused++;
      stream.close();
      this.#event("connection_refused", {
        from: host,
        reason: crowded ? "too many connections" : "too many connections from this source",
      });
      return;
    }
    this.counters.accepted++;
    this.#bySource.set(host, others + 1);
    const other: Address = { host, port, transport };
    // A TLS peer that has opened a connection has shown no certificate: it is used for its own messages only.
    this.#add(other, undefined, stream, transport === "tcp" ? addressKey(other) : undefined);
  }

  /** @ignore for StreamConnection */
  arrived(connection: StreamConnection, events: readonly StreamEvent[], time: number): void {
    const { address } = connection;
    let pings = 0;
    for (const event of events) {
      if (connection.ended || connection.closing) return;
      if (event.type === "ping") {
        pings++;
        continue;
      }
      try {
        const { buffer, start, end } = event;
        if (event.type === "message") this.#options.onMessage(buffer, start, end, address, time);
        else {
          this.counters.malformed++;
          this.#options.onMalformed(event.problem, buffer, start, end, address, time);
          connection.closeSoon("malformed");
        }
      } catch (error) {
        this.#report(error);
      }
    }
    if (pings > 0) this.#push(connection, pong(pings), time);
    try {
      this.#options.onBatchEnd?.(time);
    } catch (error) {
      this.#report(error);
    }
  }

  /** @ignore for StreamConnection */
  ended(connection: StreamConnection, reason: CutReason, error: unknown): void {
    const { address, target } = connection;
    this.#byFlow.delete(address.flow!);
    if (address.transport === "tls") this.#tls--;
    const key = addressKey(target ?? address);
    if (this.#byAddress.get(key) === connection) this.#byAddress.delete(key);
    if (target === undefined) {
      const others = this.#bySource.get(address.host)! - 1;
      if (others === 0) this.#bySource.delete(address.host);
      else this.#bySource.set(address.host, others);
    } else if (!this.#closed && reason !== "idle") this.#lost(connection, target, error);
  }

  /** A connection that was opened from here is gone. */
  #lost(connection: StreamConnection, target: Address, error: unknown): void {
    if (!connection.proven && error !== undefined) {
      this.counters.failed++;
      this.#event("connect_failed", { to: formatTransportAddress(target), error: firstLine(error) });
    }
    try {
      this.#options.onUnreachable(target, now());
    } catch (fault) {
      this.#report(fault);
    }
  }

  #cut(connection: StreamConnection, reason: CutReason): void {
    const { counters } = this;
    if (reason === "idle") counters.idle++;
    else if (reason === "half message") counters.halfMessages++;
    else counters.slow++;
    if (reason !== "idle") {
      this.#event("connection_cut", { peer: formatTransportAddress(connection.address), reason });
    }
    connection.end(reason);
  }

  #event(name: Parameters<NonNullable<StreamOptions["onEvent"]>>[0], fields: Record<string, string>): void {
    this.#options.onEvent?.(name, fields);
  }

  #report(error: unknown): void {
    reportTo(this.#options as Pick<DatagramOptions, "onError">, error);
  }
}

function pong(pings: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(CRLF.length * pings).map((_, i) => CRLF[i % CRLF.length]);
}

/** Connections with the same key lead to the same place, and to the same name on its certificate. */
function addressKey({ host, port, transport, name = "" }: Address): string {
  return `${transport} ${host} ${port} ${name}`;
}

/**
 * Opens a listener and closes it again, to see whether that can be done.
 *
 * @returns where it was
 * @throws {Error} as {@linkcode StreamTransport.listen} does
 */
export function tryToListen(address: Address, tls?: TlsIdentity): Address {
  const socket = openListener(address, tls, false);
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return { ...address, port };
}

function openListener({ host, port, transport }: Address, tls: TlsIdentity | undefined, reusePort: boolean) {
  try {
    if (transport !== "tls") return Deno.listen({ hostname: host, port, reusePort });
    if (tls === undefined) throw new TypeError("no certificate is given");
    return Deno.listenTls({ hostname: host, port, reusePort, ...tls });
  } catch (error) {
    throw new Error(`${formatTransportAddress({ host, port, transport })}: ${openReason(error)}`, {
      cause: error,
    });
  }
}

/** Opens a connection; rejects when it takes too long. */
async function connect(to: Address, { limits, caCerts }: StreamOptions): Promise<ByteStream> {
  const timeout = AbortSignal.timeout(limits.connectMs);
  const stream = await Deno.connect({ hostname: to.host, port: to.port, signal: timeout }).catch((error) => {
    throw timeout.aborted ? new Error(`no connection within ${limits.connectMs} ms`) : error;
  });
  stream.setNoDelay(true);
  if (to.transport !== "tls") return stream;
  const secured = await Deno.startTls(stream, { hostname: to.name ?? to.host, caCerts: caCerts?.slice() });
  const late = setTimeout(() => secured.close(), limits.connectMs);
  try {
    await secured.handshake();
    return secured;
  } catch (error) {
    closeQuietly(secured);
    throw new Error(`TLS: ${firstLine(error)}`, { cause: error });
  } finally {
    clearTimeout(late);
  }
}
