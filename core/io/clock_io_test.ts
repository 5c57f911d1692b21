import { assert, assertEquals } from "@std/assert";
import { now, systemRandom } from "./clock_io.ts";

Deno.test("the clock does not go back", () => {
  const first = now();
  assert(now() >= first);
});

Deno.test("system randomness: sizes, limits, no repetition over the buffer's end", () => {
  for (const size of [0, 1, 16, 8192, 70_000]) assertEquals(systemRandom.bytes(size).length, size);
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) seen.add(systemRandom.bytes(16).join(","));
  assertEquals(seen.size, 2000);
  for (const limit of [1, 2, 3, 1000, 2 ** 31 + 1, 2 ** 32]) {
    for (let i = 0; i < 200; i++) {
      const value = systemRandom.below(limit);
      assert(Number.isInteger(value) && value >= 0 && value < limit);
    }
  }
  assertEquals(systemRandom.below(1), 0);
});
