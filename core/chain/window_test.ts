import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { WINDOW_SIZE } from "./constants.ts";
import { ReplayWindow } from "./window.ts";

const REORDER_MS = 5000;

/** The rule of docs/PROTOCOL.md §6 step 5 with a map of everything that ever happened. */
class NaiveWindow {
  readonly #skippedAt = new Map<number, number>();
  readonly #used = new Set<number>();

  constructor(public i: number) {}

  advance(to: number, now: number): void {
    for (let index = to + 1; index < this.i; index++) {
      if (!this.#skippedAt.has(index)) this.#skippedAt.set(index, now);
    }
    this.#used.add(to);
    this.i = to;
  }

  isOpen(index: number, now: number, reorderMs: number): boolean {
    const at = this.#skippedAt.get(index);
    return index >= this.i && index <= this.i + 63 && at !== undefined && now - at < reorderMs &&
      !this.#used.has(index);
  }

  close(index: number): void {
    this.#used.add(index);
  }
}

Deno.test("the window agrees with a naive model: drops of 1 … 200, times around reorder_ms", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const window = new ReplayWindow();
    const model = new NaiveWindow(3000);
    let now = random.below(10_000);
    for (let step = 0; step < 60 && model.i > 200; step++) {
      const at = `seed ${seed}, step ${step}, i = ${model.i}, now = ${now}`;
      const drop = 1 + random.below([1, 3, 64, 66, 200][random.below(5)]);
      window.advance(model.i, model.i - drop, now);
      model.advance(model.i - drop, now);
      for (let look = 0; look < 4; look++) {
        for (let index = model.i; index < model.i + 140; index++) {
          const expected = model.isOpen(index, now, REORDER_MS);
          assertEquals(window.isOpen(model.i, index, now, REORDER_MS), expected, `${at}, index ${index}`);
        }
        const open = Array.from({ length: 64 }, (_, k) => model.i + k)
          .filter((index) => model.isOpen(index, now, REORDER_MS));
        assertEquals(window.isEmpty(now, REORDER_MS), open.length === 0, at);
        if (open.length > 0 && random.below(2) === 0) {
          const index = open[random.below(open.length)];
          window.close(index);
          model.close(index);
        }
        now += [0, 1, 7, 1249, 2500, 4999, 5000, 5001][random.below(8)];
      }
    }
  }
});

Deno.test("exactly the 64 indices from i up are looked at", () => {
  for (const drop of [63, 64, 65, 127, 128, 129, 2 ** 15]) {
    const window = new ReplayWindow();
    const to = 65_535 - drop;
    window.advance(65_535, to, 0);
    const open = [];
    for (let index = to; index < 65_535; index++) {
      if (window.isOpen(to, index, 0, REORDER_MS)) open.push(index);
    }
    const expected = Array.from({ length: Math.min(drop - 1, WINDOW_SIZE - 1) }, (_, k) => to + 1 + k);
    assertEquals(open, expected, `drop ${drop}`);
  }
});

Deno.test("a skipped index is open for less than reorder_ms from its first skip", () => {
  const window = new ReplayWindow();
  window.advance(20, 15, 1000);
  window.advance(15, 10, 4000);
  const openAt = (now: number) =>
    [11, 12, 13, 14, 16, 17, 18, 19].filter((index) => window.isOpen(10, index, now, REORDER_MS));
  assertEquals(openAt(5999), [11, 12, 13, 14, 16, 17, 18, 19]);
  assertEquals(openAt(6000), [11, 12, 13, 14]);
  assertEquals(openAt(8999.9), [11, 12, 13, 14]);
  assertEquals(openAt(9000), []);
  assert(!window.isEmpty(8999, REORDER_MS));
  assert(window.isEmpty(9000, REORDER_MS));
});

Deno.test("accepted and closed indices stay shut, also where the ring comes round to their slot", () => {
  const window = new ReplayWindow();
  assert(!window.isOpen(100, 100, 0, REORDER_MS), "nothing is open at first");
  window.advance(100, 98, 0);
  assert(!window.isOpen(98, 98, 0, REORDER_MS), "the accepted one");
  assert(window.isOpen(98, 99, 0, REORDER_MS));
  window.close(99);
  assert(!window.isOpen(98, 99, 0, REORDER_MS));
  window.advance(98, 34, 1);
  assert(!window.isOpen(34, 98, 1, REORDER_MS), "64 above i: its slot is that of i");
  assert(!window.isOpen(34, 34, 1, REORDER_MS));
  assert(window.isOpen(34, 97, 1, REORDER_MS));
});

Deno.test("with reorder_ms 0 nothing is ever open", () => {
  const window = new ReplayWindow();
  window.advance(10, 5, 0);
  for (let index = 5; index < 80; index++) assert(!window.isOpen(5, index, 0, 0));
  assert(window.isEmpty(0, 0));
});
