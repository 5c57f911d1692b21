/** What carries the messages of a run (`-t`): UDP and TCP, with one socket or many. */
import {
  type Address,
  type DatagramSocket,
  formatAddress,
  messageMemory,
  now,
  type OpenDatagramOptions,
  openDatagramSocket,
  StreamFramer,
  StreamWriter,
} from "../mod.ts";
import type { Call } from "./call.ts";
import type { Transport } from "./engine.ts";
import type { InjectionFiles } from "./injection.ts";

/** A transport that can be closed. */
export interface RealTransport extends Transport {
  readonly local: Address;
  readonly reliable: boolean;
  /** Calls have sockets, and so ports, of their own. */
  readonly perCall: boolean;
  /** Datagrams that could not be sent. */
  readonly dropped: number;
  close(): Promise<void>;
}

/** How to open one. */
export interface TransportOptions {
  readonly transport: "u1" | "un" | "ui" | "t1" | "tn";
  readonly host: string;
  readonly port: number;
  /** Where calls go; absent for a called side. */
  readonly remote?: Address;
  readonly sendTo?: Address;
  /** Sockets of calls at most. */
  readonly maxSockets: number;
  /** For ui: the field of the first injection file with the local address. */
  readonly ipField: number;
  readonly files?: InjectionFiles;
  /** What carries datagrams; default "auto". */
  readonly io?: OpenDatagramOptions["io"];
  /** Longest wait of batched I/O for more datagrams, ms. */
  readonly ioWait?: number;
  onMessage(buffer: Uint8Array, start: number, end: number, from: Address, now: number, socket: number): void;
  onBatchEnd(now: number): void;
  onWake(now: number, busy: boolean): void;
  onError?(line: string): void;
}

/** More addresses of ui than this are no addresses of one machine. */
const MAX_ADDRESSES = 10_000;
/** Longest datagram that a socket of a call receives, bytes. */
const CALL_DATAGRAM = 65_535;
/** How long a connection may take to open, ms. */
const CONNECT_MS = 5000;
/** Bytes that may wait for a connection; more are lost. */
const MAX_QUEUED = 16 << 20;
/** Waits that may block the thread in a row: signals and the progress line have time. */
const BLOCKED_IN_A_ROW = 16;
const READ_BYTES = 65_536;

/** The port cannot be had: SIPp has an exit code for it. */
export class BindError extends Error {
  override name = "BindError";
}

/**
 * Opens the sockets of a run.
 *
 * @throws {Error} (rejects) with one line; {@linkcode BindError} where a port cannot be had
 */
export async function openTransport(options: TransportOptions): Promise<RealTransport> {
  switch (options.transport) {
    case "u1":
      return await OneSocket.open(options);
    case "un":
      return options.remote === undefined ? await OneSocket.open(options) : await ManySockets.open(options);
    case "ui":
      return await SocketPerAddress.open(options);
    default:
      return options.remote === undefined ? Connections.listen(options) : await Connections.connect(options);
  }
}

async function bind(
  options: TransportOptions,
  host: string,
  port: number,
  socket: () => number,
  shared: boolean,
): Promise<DatagramSocket> {
  try {
    return await openDatagramSocket({
      host,
      port,
      // A batched socket has megabytes of its own: too much for one call.
      io: shared ? options.io : "deno",
      moderation: options.ioWait,
      maxDatagram: shared ? undefined : CALL_DATAGRAM,
      memory: shared ? messageMemory : undefined,
      onDatagram: (buffer, start, end, from, now) =>
        options.onMessage(buffer, start, end, from, now, socket()),
      onBatchEnd: options.onBatchEnd,
      ...shared ? { onWake: options.onWake, blockedInARow: BLOCKED_IN_A_ROW } : {},
      onError: (error) => options.onError?.(`socket: ${error.message}`),
    });
  } catch (error) {
    throw new BindError((error as Error).message);
  }
}

/** u1: all calls share a socket. */
class OneSocket implements RealTransport {
  readonly reliable = false;
  readonly perCall = false;
  readonly local: Address;

  private constructor(private readonly socket: DatagramSocket) {
    this.local = socket.local;
  }
  static async open(options: TransportOptions): Promise<OneSocket> {
    return new OneSocket(await bind(options, options.host, options.port, () => 0, true));
  }
  get dropped(): number {
    return this.socket.dropped;
  }
  send(bytes: Uint8Array, start: number, end: number, to: Address): void {
    this.socket.send(bytes, start, end, to);
  }
  async close(): Promise<void> {
    await this.socket.close();
  }
}

/** un: a socket for each call, kept for a later one when the call is over. */
class ManySockets implements RealTransport {
  readonly reliable = false;
  readonly perCall = true;
  readonly local: Address;
  readonly #options: TransportOptions;
  /** By number; 0 is none's. */
  readonly #sockets: (DatagramSocket | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #opening = 0;
  #closed = false;

  private constructor(options: TransportOptions) {
    this.#options = options;
    this.local = { host: options.host, port: 0 };
  }
  static async open(options: TransportOptions): Promise<ManySockets> {
    const transport = new ManySockets(options);
    await transport.#open();
    return transport;
  }
  get dropped(): number {
    return this.#sockets.reduce((sum, socket) => sum + (socket?.dropped ?? 0), 0);
  }
  ready(): boolean {
    if (this.#free.length > 0) return true;
    if (this.#opening === 0 && this.#sockets.length <= this.#options.maxSockets) {
      this.#open().then(
        () => this.#options.onBatchEnd(now()),
        (error) => this.#options.onError?.(error.message),
      );
    }
    return false;
  }
  take(): { socket: number; local: Address } {
    const socket = this.#free.pop()!;
    return { socket, local: this.#sockets[socket]!.local };
  }
  give(socket: number): void {
    this.#free.push(socket);
  }
  send(bytes: Uint8Array, start: number, end: number, to: Address, socket: number): void {
    this.#sockets[socket]?.send(bytes, start, end, to);
  }
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#sockets.map((socket) => socket?.close()));
  }

  /** Opens some: as many again as there are, up to 256. */
  async #open(): Promise<void> {
    const room = this.#options.maxSockets - (this.#sockets.length - 1);
    const count = Math.min(room, Math.max(16, Math.min(256, this.#sockets.length)));
    this.#opening = count;
    try {
      for (let i = 0; i < count && !this.#closed; i++) {
        let number = 0;
        const socket = await bind(this.#options, this.#options.host, 0, () => number, false);
        number = this.#sockets.push(socket) - 1;
        this.#free.unshift(number);
      }
    } finally {
      this.#opening = 0;
    }
  }
}

/** ui: a socket for each local address that the injection file names. */
class SocketPerAddress implements RealTransport {
  readonly reliable = false;
  readonly perCall = true;
  readonly #options: TransportOptions;
  readonly #sockets: DatagramSocket[] = [];
  readonly #byHost = new Map<string, number>();

  private constructor(options: TransportOptions) {
    this.#options = options;
  }
  static async open(options: TransportOptions): Promise<SocketPerAddress> {
    const transport = new SocketPerAddress(options);
    const file = options.files!.files[0];
    try {
      for (let line = 0; line < file.size; line++) {
        const host = file.text(line, options.ipField).trim();
        if (transport.#byHost.has(host)) continue;
        if (!/^[0-9.]+$|:/.test(host)) {
          throw new Error(
            `${file.name}, line of values ${line + 1}: ${JSON.stringify(host)} is no IP address`,
          );
        }
        if (transport.#byHost.size === MAX_ADDRESSES) {
          throw new Error(`${file.name}: more than ${MAX_ADDRESSES} local addresses`);
        }
        const number = transport.#sockets.length;
        transport.#sockets.push(await bind(options, host, options.port, () => number, false));
        transport.#byHost.set(host, number);
      }
    } catch (error) {
      await transport.close();
      throw error;
    }
    return transport;
  }
  get local(): Address {
    return this.#sockets[0].local;
  }
  get dropped(): number {
    return this.#sockets.reduce((sum, { dropped }) => sum + dropped, 0);
  }
  take(call: Call): { socket: number; local: Address } {
    const { files, ipField } = this.#options;
    const socket = this.#byHost.get(files!.files[0].text(call.lines[0], ipField).trim()) ?? 0;
    return { socket, local: this.#sockets[socket].local };
  }
  send(bytes: Uint8Array, start: number, end: number, to: Address, socket: number): void {
    this.#sockets[socket].send(bytes, start, end, to);
  }
  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }
}

/** One connection: its messages, and what waits to be written. */
class Connection {
  readonly writer: StreamWriter;
  constructor(readonly stream: Deno.TcpConn, onError: (error: unknown) => void) {
    this.writer = new StreamWriter(stream, { onError });
  }
}

/** t1 and tn: TCP, to the called side or from the callers. */
class Connections implements RealTransport {
  readonly reliable = true;
  readonly perCall: boolean;
  readonly local: Address;
  dropped = 0;
  readonly #options: TransportOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #locals = new Map<number, Address>();
  #listener: Deno.TcpListener | undefined;
  /** Numbers of connections that no call uses. */
  readonly #free: number[] = [];
  #last = 0;
  #opening = 0;
  #closed = false;

  private constructor(options: TransportOptions, local: Address) {
    this.#options = options;
    this.local = local;
    this.perCall = options.transport === "tn" && options.remote !== undefined;
  }

  static listen(options: TransportOptions): Connections {
    const { host, port } = options;
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname: host, port });
    } catch (error) {
      const reason = error instanceof Deno.errors.AddrInUse
        ? "the port is in use by another program"
        : (error as Error).message.split("\n")[0];
      throw new BindError(`tcp:${formatAddress({ host, port })}: ${reason}`);
    }
    const { hostname, port: bound } = listener.addr as Deno.NetAddr;
    const transport = new Connections(options, { host: hostname, port: bound });
    transport.#listener = listener;
    transport.#accept(listener);
    return transport;
  }

  static async connect(options: TransportOptions): Promise<Connections> {
    const number = options.transport === "t1" ? 0 : 1;
    const stream = await dial(options);
    const { hostname, port } = stream.localAddr as Deno.NetAddr;
    const transport = new Connections(options, { host: hostname, port });
    transport.#last = number;
    transport.#add(number, stream);
    if (number === 1) transport.#free.push(number);
    return transport;
  }

  ready(): boolean {
    if (!this.perCall) return this.#connections.has(0) || !this.#reopen();
    if (this.#free.length > 0) return true;
    if (this.#opening === 0 && this.#connections.size < this.#options.maxSockets) this.#more();
    return false;
  }
  take(): { socket: number; local: Address } | undefined {
    if (!this.perCall) return undefined;
    const socket = this.#free.pop()!;
    return { socket, local: this.#locals.get(socket) ?? this.local };
  }
  give(socket: number): void {
    if (this.perCall && this.#connections.has(socket)) this.#free.push(socket);
  }
  closeConnection(socket: number): void {
    this.#drop(socket);
  }
  setDestination(_call: Call, to: Address, protocol: string): void {
    const { remote } = this.#options;
    if (protocol.toLowerCase() !== "tcp") throw new Error(`<setdest>: a call cannot change to ${protocol}`);
    if (remote?.host !== to.host || remote.port !== to.port) {
      throw new Error("<setdest>: over TCP the connection leads where it leads");
    }
  }

  send(bytes: Uint8Array, start: number, end: number, _to: Address, socket: number): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.writer.queued > MAX_QUEUED) {
      this.dropped++;
      return;
    }
    connection.writer.push([bytes.slice(start, end)]);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener?.close();
    const writers = [...this.#connections.values()].map(({ writer }) => writer.drained);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([Promise.all(writers), new Promise((resolve) => timer = setTimeout(resolve, 500))]);
    clearTimeout(timer);
    for (const number of [...this.#connections.keys()]) this.#drop(number);
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    try {
      for await (const stream of listener) this.#add(++this.#last, stream);
    } catch (error) {
      if (!this.#closed) this.#options.onError?.(`socket: ${(error as Error).message}`);
    }
  }

  /** More connections for calls of their own. */
  async #more(): Promise<void> {
    const room = this.#options.maxSockets - this.#connections.size;
    this.#opening = Math.min(room, Math.max(8, Math.min(64, this.#connections.size)));
    try {
      const streams = await Promise.all(Array.from({ length: this.#opening }, () => dial(this.#options)));
      for (const stream of streams) {
        const number = ++this.#last;
        this.#add(number, stream);
        this.#free.unshift(number);
      }
      this.#options.onBatchEnd(now());
    } catch (error) {
      this.#options.onError?.((error as Error).message);
    }
    this.#opening = 0;
  }

  /** The lost connection of t1 again. Always true: it is under way. */
  #reopen(): true {
    if (this.#opening === 0 && !this.#closed) {
      this.#opening = 1;
      dial(this.#options).then((stream) => {
        this.#opening = 0;
        if (this.#closed) return stream.close();
        this.#add(0, stream);
        this.#options.onBatchEnd(now());
      }, (error) => {
        this.#options.onError?.(error.message);
        setTimeout(() => {
          this.#opening = 0;
          this.#options.onBatchEnd(now());
        }, 1000);
      });
    }
    return true;
  }

  #add(number: number, stream: Deno.TcpConn): void {
    const connection = new Connection(stream, () => this.#drop(number));
    const { hostname, port } = stream.remoteAddr as Deno.NetAddr;
    const own = stream.localAddr as Deno.NetAddr;
    stream.setNoDelay(true);
    this.#connections.set(number, connection);
    this.#locals.set(number, { host: own.hostname, port: own.port });
    this.#read(number, connection, { host: hostname, port });
  }

  async #read(number: number, { stream, writer }: Connection, from: Address): Promise<void> {
    const framer = new StreamFramer();
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        const count = await stream.read(buffer);
        if (count === null) break;
        const time = now();
        for (const event of framer.push(buffer.subarray(0, count))) {
          if (event.type === "message") {
            this.#options.onMessage(event.buffer, event.start, event.end, from, time, number);
          } else if (event.type === "ping") writer.push([PONG]);
          else {
            this.#options.onError?.(`tcp:${formatAddress(from)}: ${event.problem.text}`);
            return this.#drop(number);
          }
        }
        this.#options.onBatchEnd(time);
      }
    } catch (error) {
      if (!this.#closed && this.#connections.has(number)) {
        this.#options.onError?.(`tcp:${formatAddress(from)}: ${(error as Error).message}`);
      }
    }
    this.#drop(number);
  }

  #drop(number: number): void {
    const connection = this.#connections.get(number);
    if (connection === undefined) return;
    this.#connections.delete(number);
    this.#locals.delete(number);
    const at = this.#free.indexOf(number);
    if (at >= 0) this.#free.splice(at, 1);
    connection.writer.clear();
    try {
      connection.stream.close();
    } catch {
      // The far end was quicker.
    }
  }
}

/** RFC 5626 §4.4.1. */
const PONG = new Uint8Array([13, 10]);

async function dial({ remote, sendTo }: TransportOptions): Promise<Deno.TcpConn> {
  const to = sendTo ?? remote!;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), CONNECT_MS);
  });
  const connecting = Deno.connect({ hostname: to.host, port: to.port });
  try {
    return await Promise.race([connecting, late]);
  } catch (error) {
    connecting.then((stream) => stream.close(), () => {});
    const reason = error instanceof Deno.errors.ConnectionRefused
      ? "nobody listens there"
      : (error as Error).message.split("\n")[0];
    throw new Error(`tcp:${formatAddress(to)}: ${reason}`);
  } finally {
    clearTimeout(timer);
  }
}
