import { assert, assertEquals, fail } from "@std/assert";
import { StreamWriter } from "./stream_writer_io.ts";

/** Takes at most three bytes at a time, and fails after `limit` of them. */
function slowStream(limit = Infinity) {
  const written: number[] = [];
  return {
    written,
    async write(bytes: Uint8Array): Promise<number> {
      await Promise.resolve();
      if (written.length >= limit) throw new Error("the peer has gone");
      const count = Math.min(3, bytes.length);
      written.push(...bytes.subarray(0, count));
      return count;
    },
  };
}

Deno.test("pieces are written in order and whole, however little the stream takes", async () => {
  const stream = slowStream();
  let progress = 0;
  const writer = new StreamWriter(stream, {
    onProgress: () => progress++,
    onError: (error) => {
      throw error;
    },
  });
  writer.push([Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5)]);
  writer.push([Uint8Array.of(6, 7)]);
  assertEquals(writer.queued, 7);
  await writer.drained;
  assertEquals([stream.written, writer.queued, progress], [[1, 2, 3, 4, 5, 6, 7], 0, 2]);
  assertEquals(writer.stalled(Infinity), 0);
  writer.push([Uint8Array.of(8)]);
  await writer.drained;
  assertEquals(stream.written.length, 8);
});

Deno.test("a stream that fails is told once, and nothing waits any more", async () => {
  const stream = slowStream(3);
  const errors: unknown[] = [];
  const writer = new StreamWriter(stream, { onError: (error) => errors.push((error as Error).message) });
  writer.push([new Uint8Array(10), new Uint8Array(10)]);
  await writer.drained;
  writer.push([new Uint8Array(10)]);
  await writer.drained;
  assertEquals([errors, writer.queued, stream.written.length], [["the peer has gone"], 0, 3]);
});

Deno.test("what waits can be given up", async () => {
  const stream = slowStream();
  const writer = new StreamWriter(stream, { onError: () => {} });
  writer.push([Uint8Array.of(1, 2, 3, 4)]);
  writer.push([Uint8Array.of(5)]);
  writer.clear();
  assertEquals(writer.queued, 0);
  await writer.drained;
  assertEquals(stream.written, [1, 2, 3, 4]);
});

Deno.test("small pieces that come together are written together, and every byte in order", async () => {
  const written: Uint8Array[] = [];
  const writer = new StreamWriter({
    write(bytes) {
      written.push(bytes.slice());
      return Promise.resolve(bytes.length);
    },
  }, { onError: (error) => fail(String(error)) });
  const pieces = Array.from({ length: 10_000 }, (_, i) => new Uint8Array(i % 97).fill(i));
  const large = new Uint8Array(200_000).fill(7);
  writer.push([...pieces, large, ...pieces]);
  await writer.drained;
  const flat = (list: readonly Uint8Array[]) => new Uint8Array(list.flatMap((bytes) => [...bytes]));
  assertEquals(flat(written), flat([...pieces, large, ...pieces]));
  assert(written.length < 20, `${written.length} writes`);
});
