import { assert, assertEquals } from "@std/assert";
import { nodeHealth } from "./mysql_health.ts";
import { lookupStatements, type MysqlTable, placeholder, quoted } from "./mysql_sql.ts";
import { DEFAULT_TABLE, TableColumns } from "./subscriber_table.ts";

const TABLE: MysqlTable = {
  ...DEFAULT_TABLE,
  columns: new TableColumns(["USERNAME", "domain", "password", "ha1", "ha1_sha256"]),
  userPlaceholder: "?",
  domainPlaceholder: "?",
};
const users = (count: number, realm: string) =>
  Array.from({ length: count }, (_, i) => ({ username: `u${i}`, realm }));

Deno.test("one realm: a list, filled up to a length that is prepared anyway", () => {
  assertEquals(lookupStatements(TABLE, users(3, "a"), "ha1"), [{
    sql: "SELECT `username`, `domain`, COALESCE(`ha1`, '') FROM `subscriber` " +
      "WHERE `domain` = ? AND `username` IN (?, ?, ?, ?)",
    values: ["a", "u0", "u1", "u2", "u2"],
  }]);
  const many = lookupStatements(TABLE, users(1000, "a"), "ha1");
  assertEquals(many.map(({ values }) => values.length), [513, 513]);
});

Deno.test("many realms: pairs; a realm with many users has its own list; a user asked twice stands once", () => {
  const asked = [...users(20, "big"), ...users(2, "b"), ...users(1, "c"), ...users(2, "b")];
  const statements = lookupStatements(TABLE, asked, "ha1_sha512t256");
  assertEquals(statements.map(({ values }) => values.length), [33, 8]);
  assertEquals(statements[1].values.slice(0, 6), ["u0", "b", "u1", "b", "u0", "c"]);
  assert(statements[1].sql.startsWith("SELECT `username`, `domain`, '' FROM"));
  assert(statements.every(({ sql }) => !sql.includes("u0")));
});

Deno.test("a table without domain, and plain passwords", () => {
  const table = { ...TABLE, useDomain: false, calculateHa1: true };
  assertEquals(lookupStatements(table, [...users(1, "a"), ...users(2, "b")], "ha1"), [{
    sql: "SELECT `username`, '', COALESCE(`password`, '') FROM `subscriber` WHERE `username` IN (?, ?)",
    values: ["u0", "u1"],
  }]);
});

Deno.test("identifiers and character sets", () => {
  assertEquals(quoted("a`b"), "`a``b`");
  const kind = { name: "x", charset: "latin1", collation: "latin1_swedish_ci" };
  assertEquals(placeholder(kind), "CONVERT(? USING latin1) COLLATE latin1_swedish_ci");
  assertEquals(placeholder({ ...kind, charset: "utf8mb4" }), "?");
  assertEquals(placeholder({ ...kind, collation: "x; y" }), "?");
});

Deno.test("what a node says of itself", () => {
  const rank = (status: Record<string, string>) => nodeHealth(new Map(Object.entries(status))).rank;
  const galera = {
    wsrep_provider_name: "Galera",
    wsrep_cluster_status: "Primary",
    wsrep_ready: "ON",
    wsrep_local_state: "4",
    wsrep_local_state_comment: "Synced",
    read_only: "OFF",
  };
  assertEquals(rank({}), "good");
  assertEquals(rank({ read_only: "OFF", super_read_only: "OFF" }), "good");
  assertEquals(
    rank({ read_only: "OFF", wsrep_provider_name: "", wsrep_cluster_status: "Disconnected" }),
    "good",
  );
  assertEquals(rank({ read_only: "ON" }), "read_only");
  assertEquals(rank({ read_only: "OFF", super_read_only: "ON" }), "read_only");
  assertEquals(rank(galera), "good");
  assertEquals(rank({ ...galera, read_only: "ON" }), "read_only");
  assertEquals(rank({ ...galera, wsrep_local_state: "2" }), "not_synced");
  assertEquals(rank({ ...galera, wsrep_ready: "OFF" }), "down");
  assertEquals(rank({ ...galera, wsrep_cluster_status: "non-Primary" }), "down");
});
