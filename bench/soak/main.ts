/** Calls at a steady rate for a long time. Entry of `deno task soak`. */
import { formatHelp } from "../../mod.ts";
import { measurable, readMemory } from "../proc_io.ts";
import type { Program } from "../processes_io.ts";
import {
  callersOf,
  importUsers,
  readJson,
  type Site,
  startCalled,
  startDbclient,
  startProxy,
} from "../programs_io.ts";
import { exitCode, withSite } from "../site_io.ts";
import { NOTES, readOptions, SOAK_FLAGS, type SoakOptions, USAGE } from "./options.ts";
import { memoryGrowth, type MemorySample, type SoakFigures, soakProblems } from "./verdict.ts";

const NAME = "soak";
/** Length of a call, ms. */
const PAUSE_MS = 30;
/** Links of a chain. */
const CHAIN = 10;
/** How often memory and transactions are looked at, ms, and how often that is said. */
const LOOK_MS = 1000;
const SAY_S = 60;
/** The longest that a transaction lives after its last message, Timer C aside: 64 T1 and some more, ms. */
const DRAIN_MS = 45_000;
const MB = 1 << 20;

const say = (line: string) => console.error(`${NAME}: ${line}`);
const digits = (value: number) => Number(value.toFixed(1));
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What of the proxy's `--stats_file` is used. */
interface ProxyStatistics {
  readonly transactions: number;
  /** bytes */
  readonly heap_total: number;
  /** bytes */
  readonly heap_used: number;
}

/** What of `uac --json` is used. */
interface UacReport {
  readonly calls: SoakFigures["calls"];
  readonly failures: SoakFigures["failures"];
  readonly setupMs: SoakFigures["setupMs"];
  readonly messages: { readonly retransmissionsSent: number };
}

/** Looks at the proxy while it works. */
class Watch {
  readonly memory: MemorySample[] = [];
  mostTransactions = 0;
  transactions = 0;
  readonly #startedAt = Date.now();
  #said = 0;
  #going = true;
  readonly #loop: Promise<void>;

  constructor(private readonly proxy: Program, private readonly statsFile: string) {
    this.#loop = this.#run();
  }

  async look(): Promise<ProxyStatistics> {
    // The file is there before the proxy is ready; while it is written anew the old one stays.
    const statistics = await readJson<ProxyStatistics>(this.statsFile);
    this.transactions = statistics.transactions;
    this.mostTransactions = Math.max(this.mostTransactions, this.transactions);
    return statistics;
  }

  async close(): Promise<void> {
    this.#going = false;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (this.#going) {
      const at = (Date.now() - this.#startedAt) / 1000;
      const { heap_total, heap_used } = await this.look();
      if (measurable) {
        const { rss } = await readMemory(this.proxy.pid);
        const used = rss - heap_total + heap_used;
        if (rss > 0) this.memory.push({ at: digits(at), rss: digits(rss / MB), used: digits(used / MB) });
      }
      if (at >= this.#said + SAY_S) {
        this.#said = at;
        say(
          `${at.toFixed(0)} s: proxy ${this.memory.at(-1)?.used} MB in use of ${
            this.memory.at(-1)?.rss
          }, ${this.transactions} transactions`,
        );
      }
      await sleep(LOOK_MS);
    }
  }
}

async function soak(site: Site, options: SoakOptions): Promise<SoakFigures> {
  const { rate, minutes, auth, preemptive, users: count, workers } = options;
  const { programs, directory } = site;
  const statsFile = `${directory}/proxy.json`;
  const reportFile = `${directory}/callers.json`;
  const users = await importUsers(site, count);
  const [[dbclient, dbclientPort], [called, calledPort]] = await Promise.all([
    startDbclient(site, { database: users.database, chain: CHAIN, statsFile: `${directory}/dbclient.json` }),
    startCalled(site, ["-d", String(PAUSE_MS)]),
  ]);
  const [proxy, port] = await startProxy(site, {
    auth,
    dbclientPort,
    calledPort,
    users: count,
    rtt: 0,
    args: ["--stats_file", statsFile, "--workers", String(workers)],
  });
  const watch = new Watch(proxy, statsFile);
  const calls = Math.round(rate * minutes * 60);
  say(`${calls} calls with BYE at ${rate}/s, ${count} users, ${auth}`);
  try {
    const load = { rate, calls, users: users.callers, auth, preemptive, pauseMs: PAUSE_MS };
    await programs.run(
      callersOf(site, { ...load, json: reportFile, port, args: ["--quiet"] }),
      [0, 1],
      [dbclient, called, proxy],
    );
  } finally {
    await watch.close();
  }
  const endedAt = Date.now();
  // Statistics are a second old at most: the first look may see those of before.
  do {
    await sleep(LOOK_MS);
    await watch.look();
  } while (watch.transactions > 0 && Date.now() - endedAt < DRAIN_MS);
  const drainSeconds = Math.round((Date.now() - endedAt) / 1000);
  const { calls: ended, failures, setupMs, messages } = await readJson<UacReport>(reportFile);
  const { memory, mostTransactions, transactions: transactionsLeft } = watch;
  return {
    rate,
    minutes,
    calls: ended,
    failures,
    retransmissions: messages.retransmissionsSent,
    setupMs: { p50: setupMs.p50, p99: setupMs.p99 },
    memory,
    mostTransactions,
    transactionsLeft,
    drainSeconds,
  };
}

function print(figures: SoakFigures): void {
  const { calls, retransmissions, setupMs, memory, mostTransactions, transactionsLeft } = figures;
  console.log(`calls          ${calls.started} started, ${calls.ok} ok, ${calls.started - calls.ok} failed`);
  console.log(`retransmitted  ${retransmissions}; set-up p50 ${setupMs.p50} ms, p99 ${setupMs.p99} ms`);
  const steps = [0, 60, 120, 300, 600].flatMap((s) => memory.find(({ at }) => at >= s) ?? []);
  const growth = memoryGrowth(memory);
  const shown = ({ at, rss, used }: MemorySample) => `${used} of ${rss} MB at ${at} s`;
  console.log(
    `proxy memory   in use ${[...steps, ...memory.slice(-1)].map(shown).join(", ")}` +
      (growth === undefined ? "" : `; growth after the first minute ${growth} %`),
  );
  console.log(
    `transactions   ${mostTransactions} at most, ${transactionsLeft} left ${figures.drainSeconds} s after the last call`,
  );
}

async function run(site: Site, options: SoakOptions): Promise<number> {
  const figures = await soak(site, options);
  print(figures);
  if (options.json !== undefined) await Deno.writeTextFile(options.json, JSON.stringify(figures) + "\n");
  const problems = soakProblems(figures, options.growth);
  problems.forEach(say);
  return problems.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options !== undefined) return await withSite({ name: NAME }, (site) => run(site, options));
  console.log(formatHelp(USAGE, SOAK_FLAGS, NOTES));
  return 0;
}

if (import.meta.main) Deno.exit(await exitCode(NAME, main));
