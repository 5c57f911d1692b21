import { assertEquals } from "@std/assert";
import { Restarts } from "./restarts.ts";

Deno.test("restarts: at once, then later each time, up to five seconds; at once again after a time of quiet", () => {
  const restarts = new Restarts();
  const pauses = [0, 500, 0, 10_000, 0, 0, 29_999, 0, 0].map((servedMs) => restarts.next(servedMs));
  assertEquals(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  assertEquals([restarts.next(30_000), restarts.next(0)], [0, 100]);
});
