/** A datagram network on virtual time that loses, doubles, delays and so reorders, from a seed. */
import { type Address, formatAddress, type Random } from "../../mod.ts";
import type { EventQueue } from "./event_queue.ts";

/** How a link treats datagrams. */
export interface LinkSettings {
  /** Percent that is lost. */
  readonly loss: number;
  /** Percent that arrives twice. */
  readonly doubling: number;
  /** A delay is drawn between the two, ms: different delays reorder. */
  readonly minDelay: number;
  readonly maxDelay: number;
}

/** A link that does no harm. */
export const GOOD_LINK: LinkSettings = { loss: 0, doubling: 0, minDelay: 1, maxDelay: 1 };
/** A link that does all of it. */
export const BAD_LINK: LinkSettings = { loss: 25, doubling: 25, minDelay: 1, maxDelay: 400 };

/** One message under way. */
export interface Datagram {
  readonly from: Address;
  readonly to: Address;
  readonly bytes: Uint8Array;
}

/** Somebody on the way: gives what goes on instead of a datagram, undefined to let it pass. */
export type Middle = (datagram: Datagram) => readonly Datagram[] | undefined;

/** Takes a datagram; the bytes are the receiver's during the call only. */
export type Receiver = (bytes: Uint8Array, from: Address) => void;

/** What carries datagrams: simulated here, sockets in tests over loopback. */
export interface Wire {
  /** Gives an address to a receiver; undefined takes it away. */
  attach(address: Address, receive: Receiver | undefined): void;
  /** Sends a copy of the bytes. */
  send(from: Address, to: Address, buffer: Uint8Array, start?: number, end?: number): void;
}

/** All links. */
export class Network implements Wire {
  /** Sees every datagram that is sent, before its fate. */
  readonly taps: ((datagram: Datagram) => void)[] = [];
  middle: Middle | undefined;
  readonly #receivers = new Map<string, Receiver>();
  readonly #links = new Map<string, LinkSettings>();
  #default = GOOD_LINK;

  constructor(private readonly queue: EventQueue, private readonly random: Random) {}

  attach(address: Address, receive: Receiver | undefined): void {
    const key = formatAddress(address);
    if (receive === undefined) this.#receivers.delete(key);
    else this.#receivers.set(key, receive);
  }

  /** Sets all links, or those of one host. */
  set(settings: LinkSettings, host?: string): void {
    if (host === undefined) this.#default = settings;
    else this.#links.set(host, settings);
  }

  /** All links are good from now on; what is under way stays so. */
  heal(): void {
    this.#default = GOOD_LINK;
    this.#links.clear();
  }

  send(from: Address, to: Address, buffer: Uint8Array, start = 0, end: number = buffer.length): void {
    const datagram = { from, to, bytes: buffer.slice(start, end) };
    for (const tap of this.taps) tap(datagram);
    for (const each of this.middle?.(datagram) ?? [datagram]) this.#post(each);
  }

  #post({ from, to, bytes }: Datagram): void {
    const link = this.#links.get(from.host) ?? this.#links.get(to.host) ?? this.#default;
    for (let copies = this.#chance(link.doubling) ? 2 : 1; copies > 0; copies--) {
      if (this.#chance(link.loss)) continue;
      const delay = link.minDelay + this.random.below(link.maxDelay - link.minDelay + 1);
      // Each receiver gets bytes of its own, which are worthless afterwards, as a socket's buffer is.
      this.queue.after(delay, () => {
        const own = bytes.slice();
        this.#receivers.get(formatAddress(to))?.(own, from);
        own.fill(0x78);
      });
    }
  }

  #chance(percent: number): boolean {
    return percent > 0 && this.random.below(100) < percent;
  }
}
