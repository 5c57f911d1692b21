import { assert, assertEquals, assertThrows } from "@std/assert";
import { SipMessage } from "./message.ts";
import { NO_TRANSACTION } from "./transaction.ts";
import { Harness, requestText, responseText } from "./transaction_testing.ts";

const INVITE = requestText("INVITE");
const ACK = requestText("ACK", { toTag: "b1" });
const BYE = requestText("BYE");
const reliable = () => true;

Deno.test("RFC 3261 17.2.1: INVITE server: Timer G doubles up to T2, Timer H ends it when no ACK comes", () => {
  const h = new Harness();
  h.receive(INVITE);
  const busy = responseText(INVITE, 486);
  h.respond(busy);
  h.runTo(60_000);
  const times = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
  assertEquals(h.sent.map(({ text }) => text), times.map(() => busy));
  assertEquals(h.takeTimes(), times);
  assertEquals(h.takeTold(), [
    "0 request INVITE",
    "32000 timeout of INVITE server",
    "32000 terminated INVITE server",
  ]);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.2.1: INVITE server: the ACK stops Timer G, repeated ACKs are absorbed until Timer I", () => {
  for (const [options, end] of [[{}, 5600], [{ reliable }, 610]] as const) {
    const h = new Harness(options);
    h.receive(INVITE);
    h.respond(responseText(INVITE, 486));
    h.runTo(600);
    h.receive(ACK);
    assertEquals(h.state(), "Confirmed");
    assertEquals(h.layer.slotsInUse, 0);
    h.receive(ACK);
    h.receive(INVITE);
    h.runTo(60_000);
    assertEquals(h.takeTold(), ["0 request INVITE", `${end} terminated INVITE server`]);
    assertEquals(h.takeTimes(), end === 610 ? [0] : [0, 500]);
    h.receive(ACK);
    assertEquals(h.takeTold(), ["60000 request ACK without transaction"]);
    h.assertEmpty();
  }
});

Deno.test("RFC 3261 17.2.1: INVITE server: a repeated INVITE gets the last response again", () => {
  const h = new Harness();
  h.receive(INVITE);
  h.receive(INVITE);
  assertEquals(h.takeSent(), [], "nothing was answered yet");
  h.respond(responseText(INVITE, 180));
  h.receive(INVITE);
  h.respond(responseText(INVITE, 183));
  h.receive(INVITE);
  h.respond(responseText(INVITE, 603));
  h.receive(INVITE);
  const statuses = h.takeSent().map((line) => Number(line.split(" ")[2]));
  assertEquals(statuses, [180, 180, 183, 183, 603, 603]);
  assertEquals(h.takeTold(), ["0 request INVITE"]);
});

Deno.test("RFC 6026 7.1: INVITE server: in Accepted each 2xx goes out, INVITEs are absorbed, ACKs are told", () => {
  for (const options of [{}, { reliable }]) {
    const h = new Harness(options);
    h.receive(INVITE);
    assert(h.respond(responseText(INVITE, 200, "b1")));
    assertEquals(h.state(), "Accepted");
    assertEquals(h.layer.slotsInUse, 0, "no message is kept in Accepted");
    h.runTo(500);
    assert(h.respond(responseText(INVITE, 200, "b1")));
    assert(h.respond(responseText(INVITE, 200, "b2")));
    assertEquals(h.respond(responseText(INVITE, 486)), false);
    assertEquals(h.respond(responseText(INVITE, 180)), false);
    assertEquals(h.takeTimes(), [0, 500, 500]);
    h.receive(INVITE);
    h.receive(ACK);
    h.receive(requestText("ACK", { toTag: "b1", branch: "z9hG4bK-ack" }));
    assertEquals(h.takeTimes(), []);
    h.runTo(60_000);
    assertEquals(h.takeTold(), [
      "0 request INVITE",
      "500 request ACK without transaction",
      "500 request ACK without transaction",
      "32000 terminated INVITE server",
    ]);
    h.assertEmpty();
  }
});

Deno.test("RFC 3261 17.2.1: INVITE server: 100 Trying after 200 ms unless the user answers", () => {
  const h = new Harness({ trying: "after 200 ms" });
  h.receive(requestText("INVITE", { viaParams: ";rport", sentBy: "phone.invalid" }));
  h.runTo(1000);
  assertEquals(
    h.sent[0].text,
    [
      "SIP/2.0 100 Trying",
      "Via: SIP/2.0/UDP phone.invalid;branch=z9hG4bK-1;rport=5060;received=192.0.2.7",
      "From: Alice <sip:alice@example.com>;tag=a1",
      "To: Bob <sip:bob@example.com>",
      "Call-ID: 7f3@192.0.2.7",
      "CSeq: 1 INVITE",
      "Content-Length: 0",
      "",
      "",
    ].join("\r\n"),
  );
  assertEquals(h.takeTimes(), [200]);
  h.receive(requestText("INVITE", { sentBy: "phone.invalid" }));
  assertEquals(h.takeSent(), ["1000 SIP/2.0 100 Trying"]);

  for (const status of [180, 200, 404]) {
    const quick = new Harness({ trying: "after 200 ms" });
    quick.receive(INVITE);
    quick.runTo(100);
    quick.respond(responseText(INVITE, status));
    quick.runTo(400);
    assertEquals(quick.takeTimes(), [100]);
    if (status === 180) assertEquals(quick.layer.timersRunning, 0);
  }
  const other = new Harness({ trying: "after 200 ms" });
  other.receive(BYE);
  other.runTo(1000);
  assertEquals(other.takeTimes(), []);
});

Deno.test("INVITE server: 100 Trying at once, never, or when the user says", () => {
  const atOnce = new Harness({ trying: "immediate" });
  atOnce.onRequest = () => assertEquals(atOnce.takeSent(), ["0 SIP/2.0 100 Trying"]);
  atOnce.receive(INVITE);
  atOnce.runTo(1000);
  assertEquals(atOnce.takeSent(), []);

  const never = new Harness({ trying: "never" });
  never.receive(INVITE);
  never.runTo(1000);
  assertEquals(never.takeSent(), []);
  never.layer.sendTrying(never.lastServer, never.now);
  never.layer.sendTrying(never.lastServer, never.now);
  assertEquals(never.takeSent(), ["1000 SIP/2.0 100 Trying"]);
});

Deno.test("RFC 3261 17.2.2: non-INVITE server: repeats are absorbed in Trying, answered again later, until Timer J", () => {
  for (const [options, end] of [[{}, 32_100], [{ reliable }, 110]] as const) {
    const h = new Harness(options);
    h.receive(BYE);
    h.receive(BYE);
    assertEquals(h.takeSent(), []);
    h.respond(responseText(BYE, 100));
    h.receive(BYE);
    h.runTo(100);
    h.respond(responseText(BYE, 200));
    h.receive(BYE);
    assertEquals(h.respond(responseText(BYE, 500)), false, "a second final response is dropped");
    assertEquals(h.takeSent().map((line) => line.split(" ")[2]), ["100", "100", "200", "200"]);
    h.runTo(60_000);
    assertEquals(h.takeTold(), ["0 request BYE", `${end} terminated non-INVITE server`]);
    h.assertEmpty();
  }
});

Deno.test("RFC 4320 4.2: non-INVITE server: without an answer it lives until its user gives it up, silently", () => {
  const h = new Harness();
  h.receive(BYE);
  h.runTo(100_000);
  assertEquals(h.layer.counts.nonInviteServer, 1);
  h.layer.end(h.lastServer, h.now);
  assertEquals(h.takeSent(), []);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.2.3: server: matching is by branch, sent-by and method", () => {
  const h = new Harness();
  h.receive(INVITE);
  h.receive(requestText("INVITE", { sentBy: "192.0.2.7" })); // 5060 is the default
  assertEquals(h.layer.size, 1);
  h.receive(requestText("INVITE", { sentBy: "192.0.2.8" }));
  h.receive(requestText("INVITE", { sentBy: "192.0.2.7:5061" }));
  h.receive(requestText("INVITE", { branch: "z9hG4bK-1a" }));
  h.receive(requestText("INVITE", { branch: `z9hG4bK-${"long".repeat(100)}` }));
  h.receive(requestText("BYE"));
  assertEquals(h.layer.size, 6);
  h.receive(requestText("INVITE", { branch: `z9hG4bK-${"long".repeat(100)}` }));
  h.receive(requestText("BYE"));
  assertEquals(h.layer.size, 6);
  h.receive(requestText("OPTIONS", { sentBy: "PHONE.Example.com" }));
  h.receive(requestText("OPTIONS", { sentBy: "phone.example.com" }));
  assertEquals(h.layer.size, 7, "host names are equal in any case");
});

Deno.test("RFC 3261 9.2: server: CANCEL finds its INVITE in any state, and is answered by itself", () => {
  const h = new Harness();
  h.receive(requestText("CANCEL"));
  assertEquals([h.lastInvite, h.takeTold()[0]], [NO_TRANSACTION, "0 cancel of nothing"]);
  h.respond(responseText(requestText("CANCEL"), 481));
  h.runTo(40_000);
  h.assertEmpty();
  h.takeTold();

  h.receive(INVITE);
  const invite = h.lastServer;
  h.receive(requestText("CANCEL"));
  h.receive(requestText("CANCEL"));
  assert(h.lastInvite === invite);
  h.respond(responseText(requestText("CANCEL"), 200));
  h.respond(responseText(INVITE, 487), invite);
  h.receive(requestText("CANCEL"));
  h.receive(ACK);
  assertEquals(h.takeSent().map((line) => line.split(" ")[2]).slice(1), ["200", "487", "200"]);
  assertEquals(h.takeTold(), ["40000 request INVITE", "40000 cancel of INVITE"]);
  h.runTo(100_000);
  h.assertEmpty();

  h.receive(INVITE);
  h.respond(responseText(INVITE, 200));
  h.receive(requestText("CANCEL"));
  assertEquals(h.state(h.lastInvite), "Accepted", "the 2xx has won the race");
});

Deno.test("RFC 3261 17.2.3: server: requests of RFC 2543 are matched by their fields", () => {
  const h = new Harness();
  const old = (method: string, parts = {}) => requestText(method, { branch: "1", ...parts });
  h.receive(old("INVITE"));
  const invite = h.lastServer;
  h.receive(old("INVITE"));
  assertEquals(h.layer.size, 1);
  h.receive(old("INVITE", { cseq: 2 }));
  h.receive(old("INVITE", { toTag: "x" }));
  h.receive(old("INVITE", { uri: "sip:carol@example.com" }));
  h.receive(old("INVITE", { viaParams: ";x" }));
  assertEquals(h.layer.size, 5);
  h.receive(old("INVITE", { toTag: "x" }));
  assertEquals(h.layer.size, 5);
  h.respond(responseText(INVITE, 486, "b1"), invite);
  h.receive(old("CANCEL"));
  assert(h.lastInvite === invite);
  h.takeTold();
  h.receive(old("ACK", { toTag: "other" }));
  assertEquals(h.state(invite), "Completed");
  assertEquals(h.takeTold(), ["0 request ACK without transaction"]);
  h.receive(old("ACK", { toTag: "b1" }));
  assertEquals(h.state(invite), "Confirmed");
});

Deno.test("RFC 3261 18.2.2: server: responses go to the source, its port by rport or sent-by", () => {
  const source = { host: "198.51.100.1", port: 40_000 };
  for (
    const [sentBy, viaParams, options, port] of [
      ["10.0.0.1:5070", "", {}, 5070],
      ["10.0.0.1", "", {}, 5060],
      ["10.0.0.1:5070", ";rport", {}, 40_000],
      ["10.0.0.1:5070", "", { reliable }, 40_000],
      ["10.0.0.1:5070", ";maddr=203.0.113.9", {}, 5070],
    ] as const
  ) {
    const h = new Harness(options);
    h.receive(requestText("BYE", { sentBy, viaParams }), source);
    h.respond(responseText(BYE, 200));
    assertEquals(h.sent[0].to, { host: "198.51.100.1", port });
  }
});

Deno.test("RFC 6026 7.1: server: a transport error is told; INVITE transactions stay (RFC 6026), others end", () => {
  const h = new Harness();
  h.receive(INVITE);
  h.transportWorks = false;
  h.respond(responseText(INVITE, 200));
  h.runTo(10);
  assertEquals(h.takeTold(), ["0 request INVITE", "0 transport error of INVITE server"]);
  assertEquals(h.state(), "Accepted");
  h.receive(BYE);
  h.respond(responseText(BYE, 200));
  h.runTo(20);
  assertEquals(h.takeTold(), [
    "10 request BYE",
    "10 transport error of non-INVITE server",
    "10 terminated non-INVITE server",
  ]);
  h.runTo(40_000);
  h.assertEmpty();
});

Deno.test("server: the request is kept until the final response", () => {
  const h = new Harness();
  const view = new SipMessage();
  h.receive(INVITE);
  h.respond(responseText(INVITE, 180));
  assert(h.layer.requestOf(h.lastServer, view));
  assertEquals([view.method, view.callId], ["INVITE", "7f3@192.0.2.7"]);
  h.respond(responseText(INVITE, 500));
  assertEquals(h.layer.requestOf(h.lastServer, view), false);
});

Deno.test("server: misuse is named", () => {
  const h = new Harness();
  h.receive(BYE);
  assertThrows(() => h.respond(BYE), TypeError);
  assertThrows(() => h.respond("SIP/2.0 2"), TypeError);
});

Deno.test("when there is no room the user is told, and nothing is sent", () => {
  const h = new Harness({ maxTransactions: 2 });
  h.receive(INVITE);
  h.request(requestText("OPTIONS"));
  h.takeSent();
  h.receive(BYE);
  h.receive(ACK);
  h.receive(INVITE);
  assertEquals(h.request(requestText("MESSAGE")), NO_TRANSACTION);
  assertEquals(h.takeTold(), ["0 request INVITE", "0 overloaded BYE"]);
  assertEquals(h.takeSent(), []);
  assertEquals(h.layer.statistics.refused, 1);
});
