/** What DBclient can do. Entry of `deno task bench:dbclient`. */
import { fileURLToPath } from "node:url";
import { formatHelp, UsageError } from "../../mod.ts";
import { readMachine } from "../calls/machine_io.ts";
import { findPeers, type Peers } from "../calls/peers/installed_io.ts";
import { Programs } from "../processes_io.ts";
import type { Site } from "../programs_io.ts";
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

const KEY_BYTES = 32;
/** A DBclient that writes a profile takes its time, ms. */
const GRACE_MS = 60_000;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const say = (line: string) => console.error(`bench:dbclient: ${line}`);

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

async function main(): Promise<number> {
  const programs = new Programs(`${ROOT}deno.json`, GRACE_MS);
  let directory: string | undefined;
  try {
    const options = readOptions(Deno.args);
    if (options === undefined) {
      console.log(formatHelp(USAGE, DBCLIENT_BENCH_FLAGS, NOTES));
      return 0;
    }
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => void programs.close());
    }
    directory = await Deno.makeTempDir({ prefix: "proxychain-dbclient-" });
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex();
    const result = await measure({ programs, root: ROOT, directory, key }, options, await findPeers());
    print(result);
    if (options.json !== undefined) {
      await Deno.writeTextFile(options.json, JSON.stringify(result, null, 2) + "\n");
    }
    if (options.markdown !== undefined) await Deno.writeTextFile(options.markdown, formatDocument(result));
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return error instanceof UsageError ? 2 : 1;
  } finally {
    await programs.close();
    if (directory !== undefined) await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
