/** UDP in batches on Linux: many datagrams per system call (recvmmsg, sendmmsg), by FFI. */
import { lookup } from "node:dns/promises";
import { firstLine } from "../cli/first_line.ts";
import { type Address, formatAddress } from "../sip/address.ts";
import { ArrivalRate } from "./arrival_rate.ts";
import { type DatagramSystem, hasLibc, LibcSocket, SystemError } from "./batched_libc_io.ts";
import { MessageBatch } from "./batched_messages_io.ts";
import { now, systemRandom } from "./clock_io.ts";
import {
  BLOCKED_IN_A_ROW,
  type DatagramOptions,
  type DatagramSocket,
  DEFAULT_MODERATION_MS,
  DRAIN_CHECK,
  DRAIN_MS,
  EMPTY_IN_A_ROW,
  ERROR_PAUSE_MS,
  ERRORS_IN_A_ROW,
  MAX_BLOCKED_MS,
  MAX_DATAGRAM,
  OpenProblem,
  reportTo,
  type SendSlot,
  WORTH_WAITING,
} from "./datagram.ts";
import { Errno, errnoName } from "./errno.ts";
import { parseIpAddress } from "./ip_address.ts";
import { PeerTable } from "./peer_table.ts";
import { hostOf, portOf } from "./sockaddr.ts";
import { inNextTurn } from "./turn_io.ts";

/** Messages per system call; measured in docs/decisions/batched_datagrams.md. */
const BATCH = 64;
/** When the system's send buffer was full, it is tried again after so long, ms. */
const RETRY_MS = 1;
/** Timers of Deno come so much later than they should, ms. */
const TIMER_DELAY_MS = 1;

/** Open sockets of this thread: while there are several, none may block it. */
let openSockets = 0;

/** A socket over a {@linkcode DatagramSystem}; {@linkcode openBatchedDatagramSocket} makes one over the C library. */
export class BatchedDatagramSocket implements DatagramSocket {
  readonly io = "batched";
  readonly local: Address;
  dropped = 0;
  truncated = 0;
  readonly #options: DatagramOptions;
  readonly #system: DatagramSystem;
  readonly #moderation: number;
  readonly #peers: PeerTable;
  /** The last look at the clock. */
  #now = now();
  readonly #rate = new ArrivalRate(this.#now);

  /** Received messages; [#next, #filled) are not delivered yet. */
  readonly #received: MessageBatch;
  #next = 0;
  #filled = 0;
  /** Whether this drain has delivered anything. */
  #found = false;
  #errors = 0;
  /** How many waits have blocked the thread since the event loop had its turn. */
  #blocked = 0;
  /** How many waits in a row brought nothing. */
  #empty = 0;

  /**
   * Messages to send: [#first, #count) wait. The place behind the last is for those that find the batch full, so
   * that whoever writes a message need not ask.
   */
  readonly #outgoing = new MessageBatch(BATCH + 1, MAX_DATAGRAM);
  #first = 0;
  #count = 0;
  readonly #slot = { buffer: this.#outgoing.data, offset: 0, capacity: MAX_DATAGRAM };
  /** The place that was reserved, -1: none. */
  #reserved = -1;

  #draining = false;
  #flushing = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #running: Promise<void>;

  /** @param system its own from now on: it is closed with the socket */
  constructor(system: DatagramSystem, options: DatagramOptions) {
    this.#system = system;
    this.#options = options;
    this.#peers = new PeerTable(systemRandom.below(2 ** 32), options.flow);
    this.#moderation = options.moderation ?? DEFAULT_MODERATION_MS;
    this.#received = new MessageBatch(BATCH, options.maxDatagram ?? MAX_DATAGRAM, options.memory);
    this.local = { host: hostOf(system.sockaddr, 0), port: portOf(system.sockaddr, 0) };
    openSockets++;
    this.#running = this.#run();
  }

  get descriptors(): readonly number[] {
    return this.#closed ? [] : this.#system.descriptors;
  }

  send(buffer: Uint8Array, start: number, end: number, to: Address): void {
    const length = end - start;
    const { offset, capacity } = this.reserve();
    if (length > capacity) return this.#refuse(Errno.EMSGSIZE, to);
    const bytes = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
    this.#outgoing.data.set(bytes, offset);
    this.commit(length, to);
  }

  reserve(): SendSlot {
    if (this.#count === BATCH) this.#flush();
    this.#reserved = this.#count;
    this.#slot.offset = this.#outgoing.offset(this.#reserved);
    return this.#slot;
  }

  commit(length: number, to: Address): void {
    const place = this.#reserved;
    this.#reserved = -1;
    if (place < 0) throw new RangeError("commit without reserve");
    if (length > MAX_DATAGRAM) {
      throw new RangeError(`commit of ${length} bytes; a datagram has ${MAX_DATAGRAM} at most`);
    }
    if (this.#closed) return;
    if (place === BATCH) {
      this.dropped++;
      return;
    }
    const peer = this.#peers.fromAddress(to);
    if (peer === undefined) return this.#refuse(Errno.EDESTADDRREQ, to);
    this.#outgoing.address(place, length, peer.sockaddr);
    this.#count = place + 1;
    if (!this.#draining) this.#flushSoon();
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#flush();
      this.#closed = true;
      clearTimeout(this.#retry);
      this.#system.wake();
    }
    return this.#running;
  }

  /** Waits for datagrams and delivers them until the end. */
  async #run(): Promise<void> {
    await this.#system.readable();
    for (let turns = 1; !this.#closed; turns++) {
      this.#found = false;
      if (!this.#drain()) await yieldTurn(turns);
      else if (this.#errors >= ERRORS_IN_A_ROW) await sleep(ERROR_PAUSE_MS);
      else if (this.#isBusy() && this.#mayWaitAgain()) {
        await this.#pause();
        this.#wake(true);
      } else {
        this.#wake(false);
        if (!this.#closed) await this.#system.readable();
      }
    }
    openSockets--;
    this.#system.close();
  }

  /** Whether there was something, or who sends by the clock may go on although there was nothing. */
  #mayWaitAgain(): boolean {
    this.#empty = this.#found ? 0 : this.#empty + 1;
    return this.#found || (this.#options.onWake !== undefined && this.#empty <= EMPTY_IN_A_ROW);
  }

  #wake(busy: boolean): void {
    const { onWake } = this.#options;
    if (onWake === undefined || this.#closed) return;
    try {
      onWake.call(this.#options, now(), busy);
    } catch (error) {
      reportTo(this.#options, error);
    }
    this.#flush();
  }

  /** Whether a wait is worth its delay. */
  #isBusy(): boolean {
    return this.#rate.perMs * this.#moderation >= WORTH_WAITING;
  }

  /**
   * Waits for more datagrams. Blocking the thread costs least, and takes no longer than it should; every so often the
   * event loop does it, and everything else has its turn.
   */
  #pause(): Promise<void> | undefined {
    if (this.#blocked >= (this.#options.blockedInARow ?? BLOCKED_IN_A_ROW) || !this.#mayBlock()) {
      this.#blocked = 0;
      return sleep(this.#moderation - TIMER_DELAY_MS);
    }
    this.#blocked++;
    this.#system.sleep(this.#moderation);
    return undefined;
  }

  #mayBlock(): boolean {
    return openSockets === 1 && this.#moderation <= MAX_BLOCKED_MS && !(this.#options.urgent?.() ?? false);
  }

  /** Delivers what is there, as far as the time allows. Returns whether that was all. */
  #drain(): boolean {
    let until = Infinity;
    for (;;) {
      if (this.#next < this.#filled) this.#now = now();
      else if (!this.#receive()) return true;
      until = Math.min(until, this.#now + DRAIN_MS);
      const inTime = this.#deliver(until);
      if (this.#closed) return true;
      if (!inTime) return false;
      // A batch that was not filled has emptied the socket.
      if (this.#filled < BATCH) return true;
    }
  }

  /** Fetches a batch. Returns whether there was one. */
  #receive(): boolean {
    let count: number;
    do count = this.#system.receive(this.#received); while (count === -Errno.EINTR);
    if (count > 0) {
      this.#next = 0;
      this.#filled = count;
      this.#errors = 0;
      this.#now = now();
      this.#rate.note(count, this.#now);
      return true;
    }
    if (count < 0 && count !== -Errno.EAGAIN) {
      // One that comes at every call must not eat the processor.
      this.#errors++;
      reportTo(this.#options, new Error(`${this.#name}: receiving: ${errnoName(-count)}`));
    }
    return false;
  }

  /** Delivers the batch until it ends or the time is up. Returns whether there is time left. */
  #deliver(until: number): boolean {
    const batch = this.#received;
    let inTime = true;
    this.#draining = true;
    this.#found = true;
    while (this.#next < this.#filled && inTime && !this.#closed) {
      const i = this.#next++;
      if (batch.isTruncated(i)) this.truncated++;
      else {
        const start = batch.offset(i);
        const from = this.#peers.fromSockaddr(batch.words, batch.sockaddr(i));
        try {
          this.#options.onDatagram(batch.data, start, start + batch.received(i), from, this.#now);
        } catch (error) {
          reportTo(this.#options, error);
        }
      }
      batch.reset(i);
      if (this.#next % DRAIN_CHECK === 0) {
        this.#now = now();
        inTime = this.#now < until;
      }
    }
    try {
      if (!this.#closed) this.#options.onBatchEnd?.(this.#now);
    } catch (error) {
      reportTo(this.#options, error);
    }
    this.#draining = false;
    this.#flush();
    return inTime;
  }

  /** Flushes at the end of the turn: what is sent in one turn leaves together. */
  #flushSoon(): void {
    if (this.#flushing || this.#retry !== undefined) return;
    this.#flushing = true;
    queueMicrotask(this.#flushNow);
  }
  readonly #flushNow = (): void => {
    this.#flushing = false;
    this.#retry = undefined;
    this.#flush();
  };

  /** Hands the waiting messages to the system. Those that it has no room for stay, and are tried again. */
  #flush(): void {
    if (this.#closed) return;
    let failed = 0;
    let errno = 0;
    while (this.#first < this.#count) {
      const sent = this.#system.send(this.#outgoing, this.#first, this.#count);
      if (sent > 0) this.#first += sent;
      else if (sent === -Errno.EAGAIN || sent === 0) {
        this.#retry ??= setTimeout(this.#flushNow, RETRY_MS);
        break;
      } else if (sent !== -Errno.EINTR) {
        // The error concerns the first message alone.
        this.#first++;
        failed++;
        errno = -sent;
      }
    }
    if (this.#first === this.#count) this.#first = this.#count = 0;
    if (failed > 0) this.#reportFailed(failed, errno);
  }

  /** Counts a datagram that is not even given to the system. */
  #refuse(errno: number, to: Address): void {
    this.#reserved = -1;
    if (this.#closed) return;
    this.dropped++;
    reportTo(this.#options, new Error(`${this.#name}: sending to ${formatAddress(to)}: ${errnoName(errno)}`));
  }

  /** One report per flush: under an error that lasts, the reports must not cost more than the datagrams. */
  #reportFailed(count: number, errno: number): void {
    this.dropped += count;
    const what = count === 1 ? "a datagram" : `${count} datagrams`;
    reportTo(this.#options, new Error(`${this.#name}: sending ${what}: ${errnoName(errno)}`));
  }

  get #name(): string {
    return `udp:${formatAddress(this.local)}`;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets timers run, and every so many turns all other I/O. */
function yieldTurn(turns: number): Promise<void> {
  return new Promise((resolve) => inNextTurn(resolve, turns));
}

/** Why there is no batched I/O here; undefined if there is. */
export function batchedIoProblem(): string | undefined {
  const { os, arch } = Deno.build;
  if (os !== "linux" || (arch !== "x86_64" && arch !== "aarch64")) return OpenProblem.NO_BATCHES;
  // Asked first, so that nobody is prompted.
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return OpenProblem.FFI_NOT_ALLOWED;
  return hasLibc() ? undefined : OpenProblem.NO_BATCHES;
}

/**
 * Opens a batched UDP socket. See {@linkcode batchedIoProblem} first.
 *
 * @throws {Error} (rejects) with one line: the port is in use, or the address is none of this machine's
 */
export async function openBatchedDatagramSocket(options: DatagramOptions): Promise<DatagramSocket> {
  const { host, port, reusePort = false, adopt } = options;
  try {
    if (adopt !== undefined) return new BatchedDatagramSocket(new LibcSocket(adopt), options);
    const ip = parseIpAddress(host) ?? parseIpAddress((await lookup(host)).address)!;
    return new BatchedDatagramSocket(new LibcSocket(ip, port, reusePort), options);
  } catch (error) {
    throw new Error(`udp:${formatAddress(options)}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Why a socket could not be opened, in one line. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof SystemError)) {
    return firstLine(error);
  }
  if (error.errno === Errno.EADDRINUSE) return OpenProblem.PORT_IN_USE;
  if (error.errno === Errno.EADDRNOTAVAIL || error.errno === Errno.EAFNOSUPPORT) {
    return OpenProblem.NO_SUCH_ADDRESS;
  }
  if (error.errno === Errno.EACCES) return OpenProblem.PORT_NOT_ALLOWED;
  return errnoName(error.errno);
}
