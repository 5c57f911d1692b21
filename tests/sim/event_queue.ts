/** Virtual time: what happens in a simulation happens in the order of this queue, and never waits. */

/** A clock in ms and what waits for it: virtual here, real in tests over sockets. */
export interface Clock {
  readonly now: number;
  /** Runs `action` at a time. */
  at(time: number, action: () => void): void;
  /** Runs `action` in `ms` milliseconds. */
  after(ms: number, action: () => void): void;
}

interface Event {
  readonly at: number;
  /** Order of events of the same time. */
  readonly number: number;
  readonly action: () => void;
}

/** A clock in ms and the actions that wait for it: a binary heap. */
export class EventQueue implements Clock {
  /** The time, ms. */
  now = 0;
  readonly #heap: Event[] = [];
  #number = 0;

  /** Runs `action` at a time, at once if that is over. */
  at(time: number, action: () => void): void {
    const heap = this.#heap;
    const event = { at: Math.max(time, this.now), number: this.#number++, action };
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent])) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = event;
  }

  /** Runs `action` in `ms` milliseconds. */
  after(ms: number, action: () => void): void {
    this.at(this.now + ms, action);
  }

  /** Lets `ms` milliseconds pass. */
  run(ms: number): void {
    const end = this.now + ms;
    while (this.#heap.length > 0 && this.#heap[0].at <= end) {
      const { at, action } = this.#take();
      this.now = at;
      action();
    }
    this.now = end;
  }

  /** Lets time pass until a condition holds, at most `ms`; whether it does. */
  runUntil(condition: () => boolean, ms: number): boolean {
    const end = this.now + ms;
    while (!condition()) {
      if (this.#heap.length === 0 || this.#heap[0].at > end) {
        this.now = end;
        return false;
      }
      const { at, action } = this.#take();
      this.now = at;
      action();
    }
    return true;
  }

  #take(): Event {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], last)) break;
        heap[i] = heap[child];
        i = child;
      }
      heap[i] = last;
    }
    return first;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.number < b.number);
}

/** Calls `advance` of something that names the time of its next timer. */
export class Waker {
  #at = Infinity;

  constructor(
    private readonly queue: Clock,
    private readonly nextDue: () => number | undefined,
    private readonly advance: () => void,
  ) {}

  /** To be called after anything that may have set a timer. */
  look(): void {
    const due = this.nextDue();
    if (due === undefined) return;
    // Timers go by ticks of 10 ms: looking more often finds nothing.
    const at = Math.max(due, this.queue.now + 10);
    if (at >= this.#at) return;
    this.#at = at;
    this.queue.at(at, () => {
      if (this.#at !== at) return;
      this.#at = Infinity;
      this.advance();
      this.look();
    });
  }
}
