/** The two ends of the calls as processes: our generator or SIPp. */
import { udpPortInUse } from "../proc_io.ts";
import { type Program, ProgramError } from "../processes_io.ts";
import { callersOf, HOST, readJson, type Site, startCalled, type UserFiles } from "../programs_io.ts";
import type { Agent, Mode } from "./modes.ts";
import type { Peers } from "./peers/installed_io.ts";
import { freeUdpPort } from "./peers/ports_io.ts";
import { calledScenario, callerScenario, PAUSE_MS } from "./peers/sipp_scenarios.ts";
import { parseProgress, parseSippStatistics, type Sample } from "./samples.ts";

/** Size of SIPp's socket buffers, bytes. */
const SOCKET_BYTES = 4 << 20;
/** How long a message is waited for before its call has failed, ms. */
const ANSWER_MS = 10_000;
/** Exit codes of SIPp that are no failure of its own: 0, calls failed (1), ended early (97, 99). */
const SIPP_CODES = [0, 1, 97, 99];
/** How often SIPp's statistics file is looked at, ms. */
const LOOK_MS = 200;
const ATTEMPTS = 100;
/** How long callers that are ended may go on, ms. */
const LAST_MS = 1000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What callers report at their end. */
export interface CallerReport {
  readonly calls: { readonly started: number; readonly ok: number; readonly failed: number };
  readonly failures: Readonly<Record<string, number>>;
  readonly retransmissions: number;
  readonly challengesPerCall?: number;
  readonly setupMs?: { readonly p50: number; readonly p99: number };
}

/** Callers at work. */
export interface Callers {
  readonly program: Program;
  /** How far they have come. */
  samples(): Promise<readonly Sample[]>;
  /** Ends them when they are behind: open calls are given up. Nothing when they have ended. */
  end(): Promise<void>;
  /** Waits for their end. */
  finished(): Promise<CallerReport>;
}

/** Sends a signal to end with what is open, and some time later one to end at once. */
async function endBy(program: Program, [first, second]: readonly [Deno.Signal, Deno.Signal]): Promise<void> {
  program.signal(first);
  const last = setTimeout(() => program.signal(second), LAST_MS);
  await program.finished([]).catch(() => {});
  clearTimeout(last);
}

/** The load. */
export interface Load {
  readonly mode: Mode;
  readonly rate: number;
  /** Calls in all. */
  readonly calls: number;
  readonly users: UserFiles;
  /** Where the calls go. */
  readonly port: number;
}

/** More open calls than this: something is wrong, and more would be no load but a crowd. */
const limitOf = (rate: number) => Math.max(200, Math.ceil(2 * rate));
/** s, after which open calls are given up. */
const timeoutOf = ({ calls, rate }: Load) => Math.ceil(calls / rate * 1.2 + 15);

/** What of `uac --json` is used. */
interface UacReport {
  readonly calls: CallerReport["calls"];
  readonly failures: CallerReport["failures"];
  readonly setupMs: { readonly p50: number; readonly p99: number };
  readonly messages: { readonly retransmissionsSent: number };
  readonly auth: { readonly challenges: number };
}

function startUacCallers(site: Site, load: Load): Callers {
  const { mode, rate, calls, users, port } = load;
  const file = `${site.directory}/uac_callers.json`;
  const samples: Sample[] = [{ at: Date.now(), started: 0, ok: 0, failed: 0 }];
  const program = site.programs.start({
    ...callersOf(site, {
      ...{ rate, calls, users: users.callers, pauseMs: PAUSE_MS, json: file, port },
      auth: mode.peer === "proxychain" ? mode.auth : "none",
      preemptive: mode.peer === "proxychain" && mode.preemptive,
      args: [
        ...["-l", String(limitOf(rate)), "--recv_timeout", String(ANSWER_MS)],
        ...["--timeout", String(timeoutOf(load))],
      ],
    }),
    onLine: (line) => {
      const sample = parseProgress(line, Date.now());
      if (sample !== undefined) samples.push(sample);
    },
  });
  return {
    program,
    samples: () => Promise.resolve(samples),
    end: () => endBy(program, ["SIGTERM", "SIGTERM"]),
    async finished() {
      await program.finished([0, 1]);
      const report = await readJson<UacReport>(file);
      const { started, ok } = report.calls;
      return {
        calls: { started, ok, failed: started - ok },
        failures: report.failures,
        retransmissions: report.messages.retransmissionsSent,
        challengesPerCall: started === 0 ? 0 : report.auth.challenges / started,
        setupMs: { p50: report.setupMs.p50, p99: report.setupMs.p99 },
      };
    },
  };
}

async function writeScenario(site: Site, name: string, text: string): Promise<string> {
  const path = `${site.directory}/sipp_${name}.xml`;
  await Deno.writeTextFile(path, text);
  return path;
}

const readText = (path: string) => Deno.readTextFile(path).catch(() => "");

async function startSippCallers(site: Site, sipp: string, load: Load): Promise<Callers> {
  const { mode, rate, calls, users, port } = load;
  const scenario = await writeScenario(site, `caller_${mode.scenario}`, callerScenario(mode.scenario));
  const file = `${site.directory}/sipp_callers.csv`;
  await Deno.remove(file).catch(() => {});
  let ended = false;
  const program = site.programs.start({
    name: "sipp",
    command: sipp,
    cwd: site.directory,
    args: [
      ...["-sf", scenario, "-i", HOST, "-p", String(freeUdpPort()), "-inf", users.callers],
      ...["-r", String(rate), "-rp", "1000", "-m", String(calls), "-l", String(limitOf(rate))],
      ...["-recv_timeout", String(ANSWER_MS), "-timeout", String(timeoutOf(load))],
      // SIPp leaves the user out of the URI that it answers for; our proxy wants it to be the Request-URI.
      ...["-auth_uri", `service@${HOST}:${port}`],
      ...["-buff_size", String(SOCKET_BYTES), "-nostdin", "-mp", "30000"],
      ...["-trace_stat", "-fd", "1", "-stf", file, `${HOST}:${port}`],
    ],
  });
  return {
    program,
    samples: async () => parseSippStatistics(await readText(file)).samples,
    async end() {
      ended = true;
      await endBy(program, ["SIGUSR1", "SIGKILL"]);
    },
    async finished() {
      await program.finished(SIPP_CODES).catch((error) => {
        if (!ended) throw error;
      });
      const { samples, failures } = parseSippStatistics(await readText(file));
      const last = samples.at(-1);
      if (last === undefined) throw new ProgramError("sipp wrote no statistics");
      const { started, ok } = last;
      return {
        calls: { started, ok, failed: started - ok },
        failures,
        retransmissions: last.retransmissions ?? 0,
      };
    },
  };
}

/** Starts callers. */
export async function startCallers(site: Site, agent: Agent, peers: Peers, load: Load): Promise<Callers> {
  return agent === "uac" ? startUacCallers(site, load) : await startSippCallers(site, peers.sipp!.path, load);
}

/** Starts the called side; gives the program and its port. */
export async function startCalledSide(site: Site, agent: Agent, peers: Peers): Promise<[Program, number]> {
  if (agent === "uac") return await startCalled(site, ["-d", String(PAUSE_MS)]);
  const scenario = await writeScenario(site, "called", calledScenario());
  const port = freeUdpPort();
  const program = site.programs.start({
    name: "sipp as called side",
    command: peers.sipp!.path,
    cwd: site.directory,
    args: [
      ...["-sf", scenario, "-i", HOST, "-p", String(port), "-buff_size", String(SOCKET_BYTES)],
      ...["-nostdin", "-mp", "20000"],
    ],
  });
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await udpPortInUse(port)) return [program, port];
    await Promise.race([sleep(LOOK_MS), program.finished([])]);
  }
  throw new ProgramError("sipp does not listen");
}

/**
 * Waits until so many calls have ended, or the callers have, or the time is over.
 *
 * @param calls Infinity: for the time alone
 * @param ms how long at most
 * @returns whether so many had ended
 */
export async function reached(callers: Callers, calls: number, ms: number): Promise<boolean> {
  const until = Date.now() + ms;
  let over = false;
  const end = callers.program.finished([]).catch(() => over = true);
  for (;;) {
    const last = calls === Infinity ? undefined : (await callers.samples()).at(-1);
    if (last !== undefined && last.ok + last.failed >= calls) return true;
    const left = until - Date.now();
    if (over || left <= 0) return false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = calls === Infinity ? left : Math.min(left, LOOK_MS);
    await Promise.race([new Promise((resolve) => timer = setTimeout(resolve, look)), end]);
    clearTimeout(timer);
  }
}
