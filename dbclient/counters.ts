/**
 * What DBclient counts: served to Prometheus, printed at its end and on SIGUSR2, and written to `--stats_file` as one
 * JSON object. Plain data, so that the counters of several processes can be passed on and added up.
 */
import { noObservations, type Observations } from "../mod.ts";

/** Why connections, requests or users were refused: a closed set, each a label of a metric. */
export const REFUSALS = [
  /** Connections: the TLS handshake failed. */
  "tls",
  /** Connections: no key, a wrong one, or a name that is not served. */
  "unauthorized",
  /** Connections: silent, or too slow in the handshake. */
  "timeout",
  /** Connections: more than may be in all. */
  "connections",
  /** Connections: more than may be from one address. */
  "connections_per_address",
  /** Connections: the proxy did not read its answers. */
  "slow_reader",
  /** Connections: codes of ERROR (docs/PROTOCOL.md §9) for what is no frame of this protocol and version. */
  "unsupported_version",
  "frame_too_long",
  "unknown_type",
  "truncated_field",
  "overlong_field",
  "trailing_bytes",
  "bad_value",
  "unexpected_frame",
  /** Requests: more than may be in flight. */
  "frames_in_flight",
  /** Requests: more users than one proxy may ask for in a second. */
  "rate",
  /** Requests: for an algorithm that is not issued. */
  "algorithm",
  /** Requests: a fault of DBclient's own. */
  "fault",
  /** Users of a realm that the proxy may not ask for. */
  "forbidden_realm",
  /** Users whose names no credential can exist for. */
  "invalid_name",
  /** Users while the database cannot be asked. */
  "unavailable",
] as const;
/** One of {@linkcode REFUSALS}. */
export type RefusalReason = (typeof REFUSALS)[number];

/** Counters since the start. Every one only grows, except those of {@linkcode PRESENT_COUNTERS}. */
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
  /** What was refused, by reason. */
  refused: Record<RefusalReason, number>;
  /** The revocation serial last read. */
  revocationSerial: number;
  /** Seconds from a question to its answer, or its failure; by {@linkcode QUERY_BOUNDS}. */
  querySeconds: Observations;
  /** Users of an ISSUE frame; by {@linkcode BATCH_BOUNDS}. */
  batchUsers: Observations;
}

/** Bounds of {@linkcode Counters.querySeconds}: from an embedded database to one that has nearly failed. */
export const QUERY_BOUNDS = [
  0.00025,
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
/** Bounds of {@linkcode Counters.batchUsers}: a frame has 1 … 1000. */
export const BATCH_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** What tells of the present alone: it ends with its process. */
export const PRESENT_COUNTERS: readonly (keyof Counters)[] = ["connected"];

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
    refused: Object.fromEntries(REFUSALS.map((reason) => [reason, 0])) as Record<RefusalReason, number>,
    revocationSerial: 0,
    querySeconds: noObservations(QUERY_BOUNDS),
    batchUsers: noObservations(BATCH_BOUNDS),
  };
}
