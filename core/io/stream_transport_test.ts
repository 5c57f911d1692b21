import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { Address } from "../sip/address.ts";
import { now } from "./clock_io.ts";
import type { ConnectionLimits, StreamOptions } from "./stream_transport.ts";
import { StreamTransport } from "./stream_transport_io.ts";
import { selfSigned } from "./test_certificate.ts";

const LIMITS: ConnectionLimits = {
  maxConnections: 100,
  maxPerSource: 100,
  idleMs: 60_000,
  firstMs: 60_000,
  messageMs: 60_000,
  connectMs: 5000,
  stallMs: 60_000,
  queueBytes: 1 << 20,
  totalBytes: 1 << 24,
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const message = (name: string, body = "") =>
  `${name} sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1\r\nl: ${body.length}\r\n\r\n${body}`;

/** A transport under test, what it told, and a way to wait for it. */
class Station {
  readonly messages: string[] = [];
  readonly froms: Address[] = [];
  readonly unreachable: Address[] = [];
  readonly malformed: string[] = [];
  readonly events: string[] = [];
  readonly transport: StreamTransport;
  #changed = Promise.withResolvers<void>();
  /** What is done with each message. */
  answer: (from: Address) => void = () => {};

  constructor(limits: Partial<ConnectionLimits> = {}, more: Partial<StreamOptions> = {}) {
    this.transport = new StreamTransport({
      limits: { ...LIMITS, ...limits },
      onMessage: (buffer, start, end, from) => {
        this.messages.push(decoder.decode(buffer.subarray(start, end)));
        this.froms.push(from);
        this.answer(from);
        this.#change();
      },
      onMalformed: (problem, buffer, start, end, from) => {
        this.malformed.push(`${problem.status} ${decoder.decode(buffer.subarray(start, end)).slice(0, 4)}`);
        this.send("SIP/2.0 400 Bad Request\r\nl: 0\r\n\r\n", from);
        this.#change();
      },
      onUnreachable: (to) => {
        this.unreachable.push(to);
        this.#change();
      },
      onEvent: (name, fields) => {
        this.events.push(`${name} ${fields.reason ?? fields.error}`);
        this.#change();
      },
      onError: (error) => {
        throw error;
      },
      ...more,
    });
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  listen(host = "127.0.0.1"): Address {
    return this.transport.listen({ host, port: 0, transport: "tcp" });
  }

  send(text: string, to: Address): boolean {
    const bytes = encoder.encode(`xx${text}x`);
    return this.transport.send(bytes, 2, bytes.length - 1, to);
  }

  /** Waits until something holds, letting late connections be closed meanwhile. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tick = new Promise<void>((resolve) => timer = setTimeout(resolve, 20));
      await Promise.race([this.#changed.promise, tick]);
      clearTimeout(timer);
      this.transport.advance(now());
    }
  }

  [Symbol.dispose](): void {
    this.transport.close();
  }
}

/** A raw peer. */
class Peer {
  constructor(readonly stream: Deno.Conn) {}

  static async connect({ host, port }: Address): Promise<Peer> {
    return new Peer(await Deno.connect({ hostname: host, port }));
  }

  async write(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await this.stream.write(bytes.subarray(at));
  }

  /** Reads until so many bytes have come, or the end. */
  async read(count: number): Promise<string> {
    const buffer = new Uint8Array(4096);
    let text = "";
    while (text.length < count) {
      const length = await this.stream.read(buffer).catch(() => null);
      if (length === null) break;
      text += decoder.decode(buffer.subarray(0, length));
    }
    return text;
  }

  [Symbol.dispose](): void {
    try {
      this.stream.close();
    } catch {
      // Closed by the test.
    }
  }
}

Deno.test("streams: messages cut anywhere, several in one segment, keep-alives between them", async () => {
  using station = new Station();
  const local = station.listen();
  const texts = [message("OPTIONS"), message("MESSAGE", "hello"), message("BYE")];
  for (let cut = 1; cut < texts[1].length; cut += 7) {
    using peer = await Peer.connect(local);
    const all = texts.join("\r\n\r\n");
    await peer.write(all.slice(0, texts[0].length + cut));
    await station.until(() => station.messages.length >= 1);
    await peer.write(all.slice(texts[0].length + cut));
    await station.until(() => station.messages.length === 3);
    assertEquals(station.messages.splice(0), texts);
    assertEquals(await peer.read(4), "\r\n\r\n");
  }
});

Deno.test("streams: byte by byte, and messages longer than any read", async () => {
  using station = new Station();
  using peer = await Peer.connect(station.listen());
  const small = message("OPTIONS");
  for (const byte of small) await peer.write(byte);
  const large = message("MESSAGE", "0123456789".repeat(6000));
  await peer.write(large + small + large);
  await station.until(() => station.messages.length === 4);
  assertEquals(station.messages, [small, large, small, large]);
  const [{ flow }] = station.froms;
  assert(flow! > 0);
  assert(station.froms.every((from) => from === station.froms[0]));
});

Deno.test("streams: answers go back on the connection, and requests reuse it", async () => {
  using station = new Station();
  using peer = await Peer.connect(station.listen());
  station.answer = (from) => void station.send("SIP/2.0 200 OK\r\nl: 0\r\n\r\n", from);
  await peer.write(message("OPTIONS"));
  const answer = "SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
  assertEquals(await peer.read(answer.length), answer);
  const { hostname: host, port } = peer.stream.localAddr as Deno.NetAddr;
  assertEquals(station.send(message("NOTIFY"), { host, port, transport: "tcp" }), true);
  assertEquals(await peer.read(message("NOTIFY").length), message("NOTIFY"));
  assertEquals([station.transport.size, station.transport.counters.opened], [1, 0]);
  const [from] = station.froms;
  peer.stream.close();
  await station.until(() => station.transport.size === 0);
  assertEquals(station.transport.isOpen(from.flow!), false);
  assertEquals(station.send(answer, from), false);
  assertEquals(station.unreachable, []);
});

Deno.test("streams: a connection is opened once for many messages, and used both ways", async () => {
  using called = new Station();
  using caller = new Station();
  called.answer = (from) => void called.send(message("ANSWER"), from);
  const to = called.listen();
  for (let i = 0; i < 10; i++) assertEquals(caller.send(message(`M${i}`), to), true);
  await caller.until(() => caller.messages.length === 10);
  assertEquals(
    called.messages.map((text) => text.slice(0, 2)),
    Array.from({ length: 10 }, (_, i) => `M${i}`),
  );
  assertEquals([caller.transport.counters.opened, called.transport.counters.accepted], [1, 1]);
  called.transport.close();
  await caller.until(() => caller.transport.size === 0);
  assertEquals(caller.unreachable, [to]);
});

Deno.test("streams: who refuses is unreachable", async () => {
  using station = new Station();
  const gone = station.listen();
  station.transport.close();
  using caller = new Station();
  assertEquals(caller.send(message("INVITE"), gone), true);
  await caller.until(() => caller.unreachable.length > 0);
  assertEquals(caller.unreachable, [gone]);
  assertEquals([caller.transport.size, caller.transport.counters.failed], [0, 1]);
  assertStringIncludes(caller.events[0], "connect_failed");
  assertEquals(caller.send(message("INVITE"), { host: "127.0.0.1", port: 1 }), false);
});

Deno.test("streams: what cannot be read on is answered, and the connection closed", async () => {
  using station = new Station();
  using peer = await Peer.connect(station.listen());
  await peer.write(`${message("OPTIONS")}INVITE sip:b SIP/2.0\r\nX: no length\r\n\r\nrest${message("BYE")}`);
  assertEquals(await peer.read(1000), "SIP/2.0 400 Bad Request\r\nl: 0\r\n\r\n");
  assertEquals([station.messages.length, station.malformed], [1, ["400 INVI"]]);
  await station.until(() => station.transport.size === 0);
  assertEquals(station.transport.counters.malformed, 1);
});

Deno.test("streams: half messages, silence and no first message end a connection in their time", async () => {
  using half = new Station({ messageMs: 100 });
  using silent = new Station({ idleMs: 100 });
  using first = new Station({ firstMs: 100 });
  using one = await Peer.connect(half.listen());
  using other = await Peer.connect(silent.listen());
  const place = first.listen();
  using third = await Peer.connect(place);
  using alive = await Peer.connect(place);
  await one.write(message("OPTIONS") + message("BYE").slice(0, 20));
  await other.write(message("OPTIONS"));
  await alive.write("\r\n\r\n");
  assertEquals(await alive.read(2), "\r\n");
  await half.until(() => half.transport.counters.halfMessages === 1);
  await silent.until(() => silent.transport.counters.idle === 1);
  await first.until(() => first.transport.counters.idle === 1);
  assertEquals([half, silent, first].map(({ transport }) => transport.size), [0, 0, 1]);
  for (const peer of [one, other, third]) assertEquals(await peer.read(1), "");
});

Deno.test("streams: too many connections, in all and from one source, are turned away", async () => {
  using station = new Station({ maxConnections: 3, maxPerSource: 2 });
  const local = station.listen();
  using first = await Peer.connect(local);
  using second = await Peer.connect(local);
  await station.until(() => station.transport.size === 2);
  using third = await Peer.connect(local);
  assertEquals(await third.read(1), "");
  assertEquals(station.transport.counters.refused, 1);
  first.stream.close();
  await station.until(() => station.transport.size === 1);
  using fourth = await Peer.connect(local);
  await fourth.write(message("OPTIONS"));
  await second.write(message("OPTIONS"));
  await station.until(() => station.messages.length === 2);
});

Deno.test("streams: a slow reader is cut off when its queue is full; others go on", async () => {
  using station = new Station({ queueBytes: 100_000 });
  const local = station.listen();
  using slow = await Peer.connect(local);
  using quick = await Peer.connect(local);
  await slow.write(message("OPTIONS"));
  await station.until(() => station.froms.length === 1);
  const [from] = station.froms;
  const large = message("NOTIFY", "x".repeat(50_000));
  // The system takes some megabytes; then they wait here.
  for (let sent = 0; sent < 2000 && station.send(large, from); sent++) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  assertEquals(station.transport.counters.slow, 1);
  assertEquals(station.send(large, from), false);
  await quick.write(message("OPTIONS"));
  await station.until(() => station.messages.length === 2);
  assertEquals(station.transport.size, 1);
});

Deno.test("streams: when too much waits in all, who is slow is cut off sooner", async () => {
  using station = new Station({ totalBytes: 40_000 });
  const local = station.listen();
  const half = message("MESSAGE", "x".repeat(60_000)).slice(0, 30_000);
  using first = await Peer.connect(local);
  await first.write(half);
  await new Promise((resolve) => setTimeout(resolve, 700));
  station.transport.advance(now());
  assertEquals(station.transport.counters.halfMessages, 0);
  using second = await Peer.connect(local);
  await second.write(half);
  await station.until(() => station.transport.counters.halfMessages === 2);
  using third = await Peer.connect(local);
  await third.write(message("OPTIONS"));
  await station.until(() => station.messages.length === 1);
});

Deno.test("streams: TLS, with a name and a signer that are checked, and a certificate that is renewed", async () => {
  const [good, next, strange] = await Promise.all(
    ["sip.example.com", "sip.example.com", "other.example.com"].map(selfSigned),
  );
  using called = new Station();
  called.answer = (from) => void called.send(message("ANSWER"), from);
  const place = called.transport.listen({ host: "127.0.0.1", port: 0, transport: "tls" }, good);
  const to: Address = { ...place, name: "sip.example.com" };

  using caller = new Station({}, { caCerts: [good.cert] });
  assertEquals(caller.send(message("OPTIONS"), to), true);
  await caller.until(() => caller.messages.length === 1);
  using distrustful = new Station();
  distrustful.send(message("OPTIONS"), to);
  await distrustful.until(() => distrustful.unreachable.length === 1);
  assertStringIncludes(distrustful.events[0], "TLS:");
  using mistaken = new Station({}, { caCerts: [good.cert] });
  mistaken.send(message("OPTIONS"), { ...place, name: "other.example.com" });
  await mistaken.until(() => mistaken.unreachable.length === 1);

  await assertRejects(
    () => called.transport.renew({ cert: good.cert, key: "nonsense" }),
    Error,
    "tls:127.0.0.1",
  );
  await called.transport.renew(next);
  using later = new Station({}, { caCerts: [next.cert] });
  later.send(message("OPTIONS"), to);
  await later.until(() => later.messages.length === 1);
  // The connection of before lives on.
  caller.send(message("OPTIONS"), to);
  await caller.until(() => caller.messages.length === 2);
  assertEquals(caller.transport.counters.opened, 1);
  await called.transport.renew(strange);
  using last = new Station({}, { caCerts: [next.cert] });
  last.send(message("OPTIONS"), to);
  await last.until(() => last.unreachable.length === 1);
});

Deno.test("streams: plain text at a TLS listener ends that connection alone", async () => {
  using station = new Station();
  const place = station.transport.listen(
    { host: "127.0.0.1", port: 0, transport: "tls" },
    await selfSigned("a.example"),
  );
  using peer = await Peer.connect(place);
  await peer.write(message("OPTIONS"));
  await station.until(() => station.transport.counters.accepted === 1 && station.transport.size === 0);
  assertEquals(station.messages, []);
});

Deno.test("streams: IPv6", async () => {
  using called = new Station();
  const to = called.listen("::1");
  using caller = new Station();
  caller.send(message("OPTIONS"), to);
  await called.until(() => called.messages.length === 1);
  assertEquals(called.froms[0].host, "::1");
});

Deno.test("streams: an address that cannot be listened on is one line", () => {
  using station = new Station();
  const local = station.listen();
  using other = new Station();
  assertThrows(() => other.transport.listen(local), Error, `tcp:127.0.0.1:${local.port}: the port is in use`);
  assertThrows(
    () => other.transport.listen({ host: "203.0.113.1", port: 0, transport: "tcp" }),
    Error,
    "this machine has no such address",
  );
});
