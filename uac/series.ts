/** What a run did from second to second: for `--csv` and `--report`. */
import type { RunView } from "./engine.ts";
import { Times } from "./statistics.ts";

/** What came in an interval. Times in ms. */
export interface Point {
  /** Its end, seconds since the start, and its length, s. */
  readonly at: number;
  readonly seconds: number;
  /** Calls; `wanted` is the rate at its end, calls per second. */
  readonly wanted: number;
  readonly started: number;
  readonly ok: number;
  readonly failed: number;
  readonly open: number;
  readonly setupP50: number;
  readonly setupP95: number;
  readonly setupP99: number;
  readonly setupMax: number;
  readonly lagP99: number;
}

/** More points are merged by twos. */
const MAX_POINTS = 3600;

/** The points of a run. */
export class Series {
  #points: Point[] = [];
  readonly #setup = new Times();
  readonly #lag = new Times();
  #lastAt: number;
  #started = 0;
  #ok = 0;
  #failed = 0;
  /** Calls of {@linkcode sample} for a point, and those that it has had. */
  #every = 1;
  #turn = 0;

  constructor(private readonly engine: RunView) {
    this.#lastAt = engine.startedAt;
    engine.statistics.interval = { setup: this.#setup, lag: this.#lag };
  }

  get points(): readonly Point[] {
    return this.#points;
  }

  /** Ends an interval, once a second. `last`: the run is over. */
  sample(now: number, last = false): void {
    if (++this.#turn < this.#every && !last) return;
    if (last && now <= this.#lastAt) return;
    this.#turn = 0;
    const { engine } = this;
    const { statistics } = engine;
    const round = (value: number) => Math.round(value * 1000) / 1000;
    this.#points.push({
      at: round((now - engine.startedAt) / 1000),
      seconds: round((now - this.#lastAt) / 1000),
      wanted: engine.program.role === "client" ? round(engine.rate) : 0,
      started: statistics.started - this.#started,
      ok: statistics.ok - this.#ok,
      failed: statistics.failed - this.#failed,
      open: engine.open,
      setupP50: this.#setup.at(50),
      setupP95: this.#setup.at(95),
      setupP99: this.#setup.at(99),
      setupMax: this.#setup.at(100),
      lagP99: this.#lag.at(99),
    });
    this.#lastAt = now;
    this.#started = statistics.started;
    this.#ok = statistics.ok;
    this.#failed = statistics.failed;
    this.#setup.reset();
    this.#lag.reset();
    if (this.#points.length > MAX_POINTS) this.#merge();
  }

  /** Counts are added; of percentiles the worse one stays. */
  #merge(): void {
    const merged: Point[] = [];
    for (let i = 0; i < this.#points.length; i += 2) {
      const a = this.#points[i];
      const b = this.#points[i + 1];
      if (b === undefined) {
        merged.push(a);
        break;
      }
      merged.push({
        ...b,
        seconds: a.seconds + b.seconds,
        started: a.started + b.started,
        ok: a.ok + b.ok,
        failed: a.failed + b.failed,
        setupP50: Math.max(a.setupP50, b.setupP50),
        setupP95: Math.max(a.setupP95, b.setupP95),
        setupP99: Math.max(a.setupP99, b.setupP99),
        setupMax: Math.max(a.setupMax, b.setupMax),
        lagP99: Math.max(a.lagP99, b.lagP99),
      });
    }
    this.#points = merged;
    this.#every *= 2;
  }

  /** As CSV (RFC 4180), with a line of names. */
  csv(): string {
    const names: (keyof Point)[] = [
      ...["at", "seconds", "wanted", "started", "ok", "failed", "open"] as const,
      ...["setupP50", "setupP95", "setupP99", "setupMax", "lagP99"] as const,
    ];
    const head = names.map((name) =>
      /P\d|Max/.test(name) ? name.replace(/(P\d+|Max)/, (part) => `_${part.toLowerCase()}_ms`) : name
    );
    return [head, ...this.#points.map((point) => names.map((name) => String(point[name])))]
      .map((cells) => cells.join(",") + "\r\n").join("");
  }
}
