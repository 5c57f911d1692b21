/** Tables of contacts: SQLite, a private MariaDB, and what is read of rows that others wrote. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { mariadbMissing, startMariadb } from "../../tests/private_mariadb_io.ts";
import { UsageError } from "../../mod.ts";
import { inTempDir } from "../test_process.ts";
import { type LocationRow, readRow, rowsOf } from "./location_rows.ts";
import { LocationStoreError, parseLocationUrl } from "./location_store.ts";
import { CONTRACT_CHANGES, locationContract } from "./location_store_contract.ts";
import { MysqlLocation } from "./mysql_location_io.ts";
import { SqliteLocation } from "./sqlite_location_io.ts";

const missing = await mariadbMissing();

Deno.test("location table in SQLite", async (t) => {
  await inTempDir(async (dir) => {
    const store = new SqliteLocation(`${dir}/location.db`);
    await locationContract(t, store);
    await store.close();
    await t.step("the file is its owner's alone", async () => {
      assertEquals((await Deno.stat(`${dir}/location.db`)).mode! & 0o777, 0o600);
    });
    await t.step("a file that is no database is said in one line", async () => {
      await Deno.writeTextFile(`${dir}/text`, "no database at all, but long enough to look at".repeat(20));
      const error = assertThrows(() => new SqliteLocation(`${dir}/text`), LocationStoreError);
      assertStringIncludes(error.message, `--location_db ${dir}/text: `);
    });
  });
});

Deno.test({
  name: "location table in a private MariaDB" + (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const server = await startMariadb();
    const url = {
      kind: "mysql",
      user: "proxy",
      host: "127.0.0.1",
      port: server.port,
      database: "sip",
    } as const;
    try {
      // The table as OpenSIPS makes it, in a database that compares without case.
      await server.sql(
        `CREATE DATABASE sip CHARACTER SET utf8mb4; CREATE DATABASE old CHARACTER SET utf8mb4; USE old;
        CREATE TABLE location (contact_id BIGINT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
          username CHAR(64) DEFAULT '' NOT NULL, domain CHAR(64) DEFAULT NULL, contact TEXT NOT NULL,
          received CHAR(255) DEFAULT NULL, path CHAR(255) DEFAULT NULL, expires INT(10) UNSIGNED NOT NULL,
          q FLOAT(10,3) DEFAULT 1.0 NOT NULL, callid CHAR(255) DEFAULT 'Default-Call-ID' NOT NULL,
          cseq INT(11) DEFAULT 13 NOT NULL, last_modified DATETIME DEFAULT '1900-01-01 00:00:01' NOT NULL,
          flags INT(11) DEFAULT 0 NOT NULL, cflags CHAR(255) DEFAULT NULL, user_agent CHAR(255) DEFAULT '' NOT NULL,
          socket CHAR(64) DEFAULT NULL, methods INT(11) DEFAULT NULL, sip_instance CHAR(255) DEFAULT NULL,
          kv_store TEXT(512) DEFAULT NULL, attr CHAR(255) DEFAULT NULL);
        CREATE DATABASE wrong; CREATE TABLE wrong.location (username INT);
        CREATE USER proxy@'%' IDENTIFIED BY 'p\\'w'; GRANT ALL ON *.* TO proxy@'%';
        CREATE USER reader@'%' IDENTIFIED BY 'p\\'w'; GRANT SELECT ON sip.* TO reader@'%';`,
      );
      for (const database of ["sip", "old"]) {
        const store = await MysqlLocation.open({ ...url, database }, "p'w");
        await t.step(
          database === "sip" ? "a table of its own" : "the table of OpenSIPS",
          (t) => locationContract(t, store),
        );
        if (database === "old") {
          await t.step("what a column cannot hold is said to be so", async () => {
            const [change] = CONTRACT_CHANGES;
            const long = { ...change.bindings[0], path: [`<sip:${"x".repeat(300)}>`] };
            const rows = [rowsOf({ aor: change.aor, bindings: [long] }, { wall: 0, now: 0 })];
            const error = await assertRejects(() => store.replace(rows), LocationStoreError);
            assert(error.isOfData, error.message);
          });
        }
        await t.step("a lost connection is made anew", async () => {
          await server.sql(
            "SET @id = (SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'proxy' LIMIT 1);" +
              " EXECUTE IMMEDIATE CONCAT('KILL ', @id);",
          );
          for (let attempt = 0;; attempt++) {
            const error = await store.removeExpired(0).catch((error) => error);
            if (error === undefined) break;
            assert(error instanceof LocationStoreError && !error.isOfData, String(error));
            assert(attempt < 20, "it does not come back");
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        });
        await store.close();
      }
      const faults: [
        string,
        Partial<typeof url> | { port: number; user: string; database: string },
        string,
        string,
      ][] = [
        ["wrong password", {}, "secret-guess", "access denied for user proxy"],
        ["unknown database", { database: "nowhere" } as never, "p'w", "nowhere"],
        ["missing column", { database: "wrong" } as never, "p'w", "no column domain"],
        ["nothing listens", { port: 1 }, "p'w", "ECONNREFUSED"],
      ];
      for (const [name, change, password, said] of faults) {
        await t.step(`${name}: one line that says so, without the password`, async () => {
          const error = await assertRejects(
            () => MysqlLocation.open({ ...url, ...change } as typeof url, password),
            LocationStoreError,
          );
          assertStringIncludes(error.message, said);
          assert(!error.message.includes("\n") && !error.message.includes("secret-guess"), error.message);
        });
      }
      await t.step("rights that are missing are named", async () => {
        const store = await MysqlLocation.open({ ...url, user: "reader" } as never, "p'w");
        const error = await assertRejects(() => store.removeExpired(0), LocationStoreError);
        assertStringIncludes(error.message, "needs the rights SELECT, INSERT and DELETE");
        await store.close();
      });
    } finally {
      await server.stop();
    }
  },
});

Deno.test("location rows: what others wrote is believed only as far as it can be read", () => {
  const clocks = { wall: 1_000_000, now: 0 };
  const domains = new Set(["example.com"]);
  const good: LocationRow = {
    username: "alice",
    domain: "Example.com",
    contact: "sip:alice@192.0.2.1",
    received: null,
    path: null,
    expires: 1060,
    q: 1,
    callid: "x",
    cseq: 13,
    user_agent: "",
    attr: null,
  };
  assertEquals(readRow(good, domains, clocks)?.aor, "alice@example.com");
  assertEquals(readRow({ ...good, received: "", path: "" }, domains, clocks)?.binding.expires, 60_000);
  const bad: Partial<LocationRow>[] = [
    { username: "" },
    { username: "a".repeat(65) },
    { domain: "example.org" },
    { contact: "" },
    { contact: "mailto:a@b" },
    { contact: "sip:a@192.0.2.1\r\nX: y" },
    { contact: `sip:${"a".repeat(9000)}@b` },
    { received: "192.0.2.1" },
    { received: "sip:192.0.2.1;transport=sctp" },
    { path: "<x>" },
    { path: "<sip:a>\r\nX: y" },
    { expires: 1000 },
    { expires: NaN },
    { q: 2 },
    { q: NaN },
    { cseq: -1 },
    { cseq: 1.5 },
    { callid: null as unknown as string },
    { attr: "x=1" },
    { attr: ";x\n=1" },
  ];
  for (const change of bad) {
    assertEquals(readRow({ ...good, ...change }, domains, clocks), undefined, JSON.stringify(change));
  }
});

Deno.test("--location_db: what it takes, and no password", () => {
  assertEquals(parseLocationUrl("sqlite:/var/lib/x.db"), { kind: "sqlite", path: "/var/lib/x.db" });
  const mysql = { kind: "mysql", user: "a", host: "db", port: 3306, database: "sip" } as const;
  assertEquals(parseLocationUrl("mysql://a@db/sip"), mysql);
  assertEquals(parseLocationUrl("mariadb://a@[::1]:33/sip"), { ...mysql, host: "::1", port: 33 });
  const wrong = [
    "",
    "sqlite:",
    "x.db",
    "mysql://db/sip",
    "mysql://a@db",
    "mysql://a@db:99999/sip",
    "postgres://a@b/c",
  ];
  for (const text of wrong) {
    assertStringIncludes(
      assertThrows(() => parseLocationUrl(text), UsageError).message,
      "it takes sqlite:FILE",
    );
  }
  const secret = assertThrows(() => parseLocationUrl("mysql://a:hush@db/sip"), UsageError).message;
  assert(secret.includes("takes no password") && !secret.includes("hush"), secret);
});
