/** Log lines about those who are refused: the first of each kind at once, the rest as a number. Without I/O. */

import type { Log, LogDetails } from "../mod.ts";

/** Further refusals of one kind are counted for so long, ms. */
const INTERVAL_MS = 10_000;
/** Kinds kept at most: past that refusals of new kinds are one kind. */
const MAX_KINDS = 1000;

interface Kind {
  readonly until: number;
  more: number;
  readonly details: LogDetails;
}

/** Text from a peer as it may stand in a log line: without control characters, and not long. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "?");
  return clean.length <= 200 ? clean : `${clean.slice(0, 200)}…`;
}

/** Keeps ten thousand refusals from being ten thousand lines. */
export class RefusalLog {
  readonly #kinds = new Map<string, Kind>();

  constructor(private readonly log: Log) {}

  /** Notes a refusal. @param from whose it is: an address, without a port */
  note(reason: string, from: string, line: string, now: number, details: LogDetails = {}): void {
    let key = `${from}: ${reason}`;
    if (!this.#kinds.has(key) && this.#kinds.size >= MAX_KINDS) key = `many addresses: ${reason}`;
    const kind = this.#kinds.get(key);
    if (kind !== undefined) {
      kind.more++;
      return;
    }
    this.#kinds.set(key, { until: now + INTERVAL_MS, more: 0, details });
    this.log(line, details);
  }

  /** Tells the numbers that are due; all of them with `end`. */
  advance(now: number, end = false): void {
    for (const [key, { until, more, details }] of this.#kinds) {
      if (now < until && !end) continue;
      this.#kinds.delete(key);
      if (more === 0) continue;
      const { level, event } = details;
      this.log(`${key}: ${more} more within ${INTERVAL_MS / 1000} s`, {
        level,
        event,
        fields: { left_out: more },
      });
      if (!end) this.#kinds.set(key, { until: now + INTERVAL_MS, more: 0, details });
    }
  }
}
