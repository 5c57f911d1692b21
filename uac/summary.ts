/** The figures of a run as text. */
import type { Report, TimeSummary } from "./statistics.ts";

const count = (value: number) => value.toLocaleString("en-US");
const ms = (value: number) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const times = ({ p50, p95, p99, max }: TimeSummary) =>
  `p50 ${ms(p50)}   p95 ${ms(p95)}   p99 ${ms(p99)}   max ${ms(max)} ms`;
const list = (numbers: Readonly<Record<string, number>>) =>
  Object.entries(numbers).sort(([, a], [, b]) => b - a).map(([name, n]) => `${count(n)} × ${name}`).join(
    ", ",
  );

/** One line while a run goes on. @param seconds since the last one */
export function progressLine(report: Report, startedBefore: number, seconds: number): string {
  const { calls, setupMs, lagMs, limitedBy, durationMs } = report;
  const latency = setupMs.count > 0 ? `, set-up p99 ${ms(setupMs.p99)} ms` : "";
  const lag = limitedBy === "generator" ? `, OWN LAG p99 ${ms(lagMs.p99)} ms` : "";
  return `${(durationMs / 1000).toFixed(0)} s: ${count(calls.started)} calls (${
    count(Math.round((calls.started - startedBefore) / seconds))
  }/s), ` +
    `${count(calls.open)} open, ${count(calls.ok)} ok, ${count(calls.failed)} failed${latency}${lag}`;
}

/** What kept the calls from their schedule, as a sentence. */
export function limitText({ limitedBy, overdue, held, lagMs }: Report): string {
  if (limitedBy === "nothing") return "calls started on time";
  if (limitedBy === "call limit") return `the call limit: ${count(held)} calls waited for room (-l, sockets)`;
  return `THIS GENERATOR, not the remote: own lag p99 ${ms(lagMs.p99)} ms, ${count(overdue)} calls overdue`;
}

/** The table at the end of a run. */
export function summaryTable(report: Report): string {
  return summaryRows(report).map(([name, value]) => `${name.padEnd(22)}${value}`).join("\n");
}

/** Its rows: name and value. */
export function summaryRows(report: Report): [string, string][] {
  const { calls, failures, rate, setupMs, lagMs, messages, auth } = report;
  const client = report.role === "client";
  const rows: [string, string][] = [
    ["scenario", `${report.scenario}, ${(report.durationMs / 1000).toFixed(1)} s`],
    [
      "calls",
      `${count(calls.started)}   ok ${count(calls.ok)}   failed ${count(calls.failed)}` +
      (calls.open > 0 ? `   open ${count(calls.open)}` : ""),
    ],
  ];
  if (calls.failed > 0) rows.push(["failed by reason", list(failures)]);
  if (client) {
    rows.push(["rate", `${rate.achieved.toFixed(1)} calls/s (wanted ${rate.wanted.toFixed(1)})`]);
    rows.push(["set-up latency", setupMs.count === 0 ? "none" : times(setupMs)]);
    rows.push(["own lag", times(lagMs)]);
    if (report.limitedBy !== "nothing") rows.push(["limited by", limitText(report)]);
  }
  rows.push([
    "messages",
    `${count(messages.sent)} sent, ${count(messages.received)} received, ${messages.perCall} per call`,
  ]);
  rows.push([
    "retransmissions",
    `${count(messages.retransmissionsSent)} sent, ${count(messages.retransmissionsReceived)} received`,
  ]);
  if (messages.unexpected + messages.malformed > 0) {
    rows.push([
      "not understood",
      `${count(messages.unexpected)} unexpected, ${count(messages.malformed)} malformed`,
    ]);
  }
  if (client) {
    rows.push([
      "challenges",
      `${count(auth.challenges)} (guided ${count(auth.guided)})` +
      `   answered with PC ${count(auth.pcAnswers)}, Digest ${count(auth.digestAnswers)}`,
    ]);
    if (Object.keys(auth.refused).length > 0) rows.push(["not answered", list(auth.refused)]);
    rows.push(["pre-emptive", `${count(auth.preemptive)} sent, ${count(auth.preemptiveAccepted)} accepted`]);
    rows.push([
      "server authenticated",
      `${auth.serverAuthenticated}: confirmed ${count(auth.confirmed)}, ` +
      `unconfirmed ${count(auth.unconfirmed)}, wrong ${count(auth.wrong)}`,
    ]);
  }
  return rows;
}
