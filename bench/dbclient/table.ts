/** The figures as a table, beside what is to be reached. */
import { formatSpread, type Table } from "../calls/table.ts";
import { median, type RateFigure, type Result } from "./figures.ts";

/** Credentials per CPU second, n = 10, SHA-1, in batches of 100. */
const RATE_GOALS: Readonly<Record<RateFigure["database"], number>> = { SQLite: 100_000, MariaDB: 60_000 };
const GOAL_BATCH = 100;
/** One credential at a time, ms; and how much more with other proxies connected. */
const LATENCY_GOAL = 2;
const CROWD_GOAL = 1.5;
/** One in so many samples of memory is shown, and the last. */
const SAMPLES_SHOWN = 4;
/** How much more the least memory of the last quarter may be than that of the second: the first is the heap's way up. */
const FLAT_GOAL = 0.05;
/** Seconds for 200,000 users. */
const WRITE_GOAL = 3;
const LOAD_GOAL = 0.5;

const INTRODUCTION =
  `Written by \`deno task bench:dbclient --markdown FILE\`; do not edit. DBclient runs as a process of its own and is asked over TCP
on loopback for credentials of 10 links, SHA-1. CPU is user and system time of that process from /proc; what the database and the
load generator use does not count, but they share the machine. Rounds are given as median (least–greatest).`;
/** Programs that have a part in the figures. */
const VERSIONS_SHOWN = ["Deno", "V8", "Proxychain", "mariadbd"];

const spread = (values: readonly number[], places = 0) =>
  formatSpread({
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  }, places);
const verdict = (reached: boolean) => reached ? "yes" : "no";
const thousands = (value: number) => value.toLocaleString("en-US");
const megabytes = (bytes: number) => Math.round(bytes / 1e6).toString();

function rateRows(rates: Result["rates"]): string[][] {
  return rates.map(({ database, batch, perCpuSecond }) => {
    const goal = RATE_GOALS[database];
    const counts = batch === GOAL_BATCH;
    return [
      `credentials per CPU second, ${database}, batches of ${batch}`,
      spread(perCpuSecond),
      counts ? `≥ ${thousands(goal)}` : "",
      counts ? verdict(median(perCpuSecond) >= goal) : "",
    ];
  });
}

function latencyRows(latencies: Result["latencies"]): string[][] {
  const rows = latencies.map(({ database, proxies, p50, p99, max }) => [
    `one at a time, ${database}, ${proxies} other proxies: p50, p99, longest, ms`,
    [p50, p99, max].map((value) => value.toFixed(2)).join(", "),
    proxies === 0 ? `p99 ≤ ${LATENCY_GOAL}` : "",
    proxies === 0 ? verdict(p99 <= LATENCY_GOAL) : "",
  ]);
  for (const crowded of latencies.filter(({ proxies }) => proxies > 0)) {
    const alone = latencies.find(({ database, proxies }) => proxies === 0 && database === crowded.database);
    if (alone === undefined) continue;
    const ratio = crowded.p99 / alone.p99;
    const what = `p99 with ${crowded.proxies} proxies beside without, ${crowded.database}`;
    rows.push([what, ratio.toFixed(2), `≤ ${CROWD_GOAL}`, verdict(ratio <= CROWD_GOAL)]);
  }
  return rows;
}

/** The goals first, then memory along the way. */
export function resultTables({ rates, latencies, memory, warmup }: Pick<
  Result,
  "rates" | "latencies" | "memory" | "warmup"
>): Table[] {
  const rows = [["what", "measured", "to reach", "reached"], ...rateRows(rates), ...latencyRows(latencies)];
  const tables: Table[] = [rows];
  if (memory !== undefined) {
    const { samples, floors } = memory;
    rows.push([
      `memory over ${thousands(samples.at(-1)!.credentials)} credentials: least RSS of each quarter, MB`,
      floors.map(megabytes).join(", "),
      `last ≤ second + ${FLAT_GOAL * 100} %`,
      verdict(floors.at(-1)! <= (1 + FLAT_GOAL) * floors[1]),
    ]);
    const heads = ["credentials, millions", "RSS MB"];
    tables.push([
      heads,
      ...samples.filter((_, i) => (i + 1) % SAMPLES_SHOWN === 0 || i === samples.length - 1).map((
        { credentials, rss },
      ) => [(credentials / 1e6).toFixed(1), megabytes(rss)]),
    ]);
  }
  if (warmup !== undefined) {
    const { users, write, load } = warmup;
    const named = `warm-up file of ${thousands(users)} users`;
    rows.push(
      [
        `${named} written, s, start of the program included`,
        spread(write, 2),
        `≤ ${WRITE_GOAL}`,
        verdict(
          median(write) <= WRITE_GOAL,
        ),
      ],
      [
        `${named} loaded by the proxy, s`,
        spread(load, 2),
        `≤ ${LOAD_GOAL}`,
        verdict(median(load) <= LOAD_GOAL),
      ],
    );
  }
  return tables;
}

/** What ran where, in one line each. */
export function machineLines(
  { command, date, machine: { cpu, cores, memoryGb, system, versions } }: Result,
): string[] {
  const named = Object.entries(versions).filter(([name]) => VERSIONS_SHOWN.includes(name));
  return [
    command,
    `${date}; ${cpu}, ${cores} cores, ${memoryGb} GB; ${system}; ` +
    named.map(([name, version]) => `${name} ${version}`).join(", "),
  ];
}

/** The result as a document. */
export function formatDocument(result: Result): string {
  const [command, machine] = machineLines(result);
  return [
    "# What DBclient can do",
    INTRODUCTION,
    `    ${command}`,
    machine + ".",
    ...resultTables(result).map(formatTable),
    ...result.left.map((reason) => `Left out: ${reason}.`),
  ].join("\n\n") + "\n";
}

/** A table for the terminal and for Markdown alike. */
export function formatTable(table: Table): string {
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  const [heads, ...rows] = table;
  return [line(heads), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join(
    "\n",
  );
}
