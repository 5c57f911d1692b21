/** What a call costs, beside Kamailio. Entry of `deno task bench:calls`. */
import { dirname } from "node:path";
import { formatHelp, UsageError } from "../../mod.ts";
import { waitForIdle } from "../proc_io.ts";
import { ProgramError } from "../processes_io.ts";
import type { Site } from "../programs_io.ts";
import { exitCode, type IsInterrupted, ROOT, withSite } from "../site_io.ts";
import { writeDocuments } from "./document.ts";
import { type HighestRate, type Measurement, mergeResults, type Result } from "./figures.ts";
import { readMachine } from "./machine_io.ts";
import { MODE_NAMES, type ModeName, modeOf } from "./modes.ts";
import { CALLS_FLAGS, type CallsOptions, NOTES, readOptions, USAGE } from "./options.ts";
import { findPeers, type Peers } from "./peers/installed_io.ts";
import { kamailioProblem } from "./peers/kamailio_io.ts";
import { quickResult } from "./quick.ts";
import { ask, type Plan } from "./run.ts";
import { Stage } from "./stage_io.ts";
import { costTable, formatText, highestTable, numbersTable } from "./table.ts";

const NAME = "bench:calls";
/** `--quick` begins no measurement later than this, ms: it ends within 50 s on a machine that is too slow, too. */
const QUICK_MS = 34_000;

const say = (line: string) => console.error(`${NAME}: ${line}`);

type Left = { what: string; reason: string }[];

/** The modes that can be measured here; the others are left out by name. */
async function possibleModes(options: CallsOptions, peers: Peers, left: Left): Promise<ModeName[]> {
  const wanted = options.modes ?? MODE_NAMES;
  const possible: ModeName[] = [];
  for (const name of wanted) {
    const reason = await whyNot(name, peers);
    if (reason === undefined) possible.push(name);
    else {
      left.push({ what: name, reason });
      say(`${name} is left out: ${reason}`);
    }
  }
  return possible;
}

async function whyNot(name: ModeName, peers: Peers): Promise<string | undefined> {
  const mode = modeOf(name);
  if (mode.peer === "proxychain") return undefined;
  if (mode.peer === "direct") {
    return mode.agent === "sipp" && peers.sipp === undefined ? "sipp is not installed" : undefined;
  }
  if (peers.kamailio === undefined) return "kamailio is not installed";
  if (peers.sipp === undefined) return "sipp is not installed";
  if (mode.database) {
    for (const server of ["mariadbd", "mariadb-install-db", "mariadb"] as const) {
      if (peers[server] === undefined) return `${server} is not installed`;
    }
  }
  return await kamailioProblem(peers.kamailio.path, mode);
}

function describe({ mode, rate, users, rtt, calls }: Plan): string {
  const distance = rtt > 0 ? `, database ${rtt} ms away` : "";
  return `${mode}: ${rate} calls/s, ${users} users${distance}, ${calls} calls`;
}

function outcome(measurement: Measurement): string {
  const { cpuUsPerCall, achieved, calls, held, foreignCores } = measurement;
  const cpu = Object.entries(cpuUsPerCall).map(([name, us]) => `${name} ${us}`).join(", ");
  return `  ${achieved} calls/s, ${calls.failed} of ${calls.started} failed; µs per call: ${cpu}` +
    (foreignCores >= 0.05 ? `; others kept ${foreignCores} cores busy` : "") +
    (held ? "" : "; the rate was not held");
}

/** A file that cannot be written is better known before the calls than after them. */
async function checkDirectory(file: string): Promise<void> {
  const directory = dirname(file);
  const found = await Deno.stat(directory).catch(() => undefined);
  if (!found?.isDirectory) throw new UsageError(`--json: there is no directory ${JSON.stringify(directory)}`);
}

const writeJson = (file: string, value: unknown) =>
  Deno.writeTextFile(file, JSON.stringify(value, undefined, 2) + "\n");

async function writeDocs(result: Result): Promise<void> {
  for (const [name, text] of Object.entries(writeDocuments(result))) {
    const path = `${ROOT}docs/${name}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
    say(`wrote docs/${name}`);
  }
}

function printTables(result: Result): void {
  for (const measurements of [result.rates, result.userNumbers, result.distances]) {
    if (measurements.length > 0) console.log(`\n${formatText(costTable(measurements))}`);
  }
  if (result.callNumbers.length > 0) console.log(`\n${formatText(numbersTable(result.callNumbers))}`);
  if (result.highest.length > 0) console.log(`\n${formatText(highestTable(result.highest))}`);
}

async function readResults(options: CallsOptions): Promise<number> {
  const results: Result[] = [];
  for (const file of options.read) {
    try {
      // Files of before --numbers have none.
      const result: Result = { callNumbers: [], ...JSON.parse(await Deno.readTextFile(file)) };
      const lists = [result.rates, result.distances, result.userNumbers, result.highest, result.left];
      if (!lists.every(Array.isArray)) throw new TypeError("it is not one that --json has written");
      results.push(result);
    } catch (error) {
      throw new UsageError(`--read ${file}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  const result = mergeResults(results);
  printTables(result);
  if (options.json !== undefined) await writeJson(options.json, result);
  if (options.writeDocs) await writeDocs(result);
  return 0;
}

async function bench(site: Site, asked: CallsOptions, isInterrupted: IsInterrupted): Promise<number> {
  const peers = asked.quick ? {} : await findPeers();
  const left: Left = [];
  let options = asked;
  if (peers.sipp === undefined && !asked.quick) {
    left.push({ what: "SIPp as load generator", reason: "sipp is not installed: uac takes its place" });
    options = { ...asked, caller: "uac", called: "uac" };
  }
  const possible = await possibleModes(options, peers, left);
  // The database server may run under an account of its own.
  await Deno.chmod(site.directory, 0o755);
  const result = {
    date: new Date().toISOString().slice(0, 10),
    command: `deno task bench:calls ${Deno.args.join(" ")}`.trim(),
    machine: await readMachine(peers, ROOT),
    left,
    rates: [] as Measurement[],
    distances: [] as Measurement[],
    userNumbers: [] as Measurement[],
    callNumbers: [] as Measurement[],
    highest: [] as HighestRate[],
  };
  const stage = new Stage(site, options, peers);
  const quick = () => quickResult(options.rates[0], result.rates, result.machine);
  const startedAt = Date.now();
  let waited = 0;
  let problems = 0;
  await ask(
    {
      result,
      async measure(plan) {
        if (options.quick && Date.now() - startedAt - waited > QUICK_MS) {
          problems++;
          console.log(`${plan.mode} was not measured: this machine has no time for it`);
          return undefined;
        }
        const waitsFrom = Date.now();
        await waitForIdle(options.wait * 1000);
        waited += Date.now() - waitsFrom;
        say(describe(plan));
        try {
          const measurement = await stage.measure(plan);
          say(outcome(measurement));
          return measurement;
        } catch (error) {
          if (isInterrupted() || !(error instanceof ProgramError)) throw error;
          problems++;
          left.push({ what: describe(plan), reason: error.message });
          say(`  ${error.message}`);
          return undefined;
        }
      },
      async save() {
        if (options.json !== undefined) await writeJson(options.json, options.quick ? quick() : result);
      },
    },
    options,
    possible,
  );
  printTables(result);
  if (options.writeDocs) await writeDocs(result);
  if (!options.quick) return problems > 0 ? 1 : 0;
  return finishQuick(options, result.rates) && problems === 0 ? 0 : 1;
}

/** Says what `--quick` found, and whether every mode held the rate. */
function finishQuick(options: CallsOptions, measurements: readonly Measurement[]): boolean {
  const lost = measurements.filter(({ held }) => !held);
  for (const { mode, rate, achieved, calls } of lost) {
    console.log(
      `\n${mode}: ${rate} calls/s could not be held on this machine: ${achieved} completed, ${calls.failed} failed.`,
    );
  }
  console.log(
    `\nProxy CPU per call in the measured window of ${options.calls} calls, after a warm-up` +
      " (start, compilation and first calls are in the cold figures of --json).",
  );
  return lost.length === 0;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options === undefined) {
    console.log(formatHelp(USAGE, CALLS_FLAGS, NOTES));
    return 0;
  }
  if (options.json !== undefined) await checkDirectory(options.json);
  if (options.read.length > 0) return await readResults(options);
  return await withSite({ name: NAME }, (site, isInterrupted) => bench(site, options, isInterrupted));
}

if (import.meta.main) Deno.exit(await exitCode(NAME, main));
