/** The proxies' side of the benchmark: prefetchers that send batches, and one that asks for a single user. */
import { DbclientConnection, type HashBackend, type Identity, now, type Random } from "../../mod.ts";
import { HOST, REALM, userName } from "../programs_io.ts";
import { type LatencyFigure, quantile } from "./figures.ts";

/** Where the DBclient under test listens, and how to get in. */
export interface Target {
  readonly port: number;
  readonly key: Uint8Array;
  readonly hashes: HashBackend;
  /** Subscribers that it has: {@linkcode userName} 1, 2, … */
  readonly users: number;
  readonly random: Random;
}

/** How long a request may take here, ms: a loaded server is no failure. */
const DEADLINE = 30_000;
const CONNECT_MS = 10_000;

/** Connects proxies. */
export async function connectProxies(target: Target, count: number): Promise<DbclientConnection[]> {
  const proxies = Array.from({ length: count }, (_, i) =>
    new DbclientConnection({
      addresses: [{ host: HOST, port: target.port }],
      name: `proxy${i}`,
      keys: [target.key],
      sha256: target.hashes.get("SHA-256"),
    }));
  const connected = await Promise.all(proxies.map((proxy) => proxy.whenConnected(CONNECT_MS)));
  if (connected.includes(false)) throw new Error(`not all of ${count} proxies could connect`);
  return proxies;
}

/** Ends their connections. */
export async function closeProxies(proxies: readonly DbclientConnection[]): Promise<void> {
  await Promise.all(proxies.map((proxy) => proxy.close()));
}

function someone({ random, users }: Target): Identity {
  return { username: userName(1 + random.below(users)), realm: REALM };
}

async function issue(proxy: DbclientConnection, users: readonly Identity[]): Promise<void> {
  const results = await proxy.issue("SHA-1", users, DEADLINE);
  const wrong = results.find(({ status }) => status !== "ok");
  if (wrong !== undefined || results.length !== users.length) {
    throw new Error(`no credential: ${JSON.stringify(wrong)}`);
  }
}

/** Prefetchers that send one batch after the other, until they are told to stop. */
export class Prefetchers {
  /** Credentials that have come. */
  received = 0;
  readonly #running: Promise<unknown>;
  #stopped = false;

  /** @param batch users of a frame */
  constructor(target: Target, proxies: readonly DbclientConnection[], batch: number) {
    this.#running = Promise.all(proxies.map(async (proxy) => {
      while (!this.#stopped) {
        await issue(proxy, Array.from({ length: batch }, () => someone(target)));
        this.received += batch;
      }
    }));
    // Whoever waits for a count finds out by `stop`.
    this.#running.catch(() => this.#stopped = true);
  }

  /** Waits until so many have come; false: it has ended before. */
  async until(received: number): Promise<boolean> {
    while (this.received < received && !this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return !this.#stopped;
  }

  /** Rejects with what went wrong. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

/** Asks for one user after the other; the times in ms. */
export async function singleRequests(
  target: Target,
  proxy: DbclientConnection,
  count: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const users = [someone(target)];
    const start = now();
    await issue(proxy, users);
    times.push(now() - start);
  }
  return times;
}

/** What the times say. */
export function latencyOf(times: readonly number[]): Pick<LatencyFigure, "requests" | "p50" | "p99" | "max"> {
  return {
    requests: times.length,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    max: quantile(times, 1),
  };
}
