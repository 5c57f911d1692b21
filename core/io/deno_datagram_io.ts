/** UDP over Deno's own sockets (`Deno.listenDatagram`): works wherever Deno does, one system call per datagram. */
import { type Address, formatAddress } from "../sip/address.ts";
import { AddressTable, type NetAddress } from "./address_table.ts";
import {
  type DatagramOptions,
  type DatagramSocket,
  DRAIN_CHECK,
  DRAIN_MS,
  ERROR_PAUSE_MS,
  ERRORS_IN_A_ROW,
  MAX_DATAGRAM,
  OpenProblem,
  reportTo,
  type SendSlot,
} from "./datagram.ts";
import { now } from "./clock_io.ts";
import { openReason } from "./open_reason_io.ts";
import { inNextTurn } from "./turn_io.ts";

/** Datagrams that may wait to be sent. */
const MAX_QUEUED = 4096;
/** Datagrams up to this size are queued in reused buffers. */
const SLOT_BYTES = 2048;
/** Reused buffers at most. */
const MAX_SLOTS = 512;

interface Queued {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly to: Deno.NetAddr;
}

class DenoDatagramSocket implements DatagramSocket {
  readonly io = "deno";
  readonly local: Address;
  readonly descriptors: readonly number[] = [];
  dropped = 0;
  truncated = 0;
  readonly #socket: Deno.DatagramConn;
  readonly #options: DatagramOptions;
  readonly #addresses: AddressTable;
  readonly #slots: Uint8Array[] = [];
  #queue: Queued[] = [];
  #head = 0;
  #sending = false;
  #drained: Promise<void> = Promise.resolve();
  #reserved: SendSlot | undefined;
  #isReserved = false;
  #closed = false;
  readonly #receiving: Promise<void>;

  constructor(socket: Deno.DatagramConn, options: DatagramOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#addresses = new AddressTable(undefined, options.flow);
    const { hostname, port } = socket.addr as Deno.NetAddr;
    this.local = { host: hostname, port };
    this.#receiving = this.#receive();
  }

  send(buffer: Uint8Array, start: number, end: number, to: Address): void {
    this.#isReserved = false;
    if (this.#closed) return;
    if (this.#queue.length - this.#head >= MAX_QUEUED) {
      this.dropped++;
      return;
    }
    const length = end - start;
    // Deno reads the bytes after send() has returned, so they need a place that nobody else writes to.
    const bytes = length > SLOT_BYTES
      ? new Uint8Array(length)
      : this.#slots.pop() ?? new Uint8Array(SLOT_BYTES);
    bytes.set(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end));
    const address = (to as NetAddress).hostname === undefined ? this.#addresses.get(to.host, to.port) : to;
    this.#queue.push({ bytes, length, to: address as NetAddress });
    if (!this.#sending) this.#drained = this.#drain();
  }

  reserve(): SendSlot {
    this.#isReserved = true;
    return this.#reserved ??= { buffer: new Uint8Array(MAX_DATAGRAM), offset: 0, capacity: MAX_DATAGRAM };
  }

  commit(length: number, to: Address): void {
    if (!this.#isReserved) throw new RangeError("commit without reserve");
    if (length > MAX_DATAGRAM) {
      throw new RangeError(`commit of ${length} bytes; a datagram has ${MAX_DATAGRAM} at most`);
    }
    this.send(this.#reserved!.buffer, 0, length, to);
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#queue = [];
      this.#head = 0;
      this.#socket.close();
    }
    // A datagram under way holds the port.
    await Promise.all([this.#receiving, this.#drained]);
  }

  async #drain(): Promise<void> {
    this.#sending = true;
    while (this.#head < this.#queue.length) {
      const { bytes, length, to } = this.#queue[this.#head++];
      if (this.#head === this.#queue.length) {
        this.#queue.length = 0;
        this.#head = 0;
      } else if (this.#head === MAX_QUEUED) {
        this.#queue.splice(0, this.#head);
        this.#head = 0;
      }
      try {
        await this.#socket.send(bytes.subarray(0, length), to);
      } catch (error) {
        this.dropped++;
        if (!this.#closed) reportTo(this.#options, error);
      }
      if (bytes.length === SLOT_BYTES && this.#slots.length < MAX_SLOTS) this.#slots.push(bytes);
    }
    this.#sending = false;
  }

  async #receive(): Promise<void> {
    const { maxDatagram = MAX_DATAGRAM } = this.#options;
    // A datagram that fills the byte too many was cut off.
    const buffer = new Uint8Array(maxDatagram + 1);
    let turns = 0;
    let received = 0;
    let errors = 0;
    let since = now();
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(buffer);
        errors = 0;
        if (this.#closed) break;
        if (bytes.length > maxDatagram) this.truncated++;
        else {
          const { hostname, port } = from as Deno.NetAddr;
          const time = now();
          this.#options.onDatagram(buffer, 0, bytes.length, this.#addresses.get(hostname, port), time);
          this.#options.onBatchEnd?.(time);
        }
      } catch (error) {
        if (this.#closed) break;
        reportTo(this.#options, error);
        // An error that comes at every call must not eat the processor.
        if (++errors >= ERRORS_IN_A_ROW) await new Promise((resolve) => setTimeout(resolve, ERROR_PAUSE_MS));
      }
      if (++received % DRAIN_CHECK !== 0 || now() - since < DRAIN_MS) continue;
      await new Promise<void>((resolve) => inNextTurn(resolve, ++turns));
      since = now();
    }
  }
}

/**
 * Opens a UDP socket over `Deno.listenDatagram`.
 *
 * @throws {Error} (rejects) with one line: the port is in use, or the address is none of this machine's
 */
export function openDenoDatagramSocket(options: DatagramOptions): Promise<DatagramSocket> {
  const name = `udp:${formatAddress(options)}`;
  if (options.reusePort) return Promise.reject(new Error(`${name}: ${OpenProblem.NO_REUSE_PORT}`));
  try {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: options.host, port: options.port });
    return Promise.resolve(new DenoDatagramSocket(socket, options));
  } catch (error) {
    return Promise.reject(new Error(`${name}: ${openReason(error)}`, { cause: error }));
  }
}
