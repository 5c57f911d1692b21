/** How far long work has come, on standard error. */
import { now } from "../mod.ts";

/** Time between two lines, ms: on a terminal one line that changes, else one line each. */
const ON_TERMINAL = 200;
const IN_LOG = 5000;
/** Width of the bar on a terminal, characters. */
const BAR = 24;
/** How long the event loop may be kept waiting, ms: signals come through it. */
const PAUSE_AFTER = 50;

/** Shows progress; says nothing of work that is over soon. */
export class Progress {
  readonly #terminal = Deno.stderr.isTerminal();
  readonly #started = now();
  #shown = now();
  #paused = now();
  #onLine = false;

  /**
   * @param what the work's name
   * @param unit of its numbers
   * @param total undefined when it is not known
   */
  constructor(
    private readonly what: string,
    private readonly unit: string,
    private readonly total: number | undefined,
  ) {}

  /**
   * To be called often and awaited, so that signals are heard.
   *
   * @param share of the work that is done, 0 … 1, where it is known otherwise than from the total
   */
  async show(done: number, share?: number): Promise<void> {
    const time = now();
    if (time - this.#shown >= (this.#terminal ? ON_TERMINAL : IN_LOG)) {
      this.#shown = time;
      const part = Math.min(1, share ?? (this.total === undefined ? NaN : done / this.total));
      const filled = Math.floor(BAR * part);
      const bar = this.#terminal ? `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ` : "";
      const percent = Number.isNaN(part) ? "" : `${bar}${Math.floor(100 * part)} %, `;
      const of = this.total === undefined ? "" : ` of ${this.total}`;
      const rate = Math.round(done / (time - this.#started) * 1000);
      this.#write(`dbclient: ${this.what}: ${percent}${done}${of} ${this.unit}, ${rate} per second`);
    }
    if (time - this.#paused < PAUSE_AFTER) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#paused = now();
  }

  /** Takes the line away. */
  end(): void {
    if (this.#onLine) Deno.stderr.writeSync(new TextEncoder().encode("\r\x1b[K"));
    this.#onLine = false;
  }

  #write(line: string): void {
    this.#onLine = this.#terminal;
    Deno.stderr.writeSync(new TextEncoder().encode(this.#terminal ? `\r\x1b[K${line}` : line + "\n"));
  }
}
