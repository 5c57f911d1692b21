import { assert, assertEquals, assertRejects } from "@std/assert";
import { WarmupError, type WarmupHeader, type WarmupRecord } from "../wire/warmup.ts";
import {
  openWarmupFile,
  WarmupPermissionError,
  WarmupTargetError,
  writeWarmupFile,
} from "./warmup_file_io.ts";

const KEY = new Uint8Array(16).fill(3);
const HEADER: WarmupHeader = {
  proxy: "edge-1",
  issuedAt: 1_700_000_000,
  ttl: 3600,
  serial: 4,
  algorithm: "SHA-1",
  firstNumber: 1,
  realms: ["example.com"],
};
const record = (number: number): WarmupRecord => ({
  number,
  credential: {
    algorithm: "SHA-1",
    username: `user${number}`,
    realm: "example.com",
    nonce: new Uint8Array(16).fill(number),
    n: 10,
    anchor: new Uint8Array(20).fill(1),
    key: new Uint8Array(20).fill(2),
  },
  ttl: 3600,
});

async function inFolder(run: (folder: string, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder, `${folder}/warmup.pcw`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

function write(path: string, count: number, signal?: AbortSignal): Promise<number> {
  return writeWarmupFile(path, {
    key: KEY,
    header: HEADER,
    signal,
    fill({ writer, flush }) {
      for (let number = 1; number <= count; number++) {
        writer.add(record(number));
        flush();
      }
      return Promise.resolve();
    },
  });
}

async function read(path: string, allowOthers = false) {
  const records: WarmupRecord[] = [];
  using file = await openWarmupFile(path, { keys: [KEY], expected: { proxy: "edge-1" }, allowOthers });
  const summary = file.read((each) => records.push(each));
  const { bytes, othersMayAccess } = file;
  return { records, found: { ...summary, bytes, othersMayAccess } };
}

Deno.test("a file of several chunks is written under its name alone, for its owner alone, and read again", () =>
  inFolder(async (folder, path) => {
    const bytes = await write(path, 30_000);
    assertEquals(names(folder), ["warmup.pcw"]);
    const { size, mode } = await Deno.stat(path);
    assertEquals(size, bytes);
    assert(size > 2 << 20);
    if (mode !== null) assertEquals(mode & 0o777, 0o600);
    const { records, found } = await read(path);
    assertEquals(records[29_999].credential.username, "user30000");
    assertEquals(found, { ...HEADER, count: 30_000, bytes, othersMayAccess: false });
  }));

Deno.test("what others may read or change is refused, unless it is only looked at", () =>
  inFolder(async (_folder, path) => {
    await write(path, 2);
    for (const mode of [0o640, 0o604, 0o620, 0o666]) {
      await Deno.chmod(path, mode);
      const error = await assertRejects(() => read(path), WarmupPermissionError);
      assert(error.message.includes(mode.toString(8)), error.message);
      assertEquals((await read(path, true)).found.othersMayAccess, true);
    }
    await Deno.chmod(path, 0o400);
    await read(path);
  }));

Deno.test("a failure leaves nothing behind and the file of before as it was", () =>
  inFolder(async (folder, path) => {
    await write(path, 3);
    const full = new Error("No space left on device (os error 28)");
    const failing = (after: number) =>
      writeWarmupFile(path, {
        key: KEY,
        header: HEADER,
        fill({ writer, flush }) {
          for (let number = 1; number <= after; number++) {
            writer.add(record(number));
            flush();
          }
          throw full;
        },
      });
    for (const after of [0, 1, 20_000]) {
      await assertRejects(() => failing(after), Error, "No space left");
      assertEquals(names(folder), ["warmup.pcw"]);
      assertEquals((await read(path)).found.count, 3);
    }
    const ended = new AbortController();
    ended.abort(new Error("ended"));
    await assertRejects(() => write(path, 5, ended.signal), Error, "ended");
    assertEquals(names(folder), ["warmup.pcw"]);
    await assertRejects(() => write(`${folder}/none/warmup.pcw`, 5), Deno.errors.NotFound);
    // A folder of that name: the last step, the renaming, fails.
    await Deno.mkdir(`${folder}/taken`);
    await assertRejects(() => write(`${folder}/taken`, 5));
    assertEquals(names(folder).toSorted(), ["taken", "warmup.pcw"]);
  }));

Deno.test("a damaged file, an empty one and a missing one are told apart", () =>
  inFolder(async (_folder, path) => {
    await assertRejects(() => read(path), Deno.errors.NotFound);
    await Deno.writeFile(path, new Uint8Array(0), { mode: 0o600 });
    assertEquals((await assertRejects(() => read(path), WarmupError)).fault, "truncated");
    await write(path, 100);
    const bytes = await Deno.readFile(path);
    bytes[bytes.length - 70] ^= 1; // within the key of the last record
    await Deno.writeFile(path, bytes);
    assertEquals((await assertRejects(() => read(path), WarmupError)).fault, "wrong_mac");
  }));

Deno.test("a file that is no warm-up file is never replaced; an empty one and a warm-up file are", () =>
  inFolder(async (folder, path) => {
    const database = `${folder}/users.db`;
    await Deno.writeTextFile(database, "SQLite format 3\0");
    await Deno.symlink(database, `${folder}/link`);
    for (const target of [database, `${folder}/link`, folder, "/dev/null"]) {
      await assertRejects(() => write(target, 1), WarmupTargetError, "it is there already, and no");
    }
    assertEquals(await Deno.readTextFile(database), "SQLite format 3\0");
    assert(Deno.statSync("/dev/null").isCharDevice);
    // One that comes while it is written.
    await assertRejects(() =>
      writeWarmupFile(path, {
        key: KEY,
        header: HEADER,
        fill: () => Deno.writeTextFile(path, "somebody else's"),
      }), WarmupTargetError);
    assertEquals(await Deno.readTextFile(path), "somebody else's");
    assertEquals(names(folder).toSorted(), ["link", "users.db", "warmup.pcw"]);
    await Deno.writeTextFile(path, "");
    await write(path, 1);
    await write(path, 2);
    assertEquals((await read(path)).records.length, 2);
  }));

Deno.test("a flipped bit in a record's length is called damage; a pipe is refused, not waited for", () =>
  inFolder(async (folder, path) => {
    await write(path, 3);
    const bytes = await Deno.readFile(path);
    const length = 4 + 2 + 2 + "user1".length + 16 + 2 + 2 * 20 + 4;
    const at = bytes.findIndex((byte, i) => byte === 0 && bytes[i + 1] === length);
    bytes[at] = 1;
    await Deno.writeFile(path, bytes);
    await assertRejects(() => read(path), WarmupError, "it was cut short, or is damaged");
    await new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).output();
    await assertRejects(() => read(`${folder}/pipe`), WarmupError, "it is no regular file");
    await assertRejects(() => write(`${folder}/pipe`, 1), WarmupTargetError, "no regular file");
  }));
