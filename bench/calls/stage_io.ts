/** One measurement: the programs of a mode, the load, and what /proc says of it. */
import { measurable, readCpu, readMemory } from "../proc_io.ts";
import { type Program, ProgramError } from "../processes_io.ts";
import {
  type BenchUser,
  HOST,
  importUsers,
  readJson,
  type Site,
  startDbclient,
  startProxy,
  type UserFiles,
  writeWarmup,
} from "../programs_io.ts";
import { type Relay, startRelay } from "../relay_io.ts";
import { type Callers, reached, startCalledSide, startCallers } from "./agents_io.ts";
import { MAX_FAILED, type Measurement, MIN_ACHIEVED, type ProgramName } from "./figures.ts";
import { type Agent, calledOf, callerOf, modeOf } from "./modes.ts";
import type { Peers } from "./peers/installed_io.ts";
import { startKamailio } from "./peers/kamailio_io.ts";
import { type Mariadb, startMariadb } from "./peers/mariadb_io.ts";
import type { Plan } from "./run.ts";
import { countAt } from "./samples.ts";

/** The least warm-up, s: V8 compiles what is called often while it runs. */
const WARMUP_S = 3;
/** The longest, s. */
const MAX_WARMUP_S = 60;
/** The longest that callers take to say that the warm-up is over, and after the window where they are, s. */
const REPORT_S = 1.1;
/** What may be behind schedule before it is ended: part of the time of the warm-up, and ms more. */
const LATE = 1.5;
const LATE_MS = 1500;
/** Size of the cache for loaded users, as a multiple of them: a quarter of it is for users not verified yet. */
const LOADED = 1.4;
const MB = 1 << 20;

/** How all measurements of a run are made. */
export interface StageOptions {
  readonly caller: Agent;
  readonly called: Agent;
  /** Chain length. */
  readonly chain: number;
  /** Kamailio's processes, and those with the database at a distance. */
  readonly children: number;
  readonly distantChildren: number;
}

const digits = (value: number, places: number) => Number(value.toFixed(places));

/** Calls that come before the window. */
export function warmupOf({ mode, rate, users, warmup }: Plan): number {
  if (warmup !== undefined) return warmup;
  const learning = modeOf(mode).learns ? users + rate : 0;
  return Math.ceil(Math.min(MAX_WARMUP_S * rate, Math.max(WARMUP_S * rate, learning)));
}

/** Counters of DBclient at the time when it wrote them. */
interface DbclientStats {
  readonly at: number;
  readonly credentialsIssued: number;
  readonly verifyAnswers: number;
}

/** What a mode has running beside the callers. */
interface Running {
  readonly programs: Partial<Record<ProgramName, Program>>;
  /** Where the calls go. */
  readonly port: number;
  readonly statsFile?: string;
  close(): Promise<void>;
}

/** Makes measurements, one after the other. */
export class Stage {
  readonly #users = new Map<number, UserFiles>();
  readonly #people = new Map<number, readonly BenchUser[]>();
  #mariadb: Mariadb | undefined;
  #loaded = 0;

  constructor(readonly site: Site, readonly options: StageOptions, readonly peers: Peers) {}

  /** The files of a number of users, made when first needed. */
  async users(count: number): Promise<UserFiles> {
    let files = this.#users.get(count);
    if (files === undefined) {
      files = await importUsers(this.site, count, (users) => {
        this.#people.set(count, users);
        return Promise.resolve();
      });
      this.#users.set(count, files);
    }
    return files;
  }

  async #database(count: number): Promise<Mariadb> {
    await this.users(count);
    this.#mariadb ??= await startMariadb(this.site, this.peers);
    if (this.#loaded !== count) await this.#mariadb.load(this.#people.get(count)!);
    this.#loaded = count;
    return this.#mariadb;
  }

  async #startOwn(plan: Plan, calledPort: number): Promise<Running> {
    const { mode: name, users, rtt } = plan;
    const mode = modeOf(name);
    if (mode.peer !== "proxychain") throw new TypeError(name);
    const statsFile = `${this.site.directory}/dbclient.json`;
    await Deno.remove(statsFile).catch(() => {});
    const files = await this.users(users);
    const { database } = files;
    const warmup = plan.preloaded === true && mode.auth === "pc"
      ? await writeWarmup(this.site, files, this.options.chain)
      : undefined;
    const [dbclient, dbclientPort] = await startDbclient(this.site, {
      database,
      chain: this.options.chain,
      statsFile,
    });
    const relay = rtt > 0 ? startRelay({ host: HOST, port: dbclientPort }, rtt) : undefined;
    const [proxy, port] = await startProxy(this.site, {
      auth: mode.auth,
      dbclientPort: relay?.address.port ?? dbclientPort,
      calledPort,
      users,
      rtt,
      ...warmup === undefined ? {} : {
        maxUsers: Math.ceil(users * LOADED),
        args: ["--cache_warmup", "1", "--cache_warmup_file", warmup],
      },
    });
    return {
      programs: { proxy, dbclient },
      port,
      statsFile,
      close: async () => {
        await this.site.programs.stop([proxy, dbclient]);
        await relay?.close();
      },
    };
  }

  async #startKamailio(plan: Plan, calledPort: number): Promise<Running> {
    const mode = modeOf(plan.mode);
    if (mode.peer !== "kamailio") throw new TypeError(plan.mode);
    const mariadb = mode.database ? await this.#database(plan.users) : undefined;
    let relay: Relay | undefined;
    if (mariadb !== undefined && plan.rtt > 0) {
      relay = startRelay({ host: HOST, port: mariadb.port }, plan.rtt);
    }
    const { children, distantChildren } = this.options;
    const [proxy, port] = await startKamailio(this.site, {
      path: this.peers.kamailio!.path,
      mode,
      children: relay === undefined ? children : distantChildren,
      databaseUrl: mariadb?.url(relay?.address.port ?? mariadb.port),
      calledPort,
    });
    return {
      programs: { proxy, ...mariadb === undefined ? {} : { mariadb: mariadb.program } },
      port,
      close: async () => {
        await this.site.programs.stop([proxy]);
        await relay?.close();
      },
    };
  }

  async #start(plan: Plan, calledPort: number): Promise<Running> {
    const { peer } = modeOf(plan.mode);
    if (peer === "proxychain") return await this.#startOwn(plan, calledPort);
    if (peer === "kamailio") return await this.#startKamailio(plan, calledPort);
    return { programs: {}, port: calledPort, close: () => Promise.resolve() };
  }

  /**
   * Runs a mode under load.
   *
   * @throws {ProgramError} when a program fails; calls that fail, or a rate that is not reached, are figures
   */
  async measure(plan: Plan): Promise<Measurement> {
    if (!measurable) throw new ProgramError("CPU time per process is measured on Linux alone");
    const mode = modeOf(plan.mode);
    const caller = callerOf(mode, this.options.caller);
    const calledAgent = calledOf(mode, this.options.called);
    const users = await this.users(plan.users);
    const [called, calledPort] = await startCalledSide(this.site, calledAgent, this.peers);
    try {
      const running = await this.#start(plan, calledPort);
      try {
        const warmup = warmupOf(plan);
        const programs = { ...running.programs, called };
        const { proxy } = running.programs;
        const idle = proxy === undefined ? undefined : await memoryOf(proxy);
        const callers = await startCallers(this.site, caller, this.peers, {
          mode,
          rate: plan.rate,
          calls: Math.ceil(warmup + plan.calls + 2 * REPORT_S * plan.rate),
          users,
          port: running.port,
        });
        const watched = watch(Object.values(programs));
        const figures = await Promise.race([
          watched,
          observe(plan, warmup, programs, callers, running.statsFile),
        ]);
        return { ...figures, idleMemoryMb: idle, caller, called: calledAgent };
      } finally {
        await running.close();
      }
    } finally {
      await this.site.programs.stop([called]);
    }
  }
}

/** Fails when one of the programs ends. */
async function watch(programs: readonly Program[]): Promise<never> {
  await Promise.race(programs.map((program) => program.finished([])));
  throw new ProgramError("a program has ended");
}

async function memoryOf(program: Program): Promise<{ rss: number; pss: number }> {
  const { rss, pss } = await readMemory(program.pid);
  return { rss: digits(rss / MB, 1), pss: digits(pss / MB, 1) };
}

async function readStats(file: string | undefined): Promise<DbclientStats | undefined> {
  if (file === undefined) return undefined;
  try {
    const stats = await readJson<Omit<DbclientStats, "at">>(file);
    return { ...stats, at: (await Deno.stat(file)).mtime!.getTime() };
  } catch {
    return undefined;
  }
}

async function observe(
  plan: Plan,
  warmup: number,
  programs: Partial<Record<ProgramName, Program>>,
  callers: Callers,
  statsFile: string | undefined,
): Promise<Omit<Measurement, "idleMemoryMb" | "caller" | "called">> {
  const all: Partial<Record<ProgramName, Program>> = { ...programs, caller: callers.program };
  const names = Object.keys(all) as ProgramName[];
  const pids = {
    ...Object.fromEntries(names.map((name) => [name, [all[name]!.pid]])),
    // With all that descends from it: everything of this run.
    everything: [Deno.pid],
  };
  const duration = (calls: number) => calls / plan.rate * 1000;
  await reached(callers, warmup, LATE * duration(warmup) + LATE_MS);
  const before = await readCpu(pids);
  const statsBefore = await readStats(statsFile);
  // A time, and not a number of calls: how many calls there were between two moments is known when all is over.
  await reached(callers, Infinity, duration(plan.calls) - (Date.now() - before.at));
  const after = await readCpu(pids);
  const statsAfter = await readStats(statsFile);
  const memoryMb: Partial<Record<ProgramName, { rss: number; pss: number }>> = {};
  for (const name of names) {
    const memory = await memoryOf(all[name]!);
    // Nothing is left of callers that have ended.
    if (memory.rss > 0) memoryMb[name] = memory;
  }
  await reached(callers, Infinity, LATE_MS + 2000 * REPORT_S);
  await callers.end();
  const report = await callers.finished();
  const samples = [...await callers.samples(), { at: Date.now(), ...report.calls }];
  const between = (from: number, to: number, counted: "ok" | "failed") =>
    countAt(samples, to, counted) - countAt(samples, from, counted);

  const length = (after.at - before.at) / 1000;
  const ok = between(before.at, after.at, "ok");
  const perCall = (us: number) => ok > 0 ? digits(us / ok, 1) : 0;
  const spent = (name: string) => after.cpuUs[name] - before.cpuUs[name];
  const achieved = length > 0 ? ok / length : 0;
  const coldCalls = countAt(samples, before.at, "ok");
  const failedShare = report.calls.started === 0 ? 1 : report.calls.failed / report.calls.started;
  const statsPerCall = (name: "credentialsIssued" | "verifyAnswers") => {
    if (statsBefore === undefined || statsAfter === undefined || statsAfter.at <= statsBefore.at) {
      return undefined;
    }
    const perSecond = (statsAfter[name] - statsBefore[name]) / (statsAfter.at - statsBefore.at) * 1000;
    return achieved > 0 ? digits(perSecond / achieved, 4) : undefined;
  };
  // What DBclient said last before the window is up to a second old: by the calls until then.
  const callsThen = statsBefore === undefined ? 0 : countAt(samples, statsBefore.at, "ok");
  const coldPerCall = (name: "credentialsIssued" | "verifyAnswers") =>
    callsThen > 0 ? digits(statsBefore![name] / callsThen, 4) : undefined;
  return {
    mode: plan.mode,
    rate: plan.rate,
    achieved: digits(achieved, 1),
    held: failedShare < MAX_FAILED && achieved >= MIN_ACHIEVED * plan.rate,
    users: plan.users,
    rtt: plan.rtt,
    window: { seconds: digits(length, 2), calls: Math.round(ok), warmup },
    cpuUsPerCall: Object.fromEntries(
      names.filter((name) => after.cpuUs[name] > 0).map((name) => [name, perCall(spent(name))]),
    ),
    coldCpuUsPerCall: programs.proxy === undefined || coldCalls === 0
      ? undefined
      : digits(before.cpuUs.proxy / coldCalls, 1),
    coldIssuedPerCall: coldPerCall("credentialsIssued"),
    coldCheckedPerCall: coldPerCall("verifyAnswers"),
    memoryMb,
    calls: report.calls,
    failures: report.failures,
    retransmissions: report.retransmissions,
    ...report.challengesPerCall === undefined
      ? {}
      : { challengesPerCall: digits(report.challengesPerCall, 4) },
    ...report.setupMs === undefined ? {} : { setupMs: report.setupMs },
    issuedPerCall: statsPerCall("credentialsIssued"),
    checkedPerCall: statsPerCall("verifyAnswers"),
    foreignCores: Math.max(
      0,
      digits((after.busyUs - before.busyUs - spent("everything")) / Math.max(0.1, length) / 1e6, 2),
    ),
  };
}
