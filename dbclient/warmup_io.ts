/** `dbclient warmup`: writes credentials ahead for one proxy, and says what is in such a file (docs/PROTOCOL.md §10). */
import {
  deriveCredentials,
  firstLine,
  formatHelp,
  type HashBackend,
  type KeyHolder,
  loadHashBackend,
  openWarmupFile,
  parseFlags,
  systemRandom,
  TEXT_LIMIT,
  UsageError,
  utf8Length,
  type WarmupRecord,
  writeWarmupFile,
} from "../mod.ts";
import { openStore } from "./database_io.ts";
import { interruptible } from "./interrupt_io.ts";
import { columnOf } from "./issuer.ts";
import { hasControlCharacters } from "./names.ts";
import { chooseServer, SERVER_FLAGS } from "./options.ts";
import { databasePassword, linkKey } from "./password_io.ts";
import { print } from "./print_io.ts";
import { Progress } from "./progress_io.ts";
import { revocationTable } from "./revocation_options.ts";
import { Revocations } from "./revocations_io.ts";
import { StoreError, type SubscriberAdmin, type SubscriberStore, usableHash } from "./subscriber.ts";
import {
  chooseWarmup,
  type NumberedUser,
  WARMUP_FLAGS,
  type WarmupChoice,
  type WarmupFlagValues,
} from "./warmup_options.ts";

const USAGE = `Usage: dbclient warmup --out FILE --realm REALM --users PATTERN --count N [flags]
       dbclient warmup --out FILE --realm REALM --all [flags]
       dbclient warmup --inspect FILE [--json] [flags]`;
const NOTES =
  `The file holds credentials, not passwords; it is for its owner alone (mode 600) and for the one proxy
that --proxy names. It is written to a temporary name and renamed, so that it is there whole or not at all.
The proxy loads it with --cache_warmup 1 --cache_warmup_file FILE and the same key.`;

/** Users looked up with one query. */
const BATCH = 1000;
const NONCE_BYTES = 16;

/** Every user of some realms, numbered from 1. */
async function* allUsers(store: SubscriberStore, realms: readonly string[]): AsyncIterable<NumberedUser> {
  const admin = store as SubscriberStore & Partial<SubscriberAdmin>;
  if (admin.list === undefined) {
    throw new UsageError(`${store.name} cannot list its users; it takes --users PATTERN --count N`);
  }
  let number = 0;
  for (const realm of realms) {
    for await (const user of admin.list(realm)) yield { ...user, number: ++number };
  }
}

async function* inBatches<T>(items: Iterable<T> | AsyncIterable<T>, size: number): AsyncIterable<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** A name that a credential can be issued for (docs/PROTOCOL.md §2, §9). */
function isUsableName(username: string): boolean {
  return username !== "" && !hasControlCharacters(username) && utf8Length(username) <= TEXT_LIMIT.username;
}

/** What was written. */
export interface WarmupResult {
  readonly users: number;
  readonly bytes: number;
  /** Users without a row. */
  readonly unknown: number;
  /** Users whose row has no hash for the algorithm, or whose name cannot stand in a credential. */
  readonly unusable: number;
}

/** What {@linkcode writeWarmup} needs beside the choice of users. */
export interface WarmupJob {
  readonly store: SubscriberStore;
  readonly hashes: HashBackend;
  readonly key: Uint8Array;
  readonly values: Pick<WarmupFlagValues, "proxy" | "n" | "ttl" | "algorithm">;
  /** Wall clock, s since 1970. */
  readonly time: number;
  /** Revocation serial, read before. */
  readonly serial: number;
  readonly signal?: AbortSignal;
  /** Is told how many users have been looked at, after each batch; what it waits for is waited for. */
  onProgress?(done: number): Promise<void> | void;
}

/**
 * Writes a warm-up file. Unknown users are left out: the proxy asks for a decoy when one calls, as for any other.
 *
 * @throws {StoreError} (rejects) when the database or the disk fails, or no user is found: nothing is left behind
 */
export async function writeWarmup(choice: WarmupChoice, job: WarmupJob): Promise<WarmupResult> {
  const { store, hashes, key, values, time, signal, onProgress } = job;
  const { n, ttl, algorithm, proxy } = values;
  const hash = hashes.many(algorithm);
  const column = columnOf(algorithm);
  let users = 0;
  let unknown = 0;
  let unusable = 0;
  let done = 0;
  try {
    const bytes = await writeWarmupFile(choice.out, {
      key,
      header: {
        proxy,
        issuedAt: Math.floor(time),
        ttl,
        serial: job.serial,
        algorithm,
        firstNumber: choice.firstNumber,
        realms: choice.realms,
      },
      signal,
      async fill({ writer, flush }) {
        for await (const batch of inBatches(choice.named?.users() ?? allUsers(store, choice.realms), BATCH)) {
          const rows = await store.lookup(batch, column);
          const holders: (NumberedUser & KeyHolder)[] = [];
          for (let i = 0; i < batch.length; i++) {
            const secret = usableHash(rows[i], column);
            if (rows[i] === undefined) unknown++;
            else if (secret === undefined || !isUsableName(batch[i].username)) unusable++;
            else holders.push({ ...batch[i], secret });
          }
          const nonces = systemRandom.bytes(holders.length * NONCE_BYTES);
          deriveCredentials(hash, holders, nonces, n).forEach((credential, i) =>
            writer.add({ number: holders[i].number, credential, ttl })
          );
          flush();
          done += batch.length;
          await onProgress?.(done);
        }
        users = writer.count;
        if (users === 0) throw new StoreError(`none of ${done} users is in ${store.name} with a hash`);
      },
    });
    return { users, bytes, unknown, unusable };
  } catch (error) {
    if (error instanceof StoreError || error instanceof UsageError) throw error;
    throw new StoreError(`cannot write ${choice.out}: ${firstLine(error)}`);
  }
}

/** What `--inspect` says: nothing of it is a secret. */
export interface WarmupInspection {
  readonly file: string;
  readonly proxy: string;
  readonly issued: string;
  readonly expires: string;
  readonly expired: boolean;
  readonly serial: number;
  readonly algorithm: string;
  readonly realms: readonly string[];
  readonly users: number;
  readonly firstNumber: number;
  /** The lowest and the highest user number. */
  readonly numbers: readonly [number, number];
  /** Who they are, USER@REALM; "" in an empty file. */
  readonly firstUser: string;
  readonly lastUser: string;
  /** The shortest and the longest chain. */
  readonly n: readonly [number, number];
  /** The longest time to live, s. */
  readonly ttl: number;
  readonly bytes: number;
  /** Whether the file's permissions keep others out; a proxy refuses it if not. */
  readonly ownerOnly: boolean;
}

/**
 * Looks into a file. Its MAC has to be right; that it has expired is said, and no fault here.
 *
 * @param time wall clock, s since 1970
 * @throws {StoreError} (rejects) when it is damaged or cannot be read
 */
export async function inspectWarmup(path: string, key: Uint8Array, time: number): Promise<WarmupInspection> {
  const numbers: [number, number] = [Infinity, 0];
  const n: [number, number] = [Infinity, 0];
  let firstUser: WarmupRecord | undefined;
  let lastUser: WarmupRecord | undefined;
  const widen = (range: [number, number], value: number) => {
    range[0] = Math.min(range[0], value);
    range[1] = Math.max(range[1], value);
  };
  try {
    using file = await openWarmupFile(path, { keys: [key], expected: {}, allowOthers: true });
    const { bytes, othersMayAccess } = file;
    const { proxy, issuedAt, ttl, serial, algorithm, realms, count, firstNumber } = file.read((record) => {
      const { number, credential } = record;
      if (number < numbers[0]) firstUser = record;
      if (number >= numbers[1]) lastUser = record;
      widen(numbers, number);
      widen(n, credential.n);
    });
    const text = (seconds: number) => new Date(seconds * 1000).toISOString();
    return {
      file: path,
      proxy,
      issued: text(issuedAt),
      expires: text(issuedAt + ttl),
      expired: time >= issuedAt + ttl,
      serial,
      algorithm,
      realms,
      users: count,
      firstNumber,
      numbers: count === 0 ? [0, 0] : numbers,
      firstUser: nameOf(firstUser),
      lastUser: nameOf(lastUser),
      n: count === 0 ? [0, 0] : n,
      ttl,
      bytes,
      ownerOnly: !othersMayAccess,
    };
  } catch (error) {
    const text = error instanceof Deno.errors.NotFound ? "no such file" : firstLine(error);
    throw new StoreError(`warm-up file ${path}: ${text}`);
  }
}

function nameOf(record: WarmupRecord | undefined): string {
  return record === undefined ? "" : `${record.credential.username}@${record.credential.realm}`;
}

function inspectionLines(found: WarmupInspection): string {
  const range = ([from, to]: readonly [number, number]) => from === to ? `${from}` : `${from} to ${to}`;
  return [
    `file       ${found.file}, ${found.bytes} bytes, MAC right`,
    `proxy      ${found.proxy}`,
    `issued     ${found.issued}`,
    `expires    ${found.expires}${found.expired ? " (expired)" : ""}`,
    `algorithm  ${found.algorithm}, chain length ${range(found.n)}`,
    `realms     ${found.realms.join(", ")}`,
    `users      ${found.users}, numbers ${range(found.numbers)} (first number ${found.firstNumber})`,
    ...(found.users === 0 ? [] : [`           ${found.firstUser} to ${found.lastUser}`]),
    `serial     ${found.serial} (of the last revocation)`,
    ...(found.ownerOnly
      ? []
      : ["warning    others may read or change it, so that no proxy loads it; it takes chmod 600"]),
  ].join("\n");
}

async function write(
  values: WarmupFlagValues,
  given: ReadonlySet<string>,
  key: Uint8Array,
  warn: (line: string) => void,
): Promise<void> {
  const choice = chooseWarmup(values);
  const defaults = parseFlags(SERVER_FLAGS, []).values;
  const { database } = chooseServer({ ...defaults, ...values }, given);
  const password = databasePassword(database, values, given, warn);
  const { backend, warning } = await loadHashBackend(values.hash);
  if (warning !== undefined) warn(warning);
  // Before the first row is read: a credential counts its life from here.
  const time = Date.now() / 1000;
  const store = await openStore(database, { password, hashes: backend, log: warn });
  const progress = new Progress("warmup", "users", choice.named?.count);
  try {
    const serial = await Revocations.serialNow(
      store,
      revocationTable(values),
    );
    const { users, bytes, unknown, unusable } = await interruptible((signal) =>
      writeWarmup(choice, {
        store,
        hashes: backend,
        key,
        values,
        time,
        serial,
        signal,
        onProgress: (done) => progress.show(done),
      })
    );
    progress.end();
    const left = [
      ...(unknown > 0 ? [`${unknown} unknown users left out`] : []),
      ...(unusable > 0 ? [`${unusable} users without a usable hash or name left out`] : []),
    ];
    const parts = [
      `${users} users written to ${choice.out}`,
      `${bytes} bytes`,
      `for proxy ${values.proxy}`,
      `good until ${new Date((Math.floor(time) + values.ttl) * 1000).toISOString()}`,
    ];
    warn([...parts, ...left].join(", "));
  } finally {
    progress.end();
    await store.close();
  }
}

/**
 * Runs `dbclient warmup …`.
 *
 * @returns the exit code
 * @throws {UsageError} for a wrong command line
 * @throws {StoreError} when it cannot be done; nothing has been changed then
 */
export async function warmup(args: readonly string[], warn: (line: string) => void): Promise<number> {
  const { values, positional, given, help } = parseFlags(WARMUP_FLAGS, args, (name) => Deno.env.get(name));
  if (help) {
    print([formatHelp(USAGE, WARMUP_FLAGS, NOTES)]);
    return 0;
  }
  if (positional.length > 0) {
    throw new UsageError(`${JSON.stringify(positional[0])} is not known; warmup takes flags alone`);
  }
  if (values.inspect !== undefined && values.out !== undefined) {
    throw new UsageError("--out and --inspect do not go together; it takes one of them");
  }
  // What is wrong with the other flags is said before the key is asked for.
  if (values.inspect === undefined) chooseWarmup(values);
  const key = linkKey(values.key_file, warn);
  if (key === undefined) throw new UsageError("warmup needs a key: --key_file FILE or PROXYCHAIN_KEY");
  if (values.inspect === undefined) await write(values, given, key, warn);
  else {
    const found = await inspectWarmup(values.inspect, key, Date.now() / 1000);
    print([values.json ? JSON.stringify(found) : inspectionLines(found)]);
  }
  return 0;
}
