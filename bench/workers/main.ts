/**
 * What workers give, and cost:
 * `deno run -P=bench bench/workers/main.ts [--rates=500,1000] [--workers=1,2] [--seconds=10] [--memory] [-- FLAGS OF THE PROXY]`.
 *
 * Calls with PC, each INVITE challenged first; our generator is at both ends, on the same machine. The callers are
 * several processes, since the system chooses the worker by the sender's address, and their ports are such that each
 * worker gets as many of them. `--memory`: the resident memory of proxies that do nothing, by the number of workers.
 */
import { readMemory } from "../proc_io.ts";
import type { Program } from "../processes_io.ts";
import {
  HOST,
  importUsers,
  readJson,
  REALM,
  type Site,
  startCalled,
  startDbclient,
  startProxy,
} from "../programs_io.ts";
import { exitCode, withSite } from "../site_io.ts";

/** Callers, and users of each. */
const CALLERS = 4;
const USERS = 500;
const CHAIN = 10;
/** Before the figures: V8 compiles what is called often in each thread, and all users have their first call. */
const WARMUP_S = 12;
const WARMUP_RATE = 1000;
/** A rate counts as held when so much of it was achieved, and hardly a call has failed. */
const ACHIEVED = 0.97;
const MAX_FAILED = 0.001;
const MEMORY_OF = [1, 2, 3, 5, 9];
/** Ports tried for callers: each sends a number of datagrams of its own, a power of two. */
const CANDIDATES = 10;
const STATS_MS = 2500;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const numbers = (name: string, preset: string) =>
  (Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? preset).split(",").map(Number);

const MORE = Deno.args.includes("--") ? Deno.args.slice(Deno.args.indexOf("--") + 1) : [];
const RATES = numbers("rates", "500,1000,1500,2000");
const WORKERS = numbers("workers", "1,2");
const [SECONDS] = numbers("seconds", "10");

interface UacReport {
  readonly durationMs: number;
  readonly calls: { readonly started: number; readonly ok: number; readonly failed: number };
  readonly setupMs: { readonly p50: number; readonly p99: number };
  readonly messages: { readonly retransmissionsSent: number };
}

type Counters = Record<string, number>;

/**
 * Local ports for callers, as many for each of two workers: what the counters of the workers say is, as a binary
 * number, which of the candidates have reached them.
 */
async function spreadPorts(proxyPort: number, statsFile: string, workers: number): Promise<number[]> {
  const sockets = Array.from(
    { length: CANDIDATES },
    () => Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 }),
  );
  const ports = sockets.map(({ addr }) => (addr as Deno.NetAddr).port);
  const to: Deno.NetAddr = { transport: "udp", hostname: HOST, port: proxyPort };
  const datagram = new TextEncoder().encode("this is not SIP at all\r\n\r\n");
  for (const [i, socket] of sockets.entries()) {
    for (let n = 0; n < 2 ** i; n++) await socket.send(datagram, to);
  }
  await sleep(STATS_MS);
  const counters = await readJson<Counters>(statsFile);
  for (const socket of sockets) socket.close();
  if (workers === 1) return ports.slice(0, CALLERS);
  const first = counters.worker1_received;
  const ofFirst = ports.filter((_, i) => (first >> i & 1) === 1);
  const ofSecond = ports.filter((_, i) => (first >> i & 1) === 0);
  const half = CALLERS / 2;
  if (ofFirst.length < half || ofSecond.length < half) {
    return await spreadPorts(proxyPort, statsFile, workers);
  }
  return [...ofFirst.slice(0, half), ...ofSecond.slice(0, half)];
}

/** The users' injection file in as many parts as there are callers. */
async function split(callers: string): Promise<string[]> {
  const [mode, ...lines] = (await Deno.readTextFile(callers)).trimEnd().split("\n");
  return await Promise.all(Array.from({ length: CALLERS }, async (_, i) => {
    const path = `${callers}.${i}`;
    await Deno.writeTextFile(path, [mode, ...lines.filter((_, n) => n % CALLERS === i)].join("\n") + "\n");
    return path;
  }));
}

/** Lets all callers call for some seconds. */
async function callAll(
  site: Site,
  files: readonly string[],
  ports: readonly number[],
  proxyPort: number,
  rate: number,
  seconds: number,
): Promise<UacReport[]> {
  const each = rate / CALLERS;
  return await Promise.all(files.map(async (file, i) => {
    const json = `${site.directory}/caller_${i}.json`;
    await site.programs.run({
      name: "caller",
      module: `${site.root}uac/main.ts`,
      permissions: "uac",
      args: [
        ...["-sn", "uac", "-i", HOST, "-p", String(ports[i]), "-r", String(each)],
        ...["-m", String(Math.round(each * seconds)), "-d", "100", "--inf", file, "--realm", REALM],
        ...["--auth", "pc", "--no-preemptive", "-l", String(Math.max(200, rate)), "--recv_timeout", "10000"],
        ...["--timeout", String(Math.ceil(2 * seconds + 15)), "--quiet", "--json", json],
        `${HOST}:${proxyPort}`,
      ],
    }, [0, 1]);
    return await readJson<UacReport>(json);
  }));
}

async function measure(
  site: Site,
  workers: number,
  rate: number,
  database: string,
  files: readonly string[],
) {
  const statsFile = `${site.directory}/proxy_${workers}_${rate}.json`;
  const [dbclient, dbclientPort] = await startDbclient(site, {
    database,
    chain: CHAIN,
    statsFile: `${site.directory}/dbclient.json`,
  });
  const [called, calledPort] = await startCalled(site, ["-d", "100"]);
  const [proxy, port] = await startProxy(site, {
    auth: "pc",
    dbclientPort,
    calledPort,
    users: CALLERS * USERS,
    rtt: 0,
    args: ["--workers", String(workers), "--stats_file", statsFile, ...MORE],
  });
  const ports = await spreadPorts(port, statsFile, workers);
  await callAll(site, files, ports, port, Math.min(rate, WARMUP_RATE), WARMUP_S);
  const before = await cpuOf([proxy, called, dbclient]);
  const reports = await callAll(site, files, ports, port, rate, SECONDS);
  const after = await cpuOf([proxy, called, dbclient]);
  const { rss } = await readMemory(proxy.pid);
  await site.programs.stop([proxy, called, dbclient]);
  const sum = (of: (report: UacReport) => number) => reports.reduce((all, report) => all + of(report), 0);
  const ok = sum(({ calls }) => calls.ok);
  const achieved = sum(({ calls, durationMs }) => calls.ok / durationMs * 1000);
  const failed = sum(({ calls }) => calls.started - calls.ok) / sum(({ calls }) => calls.started);
  const stats = await readJson<Counters>(statsFile);
  return {
    workers,
    rate,
    achieved: Math.round(achieved),
    held: achieved >= ACHIEVED * rate && failed <= MAX_FAILED,
    failedPercent: Number((100 * failed).toFixed(2)),
    proxyUs: Math.round((after[0] - before[0]) / ok),
    calledUs: Math.round((after[1] - before[1]) / ok),
    dbclientUs: Math.round((after[2] - before[2]) / ok),
    setupP50Ms: Number(Math.max(...reports.map(({ setupMs }) => setupMs.p50)).toFixed(1)),
    setupP99Ms: Number(Math.max(...reports.map(({ setupMs }) => setupMs.p99)).toFixed(1)),
    retransmissions: sum(({ messages }) => messages.retransmissionsSent),
    rssMb: Math.round(rss / 2 ** 20),
    ...stats.worker1_received === undefined ? {} : {
      worker1: stats.worker1_received,
      worker2: stats.worker2_received,
    },
  };
}

async function cpuOf(programs: readonly Program[]): Promise<number[]> {
  return await Promise.all(programs.map(async (program) => (await program.cpuTime()) ?? 0));
}

async function memory(site: Site): Promise<void> {
  for (const workers of MEMORY_OF) {
    const [proxy] = await startProxy(site, {
      auth: "pc",
      dbclientPort: 1,
      calledPort: 9,
      users: 1,
      rtt: 0,
      args: ["--workers", String(workers)],
    });
    await sleep(2000);
    const { rss, pss } = await readMemory(proxy.pid);
    const mb = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
    console.log(`${workers} workers: resident ${mb(rss)} MB, proportional ${mb(pss)} MB`);
    await site.programs.stop([proxy]);
  }
}

async function run(site: Site): Promise<number> {
  if (Deno.args.includes("--memory")) {
    await memory(site);
    return 0;
  }
  const users = await importUsers(site, CALLERS * USERS);
  const files = await split(users.callers);
  for (const rate of RATES) {
    for (const workers of WORKERS) {
      console.log(JSON.stringify(await measure(site, workers, rate, users.database, files)));
    }
  }
  return 0;
}

Deno.exit(await exitCode("bench/workers", () => withSite({ name: "workers" }, run)));
