/** The SIP traffic generator: `deno task uac`. Its command line is in flags.ts. */
import { lookup } from "node:dns/promises";
import process from "node:process";
import { formatHelp, loadHashBackend, now, systemRandom, UsageError } from "../mod.ts";
import { SCENARIOS } from "./builtin.ts";
import { type Command, FLAGS, formatTransport, NOTES, parseCommand, USAGE } from "./flags.ts";
import { Run } from "./run_io.ts";
import { progressLine, summaryTable } from "./summary.ts";
import { injectionUsers, oneUser, patternUsers, type Users, UsersError } from "./users.ts";

/** How long open calls may take after the end of a run was asked for, ms. */
const GRACE_MS = 5000;

const say = (line: string) => console.error(`uac: ${line}`);

function users({ values }: Command): Users | undefined {
  if (values.users !== undefined) {
    return patternUsers(values.users, values.password, values.from, values.count);
  }
  if (values.inf !== undefined) return injectionUsers(readText(values.inf), values.inf);
  return values.au === undefined ? undefined : oneUser(values.au, values.ap);
}

function readText(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** The IP address of a name. */
async function resolve(host: string): Promise<string> {
  if (/^[0-9.]+$|:/.test(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    throw new Error(`${host}: there is no such host`);
  }
}

/** An address of this machine from which `remote` can be reached. */
function localAddress(remote: string | undefined): string {
  if (remote === undefined || remote.startsWith("127.") || remote === "::1") return remote ?? "127.0.0.1";
  const family = remote.includes(":") ? "IPv6" : "IPv4";
  const outside = Deno.networkInterfaces().find(({ family: its, address }) =>
    its === family && !address.startsWith("127.") && address !== "::1" && !address.startsWith("fe80:")
  );
  if (outside === undefined) {
    throw new Error(`no ${family} address found to reach ${remote}: give one with -i`);
  }
  return outside.address;
}

async function open(command: Command): Promise<Run> {
  const { values, remote } = command;
  const scenario = SCENARIOS[values.sn];
  const client = scenario.role === "client";
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) say(warning);
  const ip = remote === undefined ? undefined : await resolve(remote.host);
  return await Run.open({
    host: values.i ?? localAddress(ip?.startsWith("127.") ? "127.0.0.1" : ip),
    io: values.io,
    ioWait: values.io_wait,
    port: values.p ?? (client ? 0 : 5060),
    scenario,
    remote: ip === undefined ? undefined : { host: ip, port: remote!.port },
    service: values.s,
    rate: values.r,
    period: values.rp,
    calls: values.m,
    limit: values.l,
    pause: values.d,
    recvTimeout: values.recv_timeout ?? (client ? 60_000 : 3_600_000),
    users: users(command),
    domain: values.realm ?? remote?.host,
    auth: { mode: values.auth, preemptive: values.preemptive, bye: values.bye },
    pid: Deno.pid,
    hashes: backend,
    random: systemRandom,
    onError: values.trace_err ? say : undefined,
  });
}

/** Runs to the end, and says the exit code. */
async function run(command: Command): Promise<number> {
  const { values } = command;
  const cpuBefore = process.cpuUsage();
  const run = await open(command);
  const { engine } = run;
  const server = engine.scenario.role === "server";
  if (server) say(`ready, called side on ${formatTransport(run.local)}`);

  let ending = false;
  const end = () => {
    if (ending || server) {
      run.close();
      return;
    }
    ending = true;
    run.stop();
    Deno.unrefTimer(setTimeout(() => run.close(), GRACE_MS));
  };
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, end);
  const timeout = values.timeout > 0 ? setTimeout(end, values.timeout * 1000) : undefined;
  let startedBefore = 0;
  const progress = values.quiet ? undefined : setInterval(() => {
    const report = engine.report(now());
    say(progressLine(report, startedBefore));
    startedBefore = report.calls.started;
  }, 1000);

  await run.ended;
  clearInterval(progress);
  clearTimeout(timeout);
  for (const signal of signals) Deno.removeSignalListener(signal, end);
  const endedAt = now();
  if (!server) engine.abort(endedAt);
  const report = engine.report(endedAt);
  await run.close();
  const cpu = process.cpuUsage(cpuBefore);
  const ended = report.calls.ok + report.calls.failed;
  const cpuUsPerCall = ended === 0 ? 0 : Math.round((cpu.user + cpu.system) / ended * 10) / 10;
  console.log(summaryTable(report));
  console.log(`${"processor".padEnd(22)}${cpuUsPerCall} µs per call, start-up included`);
  if (values.json !== undefined) {
    const figures = { ...report, droppedDatagrams: run.dropped, cpuUsPerCall };
    Deno.writeTextFileSync(values.json, JSON.stringify(figures, undefined, 2) + "\n");
  }
  return server || (report.calls.failed === 0 && report.calls.started > 0) ? 0 : 1;
}

async function main(): Promise<number> {
  try {
    const command = parseCommand(Deno.args, (name) => Deno.env.get(name));
    if (command !== undefined) return await run(command);
    console.log(formatHelp(USAGE, FLAGS, NOTES));
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(error.message);
    return error instanceof UsageError || error instanceof UsersError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main());
