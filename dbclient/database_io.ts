/** Opens the database that the command line names. */
import { firstLine, type HashBackend, UsageError } from "../mod.ts";
import type { Batch } from "./coalescer.ts";
import type { DatabaseChoice } from "./options.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import type { SubscriberAdmin, SubscriberStore } from "./subscriber.ts";

/** How to open it. */
export interface OpenOptions {
  /** Of the database; "" with SQLite. */
  readonly password: string;
  readonly hashes: HashBackend;
  /** SQLite: a file that is not there is made. Default false. */
  readonly create?: boolean;
  /** Is told of nodes that are left and used again. */
  log?(line: string): void;
  /** MySQL: is told of each query that was answered; for metrics. */
  onBatch?(batch: Batch): void;
}

function certificates(path: string | undefined): string | undefined {
  try {
    return path === undefined ? undefined : Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`--db_tls_ca: cannot read ${path}: ${firstLine(error)}`);
  }
}

/** @throws {StoreError} (rejects) when it cannot be used */
export async function openStore(
  database: DatabaseChoice,
  { password, hashes, create = false, log, onBatch }: OpenOptions,
): Promise<SubscriberStore & SubscriberAdmin> {
  const { table } = database;
  if (database.kind === "sqlite") return new SqliteStore(database.path, { create, table, hashes });
  // The driver takes longer to load than the rest of the program, so only who uses it waits for it.
  const { MysqlStore } = await import("./mysql_store_io.ts");
  const tls = database.tls && { ca: certificates(database.tls.caFile) };
  return await MysqlStore.open({ ...database, password, tls, hashes, log, onBatch });
}
