/** Revocation from end to end: DBclient, proxies and phones as they are run, passwords changed by plain SQL. */
import { assert, assertEquals, assertMatch, assertNotEquals, fail } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { batchedIoProblem, ha1 } from "../mod.ts";
import { BusySide, Phone, withSubscribers } from "../proxy/test_phone.ts";
import { freeTcpPort, inTempDir, run, Running } from "../proxy/test_process.ts";
import { backend, challengeOf, statusOf } from "../proxy/testing.ts";
import { mariadbMissing, startMariadb } from "./private_mariadb_io.ts";

const REALM = "example.com";
const USERS = ["alice", "bob", "carol"];
/** Long enough for any machine; the change itself takes two seconds at most. */
const PATIENCE_MS = 30_000;

/** A database with users whose password is "secret", and the triggers of `dbclient schema --revocation`. */
interface Database {
  /** Flags that name it. */
  readonly flags: readonly string[];
  /** What any tool would do. */
  sql(statement: string): unknown;
}

/** How passwords are changed: by nobody who knows of DBclient. */
function passwordChange(username: string, password: string): string {
  const hash = ha1(backend.get("MD5"), { username, realm: REALM }, password);
  return `UPDATE subscriber SET ha1 = '${hash}' WHERE username = '${username}' AND domain = '${REALM}'`;
}

async function succeeded(...args: Parameters<typeof run>): Promise<string> {
  const { code, out, err } = await run(...args);
  assertEquals(code, 0, err);
  return out + err;
}

async function withSqlite(dir: string, use: (database: Database) => Promise<void>): Promise<void> {
  const db = await withSubscribers(dir, USERS);
  const said = await succeeded("dbclient", "schema", "--revocation", "--apply", "--db", db);
  assertMatch(said, /has table subscriber_revocation and its triggers on subscriber\n$/);
  using tool = new DatabaseSync(db.replace("sqlite:", ""));
  await use({ flags: ["--db", db], sql: (statement) => tool.exec(statement) });
}

async function withMariadb(dir: string, use: (database: Database) => Promise<void>): Promise<void> {
  const server = await startMariadb();
  try {
    const rows = USERS.map((name) =>
      `('${name}', '${REALM}', '${ha1(backend.get("MD5"), { username: name, realm: REALM }, "secret")}')`
    );
    const schema = await succeeded("dbclient", "schema", "--revocation");
    const column = (name: string) => `${name} CHAR(64) DEFAULT '' NOT NULL`;
    await server.sql(`CREATE DATABASE sip CHARACTER SET utf8mb4; USE sip; CREATE TABLE subscriber (
      id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL, ${
      ["username", "domain", "password", "ha1", "ha1_sha256", "ha1_sha512t256"].map(column).join(", ")
    }, CONSTRAINT account_idx UNIQUE (username, domain));
      INSERT INTO subscriber (username, domain, ha1) VALUES ${rows.join(", ")}; ${schema}
      CREATE USER reader@'%' IDENTIFIED BY 'reads'; GRANT SELECT ON sip.subscriber TO reader@'%';
      GRANT SELECT, INSERT ON sip.subscriber_revocation TO reader@'%';`);
    await Deno.writeTextFile(`${dir}/password`, "reads\n", { mode: 0o600 });
    const flags = ["-d", "sip", "-u", "reader", "--password_file", `${dir}/password`];
    await use({
      flags: [...flags, "--db_host", `127.0.0.1:${server.port}`],
      sql: (statement) => server.sql(`USE sip; ${statement}`),
    });
  } finally {
    await server.stop();
  }
}

/** Programs that are ended at the end. */
class Site implements AsyncDisposable {
  readonly called = new BusySide();
  readonly #phones: Phone[] = [];
  readonly #running: Running[] = [];
  readonly dbclientPort = freeTcpPort();
  #calls = 0;

  constructor(readonly dir: string, readonly database: Database) {}

  async dbclient(): Promise<Running> {
    const secret = ["--issuer_secret_file", `${this.dir}/issuer`];
    const { flags } = this.database;
    const address = ["--listen", "127.0.0.1", "-p", String(this.dbclientPort)];
    return this.#keep(await Running.start("dbclient", ...flags, ...address, "-n", "1000", ...secret));
  }

  async proxy(...flags: readonly string[]): Promise<Running> {
    const listen = ["--listen", "udp:127.0.0.1:0", "--realm", REALM];
    const next = ["--next_hop", `sip:127.0.0.1:${this.called.port}`];
    const dbclient = ["--dbclient_port", String(this.dbclientPort)];
    return this.#keep(await Running.start("proxy", ...listen, ...next, ...dbclient, ...flags));
  }

  #keep(running: Running): Running {
    this.#running.push(running);
    return running;
  }

  async end(running: Running): Promise<void> {
    this.#running.splice(this.#running.indexOf(running), 1);
    assertEquals((await running.end()).code, 0);
  }

  phone(proxy: Running, name: string, password = "secret"): Phone {
    const phone = new Phone(proxy.port, name, password);
    this.#phones.push(phone);
    return phone;
  }

  /** The status of a call: 486, for the called side is busy, or what the proxy thinks of it. */
  async call(phone: Phone): Promise<number> {
    return statusOf(await phone.authenticated("INVITE", { callId: `call-${++this.#calls}` }));
  }

  /** Calls until it goes wrong. */
  async untilRefused(phone: Phone, what: string): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    let status = 0;
    while (Date.now() < end) {
      status = await this.call(phone);
      // 503: the credential that was on the way is void; it is asked for again.
      if (status === 407) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    fail(`${what}: still ${status}`);
  }

  /** The nonce that a user is challenged with. */
  async nonceOf(proxy: Running, name: string): Promise<string> {
    const answer = await this.phone(proxy, name).plain("INVITE", {
      callId: `nonce-${++this.#calls}`,
      from: `<sip:${name}@${REALM}>`,
    });
    return challengeOf(answer).nonce;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running.splice(0).reverse()) await running.end();
    await Promise.all([this.called.close(), ...this.#phones.map(({ socket }) => socket.close())]);
  }
}

async function changesReachProxies(site: Site, workers: number): Promise<void> {
  const { database } = site;
  const flags = workers === 1 ? [] : ["--workers", String(workers)];
  let dbclient = await site.dbclient();
  assertMatch(dbclient.err, /revocations followed/);
  const proxy = await site.proxy(...flags);
  // Phones on many ports: the workers share one cache.
  const phones = Array.from({ length: 4 * workers }, () => site.phone(proxy, "alice"));
  for (const phone of phones) assertEquals(await site.call(phone), 486);
  const bob = site.phone(proxy, "bob");
  assertEquals(await site.call(bob), 486);

  await database.sql(passwordChange("alice", "changed"));
  for (const phone of phones) await site.untilRefused(phone, "the old password");
  assertEquals(await site.call(site.phone(proxy, "alice", "changed")), 486);
  assertEquals(await site.call(bob), 486, "the others");

  await database.sql(`DELETE FROM subscriber WHERE username = 'bob'`);
  await site.untilRefused(bob, "a user who was removed");

  // Cut off: it goes on with what it has, and is told when it is back.
  const carol = site.phone(proxy, "carol");
  assertEquals(await site.call(carol), 486);
  await site.end(dbclient);
  await database.sql(passwordChange("carol", "changed"));
  assertEquals(await site.call(carol), 486, "DBclient is away");
  dbclient = await site.dbclient();
  await site.untilRefused(carol, "the old password, while DBclient was away");
  assertEquals(await site.call(site.phone(proxy, "carol", "changed")), 486);

  const before = await site.nonceOf(proxy, "carol");
  const said = await succeeded("dbclient", "revoke", "carol", `nobody@${REALM}`, ...database.flags);
  assertMatch(said, /2 users revoked in \S+; 1 of them no subscriber: nobody@example.com\n$/);
  const end = Date.now() + PATIENCE_MS;
  while (await site.nonceOf(proxy, "carol") === before) {
    assert(Date.now() < end, "the credential that was revoked is still offered");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals(await site.call(site.phone(proxy, "carol", "changed")), 486);
}

for (const workers of [1, 2]) {
  Deno.test({
    name: `SQLite: a changed password, a removed user, a revoked one; --workers ${workers}`,
    ignore: workers > 1 && batchedIoProblem() !== undefined,
    fn: () =>
      inTempDir((dir) =>
        withSqlite(dir, async (database) => {
          await using site = new Site(dir, database);
          await changesReachProxies(site, workers);
        })
      ),
  });
}

const missing = await mariadbMissing();
Deno.test({
  name: "MariaDB: a changed password, a removed user, a revoked one" +
    (missing === undefined ? "" : `: skipped, ${missing}`),
  ignore: missing !== undefined,
  fn: () =>
    inTempDir((dir) =>
      withMariadb(dir, async (database) => {
        await using site = new Site(dir, database);
        await changesReachProxies(site, 1);
        // A warm-up file from the same database.
        const [file, key] = [`${dir}/warmup.pcw`, `${dir}/key`];
        await Deno.writeTextFile(key, "000102030405060708090a0b0c0d0e0f\n", { mode: 0o600 });
        await database.sql(`UPDATE subscriber SET username = 'user1' WHERE username = 'alice'`);
        const users = ["--users", "user%d", "--count", "2", "--realm", REALM, "--key_file", key];
        await succeeded("dbclient", "warmup", "--out", file, ...users, ...database.flags);
        const said = await succeeded("dbclient", "warmup", "--inspect", file, "--key_file", key, "--json");
        const { serial, firstUser, users: count } = JSON.parse(said);
        assertEquals([firstUser, count], [`user1@${REALM}`, 1]);
        assert(serial > 0);
      })
    ),
});

Deno.test("a warm-up file: who was revoked since it was written is dropped when DBclient is there", () =>
  inTempDir((dir) =>
    withSqlite(dir, async (database) => {
      await using site = new Site(dir, database);
      await Deno.writeTextFile(`${dir}/key`, "000102030405060708090a0b0c0d0e0f\n", { mode: 0o600 });
      const key = ["--key_file", `${dir}/key`];
      const file = `${dir}/warmup.pcw`;
      await database.sql(passwordChange("alice", "changed before"));
      const what = ["--out", file, "--realm", REALM, "--all", ...key, ...database.flags];
      await succeeded("dbclient", "warmup", ...what);
      const inspected = await succeeded("dbclient", "warmup", "--inspect", file, ...key, "--json");
      assertNotEquals(JSON.parse(inspected).serial, 0);
      await database.sql(passwordChange("carol", "changed since"));
      const proxy = await site.proxy(...key, "--cache_warmup", "1", "--cache_warmup_file", file);
      const old = site.phone(proxy, "carol");
      assertEquals(await site.call(old), 486, "nobody has told the proxy");
      const nonce = await site.nonceOf(proxy, "alice");
      const secret = ["--issuer_secret_file", `${dir}/issuer`];
      const address = ["-p", String(site.dbclientPort)];
      const dbclient = await Running.start("dbclient", ...database.flags, ...address, ...secret, ...key);
      try {
        await site.untilRefused(old, "the old password");
        assertEquals(await site.nonceOf(proxy, "alice"), nonce, "the others keep what the file gave them");
        assertEquals(await site.call(site.phone(proxy, "alice", "changed before")), 486);
        assertEquals(await site.call(site.phone(proxy, "carol", "changed since")), 486);
      } finally {
        await dbclient.end();
      }
    })
  ));

Deno.test("revoke and schema: what is wrong is one line", () =>
  inTempDir(async (dir) => {
    const db = await withSubscribers(dir, ["alice"]);
    const faults: [string[], number, RegExp][] = [
      [["revoke"], 2, /revoke needs a user/],
      [["revoke", "@example.com", "--db", db], 2, /USER or USER@REALM/],
      [["revoke", "alice@", "--db", db], 2, /USER or USER@REALM/],
      [["revoke", "alice", "--revocation_table", "a b"], 2, /--revocation_table/],
      [
        ["revoke", "alice", "--db", db],
        1,
        /has no table subscriber_revocation.*dbclient schema --revocation --apply/,
      ],
      [["revoke", "alice", "--db", `sqlite:${dir}/none.db`], 1, /no such file/],
      [["schema", "--revocation", "--apply", "--db", `sqlite:${dir}/none.db`], 1, /no such file/],
      [["schema", "--revocation", "--mysql", "--sqlite"], 2, /--mysql/],
      [["schema", "--revocation", "--table", "x; DROP"], 2, /--table/],
      [
        ["schema", "--revocation", "--apply", "--db", db, "--secret_columns", "ha1,none"],
        1,
        /no column none/,
      ],
    ];
    for (const [args, code, said] of faults) {
      const outcome = await run("dbclient", ...args);
      assertEquals([outcome.code, outcome.err.trimEnd().split("\n").length], [code, 1], outcome.err);
      assertMatch(outcome.err, said);
    }
    for (const command of [["revoke", "--help"], ["schema", "--revocation", "--help"]]) {
      assertMatch((await run("dbclient", ...command)).out, /^Usage: dbclient /);
    }
    const without = await succeeded("dbclient", "schema", "--revocation", "--use_domain", "0");
    assertMatch(without, /VALUES \(COALESCE\(NEW\.`username`, ''\), ''\)/);
    assertEquals(/(NEW|OLD)\.`domain`/.test(without), false);
    // A schema that could not be applied has left nothing that would refuse changes.
    await succeeded("dbclient", "users", "remove", "alice@example.com", "--db", db);
  }));
