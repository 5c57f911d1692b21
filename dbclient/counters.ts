/**
 * What DBclient counts: served to Prometheus, printed at its end and on SIGUSR2, and written to `--stats_file` as one
 * JSON object. Plain data, so that the counters of several processes can be passed on and added up.
 */
import { addHistograms, ERROR_CODE, type ErrorName, type Histogram, newHistogram } from "../mod.ts";

/**
 * Why a connection, a request or one user of a request was refused. The codes of the protocol, and what it has no code
 * for. A closed set: each becomes a label of a metric.
 */
export const REFUSAL_REASONS = [
  ...Object.keys(ERROR_CODE) as ErrorName[],
  "invalid_name",
  "forbidden_realm",
  "unavailable",
  "slow_reader",
  "rate",
] as const;
/** One of {@linkcode REFUSAL_REASONS}. */
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Counters since the start. Every one only grows, except `connected`. */
export interface Counters {
  /** ISSUE frames answered or refused. */
  issueFrames: number;
  /** Users asked for in ISSUE frames. */
  usersAsked: number;
  verifyFrames: number;
  /** Digest answers in VERIFY frames; each is one database question. */
  verifyAnswers: number;
  /** Questions that reached the database: one for each ISSUE frame, one for each Digest answer. */
  queries: number;
  /** Credentials issued, decoys among them. */
  credentialsIssued: number;
  /** Credentials of users that do not exist, or have no usable hash for the algorithm. */
  decoys: number;
  /** Those of them whose row exists. */
  withoutHash: number;
  verifyOk: number;
  /** Queries that failed. */
  databaseErrors: number;
  /** Connections accepted. */
  connections: number;
  /** Proxies connected now. */
  connected: number;
  /** Connections ended for a breach of the protocol, a wrong key, or silence. */
  protocolErrors: number;
  /** The revocation serial last seen. */
  revocationSerial: number;
  /** What was refused, by reason; a reason that has not occurred is absent. */
  refusals: Partial<Record<RefusalReason, number>>;
  /** Seconds from a question to its answer, or its failure. */
  querySeconds: Histogram;
  /** Users of an ISSUE frame. */
  batchUsers: Histogram;
}

/** Bounds of {@linkcode Counters.querySeconds}: from an embedded database to one that has nearly failed. */
const QUERY_BOUNDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Bounds of {@linkcode Counters.batchUsers}: a frame has 1 … 1000. */
const BATCH_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** All zero. */
export function newCounters(): Counters {
  return {
    issueFrames: 0,
    usersAsked: 0,
    verifyFrames: 0,
    verifyAnswers: 0,
    queries: 0,
    credentialsIssued: 0,
    decoys: 0,
    withoutHash: 0,
    verifyOk: 0,
    databaseErrors: 0,
    connections: 0,
    connected: 0,
    protocolErrors: 0,
    revocationSerial: 0,
    refusals: {},
    querySeconds: newHistogram(QUERY_BOUNDS),
    batchUsers: newHistogram(BATCH_BOUNDS),
  };
}

/** Counts something refused, or several of a kind. */
export function countRefusal({ refusals }: Counters, reason: RefusalReason, count = 1): void {
  refusals[reason] = (refusals[reason] ?? 0) + count;
}

/**
 * The counters of several processes as one: sums, and the greatest revocation serial.
 *
 * @example
 * ```ts
 * import { countRefusal, mergeCounters, newCounters } from "./counters.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = [newCounters(), newCounters()];
 * a.usersAsked = 3;
 * b.usersAsked = 4;
 * countRefusal(b, "busy");
 * const { usersAsked, refusals } = mergeCounters([a, b]);
 * assertEquals([usersAsked, refusals], [7, { busy: 1 }]);
 * ```
 */
export function mergeCounters(list: readonly Counters[]): Counters {
  const zero = newCounters();
  const sum = (name: NumberName) => list.reduce((total, counters) => total + counters[name], 0);
  const numbers = (Object.keys(zero) as (keyof Counters)[]).filter((name): name is NumberName =>
    typeof zero[name] === "number"
  );
  const total = { ...zero };
  for (const name of numbers) total[name] = sum(name);
  total.revocationSerial = Math.max(0, ...list.map((counters) => counters.revocationSerial));
  for (const { refusals } of list) {
    for (const [reason, count] of Object.entries(refusals)) {
      countRefusal(total, reason as RefusalReason, count);
    }
  }
  for (const name of ["querySeconds", "batchUsers"] as const) {
    total[name] = addHistograms([zero[name], ...list.map((counters) => counters[name])]);
  }
  return total;
}

/** The counters that are one number. */
type NumberName = {
  [Name in keyof Counters]: Counters[Name] extends number ? Name : never;
}[keyof Counters];
