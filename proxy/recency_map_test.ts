import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../mod.ts";
import { RecencyEntry, RecencyMap } from "./recency_map.ts";

class Item extends RecencyEntry {}

Deno.test("recency map: the least recently used entry goes first", () => {
  const map = new RecencyMap<Item>(3);
  const items = ["a", "b", "c", "d"].map((key) => new Item(key));
  for (const item of items.slice(0, 3)) map.add(item);
  map.touch(items[0]);
  map.add(items[3]);
  assertEquals(["a", "b", "c", "d"].map((key) => map.get(key) !== undefined), [true, false, true, true]);
  map.touch(items[1]); // It is gone: nothing happens.
  assertEquals([map.size, map.get("b")], [3, undefined]);
});

Deno.test("recency map: an entry replaces one with its key; deleting and clearing leave no trace", () => {
  const map = new RecencyMap<Item>(2);
  const [old, young] = [new Item("a"), new Item("a")];
  map.add(old);
  map.add(young);
  assertEquals([map.size, map.get("a") === young, old.moreRecent], [1, true, undefined]);
  assertEquals([map.delete("a"), map.delete("a"), map.size], [true, false, 0]);
  map.add(old);
  map.add(new Item("b"));
  map.clear();
  assertEquals([map.size, old.lessRecent], [0, undefined]);
  map.add(old);
  assertEquals(map.get("a"), old);
});

Deno.test("recency map: agrees with a plain model", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const map = new RecencyMap<Item>(8);
    let model: Item[] = []; // least recently used first
    for (let step = 0; step < 2000; step++) {
      const key = `k${random.below(16)}`;
      const known = model.find((item) => item.key === key);
      switch (random.below(4)) {
        case 0: {
          const item = new Item(key);
          map.add(item);
          model = [...model.filter((other) => other !== known), item].slice(-8);
          break;
        }
        case 1:
          assertEquals(map.delete(key), known !== undefined, `seed ${seed}`);
          model = model.filter((other) => other !== known);
          break;
        default:
          if (known === undefined) break;
          map.touch(known);
          model = [...model.filter((other) => other !== known), known];
      }
      assertEquals(map.size, model.length, `seed ${seed}`);
      assert(model.every((item) => map.get(item.key) === item), `seed ${seed}, step ${step}`);
    }
  }
});
