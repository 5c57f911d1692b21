/** The sockets of one proxy, or of one of its workers: which of them a message leaves by (RFC 3261 §18, RFC 3581 §4). */
import {
  type Address,
  type AdoptedSockets,
  type DatagramSocket,
  isReliable,
  messageMemory,
  now,
  openDatagramSocket,
  type Problem,
  SipMessage,
  StreamTransport,
  type TlsIdentity,
} from "../mod.ts";
import { isIpAddress } from "./destination.ts";
import type { ProxyValues } from "./options.ts";
import { QuietLog } from "./quiet_log.ts";
import type { Settings } from "./settings.ts";
import { connectionLimits } from "./stream_options.ts";

/** Descriptors of bound sockets, to be taken over. */
export interface SocketPair {
  readonly listen: number;
  readonly reply: number;
}

/** What the sockets tell. */
export interface SocketEvents {
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void;
  malformed(
    problem: Problem,
    buffer: Uint8Array,
    start: number,
    end: number,
    from: Address,
    now: number,
  ): void;
  flush(now: number): void;
  /** Nothing reaches `to` over a connection. */
  unreachable(to: Address, now: number): void;
  /** Whether something is awaited that only the event loop brings. */
  urgent(): boolean;
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** A UDP listener. */
interface Udp {
  readonly ipv6: boolean;
  /** The flow that leads to it; see {@linkcode Address.flow}. */
  readonly flow: number;
  /** Requests come in here, and responses to them go out. */
  readonly socket: DatagramSocket;
  /** Requests go out here, and responses to them come in: in a worker, at its own port. */
  readonly outward: DatagramSocket;
}

/** All sockets. */
export class ProxySockets {
  readonly #udp: Udp[] = [];
  readonly #streams: StreamTransport;
  readonly #listening: Address[] = [];
  readonly #log: QuietLog;
  readonly #held = new SipMessage();

  private constructor(
    private readonly values: ProxyValues,
    private readonly settings: Settings,
    private readonly events: SocketEvents,
  ) {
    this.#log = new QuietLog((event, fields) => events.log(event, fields));
    this.#streams = new StreamTransport({
      limits: connectionLimits(values),
      caCerts: settings.tlsAuthorities,
      onMessage: (buffer, start, end, from, now) => events.receive(buffer, start, end, from, now),
      onBatchEnd: (now) => events.flush(now),
      onMalformed: (problem, buffer, start, end, from, now) =>
        events.malformed(problem, buffer, start, end, from, now),
      onUnreachable: (to, now) => events.unreachable(to, now),
      onEvent: (name, fields) => this.#log.say(name, fields, now()),
      onError: (error) => events.log("socket_error", { error: error.message }),
    });
  }

  /**
   * Opens all of them.
   *
   * @param adopted for each address listened on: the worker's socket at the port of all, and the one at its own reply
   * port; undefined where it is to open its own
   * @throws {Error} with one clear line when an address cannot be listened on
   */
  static async open(
    values: ProxyValues,
    settings: Settings,
    events: SocketEvents,
    adopted?: readonly (SocketPair | undefined)[],
  ): Promise<ProxySockets> {
    const sockets = new ProxySockets(values, settings, events);
    try {
      for (const [i, address] of settings.listen.entries()) {
        await sockets.#open(i, address, adopted?.[i], adopted !== undefined);
      }
    } catch (error) {
      await sockets.close();
      throw error;
    }
    return sockets;
  }

  /** Addresses listened on, in the order of the settings. */
  get listening(): readonly Address[] {
    return this.#listening;
  }

  /** What carries the datagrams. */
  get io(): string {
    return this.#udp[0]?.socket.io ?? "stream";
  }

  /** See {@linkcode DatagramSocket.descriptors}. */
  get descriptors(): number[] {
    return this.#datagramSockets.flatMap(({ descriptors }) => descriptors);
  }

  get #datagramSockets(): DatagramSocket[] {
    return [...new Set(this.#udp.flatMap(({ socket, outward }) => [socket, outward]))];
  }

  statistics(): Record<string, number> {
    const sockets = this.#datagramSockets;
    const sum = (key: "dropped" | "truncated") => sockets.reduce((all, socket) => all + socket[key], 0);
    const { accepted, opened, refused, failed, idle, halfMessages, slow, malformed } = this.#streams.counters;
    return {
      datagrams_dropped: sum("dropped"),
      datagrams_truncated: sum("truncated"),
      tcp_connections: this.#streams.size,
      connections_tcp: this.#streams.sizeOf("tcp"),
      connections_tls: this.#streams.sizeOf("tls"),
      tcp_accepted: accepted,
      tcp_opened: opened,
      tcp_refused: refused,
      tcp_connect_failed: failed,
      tcp_idle_closed: idle,
      tcp_half_messages: halfMessages,
      tcp_slow_readers: slow,
      tcp_malformed: malformed,
    };
  }

  /**
   * Sends a message to an IP address.
   *
   * @returns false when it is known by now that it cannot be sent
   */
  send(buffer: Uint8Array, start: number, end: number, to: Address): boolean {
    const response = isResponse(buffer, start);
    if (isReliable(to)) return this.#sendOnStream(buffer, start, end, to, response);
    const udp = this.#udp.length === 1 ? this.#udp[0] : this.#udpTowards(to);
    if (udp === undefined || !isIpAddress(to.host) || udp.ipv6 !== to.host.includes(":")) return false;
    (response ? udp.socket : udp.outward).send(buffer, start, end, to);
    return true;
  }

  /** Lets late connections be closed. */
  advance(now: number): void {
    this.#streams.advance(now);
  }

  /**
   * Takes new certificates.
   *
   * @throws {Error} (rejects) with one line; the old ones stay in use then
   */
  renew(tls: TlsIdentity): Promise<void> {
    return this.#streams.renew(tls);
  }

  async close(): Promise<void> {
    this.#streams.close();
    await Promise.all(this.#datagramSockets.map((socket) => socket.close()));
  }

  #udpTowards(to: Address): Udp | undefined {
    const { flow = 0 } = to;
    const ipv6 = to.host.includes(":");
    let first: Udp | undefined;
    for (let i = 0; i < this.#udp.length; i++) {
      const udp = this.#udp[i];
      if (udp.ipv6 !== ipv6) continue;
      if (udp.flow === flow) return udp;
      first ??= udp;
    }
    return first;
  }

  #sendOnStream(buffer: Uint8Array, start: number, end: number, to: Address, response: boolean): boolean {
    const { flow = 0 } = to;
    if (!response || flow <= 0 || this.#streams.isOpen(flow)) {
      return isIpAddress(to.host) && this.#streams.send(buffer, start, end, to);
    }
    // RFC 3261 §18.2.2: the connection that the request came on is gone, so one to its sent-by.
    if (this.#held.parse(buffer, start, end) !== undefined) return false;
    const via = this.#held.topVia();
    if (via === undefined) return false;
    const { host, transport } = to;
    return this.#streams.send(buffer, start, end, { host, port: via.port, transport });
  }

  async #open(index: number, address: Address, pair: SocketPair | undefined, shared: boolean): Promise<void> {
    const { listen, tls } = this.settings;
    if (isReliable(address)) {
      this.#listening.push(this.#streams.listen(address, tls, shared));
      return;
    }
    const ipv6 = address.host.includes(":");
    const alone =
      listen.filter((other) => !isReliable(other) && other.host.includes(":") === ipv6).length === 1;
    const flow = -1 - index;
    const open = (port: number, adopt?: AdoptedSockets) =>
      this.#openDatagrams(address.host, port, alone ? 0 : flow, adopt);
    if (pair === undefined) {
      const socket = await open(address.port);
      this.#udp.push({ ipv6, flow, socket, outward: socket });
    } else {
      // One loop for both. Responses first: under an overload calls that have begun go on.
      const { listen, reply } = pair;
      const socket = await open(address.port, { socket: listen, receiveFrom: [reply, listen] });
      const outward = await open(0, { socket: reply, receiveFrom: [] }).catch(async (error) => {
        await socket.close();
        throw error;
      });
      this.#udp.push({ ipv6, flow, socket, outward });
    }
    const { host, port } = this.#udp[this.#udp.length - 1].socket.local;
    this.#listening.push({ host, port, transport: "udp" });
  }

  #openDatagrams(host: string, port: number, flow: number, adopt?: AdoptedSockets): Promise<DatagramSocket> {
    const { values, events } = this;
    return openDatagramSocket({
      host,
      port,
      flow,
      adopt,
      io: values.io,
      moderation: values.io_wait,
      // A socket that only sends leaves the memory to others.
      memory: adopt?.receiveFrom?.length === 0 ? undefined : messageMemory,
      onDatagram: (buffer, start, end, from, now) => events.receive(buffer, start, end, from, now),
      onBatchEnd: (now) => events.flush(now),
      urgent: () => events.urgent(),
      onError: (error) => events.log("socket_error", { error: error.message }),
    });
  }
}

/** Whether a message is a response: it begins with "SIP/", in any case, which no method can. */
function isResponse(buffer: Uint8Array, start: number): boolean {
  return (buffer[start] | 0x20) === 0x73 && (buffer[start + 1] | 0x20) === 0x69 &&
    (buffer[start + 2] | 0x20) === 0x70 && buffer[start + 3] === 0x2f;
}
