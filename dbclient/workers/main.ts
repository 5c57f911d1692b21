/** A worker of `dbclient --workers N`: serves as the supervisor tells it on standard input. */
import { firstLine, loadHashBackend, type Log, processFigures, StreamWriter } from "../../mod.ts";
import { type Service, startService } from "../service_io.ts";
import { type FromWorker, Lines, type ToWorker } from "./messages.ts";

/** How often the supervisor hears of this worker, ms. */
const REPORT_MS = 1000;
/** With so many bytes waiting for a supervisor that does not read, log lines are dropped. */
const MAX_WAITING = 1 << 20;

const encoder = new TextEncoder();
// Without a supervisor there is nothing to serve for.
const output = new StreamWriter(Deno.stdout, { onError: () => Deno.exit(1) });
let service: Service | undefined;
let reports: ReturnType<typeof setInterval> | undefined;
let ending: Promise<void> | undefined;

function tell(message: FromWorker): void {
  if (message.kind === "log" && output.queued > MAX_WAITING) return;
  output.push([encoder.encode(JSON.stringify(message) + "\n")]);
}

const log: Log = (line, details = {}) => tell({ kind: "log", line, details });

function report(): void {
  const usage = processFigures();
  for (const counters of service?.counters() ?? []) tell({ kind: "counters", counters, usage });
}

async function reportReadiness(): Promise<void> {
  if (service !== undefined) tell({ kind: "readiness", readiness: await service.ready() });
}

async function start({ setup }: Extract<ToWorker, { kind: "start" }>): Promise<void> {
  try {
    const { backend } = await loadHashBackend(setup.values.hash);
    service = await startService(setup, backend, log);
  } catch (error) {
    tell({ kind: "failed", reason: firstLine(error) });
    return end(1);
  }
  tell({ kind: "ready", port: service.port });
  report();
  const isWatched = setup.values.metrics !== undefined;
  if (isWatched) await reportReadiness();
  reports = setInterval(() => {
    report();
    if (isWatched) reportReadiness();
  }, REPORT_MS);
}

function end(code: number): Promise<void> {
  return ending ??= (async () => {
    clearInterval(reports);
    await service?.close();
    report();
    await output.drained;
    Deno.exit(code);
  })();
}

async function take(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case "start":
      return await start(message);
    case "keys":
      return service?.setKeys(message.keys);
    case "tls":
      try {
        return service?.setTls(message.tls);
      } catch (error) {
        return log(`TLS: ${firstLine(error)}; the certificate of before stays`);
      }
    case "end":
      return await end(0);
  }
}

// A terminal sends these to all of its processes; the supervisor decides what they mean.
for (const signal of ["SIGINT", "SIGHUP", "SIGUSR2"] as const) Deno.addSignalListener(signal, () => {});
Deno.addSignalListener("SIGTERM", () => end(0));
const lines = new Lines();
try {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const line of lines.push(text)) await take(JSON.parse(line));
  }
} finally {
  await end(0);
}
