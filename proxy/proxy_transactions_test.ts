/** Calls over their whole life: retransmissions, CANCEL, ACK, time-outs, repeated 2xx (RFC 3261 §9, §16.7 … §16.10, §17; RFC 4320; RFC 6026). */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  ackOf,
  CALLED,
  cancelOf,
  firstLine,
  forwardedCall,
  header,
  headers,
  infosOf,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
} from "./testing.ts";

const open = (flags: readonly string[] = []) => new ProxyHarness(["--auth", "none", ...flags]);
const contact = ["Contact: <sip:bob@192.0.2.20:5080>"];

/** Everything is over and nothing is left behind. */
function assertEmpty({ proxy: { core } }: ProxyHarness): void {
  const { layer, contexts } = core;
  assertEquals([layer.size, layer.slotsInUse, layer.timersRunning, contexts.tokens], [0, 0, 0, 0]);
}

Deno.test("a whole call: INVITE, 180, 200, ACK, BYE, 200; nothing is left of it", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180, contact), CALLED);
  harness.receive(response(forwarded, 200, contact), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 180 Reason", "5070 SIP/2.0 200 Reason"]);
  const route = `Route: ${header(forwarded, "Record-Route")}`;
  const within = { uri: "sip:bob@192.0.2.20:5080", toTag: "b1", headers: [route] };
  harness.receive(request("ACK", within));
  assertEquals(harness.takeLines(), ["5080 ACK sip:bob@192.0.2.20:5080 SIP/2.0"]);
  const bye = harness.ask(request("BYE", { ...within, cseq: 2 }));
  assertEquals([firstLine(bye), headers(bye, "Route")], ["BYE sip:bob@192.0.2.20:5080 SIP/2.0", []]);
  harness.receive(response(bye, 200), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
  harness.runTo(70_000);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.2: a repeated request is answered again with what was answered last, and not forwarded again", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(invite);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 100 Trying"]);
  harness.receive(response(forwarded, 180), CALLED);
  harness.take();
  harness.receive(invite);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 180 Reason"]);
  const bye = request("BYE", { uri: "sip:bob@example.com" });
  const sent = harness.ask(bye);
  harness.receive(bye);
  assertEquals(harness.take(), []); // Nothing was answered yet.
  harness.receive(response(sent, 200), CALLED);
  harness.take();
  harness.receive(bye);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
});

Deno.test("RFC 3261 16.6.10: the forwarded request is sent again until something comes: Timers A and E", () => {
  const harness = open();
  harness.receive(request("INVITE"));
  harness.take();
  harness.runTo(3600);
  assertEquals(harness.take().map(({ at, to }) => `${at} ${to.port}`), [
    "500 5080",
    "1500 5080",
    "3500 5080",
  ]);
});

Deno.test("RFC 3261 17.1.1.3: a failure is acknowledged here (RFC 3261 §17.1.1.3), sent again until the caller's ACK, which stays here", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 486), CALLED);
  const [ack, busy] = harness.take();
  assertEquals([ack.to, firstLine(ack.text)], [CALLED, "ACK sip:bob@example.com SIP/2.0"]);
  assertEquals(headers(ack.text, "Via"), [headers(forwarded, "Via")[0]]);
  assertMatch(header(ack.text, "To"), /;tag=b1$/);
  assertEquals([busy.to, statusOf(busy.text)], [PHONE, 486]);
  harness.receive(response(forwarded, 486), CALLED); // Again: acknowledged again, not forwarded.
  assertEquals(harness.takeLines(), ["5080 ACK sip:bob@example.com SIP/2.0"]);
  harness.runTo(600);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 486 Reason"]);
  harness.receive(ackOf(invite, busy.text));
  harness.receive(ackOf(invite, busy.text));
  harness.runTo(40_000);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.7.5: every 2xx is forwarded, with the same confirmation", () => {
  const harness = new ProxyHarness();
  harness.dbclient.n = 2;
  const caller = new PcCaller();
  const { forwarded } = forwardedCall(harness, caller);
  harness.take();
  harness.receive(response(forwarded, 200, contact), CALLED);
  const first = harness.takeOne();
  harness.runTo(1500); // The next credential is there now: a new confirmation would announce it.
  harness.take();
  assertEquals(harness.dbclient.issued.length, 2);
  harness.receive(response(forwarded, 200, contact), CALLED);
  assertEquals(harness.takeOne(), first);
  assertEquals(infosOf(first).length, 1);
  harness.receive(response(forwarded, 200, contact, "another-fork"), CALLED);
  assertMatch(header(harness.takeOne(), "To"), /another-fork/);
});

Deno.test("RFC 6026 7.3: a 2xx after its transaction has ended is dropped", () => {
  const harness = open();
  const forwarded = harness.ask(request("INVITE"));
  harness.receive(response(forwarded, 200, contact), CALLED);
  harness.runTo(31_900);
  harness.take();
  harness.receive(response(forwarded, 200, contact), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
  harness.runTo(33_000);
  harness.receive(response(forwarded, 200, contact), CALLED);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.10: CANCEL after a provisional response: 200 here, CANCEL onwards on the same branch, 487 back", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180), CALLED);
  harness.take();
  harness.receive(cancelOf(invite));
  const [ok, cancel] = harness.take();
  assertEquals([ok.to, firstLine(ok.text), header(ok.text, "CSeq")], [PHONE, "SIP/2.0 200 OK", "1 CANCEL"]);
  assertEquals([cancel.to, firstLine(cancel.text)], [CALLED, "CANCEL sip:bob@example.com SIP/2.0"]);
  assertEquals(headers(cancel.text, "Via"), [headers(forwarded, "Via")[0]]);
  harness.receive(response(cancel.text, 200), CALLED);
  assertEquals(harness.take(), []); // Hop by hop.
  harness.receive(cancelOf(invite));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK"]);
  harness.receive(response(forwarded, 487), CALLED);
  const lines = harness.takeLines();
  assertEquals(lines, ["5080 ACK sip:bob@example.com SIP/2.0", "5070 SIP/2.0 487 Reason"]);
});

Deno.test("RFC 3261 9.1: CANCEL before any provisional response waits for one", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(cancelOf(invite));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK"]);
  harness.receive(response(forwarded, 100), CALLED);
  assertEquals(harness.takeLines(), ["5080 CANCEL sip:bob@example.com SIP/2.0"]);
});

Deno.test("RFC 3261 9.2: CANCEL that comes too late changes nothing: the 200 of the INVITE stands", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 200, contact), CALLED);
  harness.take();
  harness.receive(cancelOf(invite));
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 OK"]);
  harness.runTo(20_000);
  assertEquals(harness.takeLines(), []);
});

Deno.test("RFC 3261 16.10: CANCEL crossing a 200: the 200 is forwarded", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180), CALLED);
  harness.receive(cancelOf(invite));
  harness.take();
  harness.receive(response(forwarded, 200, contact), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 200 Reason"]);
});

Deno.test("RFC 3261 16.10: a CANCEL of an INVITE that is not known is sent on without a transaction, and its answer back", () => {
  const harness = open();
  harness.receive(cancelOf(request("INVITE")));
  const [{ text, to }] = harness.take();
  assertEquals([firstLine(text), to], ["CANCEL sip:bob@example.com SIP/2.0", CALLED]);
  assertEquals(harness.proxy.core.layer.size, 0);
  harness.receive(response(text, 481), CALLED);
  assertEquals(harness.takeLines(), ["5070 SIP/2.0 481 Reason"]);
  assertEmpty(harness);
});

Deno.test("CANCEL while a challenge waits for DBclient: 487, and the challenge is not sent", () => {
  const harness = new ProxyHarness();
  harness.dbclient.mode = "hold";
  const invite = request("INVITE");
  harness.receive(invite);
  assertEquals(harness.takeLines(), []);
  harness.receive(cancelOf(invite));
  const [ok, terminated] = harness.take();
  assertEquals([statusOf(ok.text), statusOf(terminated.text)], [200, 487]);
  harness.receive(ackOf(invite, terminated.text));
  harness.release();
  assertEquals(harness.take(), []);
});

Deno.test("RFC 3261 22.1: CANCEL is never challenged, and goes on without our answers (docs/PROTOCOL.md §6)", () => {
  const harness = new ProxyHarness();
  const caller = new PcCaller();
  const { invite, forwarded } = forwardedCall(harness, caller);
  harness.receive(response(forwarded, 180), CALLED);
  harness.take();
  const credentials = `Proxy-Authorization: ${header(invite, "Proxy-Authorization")}`;
  harness.receive(cancelOf(invite).replace("Content-Length", `${credentials}\r\nContent-Length`));
  const [ok, cancel] = harness.take();
  assertEquals([statusOf(ok.text), headers(cancel.text, "Proxy-Authorization")], [200, []]);
});

Deno.test("RFC 3261 9.1: a cancelled call that nobody ends is 487 after 64 T1", () => {
  const harness = open();
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180), CALLED);
  harness.receive(cancelOf(invite));
  harness.runTo(31_900);
  assertEquals(harness.take().filter(({ text }) => statusOf(text) === 487), []);
  harness.runTo(32_100);
  const [{ text }] = harness.take().filter(({ text }) => statusOf(text) === 487);
  harness.receive(ackOf(invite, text));
  harness.runTo(80_000);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.6.11: Timer C: a called side that rings for too long is cancelled; each 1xx but 100 starts it again", () => {
  const harness = open(["--fr_inv_timer", "200"]);
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180), CALLED);
  harness.runTo(150_000);
  harness.take();
  harness.receive(response(forwarded, 183), CALLED);
  harness.runTo(200_000);
  harness.receive(response(forwarded, 100), CALLED);
  harness.runTo(349_900);
  assertEquals(harness.take().filter(({ to }) => to.port === CALLED.port), []);
  harness.runTo(350_100);
  assertEquals(harness.takeLines(), ["5080 CANCEL sip:bob@example.com SIP/2.0"]);
  harness.receive(response(forwarded, 487), CALLED);
  assertEquals(harness.takeLines().at(-1), "5070 SIP/2.0 487 Reason");
});

Deno.test("RFC 3261 16.8: Timer C: when the called side is gone the caller hears so all the same", () => {
  const harness = open(["--fr_inv_timer", "181"]);
  const invite = request("INVITE");
  const forwarded = harness.ask(invite);
  harness.receive(response(forwarded, 180), CALLED);
  harness.take();
  harness.runTo(214_000);
  const finals = harness.take().filter(({ to, text }) => to.port === PHONE.port && statusOf(text) >= 400);
  assertEquals(finals.length > 0, true);
  harness.receive(ackOf(invite, finals[0].text));
  harness.runTo(300_000);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.8: an INVITE that nobody answers is 408 after Timer B", () => {
  const harness = open();
  const invite = request("INVITE");
  harness.receive(invite);
  harness.runTo(31_900);
  assertEquals(harness.take().filter(({ text }) => statusOf(text) >= 200), []);
  harness.runTo(32_050);
  const timeout = harness.takeOne();
  assertEquals(firstLine(timeout), "SIP/2.0 408 Request Timeout");
  harness.receive(ackOf(invite, timeout));
  harness.runTo(80_000);
  assertEmpty(harness);
});

Deno.test("RFC 4320 4.1: another request that nobody answers gets 100 when Timer E is T2, and no 408", () => {
  for (const method of ["OPTIONS", "BYE", "REGISTER"]) {
    const harness = open();
    harness.receive(request(method));
    harness.runTo(80_000);
    const back = harness.take().filter(({ to }) => to.port === PHONE.port);
    assertEquals(back.map(({ at, text }) => `${at} ${firstLine(text)}`), ["3500 SIP/2.0 100 Trying"]);
    assertEmpty(harness);
  }
});

Deno.test("forks upstream are requests of their own", () => {
  const harness = open();
  const one = harness.ask(request("INVITE", { branch: "z9hG4bKfork1" }));
  const two = harness.ask(request("INVITE", { branch: "z9hG4bKfork2" }));
  assertNotEquals(headers(one, "Via")[0], headers(two, "Via")[0]);
});

Deno.test("RFC 3261 8.2.6.2: the proxy's own responses to one request have one To tag", () => {
  const tags = new Set<string>();
  const harness = new ProxyHarness([], {
    route: (_request, proxy) => {
      proxy.reply(180);
      proxy.reply(183, "Session Progress");
      proxy.reply(486);
    },
  });
  harness.receive(request("INVITE"));
  for (const { text } of harness.take()) tags.add(/;tag=(\S+)/.exec(header(text, "To"))![1]);
  assertEquals(tags.size, 1);
});
