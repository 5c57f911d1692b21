/** What a proxy counts. Plain numbers: counting allocates nothing, and costs a message next to nothing. */
import { DIGEST_VERDICTS, type DigestVerdict, METHODS, type Verdict, VERDICTS } from "../mod.ts";

/** Why a request is refused by the proxy itself; docs/SECURITY.md and docs/MONITORING.md explain each. */
export const REFUSALS = [
  /** It cannot be read: 400, 505 and the like (RFC 3261 §16.3 step 1). */
  "malformed",
  /** 513: over a limit on sizes. */
  "too_large",
  /** 400: it can be read, but its From or Request-URI cannot be used. */
  "bad_request",
  /** 416, RFC 3261 §16.3 step 2. */
  "unsupported_scheme",
  /** 483, RFC 3261 §16.3 step 3. */
  "too_many_hops",
  /** 440, RFC 5393 §5.3.3. */
  "max_breadth",
  /** 482, RFC 3261 §16.3 step 4 and RFC 5393. */
  "loop",
  /** 420, RFC 3261 §16.3 step 5. */
  "bad_extension",
  /** Over `source_rate`: answered with 503, or dropped. */
  "source_rate",
  "source_rate_dropped",
  "user_rate",
  /** Over `max_failures_per_user` or `max_failures_per_source`. */
  "too_many_failures",
  // Verdicts on answers (docs/PROTOCOL.md §6). Those that honest agents meet in the course of things are none:
  // no_credentials, stale, expired, out_of_range, renew.
  /** 400: an answer to a challenge that breaks its scheme, the verdict malformed. */
  "bad_answer",
  "bad_response",
  "bad_token",
  "replayed",
  /** 403: the user name of the answer is not that of From. */
  "forbidden",
  /** 503: no credential to challenge with, or no DBclient to check an answer. */
  "unavailable",
  /** 503: no room for a transaction (`--max_transactions`). */
  "transactions",
  /** 503: the proxy is about to end. */
  "draining",
] as const;
/** One of {@linkcode REFUSALS}. */
export type RefusalReason = (typeof REFUSALS)[number];

/** Which scheme a challenge offers. */
export const CHALLENGE_SCHEMES = ["pc", "digest", "both"] as const;
/** One of {@linkcode CHALLENGE_SCHEMES}. */
export type ChallengeScheme = (typeof CHALLENGE_SCHEMES)[number];

export const PC_VERDICTS = Object.keys(VERDICTS) as readonly Verdict[];
export const DIGEST_VERDICT_NAMES = Object.keys(DIGEST_VERDICTS) as readonly DigestVerdict[];
/** Methods that are counted by name, and one for all others. */
export const METHOD_LABELS: readonly string[] = [...METHODS, "other"];
/** By the first digit of a status. */
export const STATUS_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"] as const;

/** What the core counts. */
export interface ProxyCounters {
  /** Messages, requests and responses. */
  received: number;
  forwarded: number;
  /** Responses that belong to nothing. */
  strays: number;
  /** Requests that the route gave up without an answer. */
  dropped: number;
  /** Requests received, by place in {@linkcode METHOD_LABELS}. */
  readonly requests: Float64Array;
  /** Responses by the first digit of their status. */
  readonly responsesReceived: Float64Array;
  /** The same; without 100 (Trying), and without those that are sent again. */
  readonly responsesSent: Float64Array;
  readonly challenges: Record<ChallengeScheme, number>;
  readonly refusals: Record<RefusalReason, number>;
  readonly pc: Record<Verdict, number>;
  readonly digest: Record<DigestVerdict, number>;
}

function zeros<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
}

/** None yet. */
export function newProxyCounters(): ProxyCounters {
  return {
    received: 0,
    forwarded: 0,
    strays: 0,
    dropped: 0,
    requests: new Float64Array(METHOD_LABELS.length),
    responsesReceived: new Float64Array(STATUS_CLASSES.length + 1),
    responsesSent: new Float64Array(STATUS_CLASSES.length + 1),
    challenges: zeros(CHALLENGE_SCHEMES),
    refusals: zeros(REFUSALS),
    pc: zeros(PC_VERDICTS),
    digest: zeros(DIGEST_VERDICT_NAMES),
  };
}

const REFUSAL_OF_STATUS: Readonly<Record<number, RefusalReason>> = {
  416: "unsupported_scheme",
  420: "bad_extension",
  440: "max_breadth",
  482: "loop",
  483: "too_many_hops",
};

/** The reason of a refusal by RFC 3261 §16.3. */
export function refusalOf(status: number): RefusalReason {
  return REFUSAL_OF_STATUS[status] ?? "bad_request";
}

const sum = (record: Readonly<Record<string, number>>) =>
  Object.values(record).reduce((all, count) => all + count, 0);

/** The counters under flat names: those that workers report, and those of the statistics file. */
export function flatCounters(counters: ProxyCounters): Record<string, number> {
  const { received, forwarded, strays, dropped, challenges, refusals } = counters;
  const flat: Record<string, number> = {
    received,
    malformed: refusals.malformed,
    forwarded,
    challenged: sum(challenges),
    refused: sum(refusals) - refusals.malformed,
    strays,
    dropped,
  };
  METHOD_LABELS.forEach((method, i) => flat[`requests_${method}`] = counters.requests[i]);
  STATUS_CLASSES.forEach((label, i) => {
    flat[`responses_received_${label}`] = counters.responsesReceived[i + 1];
    flat[`responses_sent_${label}`] = counters.responsesSent[i + 1];
  });
  for (const scheme of CHALLENGE_SCHEMES) flat[`challenges_${scheme}`] = challenges[scheme];
  for (const reason of REFUSALS) flat[`refused_${reason}`] = refusals[reason];
  for (const verdict of PC_VERDICTS) flat[`pc_${verdict}`] = counters.pc[verdict];
  for (const verdict of DIGEST_VERDICT_NAMES) flat[`digest_${verdict}`] = counters.digest[verdict];
  return flat;
}
