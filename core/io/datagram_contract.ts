/** What every datagram socket must do; run against each implementation. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Address } from "../sip/address.ts";
import type { DatagramSocket, OpenDatagram } from "./datagram.ts";

interface Got {
  readonly text: string;
  readonly from: Address;
}

/** A socket with what it received, and a way to wait for more. */
class Probe {
  readonly got: Got[] = [];
  readonly errors: Error[] = [];
  socket!: DatagramSocket;
  onText: (text: string) => void = () => {};
  #wake: () => void = () => {};

  static async open(open: OpenDatagram, host = "127.0.0.1"): Promise<Probe> {
    const probe = new Probe();
    probe.socket = await open({
      host,
      port: 0,
      onDatagram: (buffer, start, end, from) => {
        const text = new TextDecoder().decode(buffer.subarray(start, end));
        probe.got.push({ text, from });
        probe.#wake();
        probe.onText(text);
      },
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
  host?: string,
) {
  const probes: Probe[] = [];
  try {
    for (let i = 0; i < count; i++) probes.push(await Probe.open(open, host));
    await body(...probes);
  } finally {
    await Promise.all(probes.map((probe) => probe.socket.close()));
  }
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
 */
export function datagramContract(name: string, open: OpenDatagram): void {
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

  test("a flood does not starve timers, and its queue is bounded", () =>
    withProbes(open, 1, async (a) => {
      // Each datagram that arrives is sent to itself again: without an end, the socket never falls idle.
      let running = true;
      a.onText = (text) => running && a.send(text, a.socket.local);
      for (let i = 0; i < 50; i++) a.send("again", a.socket.local);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running = false;
      for (let i = 0; i < 100_000; i++) a.send("burst", a.socket.local);
      assert(a.socket.dropped > 0, "100,000 datagrams in one turn are more than any queue should hold");
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
}
