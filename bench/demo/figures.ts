/** The figures of one mode, made from what the programs report. */
import type { Mode } from "./options.ts";

/** What the demo needs of the callers' report (`uac --json`). */
export interface CallerReport {
  readonly calls: { readonly ok: number };
  readonly failures: Readonly<Record<string, number>>;
  readonly rate: { readonly achieved: number };
  readonly setupMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p95: number;
    readonly p99: number;
    readonly max: number;
  };
  readonly messages: { readonly perCall: number; readonly retransmissionsSent: number };
  readonly auth: { readonly challenges: number; readonly serverAuthenticated: "yes" | "no" };
}

/** What it needs of DBclient's counters (`dbclient --stats_file`). */
export interface DbclientCounters {
  readonly usersAsked: number;
  readonly verifyAnswers: number;
  readonly queries: number;
}

/** The figures of one mode, as `--json` writes them. */
export interface ModeFigures {
  readonly calls: number;
  readonly ok: number;
  readonly failed: number;
  /** Calls that failed, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Database questions per call: users asked for and Digest answers checked. */
  readonly dbQueriesPerCall: number;
  /** Queries that reached the database, per call: a batch of users is one. */
  readonly batchedQueriesPerCall: number;
  readonly usersAsked: number;
  readonly digestAnswers: number;
  /** µs, user and system time; null where it cannot be measured. */
  readonly proxyCpuUsPerCall: number | null;
  /** ms, from the scheduled start of a call to its 200. */
  readonly setupMs: CallerReport["setupMs"];
  /** Sent and received by the callers. */
  readonly messagesPerCall: number;
  readonly challengesPerCall: number;
  readonly retransmissions: number;
  /** Calls started per second. */
  readonly rate: number;
  /** Whether each caller knows that the server has a credential of its user. */
  readonly serverAuthenticated: boolean;
}

/** All figures, as `--json` writes them. */
export interface DemoFigures {
  readonly modes: Readonly<Partial<Record<Mode, ModeFigures>>>;
}

const digits = (value: number, places: number) => Number(value.toFixed(places));

/** @param cpuUs CPU time of the proxy during the calls, µs */
export function makeFigures(
  calls: number,
  callers: CallerReport,
  dbclient: DbclientCounters,
  cpuUs: number | undefined,
): ModeFigures {
  const { mean, p50, p95, p99, max } = callers.setupMs;
  const { ok } = callers.calls;
  const { usersAsked, verifyAnswers, queries } = dbclient;
  return {
    calls,
    ok,
    // Calls that were never placed have failed too.
    failed: calls - ok,
    failures: callers.failures,
    dbQueriesPerCall: digits((usersAsked + verifyAnswers) / calls, 4),
    batchedQueriesPerCall: digits(queries / calls, 4),
    usersAsked,
    digestAnswers: verifyAnswers,
    proxyCpuUsPerCall: cpuUs === undefined ? null : digits(cpuUs / calls, 1),
    setupMs: { mean, p50, p95, p99, max },
    messagesPerCall: callers.messages.perCall,
    challengesPerCall: digits(callers.auth.challenges / calls, 4),
    retransmissions: callers.messages.retransmissionsSent,
    rate: callers.rate.achieved,
    serverAuthenticated: callers.auth.serverAuthenticated === "yes",
  };
}
