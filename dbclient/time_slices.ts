/** Shares one thread among many: work is done a step at a time, and each owner has its turn. Without I/O. */

/** Work in small steps; what it returns is its result. A step is what happens between two `yield`s. */
export type Steps<T> = Generator<void, T>;

/** Does all steps at once. */
export function toEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** What {@linkcode TimeSlices} needs of its process. */
export interface TimeSlicesOptions {
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /**
   * Runs something in another turn of the event loop.
   *
   * @param more whether a slice has ended because its time was up: then sockets have to have their turn
   */
  defer(run: () => void, more: boolean): void;
  /** How long a slice lasts, ms, default 5: its last step may go beyond that. */
  readonly slice?: number;
}

interface Job {
  readonly steps: Steps<unknown>;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

/**
 * Owners take turns, one step each; so do the jobs of one owner. After each slice the event loop goes round, so that
 * however much one owner asks for, another waits for one step of each owner before it, and nobody's bytes lie unread.
 *
 * @example
 * ```ts
 * import { TimeSlices } from "./time_slices.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const slices = new TimeSlices({ now: () => 0, defer: (run) => setTimeout(run) });
 * function* count(to: number) {
 *   let at = 0;
 *   while (++at < to) yield;
 *   return at;
 * }
 * const owners = [{}, {}];
 * const ended: number[] = [];
 * await Promise.all([
 *   slices.do(owners[0], count(1000)).then((reached) => ended.push(reached)),
 *   slices.do(owners[1], count(2)).then((reached) => ended.push(reached)),
 * ]);
 * assertEquals(ended, [2, 1000]);
 * ```
 */
export class TimeSlices {
  readonly #options: TimeSlicesOptions;
  /** Whoever has work, the next first. */
  readonly #owners = new Map<object, Job[]>();
  #deferred = false;

  constructor(options: TimeSlicesOptions) {
    this.#options = options;
  }

  /** Does the steps in the owner's turns; rejects with what a step throws, and when the owner is forgotten. */
  do<T>(owner: object, steps: Steps<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const job: Job = { steps, resolve: resolve as (result: unknown) => void, reject };
      const jobs = this.#owners.get(owner);
      if (jobs === undefined) this.#owners.set(owner, [job]);
      else jobs.push(job);
      this.#defer(false);
    });
  }

  /** Drops the owner's work. */
  forget(owner: object): void {
    const jobs = this.#owners.get(owner) ?? [];
    this.#owners.delete(owner);
    for (const job of jobs) job.reject(new Error("whoever asked has gone"));
  }

  #defer(more: boolean): void {
    if (this.#deferred || this.#owners.size === 0) return;
    this.#deferred = true;
    this.#options.defer(() => this.#slice(), more);
  }

  #slice(): void {
    const { now, slice = 5 } = this.#options;
    const end = now() + slice;
    do {
      const next = this.#owners.entries().next();
      if (next.done) break;
      this.#turn(...next.value);
    } while (now() < end);
    this.#deferred = false;
    this.#defer(true);
  }

  #turn(owner: object, jobs: Job[]): void {
    const job = jobs.shift()!;
    try {
      const { done, value } = job.steps.next();
      if (done) job.resolve(value);
      else jobs.push(job);
    } catch (error) {
      job.reject(error);
    }
    this.#owners.delete(owner);
    if (jobs.length > 0) this.#owners.set(owner, jobs);
  }
}
