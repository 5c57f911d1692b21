import { assert, assertEquals } from "@std/assert";
import {
  readyNews,
  type Revocation,
  RevocationLog,
  type RevocationRow,
  revokedFrames,
} from "./revocation_log.ts";

const REALM = "a.example";
const row = (id: number, username = `u${id}`, domain = REALM): RevocationRow => ({ id, username, domain });
const aged = (id: number, age = 3_600_000) => ({ ...row(id), age });
const names = (list: readonly Revocation[]) => list.map(({ serial, username }) => `${serial} ${username}`);
const user = (username: string, realm = REALM) => ({ username, realm });

Deno.test("revocation log: an empty table, then rows in order", () => {
  const log = new RevocationLog();
  log.load([], 0);
  assertEquals([log.serial, log.since(0), log.serialsOf([user("u")])], [0, [], 0]);
  assertEquals(names(log.take([row(5000, "alice")], [], 0)), ["5000 alice"]);
  // What was before the first row is not known: it may be about to come.
  assertEquals([log.serial, log.newest?.id], [4000 - 1, 5000]);
  assertEquals(log.serialOf(user("alice")), 5000);
  log.take([], [], 10_000);
  assertEquals(log.serial, 5000);
  assertEquals(names(log.take([row(5001), row(5002)], [], 10_001)), ["5001 u5001", "5002 u5002"]);
  assertEquals([log.serial, names(log.since(5001) as Revocation[])], [5002, ["5002 u5002"]]);
  assertEquals([log.since(5002), log.since(5003)], [[], "later"]);
});

Deno.test("revocation log: a row that was written before and is committed after another", () => {
  const log = new RevocationLog();
  log.load([aged(10)], 0);
  assertEquals(log.serial, 10);
  // 11 is under way: its user's old row can still be read, with a serial that 11 makes void.
  assertEquals(names(log.take([row(12, "bob")], [], 1000)), ["12 bob"]);
  assertEquals([log.serial, log.serialOf(user("alice")), log.serialOf(user("bob"))], [10, 10, 12]);
  assertEquals(log.serialsOf([user("alice"), user("bob")]), [10, 12]);
  assertEquals(log.gaps(1000).young, [{ from: 11, to: 11, since: 1000 }]);
  // A proxy that is told now goes on from 10, so that it is told of 11 in any case.
  assertEquals(readyNews(log, 10, false), {
    serial: 10,
    revoked: [],
    then: [{ serial: 12, users: [user("bob")] }, { serial: 10, users: [] }],
  });
  assertEquals(names(log.take([], [row(11, "alice")], 2000)), ["11 alice"]);
  assertEquals([log.serial, log.serialOf(user("alice"))], [12, 12]);
  assertEquals(log.gaps(2000), { young: [], watched: [] });
  assertEquals(names(log.take([], [row(11, "alice")], 2000)), [], "known already");
});

Deno.test("revocation log: an id that never comes; and one that comes after all", () => {
  const log = new RevocationLog();
  log.load([aged(10)], 0);
  log.take([row(14, "bob")], [], 0);
  assertEquals(log.serial, 10);
  log.take([], [], 9999);
  assertEquals(log.serial, 10);
  log.take([], [], 10_000);
  assertEquals([log.serial, log.gaps(10_000).watched], [14, [{ from: 11, to: 13, since: 0 }]]);
  // Alice's row was read since, with the serial 14: 12 would not make it void.
  assertEquals(log.serialOf(user("alice")), 14);
  assertEquals(names(log.take([], [row(12, "alice")], 60_000)), ["15 alice"]);
  assertEquals([log.serial, log.serialOf(user("alice")), log.serialOf(user("bob"))], [14, 15, 14]);
  // A proxy that was away knows 14, and is told.
  assertEquals(names(log.since(14) as Revocation[]), ["15 alice"]);
  // The next id is that of another change of hers.
  assertEquals(names(log.take([row(15, "alice")], [], 61_000)), ["16 alice"]);
  assertEquals([log.serial, log.serialOf(user("alice"))], [15, 16]);
  log.take([row(16), row(17)], [], 62_000);
  assertEquals([log.serial, log.serialOf(user("alice"))], [17, 17]);
  assertEquals(log.gaps(62_000).watched, [{ from: 11, to: 11, since: 0 }, { from: 13, to: 13, since: 0 }]);
  log.take([], [], 3_600_000);
  assertEquals(log.gaps(3_600_000).watched, []);
});

Deno.test("revocation log: a long transaction is a gap of many ids, all of which come late", () => {
  const log = new RevocationLog();
  log.load([aged(1)], 0);
  log.take([row(50_001)], [], 0);
  log.take([], [], 20_000);
  const late = Array.from({ length: 49_999 }, (_, i) => row(i + 2));
  const told = log.take([], late, 30_000);
  assertEquals([told.length, told.every(({ serial }) => serial === 50_002)], [49_999, true]);
  assertEquals(log.gaps(30_000).watched, []);
  assertEquals(revokedFrames(told, log.serial, 1000).length, 50);
});

Deno.test("revocation log: what is loaded, and what is too old to be known", () => {
  const log = new RevocationLog({ maxEntries: 100 });
  const rows = Array.from({ length: 100 }, (_, i) => aged(200 + i));
  log.load(rows, 0);
  assertEquals([log.since(198), (log.since(199) as Revocation[]).length, log.since(299)], ["all", 100, []]);
  for (let id = 300; id < 500; id++) log.take([row(id)], [], 0);
  assert(log.size <= 125);
  assertEquals([log.since(300), (log.since(450) as Revocation[]).length], ["all", 49]);
  assertEquals(readyNews(log, 300, false), { serial: 499, revoked: "all" });
});

Deno.test("revocation log: a gap at the end of the table that is loaded is one, unless it is old", () => {
  const log = new RevocationLog();
  log.load([aged(1), aged(5, 20_000), aged(9, 2000)], 100_000);
  assertEquals([log.serial, log.serialOf(user("u9"))], [5, 9]);
  assertEquals(log.gaps(100_000), {
    young: [{ from: 6, to: 8, since: 98_000 }],
    watched: [{ from: 2, to: 4, since: 80_000 }],
  });
  log.take([], [], 108_000);
  assertEquals(log.serial, 9);
});

Deno.test("revocation log: an empty realm is every realm; with use_domain=0 all are", () => {
  const log = new RevocationLog();
  log.load([aged(10)], 0);
  log.take([row(12, "alice", "")], [], 0);
  assertEquals([log.serialOf(user("alice")), log.serialOf(user("bob"))], [12, 10]);
  const any = new RevocationLog({ anyRealm: true });
  any.load([aged(10)], 0);
  assertEquals(any.take([row(11, "alice", "somewhere")], [], 0), [{ serial: 11, ...user("alice", "") }]);
});

Deno.test("revocation log: a proxy of another table, and one that has read further, are told after another look", () => {
  const log = new RevocationLog();
  log.load([aged(10)], 0);
  assertEquals(readyNews(log, 11, false), "later");
  assertEquals(readyNews(log, 11, true), { serial: 10, revoked: "all" });
  assertEquals(readyNews(log, 10, false), { serial: 10, revoked: [] });
  assertEquals(readyNews(undefined, 0, false), { serial: 0, revoked: [] });
  assertEquals(readyNews(undefined, 1, false), { serial: 0, revoked: "all" });
});

Deno.test("revocation log: frames hold 1000 users; ahead of the serial each has its own; endless names are left out", () => {
  const list = Array.from({ length: 2500 }, (_, i): Revocation => ({ serial: i + 1, ...user(`u${i}`) }));
  assertEquals(revokedFrames(list, 2500, 1000).map(({ serial, users }) => [serial, users.length]), [
    [1000, 1000],
    [2000, 1000],
    [2500, 500],
  ]);
  assertEquals(revokedFrames(list.slice(0, 4), 2, 1000).map(({ serial, users }) => [serial, users.length]), [
    [2, 2],
    [3, 1],
    [4, 1],
  ]);
  assertEquals(revokedFrames([{ serial: 1, ...user("漢".repeat(86)) }], 1, 1000), []);
});
