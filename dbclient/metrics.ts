/** DBclient's counters as metrics, by Prometheus's conventions of names (docs/MONITORING.md shows the table). */
import {
  buildFamily,
  type BuildInfo,
  type FamilyOf,
  formatExposition,
  labelledFamily,
  type Labels,
  type MetricFamily,
  PROCESS_FAMILIES,
  type ProcessFigures,
  type Sample,
  singleFamily,
} from "../mod.ts";
import { BATCH_BOUNDS, type Counters, QUERY_BOUNDS } from "./counters.ts";

/** A worker process, as the one that started it knows it. */
export interface WorkerSnapshot {
  /** Its place, 0, 1, …: a worker that is started in the place of another has its number. */
  readonly number: number;
  readonly counters: Counters;
  readonly usage: ProcessFigures;
}

/** All that a scrape shows. Plain data. */
export interface MetricsSnapshot {
  /** Of all processes together; with workers, `sumCounters` of those that live and of those that ended. */
  readonly counters: Counters;
  /** The process that answers. */
  readonly usage: ProcessFigures;
  readonly build: BuildInfo;
  /** For several processes. */
  readonly workers?: readonly WorkerSnapshot[];
}

/** A family with a sample for each worker. */
function perWorker(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (worker: WorkerSnapshot) => number,
): FamilyOf<MetricsSnapshot> {
  return labelledFamily(
    type,
    name,
    help,
    ({ workers = [] }) =>
      workers.map((worker) => ({ labels: { worker: String(worker.number) }, value: value(worker) })),
  );
}

const sample = (value: number, labels: Labels): Sample => ({ labels, value });

const FAMILIES: readonly FamilyOf<MetricsSnapshot>[] = [
  singleFamily(
    "counter",
    "dbclient_credentials_issued_total",
    "Credentials issued, decoys among them.",
    ({ counters }) => counters.credentialsIssued,
  ),
  singleFamily(
    "counter",
    "dbclient_users_asked_total",
    "Users that proxies asked credentials for.",
    ({ counters }) => counters.usersAsked,
  ),
  singleFamily(
    "counter",
    "dbclient_unknown_users_total",
    "Users asked for that do not exist; each got a decoy.",
    ({ counters }) => counters.decoys - counters.withoutHash,
  ),
  singleFamily(
    "counter",
    "dbclient_users_without_hash_total",
    "Users asked for whose row has no usable hash for the algorithm; each got a decoy.",
    ({ counters }) => counters.withoutHash,
  ),
  labelledFamily(
    "counter",
    "dbclient_frames_total",
    "Requests of proxies by frame type.",
    ({ counters }) => [
      sample(counters.issueFrames, { type: "issue" }),
      sample(counters.verifyFrames, { type: "verify" }),
    ],
  ),
  labelledFamily(
    "counter",
    "dbclient_verify_answers_total",
    "Digest answers in VERIFY frames: ok, or other (wrong, malformed, not checked, still in work).",
    ({ counters }) => [
      sample(counters.verifyOk, { result: "ok" }),
      sample(counters.verifyAnswers - counters.verifyOk, { result: "other" }),
    ],
  ),
  ({ counters }) => ({
    type: "histogram",
    name: "dbclient_issue_batch_users",
    help: "Users of an ISSUE frame.",
    bounds: BATCH_BOUNDS,
    observations: counters.batchUsers,
  }),
  singleFamily(
    "counter",
    "dbclient_queries_total",
    "Questions to the subscriber database.",
    ({ counters }) => counters.queries,
  ),
  singleFamily(
    "counter",
    "dbclient_query_errors_total",
    "Questions to the subscriber database that failed.",
    ({ counters }) => counters.databaseErrors,
  ),
  ({ counters }) => ({
    type: "histogram",
    name: "dbclient_query_duration_seconds",
    help: "Time from a question to the subscriber database to its answer or failure.",
    bounds: QUERY_BOUNDS,
    observations: counters.querySeconds,
  }),
  singleFamily(
    "gauge",
    "dbclient_connections",
    "Proxies connected now.",
    ({ counters }) => counters.connected,
  ),
  singleFamily(
    "counter",
    "dbclient_connections_accepted_total",
    "Connections accepted from proxies.",
    ({ counters }) => counters.connections,
  ),
  singleFamily(
    "counter",
    "dbclient_protocol_errors_total",
    "Connections ended for a breach of the protocol, a wrong key, or silence.",
    ({ counters }) => counters.protocolErrors,
  ),
  labelledFamily(
    "counter",
    "dbclient_refusals_total",
    "Connections, requests and users of requests that were refused, by reason.",
    ({ counters }) => Object.entries(counters.refused).map(([reason, count]) => sample(count, { reason })),
  ),
  singleFamily(
    "gauge",
    "dbclient_revocation_serial",
    "Revocation serial last read from the database.",
    ({ counters }) => counters.revocationSerial,
  ),
  ...PROCESS_FAMILIES,
  perWorker(
    "gauge",
    "dbclient_worker_connections",
    "Proxies connected now, by worker.",
    ({ counters }) => counters.connected,
  ),
  perWorker(
    "counter",
    "dbclient_worker_cpu_seconds_total",
    "User and system CPU time by worker.",
    ({ usage }) => usage.cpuSeconds,
  ),
  perWorker(
    "gauge",
    "dbclient_worker_resident_memory_bytes",
    "Resident memory by worker.",
    ({ usage }) => usage.residentBytes,
  ),
  perWorker(
    "gauge",
    "dbclient_worker_start_time_seconds",
    "Start of each worker process, in seconds since 1970: changes when one was replaced.",
    ({ usage }) => usage.startTime,
  ),
  buildFamily("dbclient_build_info"),
];

/** The metrics of a snapshot, in the order of docs/MONITORING.md. */
export function metricFamilies(snapshot: MetricsSnapshot): MetricFamily[] {
  return FAMILIES.map((family) => family(snapshot));
}

/**
 * The text of a scrape.
 *
 * @example
 * ```ts
 * import { newCounters } from "./counters.ts";
 * import { dbclientMetrics } from "./metrics.ts";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const usage = { cpuSeconds: 1.5, residentBytes: 80e6, startTime: 1.7e9 };
 * const build = { version: "0.1.0", deno: "2.9.6", hash: "lanes" };
 * const text = dbclientMetrics({ counters: newCounters(), usage, build });
 * assertStringIncludes(text, "\nprocess_cpu_seconds_total 1.5\n");
 * ```
 */
export function dbclientMetrics(snapshot: MetricsSnapshot): string {
  return formatExposition(metricFamilies(snapshot));
}
