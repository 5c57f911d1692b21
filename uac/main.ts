/** The SIP traffic generator: `deno task uac`. Its command line is in flags.ts. */
import process from "node:process";
import { formatAddress, formatHelp, now } from "../mod.ts";
import { BUILTIN } from "./builtin.ts";
import { writeChainStates } from "./chain_state_io.ts";
import { runOptions } from "./command_io.ts";
import { lintFiles } from "./files_io.ts";
import { Fleet } from "./fleet_io.ts";
import { judge, RateSearch, resultLine, stepLine } from "./find_max.ts";
import { type Command, FLAGS, formatTransport, NOTES, parseCommand, USAGE } from "./flags.ts";
import { reportPage } from "./report_page.ts";
import { Run, type RunOptions } from "./run_io.ts";
import { readSippArguments } from "./sipp_options.ts";
import { summaryTable } from "./summary.ts";
import { BindError } from "./transports_io.ts";
import { Watch } from "./watch_io.ts";

/** How long open calls may take after the end of a run was asked for, ms. */
const GRACE_MS = 5000;
/** SIPp's exit codes. */
const EXIT = { OK: 0, FAILED: 1, INTERNAL: 97, BIND: 254, FATAL: 255 } as const;

const say = (line: string) => console.error(`uac: ${line}`);

function writeFile(file: string, text: string): void {
  try {
    Deno.writeTextFileSync(file, text);
  } catch (error) {
    throw new Error(`${file} cannot be written: ${(error as Error).message.split("\n")[0]}`);
  }
}

function writeJson(file: string, figures: unknown): void {
  writeFile(file, JSON.stringify(figures, undefined, 2) + "\n");
}

/** Finds out before the run, and not after it, that its results have no place. */
function checkResultFiles({ json, csv, report }: Command["values"]): void {
  for (const [flag, file] of Object.entries({ json, csv, report })) {
    if (file === undefined) continue;
    const directory = file.includes("/") ? file.slice(0, file.lastIndexOf("/") + 1) : ".";
    try {
      if (Deno.statSync(directory).isDirectory) continue;
    } catch {
      // Said below.
    }
    throw new Error(`--${flag}: there is no directory ${directory}`);
  }
}

/** A run in this thread, or in several. */
function openRun(command: Command, options: RunOptions): Promise<Run | Fleet> {
  const { workers } = command.values;
  if (workers === 1) return Run.open(options);
  if (options.scenario.role !== "client") {
    throw new Error("--workers is for callers: a called side is one thread for its port");
  }
  return Fleet.open(options, Deno.args, workers);
}

/** Searches the highest rate, a run after the other, and says the exit code. */
async function findMax(command: Command): Promise<number> {
  const { values } = command;
  const options = await runOptions(command, say);
  if (options.scenario.role !== "client") {
    throw new Error("--find_max is for callers: the called side has no rate");
  }
  const search = new RateSearch(values.r * 1000 / values.rp);
  let { chainStates } = options;
  let run: Run | undefined;
  let interrupted = false;
  const end = () => {
    interrupted = true;
    run?.close();
  };
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, end);
  while (search.next !== undefined && !interrupted) {
    const rate = search.next * values.rp / 1000;
    const step = run = await Run.open({
      ...options,
      calls: 0,
      rate,
      chainStates,
      onLog: say,
      onStop: end,
    });
    const timers = [
      setTimeout(() => step.stop(), values.find_max_time * 1000),
      setTimeout(() => step.close(), values.find_max_time * 1000 + GRACE_MS + values.d),
    ];
    await step.ended;
    for (const timer of timers) clearTimeout(timer);
    const endedAt = now();
    step.engine.abort(endedAt);
    await step.close();
    chainStates = step.chainStates();
    if (interrupted) break;
    const outcome = judge(step.engine.report(endedAt));
    search.took(outcome);
    if (!values.quiet) say(stepLine(outcome));
  }
  for (const signal of signals) Deno.removeSignalListener(signal, end);
  if (values.chain_state !== undefined && chainStates !== undefined) {
    writeChainStates(values.chain_state, chainStates);
  }
  const { result, steps } = search;
  console.log(resultLine(result));
  if (values.json !== undefined) writeJson(values.json, { ...result, complete: !interrupted, steps });
  return result.rate > 0 ? EXIT.OK : EXIT.FAILED;
}

/** Runs to the end, and says the exit code. */
async function run(command: Command): Promise<number> {
  const { values } = command;
  const cpuBefore = process.cpuUsage();
  const options = await runOptions(command, say);
  const watch = new Watch(command, say);
  let ending = false;
  let timedOut = false;
  let stopped = false;
  const run = await openRun(command, {
    ...options,
    ...watch.hooks(),
    onStop: () => {
      stopped = true;
      run.close();
    },
  });
  const { engine } = run;
  const server = engine.program.role === "server";
  if (server) say(`ready, called side on ${formatTransport(run.local, values.t.startsWith("t"))}`);
  const end = () => {
    if (ending || server) {
      run.close();
      return;
    }
    ending = true;
    watch.ending();
    run.stop();
    Deno.unrefTimer(setTimeout(() => run.close(), GRACE_MS));
  };
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGUSR1"];
  for (const signal of signals) Deno.addSignalListener(signal, end);
  const timeout = values.timeout > 0
    ? setTimeout(() => {
      timedOut = true;
      end();
    }, values.timeout * 1000)
    : undefined;
  watch.begin(run, options.remote, { end, endNow: () => run.close() });

  await run.ended;
  clearTimeout(timeout);
  for (const signal of signals) Deno.removeSignalListener(signal, end);
  const endedAt = now();
  if (run instanceof Fleet) stopped ||= run.stopped;
  else if (!server) run.engine.abort(endedAt);
  watch.end(endedAt);
  const report = engine.report(endedAt);
  await run.close();
  if (values.chain_state !== undefined) writeChainStates(values.chain_state, run.chainStates());
  const cpu = process.cpuUsage(cpuBefore);
  const ended = report.calls.ok + report.calls.failed;
  const cpuUsPerCall = ended === 0 ? 0 : Math.round((cpu.user + cpu.system) / ended * 10) / 10;
  const cpuPercent = Math.round((cpu.user + cpu.system) / 10 / Math.max(1, report.durationMs));
  const ladder = watch.ladder?.text(formatAddress(run.local)) ?? "";
  if (ladder !== "") console.log(ladder + "\n");
  console.log(summaryTable(report));
  console.log(
    `${"processor".padEnd(22)}${cpuUsPerCall} µs per call, start-up included; ${cpuPercent} % of a core`,
  );
  const figures = { ...report, droppedDatagrams: run.dropped, cpuUsPerCall, cpuPercent };
  if (values.json !== undefined) writeJson(values.json, figures);
  if (values.report !== undefined) {
    writeFile(
      values.report,
      reportPage({
        report,
        points: watch.series!.points,
        histogram: engine.statistics.timers[0].distribution(),
        startedAt: Date.now() - (now() - engine.startedAt),
        address: formatAddress(options.remote ?? run.local),
        cpuUsPerCall,
        cpuPercent,
      }),
    );
  }
  if (values.csv !== undefined) writeFile(values.csv, watch.series!.csv());
  if (timedOut && values.timeout_error) {
    say(`the run was ended by -timeout after ${values.timeout} s`);
    return EXIT.FATAL;
  }
  if (report.calls.failed > 0) return EXIT.FAILED;
  return (timedOut || stopped) && report.calls.ok === 0 ? EXIT.INTERNAL : EXIT.OK;
}

async function main(): Promise<number> {
  try {
    if (Deno.args[0] === "lint") {
      const { rest, keys } = readSippArguments(Deno.args.slice(1));
      const flag = rest.find((argument) => argument.startsWith("-"));
      if (flag !== undefined) throw new Error(`lint takes files and -key KEYWORD VALUE, not ${flag}`);
      if (rest.length === 0) throw new Error("lint: which files? uac lint FILE…");
      return lintFiles(rest, keys, console.log) ? EXIT.OK : EXIT.FAILED;
    }
    const command = parseCommand(Deno.args, (name) => Deno.env.get(name));
    if (command === undefined) console.log(formatHelp(USAGE, FLAGS, NOTES));
    else if (command.values.v) console.log("uac 0.1.0, of Proxychain");
    else if (command.values.sd !== undefined) console.log(BUILTIN[command.values.sd]);
    else {
      checkResultFiles(command.values);
      return await (command.values.find_max ? findMax(command) : run(command));
    }
    return EXIT.OK;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(error.message);
    return error instanceof BindError ? EXIT.BIND : EXIT.FATAL;
  }
}

if (import.meta.main) Deno.exit(await main());
