/** `deno task proxy`: a SIP proxy that authenticates with hash chains or Digest. */
import {
  equalBytes,
  firstLine,
  formatAddress,
  formatHelp,
  formatTransportAddress,
  loadHashBackend,
  type Log,
  mergeConfig,
  mergeEntries,
  metricsAddress,
  openLog,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { readKeys, readTls } from "./dbclient_files_io.ts";
import { checkDbclientLinks } from "./dbclient_settings.ts";
import { Fatal } from "./fatal.ts";
import { type EventFields, logEntry } from "./log_events.ts";
import { serveProxyMetrics } from "./metrics_io.ts";
import { readModparams } from "./modparams.ts";
import { PROXY_FLAGS, type ProxyValues } from "./options.ts";
import { type ProgramProxy, RunningProxy } from "./proxy_io.ts";
import { needRestart, reloaded } from "./reload.ts";
import { loadRoute, readText } from "./route_io.ts";
import { readSettings } from "./settings.ts";
import { withFiles } from "./setting_files_io.ts";
import { statusCommand } from "./status_io.ts";
import { readWarmup, type Warmup } from "./warmup_io.ts";
import { type WorkerOptions, WorkerProxy } from "./workers/worker_proxy_io.ts";

const USAGE = `usage: deno task proxy [flags]
       deno task proxy status [--metrics ADDRESS:PORT]   what a running proxy has

A stateful SIP proxy (UDP, TCP, TLS) that authenticates users with Proxychain (PC) or Digest. Credentials come from DBclient.
Example: deno task proxy --listen udp:127.0.0.1:5060 --realm example.com --dbclient_addr 127.0.0.1 \\
           --dbclient_port 19760 --next_hop sip:127.0.0.1:5080 --auth pc`;

/** How long the ready line waits for DBclient, ms. */
const CONNECT_WAIT_MS = 1000;
/** How often the statistics file is written, ms. */
const STATS_MS = 1000;

/** The log, as soon as its flags are read; before that, and for the commands, plain lines. */
let say: Log = (line) => console.error(`proxy: ${line}`);

function log(event: string, fields: EventFields): void {
  say(...logEntry(event, fields));
}

/** The flags, and the parameters of `--modparams` that are DBclient's. */
interface ReadValues {
  readonly values: ProxyValues;
  readonly database: readonly string[];
}

function readValues(): ReadValues | undefined {
  const flags = parseFlags(PROXY_FLAGS, Deno.args, (name) => Deno.env.get(name));
  if (flags.help) {
    console.log(formatHelp(USAGE, PROXY_FLAGS));
    return undefined;
  }
  if (flags.positional.length > 0) {
    throw new UsageError(
      `unexpected argument ${JSON.stringify(flags.positional[0])}; --help names every flag`,
    );
  }
  let merged = flags;
  const { config } = merged.values;
  if (config !== undefined) merged = mergeConfig(PROXY_FLAGS, merged, config, readText(config, "--config"));
  const { modparams } = merged.values;
  if (modparams === undefined) return { values: merged.values, database: [] };
  const { entries, database } = readModparams(modparams, readText(modparams, "--modparams"));
  return { values: mergeEntries(PROXY_FLAGS, merged, entries).values, database };
}

/** Reads the file of `--cache_warmup_file`. */
async function loadWarmup(values: ProxyValues, keys: readonly Uint8Array[]): Promise<Warmup | undefined> {
  if (!values.cache_warmup) return undefined;
  if (keys.length === 0) throw new UsageError("--cache_warmup needs a key: --key_file or PROXYCHAIN_KEY");
  return await readWarmup(values, keys).catch((error) => {
    throw Fatal.of(error);
  });
}

/** On SIGHUP: takes over what can change while the proxy serves. What is wrong is said, and nothing changes then. */
async function reload(proxy: ProgramProxy, before: ProxyValues, version: number): Promise<ProxyValues> {
  try {
    const after = readValues()?.values ?? before;
    const values = reloaded(before, after);
    const settings = withFiles(readSettings(values), values);
    // A module that does not load is found here, before any worker takes it.
    if (values.route !== undefined) await loadRoute(values.route, version);
    await proxy.reload(values, settings, version);
    const later = needRestart(before, after);
    say(`reloaded${later.length === 0 ? "" : `; a new start is needed for ${later.join(", ")}`}`, {
      event: "reloaded",
    });
    return values;
  } catch (error) {
    log("not_reloaded", { reason: firstLine(error) });
    return before;
  }
}

/** Starts the proxy, in this thread or in workers. */
async function start(options: WorkerOptions): Promise<ProgramProxy> {
  const { workers, route } = options.values;
  try {
    if (workers > 1) return await WorkerProxy.start(options);
    return await RunningProxy.start({
      ...options,
      route: route === undefined ? undefined : await loadRoute(route),
    });
  } catch (error) {
    throw Fatal.of(error);
  }
}

function writeStatistics(path: string, statistics: Record<string, number>): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(temporary, JSON.stringify(statistics));
  Deno.renameSync(temporary, path);
}

/** Reads the key again. The one of before stays good too: DBclient may not have the new one yet. */
function reloader(values: ProxyValues, keys: readonly Uint8Array[], proxy: ProgramProxy): () => void {
  let [current] = keys;
  return () => {
    const { key_file } = values;
    if (key_file === undefined) return;
    try {
      const [key] = readKeys(values);
      if (!equalBytes(key, current)) proxy.setKeys([key, current]);
      current = key;
      say(`${key_file} was read again; new links to DBclient use its key`, { event: "key_read" });
    } catch (error) {
      say(`${firstLine(error)}; the key of before stays`, { level: "err", event: "key_not_read" });
    }
  };
}

async function run({ values, database }: ReadValues): Promise<void> {
  const metricsAt = metricsAddress(values.metrics);
  const { log: open, flush } = openLog({
    program: "proxy",
    format: values.log_format,
    level: values.log_level,
  });
  say = open;
  globalThis.addEventListener("unload", flush);
  if (database.length > 0) {
    say(`${database.join(", ")}: how the database is read is DBclient's part`, { event: "modparams" });
  }
  const settings = withFiles(readSettings(values), values);
  const keys = readKeys(values);
  checkDbclientLinks(settings.dbclients, values, keys.length > 0);
  const tls = readTls(values);
  const { backend: hashes, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) say(warning, { level: "warn", event: "hash_backend" });
  const warmup = await loadWarmup(values, keys);
  const proxy = await start({ values, settings, hashes, keys, tls, warmup, log });
  if (warmup !== undefined) {
    const { path, count, serial, age } = warmup;
    say(
      `warm-up file ${path}: ${proxy.preloaded} of ${count} users loaded, ${age} s old, revocation serial ${serial}`,
      { event: "warmup", fields: { path, count, loaded: proxy.preloaded, serial, age } },
    );
  }
  const { stats_file } = values;
  let statsFailed = false;
  const writeStats = () => {
    if (stats_file === undefined) return;
    try {
      writeStatistics(stats_file, proxy.statistics());
      statsFailed = false;
    } catch (error) {
      // A full disk is no reason to stop serving; said once.
      if (!statsFailed) {
        say(`--stats_file ${stats_file}: ${firstLine(error)}`, { level: "err", event: "stats_file" });
      }
      statsFailed = true;
    }
  };
  writeStats();
  if (statsFailed) {
    await proxy.close();
    Deno.exit(1);
  }
  let current = Promise.resolve(values);
  let served = values;
  const metrics = metricsAt && await serveProxyMetrics(metricsAt, {
    proxy,
    needsDbclient: () => served.auth !== "none",
    hash: hashes.name,
    log: say,
  }).catch(async (error) => {
    await proxy.close();
    throw new Fatal(firstLine(error));
  });
  const statsTimer = stats_file === undefined ? undefined : setInterval(writeStats, STATS_MS);
  const terminated = Promise.withResolvers<void>();
  const interrupted = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGTERM", () => terminated.resolve());
  Deno.addSignalListener("SIGINT", () => interrupted.resolve());
  const end = Promise.race([terminated.promise, interrupted.promise]);
  let version = 0;
  Deno.addSignalListener("SIGHUP", () => {
    current = current.then(async (values) => served = await reload(proxy, values, ++version));
  });
  Deno.addSignalListener("SIGHUP", reloader(values, keys, proxy));
  // So that the first call after the ready line finds DBclient, where there is one.
  if (settings.auth !== "none") await Promise.race([proxy.whenConnected(CONNECT_WAIT_MS), end]);
  const listening = proxy.listening.map(formatTransportAddress).join(", ");
  const dbclient = settings.dbclients.map(formatAddress).join(", ") + (tls === undefined ? "" : " over TLS");
  say(
    `ready on ${listening}, realm ${values.realm.join(", ") || "none"}, auth ${settings.auth}, ` +
      `dbclient ${dbclient}, ${hashes.name}, ${proxy.io} I/O${
        values.workers === 1 ? "" : `, ${values.workers} workers`
      }`,
    {
      event: "ready",
      fields: { listening, auth: settings.auth, hash: hashes.name, io: proxy.io, workers: values.workers },
    },
  );
  await end;
  // SIGTERM lets what has begun come to its end; SIGINT, then or later, does not wait.
  const { drain } = await current;
  await Promise.race([proxy.drain(1000 * drain), interrupted.promise]);
  clearInterval(statsTimer);
  await proxy.close();
  await metrics?.close();
  writeStats();
  say("ended", { event: "ended" });
  Deno.exit(0);
}

if (import.meta.main) {
  try {
    if (Deno.args[0] === "status") await statusCommand(Deno.args.slice(1));
    else {
      const read = readValues();
      if (read !== undefined) await run(read);
    }
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof Fatal)) throw error;
    say(error.message, { level: "crit", event: "failed" });
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
