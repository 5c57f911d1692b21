/** DBclient: issues temporary credentials to proxies from a subscriber database. Entry of `deno task dbclient`. */
import {
  firstLine,
  formatHelp,
  type HashBackend,
  loadHashBackend,
  type Log,
  openLog,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { CsvRowError } from "./csv_io.ts";
import { metricsAddress } from "./metrics_options.ts";
import { serveMetrics } from "./metrics_io.ts";
import { chooseServer, SERVER_FLAGS, type ServerChoice } from "./options.ts";
import { databasePassword, linkKey } from "./password_io.ts";
import { print } from "./print_io.ts";
import { databaseCheck, processReadiness } from "./readiness_io.ts";
import { issuerSecretFile } from "./secret_io.ts";
import { DbclientServer } from "./server_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { writeStats } from "./stats_io.ts";
import { StoreError, type SubscriberStore } from "./subscriber.ts";
import { users } from "./users_io.ts";
import { warmup } from "./warmup_io.ts";

const USAGE = `Usage: dbclient [flags]              serve proxies
       dbclient users COMMAND …     manage subscribers of the embedded database; dbclient users --help
       dbclient warmup …            write credentials to a file for a proxy's start; dbclient warmup --help`;
const NOTES =
  `With SQLite (--db) -h is the address to listen on; with MySQL or MariaDB (-d) it is that of the database, as in
the mysql client, and --listen is the address to listen on. SIGUSR2 prints the counters.`;
/** How often `--stats_file` is written, milliseconds. */
const STATS_INTERVAL = 1000;

/** The log, as soon as its flags are read; before that, and for the commands, plain lines. */
let say: Log = (line) => console.error(`dbclient: ${line}`);

type Values = ReturnType<typeof parseFlags<typeof SERVER_FLAGS>>["values"];

async function serve(
  values: Values,
  choice: ServerChoice,
  hashes: HashBackend,
  password: string,
  key: Uint8Array | undefined,
): Promise<void> {
  const { database, listen, algorithms } = choice;
  const fresh = crypto.getRandomValues(new Uint8Array(32));
  let store: SubscriberStore;
  let issuerSecret: Uint8Array;
  if (database.kind === "sqlite") {
    const sqlite = new SqliteStore(database.path);
    store = sqlite;
    issuerSecret = values.issuer_secret_file === undefined
      ? sqlite.issuerSecret(fresh)
      : issuerSecretFile(values.issuer_secret_file, fresh);
  } else {
    // The driver takes longer to load than the rest of the program, so only who uses it waits for it.
    const { MysqlStore } = await import("./mysql_store_io.ts");
    store = await MysqlStore.open({ ...database, password });
    issuerSecret = issuerSecretFile(values.issuer_secret_file ?? "dbclient_issuer_secret", fresh);
  }
  try {
    const subscribers = await store.count();
    const server = new DbclientServer({
      host: listen,
      port: values.p,
      store,
      hashes,
      n: values.n,
      ttl: values.ttl,
      issuerSecret,
      algorithms,
      keysOf: () => key === undefined ? [] : [key],
      maxConnections: values.max_connections,
      log: say,
    });
    const database = databaseCheck(store);
    await using _metrics = await serveMetrics(metricsAddress(values.metrics), {
      counters: () => server.counters,
      ready: () =>
        processReadiness({ listening: server.listening, connected: server.counters.connected }, database),
      hash: hashes.name,
      log: say,
    });
    await run(server, values.stats_file, () => {
      const address = listen.includes(":") ? `[${listen}]` : listen;
      const parts = [
        `ready on ${address}:${server.port}`,
        `${store.name} (${subscribers} subscribers)`,
        `n ${values.n}`,
        hashes.name,
        ...(key === undefined ? [] : ["with a key"]),
      ];
      const fields = { address: listen, port: server.port, database: store.name, subscribers, n: values.n };
      say(parts.join(", "), { event: "ready", fields: { ...fields, hash: hashes.name } });
    });
  } finally {
    await store.close();
  }
}

/** Waits for the end of the server: SIGTERM or SIGINT. */
async function run(server: DbclientServer, statsFile: string | undefined, ready: () => void): Promise<void> {
  let complained = false;
  const stats = () => {
    if (statsFile === undefined) return;
    try {
      writeStats(statsFile, server.counters);
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
  // Not SIGUSR1: Deno opens its debugger on that one.
  Deno.addSignalListener(
    "SIGUSR2",
    () => say(`counters ${JSON.stringify(server.counters)}`, { event: "counters" }),
  );
  ready();
  await ended;
  clearInterval(timer);
  await server.close();
  stats();
  const { usersAsked, credentialsIssued, decoys, verifyAnswers, queries } = server.counters;
  say(
    `ended: ${credentialsIssued} credentials for ${usersAsked} users asked (${decoys} decoys), ` +
      `${verifyAnswers} Digest answers, ${queries} queries`,
    { event: "ended", fields: { credentialsIssued, usersAsked, decoys, verifyAnswers, queries } },
  );
}

async function main(args: readonly string[]): Promise<number> {
  try {
    if (args[0] === "users") return await users(args.slice(1), (line) => say(line));
    if (args[0] === "warmup") return await warmup(args.slice(1), (line) => say(line));
    const { values, positional, given, help } = parseFlags(SERVER_FLAGS, args, (name) => Deno.env.get(name));
    if (help) {
      print([formatHelp(USAGE, SERVER_FLAGS, NOTES)]);
      return 0;
    }
    if (positional.length > 0) {
      throw new UsageError(
        `${JSON.stringify(positional[0])} is not known; it takes flags, users COMMAND or warmup`,
      );
    }
    const choice = chooseServer(values, given);
    metricsAddress(values.metrics);
    const { log, flush } = openLog({
      program: "dbclient",
      format: values.log_format,
      level: values.log_level,
    });
    say = log;
    globalThis.addEventListener("unload", flush);
    const password = databasePassword(choice.database, values, given, say);
    const key = linkKey(values.key_file);
    const { backend, warning } = await loadHashBackend(values.hash);
    if (warning !== undefined) say(warning, { level: "warn", event: "hash_backend" });
    try {
      await serve(values, choice, backend, password, key);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      throw new StoreError(`${choice.listen}:${values.p} is in use by another program`);
    }
    return 0;
  } catch (error) {
    say(firstLine(error), { level: "crit", event: "failed" });
    if (error instanceof UsageError) return 2;
    if (!(error instanceof StoreError || error instanceof CsvRowError)) console.error(error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
