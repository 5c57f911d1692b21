import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../random.ts";
import { SipMessage } from "./message.ts";
import { NO_TRANSACTION, type TransactionId } from "./transaction.ts";
import { Harness, PEER, requestText, responseText } from "./transaction_testing.ts";

const INVITE = requestText("INVITE");
const BYE = requestText("BYE");

Deno.test("numbers: one is used again after terminated, with another serial", () => {
  const h = new Harness();
  const first = h.request(INVITE);
  const serial = h.layer.serialOf(first);
  assert(first >= 0 && serial > 0 && h.layer.isLive(first));
  assertEquals([h.layer.kindOf(first), h.layer.stateOf(first)], ["INVITE client", "Calling"]);
  assertEquals([h.layer.methodOf(first), h.layer.toOf(first)], ["INVITE", PEER]);
  h.onTerminated = (tx) => {
    assertEquals([tx, h.layer.serialOf(tx), h.layer.isLive(tx)], [first, serial, false]);
    assertEquals([h.layer.methodOf(tx), h.layer.stateOf(tx)], ["INVITE", "Terminated"]);
    h.layer.startTimer(tx, 10);
    h.layer.end(tx, 0);
    // The number is not free before this returns.
    h.onTerminated = () => {};
    assertNotEquals(h.request(BYE), tx);
  };
  h.layer.end(first, 0);
  assertEquals([h.layer.serialOf(first), h.layer.isLive(first)], [0, false]);
  assertEquals(h.layer.isLive(NO_TRANSACTION), false);
  const again = h.request(INVITE);
  assertEquals(again, first);
  assertNotEquals(h.layer.serialOf(again), serial);
  assertEquals(h.takeTold(), ["0 terminated INVITE client"]);
});

Deno.test("numbers: what is over takes no more answers", () => {
  const h = new Harness();
  h.receive(requestText("INVITE", { branch: "1" }));
  const old = h.lastServer;
  h.layer.end(old, 0);
  assertEquals(h.respond(responseText(INVITE, 200), old), false);
  h.layer.sendTrying(old, 0);
  h.layer.end(old, 0);
  assertEquals(h.layer.requestOf(old, new SipMessage()), false);
  assertEquals(h.takeSent(), []);
  // A request with a branch in its place is not matched by the rules for RFC 2543.
  h.receive(INVITE);
  assertEquals(h.lastServer, old);
  h.respond(responseText(INVITE, 486));
  h.receive(requestText("ACK", { toTag: "another" }));
  assertEquals(h.state(), "Confirmed");
  h.runTo(60_000);
  h.assertEmpty();
});

Deno.test("numbers: a full table takes nothing more, until one is over", () => {
  const h = new Harness({ maxTransactions: 3 });
  assertEquals(h.layer.capacity, 3);
  const numbers = new Set<TransactionId>();
  for (let i = 0; i < 3; i++) {
    h.receive(requestText("BYE", { branch: `z9hG4bK-${i}` }));
    numbers.add(h.lastServer);
  }
  assertEquals([...numbers].toSorted(), [0, 1, 2]);
  h.receive(requestText("BYE", { branch: "z9hG4bK-3" }));
  assertEquals(h.request(INVITE), NO_TRANSACTION);
  h.receive(requestText("BYE", { branch: "z9hG4bK-2" }));
  assertEquals(h.takeTold().slice(3), ["0 overloaded BYE"]);
  assertEquals([h.layer.statistics.refused, h.layer.statistics.absorbed, h.layer.size], [1, 1, 3]);
  h.layer.end(1, 0);
  h.receive(requestText("BYE", { branch: "z9hG4bK-3" }));
  assertEquals(h.lastServer, 1);
  assertEquals(h.layer.size, 3);
  for (const tx of numbers) h.layer.end(tx, 0);
  h.assertEmpty();
  for (const maxTransactions of [0, -1, 1.5, NaN, 2 ** 27]) {
    assertThrows(() => new Harness({ maxTransactions }), RangeError, "maxTransactions");
  }
});

Deno.test("the user's timer: fires once, beside the layer's own, and stops with the transaction", () => {
  const h = new Harness();
  const tx = h.request(INVITE);
  h.layer.startTimer(tx, 700);
  h.layer.startTimer(tx, 600);
  assertEquals(h.layer.timersRunning, 2);
  h.runTo(1000);
  assertEquals(h.takeTold(), ["600 timer of INVITE"]);
  assertEquals(h.takeTimes(), [0, 500]);
  h.layer.startTimer(tx, 5000);
  h.layer.stopTimer(tx);
  h.layer.stopTimer(tx);
  h.layer.startTimer(tx, 40_000);
  h.runTo(60_000);
  assertEquals(h.takeTold(), ["32000 timeout of INVITE client", "32000 terminated INVITE client"]);
  h.layer.startTimer(tx, 70_000);
  h.assertEmpty();
  assertThrows(() => h.layer.startTimer(h.request(BYE), NaN), RangeError);
});

Deno.test("the user's timer: may start itself again, end its transaction, and start another", () => {
  const h = new Harness();
  const tx = h.request(INVITE);
  h.receive(responseText(INVITE, 180));
  let rounds = 0;
  h.onTimer = (fired) => {
    assertEquals(fired, tx);
    if (++rounds < 3) return h.layer.startTimer(fired, h.now + 1000);
    h.layer.end(fired, h.now);
    assertEquals(h.request(BYE), tx, "the number is used at once");
    assertEquals(h.layer.timersRunning, 1, "but not its timer");
  };
  h.layer.startTimer(tx, 1000);
  h.runTo(2999);
  h.takeTold();
  h.runTo(10_000);
  assertEquals(h.takeTold(), ["3000 timer of INVITE", "3000 terminated INVITE client"]);
  h.runTo(60_000);
  h.assertEmpty();
});

Deno.test("the request: not copied if the user answers inside the call", () => {
  for (const [text, status, kept] of [[INVITE, 200, 0], [INVITE, 407, 1], [BYE, 200, 1]] as const) {
    const h = new Harness();
    const view = new SipMessage();
    h.onRequest = (tx, message) => {
      assertEquals(h.layer.slotsInUse, 0, "nothing is copied yet");
      assert(h.layer.requestOf(tx, view));
      assertEquals([view.method, view.callId], [message.method, "7f3@192.0.2.7"]);
      h.respond(responseText(text, status));
      assertEquals(h.layer.requestOf(tx, view), false);
    };
    h.receive(text);
    assertEquals(h.layer.slotsInUse, kept, "the answer alone is kept, if at all");
    assertEquals(h.layer.requestOf(h.lastServer, view), false);
    h.runTo(60_000);
    h.assertEmpty();
  }
});

Deno.test("the request: copied if the user leaves it open, and right when the buffer has other content", () => {
  for (const text of [INVITE, BYE, requestText("CANCEL")]) {
    const h = new Harness();
    h.receive(text);
    h.receive(requestText("OPTIONS", { branch: "z9hG4bK-2", headers: ["Subject: another"] }));
    const view = new SipMessage();
    const tx = text === BYE || text === INVITE ? 0 : h.lastServer - 1;
    assertEquals(h.layer.slotsInUse, 2);
    assert(h.layer.requestOf(tx, view));
    assertEquals(new TextDecoder().decode(view.buffer.subarray(view.start, view.bodyEnd)), text);
    h.layer.end(tx, 0);
    assertEquals(h.layer.slotsInUse, 1);
  }
});

Deno.test("the request: 100 (Trying) is made of the message at hand, the one given, or the copy", () => {
  const trying: string[] = [];
  for (const way of ["inside", "given", "copy"]) {
    const h = new Harness();
    h.onRequest = (tx, message) => {
      if (way === "inside") h.layer.sendTrying(tx, 0);
      if (way === "given") h.layer.sendTrying(tx, 0, message);
    };
    h.receive(INVITE);
    if (way === "copy") h.layer.sendTrying(h.lastServer, 0);
    h.layer.sendTrying(h.lastServer, 0);
    assertEquals(h.sent.length, 1);
    trying.push(h.sent[0].text);
    assertEquals(h.layer.slotsInUse, 2, "request and 100");
    h.receive(INVITE);
    assertEquals(h.sent[1].text, h.sent[0].text);
  }
  assertEquals(trying, Array(3).fill(trying[0]));
  assert(trying[0].startsWith("SIP/2.0 100 Trying\r\n"));
});

Deno.test("the request: held though the user's call throws", () => {
  const h = new Harness();
  h.onRequest = () => {
    throw new Error("a route failed");
  };
  assertThrows(() => h.receive(INVITE), Error, "a route failed");
  const view = new SipMessage();
  assert(h.layer.requestOf(h.lastServer, view));
  assertEquals(view.method, "INVITE");
});

Deno.test("the request: a transaction that is ended inside the call leaves nothing to its successor", () => {
  const h = new Harness();
  let next: TransactionId = NO_TRANSACTION;
  h.onRequest = (tx) => {
    h.layer.end(tx, 0);
    next = h.request(requestText("OPTIONS", { branch: "z9hG4bK-own" }));
    assertEquals(next, tx);
    assert(h.layer.requestOf(next, view));
    assertEquals(view.method, "OPTIONS");
  };
  const view = new SipMessage();
  h.receive(INVITE);
  assert(h.layer.requestOf(next, view));
  assertEquals([view.method, h.layer.slotsInUse, h.layer.size], ["OPTIONS", 1, 1]);
  h.runTo(60_000);
  h.assertEmpty();
});

Deno.test("CANCEL: the invite's request is there while CANCEL is told, and so is its own", () => {
  const h = new Harness();
  h.receive(INVITE);
  const view = new SipMessage();
  h.onCancel = (tx, invite) => {
    assert(h.layer.requestOf(tx, view));
    assertEquals(view.method, "CANCEL");
    assert(h.layer.requestOf(invite, view));
    assertEquals(view.method, "INVITE");
    h.respond(responseText(requestText("CANCEL"), 200), tx);
    h.respond(responseText(INVITE, 487), invite);
  };
  h.receive(requestText("CANCEL"));
  assertEquals(h.takeSent().map((line) => line.split(" ")[2]), ["200", "487"]);
  assertEquals(h.layer.slotsInUse, 2);
  h.runTo(60_000);
  h.assertEmpty();
});

Deno.test("methods without a number of their own are told apart, and forgotten with their transaction", () => {
  const h = new Harness();
  for (let i = 0; i < 300; i++) {
    const branch = "z9hG4bK-same";
    h.receive(requestText(`METHOD${i}`, { branch }));
    assertEquals(h.layer.methodOf(h.lastServer), `METHOD${i}`);
    h.receive(requestText(`METHOD${i}`, { branch }));
    h.receive(requestText("BYE", { branch: `z9hG4bK-${i}` }));
    assertEquals(h.layer.methodOf(h.lastServer), "BYE");
    const client = h.request(requestText(`OTHER${i}`, { branch }));
    assertEquals(h.layer.methodOf(client), `OTHER${i}`);
  }
  assertEquals([h.layer.size, h.layer.statistics.absorbed], [900, 300]);
  h.takeTold();
  h.receive(responseText(requestText("OTHER7", { branch: "z9hG4bK-same" }), 200));
  assertEquals(h.takeTold(), ["0 OTHER7 200"]);
  for (let tx = 0; tx < 900; tx++) h.layer.end(tx, 0);
  h.assertEmpty();
  h.receive(BYE);
  assertEquals(h.layer.methodOf(h.lastServer), "BYE");
});

Deno.test("RFC 2543: requests that differ in their To tags alone are transactions of their own, each found at once", () => {
  const h = new Harness();
  const old = (toTag: string) => requestText("INVITE", { branch: "1", toTag });
  const numbers = Array.from({ length: 20 }, (_, i) => {
    h.receive(old(`t${i}`));
    return h.lastServer;
  });
  assertEquals(h.layer.size, 20);
  const random = seededRandom(3);
  while (numbers.length > 0) {
    for (const tx of numbers) {
      const view = new SipMessage();
      assert(h.layer.requestOf(tx, view));
      h.receive(old(view.toTag));
    }
    assertEquals(h.layer.size, numbers.length, "each is found");
    h.layer.end(numbers.splice(random.below(numbers.length), 1)[0], 0);
  }
  h.assertEmpty();
});

Deno.test("what is held goes when it is no longer needed, whatever its size", () => {
  const h = new Harness();
  const random = seededRandom(4);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 50; i++) {
      const headers = [`Subject: ${"s".repeat(random.below(round % 2 === 0 ? 3000 : 300))}`];
      const branch = `z9hG4bK-${round}-${i}`;
      const method = ["INVITE", "BYE", "OPTIONS"][random.below(3)];
      const text = requestText(method, { branch, headers });
      if (random.below(2) === 0) h.request(text);
      else {
        h.receive(text);
        const grown = responseText(text, 183).replace(
          "Content-Length",
          `Subject: ${"r".repeat(2000)}\r\nContent-Length`,
        );
        if (random.below(2) === 0) h.respond(grown);
        if (random.below(4) > 0) h.respond(responseText(text, [200, 302, 486, 603][random.below(4)]));
        else h.layer.end(h.lastServer, h.now);
      }
    }
    h.runTo(h.now + random.below(20_000));
  }
  h.runTo(h.now + 200_000);
  h.assertEmpty();
});

Deno.test("timers are right when their ticks pass 2^31", () => {
  const h = new Harness();
  h.now = 2 ** 31 * 10 - 20_000;
  h.layer.advance(h.now);
  h.request(INVITE);
  const start = h.now;
  h.runTo(start + 60_000);
  assertEquals(h.takeTimes().map((at) => at - start), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
  h.receive(BYE);
  h.respond(responseText(BYE, 200));
  h.layer.startTimer(h.lastServer, h.now + 1000);
  h.takeTold();
  h.runTo(h.now + 60_000);
  assertEquals(h.takeTold().map((line) => line.replace(/^\d+ /, "")), [
    "timer of BYE",
    "terminated non-INVITE server",
  ]);
  h.assertEmpty();
});
