/** DBclient's service in one process: a store and a server; the same in the program itself and in its workers. */
import { fromHex, type HashBackend, type Log, type Readiness, toHex } from "../mod.ts";
import type { Counters } from "./counters.ts";
import { openStore } from "./database_io.ts";
import { listenProblem, type ServerTls } from "./link_listener_io.ts";
import { limitsOf } from "./link_options.ts";
import { chooseServer, type ServerValues } from "./options.ts";
import type { WorkerSnapshot } from "./metrics.ts";
import { type KeySnapshot, KeyTable } from "./proxy_keys.ts";
import { databaseCheck, processReadiness } from "./readiness_io.ts";
import { revocationTable } from "./revocation_options.ts";
import { Revocations } from "./revocations_io.ts";
import { issuerSecretFile } from "./secret_io.ts";
import { DbclientServer } from "./server_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { StoreError, type SubscriberStore } from "./subscriber.ts";

/** What a process needs to serve, as it goes to a worker in JSON: all that was read from flags, files and environment. */
export interface ServiceSetup {
  readonly values: ServerValues;
  /** Names of the flags that stood on the command line. */
  readonly given: readonly string[];
  readonly password: string;
  /** In hexadecimal; the same in all workers, so that a decoy is the same from each (docs/PROTOCOL.md §8). */
  readonly issuerSecret: string;
  readonly keys: KeySnapshot;
  readonly tls?: ServerTls;
  readonly port: number;
}

/** DBclient's service, in this process or in several. */
export interface Service {
  readonly port: number;
  /** Those of each process, and those left of processes that have ended; at most a second old. */
  counters(): Counters[];
  /** Each worker process; none where the service is in this one. */
  workers(): WorkerSnapshot[];
  /** Whether it can issue credentials, and what that depends on. */
  ready(): Promise<Readiness>;
  setKeys(keys: KeySnapshot): void;
  setTls(tls: ServerTls): void;
  /** Ends it in good order. */
  close(): Promise<void>;
}

/** The issuer secret, from its file or the SQLite database; made on first use. In hexadecimal. */
export function issuerSecret(values: ServerValues, store: SubscriberStore): string {
  const fresh = crypto.getRandomValues(new Uint8Array(32));
  const { issuer_secret_file } = values;
  return toHex(
    issuer_secret_file === undefined && store instanceof SqliteStore
      ? store.issuerSecret(fresh)
      : issuerSecretFile(issuer_secret_file ?? "dbclient_issuer_secret", fresh),
  );
}

/**
 * Serves in this process.
 *
 * @throws (rejects) {StoreError} of the database, or of listening
 */
export async function startService(
  setup: ServiceSetup,
  hashes: HashBackend,
  log: Log,
): Promise<Service> {
  const { values, given, password, port, tls } = setup;
  const choice = chooseServer(values, new Set(given));
  let keys = new KeyTable(setup.keys);
  const store = await openStore(choice.database, { password, hashes, create: true, log });
  let server: DbclientServer;
  let revocations: Revocations | undefined;
  try {
    revocations = await Revocations.follow(store, {
      table: revocationTable(values),
      interval: values.revocation_interval * 1000,
      anyRealm: !choice.database.table.useDomain,
      log,
    });
    server = await DbclientServer.start({
      host: choice.listen,
      port,
      // Another process of this program may take the port too; whether a stranger has it is found out before.
      reusePort: Deno.build.os === "linux",
      tls,
      store,
      hashes,
      n: values.n,
      ttl: values.ttl,
      issuerSecret: fromHex(setup.issuerSecret),
      algorithms: choice.algorithms,
      keysOf: (proxy) => keys.keysOf(proxy),
      realmsOf: (proxy) => keys.realmsOf(proxy),
      limits: limitsOf(values),
      revocations,
      log,
    });
  } catch (error) {
    await revocations?.close();
    await store.close();
    throw new StoreError(listenProblem(error, choice.listen, port));
  }
  const database = databaseCheck(store);
  return {
    port: server.port,
    counters: () => [server.counters],
    workers: () => [],
    ready: () =>
      processReadiness({ listening: server.listening, connected: server.counters.connected }, database),
    setKeys(snapshot) {
      keys = new KeyTable(snapshot);
      server.recheckKeys();
    },
    setTls: (changed) => server.setTls(changed),
    async close() {
      await server.close();
      await revocations?.close();
      await store.close();
    },
  };
}
