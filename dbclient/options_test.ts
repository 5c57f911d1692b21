import { assertEquals, assertThrows } from "@std/assert";
import { parseFlags, UsageError } from "../mod.ts";
import { chooseServer, SERVER_FLAGS, type ServerChoice } from "./options.ts";

function choose(...args: string[]): ServerChoice {
  const { values, given } = parseFlags(SERVER_FLAGS, args);
  return chooseServer(values, given);
}

Deno.test("the embedded database: -h is the address to listen on", () => {
  assertEquals(choose().database, { kind: "sqlite", path: "proxychain.db" });
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
    database: "sip",
    user: "reader",
    hosts: [{ host: "db1", port: 3310 }, { host: "fd00::2", port: 3307 }, { host: "fd00::3", port: 3310 }],
  });
  assertEquals(choose("-d", "sip", "--db_host", "db2").database, {
    kind: "mysql",
    database: "sip",
    user: "opensips",
    hosts: [{ host: "db2", port: 3306 }],
  });
  assertEquals(choose("--db", "mysql://me:p%40@db3:3307/sip").database, {
    kind: "mysql",
    database: "sip",
    user: "me",
    password: "p@",
    hosts: [{ host: "db3", port: 3307 }],
  });
});

Deno.test("contradictions are refused in one line", () => {
  const cases: [string[], string][] = [
    [["-d", "sip", "--db", "sqlite:x"], "both name a database"],
    [["--db", "postgres:x"], "it takes sqlite:FILE"],
    [["--db", "sqlite:"], "it takes sqlite:FILE"],
    [["--db", "mysql://host/sip"], "mysql://USER@ADDRESS:PORT/NAME"],
    [["--db_host", "x"], "need a MySQL database"],
    [["-d", "sip", "-h", "a", "--db_host", "b"], "it takes one of them"],
    [["-d", "sip", "-h", "a:99999"], "no ADDRESS"],
    [["--algorithms", "MD5,SHA-512"], "it takes MD5, SHA-1, SHA-256"],
    [["-n", "65536"], "from 1 to 65535"],
    [["-p", "x"], "from 0 to 65535"],
    [["--chian", "5"], "did you mean"],
  ];
  for (const [args, message] of cases) {
    const error = assertThrows(() => choose(...args), UsageError, message);
    assertEquals(error.message.includes("\n"), false);
  }
});
