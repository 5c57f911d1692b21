/** The SIP traffic generator: `deno task uac`. Its command line is in flags.ts. */
import { lookup } from "node:dns/promises";
import process from "node:process";
import { formatHelp, loadHashBackend, now, systemRandom } from "../mod.ts";
import { BUILTIN } from "./builtin.ts";
import { readChainStates, writeChainStates } from "./chain_state_io.ts";
import { fileReader, lintFiles, loadInjectionFiles, loadScenario, readText } from "./files_io.ts";
import { type Command, FLAGS, formatTransport, NOTES, parseCommand, USAGE } from "./flags.ts";
import { InjectionFiles, patternFile } from "./injection.ts";
import { Run } from "./run_io.ts";
import { readSippArguments } from "./sipp_options.ts";
import { progressLine, summaryTable } from "./summary.ts";
import { BindError } from "./transports_io.ts";

/** How long open calls may take after the end of a run was asked for, ms. */
const GRACE_MS = 5000;
/** SIPp's exit codes. */
const EXIT = { OK: 0, FAILED: 1, INTERNAL: 97, BIND: 254, FATAL: 255 } as const;

const say = (line: string) => console.error(`uac: ${line}`);

function injectionFiles({ values, files, indices }: Command): InjectionFiles {
  if (values.user_pattern !== undefined) {
    return new InjectionFiles([patternFile(values.user_pattern, values.password, values.from, values.count)]);
  }
  return loadInjectionFiles(files, indices);
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

/** Runs a command of a scenario by the shell, as SIPp does; what it prints is not read. */
function shell(command: string): void {
  try {
    const child = new Deno.Command("/bin/sh", { args: ["-c", command], stdin: "null", stdout: "null" })
      .spawn();
    child.unref();
    child.status.catch(() => {});
  } catch (error) {
    say(`<exec command>: ${(error as Error).message.split("\n")[0]}`);
  }
}

function mayExec(): void {
  if (Deno.permissions.querySync({ name: "run", command: "/bin/sh" }).state !== "granted") {
    throw new Error(
      "--allow_exec needs the permission too: deno run -P=uac --allow-run=/bin/sh uac/main.ts …",
    );
  }
}

async function open(command: Command, onStop: () => void): Promise<Run> {
  const { values, remote, given, keys, set, dynamic, behaviors, circuits } = command;
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) say(warning);
  const file = values.sf ?? `built-in ${values.sn}`;
  const scenario = loadScenario(values.sf === undefined ? BUILTIN[values.sn] : readText(values.sf), file);
  const outOfCallFile = values.oocsf ?? (values.oocsn === undefined ? undefined : `built-in ${values.oocsn}`);
  const outOfCall = outOfCallFile === undefined ? undefined : loadScenario(
    values.oocsf === undefined ? BUILTIN[values.oocsn!] : readText(values.oocsf),
    outOfCallFile,
  );
  const client = scenario.role === "client";
  if (client && remote === undefined) throw new Error("whom to call is missing: HOST[:PORT]");
  const ip = remote === undefined ? undefined : await resolve(remote.host);
  const sendTo = command.sendTo === undefined
    ? undefined
    : { host: await resolve(command.sendTo.host), port: command.sendTo.port };
  if (values.allow_exec) mayExec();
  const retrans = values.max_retrans;
  const realms = values.realm;
  if (values.sleep > 0) await new Promise((resolve) => setTimeout(resolve, values.sleep * 1000));
  return await Run.open({
    transport: values.t as "u1" | "un" | "ui" | "t1" | "tn",
    host: values.i ?? localAddress(ip?.startsWith("127.") ? "127.0.0.1" : ip),
    port: values.p ?? (client ? 0 : 5060),
    io: values.io,
    ioWait: values.io_wait,
    maxSockets: values.max_socket,
    ipField: values.ip_field,
    scenario,
    file,
    outOfCall,
    outOfCallFile,
    remote: ip === undefined || !client ? undefined : { host: ip, port: remote!.port },
    sendTo,
    facts: {
      service: values.s,
      ...remote === undefined ? {} : { remoteHost: remote.host },
      pid: Deno.pid,
      domain: realms?.[0] ?? remote?.host ?? ip ?? "localhost",
      keys,
      ...values.mi === undefined ? {} : { mediaIp: values.mi },
      mediaPort: values.mp,
      dynamicStart: dynamic.start,
      dynamicMax: dynamic.max,
      dynamicStep: dynamic.step,
    },
    rate: values.r,
    period: values.rp,
    calls: values.m,
    limit: values.l,
    users: values.users,
    pause: values.d,
    recvTimeout: values.recv_timeout ?? (client ? 60_000 : 3_600_000),
    retransmit: !values.nr,
    maxInviteRetrans: values.max_invite_retrans ?? retrans,
    maxRetrans: values.max_non_invite_retrans ?? retrans,
    t2: values.T2,
    lost: values.lost / 100,
    behaviors: { ...behaviors, autoAnswer: values.aa },
    ignoreInPause: values.pause_msg_ign,
    baseCseq: values.base_cseq,
    callIdPattern: values.cid_str,
    files: injectionFiles(command),
    set,
    circuits,
    username: values.au,
    password: given.has("ap") ? values.ap : undefined,
    auth: {
      mode: values.pc_only ? "pc" : values.auth,
      preemptive: values.preemptive,
      bye: values.bye,
      ...realms === undefined ? {} : { realms },
    },
    authUri: values.auth_uri === undefined || /^sips?:/.test(values.auth_uri)
      ? values.auth_uri
      : `sip:${values.auth_uri}`,
    chainStates: values.chain_state === undefined ? undefined : readChainStates(values.chain_state),
    hashes: backend,
    random: systemRandom,
    wallClock: Date.now,
    readFile: fileReader(values.file_dir ?? []),
    exec: values.allow_exec ? shell : undefined,
    onError: values.trace_err ? say : undefined,
    onLog: say,
    onStop,
  });
}

/** Runs to the end, and says the exit code. */
async function run(command: Command): Promise<number> {
  const { values } = command;
  const cpuBefore = process.cpuUsage();
  let stopNow = () => {};
  const run = await open(command, () => stopNow());
  const { engine } = run;
  const server = engine.program.role === "server";
  const tcp = values.t.startsWith("t");
  if (server) say(`ready, called side on ${formatTransport(run.local, tcp)}`);

  let ending = false;
  let timedOut = false;
  let stopped = false;
  stopNow = () => {
    stopped = true;
    run.close();
  };
  const end = () => {
    if (ending || server) {
      run.close();
      return;
    }
    ending = true;
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
  if (values.chain_state !== undefined) writeChainStates(values.chain_state, engine.chainStates());
  const cpu = process.cpuUsage(cpuBefore);
  const ended = report.calls.ok + report.calls.failed;
  const cpuUsPerCall = ended === 0 ? 0 : Math.round((cpu.user + cpu.system) / ended * 10) / 10;
  console.log(summaryTable(report));
  console.log(`${"processor".padEnd(22)}${cpuUsPerCall} µs per call, start-up included`);
  if (values.json !== undefined) {
    const figures = { ...report, droppedDatagrams: run.dropped, cpuUsPerCall };
    Deno.writeTextFileSync(values.json, JSON.stringify(figures, undefined, 2) + "\n");
  }
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
    else return await run(command);
    return EXIT.OK;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(error.message);
    return error instanceof BindError ? EXIT.BIND : EXIT.FATAL;
  }
}

if (import.meta.main) Deno.exit(await main());
