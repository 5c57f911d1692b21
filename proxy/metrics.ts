/** The proxy's counters as metrics, by Prometheus's conventions of names (docs/MONITORING.md shows the table). */
import {
  buildFamily,
  type BuildInfo,
  type FamilyOf,
  formatExposition,
  labelledFamily,
  type MetricFamily,
  type Observations,
  PROCESS_FAMILIES,
  type ProcessFigures,
  type Sample,
} from "../mod.ts";
import {
  CHALLENGE_SCHEMES,
  DIGEST_VERDICT_NAMES,
  METHOD_LABELS,
  PC_VERDICTS,
  REFUSALS,
  STATUS_CLASSES,
} from "./counters.ts";
import type { Counts } from "./workers/messages.ts";
import { type ProxyState, targetsOf, type WorkerState } from "./status.ts";

/** Upper bounds for answers of DBclient, seconds. */
export const DBCLIENT_BOUNDS: readonly number[] = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
];

/** All that a scrape shows. Plain data. */
export interface ProxySnapshot {
  /** Of all workers together, those that are gone included. */
  readonly counts: Counts;
  readonly state: ProxyState;
  /** The process: workers are threads of it. */
  readonly usage: ProcessFigures;
  readonly build: BuildInfo;
}

type Type = "counter" | "gauge";

/** Counts that stand in {@linkcode ProxySnapshot.counts}. */
interface CountRow {
  readonly type: Type;
  readonly name: string;
  readonly help: string;
  /** Name of the label; "" for a single sample. */
  readonly label: string;
  /** Values of the label, and the names of their counts. */
  readonly keys: readonly (readonly [value: string, key: string])[];
}

function one(type: Type, name: string, help: string, key: string): CountRow {
  return { type, name, help, label: "", keys: [["", key]] };
}

function many(
  type: Type,
  name: string,
  help: string,
  label: string,
  keys: Readonly<Record<string, string>>,
): CountRow {
  return { type, name, help, label, keys: Object.entries(keys) };
}

function prefixed(
  name: string,
  help: string,
  label: string,
  prefix: string,
  values: readonly string[],
): CountRow {
  return { type: "counter", name, help, label, keys: values.map((value) => [value, prefix + value]) };
}

const COUNT_ROWS: readonly CountRow[] = [
  one("counter", "proxy_messages_received_total", "SIP messages received, those sent again too.", "received"),
  one("counter", "proxy_messages_forwarded_total", "Requests and responses sent on.", "forwarded"),
  prefixed("proxy_requests_total", "Requests received by method.", "method", "requests_", METHOD_LABELS),
  prefixed(
    "proxy_responses_received_total",
    "Responses received by class.",
    "class",
    "responses_received_",
    STATUS_CLASSES,
  ),
  prefixed(
    "proxy_responses_sent_total",
    "Responses sent by class, own ones and those sent on; without 100 and what is sent again.",
    "class",
    "responses_sent_",
    STATUS_CLASSES,
  ),
  prefixed("proxy_pc_verdicts_total", "Verdicts on PC answers.", "verdict", "pc_", PC_VERDICTS),
  prefixed(
    "proxy_digest_verdicts_total",
    "Verdicts on Digest answers.",
    "verdict",
    "digest_",
    DIGEST_VERDICT_NAMES,
  ),
  prefixed(
    "proxy_challenges_total",
    "Challenges sent (401 and 407) by scheme.",
    "scheme",
    "challenges_",
    CHALLENGE_SCHEMES,
  ),
  prefixed(
    "proxy_refusals_total",
    "Requests that the proxy itself has refused, by reason.",
    "reason",
    "refused_",
    REFUSALS,
  ),
  many("counter", "proxy_dropped_total", "Messages that went no further without an answer.", "reason", {
    stray_response: "strays",
    route: "dropped",
    truncated: "datagrams_truncated",
    unsendable: "datagrams_dropped",
  }),
  many("counter", "proxy_retransmissions_total", "Messages that were sent again.", "what", {
    received: "absorbed",
    request_sent: "requests_sent_again",
    response_sent: "responses_sent_again",
  }),
  many("gauge", "proxy_transactions", "Transactions now, by kind.", "kind", {
    invite_server: "transactions_invite_server",
    invite_client: "transactions_invite_client",
    non_invite_server: "transactions_non_invite_server",
    non_invite_client: "transactions_non_invite_client",
  }),
  one("gauge", "proxy_cached_users", "Users in the credential cache.", "users"),
  one(
    "gauge",
    "proxy_verified_users",
    "Users in its protected part: a token of theirs was accepted.",
    "usersVerified",
  ),
  one("gauge", "proxy_tokens_left", "Tokens left of the users' newest credentials.", "tokens_left"),
  one(
    "gauge",
    "proxy_users_low_on_tokens",
    "Users whose newest credential has tokens left, but no more than --low_water.",
    "users_low",
  ),
  one(
    "gauge",
    "proxy_users_without_tokens",
    "Users in the cache with no token left, or no credential.",
    "users_without_tokens",
  ),
  one("counter", "proxy_credentials_asked_total", "Credentials that DBclient was asked for.", "usersAsked"),
  one(
    "counter",
    "proxy_credentials_prefetched_total",
    "Of these, how many before they were needed.",
    "prefetched",
  ),
  one("counter", "proxy_credentials_failed_total", "Of these, how many did not come.", "issueFailed"),
  one("counter", "proxy_credential_questions_total", "ISSUE frames sent to DBclient.", "issueFrames"),
  one("counter", "proxy_credentials_preloaded_total", "Credentials taken from a warm-up file.", "preloaded"),
  one(
    "counter",
    "proxy_digest_questions_total",
    "Digest answers that DBclient was asked to check.",
    "digestAnswers",
  ),
  one("counter", "proxy_revoked_users_total", "Users whose credentials DBclient has withdrawn.", "revoked"),
  one("counter", "proxy_cache_flushes_total", "How often all credentials were withdrawn.", "flushes"),
  many("gauge", "proxy_connections", "Open connections, by transport.", "transport", {
    tcp: "connections_tcp",
    tls: "connections_tls",
  }),
  many("counter", "proxy_connection_events_total", "What happened to connections.", "event", {
    accepted: "tcp_accepted",
    opened: "tcp_opened",
    refused: "tcp_refused",
    connect_failed: "tcp_connect_failed",
    idle_closed: "tcp_idle_closed",
    half_message: "tcp_half_messages",
    slow_reader: "tcp_slow_readers",
    malformed: "tcp_malformed",
  }),
  many("counter", "proxy_registrations_total", "REGISTER requests by result (--registrar).", "result", {
    ok: "registrations",
    refused: "registrationsRefused",
  }),
  one("gauge", "proxy_registered_users", "Users with a contact (--registrar).", "aors"),
  one("gauge", "proxy_contacts", "Contacts of all users (--registrar).", "contacts"),
  one(
    "counter",
    "proxy_workers_replaced_total",
    "Workers that were started in the place of another.",
    "workers_replaced",
  ),
];

/** Names of counts that tell of the present, and end with their worker. */
export const PRESENT_COUNTS: readonly string[] = COUNT_ROWS.filter(({ type }) => type === "gauge")
  .flatMap(({ keys }) => keys.map(([, key]) => key));

/** Counts that there are; those of a part that is off have no sample. */
function samplesOf({ label, keys }: CountRow, counts: Counts): Sample[] {
  return keys.filter(([, key]) => counts[key] !== undefined).map(([value, key]) => ({
    labels: label === "" ? undefined : { [label]: value },
    value: counts[key],
  }));
}

/** Observations as counts, so that those of all workers add up. */
export function flatObservations({ counts, sum }: Observations): Record<string, number> {
  const flat: Record<string, number> = { dbclient_seconds_sum: sum };
  counts.forEach((count, i) => flat[`dbclient_seconds_${i}`] = count);
  return flat;
}

function observationsOf(counts: Counts): Observations {
  return {
    counts: [...DBCLIENT_BOUNDS, Infinity].map((_, i) => counts[`dbclient_seconds_${i}`] ?? 0),
    sum: counts.dbclient_seconds_sum ?? 0,
  };
}

/** A family with a sample for each worker, where there are several. */
function perWorker(
  type: Type,
  name: string,
  help: string,
  value: (worker: WorkerState) => number,
): FamilyOf<ProxySnapshot> {
  return labelledFamily(
    type,
    name,
    help,
    ({ state: { workers } }) =>
      workers.length < 2 ? [] : workers.map((worker) => ({
        labels: { worker: String(worker.number) },
        value: value(worker),
      })),
  );
}

const DESTINATION_STATES = ["active", "probing", "disabled"] as const;

const FAMILIES: readonly FamilyOf<ProxySnapshot>[] = [
  ...COUNT_ROWS.map((row): FamilyOf<ProxySnapshot> =>
    labelledFamily(row.type, row.name, row.help, ({ counts }) => samplesOf(row, counts))
  ),
  ({ counts }) => ({
    type: "histogram",
    name: "proxy_dbclient_duration_seconds",
    help: "Time from a question to DBclient to its answer or failure.",
    bounds: DBCLIENT_BOUNDS,
    observations: observationsOf(counts),
  }),
  labelledFamily(
    "gauge",
    "proxy_dbclient_links",
    "Links to DBclients of all workers, by state.",
    ({ state: { workers } }) => {
      const links = workers.flatMap(({ dbclients }) => dbclients);
      const up = links.filter(({ up }) => up).length;
      return [
        { labels: { state: "up" }, value: up },
        { labels: { state: "down" }, value: links.length - up },
      ];
    },
  ),
  labelledFamily(
    "gauge",
    "proxy_dispatcher_destinations",
    "Destinations of the dispatcher by state; where workers differ, as the one sees it that leaves it aside.",
    ({ state: { workers } }) => {
      const targets = targetsOf(workers);
      return targets.length === 0 ? [] : DESTINATION_STATES.map((state) => ({
        labels: { state },
        value: targets.filter((target) => target.state === state).length,
      }));
    },
  ),
  labelledFamily(
    "gauge",
    "proxy_next_hops_down",
    "Next hops that are left aside; of the worker that knows most.",
    ({ state: { workers } }) => [
      { value: Math.max(0, ...workers.map(({ counts }) => counts.next_hops_down ?? 0)) },
    ],
  ),
  ...PROCESS_FAMILIES,
  perWorker("gauge", "proxy_worker_up", "Whether a worker serves.", ({ serving }) => Number(serving)),
  perWorker(
    "counter",
    "proxy_worker_messages_received_total",
    "SIP messages received by worker.",
    ({ counts }) => counts.received ?? 0,
  ),
  perWorker(
    "gauge",
    "proxy_worker_transactions",
    "Transactions now by worker.",
    ({ counts }) => counts.transactions ?? 0,
  ),
  perWorker(
    "gauge",
    "proxy_worker_start_time_seconds",
    "Since when each worker serves, in seconds since 1970: changes when one was replaced; 0 while it does not.",
    ({ since }) => since,
  ),
  buildFamily("proxy_build_info"),
];

/** The metrics of a snapshot, in the order of docs/MONITORING.md. */
export function proxyMetricFamilies(snapshot: ProxySnapshot): MetricFamily[] {
  return FAMILIES.map((family) => family(snapshot));
}

/** The text of a scrape. */
export function proxyMetrics(snapshot: ProxySnapshot): string {
  return formatExposition(proxyMetricFamilies(snapshot));
}
