import { assertEquals, assertThrows } from "@std/assert";
import { parseFlags, UsageError } from "../mod.ts";
import { chooseServer, SERVER_FLAGS, type ServerChoice } from "./options.ts";
import { DEFAULT_TABLE } from "./subscriber_table.ts";

/** What goes with every MySQL database unless flags say otherwise. */
const USUAL = { table: DEFAULT_TABLE, connections: 2, timeout: 2000 };

function choose(...args: string[]): ServerChoice {
  const { values, given } = parseFlags(SERVER_FLAGS, args);
  return chooseServer(values, given);
}

Deno.test("the embedded database: -h is the address to listen on", () => {
  assertEquals(choose().database, { kind: "sqlite", path: "proxychain.db", table: DEFAULT_TABLE });
  assertEquals(choose().listen, "127.0.0.1");
  assertEquals(choose("--db", "sqlite:/x/y.db", "-h", "127.0.0.2").listen, "127.0.0.2");
  assertEquals(choose("-h", "::1").listen, "::1");
});

Deno.test("MySQL: -h is the address of the database, as in the mysql client; --listen that of DBclient", () => {
  const choice = choose(
    "-d",
    "sip",
    "-u",
    "reader",
    "-h",
    "db1,[fd00::2]:3307,fd00::3",
    "--db_port",
    "3310",
    "--listen",
    "127.0.0.3",
  );
  assertEquals(choice.listen, "127.0.0.3");
  assertEquals(choice.database, {
    kind: "mysql",
    ...USUAL,
    database: "sip",
    user: "reader",
    hosts: [{ host: "db1", port: 3310 }, { host: "fd00::2", port: 3307 }, { host: "fd00::3", port: 3310 }],
  });
  assertEquals(choose("-d", "sip", "--db_host", "db2").database, {
    kind: "mysql",
    ...USUAL,
    database: "sip",
    user: "opensips",
    hosts: [{ host: "db2", port: 3306 }],
  });
  assertEquals(choose("--db", "mysql://me:p%40@db3:3307/sip").database, {
    kind: "mysql",
    ...USUAL,
    database: "sip",
    user: "me",
    password: "p@",
    hosts: [{ host: "db3", port: 3307 }],
  });
  assertEquals(choose("--db", "mysql://me@[::1]:3307,db4/sip", "--db_connections", "4").database, {
    kind: "mysql",
    ...USUAL,
    database: "sip",
    user: "me",
    hosts: [{ host: "::1", port: 3307 }, { host: "db4", port: 3306 }],
    connections: 4,
  });
});

Deno.test("names of table and columns, as OpenSIPS writes them", () => {
  const table = (...args: string[]) => choose(...args).database.table;
  assertEquals(table("--table", "accounts", "--user_column", "user", "--domain_column", "realm"), {
    ...DEFAULT_TABLE,
    table: "accounts",
    user: "user",
    domain: "realm",
  });
  // Without calculate_ha1 OpenSIPS's password_column holds HA1.
  assertEquals(table("--password_column", "secret"), {
    ...DEFAULT_TABLE,
    hashes: { ...DEFAULT_TABLE.hashes, ha1: "secret" },
  });
  assertEquals(table("--password_column", "secret", "--hash_column", "md5").password, "secret");
  assertEquals(table("--calculate_ha1", "--password_column", "plain", "--use_domain", "0"), {
    ...DEFAULT_TABLE,
    password: "plain",
    calculateHa1: true,
    useDomain: false,
  });
});

Deno.test("contradictions are refused in one line", () => {
  const cases: [string[], string][] = [
    [["-d", "sip", "--db", "sqlite:x"], "both name a database"],
    [["--db", "postgres:x"], "it takes sqlite:FILE"],
    [["--db", "sqlite:"], "it takes sqlite:FILE"],
    [["--db", "mysql://host/sip"], "mysql://USER@ADDRESS:PORT,…/NAME"],
    [["--db_host", "x"], "need a MySQL database"],
    [["-d", "sip", "-h", "a", "--db_host", "b"], "it takes one of them"],
    [["-d", "sip", "-h", "a:99999"], "no ADDRESS"],
    [["--algorithms", "MD5,SHA-512"], "it takes MD5, SHA-1, SHA-256"],
    [["-n", "65536"], "from 1 to 65535"],
    [["-p", "x"], "from 0 to 65535"],
    [["--chian", "5"], "did you mean"],
    [["--table", "subscriber; DROP TABLE x"], "--table: "],
    [["--user_column", "a`b"], "it takes letters, digits, _, $ and -"],
    [["--hash_column_sha256", "HA1"], "column HA1 is named for two things"],
    [["--db", "mysql://me@db/sip", "--db_host", "x"], "both name the database's address"],
  ];
  for (const [args, message] of cases) {
    const error = assertThrows(() => choose(...args), UsageError, message);
    assertEquals(error.message.includes("\n"), false);
  }
});
