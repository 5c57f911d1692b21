/** The measurements. */
import { loadHashBackend, now, parseFlags, seededRandom, systemRandom } from "../../mod.ts";
import { PROXY_FLAGS } from "../../proxy/options.ts";
import { Proxy } from "../../proxy/proxy.ts";
import { readSettings } from "../../proxy/settings.ts";
import { readWarmup } from "../../proxy/warmup_io.ts";
import type { Peers } from "../calls/peers/installed_io.ts";
import { startMariadb } from "../calls/peers/mariadb_io.ts";
import type { Program } from "../processes_io.ts";
import { type BenchUser, HOST, importUsers, REALM, type Site, writeWarmup } from "../programs_io.ts";
import { readMemory } from "../proc_io.ts";
import {
  type LatencyFigure,
  type MemoryFigure,
  memoryFigure,
  type MemorySample,
  type RateFigure,
  type WarmupFigure,
} from "./figures.ts";
import {
  closeProxies,
  connectProxies,
  latencyOf,
  Prefetchers,
  singleRequests,
  type Target,
} from "./load_io.ts";
import type { DbclientBenchOptions } from "./options.ts";

/** Credentials, or requests, before anything counts: code is compiled by then. */
const FIRST_CREDENTIALS = 200_000;
const FIRST_REQUESTS = 2000;
/** How often memory is looked at in a run. */
const MEMORY_SAMPLES = 40;
const CHAIN = 10;

/** A database that a DBclient can be started on. */
export interface BenchDatabase {
  readonly name: RateFigure["database"];
  /** Flags of DBclient that choose it. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A DBclient that runs. */
export interface Issuer {
  readonly program: Program;
  readonly target: Target;
}

/** Makes the tables, filled with the same users. */
export async function prepareDatabases(
  site: Site,
  options: DbclientBenchOptions,
  peers: Peers,
): Promise<BenchDatabase[]> {
  let users: readonly BenchUser[] = [];
  const files = await importUsers(site, options.users, (all) => {
    users = all;
    return Promise.resolve();
  });
  const databases: BenchDatabase[] = [];
  if (options.databases.includes("sqlite")) {
    databases.push({ name: "SQLite", args: ["--db", `sqlite:${files.database}`], env: {} });
  }
  if (options.databases.includes("mariadb")) {
    const mariadb = await startMariadb(site, peers);
    await mariadb.load(users);
    const { username, password, pathname } = new URL(mariadb.url(mariadb.port));
    const secret = `${site.directory}/issuer_secret`;
    databases.push({
      name: "MariaDB",
      args: [
        ...["-d", pathname.slice(1), "-u", username, "-h", `${HOST}:${mariadb.port}`],
        ...["--issuer_secret_file", secret],
      ],
      env: { PROXYCHAIN_DB_PASSWORD: password },
    });
  }
  return databases;
}

/** Starts DBclient on a database. */
export async function startIssuer(
  site: Site,
  database: BenchDatabase,
  options: DbclientBenchOptions,
): Promise<Issuer> {
  const { profile } = options;
  const program = site.programs.start({
    name: `dbclient on ${database.name}`,
    module: `${site.root}dbclient/main.ts`,
    permissions: "dbclient",
    runFlags: profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}/${database.name}`],
    args: [...database.args, "-n", String(CHAIN), "-p", "0", "--listen", HOST],
    env: { ...database.env, PROXYCHAIN_KEY: site.key },
  });
  const port = Number((await program.ready(/ready on .*?:(\d+),/))[1]);
  const { backend } = await loadHashBackend();
  const key = Uint8Array.fromHex(site.key);
  return { program, target: { port, key, hashes: backend, users: options.users, random: seededRandom(1) } };
}

async function cpuSeconds(program: Program): Promise<number> {
  const time = await program.cpuTime();
  if (time === undefined) throw new Error("CPU time cannot be measured here: there is no /proc");
  return time / 1e6;
}

/** Credentials per CPU second. */
export async function measureRate(
  { program, target }: Issuer,
  database: BenchDatabase,
  { prefetchers, batch, rounds, seconds, credentials }: DbclientBenchOptions,
): Promise<RateFigure> {
  const proxies = await connectProxies(target, prefetchers);
  const load = new Prefetchers(target, proxies, batch);
  const perCpuSecond: number[] = [];
  const perSecond: number[] = [];
  if (await load.until(Math.min(FIRST_CREDENTIALS, credentials))) {
    for (let round = 0; round < rounds; round++) {
      const before = { received: load.received, cpu: await cpuSeconds(program), at: now() };
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const cpu = await cpuSeconds(program) - before.cpu;
      const received = load.received - before.received;
      perCpuSecond.push(received / cpu);
      perSecond.push(received / (now() - before.at) * 1000);
    }
  }
  await load.stop();
  await closeProxies(proxies);
  return { database: database.name, batch, perCpuSecond, perSecond };
}

/** One credential at a time: alone, and with other proxies connected, in turns. */
export async function measureLatency(
  { target }: Issuer,
  database: BenchDatabase,
  { proxies: count, rounds, requests }: DbclientBenchOptions,
): Promise<LatencyFigure[]> {
  const [proxy] = await connectProxies(target, 1);
  await singleRequests(target, proxy, FIRST_REQUESTS);
  const alone: number[] = [];
  const crowded: number[] = [];
  for (let round = 0; round < rounds; round++) {
    alone.push(...await singleRequests(target, proxy, requests));
    const others = await connectProxies(target, count);
    crowded.push(...await singleRequests(target, proxy, requests));
    await closeProxies(others);
  }
  await closeProxies([proxy]);
  return [
    { database: database.name, proxies: 0, ...latencyOf(alone) },
    { database: database.name, proxies: count, ...latencyOf(crowded) },
  ];
}

/** Resident memory while very many credentials are issued. */
export async function measureMemory(
  { program, target }: Issuer,
  { prefetchers, batch, credentials }: DbclientBenchOptions,
): Promise<MemoryFigure> {
  const proxies = await connectProxies(target, prefetchers);
  const load = new Prefetchers(target, proxies, batch);
  const samples: MemorySample[] = [];
  for (let i = 1; i <= MEMORY_SAMPLES; i++) {
    if (!await load.until(credentials * i / MEMORY_SAMPLES)) break;
    samples.push({ credentials: load.received, rss: (await readMemory(program.pid)).rss });
  }
  await load.stop();
  await closeProxies(proxies);
  return memoryFigure(samples);
}

/** Warm-up files: written by the program, loaded as the proxy does at its start. */
export async function measureWarmup(
  whole: Site,
  { warmup_users: count, rounds }: DbclientBenchOptions,
): Promise<WarmupFigure> {
  // Users of its own: the other measurements may have as many.
  const site = { ...whole, directory: `${whole.directory}/warmup` };
  await Deno.mkdir(site.directory);
  const files = await importUsers(site, count);
  const { backend } = await loadHashBackend();
  const write: number[] = [];
  const load: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = now();
    const file = await writeWarmup(site, files, CHAIN);
    write.push((now() - start) / 1000);
    const { values } = parseFlags(PROXY_FLAGS, [
      ...["--realm", REALM, "--cache_warmup", "--cache_warmup_file", file, "--max_users", String(count)],
    ]);
    const environment = { random: systemRandom, now: now(), send: () => true, locate() {}, log() {} };
    const service = { connected: false, issue() {}, verify() {} };
    const begin = now();
    const { records, issuedAt, serial } = await readWarmup(values, [Uint8Array.fromHex(site.key)]);
    const proxy = new Proxy(values, readSettings(values), backend, environment, service);
    const loaded = proxy.preload(records, issuedAt, serial, now());
    load.push((now() - begin) / 1000);
    if (loaded !== count) throw new Error(`${loaded} of ${count} users loaded`);
    await Deno.remove(file);
  }
  return { users: count, write, load };
}
