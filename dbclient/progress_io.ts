/** How far long work has come, on standard error. */
import { now } from "../mod.ts";

/** Time between two lines, ms: on a terminal one line that changes, else one line each. */
const ON_TERMINAL = 200;
const IN_LOG = 5000;
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

  /** To be called often and awaited, so that signals are heard. */
  async show(done: number): Promise<void> {
    const time = now();
    if (time - this.#shown >= (this.#terminal ? ON_TERMINAL : IN_LOG)) {
      this.#shown = time;
      const percent = this.total === undefined
        ? ""
        : ` of ${this.total} (${Math.floor(100 * done / this.total)} %)`;
      const rate = Math.round(done / (time - this.#started) * 1000);
      this.#write(`dbclient: ${this.what}: ${done}${percent} ${this.unit}, ${rate} per second`);
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
