/** `dbclient revoke`: makes users' credentials void at every proxy (docs/PROTOCOL.md §9, §10). */
import {
  firstLine,
  type FlagTable,
  formatHelp,
  type Identity,
  loadHashBackend,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { hasControlCharacters } from "./names.ts";
import { openStore } from "./database_io.ts";
import { chooseServer, DATABASE_FLAGS, SERVER_FLAGS } from "./options.ts";
import { databasePassword } from "./password_io.ts";
import { print } from "./print_io.ts";
import { REVOCATION_TABLE_FLAG, revocationTable } from "./revocation_options.ts";
import { RevocationTable } from "./revocation_table.ts";
import { StoreError, type SubscriberStore } from "./subscriber.ts";

const USAGE = "Usage: dbclient revoke USER[@REALM] … [flags]";
const NOTES =
  `Writes a row for each user into the table of revocations: within two seconds every proxy drops the credentials
that it has for them, and asks DBclient again when they call. Without @REALM a user is revoked in every realm.
A changed password and a removed user need no revoke where the triggers of dbclient schema --revocation are.`;

/** Flags of `revoke`. */
export const REVOKE_FLAGS = {
  db: { ...SERVER_FLAGS.db, help: "database; or mysql://USER@ADDRESS:PORT/NAME in place of -d -u --db_host" },
  d: SERVER_FLAGS.d,
  u: SERVER_FLAGS.u,
  P: SERVER_FLAGS.P,
  password_file: SERVER_FLAGS.password_file,
  db_host: { ...SERVER_FLAGS.db_host, alias: ["h", "host"] },
  db_port: SERVER_FLAGS.db_port,
  ...DATABASE_FLAGS,
  hash: SERVER_FLAGS.hash,
  ...REVOCATION_TABLE_FLAG,
} as const satisfies FlagTable;

/** USER@REALM, or USER for all realms: an empty one. */
function revokedUser(text: string): Identity {
  const at = text.lastIndexOf("@");
  const user = at < 0
    ? { username: text, realm: "" }
    : { username: text.slice(0, at), realm: text.slice(at + 1) };
  if (user.username === "" || (at >= 0 && user.realm === "") || hasControlCharacters(text)) {
    throw new UsageError(`${JSON.stringify(text)} is not allowed; it takes USER or USER@REALM`);
  }
  return user;
}

/** Those of the users that are in no row: misspelt, or removed. */
async function strangers(store: SubscriberStore, users: readonly Identity[]): Promise<Identity[]> {
  const named = users.filter(({ realm }) => realm !== "");
  if (named.length === 0) return [];
  const rows = await store.lookup(named, "ha1");
  return named.filter((_, i) => rows[i] === undefined);
}

/**
 * Revokes users.
 *
 * @returns those that are no subscribers; they are revoked too
 * @throws {StoreError} (rejects) when it cannot be done: no table, no right, no database
 */
export async function revoke(
  store: SubscriberStore,
  tableName: string,
  users: readonly Identity[],
): Promise<Identity[]> {
  if (store.sql === undefined) throw new StoreError(`${store.name} has no table of revocations`);
  const table = new RevocationTable(store.sql, tableName);
  if (!await table.exists()) {
    const how = store.sql.dialect === "mysql"
      ? "dbclient schema --revocation | mysql DATABASE"
      : "dbclient schema --revocation --apply --db sqlite:FILE";
    throw new StoreError(
      `${store.name} has no table ${tableName}, or it may not be read; this makes it: ${how}`,
    );
  }
  try {
    await table.add(users);
  } catch (error) {
    throw new StoreError(`cannot write into table ${tableName}: ${firstLine(error)}`);
  }
  return await strangers(store, users);
}

/**
 * Runs `dbclient revoke …`.
 *
 * @returns the exit code
 * @throws {UsageError} for a wrong command line
 * @throws {StoreError} when it cannot be done; nothing has been changed then
 */
export async function revokeCommand(args: readonly string[], say: (line: string) => void): Promise<number> {
  const { values, positional, given, help } = parseFlags(REVOKE_FLAGS, args, (name) => Deno.env.get(name));
  if (help) {
    print([formatHelp(USAGE, REVOKE_FLAGS, NOTES)]);
    return 0;
  }
  if (positional.length === 0) throw new UsageError("revoke needs a user: USER or USER@REALM");
  const users = positional.map(revokedUser);
  const table = revocationTable(values);
  const defaults = parseFlags(SERVER_FLAGS, []).values;
  const { database } = chooseServer({ ...defaults, ...values }, given);
  const { backend: hashes } = await loadHashBackend(values.hash);
  const password = databasePassword(database, values, given, say);
  const store = await openStore(database, { password, hashes, log: say });
  try {
    const unknown = await revoke(store, table, users);
    const count = users.length === 1 ? "1 user" : `${users.length} users`;
    const names = unknown.map(({ username, realm }) => `${username}@${realm}`);
    say(
      `${count} revoked in ${store.name}` +
        (names.length > 0 ? `; ${names.length} of them no subscriber: ${names.join(", ")}` : ""),
    );
  } finally {
    await store.close();
  }
  return 0;
}
