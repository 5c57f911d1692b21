/** The devices of tests/sim on real sockets and the real clock. */
import {
  type Address,
  type DatagramSocket,
  formatAddress,
  type HashBackend,
  now,
  openDatagramSocket,
  systemRandom,
} from "../mod.ts";
import type { Clock } from "./sim/event_queue.ts";
import type { Receiver, Wire } from "./sim/network.ts";

/** The real clock; what still waits at the end is dropped. */
class RealClock implements Clock {
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  get now(): number {
    return now();
  }

  at(time: number, action: () => void): void {
    this.after(time - this.now, action);
  }

  after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, Math.max(0, ms));
    this.#timers.add(timer);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

/** UDP sockets on 127.0.0.1. */
class LoopbackWire implements Wire {
  readonly #sockets = new Map<string, DatagramSocket>();
  readonly #receivers = new Map<string, Receiver>();

  /** Opens a socket on a free port. */
  async open(): Promise<Address> {
    const socket: DatagramSocket = await openDatagramSocket({
      host: "127.0.0.1",
      port: 0,
      onDatagram: (buffer, start, end, from) =>
        this.#receivers.get(formatAddress(socket.local))?.(buffer.slice(start, end), from),
      onError: (error) => {
        throw error;
      },
    });
    this.#sockets.set(formatAddress(socket.local), socket);
    return socket.local;
  }

  attach(address: Address, receive: Receiver | undefined): void {
    if (receive === undefined) this.#receivers.delete(formatAddress(address));
    else this.#receivers.set(formatAddress(address), receive);
  }

  send(from: Address, to: Address, buffer: Uint8Array, start = 0, end: number = buffer.length): void {
    this.#sockets.get(formatAddress(from))?.send(buffer, start, end, to);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sockets.values()].map((socket) => socket.close()));
  }
}

/** What the devices of a loopback test are put into. */
export class Loopback {
  readonly queue = new RealClock();
  readonly network = new LoopbackWire();
  readonly random = systemRandom;

  constructor(readonly hashes: HashBackend) {}

  /** Waits for a condition; false when it does not hold within `ms`. */
  async until(condition: () => boolean, ms = 20_000): Promise<boolean> {
    const end = now() + ms;
    while (!condition()) {
      if (now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return true;
  }

  async close(): Promise<void> {
    this.queue.stop();
    await this.network.close();
  }
}
