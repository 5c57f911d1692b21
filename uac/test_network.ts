/** For tests: engines on a network in memory and on virtual time, which loses, doubles and delays from a seed. */
import { type Address, formatAddress, type Random, seededRandom } from "../mod.ts";
import { Engine, type EngineOptions, type Send } from "./engine.ts";

/** How bad the network is. */
export interface NetworkFaults {
  /** Share of datagrams lost, and sent twice, 0 … 1. */
  readonly loss?: number;
  readonly duplication?: number;
  /** Shortest and longest delay, ms: datagrams overtake each other within it. */
  readonly delay?: readonly [number, number];
}

/** Something that takes datagrams. */
export interface Node {
  receive(bytes: Uint8Array, start: number, end: number, from: Address, now: number): void;
  advance?(now: number): void;
  nextDue?(): number | undefined;
}

interface InFlight {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly from: Address;
  readonly to: Address;
}

/** The network, its nodes and its time. */
export class TestNetwork {
  now = 1000;
  /** Every datagram sent: for tests that look at messages. */
  readonly log: { readonly from: string; readonly to: string; readonly text: string }[] = [];
  readonly random: Random;
  readonly #nodes = new Map<string, Node>();
  #flying: InFlight[] = [];

  constructor(seed: number, private readonly faults: NetworkFaults = {}) {
    this.random = seededRandom(seed);
  }

  add(address: Address, node: Node): void {
    this.#nodes.set(formatAddress(address), node);
  }

  /** An engine as a node. */
  engine(options: Omit<EngineOptions, "random">): Engine {
    const engine = new Engine({ random: this.random, ...options }, this.sender(options.local), this.now);
    this.add(options.local, engine);
    return engine;
  }

  /** What a node sends with. */
  sender(from: Address): Send {
    return (bytes, start, end, to) => {
      const copy = bytes.slice(start, end);
      this.log.push({
        from: formatAddress(from),
        to: formatAddress(to),
        text: new TextDecoder().decode(copy),
      });
      const { loss = 0, duplication = 0, delay = [1, 1] } = this.faults;
      const times = this.random.below(1e6) < duplication * 1e6 ? 2 : 1;
      for (let i = 0; i < times; i++) {
        if (this.random.below(1e6) < loss * 1e6) continue;
        const at = this.now + delay[0] + this.random.below(1e6) / 1e6 * (delay[1] - delay[0]);
        this.#flying.push({ at, bytes: copy, from, to });
      }
    };
  }

  /** Lets time pass until `enough`, or until nothing happens any more, or for `limit` ms. */
  run(enough: () => boolean = () => false, limit = 600_000): void {
    const end = this.now + limit;
    while (!enough()) {
      let next = Infinity;
      for (const { at } of this.#flying) next = Math.min(next, at);
      for (const node of this.#nodes.values()) next = Math.min(next, node.nextDue?.() ?? Infinity);
      if (next > end) return;
      this.now = Math.max(this.now, next);
      const due = this.#flying.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
      this.#flying = this.#flying.filter(({ at }) => at > this.now);
      for (const { bytes, from, to } of due) {
        this.#nodes.get(formatAddress(to))?.receive(bytes, 0, bytes.length, from, this.now);
      }
      for (const node of this.#nodes.values()) node.advance?.(this.now);
    }
  }
}
