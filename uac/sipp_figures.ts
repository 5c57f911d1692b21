/** SIPp's figures: what its counters are called, its CSV files, and its forms of time. Columns as in SIPp 3.6.1. */
import type { RunView } from "./engine.ts";
import type { Statistics, Times } from "./statistics.ts";

/** Why calls fail, as SIPp's columns have it. */
const CAUSES = [
  "FailedCannotSendMessage",
  "FailedMaxUDPRetrans",
  "FailedTcpConnect",
  "FailedTcpClosed",
  "FailedUnexpectedMessage",
  "FailedCallRejected",
  "FailedCmdNotSent",
  "FailedRegexpDoesntMatch",
  "FailedRegexpShouldntMatch",
  "FailedRegexpHdrNotFound",
  "FailedOutboundCongestion",
  "FailedTimeoutOnRecv",
  "FailedTimeoutOnSend",
  "FailedTestDoesntMatch",
  "FailedTestShouldntMatch",
  "FailedStrcmpDoesntMatch",
  "FailedStrcmpShouldntMatch",
] as const;
type Cause = typeof CAUSES[number];

/** All of its counters, in the order of the columns. */
const COUNTERS = [
  "IncomingCall",
  "OutgoingCall",
  "SuccessfulCall",
  "FailedCall",
  ...CAUSES,
  "OutOfCallMsgs",
  "DeadCallMsgs",
  "Retransmissions",
  "AutoAnswered",
  "Warnings",
  "FatalErrors",
  "WatchdogMajor",
  "WatchdogMinor",
] as const;
/** A counter of SIPp. */
export type CounterName = typeof COUNTERS[number];

/** SIPp's cause for a reason of ours. What the scenario itself or the far end by CANCEL decided is a rejected call. */
export function causeOf(reason: string): Cause {
  if (reason.startsWith("auth:")) return "FailedCannotSendMessage";
  if (reason.startsWith("no answer to") || reason === "no ACK") return "FailedMaxUDPRetrans";
  if (reason.startsWith("no ")) return "FailedTimeoutOnRecv";
  if (reason.startsWith("regexp")) {
    return reason.endsWith("does not match") ? "FailedRegexpDoesntMatch" : "FailedRegexpShouldntMatch";
  }
  if (/^(unexpected |\d{3} to )/.test(reason)) return "FailedUnexpectedMessage";
  return "FailedCallRejected";
}

interface Moments {
  readonly count: number;
  readonly sum: number;
  readonly sumOfSquares: number;
}

/** The counters at one moment. Times in ms. */
export interface Snapshot {
  readonly at: number;
  readonly started: number;
  readonly open: number;
  readonly rate: number;
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly timers: readonly Moments[];
  readonly length: Moments;
  readonly own: readonly number[];
}

const moments = ({ count, sum, sumOfSquares }: Times): Moments => ({ count, sum, sumOfSquares });

/** Reads the counters of a run. */
export function snapshot(engine: RunView, at: number): Snapshot {
  const { statistics, program } = engine;
  const counters = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<CounterName, number>;
  counters.IncomingCall = statistics.incoming;
  counters.OutgoingCall = statistics.started - statistics.incoming;
  counters.SuccessfulCall = statistics.ok;
  counters.FailedCall = statistics.failed;
  for (const [reason, n] of statistics.failures) counters[causeOf(reason)] += n;
  counters.OutOfCallMsgs = statistics.outOfCall;
  counters.DeadCallMsgs = statistics.deadCall;
  counters.Retransmissions = statistics.retransmissionsSent;
  counters.AutoAnswered = statistics.autoAnswered;
  counters.Warnings = statistics.warnings;
  return {
    at,
    started: statistics.started,
    open: engine.open,
    rate: engine.rate,
    counters,
    timers: program.timers.map((_, i) => moments(statistics.timers[i])),
    length: moments(statistics.length),
    own: program.counters.map((_, i) => statistics.counters[i] ?? 0),
  };
}

/** What has come since an earlier moment. */
export function since(now: Snapshot, before: Snapshot): Snapshot {
  const less = (a: Moments, b: Moments): Moments => ({
    count: a.count - b.count,
    sum: a.sum - b.sum,
    sumOfSquares: a.sumOfSquares - b.sumOfSquares,
  });
  return {
    ...now,
    at: now.at - before.at,
    started: now.started - before.started,
    counters: Object.fromEntries(
      COUNTERS.map((name) => [name, now.counters[name] - before.counters[name]]),
    ) as Record<CounterName, number>,
    timers: now.timers.map((timer, i) => less(timer, before.timers[i])),
    length: less(now.length, before.length),
    own: now.own.map((n, i) => n - before.own[i]),
  };
}

/** Mean and standard deviation, ms. */
export function meanOf({ count, sum }: Moments): number {
  return count === 0 ? 0 : sum / count;
}
function deviation(moments: Moments): number {
  const { count, sumOfSquares } = moments;
  return count === 0 ? 0 : Math.sqrt(Math.max(0, sumOfSquares / count - meanOf(moments) ** 2));
}

const two = (n: number) => String(n).padStart(2, "0");

/** HH:MM:SS, with microseconds: HH:MM:SS:uuuuuu. */
export function clockText(ms: number, micros: boolean): string {
  const us = Math.max(0, Math.round(ms * 1000));
  const seconds = Math.floor(us / 1e6);
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${
    two(seconds % 60)
  }`;
  return micros ? `${text}:${String(us % 1e6).padStart(6, "0")}` : text;
}

/** The date and time of the machine's zone, with microseconds. */
export function dateText(wallMs: number): string {
  const date = new Date(wallMs);
  const us = String(Math.floor(wallMs * 1000) % 1e6).padStart(6, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${us}`;
}

/** SIPp's stamp: date, time and seconds since 1970, between tabulators. */
export function stampText(wallMs: number): string {
  return `${dateText(wallMs).replace(" ", "\t")}\t${(wallMs / 1000).toFixed(6)}`;
}

/** What the files and screens know of the run besides its counters. Times in ms. */
export interface RunTimes {
  /** The engine's clock at the start, and what has to be added to it for ms since 1970. */
  readonly startedAt: number;
  readonly wallOffset: number;
}

const counterName = (name: string) => /^\d+$/.test(name) ? `GenericCounter${name}` : name;

/** `-trace_stat`: a line every period, with what came in it (P) and since the start (C). */
export class StatFile {
  #before: Snapshot;

  constructor(
    private readonly engine: RunView,
    private readonly times: RunTimes,
    private readonly delimiter: string,
  ) {
    this.#before = { ...snapshot(engine, times.startedAt), at: times.startedAt };
  }

  header(): string {
    const { timers, counters, scenario } = this.engine.program;
    const both = (name: string) => [`${name}(P)`, `${name}(C)`];
    const repartition = (name: string, bounds: readonly number[]) => [
      name,
      ...bounds.map((bound) => `${name}_<${bound}`),
      ...bounds.length === 0 ? [] : [`${name}_>=${bounds[bounds.length - 1]}`],
    ];
    return this.#line([
      ...["StartTime", "LastResetTime", "CurrentTime", ...both("ElapsedTime"), "TargetRate"],
      ...[...both("CallRate"), ...both("IncomingCall"), ...both("OutgoingCall")],
      ...["TotalCallCreated", "CurrentCall"],
      ...COUNTERS.slice(2).flatMap(both),
      ...timers.flatMap((name) => [
        ...both(`ResponseTime${name}`),
        ...both(`ResponseTime${name}StDev`),
      ]),
      ...[...both("CallLength"), ...both("CallLengthStDev")],
      ...counters.flatMap((name) => both(counterName(name))),
      ...timers.flatMap((name) => repartition(`ResponseTimeRepartition${name}`, scenario.responseTimes)),
      ...repartition("CallLengthRepartition", scenario.callLengths),
    ]);
  }

  /** The line of the period that ends now. */
  line(now: number): string {
    const { engine, times } = this;
    const all = snapshot(engine, now);
    const period = since(all, this.#before);
    const resetAt = this.#before.at;
    this.#before = all;
    const elapsed = now - times.startedAt;
    const rate = (calls: number, ms: number) =>
      ms <= 0 ? "0" : String(Number((calls / ms * 1000).toPrecision(6)));
    const both = (name: CounterName) => [period.counters[name], all.counters[name]].map(String);
    const times4 = (p: Moments, c: Moments) =>
      [meanOf(p), meanOf(c), deviation(p), deviation(c)].map((ms) => clockText(ms, true));
    const { scenario } = engine.program;
    const repartition = ({ buckets }: Times, bounds: readonly number[]) => [
      "",
      ...bounds.length === 0 ? [] : [...buckets].map(String),
    ];
    const { statistics } = engine;
    return this.#line([
      ...[times.startedAt, resetAt, now].map((at) => stampText(at + times.wallOffset)),
      ...[clockText(period.at, false), clockText(elapsed, false), String(Number(all.rate.toPrecision(6)))],
      ...[rate(period.started, period.at), rate(all.started, elapsed)],
      ...[...both("IncomingCall"), ...both("OutgoingCall"), String(all.started), String(all.open)],
      ...COUNTERS.slice(2).flatMap(both),
      ...all.timers.flatMap((timer, i) => times4(period.timers[i], timer)),
      ...times4(period.length, all.length),
      ...all.own.flatMap((n, i) => [String(period.own[i]), String(n)]),
      ...all.timers.flatMap((_, i) => repartition(statistics.timers[i], scenario.responseTimes)),
      ...repartition(statistics.length, scenario.callLengths),
    ]);
  }

  #line(cells: readonly string[]): string {
    return cells.map((cell) => cell + this.delimiter).join("") + "\n";
  }
}

/** What a step is called in SIPp's files and screens. */
export function stepLabel(
  { kind, template, response, request }: RunView["program"]["steps"][number],
): string {
  if (kind === "send") return template!.method || String(template!.status);
  if (kind === "recv") return request || String(response);
  return "Pause";
}

/** `-trace_counts`: what each step has done, a line every period. Steps with `hide` are left out. */
export function countsHeader({ program }: RunView, delimiter: string): string {
  const cells = ["CurrentTime", "ElapsedTime"];
  for (const step of program.steps) {
    if (step.source.hide) continue;
    const { kind, index, retrans } = step;
    const names = kind === "send"
      ? ["Sent", "Retrans", ...retrans > 0 ? ["Timeout"] : []]
      : kind === "recv"
      ? ["Recv", "Retrans", "Timeout", "Unexp"]
      : ["Sessions", "Unexp"];
    cells.push(...names.map((name) => `${index}_${stepLabel(step)}_${name}`));
  }
  return cells.map((cell) => cell + delimiter).join("") + "\n";
}

/** A line of `-trace_counts`. */
export function countsLine(
  { program, statistics }: RunView,
  now: number,
  times: RunTimes,
  delimiter: string,
): string {
  const { steps } = statistics;
  const cells = [stampText(now + times.wallOffset), clockText(now - times.startedAt, true)];
  for (const { source, kind, index, retrans } of program.steps) {
    if (source.hide) continue;
    const counts = kind === "send"
      ? [steps.sent, steps.retransmissions, ...retrans > 0 ? [steps.timeouts] : []]
      : kind === "recv"
      ? [steps.received, steps.retransmissions, steps.timeouts, steps.unexpected]
      : [steps.passed, steps.unexpected];
    cells.push(...counts.map((column) => String(column[index])));
  }
  return cells.map((cell) => cell + delimiter).join("") + "\n";
}

/** A line of `-trace_error_codes`: the statuses of unexpected responses since the last one. */
export function errorCodesLine(
  statistics: Statistics,
  now: number,
  times: RunTimes,
  delimiter: string,
): string {
  const cells = [stampText(now + times.wallOffset), clockText(now - times.startedAt, true)];
  cells.push(...statistics.errorCodes.map(String));
  statistics.errorCodes = [];
  return cells.map((cell) => cell + delimiter).join("") + "\n";
}
