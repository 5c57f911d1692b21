/** Next hops that have failed and have others in their place: left aside until they answer again (RFC 3263 §4.3). */
import { type Address, formatHost, formatTransportAddress } from "../mod.ts";
import type { PingDone } from "./own_requests.ts";

/** What it needs. */
export interface NextHopOptions {
  /** How often one that is down is asked, ms. */
  readonly intervalMs: number;
  /** Sends OPTIONS. */
  ping(uri: string, to: Address, patience: number, now: number, done: PingDone): void;
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}

/** Those that are down and remembered; more are simply tried. */
const MAX_DOWN = 1000;
/** One that nobody has wanted for so long is forgotten, ms. */
const UNWANTED_MS = 600_000;
/** How long an answer is waited for, ms. */
const PATIENCE_MS = 2000;
/** What says that somebody is there but does not serve. */
const UNAVAILABLE = 503;
const NO_ANSWER = 408;

interface Down {
  readonly address: Address;
  nextPing: number;
  wanted: number;
}

/** The list of dead targets. */
export class NextHops {
  readonly #down = new Map<string, Down>();

  constructor(private readonly options: NextHopOptions) {}

  /** How many are down. */
  get down(): number {
    return this.#down.size;
  }

  /** The same addresses, with those at the end that are down. */
  order(addresses: readonly Address[], now: number): readonly Address[] {
    if (this.#down.size === 0 || addresses.length < 2) return addresses;
    const up: Address[] = [];
    const down: Address[] = [];
    for (const address of addresses) {
      const known = this.#down.get(formatTransportAddress(address));
      if (known === undefined) up.push(address);
      else {
        known.wanted = now;
        down.push(address);
      }
    }
    return [...up, ...down];
  }

  /** One did not answer, could not be reached, or answered 503, and another was tried in its place. */
  failed(address: Address, now: number): void {
    const key = formatTransportAddress(address);
    if (this.#down.has(key) || this.#down.size >= MAX_DOWN) return;
    this.#down.set(key, {
      address: { ...address, flow: 0 },
      nextPing: now + this.options.intervalMs,
      wanted: now,
    });
    this.options.log("next_hop_down", { next_hop: key });
  }

  /** Asks those that are due. */
  advance(now: number): void {
    if (this.#down.size === 0) return;
    for (const [key, down] of this.#down) {
      if (down.nextPing > now) continue;
      if (now - down.wanted > UNWANTED_MS) {
        this.#down.delete(key);
        continue;
      }
      down.nextPing = now + this.options.intervalMs;
      const { address } = down;
      const uri = `sip:${formatHost(address.name ?? address.host)}:${address.port}`;
      this.options.ping(uri, address, Math.min(PATIENCE_MS, this.options.intervalMs), now, (status) => {
        if (status === UNAVAILABLE || status === NO_ANSWER || !this.#down.delete(key)) return;
        this.options.log("next_hop_up", { next_hop: key });
      });
    }
  }
}
