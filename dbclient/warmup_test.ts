/** `dbclient warmup`: its flags, what it writes, and what it leaves when it fails. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  deriveCredential,
  loadHashBackend,
  openWarmupFile,
  parseFlags,
  UsageError,
  type WarmupRecord,
} from "../mod.ts";
import { REVOKE_FLAGS } from "./revoke_io.ts";
import { HASH_DIGITS, type HashColumn, type NewSubscriber, StoreError } from "./subscriber.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { inspectWarmup, type WarmupJob, writeWarmup } from "./warmup_io.ts";
import { chooseWarmup, WARMUP_FLAGS } from "./warmup_options.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const { backend } = await loadHashBackend();
const KEY_TEXT = "000102030405060708090a0b0c0d0e0f";
const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);
const REALM = "example.com";
const TIME = 1_700_000_000.75;

const choose = (...args: string[]) => chooseWarmup(parseFlags(WARMUP_FLAGS, args).values);

/** A hash that tells user and column apart. */
const hashOf = (username: string, column: HashColumn) =>
  Array.from(username + column, (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join("")
    .repeat(9)
    .slice(0, HASH_DIGITS[column]);

function subscriber(username: string, realm = REALM, empty = false): NewSubscriber {
  const hash = (column: HashColumn) => empty ? "" : hashOf(username, column);
  return {
    username,
    realm,
    password: "",
    hashes: { ha1: hash("ha1"), ha1_sha256: hash("ha1_sha256"), ha1_sha512t256: hash("ha1_sha512t256") },
  };
}

interface Setup {
  readonly folder: string;
  readonly store: SqliteStore;
  readonly out: string;
  readonly job: WarmupJob;
  files(): string[];
}

async function withStore(
  users: readonly NewSubscriber[],
  run: (setup: Setup) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const store = new SqliteStore(`${folder}/users.db`);
  try {
    await store.write(users, false);
    const values = { proxy: "edge-1", n: 10, ttl: 600, algorithm: "SHA-1" } as const;
    await run({
      folder,
      store,
      out: `${folder}/warmup.pcw`,
      job: { store, hashes: backend, key: KEY, values, time: TIME, serial: 0 },
      files: () =>
        [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => !name.startsWith("users.db")),
    });
  } finally {
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
}

async function recordsOf(path: string): Promise<WarmupRecord[]> {
  const records: WarmupRecord[] = [];
  using file = await openWarmupFile(path, { keys: [KEY], expected: {} });
  file.read((record) => records.push(record));
  return records;
}

Deno.test("flags that do not go together are one clear line each", () => {
  const usual = ["--out", "f", "--realm", REALM];
  const cases: [string[], string][] = [
    [["--realm", REALM, "--all"], "--out"],
    [["--out", "f", "--all"], "--realm"],
    [[...usual], "--users PATTERN with --count N, or --all"],
    [[...usual, "--users", "u%d"], "--count"],
    [[...usual, "--count", "3"], "--users"],
    [[...usual, "--all", "--users", "u%d", "--count", "3"], "--all"],
    [[...usual, "--users", "u", "--count", "3"], "%d"],
    [[...usual, "--users", "a:%d", "--count", "3"], "colon"],
    [[...usual, "--users", "u".repeat(64) + "%d", "--count", "3"], "64 characters"],
    [[...usual, "--users", "u%d", "--from", "4294967290", "--count", "7"], "4294967295"],
    [["--out", "f", "--realm", "a,a", "--all"], "twice"],
    [[...usual, "--all", "--proxy", "p".repeat(65)], "--proxy"],
  ];
  for (const [args, text] of cases) {
    const { message } = assertThrows(() => choose(...args), UsageError);
    assertStringIncludes(message, text);
    assert(!message.includes("\n"));
  }
  for (
    const args of [["--count", "0"], ["--from", "-1"], ["--algorithm", "SHA-512"], ["--ttl", "0"], [
      "-n",
      "0",
    ]]
  ) {
    assertThrows(() => choose(...usual, "--users", "u%d", ...args), UsageError);
  }
});

Deno.test("warmup and revoke take the database's addresses with -h, as the other commands do", () => {
  for (const flags of [WARMUP_FLAGS, REVOKE_FLAGS]) {
    const { values } = parseFlags(flags, ["-d", "opensips", "-h", "db1.example.com,db2.example.com:3307"]);
    assertEquals(values.db_host, ["db1.example.com", "db2.example.com:3307"]);
  }
});

Deno.test("users by pattern: each with its number and a credential of its hash; others are left out and counted", () =>
  withStore(
    [
      subscriber("user0002"),
      subscriber("user0003"),
      subscriber("user0005"),
      subscriber("user0006", REALM, true),
    ],
    async ({ out, job }) => {
      const choice = choose(
        "--out",
        out,
        "--realm",
        REALM,
        "--users",
        "user%04d",
        "--from",
        "2",
        "--count",
        "6",
      );
      const result = await writeWarmup(choice, job);
      assertEquals([result.users, result.unknown, result.unusable], [3, 2, 1]);
      const records = await recordsOf(out);
      assertEquals(records.map(({ number, credential }) => [number, credential.username]), [
        [2, "user0002"],
        [3, "user0003"],
        [5, "user0005"],
      ]);
      for (const { credential, ttl } of records) {
        const { username, realm, nonce } = credential;
        const secret = hashOf(username, "ha1");
        const expected = deriveCredential(backend.get("SHA-1"), secret, { username, realm }, nonce, 10);
        assertEquals([{ ...expected, anchor: credential.anchor, key: credential.key }, ttl], [expected, 600]);
      }
      assertEquals(new Set(records.map(({ credential }) => credential.nonce.join())).size, 3);
      const again = await writeWarmup(choice, job).then(() => recordsOf(out));
      assert(again[0].credential.nonce.join() !== records[0].credential.nonce.join(), "N is new each time");
    },
  ));

Deno.test("all users of the realms, in the order of their names; SHA-256 takes the column of its own", () =>
  withStore(
    [subscriber("zoë"), subscriber("alice"), subscriber("bob", "b.example"), subscriber("eve", "elsewhere")],
    async ({ out, job }) => {
      const choice = choose("--out", out, "--realm", `${REALM},b.example`, "--all");
      const values = { ...job.values, algorithm: "SHA-256", n: 3 } as const;
      assertEquals((await writeWarmup(choice, { ...job, values })).users, 3);
      const records = await recordsOf(out);
      assertEquals(
        records.map(({ number, credential: { username, realm } }) => `${number} ${username}@${realm}`),
        ["1 alice@example.com", "2 zoë@example.com", "3 bob@b.example"],
      );
      const { credential } = records[0];
      const { nonce } = credential;
      const alice = { username: "alice", realm: REALM };
      const secret = hashOf("alice", "ha1_sha256");
      const expected = deriveCredential(backend.get("SHA-256"), secret, alice, nonce, 3);
      assertEquals([credential.anchor, credential.key, credential.n], [expected.anchor, expected.key, 3]);
    },
  ));

Deno.test("what a file says about itself holds no secret, and an expired file can be looked at", () =>
  withStore([subscriber("user1"), subscriber("user3")], async ({ out, job }) => {
    await writeWarmup(choose("--out", out, "--realm", REALM, "--users", "user%d", "--count", "3"), job);
    const found = await inspectWarmup(out, KEY, TIME + 1);
    assertEquals(found, {
      file: out,
      proxy: "edge-1",
      issued: "2023-11-14T22:13:20.000Z",
      expires: "2023-11-14T22:23:20.000Z",
      expired: false,
      serial: 0,
      algorithm: "SHA-1",
      realms: [REALM],
      users: 2,
      firstNumber: 1,
      numbers: [1, 3],
      firstUser: `user1@${REALM}`,
      lastUser: `user3@${REALM}`,
      n: [10, 10],
      ttl: 600,
      bytes: (await Deno.stat(out)).size,
      ownerOnly: true,
    });
    await Deno.chmod(out, 0o644);
    const late = await inspectWarmup(out, KEY, TIME + 600);
    assertEquals([late.expired, late.ownerOnly], [true, false]);
    await assertRejects(() => inspectWarmup(out, KEY.toReversed(), TIME), StoreError, "MAC is wrong");
    await assertRejects(() => inspectWarmup(`${out}2`, KEY, TIME), StoreError, "no such file");
  }));

Deno.test("when nothing can be written, nothing is left and the file of before stays", () =>
  withStore([subscriber("user1")], async ({ out, job, files }) => {
    const choice = choose("--out", out, "--realm", REALM, "--users", "user%d", "--count", "5000");
    const nobody = choose("--out", out, "--realm", "elsewhere", "--users", "user%d", "--count", "2000");
    await assertRejects(() => writeWarmup(nobody, job), StoreError, "none of 2000 users");
    assertEquals(files(), []);
    await writeWarmup(choice, job);
    const before = await Deno.readFile(out);
    const lookups = { failing: 0 };
    const store = {
      ...job.store,
      name: "broken",
      lookup: (...args: Parameters<typeof job.store.lookup>) =>
        ++lookups.failing > 2 ? Promise.reject(new StoreError("broken: gone")) : job.store.lookup(...args),
    };
    await assertRejects(() => writeWarmup(choice, { ...job, store }), StoreError, "broken: gone");
    const ended = new AbortController();
    const interrupted = writeWarmup(choice, {
      ...job,
      signal: ended.signal,
      onProgress: (done) => done >= 2000 ? ended.abort(new StoreError("interrupted")) : undefined,
    });
    await assertRejects(() => interrupted, StoreError, "interrupted");
    const nowhere = choose("--out", `${out}/x`, "--realm", REALM, "--users", "user%d", "--count", "1");
    await assertRejects(() => writeWarmup(nowhere, job), StoreError, "cannot write");
    const lists = { ...job.store, name: "mysql" } as WarmupJob["store"];
    const all = choose("--out", out, "--realm", REALM, "--all");
    await assertRejects(() => writeWarmup(all, { ...job, store: lists }), UsageError, "cannot list");
    assertEquals(files(), ["warmup.pcw"]);
    assertEquals(await Deno.readFile(out), before);
  }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

const PROGRAM = ["run", "--quiet", "-P=dbclient", "dbclient/main.ts", "warmup"];
const program = (args: string[], env?: Record<string, string>) =>
  run(Deno.execPath(), [...PROGRAM, ...args], env);

Deno.test("the program writes, inspects, and says what is wrong in one line", () =>
  withStore([subscriber("user1"), subscriber("user2")], async ({ folder, out, files }) => {
    const db = `sqlite:${folder}/users.db`;
    await Deno.writeTextFile(`${folder}/key`, KEY_TEXT + "\n", { mode: 0o600 });
    const usual = ["--db", db, "--out", out, "--realm", REALM, "--users", "user%d", "--count", "3"];
    const keyed = [...usual, "--key_file", `${folder}/key`, "--proxy", "edge-1"];
    const written = await program(keyed);
    assertEquals([written.code, written.out], [0, ""]);
    assertMatch(
      written.err,
      /^dbclient: 2 users written to \S+, \d+ bytes, for proxy edge-1, good until \S+Z, 1 unknown users left out\n$/,
    );
    const inspected = await program(["--inspect", out, "--json"], { PROXYCHAIN_KEY: KEY_TEXT });
    assertEquals(inspected.code, 0, inspected.err);
    assertEquals(JSON.parse(inspected.out).users, 2);
    const text = await program(["--inspect", out, "--key_file", `${folder}/key`]);
    assertStringIncludes(text.out, "users      2, numbers 1 to 2");
    await Deno.chmod(`${folder}/key`, 0o644);
    const open = await program(["--inspect", out, "--key_file", `${folder}/key`]);
    assertMatch(
      open.err,
      /^dbclient: warning: --key_file: \S+ may be read or changed by others \(mode 644\)[^\n]*\n$/,
    );
    await Deno.chmod(`${folder}/key`, 0o600);
    for (const { out } of [inspected, text]) assert(!/[0-9a-f]{32}/.test(out), out);

    const faults: [string[], number, string][] = [
      [usual, 2, "needs a key"],
      [[...keyed, "--all"], 2, "--all"],
      [[...keyed, "extra"], 2, "extra"],
      [["--inspect", out, "--out", "x"], 2, "do not go together"],
      [[...keyed, "--db", `sqlite:${folder}/none.db`], 1, "no such file"],
      [[...keyed, "--out", `${folder}/none/f`], 1, "cannot write"],
      [[...keyed, "--out", `${folder}/users.db`], 1, "users.db: it is there already, and no warm-up file"],
      [keyed.map((arg) => arg === REALM ? "elsewhere" : arg), 1, "none of 3 users"],
      [["--inspect", `${folder}/key`, "--key_file", `${folder}/key`], 1, "no warm-up file"],
    ];
    for (const [args, code, line] of faults) {
      const outcome = await program(args);
      assertStringIncludes(outcome.err, line);
      assertEquals([outcome.code, outcome.err.trimEnd().split("\n").length], [code, 1], outcome.err);
    }
    assertEquals(files().toSorted(), ["key", "warmup.pcw"]);
    const help = await program(["--help"]);
    for (const name of Object.keys(WARMUP_FLAGS)) {
      assertStringIncludes(help.out, name.length === 1 ? `-${name}` : `--${name}`);
    }
  }));

/** Why no small disk can be mounted here, or undefined. */
async function noSmallDisk(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "it takes Linux";
  const { success, stderr } = await new Deno.Command("unshare", {
    args: ["-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"],
    stdout: "null",
    stderr: "piped",
  }).output().catch((error) => ({ success: false, stderr: new TextEncoder().encode(String(error)) }));
  return success ? undefined : `unshare: ${new TextDecoder().decode(stderr).trim()}`;
}
const noDisk = await noSmallDisk();

Deno.test({
  name: "a disk that is full: one line, the file of before stays, nothing else is left" +
    (noDisk === undefined ? "" : `: skipped, ${noDisk}`),
  ignore: noDisk !== undefined,
  fn: () =>
    withStore(Array.from({ length: 3000 }, (_, i) => subscriber(`user${i}`)), async ({ folder }) => {
      const disk = `${folder}/disk`;
      await Deno.mkdir(disk);
      const args = ["--db", `sqlite:${folder}/users.db`, "--out", `${disk}/w.pcw`, "--realm", REALM];
      const users = ["--users", "user%d", "--from", "0"];
      // 500 users fit, 3000 do not. The disk is seen by these processes alone.
      const script =
        `mount -t tmpfs -o size=128k none ${disk} && "$@" --count 500 && cksum ${disk}/w.pcw && ` +
        `{ "$@" --count 3000; echo "code $?"; cksum ${disk}/w.pcw; ls -A ${disk}; stat -c %a ${disk}/w.pcw; }`;
      const limited = ["-rm", "sh", "-c", script, "sh", Deno.execPath(), ...PROGRAM, ...args, ...users];
      const { code, out, err } = await run("unshare", limited, { PROXYCHAIN_KEY: KEY_TEXT });
      assertEquals(code, 0, err);
      const [before, ended, after, ...rest] = out.trimEnd().split("\n");
      assertEquals([ended, after, rest], ["code 1", before, ["w.pcw", "600"]]);
      assertMatch(err, /^dbclient: 500 users written [^\n]*\ndbclient: cannot write \S+: [^\n]*\n$/);
    }),
});

Deno.test({
  name: "a file that may not grow: one line, and no file",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    withStore(
      Array.from({ length: 3000 }, (_, i) => subscriber(`user${i}`)),
      async ({ folder, out, files }) => {
        const args = [
          "--db",
          `sqlite:${folder}/users.db`,
          "--out",
          out,
          "--realm",
          REALM,
          "--users",
          "user%d",
        ];
        // As on a full disk the write fails, here at 128 KiB by a limit of the process: 3000 users take 230 KiB.
        const script = 'trap "" XFSZ; ulimit -f 256; exec "$@"';
        const limited = ["-c", script, "sh", Deno.execPath(), ...PROGRAM, ...args, "--count", "3000"];
        const { code, err } = await run("sh", limited, { PROXYCHAIN_KEY: KEY_TEXT });
        assertEquals(code, 1, err);
        assertMatch(err, /^dbclient: cannot write \S+: .*\n$/);
        assertEquals(files(), []);
      },
    ),
});
