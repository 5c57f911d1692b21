/** SIPp's screens as text: 80 columns, one screen a number. */
import type { RunView } from "./engine.ts";
import {
  clockText,
  type CounterName,
  meanOf,
  type RunTimes,
  since,
  type Snapshot,
  snapshot,
  stampText,
} from "./sipp_figures.ts";
import { stepLabel } from "./sipp_figures.ts";
import type { Times } from "./statistics.ts";
import { limitText, summaryRows } from "./summary.ts";
import { valueText } from "./variables.ts";

/** What a screen shows besides the counters. */
export interface ScreenFacts extends RunTimes {
  readonly engine: RunView;
  readonly now: number;
  /** What was shown at the last screen: the periodic values count from it. */
  readonly before: Snapshot;
  readonly localPort: number;
  /** host:port; undefined: the called side. */
  readonly remote: string | undefined;
  readonly transport: "UDP" | "TCP";
  /** ms, calls; 0: none */
  readonly period: number;
  readonly pause: number;
  readonly limit: number;
  readonly calls: number;
  readonly state: "running" | "ending" | "ended";
}

const WIDTH = 79;
/** Lines of a screen at most, without a longer scenario. */
const RULE = "-------------------------+---------------------------+--------------------------";

function title(name: string): string {
  const right = " [1-9]: Change Screen --";
  const room = WIDTH - right.length - name.length - 2;
  const left = "-".repeat(Math.min(Math.floor((WIDTH - name.length - 2) / 2), room));
  return `${left} ${name} `.padEnd(WIDTH - right.length, "-") + right;
}

function footer({ engine, state }: ScreenFacts): string {
  const centred = (text: string) => {
    const left = "-".repeat(Math.floor((WIDTH - text.length - 2) / 2));
    return `${left} ${text} `.padEnd(WIDTH, "-");
  };
  if (state === "ended") return centred("Test Terminated");
  if (state === "ending") return centred("Waiting for active calls to end. Press [q] again to force exit.");
  if (engine.program.role === "server") return centred("Server Mode");
  if (engine.paused) return centred("Traffic Paused - Press [p] again to resume");
  return "------ [+|-|*|/]: Adjust rate ---- [q]: Soft exit ---- [p]: Pause traffic -----";
}

const cell = (value: number | "") => String(value).padEnd(10);

function scenarioScreen(facts: ScreenFacts): string[] {
  const { engine, now, startedAt, before } = facts;
  const { statistics, program } = engine;
  const client = program.role === "client";
  const total = ((now - startedAt) / 1000).toFixed(2) + " s";
  const rate = engine.rate * facts.period / 1000;
  const lines = client
    ? [
      "  Call rate (length)   Port   Total-time  Total-calls  Remote-host",
      `  ${`${rate.toFixed(1)}(${facts.pause} ms)/${(facts.period / 1000).toFixed(3)}s`.padEnd(20)} ` +
      `${String(facts.localPort).padEnd(6)} ${total.padStart(9)} ${String(statistics.started).padStart(12)}` +
      `  ${facts.remote}(${facts.transport})`,
    ]
    : [
      "  Port   Total-time  Total-calls  Transport",
      `  ${String(facts.localPort).padEnd(6)} ${total.padStart(9)} ${
        String(statistics.started).padStart(12)
      }  ${facts.transport}`,
    ];
  const period = (now - before.at) / 1000;
  const limit = facts.limit > 0 && client ? ` (limit ${facts.limit})` : "";
  const fresh = `${statistics.started - before.started} new calls during ${period.toFixed(3)} s period`;
  const reached = facts.calls > 0 && statistics.started >= facts.calls;
  lines.push(
    "",
    "  " + (reached ? `Call limit ${facts.calls} hit, ${period.toFixed(1)} s period` : fresh).padEnd(40) +
      `own lag p99 ${statistics.lagTimes.at(99).toFixed(1)} ms`,
    "  " + `${engine.open} calls${limit}`.padEnd(40) +
      `Peak was ${statistics.peak} calls, after ${Math.floor(statistics.peakAt / 1000)} s`,
    "  " + `${statistics.deadCall} dead call msg (discarded)`.padEnd(40) +
      `${statistics.outOfCall} out-of-call msg (discarded)`,
    "",
    "                                 Messages  Retrans   Timeout   Unexpected-Msg",
  );
  for (const step of program.steps) {
    const { source, kind, index } = step;
    if (source.hide) continue;
    if (source.display !== undefined) lines.push(` ${source.display}`);
    else if (kind === "nop") lines.push("              [ NOP ]");
    else {
      const { sent, received, retransmissions, timeouts, unexpected, passed } = statistics.steps;
      const label = stepLabel(step).slice(0, 10);
      const rtd = source.startRtd.length > 0
        ? `B-RTD${step.startRtd[0] + 1}`
        : source.rtd.length > 0
        ? `E-RTD${step.rtd[0] + 1}`
        : "";
      const waits = kind !== "send" && kind !== "recv";
      const length = step.variable !== undefined
        ? `$${source.kind === "pause" || source.kind === "timewait" ? source.variable : ""}`
        : step.length === undefined
        ? `${facts.pause}ms`
        : step.length.kind === "fixed"
        ? `${step.length.parameters[0]}ms`
        : step.length.kind;
      const arrow = (client ? kind === "send" : kind === "recv") ? "---------->" : "<----------";
      const middle = waits ? `[${length.slice(0, 9).padStart(9)}]` : arrow;
      const left = client ? `${label.padStart(12)} ${middle}  ` : `  ${middle} ${label.padEnd(12)}`;
      const cells = waits
        ? [cell(passed[index]), cell(""), cell(""), cell(unexpected[index])]
        : kind === "send"
        ? [cell(sent[index]), cell(retransmissions[index]), step.retrans > 0 ? cell(timeouts[index]) : ""]
        : [received, retransmissions, timeouts, unexpected].map((column) => cell(column[index]));
      lines.push((left.padEnd(26) + rtd.padEnd(7) + cells.join("")).trimEnd());
    }
    if (source.crlf) lines.push("");
  }
  return lines;
}

function statisticsScreen({ engine, now, before, startedAt, wallOffset }: ScreenFacts): string[] {
  const all = snapshot(engine, now);
  const period = since(all, before);
  const line = (name: string, p: string, c: string) =>
    `  ${name.padEnd(23)}| ${p.padEnd(26)}| ${c}`.trimEnd();
  const count = (name: string, counter: CounterName) =>
    line(name, String(period.counters[counter]).padStart(8), String(all.counters[counter]).padStart(8));
  const rate = (calls: number, ms: number) =>
    `${(ms <= 0 ? 0 : calls / ms * 1000).toFixed(3).padStart(8)} cps`;
  const time = (name: string, p: Snapshot["length"], c: Snapshot["length"]) =>
    line(name, clockText(meanOf(p), true), clockText(meanOf(c), true));
  const { timers, counters } = engine.program;
  return [
    `  Start Time             | ${stampText(startedAt + wallOffset)}`,
    `  Last Reset Time        | ${stampText(before.at + wallOffset)}`,
    `  Current Time           | ${stampText(now + wallOffset)}`,
    RULE,
    "  Counter Name           | Periodic value            | Cumulative value",
    RULE,
    line("Elapsed Time", clockText(period.at, true), clockText(now - startedAt, true)),
    line("Call Rate", rate(period.started, period.at), rate(all.started, now - startedAt)),
    RULE,
    count("Incoming calls created", "IncomingCall"),
    count("Outgoing calls created", "OutgoingCall"),
    line("Total Calls created", "", String(all.started).padStart(8)),
    line("Current Calls", String(all.open).padStart(8), ""),
    ...counters.map((name, i) =>
      line(`Counter ${name}`, String(period.own[i]).padStart(8), String(all.own[i]).padStart(8))
    ),
    RULE,
    count("Successful call", "SuccessfulCall"),
    count("Failed call", "FailedCall"),
    RULE,
    ...all.timers.map((timer, i) => time(`Response Time ${timers[i]}`, period.timers[i], timer)),
    time("Call Length", period.length, all.length),
  ];
}

function repartition(name: string, { buckets }: Times, bounds: readonly number[]): string[] {
  if (bounds.length === 0) return [`  ${name}: the scenario has no bounds for it`];
  return [
    `  Average ${name}`,
    ...bounds.map((bound, i) =>
      `    ${String(i === 0 ? 0 : bounds[i - 1]).padStart(10)} ms <= n < ${
        String(bound).padStart(10)
      } ms : ` +
      String(buckets[i]).padStart(10)
    ),
    `${" ".repeat(19)}n >= ${String(bounds[bounds.length - 1]).padStart(10)} ms : ${
      String(buckets[bounds.length]).padStart(10)
    }`,
  ];
}

function variablesScreen({ engine }: ScreenFacts): string[] {
  const { globals } = engine.variables;
  const lines: string[] = [];
  for (const name of engine.program.scenario.globals) {
    const value = globals[engine.variables.ref(name).slot];
    lines.push(`  $${name.padEnd(22)} ${value === undefined ? "not set" : valueText(value).slice(0, 50)}`);
  }
  const { actions, steps } = {
    actions: engine.program.steps.reduce((n, step) => n + step.actions.length, 0),
    steps: engine.program.steps.length,
  };
  return [
    `  ${steps} steps, ${actions} actions`,
    "",
    lines.length === 0
      ? "  The scenario has no global variables; those of calls are not shown."
      : "  Global variables",
    ...lines,
  ];
}

/** What SIPp has no screen for: the schedule, latency and authentication. */
function loadScreen({ engine, now }: ScreenFacts): string[] {
  const report = engine.report(now);
  return [
    ...summaryRows(report).map(([name, value]) => `  ${name.padEnd(22)}${value}`),
    "",
    `  ${"schedule".padEnd(22)}${limitText(report)}`,
  ];
}

/**
 * A screen as text, without an end of line after the last.
 *
 * @param number 1 scenario, 2 statistics, 3 repartition, 4 variables, 5 load and authentication, 6 to 9 the
 *   repartition of further timers
 */
export function screen(number: number, facts: ScreenFacts): string {
  const { engine } = facts;
  const { scenario, timers } = engine.program;
  const { statistics } = engine;
  const body = (): [string, string[]] => {
    switch (number) {
      case 1:
        return ["Scenario Screen", scenarioScreen(facts)];
      case 2:
        return ["Statistics Screen", statisticsScreen(facts)];
      case 3: {
        const first = timers.length === 0 ? [] : repartition(
          `Response Time Repartition ${timers[0]}`,
          statistics.timers[0],
          scenario.responseTimes,
        );
        const length = repartition("Call Length Repartition", statistics.length, scenario.callLengths);
        return ["Repartition Screen", [...first, ...length]];
      }
      case 4:
        return ["Variables Screen", variablesScreen(facts)];
      case 5:
        return ["Load and Authentication", loadScreen(facts)];
      default: {
        const timer = number - 5;
        if (timer >= timers.length) return [`Repartition ${timer + 1} Screen`, ["  There is no such timer."]];
        const name = `Response Time Repartition ${timers[timer]}`;
        return [
          `Repartition ${timer + 1} Screen`,
          repartition(name, statistics.timers[timer], scenario.responseTimes),
        ];
      }
    }
  };
  const [name, lines] = body();
  return [title(name), ...lines, footer(facts)].join("\n");
}
