import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import { BatchedDatagramSocket, batchedIoProblem, openBatchedDatagramSocket } from "./batched_datagram_io.ts";
import { closeDescriptors, type DatagramSystem } from "./batched_libc_io.ts";
import type { MessageBatch } from "./batched_messages_io.ts";
import {
  BLOCKED_IN_A_ROW,
  type DatagramOptions,
  type DatagramSocket,
  EMPTY_IN_A_ROW,
  OpenProblem,
} from "./datagram.ts";
import { datagramContract } from "./datagram_contract.ts";
import { now } from "./clock_io.ts";
import { Errno } from "./errno.ts";
import { parseIpAddress } from "./ip_address.ts";
import { toSockaddr } from "./sockaddr.ts";

const ignore = batchedIoProblem() !== undefined;

if (!ignore) datagramContract("recvmmsg and sendmmsg", openBatchedDatagramSocket, true);

/** A system that answers as a test wants. */
class FakeSystem implements DatagramSystem {
  readonly sockaddr = toSockaddr(parseIpAddress("192.0.2.1")!, 5060);
  /** First bytes of the messages sent. */
  readonly sent: number[] = [];
  /** Answers to the next calls; without one, all is taken and nothing received. */
  readonly sendAnswers: number[] = [];
  readonly descriptors = [];
  receiveAnswer = -Errno.EAGAIN;
  receives = 0;
  /** Waits that have blocked the thread. */
  sleeps = 0;
  onSleep = () => {};
  closed = 0;
  #wake = () => {};

  receive(): number {
    this.receives++;
    return this.receiveAnswer;
  }

  send(batch: MessageBatch, first: number, end: number): number {
    const answer = this.sendAnswers.shift() ?? end - first;
    for (let i = first; i < first + answer; i++) this.sent.push(batch.data[batch.offset(i)]);
    return answer;
  }

  readable(): Promise<void> {
    return new Promise((resolve) => {
      // An error of the socket makes it readable.
      if (this.receiveAnswer !== -Errno.EAGAIN) setImmediate(resolve);
      else this.#wake = resolve;
    });
  }

  sleep(ms: number): void {
    this.sleeps++;
    this.onSleep();
    const until = now() + ms;
    while (now() < until);
  }

  wake(): void {
    this.#wake();
  }

  close(): void {
    this.closed++;
  }
}

const PEER = { host: "192.0.2.2", port: 5060 };

/** Runs `body` with a socket over a fake system. */
async function withFake(
  body: (system: FakeSystem, socket: BatchedDatagramSocket, errors: string[]) => void | Promise<void>,
  options: Partial<DatagramOptions> = {},
) {
  const system = new FakeSystem();
  const errors: string[] = [];
  const socket = new BatchedDatagramSocket(system, {
    ...PEER,
    onDatagram() {},
    onError: ({ message }) => errors.push(message),
    ...options,
  });
  try {
    await body(system, socket, errors);
  } finally {
    await socket.close();
  }
  assertEquals(system.closed, 1);
}

function sendBytes(socket: BatchedDatagramSocket, bytes: readonly number[]): void {
  for (const byte of bytes) socket.send(Uint8Array.of(byte), 0, 1, PEER);
}

const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test({
  name: "what is sent in one turn leaves at its end, in one call",
  ignore,
  fn: () =>
    withFake(async (system, socket) => {
      sendBytes(socket, upTo(10));
      assertEquals(system.sent, []);
      await Promise.resolve();
      assertEquals(system.sent, upTo(10));
    }),
});

Deno.test({
  name: "an error of sendmmsg costs the first message alone; interruptions and short counts cost none",
  ignore,
  fn: () =>
    withFake(async (system, socket, errors) => {
      system.sendAnswers.push(2, -Errno.EPERM, -Errno.EINTR, 1, -Errno.ENOBUFS, -Errno.ENOBUFS);
      sendBytes(socket, upTo(10));
      await turn();
      assertEquals(system.sent, [0, 1, 3, 6, 7, 8, 9]);
      assertEquals(socket.dropped, 3);
      assertEquals(errors, ["udp:192.0.2.1:5060: sending 3 datagrams: ENOBUFS"]);
    }),
});

Deno.test({
  name: "a full send buffer: one batch waits and is sent later in order, what comes on top is dropped",
  ignore,
  fn: () =>
    withFake(async (system, socket, errors) => {
      system.sendAnswers.push(...new Array(50).fill(-Errno.EAGAIN));
      sendBytes(socket, upTo(100));
      assertEquals(system.sent, []);
      assertEquals(socket.dropped, 36);
      system.sendAnswers.length = 0;
      while (system.sent.length === 0) await turn();
      assertEquals(system.sent, upTo(64));
      sendBytes(socket, [200]);
      await turn();
      assertEquals(system.sent.at(-1), 200);
      assertEquals([socket.dropped, errors], [36, []]);
    }),
});

Deno.test({
  name: "close sends what the system takes at once and gives up the rest",
  ignore,
  fn: async () => {
    await withFake(async (system, socket) => {
      sendBytes(socket, [1, 2, 3]);
      system.sendAnswers.push(2, -Errno.EAGAIN);
      await socket.close();
      assertEquals(system.sent, [1, 2]);
      sendBytes(socket, [4]);
      await turn();
      assertEquals(system.sent, [1, 2]);
    });
  },
});

/** Long enough for the rate to be known, ms. */
const A_WHILE = 60;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Lets many datagrams come until `enough` holds. */
async function letCome(system: FakeSystem, enough: () => boolean): Promise<void> {
  system.receiveAnswer = 10;
  system.wake();
  while (!enough()) await turn();
}

Deno.test({
  name: "under load waits block the thread, but only so many in a row without a turn of the event loop",
  ignore,
  fn: () =>
    withFake(async (system) => {
      let inARow = 0;
      let most = 0;
      system.onSleep = () => most = Math.max(most, ++inARow);
      const timer = setInterval(() => inARow = 0, 1);
      await letCome(system, () => system.sleeps >= 20);
      clearInterval(timer);
      assert(most <= BLOCKED_IN_A_ROW + 1, `${most} in a row`);
    }),
});

for (
  const [why, options] of Object.entries({
    "its owner waits for something": { urgent: () => true },
    "the wait would be long": { moderation: 5 },
    "it is not to wait at all": { moderation: 0 },
  })
) {
  Deno.test({
    name: `no wait blocks the thread when ${why}`,
    ignore,
    fn: () =>
      withFake(async (system) => {
        await letCome(system, () => system.receives > 0);
        await pause(A_WHILE);
        assertEquals(system.sleeps, 0);
      }, options),
  });
}

Deno.test({
  name: "no wait blocks the thread while it has another open socket",
  ignore,
  fn: () =>
    withFake(async (system) => {
      await withFake(async () => {
        await letCome(system, () => system.receives > 0);
        await pause(A_WHILE);
        assertEquals(system.sleeps, 0);
      });
      await letCome(system, () => system.sleeps > 0);
    }),
});

Deno.test({
  name: "who sends by the clock is told of every wait, of those that brought nothing too, and of the last",
  ignore,
  fn: () => {
    const wakes: boolean[] = [];
    return withFake(async (system) => {
      await letCome(system, () => system.sleeps > 3);
      assert(wakes.includes(true));
      const before = wakes.length;
      system.receiveAnswer = -Errno.EAGAIN;
      while (wakes.at(-1) !== false) await turn();
      // So many waits without a datagram, and then the end of it.
      assertEquals(wakes.slice(before).filter((busy) => busy).length <= EMPTY_IN_A_ROW + 1, true);
      const { sleeps } = system;
      await pause(A_WHILE);
      assertEquals(system.sleeps, sleeps);
    }, { onWake: (_now, busy) => void wakes.push(busy), blockedInARow: 1000 });
  },
});

Deno.test({
  name: "datagrams that come one by one are not waited for",
  ignore,
  fn: () => {
    let system: FakeSystem | undefined;
    let got = 0;
    const onDatagram = () => {
      got++;
      system!.receiveAnswer = -Errno.EAGAIN;
    };
    return withFake(async (fake) => {
      system = fake;
      for (let i = 1; i <= 10; i++) {
        fake.receiveAnswer = 1;
        fake.wake();
        while (got < i) await turn();
        await pause(20);
      }
      assertEquals([got, fake.sleeps], [10, 0]);
    }, { onDatagram });
  },
});

Deno.test({
  name: "a socket whose wait blocks is closed as soon as the event loop has its turn",
  ignore,
  fn: () =>
    withFake(async (system, socket) => {
      await letCome(system, () => system.sleeps >= 3);
      await socket.close();
      const { receives } = system;
      await turn();
      assertEquals(system.receives, receives);
    }),
});

Deno.test({
  name: "names and what is too long are refused with the reason",
  ignore,
  fn: () =>
    withFake(async (_system, socket, errors) => {
      socket.send(new Uint8Array(1), 0, 1, { host: "example.com", port: 5060 });
      socket.send(new Uint8Array(70_000), 0, 70_000, PEER);
      await turn();
      assertEquals(socket.dropped, 2);
      assertEquals(errors, [
        "udp:192.0.2.1:5060: sending to example.com:5060: EDESTADDRREQ",
        "udp:192.0.2.1:5060: sending to 192.0.2.2:5060: EMSGSIZE",
      ]);
    }),
});

Deno.test({
  name: "an error of receiving that lasts is reported and does not eat the processor",
  ignore,
  fn: async () => {
    await withFake(async (system, socket, errors) => {
      system.receiveAnswer = -Errno.ENETDOWN;
      system.wake();
      await new Promise((resolve) => setTimeout(resolve, 50));
      assertEquals(errors[0], "udp:192.0.2.1:5060: receiving: ENETDOWN");
      // Eight at once, and then one in ten milliseconds; a loop without a pause would be at many thousands.
      assert(system.receives >= 8 && system.receives < 100, `${system.receives} calls`);
      await socket.close();
    });
  },
});

Deno.test({
  name: "the receive buffer and the send batch do not reach the memory of the system's structures",
  ignore,
  fn: () =>
    withFake((_system, socket) => {
      const { buffer, offset, capacity } = socket.reserve();
      buffer.fill(0xff);
      assert(offset + capacity <= buffer.length);
      socket.commit(1, PEER);
    }),
});

Deno.test({
  name:
    "the descriptors of a worker that was terminated can be closed: the port is free, its poll does no harm",
  ignore,
  fn: async () => {
    const source = `
      import { openBatchedDatagramSocket } from "${new URL("./batched_datagram_io.ts", import.meta.url)}";
      const socket = await openBatchedDatagramSocket({
        host: "127.0.0.1", port: 0, onDatagram() {}, onError() {},
      });
      self.postMessage([socket.local.port, socket.descriptors]);`;
    const worker = new Worker(`data:text/typescript,${encodeURIComponent(source)}`, { type: "module" });
    const [port, descriptors] = await new Promise<[number, number[]]>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    worker.terminate();
    closeDescriptors(descriptors);
    const socket = await openWhenFree(port);
    assertEquals(socket.local.port, port);
    await socket.close();
  },
});

/** Opens a socket on a port that becomes free in a moment; the test's own time limit is the only one. */
async function openWhenFree(port: number): Promise<DatagramSocket> {
  for (;;) {
    try {
      return await openBatchedDatagramSocket({ host: "127.0.0.1", port, onDatagram() {}, onError() {} });
    } catch (error) {
      if (!(error as Error).message.endsWith(OpenProblem.PORT_IN_USE)) throw error;
      await turn();
    }
  }
}
