/** The report of a run as one page of HTML: no script, nothing from elsewhere, for the screen by day and night and for paper. */
import type { Point } from "./series.ts";
import type { Report, TimeSummary } from "./statistics.ts";
import { limitText } from "./summary.ts";

/** What the page shows. */
export interface PageFacts {
  readonly report: Report;
  readonly points: readonly Point[];
  /** Set-up latency: upper bounds in ms, in growing order, and how many were up to each and above the one before. */
  readonly histogram: readonly { readonly upTo: number; readonly count: number }[];
  /** When the run began, ms since 1970; where it called, or listened. */
  readonly startedAt: number;
  readonly address: string;
  readonly cpuUsPerCall: number;
  readonly cpuPercent: number;
}

const escape = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const count = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 1 });
const ms = (value: number) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Size of a chart, in units of its own, and the margins of its axes. */
const WIDTH = 720;
const HEIGHT = 240;
const LEFT = 62;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 40;

/** Round numbers from 0 to at least `max`, about five. */
function ticks(max: number): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power;
  const all = [0];
  while (all[all.length - 1] < max) all.push(all.length * step);
  return all;
}
const tickText = (value: number) => value >= 1000 ? count(value) : String(Number(value.toPrecision(3)));

interface Line {
  readonly name: string;
  /** Its colour: a class of the style sheet. */
  readonly style: string;
  readonly values: readonly number[];
}

function frame(
  yTicks: readonly number[],
  yUnit: string,
  xLabels: readonly (readonly [number, string])[],
  xUnit: string,
): string {
  const top = yTicks[yTicks.length - 1];
  const plot = HEIGHT - TOP - BOTTOM;
  const rows = yTicks.map((tick) => {
    const y = (HEIGHT - BOTTOM - tick / top * plot).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/>` +
      `<text class="tick" x="${LEFT - 6}" y="${y}" dy="0.32em" text-anchor="end">${tickText(tick)}</text>`;
  });
  const columns = xLabels.map(([x, text]) =>
    `<text class="tick" x="${x.toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${
      escape(text)
    }</text>`
  );
  return rows.join("") + columns.join("") +
    `<text class="tick" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${
      HEIGHT - 4
    }" text-anchor="middle">${xUnit}</text>` +
    `<text class="tick" transform="translate(12 ${
      TOP + plot / 2
    }) rotate(-90)" text-anchor="middle">${yUnit}</text>`;
}

function figure(
  title: string,
  description: string,
  svg: string,
  lines: readonly Line[],
  table: string,
): string {
  const legend = lines.map(({ name, style }) => `<li><span class="key ${style}"></span>${escape(name)}</li>`);
  return `<figure><figcaption>${escape(title)}</figcaption>` +
    (legend.length > 1 ? `<ul class="legend">${legend.join("")}</ul>` : "") +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(description)}">${svg}</svg>` +
    `${table}</figure>`;
}

/** Lines over the time of the run. */
function timeChart(title: string, unit: string, points: readonly Point[], lines: readonly Line[]): string {
  const end = points.length === 0 ? 1 : points[points.length - 1].at;
  const yTicks = ticks(Math.max(0, ...lines.map(({ values }) => values.reduce((a, b) => Math.max(a, b), 0))));
  const top = yTicks[yTicks.length - 1];
  const x = (at: number) => LEFT + at / end * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
  const xTicks = ticks(end).filter((tick) => tick <= end);
  const drawn = lines.map(({ style, values }) => {
    const path = values.map((value, i) => `${x(points[i].at).toFixed(1)},${y(value).toFixed(1)}`);
    // A single point is no line.
    const dots = values.length > 60 ? "" : path.map((place) => {
      const [cx, cy] = place.split(",");
      return `<circle class="${style}" cx="${cx}" cy="${cy}" r="2.5"/>`;
    }).join("");
    return `<polyline class="line ${style}" points="${path.join(" ")}"/>${dots}`;
  });
  const names = lines.map(({ name }) => name).join(", ");
  const rows = points.length > 600 ? "" : details(
    ["second", ...lines.map(({ name }) => name)],
    points.map((point, i) => [point.at.toFixed(0), ...lines.map(({ values }) => tickText(values[i]))]),
  );
  const svg = frame(yTicks, unit, xTicks.map((tick) => [x(tick), tickText(tick)]), "seconds since the start");
  return figure(title, `${title}: ${names}`, svg + drawn.join(""), lines, rows);
}

function histogramChart(title: string, bars: PageFacts["histogram"]): string {
  if (bars.length === 0) return `<p>${escape(title)}: no call was set up.</p>`;
  const yTicks = ticks(bars.reduce((most, { count }) => Math.max(most, count), 0));
  const top = yTicks[yTicks.length - 1];
  const step = (WIDTH - LEFT - RIGHT) / bars.length;
  const every = Math.ceil(bars.length / 10);
  const drawn = bars.map(({ upTo, count: n }, i) => {
    const height = n / top * (HEIGHT - TOP - BOTTOM);
    return `<rect class="a" x="${(LEFT + i * step + 1).toFixed(1)}" y="${
      (HEIGHT - BOTTOM - height).toFixed(1)
    }" ` +
      `width="${Math.max(1, step - 2).toFixed(1)}" height="${height.toFixed(1)}"><title>up to ${
        ms(upTo)
      } ms: ${count(n)}</title></rect>`;
  });
  const labels = bars.flatMap(({ upTo }, i): [number, string][] =>
    i % every === 0 ? [[LEFT + (i + 0.5) * step, ms(upTo)]] : []
  );
  const table = details(["up to, ms", "calls"], bars.map(({ upTo, count: n }) => [ms(upTo), count(n)]));
  return figure(title, title, frame(yTicks, "calls", labels, "up to, ms") + drawn.join(""), [], table);
}

function details(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return `<details><summary>Figures</summary>${table(head, rows)}</details>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${
      cells.map((cell, i) =>
        i === 0
          ? `<th scope="${tag === "th" ? "col" : "row"}">${escape(cell)}</th>`
          : `<${tag}>${escape(cell)}</${tag}>`
      ).join("")
    }</tr>`;
  return `<div class="wide"><table><thead>${line(head, "th")}</thead><tbody>${
    rows.map((row) => line(row, "td")).join("")
  }</tbody></table></div>`;
}

const TIMES = ["count", "min", "mean", "p50", "p95", "p99", "max"] as const;
function timesTable(rows: readonly (readonly [string, TimeSummary])[]): string {
  return table(
    ["ms", ...TIMES],
    rows.map(([name, times]) => [
      name,
      ...TIMES.map((key) => key === "count" ? count(times.count) : times.count === 0 ? "–" : ms(times[key])),
    ]),
  );
}

const STYLE = `
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --soft: #59616b; --rule: #d4d8dd; --box: #f5f6f8;
  --a: #1f6fc4; --b: #b45309; --c: #7c3aad; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --ink: #e8eaed; --soft: #a3abb5; --rule: #3a4048;
  --box: #1e2329; --a: #6cb0f5; --b: #f0a35a; --c: #c79af0; --bad: #ff8a80; } }
@media print { :root { color-scheme: light; --page: #ffffff; --ink: #000000; --soft: #444444; --rule: #bbbbbb; --box: #ffffff;
  --a: #1f6fc4; --b: #b45309; --c: #7c3aad; --bad: #b3261e; }
  details { display: none; } figure, table, section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 0.3rem; } h2 { font-size: 1.2rem; margin: 2rem 0 0.6rem; }
p { margin: 0.3rem 0; } .soft { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.6rem; padding: 0; margin: 1rem 0; }
.tiles div { background: var(--box); border: 1px solid var(--rule); border-radius: 6px; padding: 0.6rem 0.8rem; }
.tiles dt { color: var(--soft); font-size: 0.85rem; } .tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
figure { margin: 1.2rem 0; } figcaption { font-weight: 600; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding: 0; margin: 0.2rem 0; font-size: 0.9rem; }
.key { display: inline-block; width: 1.1rem; height: 0; border-top: 3px solid; margin-right: 0.4rem; vertical-align: middle; }
.key.b, .line.b { border-top-style: dashed; stroke-dasharray: 6 3; } .key.c, .line.c { border-top-style: dotted; stroke-dasharray: 2 3; }
svg { width: 100%; height: auto; display: block; } .grid { stroke: var(--rule); } .tick { fill: var(--soft); font-size: 12px; }
.line { fill: none; stroke-width: 2; stroke: currentColor; } circle, rect { fill: currentColor; }
.a { color: var(--a); } .b { color: var(--b); } .c { color: var(--c); } .d { color: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.4rem 0; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--rule); text-align: right; } th:first-child { text-align: left; }
summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; }
`;

/** Makes the page. */
export function reportPage(facts: PageFacts): string {
  const { report, points, startedAt } = facts;
  const { calls, rate, setupMs, messages, auth } = report;
  const client = report.role === "client";
  const ended = calls.ok + calls.failed;
  const failed = ended === 0 ? 0 : calls.failed / ended * 100;
  const tiles: [string, string][] = [
    ["calls", count(calls.started)],
    ["failed", `${count(calls.failed)} (${failed.toFixed(2)} %)`],
    [
      "calls per second",
      client ? `${rate.achieved.toFixed(1)} of ${rate.wanted.toFixed(1)}` : rate.achieved.toFixed(1),
    ],
    ["set-up p99", setupMs.count === 0 ? "–" : `${ms(setupMs.p99)} ms`],
    ["messages per call", String(messages.perCall)],
    ["processor", `${facts.cpuUsPerCall} µs per call`],
  ];
  const perSecond = (read: (point: Point) => number) =>
    points.map((point) => point.seconds > 0 ? read(point) / point.seconds : 0);
  const limit = limitText(report);
  const { timesMs } = auth;
  const kinds: [string, TimeSummary][] = [
    ["Proxychain, unasked", timesMs.preemptive],
    ["Proxychain, answer to a challenge", timesMs.pc],
    ["Digest, answer to a challenge", timesMs.digest],
  ];
  const timers = Object.entries(report.timersMs).slice(1);
  const failures = Object.entries(report.failures).sort(([, a], [, b]) => b - a);
  const shown = failures.slice(0, 50);
  const refused = Object.entries(auth.refused);
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(report.scenario)}: report</title><style>${STYLE}</style></head><body><main>
<h1>${escape(report.scenario)}</h1>
<p class="soft">${client ? "Calls to" : "Called at"} ${escape(facts.address)}, ${
    new Date(startedAt).toISOString().replace("T", " ").slice(0, 19)
  } UTC, ${(report.durationMs / 1000).toFixed(1)} s</p>
<p${report.limitedBy === "nothing" ? "" : ' class="bad"'}>${client ? `Schedule: ${escape(limit)}.` : ""}</p>
<dl class="tiles">${
    tiles.map(([name, value]) => `<div><dt>${name}</dt><dd>${escape(value)}</dd></div>`).join("")
  }</dl>
<section><h2>Rate and failures</h2>
${
    timeChart("Calls per second", "calls/s", points, [
      { name: "started", style: "a", values: perSecond(({ started }) => started) },
      ...client ? [{ name: "wanted", style: "b", values: points.map(({ wanted }) => wanted) }] : [],
      { name: "failed", style: "d", values: perSecond(({ failed }) => failed) },
    ])
  }
${
    failures.length === 0
      ? "<p>No call has failed.</p>"
      : table(["reason", "calls"], shown.map(([name, n]) => [name, count(n)]))
  }
</section>
<section><h2>Latency</h2>
<p class="soft">From the scheduled start of a call to the answer that sets it up: a late start counts.</p>
${
    timeChart("Set-up latency over time", "ms", points, [
      { name: "p50", style: "a", values: points.map(({ setupP50 }) => setupP50) },
      { name: "p95", style: "b", values: points.map(({ setupP95 }) => setupP95) },
      { name: "p99", style: "c", values: points.map(({ setupP99 }) => setupP99) },
    ])
  }
${histogramChart("Set-up latency of all calls", facts.histogram)}
${
    timesTable([
      ["set-up", setupMs],
      ...timers.map(([name, times]): [string, TimeSummary] => [`timer ${name}`, times]),
      ["call length", report.callLengthMs],
      ...client ? [["own lag", report.lagMs] as [string, TimeSummary]] : [],
    ])
  }
</section>
<section><h2>Messages</h2>
<p>${count(messages.sent)} sent, ${count(messages.received)} received: ${messages.perCall} per call.
${count(messages.retransmissionsSent)} retransmissions sent, ${
    count(messages.retransmissionsReceived)
  } received.</p>
${
    table(
      ["step", "sent", "received", "per call", "sent again", "timeouts", "unexpected", "lost"],
      report.steps.filter(({ step }) => /^(send|recv) /.test(step)).map((step) => [
        step.step,
        count(step.sent),
        count(step.received),
        calls.started === 0 ? "–" : ((step.sent + step.received) / calls.started).toFixed(2),
        ...[step.retransmissions, step.timeouts, step.unexpected, step.lost].map(count),
      ]),
    )
  }
</section>
<section><h2>Authentication</h2>
<p class="soft">From a request with credentials to the first response beyond 100 that is no challenge.</p>
${timesTable(kinds)}
<p>${count(auth.challenges)} challenges; answered with Proxychain ${count(auth.pcAnswers)}, with Digest ${
    count(auth.digestAnswers)
  }; tokens sent unasked ${count(auth.preemptive)}, accepted ${count(auth.preemptiveAccepted)}.</p>
<p>The server's proofs: right ${count(auth.confirmed)}, missing ${count(auth.unconfirmed)}, wrong ${
    count(auth.wrong)
  }.</p>
${
    refused.length === 0
      ? ""
      : table(["not answered", "challenges"], refused.map(([name, n]) => [name, count(n)]))
  }
</section>
</main></body></html>
`;
}
