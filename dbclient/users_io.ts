/** `dbclient users`: the subscribers of either kind of database. */
import {
  DigestHasher,
  firstLine,
  formatHelp,
  type HashBackend,
  type Identity,
  loadHashBackend,
  parseFlags,
  UsageError,
} from "../mod.ts";
import { CsvRowError, type CsvUser, readCsvUsers } from "./csv_io.ts";
import { csvHeader, csvLine } from "./csv_text.ts";
import { openStore } from "./database_io.ts";
import { passwordHashes } from "./found_subscribers.ts";
import { interruptible } from "./interrupt_io.ts";
import { nameProblem, parseUserAtRealm } from "./names.ts";
import { newFile } from "./new_file_io.ts";
import type { DatabaseChoice } from "./options.ts";
import { askNewPassword, databasePassword, readSecretFile } from "./password_io.ts";
import { print, printAll } from "./print_io.ts";
import { Progress } from "./progress_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import {
  type NewSubscriber,
  StoreError,
  type SubscriberAdmin,
  SubscriberError,
  type SubscriberStore,
} from "./subscriber.ts";
import { USERS_FLAGS, usersCommand, usersDatabase, type UsersFlagValues } from "./users_options.ts";

const USAGE = `Usage: dbclient users add USER@REALM [flags]
       dbclient users passwd USER@REALM [flags]
       dbclient users remove USER@REALM [flags]
       dbclient users import FILE.csv [flags]
       dbclient users export FILE.csv [--realm REALM] [flags]
       dbclient users list [--realm REALM] [--json] [flags]`;
const NOTES =
  `import reads a header row that names username, domain, and password or the hashes ha1, ha1_sha256,
ha1_sha512t256 and ha1b, then one user per row. All rows are written or none. Of a password the hashes are stored, the
password itself only with --store_plain or --calculate_ha1. export writes the hashes, for its owner alone (mode 600).`;

type Store = SubscriberStore & SubscriberAdmin;

/** What a command works with. */
interface Job {
  readonly database: DatabaseChoice;
  readonly password: string;
  readonly hashes: HashBackend;
  readonly hasher: DigestHasher;
  readonly values: UsersFlagValues;
  say(line: string): void;
}

/** The row of a user. */
function subscriber(job: Job, user: Identity, password: string, line?: number): NewSubscriber {
  const { username, realm } = user;
  const isPlain = job.values.store_plain || job.database.table.calculateHa1;
  const hashes = passwordHashes(job.hasher, user, password);
  return { username, realm, password: isPlain ? password : "", ...hashes, line };
}

/** The row of a user of a file: with a password, or with hashes alone. */
function importedSubscriber(job: Job, file: string, user: CsvUser): NewSubscriber {
  const { username, realm, line, hashes, ha1b } = user;
  const wrong = (text: string) => new CsvRowError(`${file}:${line}:${user.columns.password}: ${text}`);
  if (user.password === "") {
    if (job.database.table.calculateHa1) {
      throw wrong("password is empty, and --calculate_ha1 reads nothing else");
    }
    return { username, realm, password: "", hashes, ha1b, line };
  }
  const made = subscriber(job, user, user.password, line);
  for (const [name, hash] of Object.entries({ ...hashes, ha1b })) {
    if (hash !== "" && hash !== { ...made.hashes, ha1b: made.ha1b }[name]) {
      throw new CsvRowError(
        `${file}:${line}:${
          user.columns[name as keyof CsvUser["columns"]]
        }: ${name} is not that of the password`,
      );
    }
  }
  return made;
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
  job: Job,
  store: Store,
  file: { readonly name: string; readonly readable: ReadableStream<Uint8Array>; readonly size: number },
  signal: AbortSignal,
): Promise<number> {
  let read = 0;
  // So that a file that gives no bytes, such as a pipe, can be interrupted too.
  const bytes = file.readable.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        read += chunk.length;
        controller.enqueue(chunk);
      },
    }),
    { signal },
  );
  const progress = new Progress("import", "users", undefined);
  async function* rows(): AsyncIterable<NewSubscriber> {
    let done = 0;
    for await (const user of readCsvUsers(file.name, bytes)) {
      signal.throwIfAborted();
      yield importedSubscriber(job, file.name, user);
      if (++done % 100 === 0) await progress.show(done, file.size > 0 ? read / file.size : undefined);
    }
  }
  try {
    return await store.write(rows(), job.values.replace);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof SubscriberError && error.subscriber.line !== undefined) {
      throw new CsvRowError(`${file.name}:${error.subscriber.line}: ${error.message}`);
    }
    throw error;
  } finally {
    progress.end();
  }
}

async function exportFile(job: Job, store: Store, path: string, signal: AbortSignal): Promise<number> {
  const { realm, store_plain, replace } = job.values;
  const progress = new Progress("export", "users", realm === undefined ? await store.count() : undefined);
  let done = 0;
  try {
    await newFile(path, replace, async (write) => {
      await write(csvHeader());
      for await (const row of store.rows(realm)) {
        signal.throwIfAborted();
        // A table of plain passwords need not hold the hashes.
        const whole = job.database.table.calculateHa1 && row.password !== ""
          ? { ...row, ...passwordHashes(job.hasher, row, row.password) }
          : row;
        await write(csvLine(store_plain ? whole : { ...whole, password: "" }));
        if (++done % 100 === 0) await progress.show(done);
      }
    });
  } finally {
    progress.end();
  }
  return done;
}

/** Opens the database; a file that is new is taken away again when what was to be done with it fails. */
async function withStore(job: Job, create: boolean, work: (store: Store) => unknown): Promise<void> {
  const { database, password, hashes, say } = job;
  const store = await openStore(database, { password, hashes, create, log: say });
  try {
    await work(store);
  } catch (error) {
    if (store instanceof SqliteStore) await store.discard();
    else await store.close();
    throw error;
  }
  await store.close();
}

function userPassword(
  values: UsersFlagValues,
  name: string,
  warn: (line: string) => void,
): string {
  const password = values.P ??
    (values.password_file === undefined
      ? askNewPassword(`Password for ${name}: `)
      : readSecretFile("--password_file", values.password_file, warn));
  if (password === "") throw new UsageError("the password is empty");
  return password;
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
  const { command, what } = usersCommand(positional);
  const database = usersDatabase(values, given);
  const user = command === "add" || command === "remove" || command === "passwd"
    ? namedUser(what)
    : undefined;
  if (given.has("P")) warn("warning: -P shows the password to everyone who can run ps");
  const databaseFlags = { P: Deno.env.get("PROXYCHAIN_DB_PASSWORD"), password_file: values.db_password_file };
  const password = databasePassword(database, databaseFlags, new Set(), warn);
  const newPassword = command === "add" || command === "passwd" ? userPassword(values, what, warn) : "";
  using csv = command === "import" ? await openCsv(what) : undefined;
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) warn(warning);
  const job: Job = {
    database,
    password,
    hashes: backend,
    hasher: new DigestHasher(backend),
    values,
    say: warn,
  };
  switch (command) {
    case "add":
      await withStore(
        job,
        true,
        (store) => store.write([subscriber(job, user!, newPassword)], values.replace),
      );
      return 0;
    case "passwd":
      await withStore(job, false, async (store) => {
        if (await store.update(subscriber(job, user!, newPassword), newPassword)) return;
        throw new StoreError(`${what} is not in ${store.name}`);
      });
      return 0;
    case "import": {
      const { size } = await csv!.stat();
      await interruptible((signal) =>
        withStore(job, true, async (store) => {
          const count = await importFile(job, store, { name: what, readable: csv!.readable, size }, signal);
          warn(`${count} users imported into ${store.name}`);
        })
      );
      return 0;
    }
    case "export":
      await interruptible((signal) =>
        withStore(job, false, async (store) => {
          const count = await exportFile(job, store, what, signal);
          warn(`${count} users of ${store.name} written to ${what}`);
        })
      );
      return 0;
    case "remove":
      await withStore(job, false, async (store) => {
        if (!await store.remove(user!)) throw new StoreError(`${what} is not in ${store.name}`);
      });
      return 0;
    case "list": {
      const format = values.json
        ? (row: Identity) => JSON.stringify({ username: row.username, domain: row.realm })
        : (row: Identity) => `${row.username}@${row.realm}`;
      await withStore(job, false, async (store) => {
        await printAll(formatted(store.list(values.realm), format));
      });
      return 0;
    }
  }
}

async function* formatted<T>(items: AsyncIterable<T>, format: (item: T) => string): AsyncIterable<string> {
  for await (const item of items) yield format(item);
}
