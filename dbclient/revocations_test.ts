/** The revocation table in real databases: triggers, what is read of it, and two transactions that overtake each other. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import mariadb from "mariadb";
import { mariadbMissing, startMariadb } from "../tests/private_mariadb_io.ts";
import { MysqlStore } from "./mysql_store_io.ts";
import type { RevokedUsers } from "./revocation_log.ts";
import {
  firstSerial,
  KAMAILIO_SECRETS,
  OPENSIPS_SECRETS,
  REVOCATION_TABLE,
  revocationSchema,
} from "./revocation_schema.ts";
import { Revocations, type RevocationsOptions } from "./revocations_io.ts";
import { revoke } from "./revoke_io.ts";
import { SqliteStore } from "./sqlite_store_io.ts";
import { StoreError, type SubscriberStore } from "./subscriber.ts";

const NAMES = {
  table: "subscriber",
  usernameColumn: "username",
  domainColumn: "domain",
  secretColumns: OPENSIPS_SECRETS,
  revocationTable: REVOCATION_TABLE,
};
const FIRST = firstSerial(1_700_000_000);
const FOLLOW = { table: REVOCATION_TABLE, interval: 20 };

/** A table that is followed, and what is told of it. */
class Follower {
  readonly told: string[] = [];
  readonly serials: number[] = [];
  readonly log: string[] = [];
  replaced = 0;
  revocations!: Revocations;

  static async start(store: SubscriberStore, options: Partial<RevocationsOptions> = {}): Promise<Follower> {
    const follower = new Follower();
    follower.revocations = await Revocations.follow(store, {
      ...FOLLOW,
      ...options,
      log: (line) => void follower.log.push(line),
    });
    follower.revocations.listen({
      revoked: (frames) => follower.#take(frames),
      replaced: () => void follower.replaced++,
    });
    return follower;
  }

  #take(frames: readonly RevokedUsers[]): void {
    for (const { serial, users } of frames) {
      for (const { username, realm } of users) {
        this.told.push(`${username}@${realm}`);
        this.serials.push(serial);
      }
    }
  }

  /** Waits until so much was told, and gives it. */
  async until(count: number, what: string): Promise<string[]> {
    for (let i = 0; this.told.length < count; i++) {
      if (i > 3000) throw new Error(`${what}: told of ${this.told}, log ${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.serials.splice(0);
    return this.told.splice(0);
  }
}

/** Changes by any tool, as SQL, and who is told of. */
const CHANGES: readonly (readonly [string, string, readonly string[]])[] = [
  ["a user is added", "INSERT INTO subscriber (username, domain, ha1) VALUES ('alice', 'a.example', 'aa')", [
    "alice@a.example",
  ]],
  [
    "a hash is changed",
    "UPDATE subscriber SET ha1 = 'bb' WHERE username = 'alice' AND domain = 'a.example'",
    [
      "alice@a.example",
    ],
  ],
  ["only its case is", "UPDATE subscriber SET ha1 = 'BB' WHERE username = 'alice'", ["alice@a.example"]],
  [
    "the password is, of two users at once",
    "UPDATE subscriber SET password = 'x' WHERE username IN ('alice', 'bob')",
    [
      "alice@a.example",
      "bob@a.example",
    ],
  ],
  [
    "a user is renamed",
    "UPDATE subscriber SET username = 'Alice', domain = 'b.example' WHERE username = 'alice'",
    [
      "alice@a.example",
      "Alice@b.example",
    ],
  ],
  [
    "a user is replaced",
    "REPLACE INTO subscriber (username, domain, ha1) VALUES ('bob', 'a.example', 'cc')",
    [
      "bob@a.example",
    ],
  ],
  ["a user is removed", "DELETE FROM subscriber WHERE username = 'Alice'", ["Alice@b.example"]],
  [
    "without a domain, or a name",
    "INSERT INTO subscriber (username, domain) VALUES ('nick', NULL), (NULL, 'a.example')",
    [
      "nick@",
      "@a.example",
    ],
  ],
  ["a hash of such a user", "UPDATE subscriber SET ha1 = 'dd' WHERE domain IS NULL", ["nick@"]],
  ["such a user gets a domain", "UPDATE subscriber SET domain = 'a.example' WHERE domain IS NULL", [
    "nick@",
    "nick@a.example",
  ]],
  ["those are removed", "DELETE FROM subscriber WHERE username IS NULL OR username = 'nick'", [
    "nick@a.example",
    "@a.example",
  ]],
  ["a name with quotes", "INSERT INTO subscriber (username, domain) VALUES ('o''brien \"漢', 'a.example')", [
    "o'brien \"漢@a.example",
  ]],
];

async function changes(
  t: Deno.TestContext,
  sql: (text: string) => unknown,
  follower: Follower,
): Promise<void> {
  await sql("INSERT INTO subscriber (username, domain, ha1) VALUES ('bob', 'a.example', 'aa')");
  assertEquals(await follower.until(1, "bob"), ["bob@a.example"]);
  for (const [what, text, users] of CHANGES) {
    await t.step(what, async () => {
      await sql(text);
      const told = await follower.until(users.length, what);
      assertEquals(new Set(told), new Set(users));
    });
  }
  await t.step("what is no secret changes nothing", async () => {
    await sql("UPDATE subscriber SET ha1 = ha1, email_address = 'x' WHERE 1 = 1");
    await follower.revocations.refresh();
    assertEquals(follower.told, []);
  });
}

/** Of a table without a domain column. */
const PEOPLE = { ...NAMES, table: "people", domainColumn: undefined, revocationTable: "people_revocation" };

async function peopleChanges(sql: (text: string) => unknown, store: SubscriberStore): Promise<void> {
  const follower = await Follower.start(store, { table: PEOPLE.revocationTable });
  await sql("INSERT INTO people (username, ha1) VALUES ('alice', 'aa')");
  await sql("UPDATE people SET ha1 = 'bb'");
  await sql("UPDATE people SET username = 'bob'");
  await sql("UPDATE people SET ha1 = ha1");
  await sql("DELETE FROM people");
  assertEquals(await follower.until(5, "people"), ["alice@", "alice@", "alice@", "bob@", "bob@"]);
  await follower.revocations.close();
}

const TIME_MS = 60_000;

Deno.test("SQLite: changes by any tool are told; a table that comes later, is pruned, is emptied", async (t) => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/users.db`;
  const tool = new DatabaseSync(path);
  const secrets = OPENSIPS_SECRETS.map((name) => `${name} TEXT DEFAULT '' NOT NULL`).join(", ");
  // An operator's own: with NULL where DBclient's has ''.
  tool.exec(`CREATE TABLE subscriber (username TEXT, domain TEXT, email_address TEXT, ${secrets},
    UNIQUE (username, domain)); CREATE TABLE people (username TEXT, ${secrets})`);
  const store = new SqliteStore(path);
  const apply = () => {
    for (const statement of revocationSchema("sqlite", NAMES, FIRST)) tool.exec(statement);
  };
  try {
    const without = await Follower.start(store);
    assertEquals([without.revocations.serial, without.revocations.since(0), without.revocations.active], [
      0,
      [],
      false,
    ]);
    assertEquals(without.log, []);
    await assertRejects(
      () => revoke(store, REVOCATION_TABLE, [{ username: "alice", realm: "a.example" }]),
      StoreError,
      "dbclient schema --revocation --apply --db sqlite:FILE",
    );
    await without.revocations.close();
    apply();
    apply(); // Again changes nothing.
    const follower = await Follower.start(store);
    assert(follower.revocations.active);
    await changes(t, (text) => tool.exec(text), follower);
    await t.step("without a domain column: in every realm", async () => {
      for (const statement of revocationSchema("sqlite", PEOPLE, FIRST)) tool.exec(statement);
      await peopleChanges((text) => tool.exec(text), store);
    });
    await t.step("revoke: rows, and who is no subscriber", async () => {
      const users = [{ username: "bob", realm: "a.example" }, { username: "bob", realm: "" }, {
        username: "stranger",
        realm: "a.example",
      }];
      assertEquals(await revoke(store, REVOCATION_TABLE, users), [users[2]]);
      assertEquals(await follower.until(3, "revoke"), ["bob@a.example", "bob@", "stranger@a.example"]);
    });
    await t.step("serials begin where the schema says, and are known at the start", async () => {
      const { serial } = follower.revocations;
      assert(serial > FIRST && serial < FIRST + 100, String(serial - FIRST));
      assertEquals(await Revocations.serialNow(store, REVOCATION_TABLE), serial);
      const late = await Follower.start(store);
      assertEquals([late.revocations.since(FIRST - 2), late.revocations.serial], ["all", serial]);
      await late.revocations.close();
      const since = follower.revocations.since(serial - 2);
      assertEquals(Array.isArray(since) && since.map(({ username }) => username), ["bob", "stranger"]);
    });
    await t.step("old rows may be pruned; the newest one gone is another table", async () => {
      tool.exec(
        `DELETE FROM ${REVOCATION_TABLE} WHERE id < (SELECT max(id) FROM ${REVOCATION_TABLE} AS r)`,
      );
      for (let i = 0; i < 8; i++) await follower.revocations.refresh();
      assertEquals(follower.replaced, 0);
      tool.exec(`DELETE FROM ${REVOCATION_TABLE}`);
      for (let i = 0; i < 8; i++) await follower.revocations.refresh();
      assertEquals([follower.replaced, follower.revocations.serial, follower.revocations.since(FIRST)], [
        1,
        0,
        "later",
      ]);
      assertStringIncludes(follower.log.join(), "was emptied or replaced");
      tool.exec("UPDATE subscriber SET ha1 = 'ff' WHERE username = 'bob'");
      assertEquals(await follower.until(1, "after that"), ["bob@a.example"]);
    });
    await t.step("dropped while it is followed, and made again", async () => {
      tool.exec(`DROP TABLE ${REVOCATION_TABLE}`);
      for (let i = 0; i < 4; i++) await follower.revocations.refresh();
      assertEquals([follower.replaced, follower.revocations.active], [2, false]);
      assertStringIncludes(follower.log.join(), "cannot be read, so that revocations wait");
    });
    await follower.revocations.close();
  } finally {
    tool.close();
    await store.close();
    await Deno.remove(folder, { recursive: true });
  }
});

const missing = await mariadbMissing();

Deno.test({
  name: "MariaDB: changes by any tool; transactions that overtake each other" +
    (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const server = await startMariadb();
    const address = { host: "127.0.0.1", port: server.port, user: server.user, password: server.password };
    const tables = (secrets: string) =>
      `CREATE TABLE subscriber (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
        username VARCHAR(64) DEFAULT '', domain VARCHAR(64) DEFAULT '',
        email_address VARCHAR(128) DEFAULT '', ${secrets}, CONSTRAINT account_idx UNIQUE (username, domain))`;
    const column = (name: string) => `${name} VARCHAR(128) DEFAULT '' NOT NULL`;
    const schema = (secretColumns: readonly string[]) =>
      revocationSchema("mysql", { ...NAMES, secretColumns }, FIRST).join(";\n");
    try {
      await server.sql(`CREATE DATABASE sip CHARACTER SET utf8mb4; USE sip;
        ${tables(OPENSIPS_SECRETS.map(column).join(", "))}; ${schema(OPENSIPS_SECRETS)};
        ${schema(OPENSIPS_SECRETS)};
        CREATE TABLE people (username VARCHAR(64), ${OPENSIPS_SECRETS.map(column).join(", ")});
        ${revocationSchema("mysql", PEOPLE, FIRST).join(";\n")};
        CREATE USER tool@'%' IDENTIFIED BY 'tool'; GRANT SELECT, INSERT, UPDATE, DELETE ON sip.subscriber TO tool@'%';
        CREATE USER reader@'%' IDENTIFIED BY 'reader'; GRANT SELECT ON sip.subscriber TO reader@'%';
        CREATE DATABASE kamailio; USE kamailio; ${tables(KAMAILIO_SECRETS.map(column).join(", "))};
        ${schema(KAMAILIO_SECRETS)};`);
      const hosts = [{ host: address.host, port: address.port }];
      const open = (user: string, password: string) =>
        MysqlStore.open({ hosts, database: "sip", user, password });
      const store = await open(server.user, server.password);
      // A tool that has no right to the table of revocations.
      const connect = () =>
        mariadb.createConnection({ ...address, user: "tool", password: "tool", database: "sip" });
      const tool = await connect();
      await tool.query("INSERT INTO subscriber (username, domain) VALUES ('early', 'a.example')");
      await tool.query("INSERT INTO subscriber (username, domain) VALUES ('later', 'a.example')");
      const follower = await Follower.start(store, { gapMs: TIME_MS });
      const { revocations } = follower;
      await t.step(
        "an id that is committed after a later one is told, and holds the serial back",
        async () => {
          const before = revocations.serial;
          const other = await connect();
          await other.beginTransaction();
          await other.query("UPDATE subscriber SET ha1 = 'a1' WHERE username = 'early'");
          await tool.query("UPDATE subscriber SET ha1 = 'b1' WHERE username = 'later'");
          assertEquals(await follower.until(1, "the later"), ["later@a.example"]);
          // A credential that is read now holds early's old password: 'before + 1' is going to make it void.
          const [early, later] = ["early", "later"].map((username) => ({ username, realm: "a.example" }));
          assertEquals(revocations.serialsOf([early, later]), [before, before + 2]);
          await other.commit();
          for (let i = 0; follower.told.length === 0 && i < 1000; i++) await revocations.refresh();
          assertEquals([follower.told.splice(0), follower.serials.splice(0)], [["early@a.example"], [
            before + 1,
          ]]);
          assertEquals([revocations.serial, revocations.serialsOf([early])], [before + 2, before + 2]);
          await other.end();
        },
      );
      await changes(t, (text) => tool.query(text), follower);
      await t.step("without a domain column: in every realm", async () => {
        await peopleChanges((text) => server.sql(`USE sip; ${text}`), store);
      });

      await t.step("an id that was rolled back holds it back for a while only", async () => {
        const short = await Follower.start(store, { gapMs: 200 });
        const other = await connect();
        await other.beginTransaction();
        await other.query("UPDATE subscriber SET ha1 = 'a2' WHERE username = 'early'");
        await other.rollback();
        await other.end();
        await tool.query("UPDATE subscriber SET ha1 = 'b2' WHERE username = 'later'");
        assertEquals(await short.until(1, "the later"), ["later@a.example"]);
        const newest = await store.sql.run(`SELECT MAX(id) FROM ${REVOCATION_TABLE}`, []);
        for (let i = 0; short.revocations.serial < Number(newest[0][0]); i++) {
          assert(i < 1000, "the gap does not end");
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await short.revocations.close();
        await follower.until(1, "the later");
      });
      await t.step(
        "a transaction that outlasts the wait is told under a serial above all since",
        async () => {
          const short = await Follower.start(store, { gapMs: 0 });
          const other = await connect();
          await other.beginTransaction();
          await other.query("UPDATE subscriber SET ha1 = 'a3' WHERE username = 'early'");
          await tool.query("UPDATE subscriber SET ha1 = 'b3' WHERE username = 'later'");
          assertEquals(await short.until(1, "the later"), ["later@a.example"]);
          await short.revocations.refresh();
          const early = { username: "early", realm: "a.example" };
          const given = short.revocations.serialsOf([early]) as number;
          await other.commit();
          await other.end();
          for (let i = 0; short.told.length === 0 && i < 1000; i++) await short.revocations.refresh();
          assertEquals([short.told, short.serials], [["early@a.example"], [given + 1]]);
          assertEquals(short.revocations.serialsOf([early]), [given + 1]);
          await short.revocations.close();
          await follower.until(2, "both");
        },
      );
      await t.step("many transactions at once: nobody is missed", async () => {
        const count = 40;
        const users = Array.from({ length: count }, (_, i) => `many${i}`);
        await tool.query(
          `INSERT INTO subscriber (username, domain) VALUES ${
            users.map((name) => `('${name}', 'a.example')`).join(", ")
          }`,
        );
        await follower.until(count, "the users");
        await Promise.all(Array.from({ length: 8 }, async (_, worker) => {
          const connection = await connect();
          for (let i = worker; i < count; i += 8) {
            await connection.beginTransaction();
            await connection.query("UPDATE subscriber SET ha1 = 'c1' WHERE username = ?", [users[i]]);
            await new Promise((resolve) => setTimeout(resolve, (i * 37) % 60));
            await (i % 5 === 4 ? connection.rollback() : connection.commit());
          }
          await connection.end();
        }));
        const expected = users.filter((_, i) => i % 5 !== 4).map((name) => `${name}@a.example`);
        assertEquals((await follower.until(expected.length, "changes")).sort(), expected.sort());
      });
      await t.step("revoke, and who may not", async () => {
        assertEquals(await revoke(store, REVOCATION_TABLE, [{ username: "x", realm: "" }]), []);
        assertEquals(await follower.until(1, "revoke"), ["x@"]);
        const blind = await open("reader", "reader");
        const without = await Follower.start(blind);
        assertEquals([without.revocations.active, without.log], [false, []]);
        await assertRejects(
          () => revoke(blind, REVOCATION_TABLE, [{ username: "x", realm: "" }]),
          StoreError,
        );
        await server.sql(`GRANT SELECT ON sip.${REVOCATION_TABLE} TO reader@'%'`);
        await assertRejects(
          () => revoke(blind, REVOCATION_TABLE, [{ username: "x", realm: "" }]),
          StoreError,
          `cannot write into table ${REVOCATION_TABLE}`,
        );
        await without.revocations.close();
        await blind.close();
      });
      await t.step("Kamailio's table", async () => {
        const kamailio = await MysqlStore.open({
          hosts,
          database: "kamailio",
          user: server.user,
          password: server.password,
        });
        const followed = await Follower.start(kamailio);
        await server.sql(
          "USE kamailio; INSERT INTO subscriber (username, domain, ha1b) VALUES ('k', 'a.example', 'x');" +
            "UPDATE subscriber SET ha1b = 'y'",
        );
        assertEquals(await followed.until(2, "Kamailio"), ["k@a.example", "k@a.example"]);
        await followed.revocations.close();
        await kamailio.close();
      });
      await t.step("the database goes away: said once, and nothing is forgotten", async () => {
        const { serial } = revocations;
        const lines = follower.log.length;
        await tool.end();
        await server.stop();
        assertEquals(await revocations.refresh(), false);
        assertEquals(await revocations.refresh(), false);
        assertEquals(revocations.serial, serial);
        assertEquals(follower.log.slice(lines).length, 1, follower.log.join("\n"));
        assertStringIncludes(follower.log[lines], "cannot be read, so that revocations wait");
        assert(!follower.log.join().includes(server.password));
      });
      await revocations.close();
      await store.close();
    } finally {
      await server.stop().catch(() => {});
    }
  },
});
