/** A UDP socket of Linux by the functions of its C library, which Deno calls directly (FFI). */
import { Errno } from "./errno.ts";
import type { AdoptedSockets } from "./datagram.ts";
import type { MessageBatch } from "./batched_messages_io.ts";
import { AF_INET, AF_INET6, SOCKADDR_IN6_WORDS, toSockaddr } from "./sockaddr.ts";

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;
const POLLIN = 1;
const POLLFD_BYTES = 8;
const SHUT_RDWR = 2;

/** Room for bursts in the system, bytes: at 600 bytes a message some 1,800 of them, the load of many milliseconds. */
const SOCKET_BUFFER_BYTES = 4 << 20;
/** A poll ends by itself after so long, ms: its thread cannot be stopped when a worker is terminated without a close. */
const POLL_MS = 1000;

const SYMBOLS = {
  __errno_location: { parameters: [], result: "pointer" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  calloc: { parameters: ["usize", "usize"], result: "pointer" },
  close: { parameters: ["i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  free: { parameters: ["pointer"], result: "void" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  poll: { parameters: ["pointer", "u64", "i32"], result: "i32", nonblocking: true },
  recvmmsg: { parameters: ["i32", "pointer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "pointer", "u32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>;

let libc: Libc | undefined;
let users = 0;

/** The library, loaded while any socket is open: shared, so that V8 compiles its calls for one target each. */
function acquireLibc(): Libc {
  libc ??= Deno.dlopen("libc.so.6", SYMBOLS);
  users++;
  return libc;
}

function releaseLibc(): void {
  if (--users > 0) return;
  libc?.close();
  libc = undefined;
}

/** Why a call of the system failed. */
export class SystemError extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}

/**
 * Closes what a worker that was ended by force has left open: its port would still be bound, and the system would go
 * on to give it datagrams.
 *
 * @param descriptors those of {@linkcode DatagramSocket.descriptors}; not of a socket that was closed, for the numbers
 * are used again
 */
export function closeDescriptors(descriptors: readonly number[]): void {
  const { symbols } = acquireLibc();
  for (const descriptor of descriptors) {
    // A poll under way would keep the port for another second.
    symbols.shutdown(descriptor, SHUT_RDWR);
    symbols.close(descriptor);
  }
  releaseLibc();
}

/** What a batched socket needs of the system. Numbers below 0 are errors: -EAGAIN, … */
export interface DatagramSystem {
  /** The bound address: `sockaddr_in` or `sockaddr_in6`. */
  readonly sockaddr: Uint32Array;
  /** What it holds open in the system. */
  readonly descriptors: readonly number[];
  /** Receives what is there, at most the batch's size. @returns messages received, or an error */
  receive(batch: MessageBatch): number;
  /** Sends messages [first, end). @returns messages sent, or the error of the first */
  send(batch: MessageBatch, first: number, end: number): number;
  /** Resolves when there is something to receive, after {@linkcode wake}, or after a second or so. */
  readable(): Promise<void>;
  /** Ends the waiting. */
  wake(): void;
  /** Blocks the thread for so long, ms, or until a signal. */
  sleep(ms: number): void;
  /** Gives everything back; not while {@linkcode readable} is outstanding. */
  close(): void;
}

/** Whether the library can be loaded. */
export function hasLibc(): boolean {
  try {
    acquireLibc();
    releaseLibc();
    return true;
  } catch {
    return false;
  }
}

/** One bound socket. */
export class LibcSocket implements DatagramSystem {
  readonly sockaddr = new Uint32Array(SOCKADDR_IN6_WORDS);
  readonly #libc: Libc;
  readonly #errno: Deno.UnsafePointerView;
  /** File descriptors; -1: not open. */
  #socket = -1;
  #wakeup = -1;
  /** Whether the socket stays open when this object is closed: another thread has opened it. */
  #adopted = false;
  /** Where datagrams are received from, the most urgent first. */
  #receiving: readonly number[] = [];
  /** `struct pollfd` of the last and of those. From malloc: a poll may write there when the worker that called it is gone. */
  #polled: Deno.PointerValue = null;

  /**
   * Opens and binds it.
   *
   * @param ip 4 or 16 bytes
   * @throws {SystemError}
   */
  constructor(ip: Uint8Array, port: number, reusePort: boolean);
  /**
   * Takes bound sockets over that another thread of the process has opened, and will close.
   *
   * @throws {SystemError}
   */
  constructor(adopted: AdoptedSockets);
  constructor(from: Uint8Array | AdoptedSockets, port = 0, reusePort = false) {
    this.#libc = acquireLibc();
    // The place belongs to the thread, and an isolate stays on its thread.
    this.#errno = new Deno.UnsafePointerView(this.#libc.symbols.__errno_location()!);
    try {
      if (from instanceof Uint8Array) {
        this.#bind(toSockaddr(from, port), reusePort);
        this.#receiving = [this.#socket];
      } else {
        this.#socket = from.socket;
        this.#adopted = true;
        this.#receiving = from.receiveFrom ?? [from.socket];
      }
      this.#prepare();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #bind(sockaddr: Uint32Array, reusePort: boolean): void {
    const { symbols } = this.#libc;
    const family = sockaddr.length === SOCKADDR_IN6_WORDS ? AF_INET6 : AF_INET;
    this.#socket = this.#check(symbols.socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // The forced form ignores the system's limits and needs CAP_NET_ADMIN; the other takes what it can get.
    for (const [force, plain] of [[SO_RCVBUFFORCE, SO_RCVBUF], [SO_SNDBUFFORCE, SO_SNDBUF]]) {
      if (!this.#setOption(force, SOCKET_BUFFER_BYTES)) this.#setOption(plain, SOCKET_BUFFER_BYTES);
    }
    if (reusePort) this.share();
    this.#check(symbols.bind(this.#socket, bytesOf(sockaddr), sockaddr.byteLength));
  }

  #prepare(): void {
    const { symbols } = this.#libc;
    this.#wakeup = this.#check(symbols.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    const length = Uint32Array.of(this.sockaddr.byteLength);
    this.#check(symbols.getsockname(this.#socket, bytesOf(this.sockaddr), bytesOf(length)));
    const waiting = [this.#wakeup, ...this.#receiving];
    this.#polled = symbols.calloc(BigInt(waiting.length), BigInt(POLLFD_BYTES));
    if (this.#polled === null) throw new SystemError(Errno.ENOMEM);
    const bytes = Deno.UnsafePointerView.getArrayBuffer(this.#polled, waiting.length * POLLFD_BYTES);
    new Int32Array(bytes).set(waiting.flatMap((descriptor) => [descriptor, POLLIN]));
  }

  get descriptors(): readonly number[] {
    return this.#adopted ? [this.#wakeup] : [this.#socket, this.#wakeup];
  }

  /** The bound socket, to be taken over by another thread. */
  get descriptor(): number {
    return this.#socket;
  }

  /**
   * Lets other sockets be bound to the same port from now on (SO_REUSEPORT), if they ask for it too. Linux knows it
   * after the binding as well: then the port was free before.
   *
   * @throws {SystemError}
   */
  share(): void {
    if (!this.#setOption(SO_REUSEPORT, 1)) throw new SystemError(this.#lastErrno());
  }

  receive(batch: MessageBatch): number {
    const { symbols } = this.#libc;
    let count = 0;
    let errno: number = Errno.EAGAIN;
    for (const socket of this.#receiving) {
      if (count === batch.size) break;
      const got = symbols.recvmmsg(socket, batch.pointers[count], batch.size - count, MSG_DONTWAIT, null);
      if (got >= 0) count += got;
      else if (errno === Errno.EAGAIN) errno = this.#lastErrno();
    }
    return count > 0 ? count : -errno;
  }

  send(batch: MessageBatch, first: number, end: number): number {
    const { symbols } = this.#libc;
    const count = symbols.sendmmsg(this.#socket, batch.pointers[first], end - first, MSG_DONTWAIT);
    return count < 0 ? -this.#lastErrno() : count;
  }

  async readable(): Promise<void> {
    await this.#libc.symbols.poll(this.#polled, BigInt(1 + this.#receiving.length), POLL_MS);
  }

  wake(): void {
    this.#libc.symbols.write(this.#wakeup, bytesOf(Uint32Array.of(1, 0)), 8n);
  }

  sleep(ms: number): void {
    this.#libc.symbols.usleep(1000 * ms);
  }

  close(): void {
    const { symbols } = this.#libc;
    if (this.#polled !== null) symbols.free(this.#polled);
    if (this.#wakeup >= 0) symbols.close(this.#wakeup);
    if (this.#socket >= 0 && !this.#adopted) symbols.close(this.#socket);
    releaseLibc();
  }

  #setOption(option: number, value: number): boolean {
    return this.#libc.symbols.setsockopt(
      this.#socket,
      SOL_SOCKET,
      option,
      bytesOf(Int32Array.of(value)),
      4,
    ) === 0;
  }

  #lastErrno(): number {
    return this.#errno.getInt32();
  }

  #check(result: number): number {
    if (result < 0) throw new SystemError(this.#lastErrno());
    return result;
  }
}

function bytesOf(view: Uint32Array | Int32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer as ArrayBuffer);
}
