/** `dbclient users`: the subscribers of the embedded database. */
import {
  digestHa1,
  DigestHasher,
  firstLine,
  formatHelp,
  type Identity,
  loadHashBackend,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { CsvRowError, readCsvUsers } from "./csv_io.ts";
import { interruptible } from "./interrupt_io.ts";
import { nameProblem, parseUserAtRealm } from "./names.ts";
import { sqlitePath, USERS_FLAGS } from "./options.ts";
import { askPassword, readSecretFile } from "./password_io.ts";
import { print } from "./print_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { type NewSubscriber, StoreError } from "./subscriber.ts";

const USAGE = `Usage: dbclient users add USER@REALM [flags]
       dbclient users import FILE.csv [flags]
       dbclient users list [--realm REALM] [--json] [flags]
       dbclient users remove USER@REALM [flags]`;
const NOTES =
  `import reads a header row that names username, domain and password, then one user per row. All rows are
written or none. The hashes ha1, ha1_sha256 and ha1_sha512t256 are stored, the password only with --store_plain.`;
const COMMANDS = ["add", "import", "list", "remove"] as const;

/** The row of a user. */
function subscriber(hasher: DigestHasher, user: Identity, password: string, plain: boolean): NewSubscriber {
  const { username, realm } = user;
  const hash = (algorithm: "MD5" | "SHA-256" | "SHA-512-256") =>
    digestHa1(hasher, algorithm, username, realm, password);
  return {
    username,
    realm,
    password: plain ? password : "",
    hashes: { ha1: hash("MD5"), ha1_sha256: hash("SHA-256"), ha1_sha512t256: hash("SHA-512-256") },
  };
}

function namedUser(text: string): Identity {
  const user = parseUserAtRealm(text);
  if (user === undefined) throw new UsageError(`${JSON.stringify(text)} is not allowed; it takes USER@REALM`);
  const problem = nameProblem(user);
  if (problem !== undefined) throw new UsageError(`${JSON.stringify(text)}: ${problem.text}`);
  return user;
}

/** The file to be imported. It is opened before anything is done to the database. */
async function openCsv(path: string): Promise<Deno.FsFile> {
  let file: Deno.FsFile | undefined;
  try {
    file = await Deno.open(path);
    if ((await file.stat()).isDirectory) throw new Error("it is a directory");
    return file;
  } catch (error) {
    file?.close();
    throw new StoreError(`cannot read ${path}: ${firstLine(error)}`);
  }
}

async function importFile(
  store: SqliteStore,
  hasher: DigestHasher,
  file: { readonly name: string; readonly readable: ReadableStream<Uint8Array> },
  flags: { readonly replace: boolean; readonly store_plain: boolean },
  signal: AbortSignal,
): Promise<number> {
  let line = 0;
  // So that a file that gives no bytes, such as a pipe, can be interrupted too.
  const bytes = file.readable.pipeThrough(new TransformStream<Uint8Array, Uint8Array>(), { signal });
  async function* rows(): AsyncIterable<NewSubscriber> {
    for await (const user of readCsvUsers(file.name, bytes)) {
      signal.throwIfAborted();
      line = user.line;
      yield subscriber(hasher, user, user.password, flags.store_plain);
    }
  }
  try {
    return await store.write(rows(), flags.replace);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof StoreError && line > 0) {
      throw new CsvRowError(`${file.name}:${line}: ${error.message}`);
    }
    throw error;
  }
}

/** Opens the database; one that is new is taken away again when what was to be done with it fails. */
async function withStore(
  path: string,
  create: boolean,
  work: (store: SqliteStore) => unknown,
): Promise<void> {
  const store = new SqliteStore(path, { create });
  try {
    await work(store);
  } catch (error) {
    await store.discard();
    throw error;
  }
  await store.close();
}

/**
 * Runs `dbclient users …`.
 *
 * @returns the exit code
 * @throws {UsageError} for a wrong command line
 * @throws {StoreError | CsvRowError} when it cannot be done; nothing has been changed then
 */
export async function users(args: readonly string[], warn: (line: string) => void): Promise<number> {
  const { values, positional, given, help } = parseFlags(USERS_FLAGS, args, (name) => Deno.env.get(name));
  if (help) {
    print([formatHelp(USAGE, USERS_FLAGS, NOTES)]);
    return 0;
  }
  const [command, ...rest] = positional;
  if (!COMMANDS.includes(command as typeof COMMANDS[number])) {
    const what = command === undefined ? "users needs a command" : `users ${command} is not known`;
    throw new UsageError(`${what}; it takes one of ${COMMANDS.join(", ")}`);
  }
  const expected = command === "list" ? 0 : 1;
  if (rest.length !== expected) {
    const takes = { add: "USER@REALM", import: "FILE.csv", list: "nothing", remove: "USER@REALM" }[command];
    throw new UsageError(`users ${command} takes ${takes} after it, not ${rest.length} arguments`);
  }
  const path = sqlitePath(values.db);
  const user = command === "add" || command === "remove" ? namedUser(rest[0]) : undefined;
  if (given.has("P")) warn("-P shows the password to everyone who can run ps");
  const password = command === "add"
    ? values.P ??
      (values.password_file === undefined
        ? askPassword(`Password for ${rest[0]}: `)
        : readSecretFile("--password_file", values.password_file))
    : "";
  if (command === "add" && password === "") throw new UsageError("the password is empty");
  using csv = command === "import" ? await openCsv(rest[0]) : undefined;
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) warn(warning);
  const hasher = new DigestHasher(backend);
  switch (command) {
    case "add":
      await withStore(
        path,
        true,
        (store) => store.write([subscriber(hasher, user!, password, values.store_plain)], values.replace),
      );
      return 0;
    case "import":
      await interruptible((signal) =>
        withStore(path, true, async (store) => {
          const file = { name: rest[0], readable: csv!.readable };
          const count = await importFile(store, hasher, file, values, signal);
          warn(`${count} users imported into ${store.name}`);
        })
      );
      return 0;
    case "remove":
      await withStore(path, false, (store) => {
        if (!store.remove(user!)) throw new StoreError(`${rest[0]} is not in ${store.name}`);
      });
      return 0;
    default: {
      const format = values.json
        ? (row: Identity) => JSON.stringify({ username: row.username, domain: row.realm })
        : (row: Identity) => `${row.username}@${row.realm}`;
      await withStore(path, false, (store) => print(Iterator.from(store.list(values.realm)).map(format)));
      return 0;
    }
  }
}
