/** Measurements as tables: for the terminal, and in Markdown. */
import { type Group, groupRounds, type Measurement, type Result, type Spread, spreadOf } from "./figures.ts";
import { MODE_NAMES, modeOf } from "./modes.ts";

/** Rows of texts, the first one the heads. */
export type Table = readonly (readonly string[])[];

const number = (value: number, places = 0) =>
  value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
const NONE = "–";

/** `113 (108–121)`, or the median alone where there is one value. */
export function formatSpread(spread: Spread | undefined, places = 0): string {
  if (spread === undefined) return NONE;
  const { median, min, max, count } = spread;
  return count === 1
    ? number(median, places)
    : `${number(median, places)} (${number(min, places)}–${number(max, places)})`;
}

const of = (group: Group, value: (measurement: Measurement) => number | undefined, places = 0) =>
  formatSpread(spreadOf(group.rounds.map(value)), places);
const total = (group: Group, value: (measurement: Measurement) => number) =>
  group.rounds.reduce((sum, measurement) => sum + value(measurement), 0);

/** In the order of the modes; what is measured at several rates, users or distances stays together. */
const sorted = (groups: readonly Group[]) =>
  [...groups].sort((a, b) =>
    MODE_NAMES.indexOf(a.mode) - MODE_NAMES.indexOf(b.mode) || a.rtt - b.rtt || a.users - b.users ||
    a.rate - b.rate
  );

/** The cost of calls. */
export function costTable(measurements: readonly Measurement[]): Table {
  return [
    [
      ...["mode", "calls/s", "users", "DB ms", "proxy µs/call", "DBclient or MariaDB", "caller", "called"],
      ...["idle RSS MB", "RSS MB", "PSS MB", "failed", "retransm.", "issued/call", "others' cores"],
    ],
    ...sorted(groupRounds(measurements)).map((group) => [
      modeOf(group.mode).title + (group.rounds.every(({ held }) => held) ? "" : " (rate not held)"),
      number(group.rate),
      number(group.users),
      number(group.rtt),
      of(group, ({ cpuUsPerCall }) => cpuUsPerCall.proxy),
      of(group, ({ cpuUsPerCall }) => cpuUsPerCall.dbclient ?? cpuUsPerCall.mariadb),
      of(group, ({ cpuUsPerCall }) => cpuUsPerCall.caller),
      of(group, ({ cpuUsPerCall }) => cpuUsPerCall.called),
      of(group, ({ idleMemoryMb }) => idleMemoryMb?.rss),
      of(group, ({ memoryMb }) => memoryMb.proxy?.rss),
      of(group, ({ memoryMb }) => memoryMb.proxy?.pss),
      `${number(total(group, ({ calls }) => calls.failed))} of ${
        number(total(group, ({ calls }) => calls.started))
      }`,
      number(total(group, ({ retransmissions }) => retransmissions)),
      of(group, ({ issuedPerCall }) => issuedPerCall, 2),
      of(group, ({ foreignCores }) => foreignCores, 2),
    ]),
  ];
}

/** What calls cost from the proxy's start on, by their number. */
export function numbersTable(measurements: readonly Measurement[]): Table {
  const numbers = [...new Set(measurements.map(({ window }) => window.warmup))].toSorted((a, b) => a - b);
  const groups = numbers.flatMap((calls) =>
    groupRounds(measurements.filter(({ window }) => window.warmup === calls)).map((group) => ({
      calls,
      group,
    }))
  ).toSorted((a, b) =>
    MODE_NAMES.indexOf(a.group.mode) - MODE_NAMES.indexOf(b.group.mode) || a.calls - b.calls
  );
  return [
    [
      "mode",
      "calls",
      "calls/s",
      "users",
      "proxy µs/call",
      "credentials/call",
      "answers checked/call",
      "failed",
    ],
    ...groups.map(({ calls, group }) => [
      modeOf(group.mode).title,
      number(calls),
      number(group.rate),
      number(group.users),
      of(group, ({ coldCpuUsPerCall }) => coldCpuUsPerCall),
      of(group, ({ coldIssuedPerCall }) => coldIssuedPerCall, 3),
      of(group, ({ coldCheckedPerCall }) => coldCheckedPerCall, 3),
      number(total(group, ({ calls }) => calls.failed)),
    ]),
  ];
}

/** The highest rates. */
export function highestTable(highest: Result["highest"]): Table {
  const order = [...highest].sort((a, b) =>
    MODE_NAMES.indexOf(a.mode) - MODE_NAMES.indexOf(b.mode) || a.rtt - b.rtt
  );
  return [
    [
      "mode",
      "DB ms",
      "highest rate, calls/s",
      "did not hold",
      "trials",
      "proxy µs/call there",
      "RSS MB there",
    ],
    ...order.map(({ mode, rtt, rate, failedAt, trials, children, at }) => [
      modeOf(mode).title + (children === undefined ? "" : ` (${children} processes)`),
      number(rtt),
      number(rate),
      failedAt === undefined ? "none tried" : number(failedAt),
      String(trials),
      at?.cpuUsPerCall.proxy === undefined ? NONE : number(at.cpuUsPerCall.proxy),
      at?.memoryMb.proxy === undefined ? NONE : number(at.memoryMb.proxy.rss),
    ]),
  ];
}

/** Columns padded with spaces; the first to the left, the others to the right. */
export function formatText(table: Table): string {
  const used = table[0].map((_, column) => table.slice(1).some((row) => row[column] !== NONE));
  const rows = table.map((row) => row.filter((_, column) => used[column]));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join(
      "  ",
    )
  ).join("\n");
}

/** A Markdown table, padded as `deno fmt` has it. */
export function formatMarkdown(table: Table): string {
  const widths = table[0].map((_, column) => Math.max(3, ...table.map((row) => row[column].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const [head, ...rows] = table;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join(
    "\n",
  );
}
