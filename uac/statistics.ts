/** What a run counts, and the report made of it. */
import { build, type Histogram } from "hdr-histogram-js";

/** What authentication counts. */
export interface AuthCounters {
  /** 401 and 407. */
  challenges: number;
  /** Those of them with `seq` and `auth` (docs/PROTOCOL.md §4). */
  guided: number;
  /** Requests that were sent with PC tokens unasked. */
  preemptive: number;
  /** Those of them that were not challenged. */
  preemptiveAccepted: number;
  /** Challenges answered with PC, and with Digest. */
  pcAnswers: number;
  digestAnswers: number;
  /** Challenges not answered, by reason. */
  readonly refused: Map<string, number>;
  /** Requests with PC whose final response proved the server, lacked the proof, or had a wrong one (§7). */
  confirmed: number;
  unconfirmed: number;
  wrong: number;
}

/** Percentiles of a time, in milliseconds; 0 when nothing was measured. */
export interface TimeSummary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** What a step has done. */
export interface StepReport {
  /** "send INVITE", "recv 200", "pause". */
  readonly step: string;
  readonly sent: number;
  readonly received: number;
  readonly retransmissions: number;
  readonly timeouts: number;
  readonly unexpected: number;
  readonly lost: number;
}

/** Everything that `--json` writes. */
export interface Report {
  readonly scenario: string;
  readonly role: "client" | "server";
  readonly durationMs: number;
  readonly calls: {
    readonly started: number;
    readonly ok: number;
    readonly failed: number;
    readonly open: number;
  };
  /** How many calls failed for each reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Calls started per second. */
  readonly rate: { readonly wanted: number; readonly achieved: number };
  /** From the scheduled start of a call to the answer that sets it up. */
  readonly setupMs: TimeSummary;
  /** From the start of a call to its end. */
  readonly callLengthMs: TimeSummary;
  /** The scenario's timers (`rtd`) and counters by name, and what each of its steps has done. */
  readonly timersMs: Readonly<Record<string, TimeSummary>>;
  readonly counters: Readonly<Record<string, number>>;
  readonly steps: readonly StepReport[];
  /** How late this program itself started the calls. */
  readonly lagMs: TimeSummary;
  readonly messages: {
    readonly sent: number;
    readonly received: number;
    /** Sent and received, per ended call. */
    readonly perCall: number;
    readonly retransmissionsSent: number;
    readonly retransmissionsReceived: number;
    readonly unexpected: number;
    readonly malformed: number;
  };
  readonly auth: {
    readonly challenges: number;
    readonly guided: number;
    readonly preemptive: number;
    readonly preemptiveAccepted: number;
    readonly pcAnswers: number;
    readonly digestAnswers: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly confirmed: number;
    readonly unconfirmed: number;
    readonly wrong: number;
    /** yes: each PC answer that was accepted came back with a right proof. */
    readonly serverAuthenticated: "yes" | "no";
  };
}

/** Times are kept in µs with three digits, up to an hour. */
const MAX_US = 3_600_000_000;
const newHistogram = (): Histogram =>
  build({ lowestDiscernibleValue: 1, highestTrackableValue: MAX_US, numberOfSignificantValueDigits: 3 });

function record(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.min(MAX_US, Math.max(0, Math.round(ms * 1000))));
}

function summary(histogram: Histogram): TimeSummary {
  const count = histogram.totalCount;
  const at = (percentile: number) =>
    count === 0 ? 0 : Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue) / 1000;
  return {
    count,
    min: at(0),
    mean: count === 0 ? 0 : Math.round(histogram.mean) / 1000,
    p50: at(50),
    p95: at(95),
    p99: at(99),
    max: count === 0 ? 0 : histogram.maxValue / 1000,
  };
}

/** What is counted for each step of a scenario. */
export class StepCounters {
  readonly sent: Float64Array;
  readonly received: Float64Array;
  readonly retransmissions: Float64Array;
  readonly timeouts: Float64Array;
  readonly unexpected: Float64Array;
  readonly lost: Float64Array;

  constructor(steps: number) {
    this.sent = new Float64Array(steps);
    this.received = new Float64Array(steps);
    this.retransmissions = new Float64Array(steps);
    this.timeouts = new Float64Array(steps);
    this.unexpected = new Float64Array(steps);
    this.lost = new Float64Array(steps);
  }
}

/** The counters of a run. */
export class Statistics {
  started = 0;
  ok = 0;
  failed = 0;
  sent = 0;
  received = 0;
  retransmissionsSent = 0;
  retransmissionsReceived = 0;
  unexpected = 0;
  malformed = 0;
  readonly failures = new Map<string, number>();
  readonly auth: AuthCounters = {
    challenges: 0,
    guided: 0,
    preemptive: 0,
    preemptiveAccepted: 0,
    pcAnswers: 0,
    digestAnswers: 0,
    refused: new Map(),
    confirmed: 0,
    unconfirmed: 0,
    wrong: 0,
  };
  /** Per step of the main scenario. */
  steps: StepCounters = new StepCounters(0);
  /** The scenario's own counters, by number. */
  readonly counters: number[] = [];
  /** Timers of the scenario after the first, by number. */
  readonly #timers: Histogram[] = [];
  readonly #length = newHistogram();
  readonly #setup = newHistogram();
  readonly #lag = newHistogram();

  /** A timer (`rtd`) has ended after `ms`; the first is what sets a call up, from its scheduled start. */
  time(timer: number, ms: number): void {
    record(timer === 0 ? this.#setup : this.#timers[timer] ??= newHistogram(), ms);
  }
  /** A call was `ms` long. */
  callLength(ms: number): void {
    record(this.#length, ms);
  }
  #timer(timer: number): TimeSummary {
    return summary(timer === 0 ? this.#setup : this.#timers[timer] ?? newHistogram());
  }
  /** A call started `ms` late. */
  lag(ms: number): void {
    record(this.#lag, ms);
  }
  /** A call has failed. */
  fail(reason: string): void {
    this.failed++;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }
  /** The 99th percentile of the set-up latency so far, ms. */
  get setupP99(): number {
    return summary(this.#setup).p99;
  }

  /** @param about what the counters do not know; `startingMs`: from the first start of a call to the last */
  report(
    about: Pick<Report, "scenario" | "role" | "durationMs"> & {
      readonly startingMs: number;
      readonly wantedRate: number;
      readonly open: number;
      /** Names of the timers, the counters and the steps. */
      readonly timers: readonly string[];
      readonly counters: readonly string[];
      readonly steps: readonly string[];
    },
  ): Report {
    const { scenario, role, durationMs, startingMs, wantedRate, open, steps } = about;
    const { refused, ...auth } = this.auth;
    const ended = this.ok + this.failed;
    const achieved = startingMs > 0 ? Math.round((this.started - 1) / startingMs * 1e6) / 1000 : 0;
    return {
      scenario,
      role,
      durationMs: Math.round(durationMs),
      calls: { started: this.started, ok: this.ok, failed: this.failed, open },
      failures: Object.fromEntries(this.failures),
      rate: { wanted: wantedRate, achieved },
      setupMs: summary(this.#setup),
      callLengthMs: summary(this.#length),
      timersMs: Object.fromEntries(about.timers.map((name, i) => [name, this.#timer(i)])),
      counters: Object.fromEntries(about.counters.map((name, i) => [name, this.counters[i] ?? 0])),
      steps: steps.map((step, i) => ({
        step,
        sent: this.steps.sent[i],
        received: this.steps.received[i],
        retransmissions: this.steps.retransmissions[i],
        timeouts: this.steps.timeouts[i],
        unexpected: this.steps.unexpected[i],
        lost: this.steps.lost[i],
      })),
      lagMs: summary(this.#lag),
      messages: {
        sent: this.sent,
        received: this.received,
        perCall: ended === 0 ? 0 : Math.round((this.sent + this.received) / ended * 100) / 100,
        retransmissionsSent: this.retransmissionsSent,
        retransmissionsReceived: this.retransmissionsReceived,
        unexpected: this.unexpected,
        malformed: this.malformed,
      },
      auth: {
        ...auth,
        refused: Object.fromEntries(refused),
        serverAuthenticated: auth.confirmed > 0 && auth.unconfirmed === 0 && auth.wrong === 0 ? "yes" : "no",
      },
    };
  }
}
