/** The demo's figures as text, within 100 columns. */
import type { DemoFigures, ModeFigures } from "./figures.ts";
import { type DemoOptions, type Mode, MODE_NAMES } from "./options.ts";

const COLUMNS = 100;
const LABEL_COLUMNS = 40;
const VALUE_COLUMNS = 26;

const count = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 2 });
const ms = (value: number) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

const ROWS: readonly (readonly [string, (figures: ModeFigures) => string])[] = [
  ["calls ok / failed", ({ ok, failed }) => `${count(ok)} / ${count(failed)}`],
  ["calls per second", ({ rate }) => count(Math.round(rate))],
  [
    "call set-up latency p50 / p95 / p99, ms",
    ({ setupMs }) => `${ms(setupMs.p50)} / ${ms(setupMs.p95)} / ${ms(setupMs.p99)}`,
  ],
  [
    "proxy CPU per call, µs",
    ({ proxyCpuUsPerCall }) => proxyCpuUsPerCall === null ? "not measured" : proxyCpuUsPerCall.toFixed(0),
  ],
  ["database questions per call", ({ dbQueriesPerCall }) => dbQueriesPerCall.toFixed(3)],
  ["  as batched queries", ({ batchedQueriesPerCall }) => batchedQueriesPerCall.toFixed(3)],
  ["messages per call", ({ messagesPerCall }) => messagesPerCall.toFixed(2)],
  ["server authenticated", ({ serverAuthenticated }) => serverAuthenticated ? "yes" : "no"],
];

/** What is about to run, in one line. */
export function describeLoad(options: DemoOptions): string {
  const { calls, users, rate, chain, algorithm, rtt, bye, preemptive } = options;
  return [
    `${count(calls)} calls of ${count(users)} user${users === 1 ? "" : "s"} at ${count(rate)} per second`,
    `chain length ${chain} (${algorithm})`,
    ...(rtt > 0 ? [`database ${count(rtt)} ms away`] : []),
    ...(bye ? ["INVITE and BYE"] : []),
    ...(preemptive ? [] : ["not pre-emptive"]),
  ].join(", ");
}

function modesOf({ modes }: DemoFigures): [Mode, ModeFigures][] {
  return (["digest", "pc"] as const).flatMap((mode) => {
    const figures = modes[mode];
    return figures === undefined ? [] : [[mode, figures] as [Mode, ModeFigures]];
  });
}

/** The comparison: a row per figure, a column per mode. */
export function formatTable(figures: DemoFigures): string {
  const modes = modesOf(figures);
  const line = (label: string, values: string[]) =>
    label.padEnd(LABEL_COLUMNS) + values.map((value) => value.padStart(VALUE_COLUMNS)).join("");
  return [
    line("", modes.map(([mode]) => MODE_NAMES[mode])),
    ...ROWS.map(([label, value]) => line(label, modes.map(([, its]) => value(its)))),
  ].join("\n");
}

/** Why calls failed, a line per mode with failures. */
export function formatFailures(figures: DemoFigures): string[] {
  return modesOf(figures).filter(([, { failed }]) => failed > 0).map(([mode, { failed, failures }]) => {
    const reasons = Object.entries(failures).sort(([, a], [, b]) => b - a).slice(0, 5)
      .map(([reason, number]) => `${count(number)} × ${reason}`);
    return `${MODE_NAMES[mode]}: ${count(failed)} failed: ${reasons.join(", ") || "not placed"}`;
  });
}

/** What was shown, in one sentence. */
export function summarize(figures: DemoFigures): string {
  const { digest, pc } = figures.modes;
  const all = modesOf(figures);
  const failed = all.reduce((sum, [, mode]) => sum + mode.failed, 0);
  const calls = all.reduce((sum, [, mode]) => sum + mode.calls, 0);
  if (failed > 0) return `${count(failed)} of ${count(calls)} calls failed, so nothing was shown.`;
  const success = `all ${count(calls)} calls succeeded`;
  const per = (mode: ModeFigures) => `${mode.dbQueriesPerCall.toFixed(2)} database questions per call`;
  const proof = (mode: ModeFigures) =>
    mode.serverAuthenticated ? " and proved the server to every caller" : "";
  if (digest !== undefined && pc !== undefined) {
    return `Proxychain took ${per(pc)} where Digest took ${digest.dbQueriesPerCall.toFixed(2)}${
      proof(pc)
    }; ${success}.`;
  }
  const [mode, its] = all[0];
  return `${MODE_NAMES[mode]} took ${per(its)}${proof(its)}; ${success}.`;
}

/** Breaks a text into lines of at most 100 columns. */
export function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}
