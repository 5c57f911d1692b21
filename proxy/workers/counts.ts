/** The counters of all workers as those of one proxy. */
import { PRESENT_COUNTS } from "../metrics.ts";
import type { Counts } from "./messages.ts";

/** What tells of the present alone: it ends with the worker. */
const OF_THE_PRESENT: readonly string[] = [
  ...PRESENT_COUNTS,
  "transactions",
  "tcp_connections",
  "dispatcher_active",
  "dispatcher_probing",
  "dispatcher_disabled",
  "next_hops_down",
  "heap_total",
  "heap_used",
];
/** What all workers share, or have a copy of: the cache and the location. The same in each of them. */
const SHARED = ["users", "usersVerified", "aors", "contacts"];

function add(sum: Record<string, number>, counts: Counts): void {
  for (const [name, value] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + value;
}

/** Counts of workers, those that are gone included. */
export class CountsOfWorkers {
  readonly #latest: Counts[];
  readonly #gone: Record<string, number> = {};
  #replaced = 0;

  constructor(workers: number) {
    this.#latest = Array.from({ length: workers }, () => ({}));
  }

  /** The latest counts of a worker. @param place 0, 1, … */
  report(place: number, counts: Counts): void {
    this.#latest[place] = counts;
  }

  /** The latest counts of a worker that is there; none of one that has said nothing yet. */
  of(place: number): Counts {
    return this.#latest[place];
  }

  /** A worker is gone, another begins in its place. */
  replace(place: number): void {
    const counted = Object.entries(this.#latest[place]).filter(([name]) => !OF_THE_PRESENT.includes(name));
    add(this.#gone, Object.fromEntries(counted));
    this.#latest[place] = {};
    this.#replaced++;
  }

  /**
   * All together, and how the load is spread: `worker1_received`, … of the present workers.
   *
   * @param own of the main thread: the cache, and what was loaded before the workers began
   */
  sum(own: Counts): Record<string, number> {
    const sum: Record<string, number> = {};
    for (const counts of [this.#gone, ...this.#latest]) add(sum, counts);
    for (const name of SHARED) delete sum[name];
    add(sum, own);
    sum.workers_replaced = this.#replaced;
    this.#latest.forEach(({ received = 0 }, place) => sum[`worker${place + 1}_received`] = received);
    return sum;
  }
}
