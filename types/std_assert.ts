// The few assertions that the tests use, with types: the npm mirror of @std carries none. Pointing
// "@std/assert" in deno.json at the JSR package replaces this file.
// @ts-types="./std_assert.d.ts"
export {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
  fail,
} from "deno-std/assert/mod.js";
