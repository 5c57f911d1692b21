/** What is written behind: batches, a table that fails for a while, rows that it does not take, what is read at the start. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { now, parseFlags } from "../../mod.ts";
import { Fatal } from "../fatal.ts";
import type { Registration } from "../location.ts";
import { PROXY_FLAGS, type ProxyValues } from "../options.ts";
import { inTempDir, until } from "../test_process.ts";
import { LocationKeeper } from "./location_keeper_io.ts";

function valuesOf(dir: string, ...more: string[]): ProxyValues {
  const flags = ["--registrar", "1", "--realm", "example.com", "--location_db", `sqlite:${dir}/location.db`];
  return parseFlags(PROXY_FLAGS, [...flags, ...more]).values;
}

let cseq = 0;

function registration(user: string, uri = `sip:${user}@192.0.2.1`, seconds = 600): Registration {
  return {
    aor: `${user}@example.com`,
    callId: "a",
    cseq: ++cseq,
    contacts: [{ uri, q: 1, params: "", seconds }],
    path: [],
    received: undefined,
    userAgent: "",
  };
}

/** A keeper and what it says. */
async function open(values: ProxyValues): Promise<{ keeper: LocationKeeper; logs: string[] }> {
  const logs: string[] = [];
  const log = (event: string, fields: Readonly<Record<string, string | number>>) =>
    void logs.push(`${event} ${JSON.stringify(fields)}`);
  return { keeper: await LocationKeeper.open({ values, log }), logs };
}

function usersIn(dir: string): string[] {
  const database = new DatabaseSync(`${dir}/location.db`, { readOnly: true });
  const rows = database.prepare("SELECT username FROM location ORDER BY username").all();
  database.close();
  return (rows as unknown as { username: string }[]).map(({ username }) => username);
}

Deno.test("location keeper: what changes is in the table soon, and at the end at once", async () => {
  await inTempDir(async (dir) => {
    const { keeper } = await open(valuesOf(dir));
    keeper.location.apply(registration("alice"), now());
    await until(() => usersIn(dir).join() === "alice", "writing");
    keeper.location.apply(registration("bob"), now());
    keeper.location.apply(registration("alice", undefined, 0), now());
    await keeper.close();
    assertEquals(usersIn(dir), ["bob"]);
  });
});

Deno.test("location keeper: more users than one batch", async () => {
  await inTempDir(async (dir) => {
    const { keeper } = await open(valuesOf(dir));
    for (let i = 0; i < 1000; i++) keeper.location.apply(registration(`u${i}`), now());
    await keeper.close();
    assertEquals(usersIn(dir).length, 1000);
    const again = await open(valuesOf(dir));
    assertEquals([again.keeper.location.size, again.keeper.location.contacts], [1000, 1000]);
    await again.keeper.close();
  });
});

Deno.test("location keeper: a table that is locked costs nobody a registration, and is written when it works again", async () => {
  await inTempDir(async (dir) => {
    const { keeper, logs } = await open(valuesOf(dir));
    const other = new DatabaseSync(`${dir}/location.db`);
    other.exec("BEGIN IMMEDIATE");
    keeper.location.apply(registration("alice"), now());
    await until(() => logs.some((line) => line.startsWith("location_db_failed")), "failure");
    assert("bindings" in keeper.location.apply(registration("bob"), now()));
    keeper.location.apply(registration("alice", "sip:alice@192.0.2.9"), now());
    other.exec("ROLLBACK");
    other.close();
    await until(() => logs.some((line) => line.startsWith("location_db_works")), "recovery");
    await keeper.close();
    assertEquals(usersIn(dir), ["alice", "alice", "bob"]); // Two contacts of alice.
    // Said once, however often it failed.
    assertEquals(logs.filter((line) => line.startsWith("location_db_failed")).length, 1);
  });
});

Deno.test("location keeper: what is left unwritten at the end is said", async () => {
  await inTempDir(async (dir) => {
    const { keeper, logs } = await open(valuesOf(dir));
    const other = new DatabaseSync(`${dir}/location.db`);
    other.exec("BEGIN IMMEDIATE");
    keeper.location.apply(registration("alice"), now());
    await keeper.close();
    assertStringIncludes(logs.at(-1)!, 'location_lost {"name":"sqlite:');
    assertStringIncludes(logs.at(-1)!, '"users":1}');
    other.close();
  });
});

Deno.test("location keeper: rows of other domains, malformed and too many ones are passed over", async () => {
  await inTempDir(async (dir) => {
    const first = await open(valuesOf(dir));
    await first.keeper.close();
    const database = new DatabaseSync(`${dir}/location.db`);
    const insert = database.prepare(
      "INSERT INTO location (username, domain, contact, expires) VALUES (?, ?, ?, ?)",
    );
    const soon = Math.floor(Date.now() / 1000) + 600;
    insert.run("alice", "example.com", "sip:a@192.0.2.1", soon);
    insert.run("alice", "example.com", "sip:a@192.0.2.2", soon);
    insert.run("alice", "example.com", "sip:a@192.0.2.3", soon);
    insert.run("bob", "example.org", "sip:b@192.0.2.1", soon);
    insert.run("carol", "example.com", "nonsense", soon);
    insert.run("dave", "example.com", "sip:d@192.0.2.1", 1000);
    database.close();
    const { keeper, logs } = await open(valuesOf(dir, "--max_contacts", "2"));
    assertEquals([keeper.location.size, keeper.location.contacts], [1, 2]);
    assertStringIncludes(logs[0], '"users":1,"contacts":2,"skipped":3');
    await keeper.close();
  });
});

Deno.test("location keeper: a password file that is not there is said in one line", async () => {
  const values = parseFlags(PROXY_FLAGS, [
    ...["--registrar", "1", "--realm", "example.com", "--location_db", "mysql://a@127.0.0.1:1/sip"],
    ...["--location_password_file", "/no/such/file"],
  ]).values;
  const error = await assertRejects(() => open(values), Error);
  assertEquals(error.message, "--location_password_file /no/such/file: no such file");
  await assertRejects(() => open(valuesOf("/no/such/dir")), Fatal);
});
