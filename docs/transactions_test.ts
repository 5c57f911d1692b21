import { assertEquals } from "@std/assert";
import { transactionsDocument } from "./transactions.ts";

Deno.test("docs/TRANSACTIONS.md is drawn from the tables", () => {
  assertEquals(Deno.readTextFileSync(new URL("TRANSACTIONS.md", import.meta.url)), transactionsDocument());
});
