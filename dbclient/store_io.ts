/** Opens the database of a command. */
import type { DatabaseChoice } from "./options.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import type { SubscriberStore } from "./subscriber.ts";

/**
 * Opens a database that has to be there already.
 *
 * @throws {StoreError} (rejects) when it cannot be used
 */
export async function openStore(database: DatabaseChoice, password: string): Promise<SubscriberStore> {
  if (database.kind === "mysql") {
    // The driver takes longer to load than the rest of the program, so only who uses it waits for it.
    const { MysqlStore } = await import("./mysql_store_io.ts");
    return await MysqlStore.open({ ...database, password });
  }
  return new SqliteStore(database.path, { create: false });
}
