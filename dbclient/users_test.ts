/** `dbclient users` on both kinds of database: one suite. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mariadbMissing, startMariadb } from "../tests/private_mariadb_io.ts";
import { oneLine, run, withDirectory } from "./program_testing_io.ts";

/** echo -n alice:example.com:secret | md5sum, and so on. */
const ALICE = "b1726872c344b6dc8365b774f8fd6412";

/** @param database flags that name an empty database */
async function usersContract(
  t: Deno.TestContext,
  directory: string,
  database: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  const users = (args: string[], stdin?: string) => run(["users", ...args, ...database], stdin, env);
  const names = async () => (await users(["list"])).out.trimEnd().split("\n");
  const csv = `${directory}/users.csv`;

  await t.step("add: the password from standard input, a file, the environment", async () => {
    assertEquals((await users(["add", "alice@example.com"], "secret\n")).err, "");
    await Deno.writeTextFile(`${directory}/password`, "secret\n", { mode: 0o600 });
    const file = await users(["add", "bob@example.com", "--password_file", `${directory}/password`]);
    assertEquals(file.err, "");
    const variable = await run(["users", "add", "carol@example.com", ...database], undefined, {
      ...env,
      PROXYCHAIN_USER_PASSWORD: "x",
    });
    assertEquals(variable.err, "");
    const shown = await users(["add", "dave@example.com", "-P", "x"]);
    assertStringIncludes(shown.err, "-P shows the password to everyone who can run ps");
    assertEquals(await names(), ["alice", "bob", "carol", "dave"].map((name) => `${name}@example.com`));
    const again = await users(["add", "alice@example.com"], "x\n");
    assertEquals([again.code, oneLine(again.err)], [1, undefined]);
    assertStringIncludes(again.err, "alice@example.com exists already");
    const empty = await users(["add", "erin@example.com"], "\n");
    assertEquals([empty.code, empty.err], [2, "dbclient: the password is empty\n"]);
  });
  await t.step("export: hashes, for the owner alone; import reads them", async () => {
    const written = await users(["export", csv]);
    assertEquals(written.code, 0, written.err);
    assertStringIncludes(written.err, `written to ${csv}`);
    assertEquals((await Deno.stat(csv)).mode! & 0o777, 0o600);
    const text = await Deno.readTextFile(csv);
    assertStringIncludes(
      text,
      `username,domain,password,ha1,ha1_sha256,ha1_sha512t256,ha1b\nalice,example.com,,${ALICE},`,
    );
    const twice = await users(["export", csv]);
    assertEquals([twice.code, twice.err], [1, `dbclient: ${csv} exists already (--replace overwrites)\n`]);
    assertEquals((await users(["remove", "bob@example.com"])).code, 0);
    const refused = await users(["import", csv]);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.err, `${csv}:2: alice@example.com exists already`);
    const read = await users(["import", csv, "--replace"]);
    assertStringIncludes(read.err, "4 users imported");
    assertEquals((await users(["export", csv, "--replace"])).code, 0);
    assertEquals(await Deno.readTextFile(csv), text);
    const none = await users(["export", `${directory}/no/such.csv`]);
    assertEquals([none.code, oneLine(none.err)], [1, undefined]);
    assertStringIncludes(none.err, `cannot write ${directory}/no/such.csv`);
  });
  await t.step("passwd changes hashes", async () => {
    assertEquals((await users(["passwd", "alice@example.com"], "other\n")).err, "");
    await users(["export", csv, "--replace", "--realm", "example.com"]);
    assert(!(await Deno.readTextFile(csv)).includes(ALICE));
    assertEquals((await users(["passwd", "alice@example.com"], "secret\n")).err, "");
    const gone = await users(["passwd", "nobody@example.com"], "x\n");
    assertEquals([gone.code, oneLine(gone.err)], [1, undefined]);
    assertStringIncludes(gone.err, "nobody@example.com is not in ");
  });
  await t.step("a bad row among thousands: file, line and column, and nothing is written", async () => {
    const before = await names();
    const rows = Array.from({ length: 3000 }, (_, i) => `user${i},b.org,p${i}`);
    const cases: [string, string][] = [
      ["user2990,b.org,", `:2992:3: password is empty, and there is no hash`],
      ["a:b,b.org,x", ":2992:1: username has a colon"],
      ["alice,example.com,x", ":2992: alice@example.com exists already"],
      ["user7,b.org,x", ":2992:1: user7@b.org stands on line 9 already"],
    ];
    for (const [row, said] of cases) {
      const lines = ["username,domain,password", ...rows];
      lines[2991] = row;
      await Deno.writeTextFile(csv, lines.join("\n") + "\n");
      const { code, err } = await users(["import", csv]);
      assertEquals([code, oneLine(err)], [1, undefined]);
      assertStringIncludes(err, csv + said);
    }
    assertEquals(await names(), before);
    await Deno.writeTextFile(csv, ["username,domain,password", ...rows].join("\n") + "\n");
    assertStringIncludes((await users(["import", csv])).err, "3000 users imported");
    assertEquals((await names()).length, before.length + 3000);
  });
  await t.step("hashes in a file: what is none is named, and one that is not the password's", async () => {
    const cases: [string, string][] = [
      ["zoe,b.org,,xyz", ":2:4: ha1 is no hash: it takes 32 hexadecimal digits"],
      [`zoe,b.org,secret,${ALICE}`, ":2:4: ha1 is not that of the password"],
      ["zoe,b.org,,", ":2:3: password is empty, and there is no hash"],
    ];
    for (const [row, said] of cases) {
      await Deno.writeTextFile(csv, `username,domain,password,ha1\n${row}\n`);
      const { code, err } = await users(["import", csv]);
      assertEquals(code, 1);
      assertStringIncludes(err, csv + said);
    }
  });
}

Deno.test("users on SQLite", (t) =>
  withDirectory((directory) => usersContract(t, directory, ["--db", `sqlite:${directory}/users.db`], {})));

const missing = await mariadbMissing();
Deno.test({
  name: "users on MariaDB" + (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  async fn(t) {
    const server = await startMariadb();
    try {
      const { out } = await run(["schema", "--mysql"]);
      await server.sql(`CREATE DATABASE sip; USE sip; ${out}`);
      const env = { PROXYCHAIN_DB_PASSWORD: server.password };
      const flags = ["-d", "sip", "-u", server.user, "-h", `127.0.0.1:${server.port}`];
      await withDirectory((directory) => usersContract(t, directory, flags, env));
      await t.step("a wrong database password: one line without it", async () => {
        const { code, err } = await run(["users", "list", ...flags], undefined, {
          PROXYCHAIN_DB_PASSWORD: "guess",
        });
        assertEquals([code, oneLine(err), err.includes("guess")], [1, undefined, false]);
        assertStringIncludes(err, "access denied");
      });
    } finally {
      await server.stop();
    }
  },
});

Deno.test("schema: for either database, with other names; flags that contradict", async () => {
  const [sqlite, other, both, server] = await Promise.all([
    run(["schema", "--sqlite"]),
    run(["schema", "--table", "accounts", "--user_column", "user"]),
    run(["schema", "--sqlite", "--mysql"]),
    run(["--schema", "-d", "sip"]),
  ]);
  assertStringIncludes(sqlite.out, 'CREATE TABLE IF NOT EXISTS "subscriber"');
  assertStringIncludes(other.out, "CREATE TABLE IF NOT EXISTS `accounts`");
  assertStringIncludes(other.out, "UNIQUE (`user`, `domain`)");
  assertEquals([both.code, both.err], [2, "dbclient: --mysql and --sqlite: it takes one of them\n"]);
  assertStringIncludes(server.out, "CREATE TABLE IF NOT EXISTS `subscriber`");
});
