/** A log that nobody can flood: of each event one line a second, and how many there were besides. */

/** One line per event in so many ms. */
const EVERY_MS = 1000;

/** What a line tells, without secrets. */
export type LogFields = Readonly<Record<string, string | number>>;

/** Passes on the first of an event, and with the next one after a second how many were left out (`left_out`). */
export class QuietLog {
  /** By event: when it was told, and how many were not since. */
  readonly #told = new Map<string, { at: number; leftOut: number }>();

  constructor(private readonly log: (event: string, fields: LogFields) => void) {}

  /** @param event one of a few names that the program knows, never something from outside */
  say(event: string, fields: LogFields, now: number): void {
    let told = this.#told.get(event);
    if (told === undefined) this.#told.set(event, told = { at: -EVERY_MS, leftOut: 0 });
    if (now - told.at < EVERY_MS) {
      told.leftOut++;
      return;
    }
    this.log(event, told.leftOut === 0 ? fields : { ...fields, left_out: told.leftOut });
    told.at = now;
    told.leftOut = 0;
  }
}
