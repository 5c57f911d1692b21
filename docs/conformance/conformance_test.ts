/** docs/CONFORMANCE.md is what the list of items and the tests of today say. */
import { assert, assertEquals } from "@std/assert";
import { readDocument, testsOf } from "./document.ts";
import { CONFORMANCE } from "./items.ts";
import { writtenTests } from "./tests.ts";

const ROOT = new URL("../../", import.meta.url);
const rows = readDocument(Deno.readTextFileSync(new URL("docs/CONFORMANCE.md", ROOT)));
const items = CONFORMANCE.flatMap((chapter) => chapter.items);

Deno.test("docs/CONFORMANCE.md has every item once, in order, and none without a test that passes", () => {
  assertEquals(
    rows.map(({ section, text }) => `${section} ${text}`),
    items.map(({ section, text }) => `${section} ${text}`),
  );
  for (const [i, { section, text, tests, verdict }] of rows.entries()) {
    assertEquals(verdict, "passes", `${section} ${text}`);
    for (const start of items[i].tests) {
      assert(tests.some(({ name }) => name.startsWith(start)), `${section} ${text}: ${start}`);
    }
    assert(items[i].tests.length > 0, `${section} ${text}`);
    assertEquals(
      testsOf(items[i], tests).length,
      tests.length,
      `${section} ${text}: tests that it does not name`,
    );
  }
});

Deno.test("docs/CONFORMANCE.md names only tests that exist", () => {
  const known = new Map<string, ReturnType<typeof writtenTests>>();
  for (const { section, tests } of rows) {
    for (const { name, file } of tests) {
      let written = known.get(file);
      if (written === undefined) {
        written = writtenTests(file, Deno.readTextFileSync(new URL(file, ROOT)));
        known.set(file, written);
      }
      assert(written.some((test) => test.name.test(name)), `${section}: ${name} is not in ${file}`);
    }
  }
});

Deno.test("docs/CONFORMANCE.md: the torture tests are all there by name", () => {
  const chapter = (title: string) => CONFORMANCE.find((its) => its.title.startsWith(title))!.items;
  assertEquals(chapter("RFC 4475").length, 49 + 1);
  assertEquals(new Set(chapter("RFC 4475").map(({ text }) => text)).size, 50);
  assert(chapter("RFC 5118").length > 0);
});
