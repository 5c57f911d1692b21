/** What DBclient counts: printed at its end, on SIGUSR2, and written to `--stats_file` as one JSON object. */

/** Why connections, requests or users were refused. */
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
  /** Users of a realm that the proxy may not ask for. */
  "forbidden_realm",
] as const;
/** One of {@linkcode REFUSALS}. */
export type RefusalReason = (typeof REFUSALS)[number];

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
  /** What was refused, by reason. */
  refused: Record<RefusalReason, number>;
}

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
  };
}
