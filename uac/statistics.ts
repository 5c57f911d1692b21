/** What a run counts, and the report made of it. */
import { build, type JsHistogram } from "hdr-histogram-js";

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

/** Credentials of a request: PC tokens sent unasked, a PC answer, a Digest answer. */
export type AuthKind = "preemptive" | "pc" | "digest";

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
  /** What kept the calls from starting on schedule: see {@linkcode limitOf}. */
  readonly limitedBy: Limit;
  /** Calls that were due and had not started at the end, and calls that waited for room under `-l` or for a socket. */
  readonly overdue: number;
  readonly held: number;
  /** From the scheduled start of a call to the answer that sets it up. */
  readonly setupMs: TimeSummary;
  /** From the start of a call to its end. */
  readonly callLengthMs: TimeSummary;
  /** The scenario's timers (`rtd`) and counters by name, and what each of its steps has done. */
  readonly timersMs: Readonly<Record<string, TimeSummary>>;
  readonly counters: Readonly<Record<string, number>>;
  readonly steps: readonly StepReport[];
  /** How late this program itself started the calls; waiting for room under `-l` is none of it. */
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
    /** From a request with credentials to the first response beyond 100 that is no challenge, by kind. */
    readonly timesMs: Readonly<Record<AuthKind, TimeSummary>>;
    readonly confirmed: number;
    readonly unconfirmed: number;
    readonly wrong: number;
    /** yes: each PC answer that was accepted came back with a right proof. */
    readonly serverAuthenticated: "yes" | "no";
  };
}

/** What kept calls from starting on schedule. */
export type Limit = "nothing" | "generator" | "call limit";

/** A call that starts so much later than planned is late, ms. */
const LATE_MS = 20;
/** Late, overdue and waiting calls up to this share say nothing, nor do so few of them. */
const MAX_SHARE = 0.01;
const FEW = 2;

/**
 * Says whether the generator, and not the remote, was the limit of a run.
 *
 * @param started calls started
 * @param late those of them that this program started more than 20 ms late
 * @param overdue calls that were due and did not start although there was room for them
 * @param held calls that waited for room under `-l`, for a socket or a circuit
 */
export function limitOf(started: number, late: number, overdue: number, held: number): Limit {
  const few = FEW + started * MAX_SHARE;
  if (late > few || overdue > few) return "generator";
  return held > few ? "call limit" : "nothing";
}

/** Times are kept in µs with three digits, up to an hour. */
const MAX_US = 3_600_000_000;
const newHistogram = () =>
  // Without WebAssembly it is one that can be walked through.
  build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MAX_US,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  }) as JsHistogram;
/** Upper bounds of a decade of {@linkcode Times.distribution}. */
const DECADE = [1, 1.5, 2, 3, 5, 7];

/** {@linkcode Times} as data; values in µs. */
export interface TimesState {
  readonly values: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly sumOfSquares: number;
  readonly buckets: readonly number[];
}

/** Times of one kind: a histogram for percentiles, moments, and SIPp's repartition. ms */
export class Times {
  readonly #histogram = newHistogram();
  sum = 0;
  sumOfSquares = 0;
  /** How many were below each of the bounds, and the rest. */
  readonly buckets: Float64Array;

  constructor(private readonly bounds: readonly number[] = []) {
    this.buckets = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(MAX_US, Math.max(0, Math.round(ms * 1000))));
    this.sum += ms;
    this.sumOfSquares += ms * ms;
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && ms >= bounds[i]) i++;
    this.buckets[i]++;
  }

  /** Everything, to be added elsewhere. */
  state(): TimesState {
    const values: number[] = [];
    const counts: number[] = [];
    const all = this.#histogram.recordedValuesIterator;
    all.reset();
    while (all.hasNext()) {
      const { valueIteratedTo, countAtValueIteratedTo } = all.next();
      values.push(valueIteratedTo);
      counts.push(countAtValueIteratedTo);
    }
    const { sum, sumOfSquares, buckets } = this;
    return { values, counts, sum, sumOfSquares, buckets: [...buckets] };
  }

  add({ values, counts, sum, sumOfSquares, buckets }: TimesState): void {
    for (let i = 0; i < values.length; i++) this.#histogram.recordValueWithCount(values[i], counts[i]);
    this.sum += sum;
    this.sumOfSquares += sumOfSquares;
    for (let i = 0; i < buckets.length; i++) this.buckets[i] += buckets[i];
  }

  /** Forgets everything. */
  reset(): void {
    this.#histogram.reset();
    this.sum = this.sumOfSquares = 0;
    this.buckets.fill(0);
  }

  /** A percentile, ms; 0 when nothing was measured. */
  at(percentile: number): number {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return 0;
    return Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue) / 1000;
  }

  /** How many times were up to each bound and above the one before: bounds in ms, evenly on a logarithmic scale. */
  distribution(): { readonly upTo: number; readonly count: number }[] {
    const bars: { upTo: number; count: number }[] = [];
    const values = this.#histogram.recordedValuesIterator;
    values.reset();
    let bound = 0;
    while (values.hasNext()) {
      const { valueIteratedTo, countAtValueIteratedTo } = values.next();
      const value = valueIteratedTo / 1000;
      let upTo: number;
      do {
        upTo = DECADE[bound % DECADE.length] * 10 ** (Math.floor(bound / DECADE.length) - 3);
        if (value <= upTo) break;
        bound++;
        if (bars.length > 0) bars.push({ upTo: 0, count: 0 });
      } while (bound < 1000);
      if (bars.length === 0) bars.push({ upTo, count: 0 });
      bars[bars.length - 1].upTo = upTo;
      bars[bars.length - 1].count += countAtValueIteratedTo;
    }
    // Bounds of bars that nothing fell into.
    let at = bound;
    for (let i = bars.length - 1; i >= 0; i--, at--) {
      bars[i].upTo = Number(
        (DECADE[at % DECADE.length] * 10 ** (Math.floor(at / DECADE.length) - 3)).toPrecision(3),
      );
    }
    return bars;
  }

  summary(): TimeSummary {
    const { count } = this;
    const { mean, maxValue } = this.#histogram;
    return {
      count,
      min: this.at(0),
      mean: count === 0 ? 0 : Math.round(mean) / 1000,
      p50: this.at(50),
      p95: this.at(95),
      p99: this.at(99),
      max: count === 0 ? 0 : maxValue / 1000,
    };
  }
}

/** What is measured from second to second. */
export interface IntervalTimes {
  readonly setup: Times;
  readonly lag: Times;
}
/** Statuses that are kept until somebody reads them. */
const MAX_ERROR_CODES = 10_000;

/** What is counted for each step of a scenario. */
export class StepCounters {
  readonly sent: Float64Array;
  readonly received: Float64Array;
  readonly retransmissions: Float64Array;
  readonly timeouts: Float64Array;
  readonly unexpected: Float64Array;
  readonly lost: Float64Array;
  /** Calls that came to a pause. */
  readonly passed: Float64Array;

  constructor(steps: number) {
    this.sent = new Float64Array(steps);
    this.received = new Float64Array(steps);
    this.retransmissions = new Float64Array(steps);
    this.timeouts = new Float64Array(steps);
    this.unexpected = new Float64Array(steps);
    this.lost = new Float64Array(steps);
    this.passed = new Float64Array(steps);
  }
}

/** Counters that are plain numbers and add up. */
const PLAIN = [
  ...[
    "started",
    "ok",
    "failed",
    "sent",
    "received",
    "retransmissionsSent",
    "retransmissionsReceived",
  ] as const,
  ...[
    "unexpected",
    "malformed",
    "incoming",
    "held",
    "outOfCall",
    "deadCall",
    "autoAnswered",
    "warnings",
  ] as const,
] as const;
const STEP_COLUMNS = [
  "sent",
  "received",
  "retransmissions",
  "timeouts",
  "unexpected",
  "lost",
  "passed",
] as const;
const AUTH_COUNTERS = [
  ...["challenges", "guided", "preemptive", "preemptiveAccepted", "pcAnswers", "digestAnswers"] as const,
  ...["confirmed", "unconfirmed", "wrong"] as const,
] as const;
const AUTH_KINDS = ["preemptive", "pc", "digest"] as const;

/** {@linkcode Statistics} as data. */
export interface StatisticsState {
  readonly plain: readonly number[];
  readonly auth: readonly number[];
  readonly failures: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
  readonly steps: readonly (readonly number[])[];
  readonly counters: readonly number[];
  readonly errorCodes: readonly number[];
  /** Timers, call length, lag, and kinds of authentication. */
  readonly times: readonly TimesState[];
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
  /** Calls that others have placed. */
  incoming = 0;
  /** Calls that waited for room. */
  held = 0;
  /** The most calls that were open at once, and when that was, ms after the start. */
  peak = 0;
  peakAt = 0;
  /** Messages of no call, messages of ended calls, requests answered without a step, and other problems. */
  outOfCall = 0;
  deadCall = 0;
  autoAnswered = 0;
  warnings = 0;
  /** Statuses of unexpected responses since they were read last. */
  errorCodes: number[] = [];
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
  /** Timers of the scenario (`rtd`) by number; the first is what sets a call up, from its scheduled start. */
  readonly timers: Times[] = [new Times()];
  length: Times = new Times();
  readonly lagTimes: Times = new Times([LATE_MS]);
  /** What goes on from second to second, where somebody asks for it. */
  interval: IntervalTimes | undefined;
  /** Is told of each time of a timer. */
  onTime: ((timer: number, ms: number) => void) | undefined;
  /** From a request with credentials to what shows that they were accepted, by their kind. */
  readonly authTimes: Readonly<Record<AuthKind, Times>> = {
    preemptive: new Times(),
    pc: new Times(),
    digest: new Times(),
  };

  /** The scenario is known: its number of timers and its repartitions, bounds in ms. */
  prepare(timers: number, responseTimes: readonly number[], callLengths: readonly number[]): void {
    this.length = new Times(callLengths);
    for (let i = 0; i < Math.max(1, timers); i++) this.timers[i] = new Times(responseTimes);
  }

  /** A timer has ended after `ms`. */
  time(timer: number, ms: number): void {
    this.timers[timer].record(ms);
    if (timer === 0) this.interval?.setup.record(ms);
    this.onTime?.(timer, ms);
  }
  /** A call was `ms` long. */
  callLength(ms: number): void {
    this.length.record(ms);
  }
  /** A call started `ms` late. */
  lag(ms: number): void {
    this.lagTimes.record(ms);
    this.interval?.lag.record(ms);
  }
  /** Credentials were accepted `ms` after they were sent. */
  authenticated(kind: AuthKind, ms: number): void {
    this.authTimes[kind].record(ms);
  }
  /** A response that no step awaits. */
  unexpectedStatus(status: number): void {
    if (this.errorCodes.length < MAX_ERROR_CODES) this.errorCodes.push(status);
  }
  /** A call has failed. */
  fail(reason: string): void {
    this.failed++;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  #times(): Times[] {
    return [...this.timers, this.length, this.lagTimes, ...AUTH_KINDS.map((kind) => this.authTimes[kind])];
  }

  /** Everything, to be added elsewhere; error codes are handed over. */
  state(): StatisticsState {
    const { errorCodes } = this;
    this.errorCodes = [];
    return {
      plain: PLAIN.map((name) => this[name]),
      auth: AUTH_COUNTERS.map((name) => this.auth[name]),
      failures: this.failures,
      refused: this.auth.refused,
      steps: STEP_COLUMNS.map((name) => [...this.steps[name]]),
      counters: Array.from(this.counters, (n) => n ?? 0),
      errorCodes,
      times: this.#times().map((times) => times.state()),
    };
  }

  /** Adds what another run of the same scenario has counted. */
  add(state: StatisticsState): void {
    PLAIN.forEach((name, i) => this[name] += state.plain[i]);
    AUTH_COUNTERS.forEach((name, i) => this.auth[name] += state.auth[i]);
    for (const [from, to] of [[state.failures, this.failures], [state.refused, this.auth.refused]] as const) {
      for (const [reason, n] of from) (to as Map<string, number>).set(reason, (to.get(reason) ?? 0) + n);
    }
    STEP_COLUMNS.forEach((name, i) => state.steps[i].forEach((n, step) => this.steps[name][step] += n));
    state.counters.forEach((n, i) => this.counters[i] = (this.counters[i] ?? 0) + n);
    this.#times().forEach((times, i) => times.add(state.times[i]));
  }

  /** Forgets what {@linkcode add} has added. */
  clear(): void {
    for (const name of PLAIN) this[name] = 0;
    for (const name of AUTH_COUNTERS) this.auth[name] = 0;
    this.failures.clear();
    this.auth.refused.clear();
    for (const name of STEP_COLUMNS) this.steps[name].fill(0);
    this.counters.length = 0;
    for (const times of this.#times()) times.reset();
  }

  /** @param about what the counters do not know; `startingMs`: from the first start of a call to the last */
  report(
    about: Pick<Report, "scenario" | "role" | "durationMs"> & {
      readonly startingMs: number;
      readonly wantedRate: number;
      readonly open: number;
      readonly overdue: number;
      /** Names of the timers, the counters and the steps. */
      readonly timers: readonly string[];
      readonly counters: readonly string[];
      readonly steps: readonly string[];
    },
  ): Report {
    const { scenario, role, durationMs, startingMs, wantedRate, open, overdue, steps } = about;
    const lagMs = this.lagTimes.summary();
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
      limitedBy: limitOf(this.started, this.lagTimes.buckets[1], overdue, this.held),
      overdue,
      held: this.held,
      setupMs: this.timers[0].summary(),
      callLengthMs: this.length.summary(),
      timersMs: Object.fromEntries(about.timers.map((name, i) => [name, this.timers[i].summary()])),
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
      lagMs,
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
        timesMs: {
          preemptive: this.authTimes.preemptive.summary(),
          pc: this.authTimes.pc.summary(),
          digest: this.authTimes.digest.summary(),
        },
        serverAuthenticated: auth.confirmed > 0 && auth.unconfirmed === 0 && auth.wrong === 0 ? "yes" : "no",
      },
    };
  }
}
