/** What every {@linkcode SubscriberStore} does: one suite, run against each. */
import { assertEquals } from "@std/assert";
import type { SubscriberStore } from "./subscriber.ts";

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
