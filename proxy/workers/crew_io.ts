/** The workers of `proxy --workers N`, as the main thread sees them: started, watched, replaced, ended. */
import { closeDescriptors, firstLine, now, Restarts } from "../../mod.ts";
import { CountsOfWorkers } from "./counts.ts";
import type { CredentialCache } from "../credential_cache.ts";
import type { Registration, RegistrationOutcome } from "../location.ts";
import type { ThreadState, WorkerState } from "../status.ts";
import type { Counts, FromWorker, ToWorker, WorkerStart } from "./messages.ts";

/** A worker reports each second: one that is silent for so long, ms, has hung, or has ended without a word. */
const SILENCE_MS = 10_000;
/** How long workers may take to end, ms. */
const END_MS = 3000;
/** A thread that was ended may still be in a system call that waits on its descriptors, for a second at most, ms. */
const DESCRIPTORS_MS = 2000;

/** A thread, as `Worker` is one. */
export interface Thread {
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(message: ToWorker): void;
  terminate(): void;
}

/** What a crew is made of. */
export interface CrewOptions {
  readonly workers: number;
  /** The cache that they share. */
  readonly cache: Pick<CredentialCache, "abandonFetches">;
  /** Starts a thread for a place: 0, 1, … */
  readonly newThread: (place: number) => Thread;
  /** What it is told. @param serial the last revocation serial that the place's worker before it knew */
  readonly startOf: (place: number, serial: number | undefined) => WorkerStart;
  /** Takes a registration; the contacts that the user has then are told to all workers. */
  readonly register?: (registration: Registration) => RegistrationOutcome;
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
  /** Default 10 s. */
  readonly silenceMs?: number;
}

const NO_STATE: ThreadState = { dbclients: [], targets: [] };

/** One worker's place, whoever fills it. */
interface Place {
  readonly number: number;
  readonly restarts: Restarts;
  thread: Thread | undefined;
  descriptors: readonly number[];
  cacheThread: number | undefined;
  /** Since when it serves, ms; undefined while it starts. */
  servingSince: number | undefined;
  connected: boolean;
  /** When it was last heard of, ms. */
  heardAt: number;
  serial: number | undefined;
  state: ThreadState;
  restart: ReturnType<typeof setTimeout> | undefined;
}

/** Runs workers. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #places: readonly Place[];
  readonly #counts: CountsOfWorkers;
  readonly #served = Promise.withResolvers<void>();
  readonly #connected = Promise.withResolvers<void>();
  readonly #drained = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** Places that still have requests to answer, before the end. */
  readonly #draining = new Set<Place>();
  #watch: ReturnType<typeof setInterval> | undefined;
  /** Whether all have served: from then on a failure ends nothing but the worker. */
  #begun = false;
  #ending = false;

  private constructor(options: CrewOptions) {
    this.#options = options;
    this.#counts = new CountsOfWorkers(options.workers);
    this.#places = Array.from({ length: options.workers }, (_, number) => ({
      number,
      restarts: new Restarts(),
      thread: undefined,
      descriptors: [],
      cacheThread: undefined,
      servingSince: undefined,
      connected: false,
      heardAt: now(),
      serial: undefined,
      state: NO_STATE,
      restart: undefined,
    }));
  }

  /**
   * Starts all workers.
   *
   * @throws {Error} (rejects) with one line when one of them cannot begin: none is left then
   */
  static async start(options: CrewOptions): Promise<Crew> {
    const crew = new Crew(options);
    for (const place of crew.#places) crew.#start(place);
    try {
      await crew.#served.promise;
    } catch (error) {
      crew.#ending = true;
      for (const place of crew.#places) crew.#dismiss(place);
      throw error;
    }
    crew.#begun = true;
    const silence = options.silenceMs ?? SILENCE_MS;
    crew.#watch = setInterval(() => crew.#look(silence), silence / 10);
    return crew;
  }

  /** Waits until all workers have their connection to DBclient, `ms` at most. */
  async whenConnected(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([this.#connected.promise, late]);
    clearTimeout(timer);
  }

  /** Counters of all workers, up to a second old; after {@linkcode close} those of the end. */
  counts(own: Counts): Record<string, number> {
    return this.#counts.sum(own);
  }

  /** Each worker, as far as it has told. */
  states(): WorkerState[] {
    const wall = Date.now() - now();
    return this.#places.map(({ number, servingSince, state }) => ({
      number: number + 1,
      serving: servingSince !== undefined,
      since: servingSince === undefined ? 0 : (wall + servingSince) / 1000,
      ...state,
      counts: this.#counts.of(number),
    }));
  }

  /** Changes the keys of all workers; those that are started later have them from `startOf`. */
  setKeys(keys: readonly Uint8Array[]): void {
    this.#send({ kind: "keys", keys });
  }

  /** Has all workers take over another routing; those that replace a crashed one begin with it (`startOf`). */
  reload(message: Extract<ToWorker, { kind: "reload" }>): void {
    this.#send(message);
  }

  /** Has all workers refuse what begins something, and waits until they have answered the rest, `ms` at most. */
  async drain(ms: number): Promise<void> {
    for (const place of this.#places) if (place.thread !== undefined) this.#draining.add(place);
    if (this.#draining.size === 0) return;
    this.#send({ kind: "drain", ms });
    const timer = setTimeout(this.#drained.resolve, ms + END_MS);
    await this.#drained.promise;
    clearTimeout(timer);
  }

  /** Ends all workers. */
  async close(): Promise<void> {
    this.#ending = true;
    clearInterval(this.#watch);
    for (const { restart } of this.#places) clearTimeout(restart);
    this.#send({ kind: "end" });
    this.#lookForEnd();
    const timer = setTimeout(this.#ended.resolve, END_MS);
    await this.#ended.promise;
    clearTimeout(timer);
    for (const place of this.#places) this.#dismiss(place);
  }

  #send(message: ToWorker): void {
    for (const { thread } of this.#places) thread?.postMessage(message);
  }

  #start(place: Place): void {
    const { newThread, startOf } = this.#options;
    const thread = newThread(place.number);
    place.thread = thread;
    place.servingSince = undefined;
    place.heardAt = now();
    // What a thread says that was given up meanwhile counts no more.
    thread.onmessage = ({ data }) => {
      if (place.thread === thread) this.#take(place, data);
    };
    thread.onerror = (event) => {
      event.preventDefault();
      if (place.thread === thread) this.#lost(place, firstLine(event.message));
    };
    thread.postMessage(startOf(place.number, place.serial));
  }

  #take(place: Place, message: FromWorker): void {
    place.heardAt = now();
    switch (message.kind) {
      case "serving":
        place.servingSince = now();
        place.descriptors = message.descriptors;
        place.cacheThread = message.cacheThread;
        if (this.#begun) this.#log("worker_replaced", place, {});
        if (this.#places.every(({ servingSince }) => servingSince !== undefined)) this.#served.resolve();
        break;
      case "failed":
        this.#lost(place, message.reason);
        break;
      case "connected":
        place.connected = true;
        if (this.#places.every(({ connected }) => connected)) this.#connected.resolve();
        break;
      case "report":
        place.serial = message.serial;
        place.state = message.state;
        this.#counts.report(place.number, message.counts);
        break;
      case "log":
        this.#log(message.event, place, message.fields);
        break;
      case "register":
        this.#register(place, message.id, message.registration);
        break;
      case "crashed":
        this.#lost(place, message.reason);
        break;
      case "drained":
        this.#leaveDraining(place);
        break;
      case "ended":
        this.#counts.report(place.number, message.counts);
        this.#dismiss(place);
        this.#lookForEnd();
        break;
    }
  }

  #register({ thread }: Place, id: number, registration: Registration): void {
    const outcome = this.#options.register?.(registration);
    if (outcome === undefined) return;
    if ("bindings" in outcome && registration.contacts.length > 0) {
      const { aor } = registration;
      this.#send({ kind: "location", change: { aor, bindings: outcome.bindings } });
    }
    thread?.postMessage({ kind: "registered", id, outcome });
  }

  /** A worker is no more, and was not told to end. */
  #lost(place: Place, reason: string): void {
    const servedMs = place.servingSince === undefined ? 0 : now() - place.servingSince;
    this.#dismiss(place);
    if (this.#ending) return this.#lookForEnd();
    if (!this.#begun) return this.#served.reject(new Error(reason));
    this.#counts.replace(place.number);
    place.servingSince = undefined;
    place.state = NO_STATE;
    if (place.cacheThread !== undefined) this.#options.cache.abandonFetches(place.cacheThread);
    place.cacheThread = undefined;
    const pause = place.restarts.next(servedMs);
    this.#log("worker_crashed", place, { reason, replaced_in_ms: pause });
    place.restart = setTimeout(() => this.#start(place), pause);
  }

  #leaveDraining(place: Place): void {
    if (this.#draining.delete(place) && this.#draining.size === 0) this.#drained.resolve();
  }

  /** Ends a worker's thread, unless there is none. */
  #dismiss(place: Place): void {
    this.#leaveDraining(place);
    place.thread?.terminate();
    place.thread = undefined;
    const { descriptors } = place;
    place.descriptors = [];
    if (this.#ending || descriptors.length === 0) return;
    Deno.unrefTimer(setTimeout(() => closeDescriptors(descriptors), DESCRIPTORS_MS));
  }

  #look(silenceMs: number): void {
    for (const place of this.#places) {
      if (place.thread === undefined || now() - place.heardAt < silenceMs) continue;
      this.#lost(place, `nothing was heard of it for ${silenceMs / 1000} s`);
    }
  }

  #lookForEnd(): void {
    if (this.#places.every(({ thread }) => thread === undefined)) this.#ended.resolve();
  }

  #log(event: string, { number }: Place, fields: Readonly<Record<string, string | number>>): void {
    this.#options.log(event, { worker: number + 1, ...fields });
  }
}
