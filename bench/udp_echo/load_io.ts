/** The other end of the echo: sends as fast as it can or at a fixed pace, in a loop that never sleeps. */
import { LibcSocket } from "../../core/io/batched_libc_io.ts";
import { MessageBatch } from "../../core/io/batched_messages_io.ts";
import { parseIpAddress } from "../../core/io/ip_address.ts";
import { toSockaddr } from "../../core/io/sockaddr.ts";

/** Bytes per datagram: a short SIP message. */
export const MESSAGE_BYTES = 600;
const BATCH = 64;
/** Datagrams under way when saturated. */
const WINDOW = 256;
/** Datagrams that are not back after so long are given up, ms. */
const LOST_MS = 100;
/** Times are kept for so many datagrams at most. */
const MAX_TIMES = 1 << 20;
const LOOPBACK = "127.0.0.1";

/** What came back. */
export interface EchoResult {
  readonly sent: number;
  readonly echoed: number;
  readonly seconds: number;
  /** Time there and back that half of them took at most, and 99 of 100, ms. */
  readonly median: number;
  readonly p99: number;
}

/**
 * Sends to 127.0.0.1:`port` for some time, and blocks meanwhile.
 *
 * @param rate datagrams per second, one by one at even distances; undefined: as many as come back
 */
export function sendAndCount(port: number, rate: number | undefined, milliseconds: number): EchoResult {
  const socket = new LibcSocket(parseIpAddress(LOOPBACK)!, 0, false);
  const outgoing = new MessageBatch(BATCH, MESSAGE_BYTES);
  const received = new MessageBatch(BATCH, MESSAGE_BYTES);
  const stamps = Array.from(
    { length: BATCH },
    (_, i) => new DataView(outgoing.data.buffer, outgoing.offset(i)),
  );
  const echoStamps = Array.from(stamps, (_, i) => new DataView(received.data.buffer, received.offset(i)));
  const echo = toSockaddr(parseIpAddress(LOOPBACK)!, port);
  for (let i = 0; i < BATCH; i++) outgoing.address(i, MESSAGE_BYTES, echo);
  let sent = 0;
  let echoed = 0;
  const times = new Float64Array(MAX_TIMES);
  let timed = 0;
  let underWay = 0;

  const send = (wanted: number, now: number) => {
    const count = Math.min(BATCH, wanted);
    for (let i = 0; i < count; i++) stamps[i].setFloat64(0, now);
    if (count <= 0) return;
    const accepted = Math.max(0, socket.send(outgoing, 0, count));
    sent += accepted;
    underWay += accepted;
  };
  const receive = (): boolean => {
    const count = Math.max(0, socket.receive(received));
    const now = performance.now();
    for (let i = 0; i < count; i++) {
      if (timed < MAX_TIMES) times[timed++] = now - echoStamps[i].getFloat64(0);
      received.reset(i);
    }
    echoed += count;
    underWay = Math.max(0, underWay - count);
    return count > 0;
  };

  const start = performance.now();
  const end = start + milliseconds;
  let heardAt = start;
  let now = start;
  try {
    for (; now < end; now = performance.now()) {
      send(rate === undefined ? WINDOW - underWay : Math.floor((now - start) * rate / 1000) - sent, now);
      if (receive()) heardAt = now;
      else if (now - heardAt > LOST_MS) {
        underWay = 0;
        heardAt = now;
      }
    }
    // What is under way still counts.
    while (underWay > 0 && performance.now() - heardAt < LOST_MS) if (receive()) heardAt = performance.now();
  } finally {
    socket.close();
  }
  const sorted = times.subarray(0, timed).sort();
  return {
    sent,
    echoed,
    seconds: (now - start) / 1000,
    median: sorted[timed >> 1],
    p99: sorted[Math.floor(timed * 0.99)],
  };
}
