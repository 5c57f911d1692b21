/** A proxy of several workers: sockets, cache and what is drawn at random are made here, in the main thread, once. */
import {
  type Address,
  batchedIoProblem,
  bindDatagramSockets,
  type BoundSocket,
  clockOrigin,
  formatTransportAddress,
  isReliable,
  now,
  systemRandom,
  tryToListen,
} from "../../mod.ts";
import type { CredentialCache, TokenFigures } from "../credential_cache.ts";
import type { Location } from "../location.ts";
import type { ProxyValues } from "../options.ts";
import type { IssueService } from "../issue_service.ts";
import { newDialogKey, type ProgramProxy, type RunOptions } from "../proxy_io.ts";
import { LocationKeeper } from "../registrar/location_keeper_io.ts";
import { newCache, newOpaque, newSource, preload } from "../shared_parts.ts";
import { Crew, type Thread } from "./crew_io.ts";
import type { Settings } from "../settings.ts";
import type { ProxyState } from "../status.ts";
import { TokenCount } from "../token_count_io.ts";
import type { WorkerStart } from "./messages.ts";

/** The main thread asks for no credentials. */
const NOBODY: IssueService = {
  connected: false,
  issue: (_algorithm, _users, done) => done(undefined, now()),
};

/** What is needed beside the flags; the routing function is loaded by the workers. */
export type WorkerOptions = Pick<
  RunOptions,
  "values" | "settings" | "hashes" | "keys" | "tls" | "warmup" | "log"
>;

/** What there is of one address listened on: UDP sockets, one of each sort for each worker; connections are the workers' own. */
interface Bound {
  readonly local: Address;
  readonly listen: readonly BoundSocket[];
  readonly reply: readonly BoundSocket[];
}

/** The keys that workers begin with. */
interface SharedKeys {
  current: readonly Uint8Array[];
}

/** The routing at present. */
interface Routing {
  values: ProxyValues;
  settings: Settings;
  version: number;
}

/** A running proxy with several workers. */
export class WorkerProxy implements ProgramProxy {
  readonly io = "batched";
  readonly preloaded: number;
  readonly #cache: CredentialCache;
  readonly #bound: readonly Bound[];
  readonly #crew: Crew;
  readonly #keys: SharedKeys;
  readonly #keeper: LocationKeeper | undefined;
  readonly #routing: Routing;
  readonly #tokens: TokenCount;
  #draining = false;

  private constructor(
    crew: Crew,
    keys: SharedKeys,
    bound: readonly Bound[],
    cache: CredentialCache,
    preloaded: number,
    routing: Routing,
    keeper: LocationKeeper | undefined,
  ) {
    this.#crew = crew;
    this.#keys = keys;
    this.#routing = routing;
    this.#keeper = keeper;
    this.#bound = bound;
    this.#cache = cache;
    this.preloaded = preloaded;
    this.#tokens = new TokenCount(cache, routing.values.low_water);
  }

  /**
   * Opens the sockets of all workers, and starts them.
   *
   * @throws {Error} (rejects) with one line when an address cannot be listened on, or a worker cannot begin
   */
  static async start(options: WorkerOptions): Promise<WorkerProxy> {
    const { values, hashes, warmup, log } = options;
    const problem = batchedIoProblem();
    if (problem !== undefined) throw new Error(`--workers above 1: ${problem}`);
    const bound: Bound[] = [];
    const keys: SharedKeys = { current: options.keys };
    let keeper: LocationKeeper | undefined;
    try {
      for (const address of options.settings.listen) bound.push(await bind(options, address));
      const cache = newCache(values, hashes, systemRandom);
      let preloaded = 0;
      if (warmup !== undefined) {
        const source = newSource(values, cache, NOBODY);
        preloaded = preload(source, warmup.records, warmup.issuedAt, warmup.serial, now());
      }
      const { settings } = options;
      const routing: Routing = { values, settings, version: 0 };
      if (values.registrar) {
        keeper = await LocationKeeper.open({ values, log });
      }
      const known = keeper?.location;
      const crew = await Crew.start({
        workers: values.workers,
        cache,
        newThread: (place) =>
          new Worker(new URL("./main.ts", import.meta.url).href, {
            type: "module",
            name: `worker ${place + 1}`,
          }) as Thread,
        startOf: startOf(options, keys, routing, bound, cache.buffer, known),
        register: (registration) => known!.apply(registration, now()),
        log,
      });
      return new WorkerProxy(crew, keys, bound, cache, preloaded, routing, keeper);
    } catch (error) {
      await keeper?.close();
      close(bound);
      throw error;
    }
  }

  get listening(): Address[] {
    return this.#bound.map(({ local }) => local);
  }

  statistics(): Record<string, number> {
    const { size: users, verifiedSize: usersVerified } = this.#cache;
    const location = this.#keeper?.location;
    return this.#crew.counts({
      users,
      usersVerified,
      preloaded: this.preloaded,
      ...(location === undefined ? {} : { aors: location.size, contacts: location.contacts }),
    });
  }

  state(): ProxyState {
    const listening = this.listening.map(formatTransportAddress);
    return { listening, draining: this.#draining, workers: this.#crew.states() };
  }

  tokens(): Promise<TokenFigures> {
    return this.#tokens.figures();
  }

  whenConnected(ms: number): Promise<void> {
    return this.#crew.whenConnected(ms);
  }

  setKeys(keys: readonly Uint8Array[]): void {
    this.#keys.current = keys;
    this.#crew.setKeys(keys);
  }

  reload(values: ProxyValues, settings: Settings, version: number): Promise<void> {
    const { tls } = settings;
    try {
      // Tried here first, so that bad ones are told of at once.
      if (tls !== undefined) tryToListen({ host: "127.0.0.1", port: 0, transport: "tls" }, tls);
    } catch (error) {
      return Promise.reject(error);
    }
    Object.assign(this.#routing, { values, settings, version });
    const routing = { values: workerValues(values), settings, version };
    this.#crew.reload({ kind: "reload", ...routing });
    return Promise.resolve();
  }

  drain(ms: number): Promise<void> {
    this.#draining = true;
    return this.#crew.drain(ms);
  }

  async close(): Promise<void> {
    await this.#crew.close();
    await this.#keeper?.close();
    close(this.#bound);
  }
}

async function bind({ values, settings }: WorkerOptions, address: Address): Promise<Bound> {
  // The workers share the port; that nobody else has it, and that the certificate is good, is seen here.
  if (isReliable(address)) return { local: tryToListen(address, settings.tls), listen: [], reply: [] };
  const { workers, reply_port } = values;
  const { host, port } = address;
  const reply: BoundSocket[] = [];
  const listen = await bindDatagramSockets(host, port, workers);
  try {
    for (let place = 0; place < workers; place++) {
      reply.push(...await bindDatagramSockets(host, reply_port === 0 ? 0 : reply_port + place, 1));
    }
  } catch (error) {
    close([{ local: address, listen, reply }]);
    throw error;
  }
  return { local: { ...listen[0].local, transport: "udp" }, listen, reply };
}

function close(bound: readonly Bound[]): void {
  for (const { listen, reply } of bound) for (const socket of [...listen, ...reply]) socket.close();
}

/** The values with each worker's share of what they share. */
function workerValues(values: ProxyValues): ProxyValues {
  const share = (limit: number) => Math.ceil(limit / values.workers);
  return {
    ...values,
    max_transactions: share(values.max_transactions),
    miss_limit: share(values.miss_limit),
    tcp_max_connections: share(values.tcp_max_connections),
    tcp_wq_max: share(values.tcp_wq_max),
  };
}

/** What each worker is told; one that begins later hears of the routing as it is then. */
function startOf(
  options: WorkerOptions,
  keys: SharedKeys,
  routing: Routing,
  bound: readonly Bound[],
  cache: SharedArrayBuffer,
  location: Location | undefined,
): (place: number, serial: number | undefined) => WorkerStart {
  const { tls, warmup } = options;
  const common = {
    dialogKey: options.settings.dialogKey ?? newDialogKey(options),
    opaque: newOpaque(systemRandom),
    all: bound.flatMap(({ reply }) => reply.map(({ local }) => local)),
    origin: clockOrigin(),
  };
  return (place, serial) => ({
    kind: "start",
    values: workerValues(routing.values),
    settings: {
      ...routing.settings,
      listen: bound.map(({ local }) => local),
      dialogKey: common.dialogKey,
      opaque: common.opaque,
      reply: {
        own: bound.map(({ local, reply }) => reply.length === 0 ? local : reply[place].local),
        all: common.all,
      },
    },
    keys: keys.current,
    tls,
    shared: {
      cache,
      sockets: bound.map(({ listen, reply }) =>
        listen.length === 0 ? undefined : { listen: listen[place].descriptor, reply: reply[place].descriptor }
      ),
      serial: serial ?? warmup?.serial,
    },
    location: location === undefined ? [] : [...location.entries(now())],
    clockOrigin: common.origin,
    routeVersion: routing.version,
  });
}
