/** A log that nobody can flood: of each event a few lines a second, and how many there were besides. */

const SECOND_MS = 1000;

/** What a line tells, without secrets. */
export type LogFields = Readonly<Record<string, string | number>>;

interface Told {
  /** When the second began that is being counted. */
  at: number;
  lines: number;
  leftOut: number;
}

/** Passes on the first lines of an event in each second, and with the next one how many were left out (`left_out`). */
export class QuietLog {
  readonly #told = new Map<string, Told>();

  /** @param perSecond lines of one event in a second */
  constructor(
    private readonly log: (event: string, fields: LogFields) => void,
    private readonly perSecond = 1,
  ) {}

  /**
   * @param event one of a few names that the program knows, never something from outside
   * @param fields or what makes them, which is asked only when there is to be a line
   * @param kind lines of one event that are counted apart: again a name that the program knows
   */
  say(event: string, fields: LogFields | (() => LogFields), now: number, kind = event): void {
    let told = this.#told.get(kind);
    if (told === undefined) this.#told.set(kind, told = { at: -SECOND_MS, lines: 0, leftOut: 0 });
    if (now - told.at >= SECOND_MS) {
      told.at = now;
      told.lines = 0;
    }
    if (told.lines >= this.perSecond) {
      told.leftOut++;
      return;
    }
    told.lines++;
    const shown = typeof fields === "function" ? fields() : fields;
    this.log(event, told.leftOut === 0 ? shown : { ...shown, left_out: told.leftOut });
    told.leftOut = 0;
  }
}
