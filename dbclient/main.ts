/** DBclient: issues temporary credentials to proxies from a subscriber database. Entry of `deno task dbclient`. */
import {
  firstLine,
  formatAddress,
  formatHelp,
  type HashBackend,
  loadHashBackend,
  type Log,
  metricsAddress,
  now,
  openLog,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { sumCounters } from "./counters_sum.ts";
import { CsvRowError } from "./csv_io.ts";
import { openStore } from "./database_io.ts";
import { readKeys, readTls, Reloading } from "./link_files_io.ts";
import { serveMetrics } from "./metrics_io.ts";
import { listenProblem } from "./link_listener_io.ts";
import { checkLink, workersOf } from "./link_options.ts";
import { chooseServer, SERVER_FLAGS, type ServerChoice, type ServerValues } from "./options.ts";
import { databasePassword } from "./password_io.ts";
import { print } from "./print_io.ts";
import { KeyRing } from "./proxy_keys.ts";
import { revocationTable } from "./revocation_options.ts";
import { revocationSchemaCommand } from "./revocation_schema_io.ts";
import { Revocations } from "./revocations_io.ts";
import { revokeCommand } from "./revoke_io.ts";
import { schema, schemaText } from "./schema_io.ts";
import { issuerSecret, type Service, type ServiceSetup, startService } from "./service_io.ts";
import { writeStats } from "./stats_io.ts";
import { StoreError } from "./subscriber.ts";
import { users } from "./users_io.ts";
import { warmup } from "./warmup_io.ts";
import { Supervisor } from "./workers/supervisor_io.ts";

const USAGE = `Usage: dbclient [flags]              serve proxies
       dbclient users COMMAND …     manage subscribers; dbclient users --help
       dbclient schema …            print the SQL for a new database; dbclient schema --help
       dbclient schema --revocation …  the SQL by which changes reach the proxies; with --help
       dbclient revoke USER …       make users' credentials void at every proxy; dbclient revoke --help
       dbclient warmup …            write credentials to a file for a proxy's start; dbclient warmup --help`;
const NOTES =
  `With SQLite (--db) -h is the address to listen on; with MySQL or MariaDB (-d) it is that of the database, as in
the mysql client, and --listen is the address to listen on. Off loopback it takes both TLS and a key.
SIGHUP reads keys and certificate again; SIGUSR2 prints the counters.`;
/** How often `--stats_file` is written, milliseconds. */
const STATS_INTERVAL = 1000;

/** The log, as soon as its flags are read; before that, and for the commands, plain lines. */
let say: Log = (line) => console.error(`dbclient: ${line}`);

async function serve(
  values: ServerValues,
  given: ReadonlySet<string>,
  keys: KeyRing,
  choice: ServerChoice,
  hashes: HashBackend,
): Promise<void> {
  const { listen } = choice;
  const workers = workersOf(values, { os: Deno.build.os, cores: navigator.hardwareConcurrency });
  const password = databasePassword(choice.database, values, given, say);
  const tls = readTls(values, say);
  const store = await openStore(choice.database, { password, hashes, create: true, log: say });
  let subscribers: number;
  let secret: string;
  let revocable: boolean;
  try {
    revocable = await Revocations.exist(store, revocationTable(values));
    subscribers = await store.count();
    secret = issuerSecret(values, store);
  } finally {
    await store.close();
  }
  if (values.p !== 0) checkPort(listen, values.p);
  const setup: ServiceSetup = {
    values,
    given: [...given],
    password,
    issuerSecret: secret,
    keys: keys.snapshot(now()),
    tls,
    port: values.p,
  };
  const service = workers === 1
    ? await startService(setup, hashes, say)
    : await Supervisor.start({ workers, setup, log: say });
  await using _metrics = await serveMetrics(metricsAddress(values.metrics), {
    counters: () => sumCounters(service.counters()),
    workers: () => service.workers(),
    ready: () => service.ready(),
    hash: hashes.name,
    log: say,
  }).catch(async (error) => {
    await service.close();
    throw error;
  });
  const reloading = new Reloading(service, values, keys, say);
  await run(service, values.stats_file, () => reloading.reload(), () => {
    const parts = [
      `ready on ${formatAddress({ host: listen, port: service.port })}`,
      `${store.name} (${subscribers} subscribers)`,
      `n ${values.n}`,
      hashes.name,
      ...(workers === 1 ? [] : [`${workers} workers`]),
      ...(tls === undefined ? [] : ["TLS"]),
      ...(keys.asksForKeys ? ["with a key"] : []),
      ...(revocable ? ["revocations followed"] : []),
    ];
    const fields = { address: listen, port: service.port, database: store.name, subscribers, n: values.n };
    say(parts.join(", "), { event: "ready", fields: { ...fields, hash: hashes.name, workers } });
  });
  reloading.end();
}

/** Finds out whether a stranger has the port: our own workers share it, and would share it with him. */
function checkPort(host: string, port: number): void {
  try {
    Deno.listen({ hostname: host, port }).close();
  } catch (error) {
    throw new StoreError(listenProblem(error, host, port));
  }
}

/** Waits for the end of the service: SIGTERM or SIGINT. */
async function run(
  service: Service,
  statsFile: string | undefined,
  reload: () => void,
  ready: () => void,
): Promise<void> {
  let complained = false;
  const stats = () => {
    if (statsFile === undefined) return;
    try {
      writeStats(statsFile, sumCounters(service.counters()));
      complained = false;
    } catch (error) {
      if (!complained) {
        say(`cannot write ${statsFile}: ${firstLine(error)}`, { level: "err", event: "stats_file" });
      }
      complained = true;
    }
  };
  stats();
  const timer = statsFile === undefined ? undefined : setInterval(stats, STATS_INTERVAL);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, resolve);
  });
  Deno.addSignalListener("SIGHUP", reload);
  // Not SIGUSR1: Deno opens its debugger on that one.
  Deno.addSignalListener("SIGUSR2", () => {
    say(`counters ${JSON.stringify(sumCounters(service.counters()))}`, { event: "counters" });
  });
  ready();
  await ended;
  clearInterval(timer);
  await service.close();
  stats();
  const { usersAsked, credentialsIssued, decoys, verifyAnswers, queries } = sumCounters(service.counters());
  say(
    `ended: ${credentialsIssued} credentials for ${usersAsked} users asked (${decoys} decoys), ` +
      `${verifyAnswers} Digest answers, ${queries} queries`,
    { event: "ended", fields: { credentialsIssued, usersAsked, decoys, verifyAnswers, queries } },
  );
}

async function main(args: readonly string[]): Promise<number> {
  try {
    if (args[0] === "users") return await users(args.slice(1), (line) => say(line));
    if (args[0] === "schema" && args.includes("--revocation")) {
      return await revocationSchemaCommand(args.slice(1), (line) => say(line));
    }
    if (args[0] === "schema") return schema(args.slice(1));
    if (args[0] === "warmup") return await warmup(args.slice(1), (line) => say(line));
    if (args[0] === "revoke") return await revokeCommand(args.slice(1), (line) => say(line));
    const { values, positional, given, help } = parseFlags(SERVER_FLAGS, args, (name) => Deno.env.get(name));
    if (help) {
      print([formatHelp(USAGE, SERVER_FLAGS, NOTES)]);
      return 0;
    }
    if (positional.length > 0) {
      throw new UsageError(
        `${
          JSON.stringify(positional[0])
        } is not known; it takes flags, users COMMAND, schema, revoke or warmup`,
      );
    }
    const choice = chooseServer(values, given);
    if (values.schema) {
      print([schemaText(choice.database.kind, choice.database.table)]);
      return 0;
    }
    metricsAddress(values.metrics);
    const { log, flush } = openLog({
      program: "dbclient",
      format: values.log_format,
      level: values.log_level,
    });
    say = log;
    globalThis.addEventListener("unload", flush);
    const keys = new KeyRing(readKeys(values), values.key_overlap * 1000);
    checkLink(choice.listen, values, keys.asksForKeys);
    const { backend, warning } = await loadHashBackend(values.hash);
    if (warning !== undefined) say(warning, { level: "warn", event: "hash_backend" });
    await serve(values, given, keys, choice, backend);
    return 0;
  } catch (error) {
    say(firstLine(error), { level: "crit", event: "failed" });
    if (error instanceof UsageError) return 2;
    if (!(error instanceof StoreError || error instanceof CsvRowError)) console.error(error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
