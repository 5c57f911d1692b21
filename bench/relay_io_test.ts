import { assert, assertEquals, assertGreater } from "@std/assert";
import { seededRandom } from "../mod.ts";
import { startRelay } from "./relay_io.ts";

/** A server that sends back what it gets, and counts the pieces it read. */
function startEcho() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection.readable.pipeTo(connection.writable).catch(() => {}));
    }
  })();
  return {
    address: { host: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port },
    async close() {
      listener.close();
      await Promise.allSettled([accepting, ...connections]);
    },
  };
}

async function withRelay(roundTrip: number, body: (port: number) => Promise<void>): Promise<void> {
  const echo = startEcho();
  const relay = startRelay(echo.address, roundTrip);
  try {
    await body(relay.address.port);
  } finally {
    await relay.close();
    await echo.close();
  }
}

/** Reads to the end. */
async function readAll(connection: Deno.Conn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(connection.readable).arrayBuffer());
}

Deno.test("relay: bytes of many connections arrive whole and in order, and the end of a stream passes", async () => {
  const seed = 20_100;
  const random = seededRandom(seed);
  await withRelay(4, async (port) => {
    await Promise.all(Array.from({ length: 20 }, async () => {
      const sent = random.bytes(1 + random.below(200_000));
      const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
      const received = readAll(connection);
      for (let at = 0; at < sent.length;) {
        at += await connection.write(sent.subarray(at, at + 1 + at % 5000));
      }
      await connection.closeWrite();
      assertEquals(await received, sent, `seed ${seed}`);
    }));
  });
});

Deno.test("relay: a question and its answer take the round trip at least", async () => {
  await withRelay(60, async (port) => {
    const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await connection.write(new Uint8Array([i]));
      await connection.read(new Uint8Array(1));
      assertGreater(performance.now() - start, 59.9);
    }
    connection.close();
  });
});

Deno.test("relay: pieces that are under way at once are delayed together, not one after the other", async () => {
  const oneWay = 300;
  await withRelay(2 * oneWay, async (port) => {
    const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
    for (let i = 0; i < 10; i++) {
      await connection.write(new Uint8Array(1));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await connection.closeWrite();
    const arrivals: number[] = [];
    let bytes = 0;
    for await (const piece of connection.readable) {
      arrivals.push(performance.now());
      bytes += piece.length;
    }
    assertEquals(bytes, 10);
    // One after the other, each would come a whole delay after the one before it.
    const gaps = arrivals.slice(1).map((at, i) => at - arrivals[i]);
    assert(gaps.length < 9 || Math.min(...gaps) < oneWay, `gaps ${gaps}`);
  });
});

Deno.test("relay: a target that refuses ends the connection", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const relay = startRelay({ host: "127.0.0.1", port }, 0);
  const connection = await Deno.connect({ port: relay.address.port, hostname: "127.0.0.1" });
  assertEquals((await readAll(connection)).length, 0);
  await relay.close();
});

Deno.test("relay: close ends open connections and what is under way", async () => {
  const echo = startEcho();
  const relay = startRelay(echo.address, 60_000);
  const connection = await Deno.connect({ port: relay.address.port, hostname: "127.0.0.1" });
  await connection.write(new Uint8Array(10));
  while (relay.connections === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await relay.close();
  await readAll(connection).catch(() => {});
  await echo.close();
});
