import { assert, assertEquals, assertThrows } from "@std/assert";
import { firstLine, Harness, PEER, requestText, responseText } from "./transaction_testing.ts";

const INVITE = requestText("INVITE", {
  headers: ["Route: <sip:p1.example.com;lr>", "Route: <sip:p2.example.com;lr>"],
});
const OPTIONS = requestText("OPTIONS");
const reliable = () => true;

Deno.test("RFC 3261 17.1.1.2: INVITE client: Timer A doubles without limit, Timer B ends it after 64 T1", () => {
  const h = new Harness();
  h.request(INVITE);
  h.runTo(60_000);
  assertEquals(h.sent.map(({ text }) => text), Array(7).fill(INVITE));
  assertEquals(h.takeTimes(), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
  assertEquals(h.takeTold(), ["32000 timeout of INVITE client", "32000 terminated INVITE client"]);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.1.2: INVITE client: over a reliable transport nothing is repeated, Timer B runs", () => {
  const h = new Harness({ reliable });
  h.request(INVITE);
  h.runTo(60_000);
  assertEquals(h.takeTimes(), [0]);
  assertEquals(h.takeTold()[0], "32000 timeout of INVITE client");
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.1.2: INVITE client: a provisional response stops Timers A and B; nothing else ends it but a final one", () => {
  const h = new Harness();
  const tx = h.request(INVITE);
  h.runTo(600);
  h.receive(responseText(INVITE, 100));
  assertEquals(h.state(tx), "Proceeding");
  h.runTo(1_000_000);
  h.receive(responseText(INVITE, 180));
  assertEquals(h.takeTimes(), [0, 500]);
  assertEquals(h.takeTold(), ["600 INVITE 100", "1000000 INVITE 180"]);
  assertEquals(h.layer.timersRunning, 0);
  h.layer.end(tx, h.now);
  assertEquals(h.takeTold(), ["1000000 terminated INVITE client"]);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.1.2: INVITE client: each final 300-699 is acknowledged, the first is told, Timer D ends it", () => {
  const h = new Harness();
  h.request(INVITE);
  h.takeSent();
  const busy = responseText(INVITE, 486);
  h.receive(busy);
  assertEquals(
    h.sent[0].text,
    [
      "ACK sip:bob@example.com SIP/2.0",
      "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-1",
      "Max-Forwards: 70",
      "Route: <sip:p1.example.com;lr>",
      "Route: <sip:p2.example.com;lr>",
      "From: Alice <sip:alice@example.com>;tag=a1",
      "To: Bob <sip:bob@example.com>;tag=b1",
      "Call-ID: 7f3@192.0.2.7",
      "CSeq: 1 ACK",
      "Content-Length: 0",
      "",
      "",
    ].join("\r\n"),
  );
  const ack = h.sent[0].text;
  h.runTo(500);
  h.receive(busy);
  h.receive(responseText(INVITE, 180));
  h.receive(responseText(INVITE, 200));
  h.runTo(31_990);
  h.receive(busy);
  assertEquals(h.sent.map(({ text }) => text), [ack, ack, ack]);
  h.runTo(40_000);
  assertEquals(h.takeTold(), ["0 INVITE 486", "32000 terminated INVITE client"]);
  h.receive(busy);
  assertEquals(h.takeTold(), ["40000 stray 486"]);
  assertEquals(h.layer.statistics.absorbed, 2);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.1.2: INVITE client: Timer D is 0 over a reliable transport", () => {
  const h = new Harness({ reliable });
  h.request(INVITE);
  h.receive(responseText(INVITE, 404));
  h.runTo(10);
  assertEquals(h.takeTold(), ["0 INVITE 404", "10 terminated INVITE client"]);
  h.assertEmpty();
});

Deno.test("RFC 6026 7.2: INVITE client: in Accepted every 2xx is told until Timer M, then it is a stray", () => {
  for (const options of [{}, { reliable }]) {
    const h = new Harness(options);
    const tx = h.request(INVITE);
    h.receive(responseText(INVITE, 180));
    h.receive(responseText(INVITE, 200, "b1"));
    assertEquals(h.state(tx), "Accepted");
    assertEquals(h.layer.slotsInUse, 0, "no message is kept in Accepted");
    h.runTo(500);
    h.receive(responseText(INVITE, 200, "b1"));
    h.receive(responseText(INVITE, 200, "b2"));
    h.receive(responseText(INVITE, 486, "b3"));
    h.receive(responseText(INVITE, 180, "b3"));
    h.runTo(32_010);
    h.receive(responseText(INVITE, 200, "b2"));
    assertEquals(h.takeTold(), [
      "0 INVITE 180",
      "0 INVITE 200",
      "500 INVITE 200",
      "500 INVITE 200",
      "32000 terminated INVITE client",
      "32010 stray 200",
    ]);
    assertEquals(h.takeSent().length, 1);
    h.assertEmpty();
  }
});

Deno.test("RFC 3261 17.1.2.2: non-INVITE client: Timer E doubles up to T2, Timer F ends it; nobody is sent a 408", () => {
  const h = new Harness();
  h.request(OPTIONS);
  h.runTo(60_000);
  const times = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
  assertEquals(h.sent.map(({ text }) => text), times.map(() => OPTIONS));
  assertEquals(h.takeTimes(), times);
  assertEquals(h.takeTold(), ["32000 timeout of non-INVITE client", "32000 terminated non-INVITE client"]);
  h.receive(responseText(OPTIONS, 200));
  assertEquals(h.takeTold(), ["60000 stray 200"]);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.2.2: non-INVITE client: in Proceeding it repeats every T2, and Timer F goes on", () => {
  const h = new Harness();
  h.request(OPTIONS);
  h.runTo(600);
  h.receive(responseText(OPTIONS, 100));
  h.runTo(60_000);
  assertEquals(h.takeTimes(), [0, 500, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]);
  assertEquals(h.takeTold(), [
    "600 OPTIONS 100",
    "32000 timeout of non-INVITE client",
    "32000 terminated non-INVITE client",
  ]);
  h.assertEmpty();
});

Deno.test("RFC 3261 17.1.2.2: non-INVITE client: the final response is told once, repeats are absorbed until Timer K", () => {
  for (const [options, end] of [[{}, 5000], [{ reliable }, 10]] as const) {
    const h = new Harness(options);
    h.request(OPTIONS);
    h.receive(responseText(OPTIONS, 200));
    h.receive(responseText(OPTIONS, 200));
    h.receive(responseText(OPTIONS, 100));
    assertEquals(h.layer.slotsInUse, 0);
    h.runTo(60_000);
    assertEquals(h.takeTold(), ["0 OPTIONS 200", `${end} terminated non-INVITE client`]);
    assertEquals(h.takeTimes(), [0]);
    h.assertEmpty();
  }
});

Deno.test("RFC 3261 17.1.3: client: a response is matched by branch and CSeq method", () => {
  const h = new Harness();
  h.request(INVITE);
  h.receive(responseText(requestText("INVITE", { branch: "z9hG4bK-2" }), 200));
  h.receive(responseText(OPTIONS, 200));
  h.receive(responseText(requestText("INVITE", { branch: "z9hG4bK-" }), 200));
  assertEquals(h.takeTold(), ["0 stray 200", "0 stray 200", "0 stray 200"]);
  assertEquals(h.layer.statistics.strays, 3);
});

Deno.test("RFC 3261 9.1: client: CANCEL has the branch of the INVITE, is a transaction of its own and goes out once", () => {
  const h = new Harness();
  const invite = h.request(INVITE);
  h.receive(responseText(INVITE, 180));
  h.takeSent();
  assert(h.layer.cancel(invite, h.now));
  assert(h.layer.cancel(invite, h.now));
  assertEquals(h.sent.length, 1);
  const cancel = h.sent[0].text;
  assertEquals(firstLine(cancel), "CANCEL sip:bob@example.com SIP/2.0");
  assert(cancel.includes("branch=z9hG4bK-1\r\n") && cancel.includes("CSeq: 1 CANCEL\r\n"));
  assertEquals(cancel.match(/^Route:/gm)!.length, 2);
  assertEquals(h.layer.counts.nonInviteClient, 1);
  h.onResponse = (message, tx) => assertEquals(h.layer.methodOf(tx), message.cseqMethod);
  h.receive(responseText(cancel, 200));
  h.receive(responseText(INVITE, 487));
  h.runTo(60_000);
  assertEquals(h.takeTold(), [
    "0 INVITE 180",
    "0 CANCEL 200",
    "0 INVITE 487",
    "5000 terminated non-INVITE client",
    "32000 terminated INVITE client",
  ]);
  assertEquals(h.takeSent(), ["0 CANCEL sip:bob@example.com SIP/2.0", "0 ACK sip:bob@example.com SIP/2.0"]);
  h.assertEmpty();
});

Deno.test("RFC 3261 9.1: client: CANCEL waits for a provisional response, and a final one overtakes it", () => {
  for (const [status, sent] of [[100, "CANCEL"], [200, undefined], [486, "ACK"]] as const) {
    const h = new Harness();
    const invite = h.request(INVITE);
    assert(h.layer.cancel(invite, h.now));
    assertEquals(h.takeSent().length, 1);
    h.runTo(100);
    h.receive(responseText(INVITE, status));
    assertEquals(h.sent.map(({ text }) => text.split(" ")[0]), sent === undefined ? [] : [sent]);
    if (status !== 100) assertEquals(h.layer.cancel(invite, h.now), false);
  }
});

Deno.test("RFC 3261 17.1.4: client: a transport error is told at the next advance and ends it", () => {
  const h = new Harness();
  h.transportWorks = false;
  h.request(INVITE);
  assertEquals(h.takeTold(), []);
  h.runTo(0);
  assertEquals(h.takeTold(), ["0 transport error of INVITE client", "0 terminated INVITE client"]);
  h.assertEmpty();

  h.transportWorks = true;
  h.request(OPTIONS);
  h.layer.transportError({ host: "192.0.2.8", port: 5060 }, h.now);
  h.layer.transportError({ ...PEER }, h.now);
  assertEquals(h.takeTold(), ["0 transport error of non-INVITE client", "0 terminated non-INVITE client"]);
  h.assertEmpty();
});

Deno.test("client: misuse is named", () => {
  const h = new Harness();
  h.request(INVITE);
  assertThrows(() => h.request(INVITE), Error, "in use");
  assertThrows(() => h.request(requestText("ACK")), TypeError, "ACK");
  assertThrows(() => h.request(OPTIONS.replace(";branch=z9hG4bK-1", "")), TypeError, "no Via branch");
  assertThrows(() => h.request(responseText(OPTIONS, 200)), TypeError);
  assertThrows(() => h.layer.cancel(h.request(OPTIONS), 0), TypeError, "INVITE");
});

Deno.test("client: the key is found wherever and however Via is written", () => {
  for (const via of ["v:SIP/2.0/UDP h;branch=z9hG4bK-1", "VIA : SIP / 2.0 / UDP h\r\n ;branch=z9hG4bK-1"]) {
    for (const first of [true, false]) {
      const h = new Harness();
      const lines = OPTIONS.split("\r\n");
      lines.splice(1, 1);
      lines.splice(first ? 1 : 3, 0, via);
      h.request(lines.join("\r\n"));
      h.receive(responseText(OPTIONS, 200));
      assertEquals(h.takeTold(), ["0 OPTIONS 200"], via);
    }
  }
});

Deno.test("client: the user may end the transaction and start another inside each call", () => {
  const h = new Harness();
  let n = 1;
  h.onResponse = (_, tx) => {
    h.layer.end(tx, h.now);
    h.request(requestText("INVITE", { branch: `z9hG4bK-next-${n++}` }));
  };
  h.request(INVITE);
  h.receive(responseText(INVITE, 486));
  assertEquals(h.layer.counts.inviteClient, 1);
  h.onTimeout = () => {
    if (n < 4) h.request(requestText("INVITE", { branch: `z9hG4bK-next-${n++}` }));
  };
  h.runTo(200_000);
  assertEquals(h.takeTold().filter((line) => line.includes("timeout")).length, 3);
  h.assertEmpty();
});
