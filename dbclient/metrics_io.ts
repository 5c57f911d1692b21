/** Serves DBclient's metrics and its health. */
import {
  firstLine,
  type ListenAddress,
  type Log,
  MetricsServer,
  processFigures,
  type Readiness,
  VERSION,
} from "../mod.ts";
import type { Counters } from "./counters.ts";
import { dbclientMetrics, type MetricsSnapshot, type WorkerSnapshot } from "./metrics.ts";
import { StoreError } from "./subscriber.ts";

/** What is shown, asked at each scrape. */
export interface MetricsSource {
  /** Of all processes together. */
  counters(): Counters | Promise<Counters>;
  /** For several processes. */
  workers?(): readonly WorkerSnapshot[] | Promise<readonly WorkerSnapshot[]>;
  ready(): Promise<Readiness>;
  /** Name of the hash backend. */
  readonly hash: string;
  readonly log: Log;
}

/** All that a scrape shows, of this process and of what it is told. */
async function snapshot(source: MetricsSource): Promise<MetricsSnapshot> {
  const { hash } = source;
  return {
    counters: await source.counters(),
    usage: processFigures(),
    build: { version: VERSION, deno: Deno.version.deno, hash },
    workers: await source.workers?.(),
  };
}

/**
 * Serves `/metrics`, `/healthz` and `/readyz` until it is disposed of.
 *
 * @param address undefined: nowhere
 * @throws {StoreError} (rejects) when nobody can listen there
 */
export async function serveMetrics(
  address: ListenAddress | undefined,
  source: MetricsSource,
): Promise<MetricsServer | undefined> {
  if (address === undefined) return undefined;
  try {
    return await MetricsServer.listen({
      ...address,
      log: source.log,
      metrics: async () => dbclientMetrics(await snapshot(source)),
      ready: () => source.ready(),
    });
  } catch (error) {
    throw new StoreError(firstLine(error));
  }
}
