/** UDP over Deno's own sockets (`Deno.listenDatagram`): works wherever Deno does, one system call per datagram. */
import { setImmediate } from "node:timers";
import { type Address, formatAddress } from "../sip/address.ts";
import { AddressTable, type NetAddress } from "./address_table.ts";
import type { DatagramOptions, DatagramSocket } from "./datagram.ts";

/** A datagram is at most 65,507 bytes. */
const MAX_DATAGRAM = 65_536;
/** Datagrams that may wait to be sent. */
const MAX_QUEUED = 4096;
/** Datagrams up to this size are queued in reused buffers. */
const SLOT_BYTES = 2048;
/** Reused buffers at most. */
const MAX_SLOTS = 512;
/** How long datagrams are drained before other things have their turn, ms. */
const DRAIN_MS = 1.5;
/** The clock is looked at once in so many datagrams. */
const DRAIN_CHECK = 8;
/** Every so many turns the event loop polls everything: without it, TCP and timers starve under load. */
const POLL_EVERY = 8;
/** Errors in a row before the loop takes a breath, and how long, ms. */
const ERRORS_IN_A_ROW = 8;
const ERROR_PAUSE_MS = 10;

interface Queued {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly to: Deno.NetAddr;
}

class DenoDatagramSocket implements DatagramSocket {
  readonly local: Address;
  dropped = 0;
  readonly #socket: Deno.DatagramConn;
  readonly #options: DatagramOptions;
  readonly #addresses = new AddressTable();
  readonly #slots: Uint8Array[] = [];
  #queue: Queued[] = [];
  #head = 0;
  #sending = false;
  #closed = false;
  readonly #receiving: Promise<void>;

  constructor(socket: Deno.DatagramConn, options: DatagramOptions) {
    this.#socket = socket;
    this.#options = options;
    const { hostname, port } = socket.addr as Deno.NetAddr;
    this.local = { host: hostname, port };
    this.#receiving = this.#receive();
  }

  send(buffer: Uint8Array, start: number, end: number, to: Address): void {
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
    if (!this.#sending) this.#drain();
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#queue = [];
      this.#head = 0;
      this.#socket.close();
    }
    await this.#receiving;
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
        if (!this.#closed) this.#report(error);
      }
      if (bytes.length === SLOT_BYTES && this.#slots.length < MAX_SLOTS) this.#slots.push(bytes);
    }
    this.#sending = false;
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(MAX_DATAGRAM);
    let turns = 0;
    let received = 0;
    let errors = 0;
    let since = performance.now();
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(buffer);
        errors = 0;
        if (this.#closed) break;
        const { hostname, port } = from as Deno.NetAddr;
        this.#options.onDatagram(buffer, 0, bytes.length, this.#addresses.get(hostname, port));
      } catch (error) {
        if (this.#closed) break;
        this.#report(error);
        // An error that comes at every call must not eat the processor.
        if (++errors >= ERRORS_IN_A_ROW) await new Promise((resolve) => setTimeout(resolve, ERROR_PAUSE_MS));
      }
      if (++received % DRAIN_CHECK !== 0 || performance.now() - since < DRAIN_MS) continue;
      await new Promise<void>((resolve) => {
        if (++turns % POLL_EVERY === 0) setTimeout(resolve, 0);
        else setImmediate(resolve);
      });
      since = performance.now();
    }
  }

  #report(error: unknown): void {
    try {
      this.#options.onError(error instanceof Error ? error : new Error(String(error)));
    } catch (second) {
      // The handler is at fault; the socket must live on, and the fault must be seen.
      reportError(second);
    }
  }
}

/**
 * Opens a UDP socket over `Deno.listenDatagram`.
 *
 * @throws {Error} (rejects) with one line: the port is in use, or the address is none of this machine's
 * @example
 * ```ts
 * import { openDatagramSocket } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const got = Promise.withResolvers<string>();
 * const socket = await openDatagramSocket({
 *   host: "127.0.0.1",
 *   port: 0,
 *   onDatagram: (buffer, start, end) => got.resolve(new TextDecoder().decode(buffer.subarray(start, end))),
 *   onError: got.reject,
 * });
 * socket.send(new TextEncoder().encode("hello"), 0, 5, socket.local);
 * assertEquals(await got.promise, "hello");
 * await socket.close();
 * ```
 */
export function openDatagramSocket(options: DatagramOptions): Promise<DatagramSocket> {
  const name = `udp:${formatAddress(options)}`;
  try {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: options.host, port: options.port });
    return Promise.resolve(new DenoDatagramSocket(socket, options));
  } catch (error) {
    return Promise.reject(new Error(`${name}: ${reasonOf(error)}`, { cause: error }));
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "the port is in use by another program";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine has no such address";
  if (error instanceof Deno.errors.NotCapable) return "not allowed: Deno needs --allow-net for it";
  if (error instanceof Deno.errors.PermissionDenied) return "the system does not allow this port";
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}
