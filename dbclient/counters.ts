/** What DBclient counts: printed at its end, on SIGUSR2, and written to `--stats_file` as one JSON object. */

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
}

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
  };
}
