/** Serves DBclient's metrics and its health. */
import { firstLine, type Log, MetricsServer, type Readiness, VERSION } from "../mod.ts";
import type { Counters } from "./counters.ts";
import { dbclientMetrics, type MetricsSnapshot, type WorkerSnapshot } from "./metrics.ts";
import type { ListenAddress } from "./metrics_options.ts";
import { processFigures } from "./process_figures_io.ts";
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
): Promise<AsyncDisposable & { readonly port: number } | undefined> {
  if (address === undefined) return undefined;
  const { host } = address;
  const where = (port: number) => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const { log } = source;
  let server: MetricsServer;
  try {
    server = await MetricsServer.listen({
      ...address,
      log,
      metrics: async () => dbclientMetrics(await snapshot(source)),
      ready: () => source.ready(),
    });
  } catch (error) {
    const inUse = (error as { code?: string }).code === "EADDRINUSE";
    const problem = inUse ? "is in use by another program" : `cannot be listened on: ${firstLine(error)}`;
    throw new StoreError(`--metrics: ${where(address.port)} ${problem}`);
  }
  const { port } = server;
  log(`metrics on http://${where(port)}/metrics`, { event: "metrics", fields: { address: host, port } });
  return { port, [Symbol.asyncDispose]: () => server.close() };
}
