import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mariadbMissing, startMariadb } from "../tests/private_mariadb_io.ts";
import { MysqlStore } from "./mysql_store_io.ts";
import { CONTRACT_ROWS, sha256Of, storeContract } from "./store_contract.ts";
import { StoreError } from "./subscriber.ts";

const missing = await mariadbMissing();
const title = "MySQL store against a private MariaDB" +
  (missing === undefined ? "" : `: skipped, ${missing}`);
const text = (value: string) => `'${value.replace(/['\\]/g, (c) => "\\" + c)}'`;
/** OpenSIPS, version 8. */
const TABLE = `CREATE TABLE subscriber (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
  username CHAR(64) DEFAULT '' NOT NULL, domain CHAR(64) DEFAULT '' NOT NULL, password CHAR(25) DEFAULT '' NOT NULL,
  ha1 CHAR(64) DEFAULT '' NOT NULL, ha1_sha256 CHAR(64) DEFAULT '' NOT NULL, ha1_sha512t256 CHAR(64) DEFAULT '' NOT NULL,
  CONSTRAINT account_idx UNIQUE (username, domain))`;

Deno.test({
  name: title,
  ignore: missing !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const server = await startMariadb();
    const login = {
      hosts: [{ host: "127.0.0.1", port: server.port }],
      database: "sip",
      user: "reader",
      password: "p'w",
    };
    try {
      const rows = CONTRACT_ROWS.map(([username, domain, ha1]) =>
        `(${text(username)}, ${text(domain)}, ${text(ha1)}, ${text(sha256Of(ha1))})`
      ).join(", ");
      await server.sql(`CREATE DATABASE sip CHARACTER SET utf8mb4; USE sip; ${TABLE};
        INSERT INTO subscriber (username, domain, ha1, ha1_sha256) VALUES ${rows};
        CREATE DATABASE empty; CREATE DATABASE other; CREATE TABLE other.subscriber (username INT, domain INT);
        CREATE DATABASE latin CHARACTER SET latin1; USE latin; ${TABLE};
        INSERT INTO subscriber (username, domain, ha1) VALUES ('josé', 'a.example', 'aa');
        CREATE USER reader@'%' IDENTIFIED BY 'p\\'w'; GRANT SELECT ON *.* TO reader@'%';
        CREATE USER stranger@'%' IDENTIFIED BY 'x';`);
      const store = await MysqlStore.open(login);
      await storeContract(t, store);
      await t.step("a lost connection is made anew", async () => {
        await server.sql(
          "SET @id = (SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader' LIMIT 1);" +
            " EXECUTE IMMEDIATE CONCAT('KILL ', @id);",
        );
        const asked = [{ username: "alice", realm: "a.example" }];
        for (let attempt = 0;; attempt++) {
          const found = await store.lookup(asked, "ha1").catch((error) => error);
          if (Array.isArray(found)) {
            assertEquals(found[0]?.hash, "00".repeat(16));
            break;
          }
          assert(found instanceof StoreError, String(found));
          assert(attempt < 20, "it does not come back");
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      });
      await store.close();
      await t.step("a latin1 table: names that it cannot hold are unknown", async () => {
        const latin = await MysqlStore.open({ ...login, database: "latin" });
        const found = await latin.lookup(
          [{ username: "漢字😀", realm: "a.example" }, { username: "josé", realm: "a.example" }],
          "ha1",
        );
        assertEquals(found.map((row) => row?.hash), [undefined, "aa"]);
        await latin.close();
      });
      await t.step("the second host is tried when the first does not answer", async () => {
        const hosts = [{ host: "127.0.0.1", port: 1 }, ...login.hosts];
        const second = await MysqlStore.open({ ...login, hosts });
        assertEquals(await second.count(), CONTRACT_ROWS.length);
        await second.close();
      });
      const faults: [string, Partial<typeof login>, string][] = [
        ["wrong password", { password: "secret-guess" }, "access denied for user reader"],
        ["unknown database", { database: "nowhere" }, "no database nowhere"],
        ["missing table", { database: "empty" }, "no table subscriber"],
        ["missing column", { database: "other" }, "no column ha1"],
        ["no rights", { user: "stranger", password: "x" }, "access denied for user stranger"],
        ["nothing listens", { hosts: [{ host: "127.0.0.1", port: 1 }] }, "ECONNREFUSED"],
      ];
      for (const [name, change, said] of faults) {
        await t.step(`${name}: one line that says so, without the password`, async () => {
          const error = await assertRejects(() => MysqlStore.open({ ...login, ...change }), StoreError);
          assertStringIncludes(error.message, said);
          assert(!error.message.includes("\n") && !error.message.includes("secret-guess"), error.message);
        });
      }
    } finally {
      await server.stop();
    }
  },
});
