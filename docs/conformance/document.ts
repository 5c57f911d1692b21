/** docs/CONFORMANCE.md: each item with its tests and their verdict. */
import { CONFORMANCE, type ConformanceItem } from "./items.ts";
import type { TestResult } from "./tests.ts";

const INTRODUCTION = `# Conformance

Written by \`deno task conformance\`, which runs the tests; do not edit. docs/conformance/items.ts has the items, and a test compares the
two. Sections are those of the RFC in the title; a number in front of a section is another RFC.
`;

/** What stands in the table for an item that nothing tests. */
export const UNTESTED = "no test";

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

/** The tests of an item, in the order of its names. */
export function testsOf<T extends { readonly name: string }>(
  item: ConformanceItem,
  tests: readonly T[],
): T[] {
  return item.tests.flatMap((start) => tests.filter(({ name }) => name.startsWith(start)));
}

/** One word for all tests of an item; {@linkcode UNTESTED} also when one of its names fits none. */
function verdictOf(item: ConformanceItem, results: readonly TestResult[]): string {
  if (item.tests.length === 0) return UNTESTED;
  const verdicts = item.tests.map((start) => {
    const those = results.filter(({ name }) => name.startsWith(start)).map(({ verdict }) => verdict);
    if (those.length === 0) return UNTESTED;
    return (["fails", "skipped"] as const).find((verdict) => those.includes(verdict)) ?? "passes";
  });
  return (["fails", UNTESTED, "skipped"] as const).find((verdict) => verdicts.includes(verdict)) ?? "passes";
}

/** The document's text. */
export function conformanceDocument(results: readonly TestResult[]): string {
  const verdicts = CONFORMANCE.flatMap(({ items }) => items.map((item) => verdictOf(item, results)));
  const count = (verdict: string) => verdicts.filter((its) => its === verdict).length;
  const named = new Set(
    CONFORMANCE.flatMap(({ items }) => items.flatMap((item) => testsOf(item, results))),
  );
  const chapters = CONFORMANCE.map(({ title, items }) => {
    const rows = items.map((item) => {
      const tests = testsOf(item, results).map(({ file, name }) => `${cell(name)} (${file})`);
      return `| ${item.section} | ${cell(item.text)} | ${tests.join("<br>")} | ${verdictOf(item, results)} |`;
    });
    return `## ${title}\n\n| § | Item | Tests | Verdict |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${INTRODUCTION}
${verdicts.length} items, ${named.size} tests: ${count("passes")} pass, ${count("fails")} fail, ${
    count("skipped")
  } skipped, ${count(UNTESTED)} without a test.

${chapters.join("\n")}`;
}

/** A row of the table as it is read back. */
export interface DocumentRow {
  readonly section: string;
  readonly text: string;
  readonly tests: readonly { readonly name: string; readonly file: string }[];
  readonly verdict: string;
}

/** Reads the rows of all tables. */
export function readDocument(text: string): DocumentRow[] {
  const plain = (part: string) => part.trim().replaceAll("&lt;", "<").replaceAll("\\|", "|");
  return text.split("\n").filter((line) => /^\| (?!§)/.test(line)).map((line) => {
    const [, section, item, tests, verdict] = line.split(/(?<!\\)\|/);
    return {
      section: plain(section),
      text: plain(item),
      verdict: plain(verdict),
      tests: tests.trim().split("<br>").filter((part) => part !== "").map((part) => {
        const [, name, file] = /^(.*) \(([^()]*)\)$/.exec(part) ?? [];
        return { name: plain(name ?? part), file: file ?? "" };
      }),
    };
  });
}
