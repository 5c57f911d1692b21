/** Serves the proxy's metrics, its health, and what `proxy status` prints. */
import { type ListenAddress, type Log, MetricsServer, processFigures, VERSION } from "../mod.ts";
import { proxyMetrics } from "./metrics.ts";
import type { ProgramProxy } from "./proxy_io.ts";
import { proxyReadiness, type ProxyStatus } from "./status.ts";

/** What is shown. */
export interface ProxyMetricsSource {
  readonly proxy: Pick<ProgramProxy, "statistics" | "state" | "tokens">;
  /** Whether requests are authenticated, which takes a DBclient. */
  needsDbclient(): boolean;
  /** Name of the hash backend. */
  readonly hash: string;
  readonly log: Log;
}

async function countsOf({ proxy }: ProxyMetricsSource): Promise<Record<string, number>> {
  const { tokens, low, without } = await proxy.tokens();
  return { ...proxy.statistics(), tokens_left: tokens, users_low: low, users_without_tokens: without };
}

/**
 * Serves `/metrics`, `/healthz`, `/readyz` and `/status` until it is closed.
 *
 * @throws {Error} (rejects) with one line when the address cannot be listened on
 */
export function serveProxyMetrics(
  address: ListenAddress,
  source: ProxyMetricsSource,
): Promise<MetricsServer> {
  const { proxy, hash, log } = source;
  const build = { version: VERSION, deno: Deno.version.deno, hash };
  return MetricsServer.listen({
    ...address,
    log,
    metrics: async () =>
      proxyMetrics({ counts: await countsOf(source), state: proxy.state(), usage: processFigures(), build }),
    ready: () => proxyReadiness(proxy.state(), source.needsDbclient()),
    status: async (): Promise<ProxyStatus> => ({
      version: VERSION,
      uptime: Date.now() / 1000 - processFigures().startTime,
      state: proxy.state(),
      counts: await countsOf(source),
    }),
  });
}
