/** The processes of `dbclient --workers N`: started, watched, replaced, ended. */
import {
  firstLine,
  type Log,
  type LogDetails,
  now,
  type ProcessFigures,
  type Readiness,
  Restarts,
  StreamWriter,
} from "../../mod.ts";
import { type Counters, newCounters } from "../counters.ts";
import { endedCounters, sumCounters } from "../counters_sum.ts";
import type { ServerTls } from "../link_listener_io.ts";
import type { WorkerSnapshot } from "../metrics.ts";
import { workersReadiness } from "../workers_readiness.ts";
import type { KeySnapshot } from "../proxy_keys.ts";
import type { Service, ServiceSetup } from "../service_io.ts";
import { StoreError } from "../subscriber.ts";
import { type FromWorker, Lines, type ToWorker } from "./messages.ts";

/** A worker reports each second: one that is silent for so long, ms, has hung. */
const SILENCE_MS = 10_000;
/** How long workers may take to end, ms. */
const END_MS = 3000;
/** Secrets that workers are told by a pipe, and nobody is to find in their environment. */
const HIDDEN = ["PROXYCHAIN_KEY", "PROXYCHAIN_DB_PASSWORD", "PROXYCHAIN_USER_PASSWORD"];

/** How a {@linkcode Supervisor} is set up. */
export interface SupervisorOptions {
  readonly workers: number;
  readonly setup: ServiceSetup;
  readonly log: Log;
  /** Default 10 s. */
  readonly silenceMs?: number;
}

/** One worker's place, whoever fills it. */
interface Place {
  readonly number: number;
  readonly restarts: Restarts;
  process: WorkerProcess | undefined;
  counters: Counters;
  /** What it said last about itself; undefined until it has. */
  usage: ProcessFigures | undefined;
  readiness: Readiness | undefined;
  /** Since when it serves, ms; undefined while it starts. */
  servingSince: number | undefined;
  /** When it was last heard of, ms. */
  heardAt: number;
  restart: ReturnType<typeof setTimeout> | undefined;
}

/** A worker's process and the pipes to it. */
class WorkerProcess {
  /** Ends with the process and all that it said; how it ended. */
  readonly done: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #input: StreamWriter;

  constructor(take: (message: FromWorker) => void) {
    const root = new URL("../../", import.meta.url);
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--config", new URL("deno.json", root).pathname, "-P=dbclient-worker"],
        new URL("dbclient/workers/main.ts", root).pathname,
      ],
      env: Object.fromEntries(HIDDEN.map((name) => [name, ""])),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const writer = this.#child.stdin.getWriter();
    this.#input = new StreamWriter({
      write: async (bytes) => {
        await writer.write(bytes);
        return bytes.length;
      },
      // It has ended, as `done` says.
    }, { onError: () => {} });
    this.done = this.#read(take);
  }

  get pid(): number {
    return this.#child.pid;
  }

  tell(message: ToWorker): void {
    this.#input.push([new TextEncoder().encode(JSON.stringify(message) + "\n")]);
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  async #read(take: (message: FromWorker) => void): Promise<Deno.CommandStatus> {
    const lines = new Lines();
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      for (const line of lines.push(text)) take(JSON.parse(line));
    }
    return await this.#child.status;
  }
}

/** Runs workers that share a port by SO_REUSEPORT. */
export class Supervisor implements Service {
  readonly #options: SupervisorOptions;
  readonly #places: readonly Place[];
  #setup: ServiceSetup;
  /** What workers that are gone have counted. */
  #gone = newCounters();
  #starting: PromiseWithResolvers<void> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #ending = false;

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#setup = options.setup;
    this.#places = Array.from({ length: options.workers }, (_, i) => ({
      number: i + 1,
      restarts: new Restarts(),
      process: undefined,
      counters: newCounters(),
      usage: undefined,
      readiness: undefined,
      servingSince: undefined,
      heardAt: now(),
      restart: undefined,
    }));
  }

  /**
   * Starts all workers: the first alone, since with port 0 the others are told its port.
   *
   * @throws {StoreError} (rejects) with one line when one of them cannot begin: none is left then
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    const [first, ...others] = supervisor.#places;
    try {
      await supervisor.#startAll([first]);
      await supervisor.#startAll(others);
    } catch (error) {
      await supervisor.close();
      throw error;
    }
    const silence = options.silenceMs ?? SILENCE_MS;
    supervisor.#watch = setInterval(() => supervisor.#look(silence), silence / 10);
    return supervisor;
  }

  get port(): number {
    return this.#setup.port;
  }

  /** Process ids of the workers that serve, by place. */
  get pids(): (number | undefined)[] {
    return this.#places.map(({ process }) => process?.pid);
  }

  /** The latest counters of each worker, by place, and the sum of those that are gone. */
  counters(): Counters[] {
    return [...this.#places.map(({ counters }) => counters), this.#gone];
  }

  workers(): WorkerSnapshot[] {
    return this.#places.flatMap(({ number, counters, usage }) =>
      usage === undefined ? [] : [{ number, counters, usage }]
    );
  }

  ready(): Promise<Readiness> {
    return Promise.resolve(workersReadiness(
      this.#places.map(({ number, servingSince, readiness }) => ({
        number,
        readiness: this.#ending || servingSince === undefined ? undefined : readiness,
      })),
    ));
  }

  setKeys(keys: KeySnapshot): void {
    this.#setup = { ...this.#setup, keys };
    this.#tell({ kind: "keys", keys });
  }

  setTls(tls: ServerTls): void {
    this.#setup = { ...this.#setup, tls };
    this.#tell({ kind: "tls", tls });
  }

  async close(): Promise<void> {
    this.#ending = true;
    clearInterval(this.#watch);
    for (const { restart } of this.#places) clearTimeout(restart);
    const processes = this.#places.flatMap(({ process }) => process ?? []);
    this.#tell({ kind: "end" });
    const timer = setTimeout(() => processes.forEach((process) => process.kill()), END_MS);
    await Promise.all(processes.map(({ done }) => done));
    clearTimeout(timer);
  }

  #tell(message: ToWorker): void {
    for (const { process } of this.#places) process?.tell(message);
  }

  async #startAll(places: readonly Place[]): Promise<void> {
    if (places.length === 0) return;
    const starting = this.#starting = Promise.withResolvers<void>();
    for (const place of places) this.#start(place);
    await starting.promise;
    this.#starting = undefined;
  }

  #start(place: Place): void {
    place.servingSince = undefined;
    place.heardAt = now();
    const process = new WorkerProcess((message) => this.#take(place, message));
    place.process = process;
    process.done.then(
      ({ code, signal }) => this.#lost(place, signal === null ? `exit code ${code}` : `ended by ${signal}`),
      (error) => {
        process.kill();
        this.#lost(place, firstLine(error));
      },
    );
    process.tell({ kind: "start", setup: this.#setup });
  }

  #take(place: Place, message: FromWorker): void {
    place.heardAt = now();
    switch (message.kind) {
      case "ready":
        place.servingSince = now();
        this.#setup = { ...this.#setup, port: message.port };
        if (this.#starting === undefined) this.#log(place, "serves again", { event: "worker" });
        else if (this.#places.every(({ process, servingSince }) => !process || servingSince !== undefined)) {
          this.#starting.resolve();
        }
        break;
      case "failed":
        if (this.#starting === undefined) this.#log(place, message.reason);
        else this.#starting.reject(new StoreError(message.reason));
        break;
      case "counters":
        place.counters = message.counters;
        place.usage = message.usage;
        break;
      case "readiness":
        place.readiness = message.readiness;
        break;
      case "log":
        this.#log(place, message.line, message.details);
        break;
    }
  }

  /** A worker is no more. */
  #lost(place: Place, reason: string): void {
    const servedMs = place.servingSince === undefined ? 0 : now() - place.servingSince;
    place.process = undefined;
    this.#gone = sumCounters([this.#gone, endedCounters(place.counters)]);
    place.counters = newCounters();
    place.usage = place.readiness = place.servingSince = undefined;
    if (this.#ending) return;
    if (this.#starting !== undefined) {
      return this.#starting.reject(new StoreError(`worker ${place.number} could not begin: ${reason}`));
    }
    const pause = place.restarts.next(servedMs);
    this.#log(place, `${reason}; another is started${pause === 0 ? "" : ` in ${pause} ms`}`);
    place.restart = setTimeout(() => this.#start(place), pause);
  }

  #look(silenceMs: number): void {
    for (const place of this.#places) {
      if (place.process === undefined || now() - place.heardAt < silenceMs) continue;
      this.#log(place, `nothing was heard of it for ${silenceMs / 1000} s; it is ended`);
      place.heardAt = now();
      place.process.kill();
    }
  }

  #log({ number }: Place, line: string, details: LogDetails = { level: "warn", event: "worker" }): void {
    this.#options.log(`worker ${number}: ${line}`, {
      ...details,
      fields: { ...details.fields, worker: number },
    });
  }
}
