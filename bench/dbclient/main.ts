/** What DBclient can do. Entry of `deno task bench:dbclient`. */
import { formatHelp } from "../../mod.ts";
import { readMachine } from "../calls/machine_io.ts";
import { findPeers, type Peers } from "../calls/peers/installed_io.ts";
import type { Site } from "../programs_io.ts";
import { exitCode, withSite } from "../site_io.ts";
import type { Result } from "./figures.ts";
import {
  DBCLIENT_BENCH_FLAGS,
  type DbclientBenchOptions,
  NOTES,
  type Part,
  readOptions,
  USAGE,
} from "./options.ts";
import {
  type BenchDatabase,
  measureLatency,
  measureMemory,
  measureRate,
  measureWarmup,
  prepareDatabases,
  startIssuer,
} from "./run_io.ts";
import { formatDocument, formatTable, machineLines, resultTables } from "./table.ts";

const NAME = "bench:dbclient";
/** A DBclient that writes a profile takes its time, ms. */
const GRACE_MS = 60_000;

const say = (line: string) => console.error(`${NAME}: ${line}`);

type Figures = Pick<Result, "rates" | "latencies" | "memory" | "warmup">;

/** What is measured on one database. */
async function onDatabase(
  site: Site,
  database: BenchDatabase,
  options: DbclientBenchOptions,
  isWanted: (part: Part) => boolean,
): Promise<Figures> {
  const measured = { rates: [] as Result["rates"], latencies: [] as Result["latencies"], memory: undefined };
  if (!isWanted("rate") && !isWanted("latency") && !isWanted("memory")) return measured;
  const issuer = await startIssuer(site, database, options);
  let figures: Figures = measured;
  if (isWanted("latency")) {
    say(`${database.name}: one credential at a time`);
    figures = { ...figures, latencies: await measureLatency(issuer, database, options) };
  }
  if (isWanted("rate")) {
    say(`${database.name}: batches`);
    figures = { ...figures, rates: [await measureRate(issuer, database, options)] };
  }
  if (isWanted("memory") && database.name === "SQLite") {
    say(`${database.name}: ${options.credentials} credentials`);
    figures = { ...figures, memory: await measureMemory(issuer, options) };
  }
  await site.programs.stop([issuer.program]);
  return figures;
}

async function measure(site: Site, given: DbclientBenchOptions, peers: Peers): Promise<Result> {
  const left: string[] = [];
  let options = given;
  const missing = (["mariadbd", "mariadb-install-db", "mariadb"] as const).find((name) =>
    peers[name] === undefined
  );
  if (missing !== undefined && options.databases.includes("mariadb")) {
    left.push(`MariaDB: ${missing} is not installed`);
    options = { ...options, databases: options.databases.filter((name) => name !== "mariadb") };
  }
  const isWanted = (part: Part) => options.parts.includes(part);
  say(`${options.users} users`);
  const all: Figures[] = [];
  for (const database of await prepareDatabases(site, options, peers)) {
    all.push(await onDatabase(site, database, options, isWanted));
  }
  if (isWanted("warmup")) say("warm-up files");
  return {
    date: new Date().toISOString().slice(0, 10),
    command: ["deno task bench:dbclient", ...Deno.args].join(" "),
    machine: await readMachine(peers, site.root),
    rates: all.flatMap(({ rates }) => rates),
    latencies: all.flatMap(({ latencies }) => latencies),
    memory: all.find(({ memory }) => memory !== undefined)?.memory,
    warmup: isWanted("warmup") ? await measureWarmup(site, options) : undefined,
    left,
  };
}

function print(result: Result): void {
  console.log(machineLines(result).join("\n"));
  for (const table of resultTables(result)) console.log(`\n${formatTable(table)}`);
  for (const reason of result.left) console.log(`left out: ${reason}`);
}

async function run(site: Site, options: DbclientBenchOptions): Promise<number> {
  const result = await measure(site, options, await findPeers());
  print(result);
  if (options.json !== undefined) {
    await Deno.writeTextFile(options.json, JSON.stringify(result, null, 2) + "\n");
  }
  if (options.markdown !== undefined) await Deno.writeTextFile(options.markdown, formatDocument(result));
  return 0;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options !== undefined) {
    return await withSite({ name: NAME, grace: GRACE_MS }, (site) => run(site, options));
  }
  console.log(formatHelp(USAGE, DBCLIENT_BENCH_FLAGS, NOTES));
  return 0;
}

if (import.meta.main) Deno.exit(await exitCode(NAME, main));
