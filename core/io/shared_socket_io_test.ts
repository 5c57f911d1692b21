import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { batchedIoProblem, openBatchedDatagramSocket } from "./batched_datagram_io.ts";
import { now } from "./clock_io.ts";
import { type DatagramSocket, OpenProblem } from "./datagram.ts";
import { clockOrigin } from "./shared_clock_io.ts";
import { bindDatagramSockets } from "./shared_socket_io.ts";

const ignore = batchedIoProblem() !== undefined;
const HOST = "127.0.0.1";

/** Takes bound sockets over; what comes is put into `got`. */
function adopt(socket: number, got: number[], receiveFrom?: readonly number[]): Promise<DatagramSocket> {
  return openBatchedDatagramSocket({
    host: HOST,
    port: 0,
    adopt: { socket, receiveFrom },
    onDatagram: (buffer, start) => got.push(buffer[start]),
    onError(error) {
      throw error;
    },
  });
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

Deno.test({
  name: "sockets on one port, taken over one after the other: what came between is not lost",
  ignore,
  fn: async () => {
    const bound = await bindDatagramSockets(HOST, 0, 2);
    const { port } = bound[0].local;
    assertEquals(bound.map(({ local }) => local), [{ host: HOST, port }, { host: HOST, port }]);
    const got: number[][] = [[], []];
    let sockets = await Promise.all(bound.map(({ descriptor }, i) => adopt(descriptor, got[i])));
    assertEquals(sockets[0].local, { host: HOST, port });
    const senders = await Promise.all(
      Array.from(
        { length: 32 },
        () => openBatchedDatagramSocket({ host: HOST, port: 0, onDatagram() {}, onError() {} }),
      ),
    );
    const sendAll = () =>
      senders.forEach((socket, i) => socket.send(Uint8Array.of(i), 0, 1, { host: HOST, port }));
    const all = () => [...got[0], ...got[1]].sort((a, b) => a - b);
    const expected = senders.map((_, i) => i);
    sendAll();
    while (all().length < 32) await pause();
    assertEquals(all(), expected);
    const before = got.map((numbers) => new Set(numbers));
    assert(before.every(({ size }) => size > 0), "one of two got them all");
    got[0].length = got[1].length = 0;

    await Promise.all(sockets.map((socket) => socket.close()));
    sendAll();
    await pause();
    sockets = await Promise.all(bound.map(({ descriptor }, i) => adopt(descriptor, got[i])));
    while (all().length < 32) await pause();
    // The same sources to the same sockets.
    assertEquals(got.map((numbers) => new Set(numbers)), before);

    await Promise.all([...sockets, ...senders].map((socket) => socket.close()));
    for (const socket of bound) socket.close();
    const again = await bindDatagramSockets(HOST, port, 1);
    again[0].close();
  },
});

Deno.test({
  name: "one loop receives from two sockets, the more urgent first; another sends alone",
  ignore,
  fn: async () => {
    const [[requests], [replies]] = [
      await bindDatagramSockets(HOST, 0, 1),
      await bindDatagramSockets(HOST, 0, 1),
    ];
    const [got, never]: number[][] = [[], []];
    const far: number[] = [];
    const sender = await openBatchedDatagramSocket({
      host: HOST,
      port: 0,
      onDatagram: (_buffer, _start, _end, from) => far.push(from.port),
      onError() {},
    });
    for (let i = 0; i < 200; i++) {
      sender.send(Uint8Array.of(i), 0, 1, i < 100 ? requests.local : replies.local);
    }
    await pause();
    const both = await adopt(requests.descriptor, got, [replies.descriptor, requests.descriptor]);
    const alone = await adopt(replies.descriptor, never, []);
    while (got.length < 200) await pause();
    assertEquals(got, Array.from({ length: 200 }, (_, i) => (i + 100) % 200));
    for (const socket of [both, alone]) socket.send(new Uint8Array(1), 0, 1, sender.local);
    while (far.length < 2) await pause();
    assertEquals(far, [requests.local.port, replies.local.port]);
    for (const { local } of [replies, requests]) sender.send(Uint8Array.of(7), 0, 1, local);
    while (got.length < 202) await pause();
    assertEquals(never, []);
    await Promise.all([both, alone, sender].map((socket) => socket.close()));
    for (const socket of [requests, replies]) socket.close();
  },
});

Deno.test({
  name: "a port that others share is in use all the same",
  ignore,
  fn: async () => {
    const bound = await bindDatagramSockets(HOST, 0, 2);
    const error = await assertRejects(() => bindDatagramSockets(HOST, bound[0].local.port, 2), Error);
    assertStringIncludes(error.message, `${HOST}:${bound[0].local.port}: ${OpenProblem.PORT_IN_USE}`);
    for (const socket of bound) socket.close();
    await assertRejects(() => bindDatagramSockets("192.0.2.1", 5060, 2), Error, OpenProblem.NO_SUCH_ADDRESS);
  },
});

Deno.test({
  name: "the clock of a worker that has joined is that of the thread it has joined",
  ignore,
  fn: async () => {
    const source = `
      import { now } from "${new URL("./clock_io.ts", import.meta.url)}";
      import { joinClock } from "${new URL("./shared_clock_io.ts", import.meta.url)}";
      self.onmessage = ({ data }) => {
        joinClock(data);
        self.postMessage(now());
      };`;
    const worker = new Worker(`data:text/typescript,${encodeURIComponent(source)}`, { type: "module" });
    const before = now();
    const answer = new Promise<number>((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.postMessage(clockOrigin());
    const there = await answer;
    const after = now();
    worker.terminate();
    assert(before < there && there < after, `${before} ${there} ${after}`);
  },
});
