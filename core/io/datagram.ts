/** Datagram sockets as the programs see them, whatever carries them. */
import type { Address } from "../sip/address.ts";

/** A datagram is at most 65,507 bytes long over IPv4; over IPv6 a little longer. */
export const MAX_DATAGRAM = 65_535;
/** How long datagrams are drained before other things have their turn, ms. */
export const DRAIN_MS = 1.5;
/** The clock is looked at once in so many datagrams. */
export const DRAIN_CHECK = 8;
/** Errors in a row before the loop takes a breath, and how long, ms. */
export const ERRORS_IN_A_ROW = 8;
export const ERROR_PAUSE_MS = 10;
/** Longest wait for more datagrams by default, ms. */
export const DEFAULT_MODERATION_MS = 1;
/** It waits when so many datagrams are to be expected meanwhile. */
export const WORTH_WAITING = 1;
/** A wait that is longer leaves the thread to others, ms. */
export const MAX_BLOCKED_MS = 2;
/** So many waits in a row may block the thread; then the event loop has its turn. */
export const BLOCKED_IN_A_ROW = 3;
/** With {@linkcode DatagramOptions.onWake}, so many waits in a row may bring nothing. */
export const EMPTY_IN_A_ROW = 8;

/** Why a socket could not be opened, in words that both sockets use. */
export const OpenProblem = {
  PORT_IN_USE: "the port is in use by another program",
  NO_SUCH_ADDRESS: "this machine has no such address",
  PORT_NOT_ALLOWED: "the system does not allow this port",
  NET_NOT_ALLOWED: "not allowed: Deno needs --allow-net for it",
  FFI_NOT_ALLOWED: "batched I/O is not allowed: Deno needs --allow-ffi for it",
  NO_BATCHES: "batched I/O needs Linux on x86-64 or arm64",
  NO_REUSE_PORT: "only batched I/O can share a port",
} as const;

/** What carries the datagrams: `batched` is recvmmsg and sendmmsg of Linux, `deno` the sockets of Deno. */
export type DatagramIo = "batched" | "deno";

/** Room for one datagram to be sent. */
export interface SendSlot {
  /** Where to write; only [offset, offset + capacity) of it. */
  readonly buffer: Uint8Array;
  readonly offset: number;
  /** Bytes. */
  readonly capacity: number;
}

/** A bound UDP socket. */
export interface DatagramSocket {
  /** What carries it. */
  readonly io: DatagramIo;
  /** Where it is bound; with port 0 asked for, the port that was given. */
  readonly local: Address;
  /**
   * File descriptors that do not close by themselves when the worker that opened them is terminated or crashes: who
   * started the worker has to call `closeDescriptors` then. Deno's own sockets have none.
   */
  readonly descriptors: readonly number[];
  /** Datagrams that were not sent, because the queue was full or the system refused them. */
  readonly dropped: number;
  /** Datagrams that were longer than `maxDatagram`, and were not delivered. */
  readonly truncated: number;
  /**
   * Sends buffer[start, end) to `to`, in the order of the calls. Never throws; the bytes are copied or sent before it
   * returns. UDP loses datagrams anyway, so one that cannot be sent counts as lost: see {@linkcode dropped}.
   * A batched socket sends at the end of the batch that is being delivered, otherwise at the end of the current turn.
   *
   * @param to an IP address and a port. Names are for the caller to look up: a datagram to one may be dropped
   */
  send(buffer: Uint8Array, start: number, end: number, to: Address): void;
  /**
   * Room to write a datagram in place, which {@linkcode commit} sends: the same as {@linkcode send}, without the copy.
   * Always the same object. It holds until the next call of `commit`, `send` or `reserve`, and not beyond the
   * current turn; a reservation that is not committed costs nothing.
   */
  reserve(): SendSlot;
  /**
   * Sends the first `length` bytes of the reserved room.
   *
   * @throws {RangeError} without a reservation, or when `length` is more than its capacity
   */
  commit(length: number, to: Address): void;
  /** Ends it: no datagram is delivered after this call. What cannot be sent at once is given up. Resolves when it has ended. */
  close(): Promise<void>;
}

/**
 * File descriptors of bound sockets that another thread of this process has opened (`bindDatagramSockets`), and that stay
 * open when the one that uses them is closed.
 */
export interface AdoptedSockets {
  /** The socket that sends. */
  readonly socket: number;
  /**
   * Those that are received from, the most urgent first; by default the one that sends. One loop for several costs less
   * than a loop for each. None: a socket that sends alone.
   */
  readonly receiveFrom?: readonly number[];
}

/** How to open a {@linkcode DatagramSocket}. */
export interface DatagramOptions {
  /** The IPv4 or IPv6 address to bind. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** What tells this listener from others: `flow` of the addresses that datagrams come from. Default 0. */
  readonly flow?: number;
  /**
   * Whether other sockets that ask for it too may be bound to the same port (SO_REUSEPORT); the system then spreads
   * the datagrams over them by their source. Batched sockets only. Default false.
   */
  readonly reusePort?: boolean;
  /** Bound sockets to be used instead of opening one at `host` and `port`. Batched sockets only. */
  readonly adopt?: AdoptedSockets;
  /**
   * Under load a batched socket waits this long, in milliseconds, for more datagrams before it looks again: fewer
   * awakenings for a delay. 0: never. It does not wait while hardly two datagrams would come meanwhile. Default 2.
   *
   * Every second wait of up to 2 ms blocks the thread, if the socket is the thread's only one: timers and other I/O
   * are that much later at most. See {@linkcode urgent}.
   */
  readonly moderation?: number;
  /** Longest datagram that is received, bytes. Default 65,535. */
  readonly maxDatagram?: number;
  /**
   * Memory for received datagrams, taken once: as many bytes as asked for, or undefined when there are not so many. So
   * they can be where who reads them wants them. Batched sockets only; without it the socket has its own.
   */
  readonly memory?: (size: number) => Uint8Array<ArrayBuffer> | undefined;
  /**
   * A datagram: buffer[start, end), valid only during the call. The same host and port come as the same `Address`
   * object (while no more than some thousand others are about).
   *
   * @param now the time in milliseconds, as `now()` told it not long ago: datagrams that were there together share it
   */
  onDatagram(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void;
  /** After the last of the datagrams that were there together, before the replies to them leave; `now` as there. */
  onBatchEnd?(now: number): void;
  /**
   * After each wait, whether datagrams have come or not: for who sends by the clock and would need timers else. `busy`:
   * the socket waits again and calls this in time; after a call with false it waits for datagrams alone. Batched sockets only.
   */
  onWake?(now: number, busy: boolean): void;
  /** So many waits in a row may block the thread; then the event loop has its turn. Default 3. */
  readonly blockedInARow?: number;
  /** Whether something is awaited that only the event loop brings, such as an answer over TCP: no wait blocks then. */
  urgent?(): boolean;
  /** An error of the socket, or one thrown by `onDatagram`. The socket goes on. */
  onError(error: Error): void;
}

/** Opens a socket; rejects with an Error whose message is one clear line. */
export type OpenDatagram = (options: DatagramOptions) => Promise<DatagramSocket>;

/** Calls a handler for an error; its own fault is reported as an uncaught one, and the socket lives on. */
export function reportTo(options: Pick<DatagramOptions, "onError">, error: unknown): void {
  try {
    options.onError(error instanceof Error ? error : new Error(String(error)));
  } catch (second) {
    reportError(second);
  }
}
