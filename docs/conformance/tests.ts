/** The tests of this project by name: as the sources write them, and as a run reports them. */

/** A test as it is written: its name may have parts that are put in when it runs. */
export interface WrittenTest {
  /** Path from the root. */
  readonly file: string;
  readonly name: RegExp;
}

/** What a run says of a test. */
export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly verdict: "passes" | "fails" | "skipped";
}

const NAME = /(?:^\s*(?:Deno\.)?test\(\s*|^\s*name:\s*)(?:"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/gm;
const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * The tests that a source file defines.
 *
 * @example
 * ```ts
 * import { writtenTests } from "./tests.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const source = 'Deno.test("one", () => {});\nDeno.test(`two ${n}, three`, () => {});';
 * assertEquals(writtenTests("a_test.ts", source).map(({ name }) => name.test("two 2, three")), [false, true]);
 * ```
 */
export function writtenTests(file: string, source: string): WrittenTest[] {
  return [...source.matchAll(NAME)].map(([, plain, template]) => {
    if (plain !== undefined) return { file, name: new RegExp(`^${escaped(JSON.parse(`"${plain}"`))}$`) };
    const parts = template.split(/\$\{[^}]*\}/).map((part) => escaped(part.replaceAll("\\`", "`")));
    return { file, name: new RegExp(`^${parts.join(".*")}$`) };
  });
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
const decoded = (text: string) =>
  text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? all;
    return String.fromCodePoint(decimal === undefined ? parseInt(hex, 16) : Number(decimal));
  });

/**
 * Reads what `deno test --junit-path` has written.
 *
 * @example
 * ```ts
 * import { readJunit } from "./tests.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = '<testsuite name="./a_test.ts"><testcase name="x &gt; 1" classname="./a_test.ts" time="0"></testcase>' +
 *   '<testcase name="y" classname="./a_test.ts"><failure message="no"/></testcase></testsuite>';
 * assertEquals(readJunit(text), [
 *   { file: "a_test.ts", name: "x > 1", verdict: "passes" },
 *   { file: "a_test.ts", name: "y", verdict: "fails" },
 * ]);
 * ```
 */
export function readJunit(text: string): TestResult[] {
  return [...text.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes, inside]) => {
      const attribute = (name: string) =>
        decoded(new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
      const has = (element: string) => inside?.includes(`<${element}`) === true;
      return {
        file: attribute("classname").replace(/^\.\//, ""),
        name: attribute("name"),
        verdict: has("failure") || has("error") ? "fails" : has("skipped") ? "skipped" : "passes",
      };
    },
  );
}
