/** A worker of `proxy --workers N`: serves with the sockets and the cache that the main thread gives it. */
import { joinClock, loadHashBackend, now } from "../../mod.ts";
import { RunningProxy } from "../proxy_io.ts";
import { loadRoute } from "../route_io.ts";
import { locationLimits } from "../registrar/registrar_values.ts";
import { LocationLink } from "./location_link.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.ts";

/** How often the main thread hears of this worker, ms. */
const REPORT_MS = 1000;
/** How long the first connection to DBclient is waited for before the main thread hears that there is none, ms. */
const CONNECT_MS = 60_000;

/** An ErrorEvent, or a PromiseRejectionEvent. */
interface Uncaught {
  readonly error?: unknown;
  readonly reason?: unknown;
  preventDefault(): void;
}

/** The part of a worker's scope that is used; the library's types are those of a window. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  addEventListener(type: "error" | "unhandledrejection", listener: (event: Uncaught) => void): void;
  postMessage(message: FromWorker): void;
  close(): void;
}

const scope = self as unknown as WorkerScope;
let proxy: RunningProxy | undefined;
/** With `--registrar`. */
let link: LocationLink | undefined;
let reports: ReturnType<typeof setInterval> | undefined;

/** One line about an error, with the place where it was thrown. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error).split("\n")[0];
  const place = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "))?.trim();
  return [`${error.name}: ${error.message.split("\n")[0]}`, ...place === undefined ? [] : [place]].join(" ");
}

/** An error that nobody caught ends this worker as it would end the program: the main thread starts another. */
function crash(event: Uncaught): void {
  event.preventDefault();
  scope.postMessage({ kind: "crashed", reason: describe(event.error ?? event.reason) });
  scope.close();
}

async function start(
  { values, settings, keys, tls, shared, location: known, clockOrigin, routeVersion }: WorkerStart,
): Promise<void> {
  joinClock(clockOrigin);
  if (values.registrar) {
    link = new LocationLink(now(), locationLimits(values), known, (message) => scope.postMessage(message));
  }
  const { backend: hashes } = await loadHashBackend(values.hash);
  const route = values.route === undefined ? undefined : await loadRoute(values.route, routeVersion);
  const log = (event: string, fields: Readonly<Record<string, string | number>>) =>
    scope.postMessage({ kind: "log", event, fields });
  const location = link && { location: link.location, owner: link };
  const running = await RunningProxy.start({
    values,
    settings,
    hashes,
    keys,
    tls,
    route,
    shared,
    location,
    log,
  });
  proxy = running;
  const { descriptors, cacheThread } = running;
  scope.postMessage({ kind: "serving", descriptors, cacheThread });
  const report = () =>
    scope.postMessage({
      kind: "report",
      counts: running.statistics(),
      state: running.thread,
      serial: running.serial,
    });
  report();
  reports = setInterval(report, REPORT_MS);
  await running.whenConnected(CONNECT_MS);
  report();
  scope.postMessage({ kind: "connected" });
}

async function end(): Promise<void> {
  clearInterval(reports);
  await proxy?.close();
  scope.postMessage({ kind: "ended", counts: proxy?.statistics() ?? {} });
  scope.close();
}

async function reload({ values, settings, version }: Extract<ToWorker, { kind: "reload" }>): Promise<void> {
  try {
    await proxy?.reload(values, settings, version);
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    scope.postMessage({ kind: "log", event: "not_reloaded", fields: { reason } });
  }
}

async function drain(ms: number): Promise<void> {
  await proxy?.drain(ms);
  scope.postMessage({ kind: "drained" });
}

scope.addEventListener("error", crash);
scope.addEventListener("unhandledrejection", crash);
scope.onmessage = ({ data }) => {
  if (data.kind === "end") return void end();
  if (data.kind === "keys") return proxy?.setKeys(data.keys);
  if (data.kind === "reload") return void reload(data);
  if (data.kind === "drain") return void drain(data.ms);
  if (data.kind !== "start") return link?.told(data, now());
  start(data).catch((error) => {
    scope.postMessage({ kind: "failed", reason: (error as Error).message.split("\n")[0] });
    scope.close();
  });
};
