import { assert, assertEquals } from "@std/assert";
import { type Random, seededRandom } from "../random.ts";
import type { Address } from "./address.ts";
import { SipMessage } from "./message.ts";
import { NO_TRANSACTION, type TransactionId } from "./transaction.ts";
import { TransactionLayer } from "./transaction_layer.ts";
import type { TransactionUser } from "./transaction_user.ts";
import { requestText, responseText } from "./transaction_testing.ts";

/**
 * Two layers with a network between them that loses, doubles and delays (and so reorders), on virtual time. One side
 * asks, the other answers and repeats its 2xx to INVITE, as a user agent core does.
 */
interface Packet {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly toServer: boolean;
}

const CLIENT: Address = { host: "192.0.2.1", port: 5060 };
const SERVER: Address = { host: "192.0.2.2", port: 5060 };
const TICK = 10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function quiet(): TransactionUser {
  const nothing = () => {};
  return {
    request: nothing,
    cancel: nothing,
    response: nothing,
    timeout: nothing,
    transportError: nothing,
    terminated: nothing,
    overloaded: nothing,
    timer: nothing,
  };
}

interface Outcome {
  finals: number[];
  timeouts: number;
}

function simulate(random: Random, loss: number, doubling: number, calls: number): void {
  let now = 0;
  let packets: Packet[] = [];
  const chance = (percent: number): boolean => random.below(100) < percent;
  const post = (toServer: boolean) => (buffer: Uint8Array, start: number, end: number): void => {
    for (let copies = chance(doubling) ? 2 : 1; copies > 0; copies--) {
      if (!chance(loss)) {
        packets.push({ at: now + random.below(300), bytes: buffer.slice(start, end), toServer });
      }
    }
  };
  const outcomes = new Map<string, Outcome>();
  const asked = new Map<string, number>();
  /** 2xx that the server's user repeats until Timer L. */
  const repeating = new Map<TransactionId, string>();
  const open = new Map<TransactionId, number>();
  /** Branches of the client's transactions. */
  const branches = new Map<TransactionId, string>();

  const clientUser: TransactionUser = {
    ...quiet(),
    response(message: SipMessage, tx: TransactionId): void {
      if (message.status < 200 || tx === NO_TRANSACTION) return;
      const id = branches.get(tx)!;
      open.delete(tx);
      outcomes.get(id)!.finals.push(message.status);
      assertEquals(message.topVia()!.branch, id, "the response is of this transaction");
    },
    timeout(tx): void {
      open.delete(tx);
      outcomes.get(branches.get(tx)!)!.timeouts++;
    },
    terminated: (tx) => void branches.delete(tx),
  };
  const serverUser: TransactionUser = {
    ...quiet(),
    request(message: SipMessage, tx: TransactionId): void {
      if (tx === NO_TRANSACTION) return;
      const id = message.topVia()!.branch;
      asked.set(id, (asked.get(id) ?? 0) + 1);
      const text = decoder.decode(message.buffer.subarray(message.start, message.bodyEnd));
      const status = message.method === "INVITE"
        ? [200, 302, 486, 603][random.below(4)]
        : [200, 404][random.below(2)];
      if (chance(50)) respond(tx, responseText(text, 180));
      respond(tx, responseText(text, status));
      if (server.stateOf(tx) === "Accepted") repeating.set(tx, responseText(text, status));
    },
    terminated: (tx) => void repeating.delete(tx),
  };
  const client = new TransactionLayer({ now, random }, post(true), clientUser);
  const server = new TransactionLayer({ now, random }, post(false), serverUser);
  const respond = (tx: TransactionId, text: string): void => {
    const bytes = encoder.encode(text);
    server.respond(tx, bytes, 0, bytes.length, now);
  };

  const view = new SipMessage();
  let started = 0;
  for (let tick = 0; started < calls || client.size + server.size + packets.length > 0; tick++) {
    now = tick * TICK;
    assert(now < 600_000, "it does not end");
    if (started < calls && tick % 3 === 0) {
      const branch = `z9hG4bK-${started++}`;
      const method = chance(50) ? "INVITE" : "OPTIONS";
      const bytes = encoder.encode(requestText(method, { branch, sentBy: "192.0.2.1" }));
      outcomes.set(branch, { finals: [], timeouts: 0 });
      const tx = client.sendRequest(bytes, 0, bytes.length, SERVER, now);
      assert(!branches.has(tx), "the number of a transaction that lives");
      branches.set(tx, branch);
      open.set(tx, now);
    }
    const due = packets.filter((packet) => packet.at <= now);
    packets = packets.filter((packet) => packet.at > now);
    for (const { bytes, toServer } of due) {
      assertEquals(view.parse(bytes, 0, bytes.length), undefined);
      if (toServer) server.receive(view, CLIENT, now);
      else client.receive(view, SERVER, now);
    }
    client.advance(now);
    server.advance(now);
    if (tick % 100 === 0) {
      for (const [tx, text] of repeating) respond(tx, text);
    }
    for (const [tx, since] of open) {
      // What Timer C of a proxy does: a provisional response came, the final one was lost every time.
      if (now - since < 120_000) continue;
      clientUser.timeout(tx, now);
      client.end(tx, now);
    }
  }

  assertEquals([client.slotsInUse, server.slotsInUse, client.timersRunning, server.timersRunning], [
    0,
    0,
    0,
    0,
  ]);
  assertEquals([repeating.size, branches.size], [0, 0]);
  for (const [id, { finals, timeouts }] of outcomes) {
    assert((asked.get(id) ?? 0) <= 1, `${id} reached the user twice`);
    assertEquals(new Set(finals).size <= 1, true, `${id} got different answers ${finals}`);
    assertEquals(
      finals.length > 0 ? timeouts === 0 : timeouts === 1,
      true,
      `${id}: neither answer nor timeout`,
    );
    if (loss === 0) assert(finals.length > 0, `${id} got no answer`);
    if (finals.length > 0 && finals[0] >= 300) {
      assertEquals(finals.length, 1, `${id} was told a failure twice`);
    }
  }
  if (loss <= 20) {
    const answeredCalls = [...outcomes.values()].filter(({ finals }) => finals.length > 0).length;
    assert(answeredCalls >= calls * 0.8, `only ${answeredCalls} of ${calls} were answered`);
  }
}

for (const [loss, doubling] of [[0, 0], [0, 50], [20, 10], [50, 30], [100, 0]]) {
  Deno.test(`simulation: ${loss} % lost, ${doubling} % doubled, all reordered: each request once, one outcome, no leak`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      try {
        simulate(seededRandom(seed), loss, doubling, 200);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }
  });
}

Deno.test("many transactions: all are found, numbers are used again", () => {
  const random = seededRandom(5);
  let sent = 0;
  const told: string[] = [];
  const context: string[] = [];
  const user = {
    ...quiet(),
    response: (_: SipMessage, tx: TransactionId) => void told.push(context[tx]),
  };
  const layer = new TransactionLayer({ now: 0, random }, () => void sent++, user);
  const view = new SipMessage();
  const requests = Array.from({ length: 5000 }, (_, i) => requestText("OPTIONS", { branch: `z9hG4bK-${i}` }));
  for (let round = 0; round < 2; round++) {
    const now = round * 100_000;
    for (const [i, text] of requests.entries()) {
      const bytes = encoder.encode(text);
      context[layer.sendRequest(bytes, 0, bytes.length, SERVER, now)] = String(i);
    }
    assertEquals(layer.counts.nonInviteClient, 5000);
    for (const text of requests) {
      const bytes = encoder.encode(responseText(text, 200));
      view.parse(bytes, 0, bytes.length);
      layer.receive(view, SERVER, now);
    }
    assertEquals(told.splice(0), requests.map((_, i) => String(i)));
    layer.advance(now + 50_000);
    assertEquals([layer.size, layer.slotsInUse, layer.timersRunning, sent], [0, 0, 0, 5000 * (round + 1)]);
    assertEquals(context.length, 5000, "no number beyond those that were needed at one time");
  }
});
