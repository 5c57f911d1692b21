import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import mariadb from "mariadb";
import { loadHashBackend } from "../mod.ts";
import { mariadbMissing, startMariadb, unlessCi } from "../tests/private_mariadb_io.ts";
import { MysqlStore, type MysqlStoreOptions } from "./mysql_store_io.ts";
import { subscriberSchema } from "./schema.ts";
import {
  adminContract,
  CONTRACT_ROWS,
  contractRows,
  optionsContract,
  sha256Of,
  storeContract,
} from "./store_contract.ts";
import { StoreError, type Subscriber, SubscriberError } from "./subscriber.ts";
import { DEFAULT_TABLE } from "./subscriber_table.ts";

const missing = await mariadbMissing();
const title = "MySQL store against a private MariaDB" +
  (missing === undefined ? "" : `: skipped, ${missing}`);
const { backend: hashes } = await loadHashBackend();
const text = (value: string) => `'${value.replace(/['\\]/g, (c) => "\\" + c)}'`;
/** OpenSIPS, version 8. */
const OPENSIPS = `CREATE TABLE subscriber (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
  username CHAR(64) DEFAULT '' NOT NULL, domain CHAR(64) DEFAULT '' NOT NULL, password CHAR(25) DEFAULT '' NOT NULL,
  ha1 CHAR(64) DEFAULT '' NOT NULL, ha1_sha256 CHAR(64) DEFAULT '' NOT NULL, ha1_sha512t256 CHAR(64) DEFAULT '' NOT NULL,
  CONSTRAINT account_idx UNIQUE (username, domain))`;
/** Kamailio, version 7. */
const KAMAILIO = `CREATE TABLE subscriber (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
  username VARCHAR(64) DEFAULT '' NOT NULL, domain VARCHAR(64) DEFAULT '' NOT NULL,
  password VARCHAR(64) DEFAULT '' NOT NULL, ha1 VARCHAR(128) DEFAULT '' NOT NULL, ha1b VARCHAR(128) DEFAULT '' NOT NULL,
  CONSTRAINT account_idx UNIQUE (username, domain))`;
const rowsOf = (withSha256: boolean) =>
  CONTRACT_ROWS.map(([username, domain, ha1]) =>
    `(${[username, domain, ha1, ...(withSha256 ? [sha256Of(ha1)] : [])].map(text).join(", ")})`
  ).join(", ");
const SETUP = `CREATE DATABASE sip CHARACTER SET utf8mb4; USE sip; ${OPENSIPS};
  INSERT INTO subscriber (username, domain, ha1, ha1_sha256) VALUES ${rowsOf(true)};
  CREATE DATABASE kamailio CHARACTER SET utf8mb4; USE kamailio; ${KAMAILIO};
  INSERT INTO subscriber (username, domain, ha1) VALUES ${rowsOf(false)};
  CREATE DATABASE fresh; USE fresh; ${subscriberSchema("mysql", DEFAULT_TABLE)}
  CREATE DATABASE others CHARACTER SET utf8mb4; USE others;
  CREATE TABLE accounts (user VARCHAR(64), realm VARCHAR(64), plain VARCHAR(64), md5 CHAR(32), UNIQUE (user, realm));
  CREATE TABLE people (name VARCHAR(64) PRIMARY KEY, ha1 CHAR(32));
  INSERT INTO people VALUES ('alice', '${"0".repeat(32)}');
  CREATE DATABASE empty; CREATE DATABASE other; CREATE TABLE other.subscriber (username INT, domain INT);
  CREATE DATABASE latin CHARACTER SET latin1; USE latin; ${OPENSIPS};
  INSERT INTO subscriber (username, domain, ha1) VALUES ('josé', 'a.example', 'aa');
  CREATE USER reader@'%' IDENTIFIED BY 'p\\'w';
  GRANT SELECT ON sip.subscriber TO reader@'%'; GRANT SELECT ON kamailio.subscriber TO reader@'%';
  GRANT SELECT ON latin.subscriber TO reader@'%'; GRANT SELECT ON other.subscriber TO reader@'%';
  CREATE USER secured@'%' IDENTIFIED BY 'p\\'w' REQUIRE SSL; GRANT SELECT ON sip.subscriber TO secured@'%';
  GRANT CREATE ON empty.* TO reader@'%';
  CREATE USER stranger@'%' IDENTIFIED BY 'x'; GRANT SELECT ON kamailio.subscriber TO stranger@'%';
  GRANT SELECT (id) ON sip.subscriber TO stranger@'%';`;

const opensslMissing = unlessCi(
  await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output()
    .then(() => undefined, () => "openssl is not installed"),
);

/** A certificate for 127.0.0.1, and the flags of a server with it; none without openssl. */
async function selfSigned(): Promise<
  { readonly pem: string; readonly args: string[]; readonly directory?: string }
> {
  if (opensslMissing !== undefined) return { pem: "", args: [] };
  const directory = await Deno.makeTempDir({ prefix: "certificate_" });
  const [key, certificate] = [`${directory}/key.pem`, `${directory}/certificate.pem`];
  const made = await new Deno.Command("openssl", {
    args: ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
      .concat("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));
  // The server may be another user's.
  await Deno.chmod(directory, 0o755);
  await Deno.chmod(key, 0o644);
  return {
    pem: await Deno.readTextFile(certificate),
    args: [`--ssl-cert=${certificate}`, `--ssl-key=${key}`],
    directory,
  };
}

/** Passes connections on to a server; `change` may alter what a client sends, or cut it off by undefined. */
function forwarder(port: number, change: (sent: Uint8Array<ArrayBuffer>) => Uint8Array | undefined) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ended = (async () => {
    for await (const client of listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port });
      const changing = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array>({
        transform(sent, controller) {
          const passed = change(sent);
          if (passed === undefined) controller.error(new Error("cut off"));
          else controller.enqueue(passed);
        },
      });
      server.readable.pipeTo(client.writable).catch(() => {});
      client.readable.pipeThrough(changing).pipeTo(server.writable).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await ended;
    },
  };
}

Deno.test({
  name: title,
  ignore: missing !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const certificate = await selfSigned();
    const server = await startMariadb(certificate.args);
    const hosts = [{ host: "127.0.0.1", port: server.port }];
    const login: MysqlStoreOptions = { hosts, database: "sip", user: "reader", password: "p'w" };
    const admin: MysqlStoreOptions = { ...login, user: server.user, password: server.password, hashes };
    try {
      await server.sql(SETUP);
      await t.step("the OpenSIPS table, with the right SELECT on it alone", async (t) => {
        const store = await MysqlStore.open(login);
        await storeContract(t, store);
        await assertRejects(
          () => store.write([{ ...contractRows()[0], username: "new" }], false),
          StoreError,
          "user reader has no right to INSERT on table subscriber",
        );
        await t.step("a lost connection is made anew, and no question is lost", async () => {
          await server.sql(
            "SET @ids = (SELECT GROUP_CONCAT('KILL ', ID SEPARATOR '; ') FROM information_schema.PROCESSLIST " +
              "WHERE USER = 'reader'); EXECUTE IMMEDIATE CONCAT('BEGIN NOT ATOMIC ', @ids, '; END');",
          );
          const asked = [{ username: "alice", realm: "a.example" }];
          for (let i = 0; i < 20; i++) {
            assertEquals((await store.lookup(asked, "ha1"))[0]?.hash, "00".repeat(16));
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        });
        await store.close();
      });
      await t.step("the Kamailio table", async () => {
        const store = await MysqlStore.open({ ...login, database: "kamailio" });
        assertEquals(await store.count(), CONTRACT_ROWS.length);
        const asked = [{ username: "alice", realm: "a.example" }, { username: "bob", realm: "a.example" }];
        assertEquals((await store.lookup(asked, "ha1")).map((row) => row?.hash), [
          "00".repeat(16),
          undefined,
        ]);
        assertEquals((await store.lookup(asked, "ha1_sha256")).map((row) => row?.hash), ["", undefined]);
        await store.close();
        const writer = await MysqlStore.open({ ...admin, database: "kamailio" });
        const ha1b = "ef".repeat(16);
        const [alice] = contractRows();
        await writer.write([{ ...alice, username: "carol", ha1b }], false);
        for await (const row of writer.rows()) {
          if (row.username === "carol") assertEquals([row.ha1b, row.hashes.ha1_sha256], [ha1b, ""]);
        }
        await writer.close();
      });
      await t.step("changes, in a database made from the schema", async (t) => {
        const store = await MysqlStore.open({ ...admin, database: "fresh" });
        await adminContract(t, store);
        await t.step("names that the collation takes for the same are told apart or refused", async () => {
          const [alice] = contractRows();
          const big = { ...alice, username: "ALICE", line: 3 };
          await assertRejects(() => store.write([alice, big], false), SubscriberError, "ALICE@a.example");
          assertEquals(await store.count(), 0);
          await store.write([alice], false);
          for (const replace of [false, true]) {
            const error = await assertRejects(() => store.write([big], replace), SubscriberError);
            assertStringIncludes(error.message, "takes ALICE@a.example for alice@a.example");
            assertEquals(error.subscriber.line, 3);
          }
          const long = { ...alice, username: "bob", password: "x".repeat(200), line: 9 };
          const error = await assertRejects(() => store.write([alice, long], true), SubscriberError);
          assertStringIncludes(error.message, "bob@a.example: Data too long for column 'password'");
        });
        await store.close();
      });
      await t.step(
        "a password that the column is too short for is refused, whatever the server's sql_mode",
        async () => {
          const mode = await server.sql("SELECT @@GLOBAL.sql_mode");
          await server.sql("SET GLOBAL sql_mode = ''");
          try {
            const table = { ...DEFAULT_TABLE, calculateHa1: true };
            const store = await MysqlStore.open({ ...admin, table });
            const [alice] = contractRows();
            const password = "a password of more than twenty-five characters";
            const change = () => store.update({ ...alice, password }, password);
            assertStringIncludes(
              (await assertRejects(change, StoreError)).message,
              "Data too long for column 'password'",
            );
            assertEquals(await server.sql("SELECT DISTINCT password FROM sip.subscriber"), "");
            await store.close();
          } finally {
            await server.sql(`SET GLOBAL sql_mode = '${mode}'`);
          }
        },
      );
      await t.step("tables and columns of other names", async (t) => {
        await optionsContract(t, (table) => MysqlStore.open({ ...admin, database: "others", table }));
      });
      await t.step(
        "a table without transactions: one user is written, several are refused before the first",
        async () => {
          await server.sql(`CREATE DATABASE myisam; USE myisam; ${OPENSIPS} ENGINE=MyISAM;`);
          const store = await MysqlStore.open({ ...admin, database: "myisam" });
          const [alice] = contractRows();
          const rows = Array.from({ length: 700 }, (_, i) => ({ ...alice, username: `u${i}` }));
          const error = await assertRejects(() => store.write(rows, false), StoreError);
          assertStringIncludes(error.message, "table subscriber has the engine MyISAM, without transactions");
          assertEquals(await store.count(), 0);
          assertEquals(await store.write([alice], false), 1);
          await assertRejects(() => store.write([alice], false), SubscriberError, "exists already");
          assertEquals(await store.count(), 1);
          await store.close();
        },
      );
      await t.step("a latin1 table: names that it cannot hold are unknown", async () => {
        const latin = await MysqlStore.open({ ...login, database: "latin" });
        const found = await latin.lookup(
          [{ username: "漢字😀", realm: "a.example" }, { username: "josé", realm: "a.example" }],
          "ha1",
        );
        assertEquals(found.map((row) => row?.hash), [undefined, "aa"]);
        await latin.close();
      });
      await t.step("questions of one moment are one query; rows of many realms", async () => {
        const store = await MysqlStore.open({ ...admin, database: "fresh" });
        const rows = Array.from({ length: 900 }, (_, i) => {
          const [row] = contractRows();
          return { ...row, username: `u${i}`, realm: `r${i % 3 === 0 ? "" : i % 50}.example` };
        });
        await store.write(rows, false);
        const selects = async () => {
          const connection = await mariadb.createConnection({
            ...hosts[0],
            user: admin.user,
            password: admin.password,
          });
          const [row] = await connection.query("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
          await connection.end();
          return Number(row.Value);
        };
        await store.lookup(rows, "ha1");
        const before = await selects();
        const answers = await Promise.all(rows.map((row) => store.lookup([row], "ha1")));
        assertEquals(answers.map(([row]) => row?.username), rows.map((row) => row.username));
        const used = await selects() - before;
        assert(used <= 10, `${used} statements for 900 questions`);
        await store.close();
      });
      await t.step(
        "1000 that are asked alone: a query each, on few connections, ended when idle",
        async () => {
          const status = async (name: string) =>
            Number((await server.sql(`SHOW GLOBAL STATUS LIKE '${name}'`)).split("\t")[1]);
          const until = async (most: number) => {
            for (let attempt = 0; await status("Threads_connected") > most; attempt++) {
              assert(attempt < 600, `${await status("Threads_connected")} connections`);
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
          };
          // The client that asks for it.
          await until(1);
          await server.sql("FLUSH STATUS");
          const connections = 4;
          const store = await MysqlStore.open({ ...login, connections, timeout: 60_000 });
          const alice = { username: "alice", realm: "a.example" };
          const before = await status("Com_stmt_execute");
          const asked = Array.from({ length: 1000 }, () => store.lookupAlone(alice, "ha1"));
          const [row] = await store.lookup([alice], "ha1");
          assertEquals(row?.hash, "00".repeat(16));
          for (const found of await Promise.all(asked)) assertEquals(found?.hash, "00".repeat(16));
          const executed = await status("Com_stmt_execute") - before;
          assert(executed >= 1001 && executed < 1050, `${executed} statements`);
          // Beside them the one that looks at the node, and the one that asks.
          const most = await status("Max_used_connections");
          assert(most <= connections + 2, `${most} connections`);
          assertEquals(store.nodes().map(({ rank }) => rank), ["good"]);
          await until(3);
          await store.close();
        },
      );
      await t.step(
        "questions that wait for a connection of a node that hangs are answered by another",
        async () => {
          const connection = await mariadb.createConnection({
            ...hosts[0],
            user: server.user,
            password: server.password,
          });
          const second = await startMariadb();
          try {
            await second.sql(SETUP);
            const both = [...hosts, { host: "127.0.0.1", port: second.port }];
            const store = await MysqlStore.open({ ...login, hosts: both, connections: 1, timeout: 60_000 });
            const alice = { username: "alice", realm: "a.example" };
            await connection.query("LOCK TABLES sip.subscriber WRITE");
            const asked = Array.from({ length: 50 }, () => store.lookupAlone(alice, "ha1"));
            const [[row]] = await Promise.all([store.lookup([alice], "ha1"), ...asked]) as [Subscriber[]];
            assertEquals(row.hash, "00".repeat(16));
            await connection.query("UNLOCK TABLES");
            await store.close();
          } finally {
            await connection.end();
            await second.stop();
          }
        },
      );
      await t.step(
        "use_domain 0: nobody is hidden by those who ask for a name that the collation takes for the same",
        async () => {
          const table = { ...DEFAULT_TABLE, table: "people", user: "name", useDomain: false };
          const store = await MysqlStore.open({ ...admin, database: "others", table });
          const others = Array.from({ length: 600 }, (_, i) => `x${i}`);
          const asked = ["alice", ...others, "ALICE", "alice ", ...others.map((name) => name + "y"), "Alice"]
            .map((username) => ({ username, realm: "a.example" }));
          const isAlice = (rows: (Subscriber | undefined)[]) =>
            rows.map((row) => row?.username).filter(Boolean);
          assertEquals(isAlice(await store.lookup(asked, "ha1")), ["alice"]);
          assertEquals(isAlice(await store.lookup(asked.toReversed(), "ha1")), ["alice"]);
          const merged = await Promise.all([
            store.lookup(asked.slice(0, 500), "ha1"),
            store.lookup(asked.slice(500), "ha1"),
          ]);
          assertEquals(merged.map(isAlice), [["alice"], []]);
          await store.close();
        },
      );
      await t.step("every connection waits for Galera's other nodes, or is not used", async () => {
        const isSync = (sent: Uint8Array) =>
          new TextDecoder("latin1").decode(sent).includes("wsrep_sync_wait");
        const synced = async (store: MysqlStore) => {
          const ask = () =>
            store.sql.run("SELECT @@SESSION.wsrep_sync_wait FROM DUAL WHERE SLEEP(0.05) = 0", []);
          return (await Promise.all([ask(), ask(), ask()])).map(([[value]]) => Number(value));
        };
        const store = await MysqlStore.open({ ...login, connections: 3 });
        assertEquals(await synced(store), [1, 1, 1]);
        await store.close();
        let cuts = 0;
        await using cutting = forwarder(server.port, (sent) => isSync(sent) && cuts++ < 2 ? undefined : sent);
        const cut = await MysqlStore.open({
          ...login,
          hosts: [{ host: "127.0.0.1", port: cutting.port }, ...hosts],
          timeout: 10_000,
        });
        for (let attempt = 0; cut.nodes()[0].rank !== "good"; attempt++) {
          assert(attempt < 600, cut.nodes()[0].why);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        assertEquals(await synced(cut), [1, 1, 1]);
        assert(cuts > 2, `${cuts} tries`);
        await cut.close();
        // A server that does not know the variable.
        await using foreign = forwarder(server.port, (sent) => {
          const at = isSync(sent)
            ? new TextDecoder("latin1").decode(sent).indexOf("wsrep_sync_wait = 1")
            : -1;
          if (at >= 0) sent[at] = 0x78;
          return sent;
        });
        const other = await MysqlStore.open({ ...login, hosts: [{ host: "127.0.0.1", port: foreign.port }] });
        assertEquals(await synced(other), [0, 0, 0]);
        await other.close();
      });
      await t.step("the second host is used when the first does not answer", async () => {
        const lines: string[] = [];
        const second = await MysqlStore.open({
          ...login,
          hosts: [{ host: "127.0.0.1", port: 1 }, ...hosts],
          log: (line) => lines.push(line),
        });
        assertEquals(await second.count(), CONTRACT_ROWS.length);
        assertStringIncludes(lines.join(), "database node 127.0.0.1:1: cannot be used: ");
        await second.close();
      });
      await t.step({
        name: "TLS: the certificate and its name are verified" +
          (opensslMissing === undefined ? "" : `: skipped, ${opensslMissing}`),
        ignore: opensslMissing !== undefined,
        async fn() {
          const store = await MysqlStore.open({ ...login, user: "secured", tls: { ca: certificate.pem } });
          const asked = [{ username: "alice", realm: "a.example" }];
          assertEquals((await store.lookup(asked, "ha1"))[0]?.hash, "00".repeat(16));
          await store.close();
          const cases: [Partial<MysqlStoreOptions>, string][] = [
            [{ tls: {} }, "self-signed certificate"],
            [
              { tls: { ca: certificate.pem }, hosts: [{ host: "localhost", port: server.port }] },
              "localhost",
            ],
            [{}, "access denied for user secured"],
          ];
          for (const [change, said] of cases) {
            const open = () => MysqlStore.open({ ...login, user: "secured", ...change });
            assertStringIncludes((await assertRejects(open, StoreError)).message, said);
          }
        },
      });
      await t.step({
        name: "TLS: a server that says it is new enough for the driver's own way is verified all the same" +
          (opensslMissing === undefined ? "" : `: skipped, ${opensslMissing}`),
        ignore: opensslMissing !== undefined,
        async fn() {
          const newer = await startMariadb([...certificate.args, "--version=11.4.2-MariaDB"]);
          try {
            await newer.sql(SETUP);
            const there = { ...login, hosts: [{ host: "127.0.0.1", port: newer.port }] };
            const open = (tls: { ca?: string }) => MysqlStore.open({ ...there, tls });
            // By TLS itself: the password is not used before.
            await assertRejects(() => open({}), StoreError, "DEPTH_ZERO_SELF_SIGNED_CERT");
            assertEquals(
              await newer.sql("SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'"),
              "Aborted_connects_preauth\t1",
            );
            await (await open({ ca: certificate.pem })).close();
          } finally {
            await newer.stop();
          }
        },
      });
      await t.step("a host that takes connections and says nothing keeps nobody waiting", async () => {
        const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        const taken: Deno.Conn[] = [];
        const accepting = (async () => {
          for await (const connection of silent) taken.push(connection);
        })();
        const lines: string[] = [];
        const store = await MysqlStore.open({
          ...login,
          hosts: [{ host: "127.0.0.1", port: silent.addr.port }, ...hosts],
          log: (line) => lines.push(line),
        });
        assertEquals(store.nodes().map(({ rank }) => rank), ["suspect", "good"]);
        assertStringIncludes(lines.join(), "cannot be used: it has not answered yet");
        assertEquals((await store.lookup([{ username: "alice", realm: "a.example" }], "ha1")).length, 1);
        await store.close();
        silent.close();
        await accepting.catch(() => {});
        for (const connection of taken) connection.close();
      });
      await t.step("a database that answers slowly: a named error in time, and answers again", async () => {
        const slow = await MysqlStore.open({ ...login, timeout: 400 });
        const asked = [{ username: "alice", realm: "a.example" }];
        const connection = await mariadb.createConnection({
          ...hosts[0],
          user: server.user,
          password: server.password,
        });
        await connection.query("LOCK TABLES sip.subscriber WRITE");
        const failures = await Promise.all(
          Array.from({ length: 3 }, () => assertRejects(() => slow.lookup(asked, "ha1"), StoreError)),
        );
        for (const error of failures) assertStringIncludes(error.message, "no answer in time");
        await connection.query("UNLOCK TABLES");
        await connection.end();
        for (let attempt = 0;; attempt++) {
          const found = await slow.lookup(asked, "ha1").catch(() => undefined);
          if (found !== undefined) break;
          assert(attempt < 20, "it does not come back");
        }
        await slow.close();
      });
      const faults: [string, Partial<MysqlStoreOptions>, string][] = [
        ["wrong password", { password: "secret-guess" }, "access denied for user reader"],
        ["unknown database", { ...admin, database: "nowhere" }, "no database nowhere"],
        ["missing table", { ...admin, database: "empty" }, "no table subscriber"],
        ["missing column", { database: "other" }, "table subscriber has no column ha1"],
        [
          "no right to read",
          { user: "stranger", password: "x" },
          "table subscriber has no column username",
        ],
        [
          "no rights",
          { user: "stranger", password: "x", database: "latin" },
          "access denied for user stranger",
        ],
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
      if (certificate.directory !== undefined) await Deno.remove(certificate.directory, { recursive: true });
    }
  },
});
