import { assert, assertEquals } from "@std/assert";
import { ByteStore } from "./byte_store.ts";

Deno.test("byte store: a slot has room, overlaps no other and is used again", () => {
  const store = new ByteStore();
  const lengths = [0, 1, 511, 512, 513, 1024, 1025, 2048, 4097, 65_535, 65_536, 100_000];
  const slots = lengths.map((length) => store.take(length));
  for (const [i, slot] of slots.entries()) {
    assert(slot.capacity >= lengths[i] && slot.capacity <= Math.max(512, 2 * lengths[i]), `${lengths[i]}`);
    assert(slot.start + slot.capacity <= slot.buffer.length);
    for (const other of slots.slice(0, i)) {
      const apart = other.start + other.capacity <= slot.start || slot.start + slot.capacity <= other.start;
      assert(other.buffer !== slot.buffer || apart);
    }
  }
  assertEquals(store.inUse, lengths.length);
  for (const slot of slots) store.give(slot);
  assertEquals(store.inUse, 0);
  for (const length of lengths.toReversed()) assert(slots.includes(store.take(length)));
});
