import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../mod.ts";
import { allocateMemory, Header, NO_USER, User } from "./layout.ts";
import { Names } from "./names.ts";
import { UserTable } from "./user_table.ts";
import { WindowPool } from "./window_pool.ts";
import { BROKEN, WordLock } from "./word_lock.ts";
import { ReplayWindow } from "../../mod.ts";

const REALM = "example.com";
/** A ticket of thread 5, which is no more. */
const LOST = (5 << 20) | 77;

function newTable(maxUsers: number) {
  const memory = allocateMemory(maxUsers, 32, seededRandom(1).bytes(8));
  const names = new Names(memory);
  const lock = new WordLock(1, 3, 3);
  const table = new UserTable(memory, names, lock);
  const place = (name: string) => {
    if (!names.take(name, REALM)) return NO_USER;
    const user = table.open();
    if (user !== NO_USER) table.close(user);
    return user;
  };
  return { memory, names, lock, table, place };
}

Deno.test("locks: taken, given back, broken for good, and taken over", () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const lock = new WordLock(1, 3, 3);
  const ticket = lock.take(words, 0);
  assert(ticket > 0 && words[0] === ticket && words[1] === 0);
  lock.release(words, 0, ticket);
  assertEquals(words[0], 0);
  words[0] = LOST;
  assertEquals([lock.take(words, 0), words[0]], [0, BROKEN]);
  assertEquals(lock.take(words, 0), 0);
  words[1] = LOST;
  const taken = lock.takeOver(words, 1);
  assert(lock.recovered && words[1] === taken);
  lock.release(words, 1, LOST); // The lost one comes back, too late.
  assertEquals(words[1], taken);
  lock.release(words, 1, taken);
  lock.takeOver(words, 1);
  assert(!lock.recovered);
});

Deno.test("locks: a user whose lock was lost with a thread is given up, and can be added again", () => {
  const { memory, table, place } = newTable(100);
  table.add("alice", REALM);
  table.add("bob", REALM);
  const before = place("alice");
  memory.userWords[before * User.WORDS + User.LOCK] = LOST;
  assertEquals(place("alice"), NO_USER);
  assert(place("bob") !== NO_USER);
  table.add("alice", REALM);
  const after = place("alice");
  assert(after !== NO_USER && after !== before);
});

Deno.test("locks: chains that a lost thread left in disorder are made anew", () => {
  const { memory, names, table, place } = newTable(1000);
  const users = Array.from({ length: 200 }, (_, i) => `user${i}`);
  for (const name of users) table.add(name, REALM);
  for (const name of users.slice(0, 100)) {
    const user = place(name);
    names.take(name, REALM);
    table.protect(user);
  }
  const broken = place("user50");
  // It was just moving user50, and had torn everything.
  memory.header[Header.TABLE_LOCK] = LOST;
  memory.header[Header.TABLE_STAMP]++;
  memory.userWords[broken * User.WORDS + User.LOCK] = LOST;
  memory.heads.fill(7, 0, 500);
  for (let part = 0; part < 2; part++) memory.header[Header.PARTS + part * 4] = 12_345;
  table.add("new", REALM);
  assertEquals(users.filter((name) => place(name) === NO_USER), ["user50"]);
  assert(place("new") !== NO_USER);
  assertEquals([table.count(0), table.count(1)], [101, 99]);
  for (let i = 0; i < 1000; i++) table.add(`more${i}`, REALM);
  assertEquals([table.count(0), table.count(1)], [250, 99]);
});

Deno.test("locks: all windows are closed when a thread was lost while it wrote one", () => {
  const { memory, lock } = newTable(100);
  const pool = new WindowPool(memory, lock, 5000);
  const window = new ReplayWindow();
  window.advance(20, 15, 1000);
  const place = pool.store(0, 1, window, 1000);
  const copy = new ReplayWindow();
  assert(pool.load(place, 1, copy) && copy.isOpen(15, 17, 1001, 5000));
  assert(!pool.load(place, 2, copy), "of another credential");
  memory.header[Header.POOL_LOCK] = LOST;
  assert(!pool.load(place, 1, copy));
  assert(pool.store(place, 1, window, 2000) !== 0);
});
