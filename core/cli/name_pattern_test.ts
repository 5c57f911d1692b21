import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "./flags.ts";
import { namePattern } from "./name_pattern.ts";

Deno.test("name patterns are printf's", () => {
  for (
    const [pattern, number, name] of [
      ["user%06d", 7, "user000007"],
      ["user%06d", 12345678, "user12345678"],
      ["%d", 0, "0"],
      ["u%3dx", 5, "u  5x"],
      ["100%%-%d-%%", 9, "100%-9-%"],
    ] as const
  ) assertEquals(namePattern("--users", pattern)(number), name);
  for (const pattern of ["user", "%d%d", "%s", "50%", "%-5d", "%123d", ""]) {
    assertThrows(() => namePattern("--users", pattern), UsageError, "--users");
  }
});

Deno.test("a name pattern without a number is the same text, where that is allowed", () => {
  assertEquals(namePattern("--password", "50%%", true)(7), "50%");
  assertEquals(namePattern("--password", "p%d", true)(7), "p7");
  for (const pattern of ["%s", "%d%d", "x%", "%06"]) {
    assertThrows(() => namePattern("--password", pattern, true), UsageError, "%06d");
  }
});
