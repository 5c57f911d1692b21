/**
 * Merges questions to a database, without I/O: one that comes while none is under way goes at once (at the end of the
 * running turn, so that those of one turn go together); those that come while some are wait for these and then go
 * together. So batches grow with the load by themselves, and an idle database is asked without delay.
 */
import type { Identity } from "../mod.ts";
import { type HashColumn, noAnswer, StoreError } from "./subscriber.ts";

/** What a {@linkcode Coalescer} needs. */
export interface CoalescerOptions<T> {
  /** Batches under way at once. */
  readonly lanes: number;
  /** Users of one batch; a single question with more goes alone. */
  readonly maxUsers: number;
  /** Users that may wait; a question beyond that is refused. */
  readonly maxWaiting: number;
  /** Time for an answer, ms, from the question on. */
  readonly timeout: number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** Asks the database; answers by position. */
  send(users: readonly Identity[], column: HashColumn, deadline: number): Promise<readonly T[]>;
  /** Is told of each batch that was answered; for metrics. */
  onBatch?(batch: Batch): void;
}

/** A batch that was answered. */
export interface Batch {
  readonly questions: number;
  readonly users: number;
  /** ms */
  readonly took: number;
}

interface Question<T> {
  readonly users: readonly Identity[];
  readonly column: HashColumn;
  readonly deadline: number;
  resolve(rows: T[]): void;
  reject(error: unknown): void;
}

/**
 * Merges questions for the same column.
 *
 * @example
 * ```ts
 * import { Coalescer } from "./coalescer.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const batches: number[] = [];
 * const coalescer = new Coalescer<string>({
 *   lanes: 1,
 *   maxUsers: 1000,
 *   maxWaiting: 10_000,
 *   timeout: 1000,
 *   now: () => 0,
 *   send(users) {
 *     batches.push(users.length);
 *     return Promise.resolve(users.map((user) => user.username));
 *   },
 * });
 * const ask = (username: string) => coalescer.ask([{ username, realm: "a.example" }], "ha1");
 * assertEquals(await Promise.all([ask("alice"), ask("bob")]), [["alice"], ["bob"]]);
 * assertEquals(batches, [2]);
 * ```
 */
export class Coalescer<T> {
  readonly #options: CoalescerOptions<T>;
  /** Questions that wait, the oldest first, by column: a query reads one. */
  readonly #waiting = new Map<HashColumn, Question<T>[]>();
  /** Questions without an answer, waiting or under way, the oldest first. */
  readonly #open = new Set<Question<T>>();
  #waitingUsers = 0;
  #underWay = 0;
  #scheduled = false;

  constructor(options: CoalescerOptions<T>) {
    this.#options = options;
  }

  /** Questions without an answer: while there are some, {@linkcode expire} has to be called now and then. */
  get open(): number {
    return this.#open.size;
  }

  /** @throws {StoreError} (rejects) when too many wait, when time is up, and with what `send` rejects with */
  ask(users: readonly Identity[], column: HashColumn): Promise<T[]> {
    const { maxWaiting, timeout, now } = this.#options;
    if (users.length === 0) return Promise.resolve([]);
    if (this.#waitingUsers + users.length > maxWaiting && this.#waitingUsers > 0) {
      return Promise.reject(new StoreError(`${this.#waitingUsers} users wait for the database already`));
    }
    return new Promise((resolve, reject) => {
      const question = { users, column, deadline: now() + timeout, resolve, reject };
      this.#open.add(question);
      const queue = this.#waiting.get(column);
      if (queue === undefined) this.#waiting.set(column, [question]);
      else queue.push(question);
      this.#waitingUsers += users.length;
      this.#schedule();
    });
  }

  /** Gives up the questions whose time is over. */
  expire(time: number): void {
    for (const question of this.#open) {
      // They stand in the order of their deadlines.
      if (question.deadline > time) break;
      this.#open.delete(question);
      question.reject(noAnswer());
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay >= this.#options.lanes) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      while (this.#underWay < this.#options.lanes && this.#waiting.size > 0) this.#sendNext();
    });
  }

  /** Takes the oldest question that waits, and what goes with it. */
  #take(): Question<T>[] {
    let oldest: Question<T>[] | undefined;
    for (const queue of this.#waiting.values()) {
      if (oldest === undefined || queue[0].deadline < oldest[0].deadline) oldest = queue;
    }
    const queue = oldest!;
    let count = 0;
    let users = 0;
    while (
      count < queue.length &&
      (count === 0 || users + queue[count].users.length <= this.#options.maxUsers)
    ) {
      users += queue[count++].users.length;
    }
    this.#waitingUsers -= users;
    const { column } = queue[0];
    const batch = queue.splice(0, count);
    if (queue.length === 0) this.#waiting.delete(column);
    // Those whose time was over while they waited have had their answer.
    return batch.filter((question) => this.#open.has(question));
  }

  #sendNext(): void {
    const batch = this.#take();
    if (batch.length === 0) return;
    this.#underWay++;
    this.#send(batch).finally(() => {
      this.#underWay--;
      this.#schedule();
    });
  }

  async #send(batch: readonly Question<T>[]): Promise<void> {
    const users = batch.length === 1 ? batch[0].users : batch.flatMap((question) => question.users);
    const { column, deadline } = batch[batch.length - 1];
    const { send, now, onBatch } = this.#options;
    const started = now();
    try {
      const rows = await send(users, column, deadline);
      onBatch?.({ questions: batch.length, users: users.length, took: now() - started });
      let at = 0;
      for (const question of batch) {
        const end = at + question.users.length;
        if (this.#open.delete(question)) question.resolve(rows.slice(at, end));
        at = end;
      }
    } catch (error) {
      for (const question of batch) {
        if (this.#open.delete(question)) question.reject(error);
      }
    }
  }
}
