/** What every {@linkcode SubscriberStore} and {@linkcode SubscriberAdmin} does: one suite, run against each. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { digestHa1, DigestHasher, loadHashBackend } from "../mod.ts";
import {
  type NewSubscriber,
  StoreError,
  type SubscriberAdmin,
  SubscriberError,
  type SubscriberStore,
} from "./subscriber.ts";
import { DEFAULT_TABLE, type SubscriberTable } from "./subscriber_table.ts";

/** The rows that the store under test must hold: username, domain, ha1; ha1_sha256 is as `sha256Of` says. */
export const CONTRACT_ROWS: readonly (readonly [string, string, string])[] = [
  ["alice", "a.example", "00".repeat(16)],
  ["alice", "b.example", "11".repeat(16)],
  ["Alice", "c.example", "22".repeat(16)],
  ["josé", "a.example", "33".repeat(16)],
  ["o'brien \"%_\\", "a.example", "44".repeat(16)],
  ["漢字😀", "a.example", "55".repeat(16)],
  ["empty", "a.example", ""],
];
/** What stands in ha1_sha256 of each row, where the table has that column. */
export const sha256Of = (ha1: string): string => ha1 + ha1;

/** {@linkcode CONTRACT_ROWS} to be written. */
export function contractRows(): NewSubscriber[] {
  return CONTRACT_ROWS.map(([username, realm, ha1]) => newRow(username, realm, ha1));
}

function newRow(username: string, realm: string, ha1 = "", line?: number): NewSubscriber {
  const hashes = { ha1, ha1_sha256: sha256Of(ha1), ha1_sha512t256: "" };
  return { username, realm, password: "", hashes, ha1b: "", line };
}

/** Runs the suite. The store is opened and closed by the caller. */
export async function storeContract(t: Deno.TestContext, store: SubscriberStore): Promise<void> {
  const ask = async (names: [string, string][], column: "ha1" | "ha1_sha256" = "ha1") =>
    (await store.lookup(names.map(([username, realm]) => ({ username, realm })), column)).map((row) =>
      row?.hash
    );

  await t.step("counts its rows", async () => {
    assertEquals(await store.count(), CONTRACT_ROWS.length);
  });
  await t.step("finds every row, alone and in a list, by position", async () => {
    for (const [username, realm, hash] of CONTRACT_ROWS) {
      assertEquals(await ask([[username, realm]]), [hash], username);
    }
    const list = [...CONTRACT_ROWS].reverse();
    assertEquals(await ask(list.map(([u, r]) => [u, r])), list.map((row) => row[2]));
  });
  await t.step("gives the column that is asked for", async () => {
    assertEquals(await ask([["alice", "b.example"]], "ha1_sha256"), [sha256Of("11".repeat(16))]);
  });
  await t.step("unknown users, and those of another realm, are undefined", async () => {
    assertEquals(
      await ask([["alice", "c.example"], ["nobody", "a.example"], ["", ""], ["alice", "a.example"]]),
      [undefined, undefined, undefined, "00".repeat(16)],
    );
  });
  await t.step("names are compared byte for byte", async () => {
    const near: [string, string][] = [
      ["ALICE", "a.example"],
      ["alice", "A.example"],
      ["alice ", "a.example"],
      ["alice", "c.example"],
      ["jose", "a.example"],
      ["jose\u0301", "a.example"],
      ["alice\0", "a.example"],
      ["%", "a.example"],
    ];
    for (const name of near) assertEquals(await ask([name]), [undefined], JSON.stringify(name));
    assertEquals(await ask(near), near.map(() => undefined));
  });
  await t.step("the same user twice in one list", async () => {
    assertEquals(await ask([["alice", "a.example"], ["alice", "a.example"]]), [
      "00".repeat(16),
      "00".repeat(16),
    ]);
  });
  await t.step("a list of 1000, and many questions at once", async () => {
    const names = Array.from({ length: 1000 }, (_, i): [string, string] => [`user${i}`, `realm${i % 7}`]);
    names[777] = ["josé", "a.example"];
    const found = await ask(names);
    assertEquals(found.filter((hash) => hash !== undefined).length, 1);
    assertEquals(found[777], "33".repeat(16));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => ask([[i % 2 === 0 ? "alice" : "bob", "a.example"]])),
    );
    assertEquals(answers.map(([hash]) => hash !== undefined), answers.map((_, i) => i % 2 === 0));
  });
  await t.step("names that are no SQL", async () => {
    for (
      const name of ["'; DROP TABLE subscriber; --", "\\", '"', "`", "\u{1F600}".repeat(64), "x".repeat(5000)]
    ) {
      assertEquals(await ask([[name, name]]), [undefined], name);
    }
    assertEquals(await store.count(), CONTRACT_ROWS.length);
  });
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Changes of subscribers. The table of the OpenSIPS form is empty before, and after. */
export async function adminContract(
  t: Deno.TestContext,
  store: SubscriberStore & SubscriberAdmin,
): Promise<void> {
  const alice = { username: "alice", realm: "a.example" };
  const names = async (realm?: string) =>
    (await collected(store.list(realm))).map((user) => `${user.username}@${user.realm}`);

  await t.step("writes all or none, and names the user at fault", async () => {
    await store.write([newRow("alice", "a.example", "00".repeat(16))], false);
    const error = await assertRejects(
      () => store.write([newRow("bob", "a.example"), newRow("alice", "a.example", "", 7)], false),
      SubscriberError,
      "alice@a.example exists already",
    );
    assertEquals(error.subscriber.line, 7);
    const broken = async function* () {
      yield newRow("bob", "a.example");
      await Promise.resolve();
      throw new Error("the file ends");
    };
    await assertRejects(() => store.write(broken(), false), Error, "the file ends");
    const many = Array.from({ length: 1300 }, (_, i) => newRow(`user${i}`, "b.example", "", i + 2));
    many[1234] = newRow("alice", "a.example", "", 1236);
    const late = await assertRejects(() => store.write(many, false), SubscriberError, "alice@a.example");
    assertEquals(late.subscriber.line, 1236);
    assertEquals(await names(), ["alice@a.example"]);
  });
  await t.step("replaces if asked", async () => {
    const rows = [newRow("alice", "a.example", "99".repeat(16)), newRow("bob", "b.example", "88".repeat(16))];
    assertEquals(await store.write(rows, true), 2);
    const found = await store.lookup([alice, { username: "bob", realm: "b.example" }], "ha1");
    assertEquals(found.map((row) => row?.hash), ["99".repeat(16), "88".repeat(16)]);
    assertEquals(await names("b.example"), ["bob@b.example"]);
    assertEquals(await names("B.example"), []);
  });
  await t.step(
    "changes a password: a plain one is replaced where one stands, and put nowhere else",
    async () => {
      const row = newRow("alice", "a.example", "77".repeat(16));
      assert(await store.update(row, "new"));
      assertEquals((await collected(store.rows("a.example"))).map((one) => [one.hashes.ha1, one.password]), [
        ["77".repeat(16), ""],
      ]);
      await store.write([{ ...row, password: "old" }], true);
      assert(await store.update(row, "new"));
      assertEquals((await collected(store.rows("a.example")))[0].password, "new");
      assertEquals(await store.update({ ...row, username: "Alice" }, "x"), false);
      assertEquals(await store.update({ ...row, realm: "c.example" }, "x"), false);
    },
  );
  await t.step("gives whole rows back, as they were written", async () => {
    const rows = Array.from(
      { length: 1300 },
      (_, i) => newRow(`user${String(i).padStart(4, "0")}`, "z.example", "ab".repeat(16)),
    );
    const special = newRow("o'brien \"%_\\", "z.example", "cd".repeat(16));
    assertEquals(await store.write([special, ...rows], false), 1301);
    const read = await collected(store.rows("z.example"));
    const plain = ({ username, realm, password, hashes, ha1b }: NewSubscriber) => {
      return { username, realm, password, hashes, ha1b };
    };
    assertEquals(read.map(plain), [special, ...rows].map(plain));
    for await (const user of store.list("z.example")) {
      assertEquals(user, { username: special.username, realm: special.realm });
      break;
    }
    for (const row of [special, ...rows.slice(0, 5)]) assert(await store.remove(row));
    assertEquals(await store.count(), 1297);
  });
  await t.step("removes the user whose name is the same byte for byte, and nobody else", async () => {
    for (const near of [{ ...alice, username: "ALICE" }, { ...alice, realm: "A.example" }]) {
      assertEquals(await store.remove(near), false, near.username);
    }
    assert(await store.remove(alice));
    assertEquals(await store.remove(alice), false);
    for (const user of await collected(store.list())) await store.remove(user);
    assertEquals(await store.count(), 0);
  });
}

/**
 * Tables of other names. There have to be: accounts (user, realm, plain, md5; user and realm unique) without rows, and
 * people (name, ha1), with alice, 32 zeros.
 */
export async function optionsContract(
  t: Deno.TestContext,
  open: (table: SubscriberTable) => Promise<SubscriberStore & SubscriberAdmin>,
): Promise<void> {
  const hasher = new DigestHasher((await loadHashBackend()).backend);
  const accounts: SubscriberTable = {
    table: "accounts",
    user: "user",
    domain: "realm",
    password: "plain",
    hashes: { ...DEFAULT_TABLE.hashes, ha1: "md5" },
    calculateHa1: false,
    useDomain: true,
  };
  const asked = [{ username: "alice", realm: "a.example" }, { username: "bob", realm: "a.example" }];
  await t.step("other names of table and columns; HA1 calculated from plain passwords", async () => {
    const store = await open(accounts);
    await store.write([
      { ...newRow("alice", "a.example", "12".repeat(16)), password: "se cret é😀" },
      { ...newRow("empty", "a.example"), password: "" },
    ], false);
    assertEquals((await store.lookup(asked, "ha1")).map((row) => row?.hash), ["12".repeat(16), undefined]);
    assertEquals((await store.lookup(asked, "ha1_sha256")).map((row) => row?.hash), ["", undefined]);
    await store.close();
    const calculating = await open({ ...accounts, calculateHa1: true });
    for (
      const [column, algorithm] of [
        ["ha1", "MD5"],
        ["ha1_sha256", "SHA-256"],
        ["ha1_sha512t256", "SHA-512-256"],
      ] as const
    ) {
      const found = await calculating.lookup([...asked, { username: "empty", realm: "a.example" }], column);
      assertEquals(found.map((row) => row?.hash), [
        digestHa1(hasher, algorithm, "alice", "a.example", "se cret é😀"),
        undefined,
        "",
      ]);
    }
    await calculating.close();
  });
  await t.step("use_domain 0: the realm is as asked, and a name that stands twice is unknown", async () => {
    const people = await open({ ...DEFAULT_TABLE, table: "people", user: "name", useDomain: false });
    const realms = ["x.example", "y.example"].map((realm) => ({ username: "alice", realm }));
    assertEquals(
      await people.lookup([...realms, asked[1]], "ha1"),
      [...realms.map((user) => ({ ...user, hash: "0".repeat(32) })), undefined],
    );
    assertEquals((await people.lookup([realms[1]], "ha1"))[0]?.realm, "y.example");
    await assertRejects(() => people.write([newRow("x", "y")], false), StoreError, "no column domain");
    await people.close();
    const store = await open({ ...accounts, useDomain: false });
    await store.write([newRow("alice", "b.example"), newRow("bob", "b.example", "34".repeat(16))], false);
    assertEquals((await store.lookup(asked, "ha1")).map((row) => row?.hash), [undefined, "34".repeat(16)]);
    await store.close();
  });
  await t.step("a column that is not there is named", async () => {
    const cases: [Partial<SubscriberTable>, string][] = [
      [{ table: "nowhere" }, "no table nowhere"],
      [{ user: "users" }, "table accounts has no column users; did you mean user?"],
      [{ domain: "somewhere" }, "table accounts has no column somewhere"],
      [{ password: "pln", calculateHa1: true }, "table accounts has no column pln; did you mean plain?"],
      [{ hashes: { ...accounts.hashes, ha1: "ha1" } }, "table accounts has no column ha1"],
      [{ hashes: { ...accounts.hashes, ha1_sha256: "sha" } }, "table accounts has no column sha"],
    ];
    for (const [change, said] of cases) {
      await assertRejects(() => open({ ...accounts, ...change }), StoreError, said);
    }
  });
}
