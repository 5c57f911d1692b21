/** For tests: a UDP relay on loopback that loses, doubles and holds back datagrams, from a seed. */
import { seededRandom } from "../../mod.ts";

/** How bad it is: shares of all datagrams, 0 to 1. */
export interface Loss {
  readonly lost: number;
  readonly doubled: number;
  /** Held back for {@linkcode HELD_MS}, so that later ones overtake. */
  readonly late: number;
}

/** ms */
const HELD_MS = 20;

/**
 * A datagram that comes to `address` from anywhere but the target goes to the target, from a socket for its sender; what the
 * target sends to that socket goes back to the sender from `address`.
 */
export class LossyRelay {
  readonly #front = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  /** By the sender's port. */
  readonly #sockets = new Map<number, Deno.DatagramConn>();
  readonly #random;
  readonly #running: Promise<void>[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  passed = 0;
  lost = 0;

  constructor(readonly targetPort: number, readonly loss: Loss, seed: number) {
    this.#random = seededRandom(seed);
    this.#running.push(this.#carry(this.#front, (bytes, from) => [bytes, this.#socketOf(from), targetPort]));
  }

  /** host:port */
  get address(): string {
    return `127.0.0.1:${(this.#front.addr as Deno.NetAddr).port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#front.close();
    for (const socket of this.#sockets.values()) socket.close();
    await Promise.all(this.#running);
  }

  #socketOf(senderPort: number): Deno.DatagramConn {
    let socket = this.#sockets.get(senderPort);
    if (socket === undefined) {
      socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      this.#sockets.set(senderPort, socket);
      this.#running.push(this.#carry(socket, (bytes) => [bytes, this.#front, senderPort]));
    }
    return socket;
  }

  async #carry(
    from: Deno.DatagramConn,
    onward: (bytes: Uint8Array, port: number) => [Uint8Array, Deno.DatagramConn, number],
  ): Promise<void> {
    try {
      for await (const [bytes, sender] of from) {
        this.#pass(...onward(bytes.slice(), (sender as Deno.NetAddr).port));
      }
    } catch {
      // Closed.
    }
  }

  #pass(bytes: Uint8Array, socket: Deno.DatagramConn, port: number): void {
    const [fate] = this.#random.bytes(1);
    const share = fate / 256;
    const { lost, doubled, late } = this.loss;
    if (share < lost) {
      this.lost++;
      return;
    }
    this.passed++;
    const send = () => {
      socket.send(bytes, { transport: "udp", hostname: "127.0.0.1", port }).catch(() => {}); // Nobody is there.
    };
    if (share < lost + late) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        send();
      }, HELD_MS);
      this.#timers.add(timer);
      return;
    }
    send();
    if (share < lost + late + doubled) send();
  }
}
