/** docs/PERFORMANCE.md and its charts, from results. */
import { type Group, groupRounds, type Measurement, type Result, spreadOf } from "./figures.ts";
import { MODE_NAMES, type ModeName, modeOf } from "./modes.ts";
import { barChart, lineChart, type Series } from "./svg.ts";
import { costTable, formatMarkdown, highestTable, numbersTable } from "./table.ts";

/** Files by name, inside docs/. */
export type Documents = Readonly<Record<string, string>>;

/** Folder of the charts. */
const CHARTS = "performance";
const median = (group: Group, value: (measurement: Measurement) => number | undefined) =>
  spreadOf(group.rounds.map(value))?.median ?? 0;

function costChart(groups: readonly Group[], rate: number): string {
  const order = [...groups].sort((a, b) => MODE_NAMES.indexOf(a.mode) - MODE_NAMES.indexOf(b.mode));
  return barChart(
    `CPU per call at ${rate.toLocaleString("en-US")} calls/s`,
    "µs",
    ["proxy", "DBclient or MariaDB"],
    order.map((group) => ({
      name: modeOf(group.mode).title,
      values: [
        median(group, ({ cpuUsPerCall }) => cpuUsPerCall.proxy),
        median(group, ({ cpuUsPerCall }) => cpuUsPerCall.dbclient ?? cpuUsPerCall.mariadb),
      ],
    })),
  );
}

function linesBy(
  points: readonly { readonly mode: ModeName; readonly x: number; readonly y: number }[],
): Series[] {
  const modes = MODE_NAMES.filter((mode) => points.some((point) => point.mode === mode));
  return modes.map((mode) => ({
    name: modeOf(mode).title,
    points: points.filter((point) => point.mode === mode).sort((a, b) => a.x - b.x).map(({ x, y }) =>
      [x, y] as const
    ),
  }));
}

/** Words about what was left out. */
function leftOut({ left }: Result): string[] {
  const lines = new Set(left.map(({ what, reason }) => `- ${what}: ${reason}`));
  return lines.size === 0 ? [] : ["Left out:", "", ...lines, ""];
}

function machineTable({ date, machine }: Result): string {
  const { cpu, cores, memoryGb, system, versions } = machine;
  const rows: [string, string][] = [
    ["date", date],
    ["machine", `${cpu}, ${cores} cores, ${memoryGb} GB`],
    ["system", system],
    ...Object.entries(versions),
  ];
  return formatMarkdown([["what", "which"], ...rows]);
}

/** Which part of the table's words mean what. */
const READING =
  `CPU per call is user and system time of all threads and child processes of a program, from /proc, between two moments under
full load, divided by the calls that succeeded between them: start, compilation and the first call of each user lie before.
Medians of the rounds, with the least and the greatest. RSS and PSS are the proxy's at the end of the window (Kamailio's over
all its processes; PSS counts shared pages once). "issued/call" is what DBclient issued; with chains of n links a whole cycle
of each user's chain gives 1/n. "others' cores" is what else ran on the machine meanwhile: figures with more than a few
hundredths there are less sure.`;

/**
 * Writes the document.
 *
 * @returns its files by their names inside docs/
 */
export function writeDocuments(result: Result): Documents {
  const files: Record<string, string> = {};
  const parts: string[] = [
    "# Performance",
    "",
    "Written by `deno task bench:calls --write-docs`; do not edit. The same calls (INVITE, 407, ACK, INVITE, 100, 180, 200, ACK,",
    "BYE, 200 over UDP, pauses of 30 ms after 180 and before BYE) go through each proxy at the same rate, load generators and",
    "database on the same machine.",
    "",
    machineTable(result),
    "",
    "```sh",
    result.command,
    "```",
    "",
    ...leftOut(result),
  ];
  const chart = (name: string, title: string, svg: string) => {
    files[`${CHARTS}/${name}.svg`] = svg;
    return [`![${title}](${CHARTS}/${name}.svg)`, ""];
  };
  if (result.rates.length > 0) {
    const groups = groupRounds(result.rates);
    const rate = Math.max(...groups.map((group) => group.rate));
    parts.push("## Cost of a call", "");
    parts.push(
      ...chart("cost", "CPU per call", costChart(groups.filter((group) => group.rate === rate), rate)),
    );
    parts.push(READING, "", formatMarkdown(costTable(result.rates)), "");
  }
  const near = result.highest.filter(({ rtt }) => rtt === 0);
  if (near.length > 0) {
    const bars = [...near].sort((a, b) => MODE_NAMES.indexOf(a.mode) - MODE_NAMES.indexOf(b.mode))
      .map(({ mode, rate }) => ({ name: modeOf(mode).title, values: [rate] }));
    parts.push("## Highest rate", "");
    parts.push(
      "With less than 1 % failed calls and at least 95 % of the rate completed. Load generators and database share the cores with",
      'the proxy; "no proxy" is what the generators reach by themselves, so nothing here can be above it.',
      "",
    );
    parts.push(
      ...chart("highest", "Highest rate", barChart("Highest rate", "calls/s", ["calls per second"], bars)),
    );
    parts.push(formatMarkdown(highestTable(near)), "");
  }
  const far = result.highest.filter(({ mode }) =>
    result.highest.some((other) => other.mode === mode && other.rtt > 0)
  );
  if (far.length > 0) {
    const lines = linesBy(far.map(({ mode, rtt, rate }) => ({ mode, x: rtt, y: rate })));
    parts.push(
      "## The database at a distance",
      "",
      "Highest rates with a round trip added to the database.",
      "",
    );
    parts.push(
      ...chart(
        "distance",
        "Highest rate by distance",
        lineChart(
          "Highest rate with the database at a distance",
          { name: "round trip to the database, ms" },
          { name: "calls per s", logarithmic: true },
          lines,
        ),
      ),
    );
    parts.push(formatMarkdown(highestTable(far)), "");
  }
  if (result.distances.length > 0) {
    parts.push("## The cost of a call with the database at a distance", "");
    parts.push(formatMarkdown(costTable(result.distances)), "");
  }
  if (result.userNumbers.length > 0) {
    const lines = linesBy(
      groupRounds(result.userNumbers).map((group) => ({
        mode: group.mode,
        x: group.users,
        y: median(group, ({ cpuUsPerCall }) => cpuUsPerCall.proxy),
      })),
    );
    parts.push("## Many users", "");
    parts.push(
      "The proxy starts with a credential of every user; idle RSS is its memory then, before the first call.",
      "",
    );
    parts.push(
      ...chart(
        "users",
        "CPU per call by number of users",
        lineChart(
          "Proxy CPU per call by number of users",
          { name: "users", logarithmic: true },
          { name: "µs per call" },
          lines,
        ),
      ),
    );
    parts.push(formatMarkdown(costTable(result.userNumbers)), "");
  }
  if (result.callNumbers.length > 0) {
    const lines = linesBy(result.callNumbers.map(({ mode, window, coldCpuUsPerCall }) => ({
      mode,
      x: window.warmup,
      y: coldCpuUsPerCall ?? 0,
    })));
    parts.push("## The number of calls", "");
    parts.push(
      "From the proxy's start on, with its start, the compiler's work and the first call of each user in it.",
      "",
    );
    parts.push(
      ...chart(
        "calls",
        "CPU per call by number of calls",
        lineChart(
          "Proxy CPU per call by number of calls since its start",
          { name: "calls", logarithmic: true },
          { name: "µs per call", logarithmic: true },
          lines,
        ),
      ),
    );
    parts.push(formatMarkdown(numbersTable(result.callNumbers)), "");
  }
  files["PERFORMANCE.md"] = parts.join("\n").trimEnd() + "\n";
  return files;
}
