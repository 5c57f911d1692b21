/**
 * Metrics and health over HTTP. By node:http: unlike Deno.serve it ends connections that send nothing or too slowly, and
 * limits how many there are, so that no monitoring client can take the file descriptors of the service.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { EXPOSITION_TYPE } from "../metrics/exposition.ts";
import { type Readiness, readiness } from "../metrics/readiness.ts";
import type { Log } from "../cli/log.ts";
import { firstLine } from "../cli/first_line.ts";
import { formatAddress } from "../sip/address.ts";

/** What a {@linkcode MetricsServer} needs. */
export interface MetricsServerOptions {
  readonly host: string;
  /** 0: any free one; see {@linkcode MetricsServer.port}. */
  readonly port: number;
  /** The text of a scrape, {@linkcode EXPOSITION_TYPE}. */
  metrics(): string | Promise<string>;
  /** What the program depends on, now. */
  ready(): Readiness | Promise<Readiness>;
  /** What `/status` tells, as JSON, to who asks from this machine; without it there is no such path. */
  status?(): unknown;
  readonly log: Log;
}

/** Connections at once: a few monitoring systems, and somebody with curl. */
const MAX_CONNECTIONS = 32;
/** Milliseconds for a whole request, and between two on one connection. */
const REQUEST_TIMEOUT = 5_000;
const KEEP_ALIVE_TIMEOUT = 30_000;
/** Milliseconds for {@linkcode MetricsServerOptions.metrics} and `ready`. */
const ANSWER_TIMEOUT = 3_000;
const MAX_HEADER_BYTES = 8192;

const JSON_TYPE = "application/json; charset=utf-8";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const json = (status: number, value: unknown): Answer => ({
  status,
  type: JSON_TYPE,
  body: JSON.stringify(value) + "\n",
});

/** The result, or a rejection when it takes too long. */
async function inTime<T>(result: T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_TIMEOUT} ms`)), ANSWER_TIMEOUT);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether a peer is on this machine: it comes over loopback, or from the very address that it has connected to. */
export function isSameMachine(peer: string | undefined, own: string | undefined): boolean {
  return peer !== undefined && (/^(?:::ffff:)?127\.|^::1$/.test(peer) || peer === own);
}

/** A failure to listen, in one line. */
function listenProblem(error: unknown, where: string): string {
  const inUse = (error as { code?: string }).code === "EADDRINUSE";
  return `--metrics: ${where} ${
    inUse ? "is in use by another program" : `cannot be listened on: ${firstLine(error)}`
  }`;
}

/** Serves `/metrics`, `/healthz`, `/readyz` and perhaps `/status` until it is closed or disposed of. */
export class MetricsServer implements AsyncDisposable {
  readonly port: number;
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.port = port;
    this.#close = close;
  }

  /** @throws {Error} (rejects) with one line when the address cannot be listened on */
  static async listen(options: MetricsServerOptions): Promise<MetricsServer> {
    const { host, log, status: tell } = options;
    const routes: Readonly<Record<string, (request: IncomingMessage) => Promise<Answer>>> = {
      "/metrics": async () => ({ status: 200, type: EXPOSITION_TYPE, body: await inTime(options.metrics()) }),
      "/healthz": () => Promise.resolve(json(200, { alive: true })),
      "/readyz": async () => {
        const state = await inTime(options.ready()).catch((error) =>
          readiness([{ name: "check", ok: false, detail: firstLine(error) }])
        );
        return json(state.ready ? 200 : 503, state);
      },
      ...tell === undefined ? {} : {
        "/status": async (request: IncomingMessage) =>
          isSameMachine(request.socket.remoteAddress, request.socket.localAddress)
            ? json(200, await inTime(tell()))
            : json(403, { error: "it is told on this machine only" }),
      },
    };
    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      const path = (request.url ?? "").split("?", 1)[0];
      const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
      let result: Answer;
      if (route === undefined) {
        result = json(404, { error: `no such path; there are ${Object.keys(routes).join(", ")}` });
      } else if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("Allow", "GET, HEAD");
        result = json(405, { error: "only GET and HEAD are allowed" });
      } else {
        result = await route(request).catch((error) => {
          log(`${path} cannot be answered: ${firstLine(error)}`, {
            level: "err",
            event: "metrics_failed",
          });
          return json(500, { error: "it cannot be answered now" });
        });
      }
      const { status, type, body } = result;
      const bytes = new TextEncoder().encode(body);
      response.writeHead(status, {
        "Content-Type": type,
        "Content-Length": bytes.length,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
      });
      response.end(request.method === "HEAD" ? undefined : bytes);
    };
    const server = createServer({
      headersTimeout: REQUEST_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      connectionsCheckingInterval: REQUEST_TIMEOUT / 5,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
      maxHeaderSize: MAX_HEADER_BYTES,
    }, (request, response) => void answer(request, response).catch(() => response.destroy()));
    server.maxConnections = MAX_CONNECTIONS;
    // Who reads its answer too slowly is idle, too.
    server.timeout = KEEP_ALIVE_TIMEOUT;
    await new Promise<void>((resolve, reject) => {
      server.once(
        "error",
        (error) => reject(new Error(listenProblem(error, formatAddress({ host, port: options.port })))),
      );
      server.listen(options.port, host, () => {
        server.removeAllListeners("error");
        resolve();
      });
    });
    server.on("error", (error: Error) => {
      log(`metrics: ${firstLine(error)}`, { level: "err", event: "metrics_failed" });
    });
    const { port } = server.address() as { port: number };
    const where = formatAddress({ host, port });
    log(`metrics on http://${where}/metrics`, { event: "metrics", fields: { address: host, port } });
    return new MetricsServer(port, () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }));
  }

  /** Ends every connection. */
  close(): Promise<void> {
    return this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
