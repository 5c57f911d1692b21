/** What every datagram socket must do; run against each implementation. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { Address } from "../sip/address.ts";
import { now } from "./clock_io.ts";
import { type DatagramOptions, type DatagramSocket, type OpenDatagram, OpenProblem } from "./datagram.ts";

interface Got {
  readonly text: string;
  readonly from: Address;
  readonly now: number;
}

/** A socket with what it received, and a way to wait for more. */
class Probe {
  readonly got: Got[] = [];
  readonly errors: Error[] = [];
  socket!: DatagramSocket;
  onText: (text: string) => void = () => {};
  onBatchEnd: (now: number) => void = () => {};
  #wake: () => void = () => {};

  static async open(
    open: OpenDatagram,
    options: Partial<Pick<DatagramOptions, "host" | "port" | "maxDatagram" | "reusePort">> = {},
  ): Promise<Probe> {
    const probe = new Probe();
    probe.socket = await open({
      host: "127.0.0.1",
      port: 0,
      ...options,
      onDatagram: (buffer, start, end, from, now) => {
        const text = new TextDecoder().decode(buffer.subarray(start, end));
        probe.got.push({ text, from, now });
        probe.#wake();
        probe.onText(text);
      },
      onBatchEnd: (now) => probe.onBatchEnd(now),
      onError: (error) => {
        probe.errors.push(error);
        probe.#wake();
      },
    });
    return probe;
  }

  send(text: string, to: Address): void {
    const bytes = new TextEncoder().encode(`<${text}>`);
    this.socket.send(bytes, 1, bytes.length - 1, to);
    bytes.fill(0); // The socket has copied or sent them.
  }

  /** Resolves when `enough` holds; the test's own time limit is the only one. */
  async until(enough: () => boolean): Promise<void> {
    while (!enough()) await new Promise<void>((resolve) => this.#wake = resolve);
  }
}

/** Runs `body` with some sockets that are closed afterwards. */
async function withProbes(
  open: OpenDatagram,
  count: number,
  body: (...probes: Probe[]) => Promise<void>,
  host = "127.0.0.1",
) {
  const probes: Probe[] = [];
  try {
    for (let i = 0; i < count; i++) probes.push(await Probe.open(open, { host }));
    await body(...probes);
  } finally {
    await Promise.all(probes.map((probe) => probe.socket.close()));
  }
}

/** Lets a socket send every datagram to itself again: it never falls idle until the result is called. */
function flood(probe: Probe): () => void {
  let running = true;
  probe.onText = (text) => running && probe.send(text, probe.socket.local);
  for (let i = 0; i < 50; i++) probe.send("again", probe.socket.local);
  return () => void (running = false);
}

/** Sends a byte there and back over TCP on loopback, `rounds` times. */
async function talkOverTcp(rounds: number): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async () => {
    using connection = await listener.accept();
    const buffer = new Uint8Array(1);
    while (await connection.read(buffer) !== null) await connection.write(buffer);
  };
  const serving = serve();
  {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    const buffer = new Uint8Array(1);
    for (let i = 0; i < rounds; i++) {
      await connection.write(buffer);
      await connection.read(buffer);
    }
  }
  await serving;
  listener.close();
}

/**
 * Datagrams of a flood that may pass while a byte goes there and back, or a timer of 1 ms ends: some turns of 1.5 ms at
 * the highest rate. Batched sockets let pass some hundred, Deno's some thousand.
 */
const PASSING = 20_000;

/** Timers and TCP have their turn within bounded numbers of datagrams. */
async function othersAreServed(...flooded: Probe[]): Promise<void> {
  const passed = () => flooded.reduce((sum, probe) => sum + probe.got.length, 0);
  const before = passed();
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert(passed() - before < 20 * PASSING, `${passed() - before} datagrams during 20 timers`);
  const between = passed();
  await talkOverTcp(20);
  assert(passed() - between < 20 * PASSING, `${passed() - between} datagrams during 20 bytes over TCP`);
}

function hasIpv6(): boolean {
  try {
    Deno.listenDatagram({ transport: "udp", hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * Registers the tests.
 *
 * @param name the implementation, for the names of the tests
 * @param open the implementation
 * @param canShare whether it knows `reusePort`
 */
export function datagramContract(name: string, open: OpenDatagram, canShare: boolean): void {
  const test = (what: string, fn: () => Promise<void>, ignore = false) =>
    Deno.test({ name: `${name}: ${what}`, ignore, fn });

  for (const host of ["127.0.0.1", "::1"]) {
    const without = host === "::1" && !hasIpv6();
    test(
      `there and back over ${host}${without ? " (no IPv6 here)" : ""}`,
      () =>
        withProbes(open, 2, async (a, b) => {
          assertEquals(a.socket.local.host, host);
          assert(a.socket.local.port > 0, "port 0 means any free port");
          a.send("ping", b.socket.local);
          await b.until(() => b.got.length === 1);
          b.send("pong", b.got[0].from);
          await a.until(() => a.got.length === 1);
          assertEquals(b.got[0].text, "ping");
          assertEquals(a.got[0].text, "pong");
          assertEquals({ host: b.got[0].from.host, port: b.got[0].from.port }, {
            host: a.socket.local.host,
            port: a.socket.local.port,
          });
        }, host),
      without,
    );
  }

  test("datagrams of one burst come in order, each with its own bytes", () =>
    withProbes(open, 2, async (a, b) => {
      const texts = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(i * 3)}`);
      for (const text of texts) a.send(text, b.socket.local);
      await b.until(() => b.got.length === texts.length);
      assertEquals(b.got.map(({ text }) => text), texts);
    }));

  test("the same sender is the same Address object", () =>
    withProbes(open, 3, async (a, b, c) => {
      for (const text of ["1", "2"]) a.send(text, c.socket.local);
      b.send("3", c.socket.local);
      await c.until(() => c.got.length === 3);
      const from = (text: string) => c.got.find((got) => got.text === text)!.from;
      assert(from("1") === from("2"));
      assert(from("1") !== from("3"));
    }));

  test("empty and large datagrams", () =>
    withProbes(open, 2, async (a, b) => {
      a.send("", b.socket.local);
      await b.until(() => b.got.length === 1);
      a.send("y".repeat(60_000), b.socket.local);
      await b.until(() => b.got.length === 2);
      assertEquals(b.got.map(({ text }) => text.length), [0, 60_000]);
    }));

  test("what cannot be sent is dropped, the rest goes on", () =>
    withProbes(open, 2, async (a, b) => {
      const closed = await Probe.open(open);
      await closed.socket.close();
      for (let i = 0; i < 10; i++) a.send("refused", closed.socket.local); // ICMP port unreachable comes back.
      a.send("z".repeat(70_000), b.socket.local); // Longer than a datagram can be.
      a.send("wrong family", { host: "::1", port: 9 });
      a.send("good", b.socket.local);
      await b.until(() => b.got.length === 1);
      assertEquals(b.got[0].text, "good");
      assertEquals(a.socket.dropped, 2);
      b.send("and back", a.socket.local);
      await a.until(() => a.got.length === 1);
    }));

  test("an exception of the handler is reported and does not end the socket", () =>
    withProbes(open, 2, async (a, b) => {
      b.onText = (text) => {
        if (text === "bad") throw new Error("handler");
      };
      a.send("bad", b.socket.local);
      a.send("good", b.socket.local);
      await b.until(() => b.got.length === 2 && b.errors.length === 1);
      assertEquals(b.errors[0].message, "handler");
    }));

  test("many datagrams come in order", () =>
    withProbes(open, 2, async (a, b) => {
      const all = 20_000;
      const window = 50; // Few enough for the smallest receive buffer.
      let next = 0;
      const more = () => next < all && a.send(String(next++), b.socket.local);
      b.onText = () => b.send("got it", a.socket.local);
      a.onText = more;
      for (let i = 0; i < window; i++) more();
      await a.until(() => a.got.length === all);
      assertEquals(b.got.findIndex(({ text }, i) => text !== String(i)), -1);
      assertEquals(b.got.length, all);
    }));

  test("datagrams longer than asked for are counted and not delivered", async () => {
    const [a, b] = [await Probe.open(open), await Probe.open(open, { maxDatagram: 100 })];
    for (const length of [101, 100, 5000, 1]) a.send("x".repeat(length), b.socket.local);
    await b.until(() => b.got.length === 2);
    assertEquals(b.got.map(({ text }) => text.length), [100, 1]);
    assertEquals(b.socket.truncated, 2);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  test("a datagram written in place", () =>
    withProbes(open, 2, async (a, b) => {
      const { socket } = a;
      const write = (text: string) => {
        const { buffer, offset, capacity } = socket.reserve();
        assert(capacity >= 65_507);
        return new TextEncoder().encodeInto(text, buffer.subarray(offset, offset + capacity)).written;
      };
      for (let i = 0; i < 100; i++) {
        write("reserved only");
        socket.commit(write(`in place ${i}`), b.socket.local);
        a.send(`copied ${i}`, b.socket.local);
      }
      await b.until(() => b.got.length === 200);
      const texts = Array.from({ length: 100 }, (_, i) => [`in place ${i}`, `copied ${i}`]).flat();
      assertEquals(b.got.map(({ text }) => text), texts);
      assertThrows(() => socket.commit(1, b.socket.local), RangeError);
      write("lost by the next call");
      a.send("last", b.socket.local);
      assertThrows(() => socket.commit(1, b.socket.local), RangeError);
      const { capacity } = socket.reserve();
      assertThrows(() => socket.commit(capacity + 1, b.socket.local), RangeError);
      await b.until(() => b.got.length === 201);
      assertEquals(b.got[200].text, "last");
    }));

  test("the end of a batch comes after its datagrams; what is sent there leaves", () =>
    withProbes(open, 2, async (a, b) => {
      let ends = 0;
      let answered = 0;
      b.onBatchEnd = () => {
        ends++;
        while (answered < b.got.length) b.send(`answer ${b.got[answered++].text}`, a.socket.local);
        if (ends === 1) throw new Error("end of batch");
      };
      for (let i = 0; i < 100; i++) a.send(String(i), b.socket.local);
      await a.until(() => a.got.length === 100);
      assertEquals(a.got.map(({ text }) => text), Array.from({ length: 100 }, (_, i) => `answer ${i}`));
      assert(ends >= 1 && ends <= 100);
      assertEquals(b.errors.map(({ message }) => message), ["end of batch"]);
    }));

  test("a flood starves neither timers nor TCP", () =>
    withProbes(open, 1, async (a) => {
      const stop = flood(a);
      // The rate is known by now: a batched socket waits between the batches.
      await a.until(() => a.got.length > 2_000);
      await othersAreServed(a);
      stop();
    }));

  test("nor do floods of two sockets starve each other", () =>
    withProbes(open, 3, async (a, b, c) => {
      const stops = [flood(a), flood(b)];
      await a.until(() => a.got.length > 1_000);
      await b.until(() => b.got.length > 1_000);
      await othersAreServed(a, b);
      const before = b.got.length;
      c.onText = () => c.send("there and back", c.socket.local);
      c.send("there and back", c.socket.local);
      await c.until(() => c.got.length >= 20);
      assert(
        b.got.length - before < 20 * PASSING,
        `${b.got.length - before} datagrams during 20 of another socket`,
      );
      for (const stop of stops) stop();
      c.onText = () => {};
    }));

  test("one datagram after a flood is answered, and so is another one later", () =>
    withProbes(open, 2, async (a, b) => {
      const stop = flood(b);
      await b.until(() => b.got.length > 2_000);
      stop();
      b.onText = () => b.send("answer", a.socket.local);
      for (let i = 1; i <= 2; i++) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        a.send("question", b.socket.local);
        await a.until(() => a.got.length >= i);
      }
    }));

  test("datagrams come with the time", () =>
    withProbes(open, 2, async (a, b) => {
      const times: number[] = [];
      b.onBatchEnd = (time) => {
        assert(time <= now());
        times.push(time);
      };
      const before = now();
      for (let i = 0; i < 100; i++) a.send(String(i), b.socket.local);
      await b.until(() => b.got.length === 100);
      const last = b.got[99].now;
      assert(before <= b.got[0].now && last <= now());
      assertEquals(b.got.findIndex((got, i) => i > 0 && got.now < b.got[i - 1].now), -1);
      assert(times.at(-1) === undefined || times.at(-1)! <= last);
      assertEquals(b.errors, []);
    }));

  test("100,000 datagrams in one turn do not pile up", () =>
    withProbes(open, 1, async (a) => {
      for (let i = 0; i < 100_000; i++) a.send("burst", a.socket.local);
      await a.until(() => a.got.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      // They were sent, and lost in the system's buffers, or they were dropped here.
      assert(a.got.length + a.socket.dropped <= 100_000);
    }));

  test("close ends the deliveries, and can be called twice", () =>
    withProbes(open, 2, async (a, b) => {
      a.send("before", b.socket.local);
      await b.until(() => b.got.length === 1);
      await Promise.all([b.socket.close(), b.socket.close()]);
      a.send("after", b.socket.local);
      b.send("from a closed socket", a.socket.local);
      await new Promise((resolve) => setTimeout(resolve, 5));
      assertEquals([b.got.length, a.got.length, b.errors.length], [1, 0, 0]);
    }));

  test("close at any moment leaves the port free", async () => {
    for (let i = 0; i < 30; i++) {
      const probe = await Probe.open(open);
      const { port } = probe.socket.local;
      if (i % 3 > 0) flood(probe);
      if (i % 5 > 0) {
        await new Promise((resolve) =>
          i % 5 === 1 ? queueMicrotask(() => resolve(0)) : setTimeout(resolve, i % 5)
        );
      }
      await probe.socket.close();
      const again = await Probe.open(open, { port });
      await again.socket.close();
      assertEquals(probe.errors, []);
    }
  });

  test("a handler may close its own socket", () =>
    withProbes(open, 2, async (a, b) => {
      const closed = Promise.withResolvers<void>();
      b.onText = () => void b.socket.close().then(closed.resolve);
      a.send("1", b.socket.local);
      a.send("2", b.socket.local);
      await closed.promise;
      assertEquals(b.got.length, 1);
    }));

  test("a port in use and an address of another machine: one clear line", () =>
    withProbes(open, 1, async (a) => {
      const { port } = a.socket.local;
      const handlers = { onDatagram: () => {}, onError: () => {} };
      const inUse = await assertRejects(() => open({ host: "127.0.0.1", port, ...handlers }), Error);
      assertEquals(inUse.message, `udp:127.0.0.1:${port}: the port is in use by another program`);
      const foreign = await assertRejects(() => open({ host: "192.0.2.1", port: 0, ...handlers }), Error);
      assertMatch(foreign.message, /^udp:192\.0\.2\.1:0: this machine has no such address$/);
    }));

  test(`sockets that share a port ${canShare ? "get all datagrams between them" : "are refused"}`, async () => {
    if (!canShare) {
      const refused = await assertRejects(() => Probe.open(open, { reusePort: true }), Error);
      assertEquals(refused.message, `udp:127.0.0.1:0: ${OpenProblem.NO_REUSE_PORT}`);
      return;
    }
    const first = await Probe.open(open, { reusePort: true });
    const { port } = first.socket.local;
    const probes = [first, await Probe.open(open, { port, reusePort: true })];
    await assertRejects(() => Probe.open(open, { port }), Error, OpenProblem.PORT_IN_USE);
    const senders: Probe[] = [];
    // Which socket gets a datagram follows from the sender's port: with 64 of them, both do.
    for (let i = 0; i < 64; i++) senders.push(await Probe.open(open));
    const all = Promise.withResolvers<void>();
    for (const probe of probes) {
      probe.onText = () => probes[0].got.length + probes[1].got.length === senders.length && all.resolve();
    }
    for (const sender of senders) sender.send("hello", first.socket.local);
    await all.promise;
    assert(probes.every((probe) => probe.got.length > 0));
    await Promise.all([...probes, ...senders].map((probe) => probe.socket.close()));
  });
}
