/** A run in several threads, each with its share of rate, calls, users and lines; seen from outside like one run. */
import { type Address, now } from "../mod.ts";
import type { ChainStates } from "./authenticator.ts";
import { Engine, type RunView } from "./engine.ts";
import type { RunOptions } from "./run_io.ts";
import { partOf } from "./share.ts";
import { type Report, Statistics } from "./statistics.ts";
import { BindError } from "./transports_io.ts";
import type { FromWorker, ToWorker, WorkerFigures } from "./worker_io.ts";

/** What a worker says at its end. */
type Outcome = Extract<FromWorker, { type: "ended" }>;

/** All workers of a run as one. */
class FleetView implements RunView {
  readonly statistics: Statistics;
  readonly program: Engine["program"];
  readonly variables: Engine["variables"];
  readonly startedAt: number = now();
  readonly figures: (WorkerFigures | undefined)[] = [];
  paused = false;

  /** @param engine one that is never run: it knows the scenario */
  constructor(private readonly engine: Engine, public rate: number) {
    ({ statistics: this.statistics, program: this.program, variables: this.variables } = engine);
  }

  /** Takes the figures of a worker. */
  take(index: number, figures: WorkerFigures): void {
    const { statistics } = this;
    statistics.interval?.setup.add(figures.setup);
    statistics.interval?.lag.add(figures.lag);
    for (const status of figures.statistics.errorCodes) statistics.unexpectedStatus(status);
    this.figures[index] = figures;
    statistics.clear();
    for (const each of this.figures) if (each !== undefined) statistics.add(each.statistics);
    if (this.open > statistics.peak) {
      statistics.peak = this.open;
      statistics.peakAt = now() - this.startedAt;
    }
  }

  #sum(read: (figures: WorkerFigures) => number): number {
    return this.figures.reduce((sum, figures) => sum + (figures === undefined ? 0 : read(figures)), 0);
  }

  get open(): number {
    return this.#sum(({ open }) => open);
  }

  report(time: number): Report {
    return this.engine.reportOf(this.statistics, {
      durationMs: time - this.startedAt,
      startingMs: Math.max(0, ...this.figures.map((figures) => figures?.startingMs ?? 0)),
      overdue: this.#sum(({ overdue }) => overdue),
      open: this.open,
      rate: this.rate,
    });
  }
}

/** A run by several workers. */
export class Fleet {
  readonly engine: FleetView;
  readonly local: Address;
  readonly ended: Promise<void>;
  readonly #workers: Worker[];
  readonly #outcomes: readonly Outcome[];
  readonly #before: ChainStates | undefined;
  readonly #period: number;

  private constructor(
    options: RunOptions,
    engine: FleetView,
    workers: Worker[],
    outcomes: readonly Outcome[],
    ended: Promise<void>,
  ) {
    this.engine = engine;
    this.#workers = workers;
    this.#outcomes = outcomes;
    this.local = { host: options.host, port: options.port };
    this.ended = ended;
    this.#before = options.chainStates;
    this.#period = options.period ?? 1000;
  }

  /** Datagrams that the sockets could not send. */
  get dropped(): number {
    return this.#outcomes.reduce((sum, { dropped }) => sum + dropped, 0);
  }

  /** A scenario has ended the run at once. */
  get stopped(): boolean {
    return this.#outcomes.some(({ stopped }) => stopped);
  }

  /**
   * Starts the workers.
   *
   * @param args the command line, which every worker reads for itself
   * @throws {Error} (rejects) with one line if one cannot start
   */
  static async open(options: RunOptions, args: readonly string[], count: number): Promise<Fleet> {
    const { rate = 10, calls = 0, period = 1000, chainStates } = options;
    const { host, port } = options;
    const idle = new Engine({ ...options, local: { host, port }, exec: () => {} }, () => {}, now());
    const view = new FleetView(idle, rate * 1000 / period);
    const of = Math.min(count, calls || count, options.users ?? count);
    const workers: Worker[] = [];
    const ready: Promise<void>[] = [];
    const all: Promise<void>[] = [];
    const outcomes: Outcome[] = [];
    for (let index = 0; index < of; index++) {
      const worker = new Worker(new URL("./worker_io.ts", import.meta.url).href, {
        type: "module",
        name: `uac ${index}`,
      });
      workers.push(worker);
      const open = Promise.withResolvers<void>();
      const end = Promise.withResolvers<void>();
      ready.push(open.promise);
      all.push(end.promise);
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.type === "ready") open.resolve();
        else if (data.type === "error") {
          open.reject(data.bind ? new BindError(data.message) : new Error(data.message));
        } else {
          view.take(index, data.figures);
          if (data.type !== "ended") return;
          outcomes.push(data);
          end.resolve();
        }
      };
      worker.onerror = (event) => {
        event.preventDefault();
        const error = new Error(`worker ${index}: ${event.message}`);
        open.reject(error);
        end.reject(error);
      };
      const share = { index, of };
      const start: ToWorker = {
        type: "start",
        args,
        share,
        rate: rate / of,
        calls: partOf(calls, share),
        chainStates,
      };
      worker.postMessage(start);
    }
    const ended = Promise.all(all).then(() => {});
    ended.catch(() => {});
    try {
      await Promise.all(ready);
    } catch (error) {
      for (const worker of workers) worker.terminate();
      throw error;
    }
    return new Fleet(options, view, workers, outcomes, ended);
  }

  #tell(message: ToWorker): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /** Another rate of all together, in calls per period. */
  setRate(rate: number): void {
    this.engine.rate = rate * 1000 / this.#period;
    this.#tell({ type: "rate", rate: rate / this.#workers.length });
  }

  pause(paused: boolean): void {
    this.engine.paused = paused;
    this.#tell({ type: "pause", paused });
  }

  stop(): void {
    this.#tell({ type: "stop" });
  }

  /** Ends the run now. */
  async close(): Promise<void> {
    this.#tell({ type: "close" });
    await this.ended.catch(() => {});
  }

  /** What the agents of all workers remember: of each user what the worker says that had it. */
  chainStates(): ChainStates {
    const before = this.#before ?? {};
    const all: Record<string, ChainStates[string]> = { ...before };
    for (const { chainStates } of this.#outcomes) {
      for (const [name, state] of Object.entries(chainStates)) {
        if (JSON.stringify(state) !== JSON.stringify(before[name])) all[name] = state;
      }
    }
    return all;
  }
}
