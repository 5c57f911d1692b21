import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { loadHashBackend } from "../mod.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { adminContract, contractRows, optionsContract, sha256Of, storeContract } from "./store_contract.ts";
import { type NewSubscriber, StoreError } from "./subscriber.ts";

const { backend: hashes } = await loadHashBackend();

function row(username: string, realm: string, ha1 = ""): NewSubscriber {
  return { username, realm, password: "", hashes: { ha1, ha1_sha256: sha256Of(ha1), ha1_sha512t256: "" } };
}

async function withDirectory(run: (directory: string) => Promise<void> | void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "sqlite_store_" });
  try {
    await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("SQLite store: contract", (t) =>
  withDirectory(async (directory) => {
    const store = new SqliteStore(`${directory}/a.db`);
    await store.write(contractRows(), false);
    await storeContract(t, store);
    await store.close();
    const empty = new SqliteStore(`${directory}/empty.db`);
    await adminContract(t, empty);
    await empty.close();
    const path = `${directory}/options.db`;
    const database = new DatabaseSync(path);
    database.exec(
      "CREATE TABLE accounts (user TEXT, realm TEXT, plain TEXT, md5 TEXT, UNIQUE (user, realm))",
    );
    database.exec("CREATE TABLE people (name TEXT PRIMARY KEY, ha1 TEXT)");
    database.exec(`INSERT INTO people VALUES ('alice', '${"0".repeat(32)}')`);
    database.close();
    await optionsContract(
      t,
      async (table) => await Promise.resolve(new SqliteStore(path, { table, hashes })),
    );
  }));

Deno.test("a new file is its owner's alone and has the OpenSIPS table", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.db`;
    const store = new SqliteStore(path);
    await store.close();
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    const database = new DatabaseSync(path);
    const columns = database.prepare("SELECT name FROM pragma_table_info('subscriber')").all() as {
      name: string;
    }[];
    assertEquals(columns.map((column) => column.name), [
      "id",
      "username",
      "domain",
      "password",
      "email_address",
      "ha1",
      "ha1_sha256",
      "ha1_sha512t256",
      "rpid",
    ]);
    database.close();
  }));

Deno.test("the issuer secret is made once and kept", () =>
  withDirectory(async (directory) => {
    for (const fresh of [1, 2]) {
      const store = new SqliteStore(`${directory}/a.db`);
      assertEquals([...store.issuerSecret(new Uint8Array(32).fill(fresh))], new Array(32).fill(1));
      await store.close();
    }
  }));

Deno.test("a second program writes while a store is open, and the store sees it", () =>
  withDirectory(async (directory) => {
    const store = new SqliteStore(`${directory}/a.db`);
    const other = new SqliteStore(`${directory}/a.db`);
    let seen = -1;
    await other.write(
      (async function* () {
        yield row("alice", "a.example");
        seen = await store.count();
      })(),
      false,
    );
    assertEquals([seen, await store.count()], [0, 1]);
    await other.close();
    await store.close();
  }));

Deno.test("what is no usable database is one line that names the file", () =>
  withDirectory(async (directory) => {
    const text = `${directory}/text.db`;
    await Deno.writeTextFile(text, "this is a text file, not a database\n".repeat(100));
    const other = `${directory}/other.db`;
    const database = new DatabaseSync(other);
    database.exec("CREATE TABLE something (a)");
    database.close();
    const narrow = `${directory}/narrow.db`;
    const second = new DatabaseSync(narrow);
    second.exec("CREATE TABLE subscriber (username, domain)");
    second.close();
    const damaged = `${directory}/damaged.db`;
    const store = new SqliteStore(damaged);
    await store.write(
      Array.from({ length: 2000 }, (_, i) => row(`user${i}`, "a.example", "00".repeat(16))),
      false,
    );
    await store.close();
    const bytes = await Deno.readFile(damaged);
    bytes.fill(0xa5, bytes.length - 40_000);
    await Deno.writeFile(damaged, bytes);
    const cases = [
      [text, "not a database"],
      [other, "has no table subscriber"],
      [narrow, "has no column ha1"],
      [damaged, "is damaged: "],
      [`${directory}/missing/a.db`, "No such file"],
      [directory, "directory"],
    ];
    for (const [path, said] of cases) {
      const error = assertThrows(() => new SqliteStore(path), StoreError);
      assertStringIncludes(error.message, path);
      assert(!error.message.includes("\n"));
      assert(!error.message.includes("***"), error.message);
      assertStringIncludes(error.message, said);
    }
    assertEquals(await Deno.readTextFile(text), "this is a text file, not a database\n".repeat(100));
  }));

Deno.test("a store that may make no file makes none, and no tables in an empty one", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.db`;
    const error = assertThrows(() => new SqliteStore(path, { create: false }), StoreError);
    assertEquals(error.message, `database ${path}: no such file`);
    await Deno.writeFile(path, new Uint8Array());
    assertThrows(() => new SqliteStore(path, { create: false }), StoreError, "has no table subscriber");
  }));

Deno.test("a file that was made in vain is taken away; one that holds somebody, or was there, stays", () =>
  withDirectory(async (directory) => {
    const names = () => [...Deno.readDirSync(directory)].map(({ name }) => name);
    const path = `${directory}/a.db`;
    await new SqliteStore(path).discard();
    assertEquals(names(), []);
    const store = new SqliteStore(path);
    await store.write([row("alice", "a.example")], false);
    await store.discard();
    assertEquals(names(), ["a.db"]);
    const again = new SqliteStore(path);
    await again.remove({ username: "alice", realm: "a.example" });
    await again.discard();
    assertEquals(names(), ["a.db"]);
  }));

Deno.test("a table without the newer columns (Kamailio) gives empty hashes for them", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/kamailio.db`;
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE subscriber (username TEXT, domain TEXT, password TEXT, ha1 TEXT, ha1b TEXT)");
    database.exec("INSERT INTO subscriber VALUES ('alice', 'a.example', '', 'aa', 'bb')");
    database.close();
    const store = new SqliteStore(path);
    const asked = [{ username: "alice", realm: "a.example" }];
    assertEquals((await store.lookup(asked, "ha1"))[0]?.hash, "aa");
    assertEquals((await store.lookup(asked, "ha1_sha256"))[0]?.hash, "");
    await store.close();
  }));
