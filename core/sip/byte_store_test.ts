import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { ByteStore } from "./byte_store.ts";

function hold(store: ByteStore, bytes: Uint8Array, offset = 0): number {
  const from = new Uint8Array(bytes.length + offset + 3).fill(0xee);
  from.set(bytes, offset);
  return store.hold(from, offset, offset + bytes.length);
}

function read(store: ByteStore, place: number): Uint8Array {
  const start = store.startOf(place);
  return store.bufferOf(place).slice(start, start + store.lengthOf(place));
}

const LENGTHS = [
  0,
  1,
  59,
  60,
  61,
  124,
  511,
  512,
  1020,
  1021,
  2048,
  4097,
  8188,
  21_820,
  65_507,
  65_532,
  65_533,
];

Deno.test("byte store: a copy is the bytes, whatever the length, and its slot not much larger", () => {
  const store = new ByteStore();
  const random = seededRandom(1);
  const kept = [...LENGTHS, 100_000].map((length) => ({ bytes: random.bytes(length), place: 0 }));
  for (const copy of kept) {
    const before = store.bytesInUse;
    copy.place = hold(store, copy.bytes, 5);
    assert(copy.place > 0);
    const took = store.bytesInUse - before;
    const needed = copy.bytes.length + 4;
    const most = needed <= 1024 ? Math.max(64, needed + 63) : needed <= 16_384 ? needed * 1.25 : needed * 2;
    assert(took >= needed && took <= most, `${took} bytes for ${needed}`);
  }
  for (const { bytes, place } of kept) assertEquals(read(store, place), bytes);
  assertEquals(store.inUse, kept.length);
  for (const { place } of kept) store.give(place);
  assertEquals([store.inUse, store.bytesInUse], [0, 0]);
});

Deno.test("byte store: copies out of large buffers, at any place, are right when the buffer has other content", () => {
  const store = new ByteStore();
  const random = seededRandom(2);
  const buffers = [new Uint8Array(20_000), new Uint8Array(70_000)];
  const kept: { place: number; bytes: Uint8Array }[] = [];
  for (let i = 0; i < 3000; i++) {
    const buffer = buffers[random.below(2)];
    const starts = [0, 2048, 4096, 6144, random.below(buffer.length - 1500), buffer.length - 1500];
    const start = starts[random.below(starts.length)];
    const length = random.below(3) === 0 && start === buffer.length - 1500 ? 1500 : random.below(1501);
    const bytes = random.bytes(length);
    buffer.set(bytes, start);
    kept.push({ place: store.hold(buffer, start, start + length), bytes });
    buffer.fill(0xee, start, start + length);
  }
  for (const { place, bytes } of kept) {
    assertEquals(read(store, place), bytes);
    store.give(place);
  }
  assertEquals([store.inUse, store.bytesInUse], [0, 0]);
});

Deno.test("byte store: what was given back is used again, by copies of any size", () => {
  const store = new ByteStore();
  const small = new Uint8Array(100);
  const fill = (bytes: Uint8Array, total: number): void => {
    const places = Array.from({ length: total / bytes.length }, () => hold(store, bytes));
    assertEquals(new Set(places).size, places.length);
    for (const place of places) store.give(place);
  };
  fill(small, 8_000_000);
  const { capacity } = store;
  assert(capacity < 12_000_000);
  for (const length of LENGTHS.filter((length) => length > 100)) {
    fill(new Uint8Array(length), 6_000_000 - 6_000_000 % length);
    if (length < 20_000) assertEquals(store.capacity, capacity, `after copies of ${length} bytes`);
  }
  for (let i = 0; i < 10; i++) store.give(hold(store, new Uint8Array(1_000_000)));
  assert(store.capacity < 25_000_000, "an array of its own goes when its copy does");
  const place = hold(store, small);
  store.give(place);
  assertEquals(hold(store, small), place, "the slot last given back comes first");
});

Deno.test("byte store: another copy instead takes the same slot if it has the right size", () => {
  const store = new ByteStore();
  const first = hold(store, new Uint8Array(300).fill(1));
  const bytes = new Uint8Array(310).fill(2);
  const second = store.replace(first, bytes, 0, 310);
  assertEquals([second, store.inUse], [first, 1]);
  assertEquals(read(store, second), bytes);
  const shorter = store.replace(second, bytes, 10, 20);
  assertEquals(read(store, shorter), bytes.slice(10, 20));
  assertEquals([store.inUse, store.bytesInUse], [1, 64]);
  const huge = store.replace(shorter, new Uint8Array(70_000), 0, 70_000);
  assertEquals(store.lengthOf(huge), 70_000);
  store.give(store.replace(huge, bytes, 0, 1));
  assertEquals([store.inUse, store.bytesInUse], [0, 0]);
});

Deno.test("byte store agrees with a map", () => {
  const seed = 20261125;
  const random = seededRandom(seed);
  const store = new ByteStore();
  const kept = new Map<number, Uint8Array>();
  for (let step = 0; step < 20_000; step++) {
    const where = `seed ${seed}, step ${step}`;
    // It fills and empties in turns.
    const filling = step % 4000 < 2000;
    if (random.below(100) < (filling ? 70 : 30) || kept.size === 0) {
      const bytes = random.bytes(random.below(random.below(50) === 0 ? 70_000 : 1500));
      const place = hold(store, bytes, random.below(4));
      assert(!kept.has(place), where);
      kept.set(place, bytes);
    } else {
      const places = [...kept.keys()];
      const place = places[random.below(places.length)];
      assertEquals(read(store, place), kept.get(place), where);
      kept.delete(place);
      if (random.below(3) === 0) {
        const bytes = random.bytes(random.below(1500));
        const next = store.replace(place, bytes, 0, bytes.length);
        assert(!kept.has(next), where);
        kept.set(next, bytes);
      } else store.give(place);
    }
    assertEquals(store.inUse, kept.size, where);
  }
  for (const [place, bytes] of kept) {
    assertEquals(read(store, place), bytes, `seed ${seed}`);
    store.give(place);
  }
  assertEquals([store.inUse, store.bytesInUse], [0, 0]);
});
