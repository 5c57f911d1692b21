/** RFC 3261 §16.5 … §16.10 with several branches; RFC 5393 §5; RFC 6026. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  ackOf,
  cancelOf,
  firstLine,
  header,
  headers,
  PHONE,
  type ProxyHarness,
  request,
  response,
  type Sent,
  statusOf,
} from "../testing.ts";
import { A, assertEmpty, B, branchOf, C, forking, lines, routed, sentTo, targetAt } from "./testing.ts";

/** Sends a request, and gives what each called side got. */
function begin(
  harness: ProxyHarness,
  text = request("INVITE"),
): { invite: string; a: string; b: string; c: string } {
  harness.receive(text);
  const sent = harness.take();
  const of = (to: typeof A) => sentTo(sent, to)[0];
  return { invite: text, a: of(A), b: of(B), c: of(C) };
}

/** First lines to the caller. */
const back = (sent: readonly Sent[]) =>
  sent.filter(({ to }) => to.port === PHONE.port).map(({ text }) => firstLine(text));
const both = [targetAt(A), targetAt(B)];

Deno.test("RFC 3261 16.5: targets of equal q are tried side by side, each with its own Request-URI and branch", () => {
  const harness = forking([targetAt(A, 0.5), targetAt(B, 0.5)]);
  harness.receive(request("INVITE"));
  const sent = harness.take();
  assertEquals(lines(sent), [
    "5061 INVITE sip:bob@203.0.113.1:5061 SIP/2.0",
    "5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0",
  ]);
  assert(branchOf(sent[1].text) !== branchOf(sent[2].text));
  assertEquals(statusOf(sent[0].text), 100);
});

Deno.test("RFC 3261 16.5: a target that stands twice is tried once; what is no SIP URI is not tried", () => {
  const harness = forking([targetAt(A), { uri: "sip:bob@203.0.113.1:5061" }, { uri: "mailto:b@c" }, {
    uri: "nonsense",
  }]);
  harness.receive(request("INVITE"));
  assertEquals(lines(harness.take()).length, 1);
});

Deno.test("RFC 3261 16.5: without a target that can be tried the request is 480", () => {
  for (const targets of [[], [{ uri: "mailto:b@c" }]]) {
    const harness = forking(targets);
    const answer = harness.ask(request("INVITE"));
    assertEquals(statusOf(answer), 480);
  }
});

Deno.test("RFC 3261 16.6: groups of lower q are tried one after the other, when all of those before have failed", () => {
  const harness = forking([targetAt(C, 0.1), targetAt(A, 0.9), targetAt(B, 0.5)]);
  const { invite, a } = begin(harness);
  harness.receive(response(a, 486), A);
  const second = harness.take();
  assertEquals(lines(second).at(-1), "5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0");
  assertEquals(back(second), []);
  const b = sentTo(second, B)[0];
  harness.receive(response(b, 404), B);
  const c = sentTo(harness.take(), C)[0];
  harness.receive(response(c, 200), C);
  assertEquals(back(harness.take()), ["SIP/2.0 200 Reason"]);
  assertMatch(invite, /INVITE/);
});

Deno.test("RFC 3261 16.6: a branch that nobody answers is followed by the next group", () => {
  const harness = forking([targetAt(A, 0.9), targetAt(B, 0.5)]);
  begin(harness);
  harness.runTo(32_100);
  assertEquals(sentTo(harness.take(), B).map(firstLine), ["INVITE sip:bob@203.0.113.2:5062 SIP/2.0"]);
});

Deno.test("RFC 3261 16.7.5: provisional responses of all branches go back at once, 100 does not", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(a, 100), A);
  harness.receive(response(a, 180, [], "ta"), A);
  harness.receive(response(b, 183, [], "tb"), B);
  assertEquals(back(harness.take()), ["SIP/2.0 180 Reason", "SIP/2.0 183 Reason"]);
});

Deno.test("RFC 3261 16.7.5: a 2xx goes back at once, and the other branches are cancelled", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(a, 180), A);
  harness.receive(response(b, 180), B);
  harness.take();
  harness.receive(response(a, 200), A);
  assertEquals(lines(harness.take()), [
    "5070 SIP/2.0 200 Reason",
    "5062 CANCEL sip:bob@203.0.113.2:5062 SIP/2.0",
  ]);
  harness.receive(response(b, 487), B);
  const sent = harness.take();
  assertEquals(lines(sent), ["5062 ACK sip:bob@203.0.113.2:5062 SIP/2.0"]);
  harness.runTo(100_000);
  assertEquals(back(harness.take()), []);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.7.5: every 2xx goes back, of whatever branch, and again", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(a, 200, [], "ta"), A);
  harness.receive(response(b, 200, [], "tb"), B);
  harness.receive(response(b, 200, [], "tb"), B);
  const sent = harness.take().filter(({ text }) => statusOf(text) === 200);
  assertEquals(sent.map(({ text }) => /tag=(t.)/.exec(header(text, "To"))![1]), ["ta", "tb", "tb"]);
});

Deno.test("RFC 6026 7.1: a 2xx that comes within 64 T1 after another goes back, and none later", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(b, 180), B);
  harness.receive(response(a, 200), A);
  harness.runTo(30_000);
  harness.take();
  harness.receive(response(b, 200, [], "late"), B);
  assertEquals(back(harness.take()), ["SIP/2.0 200 Reason"]);
  harness.runTo(70_000);
  harness.take();
  harness.receive(response(b, 200, [], "late"), B);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.7.5: a branch that has not answered yet is cancelled when it does", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(a, 200), A);
  assertEquals(sentTo(harness.take(), B), []);
  harness.receive(response(b, 180), B);
  assertEquals(sentTo(harness.take(), B).map(firstLine), ["CANCEL sip:bob@203.0.113.2:5062 SIP/2.0"]);
});

Deno.test("RFC 3261 16.7.5: a 6xx cancels the others, waits for their end, and goes back", () => {
  const harness = forking([...both, targetAt(C, 0.1)]);
  const { a, b } = begin(harness);
  harness.receive(response(b, 180), B);
  harness.take();
  harness.receive(response(a, 603), A);
  const sent = harness.take();
  assertEquals(lines(sent), [
    "5061 ACK sip:bob@203.0.113.1:5061 SIP/2.0",
    "5062 CANCEL sip:bob@203.0.113.2:5062 SIP/2.0",
  ]);
  harness.receive(response(b, 487), B);
  // No branch for the group of lower q.
  assertEquals(lines(harness.take()), [
    "5062 ACK sip:bob@203.0.113.2:5062 SIP/2.0",
    "5070 SIP/2.0 603 Reason",
  ]);
});

Deno.test("RFC 3261 16.7.5: a 2xx after a 6xx goes back all the same", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  harness.receive(response(b, 180), B);
  harness.receive(response(a, 603), A);
  harness.take();
  harness.receive(response(b, 200), B);
  assertEquals(back(harness.take()), ["SIP/2.0 200 Reason"]);
});

/** The response that goes back when the branches end with these. */
function chosen(...statuses: number[]): number {
  const places = [A, B, C].slice(0, statuses.length);
  const harness = forking(places.map((place) => targetAt(place)));
  const { a, b, c } = begin(harness);
  statuses.forEach((status, i) => harness.receive(response([a, b, c][i], status), places[i]));
  const finals = harness.take().filter(({ to }) => to.port === PHONE.port);
  assertEquals(finals.length, 1);
  return statusOf(finals[0].text);
}

Deno.test("RFC 3261 16.7.6: of the final responses a 6xx is best, then that of the lowest class", () => {
  assertEquals(chosen(404, 302, 503), 302);
  assertEquals(chosen(500, 486, 480), 486);
  assertEquals(chosen(404, 600), 600);
  assertEquals(chosen(503, 500), 500);
  assertEquals(chosen(500, 404, 503), 404);
});

Deno.test("RFC 3261 16.7.6: within 4xx those that tell the caller how to do better go first", () => {
  for (const status of [401, 407, 415, 420, 484]) assertEquals(chosen(404, status, 486), status);
  assertEquals(chosen(484, 407), 407);
  assertEquals(chosen(408, 486), 486);
});

Deno.test("RFC 3261 16.7.6: nothing but 503 is 500", () => {
  assertEquals(chosen(503, 503), 500);
});

Deno.test("RFC 3261 16.7.7: a 401 or 407 carries the challenges of all branches", () => {
  const harness = forking([...both, targetAt(C)]);
  const { a, b, c } = begin(harness);
  const digest = (realm: string) => `Digest realm="${realm}", nonce="x", algorithm=MD5`;
  harness.receive(response(a, 407, [`Proxy-Authenticate: ${digest("a")}`]), A);
  harness.receive(
    response(b, 401, [`WWW-Authenticate: ${digest("b1")}`, `WWW-Authenticate: ${digest("b2")}`]),
    B,
  );
  harness.receive(response(c, 407, [`Proxy-Authenticate: ${digest("c")}`]), C);
  const answer = harness.take().find(({ to }) => to.port === PHONE.port)!.text;
  assertEquals(statusOf(answer), 407);
  assertEquals(headers(answer, "Proxy-Authenticate"), [digest("a"), digest("c")]);
  assertEquals(headers(answer, "WWW-Authenticate"), [digest("b1"), digest("b2")]);
});

Deno.test("RFC 3261 16.7.7: PC challenges of strangers for served realms are not among them", () => {
  const harness = forking(both);
  const { a, b } = begin(harness);
  const pc = (realm: string) => `Proxy-Authenticate: PC realm="${realm}", nonce="00", seq=1`;
  harness.receive(response(a, 407, [pc("example.com"), pc("elsewhere.org")]), A);
  harness.receive(response(b, 407, [pc("example.com"), pc("third.org")]), B);
  const answer = harness.take().find(({ to }) => to.port === PHONE.port)!.text;
  assertEquals(headers(answer, "Proxy-Authenticate").map((value) => /realm="([^"]*)"/.exec(value)![1]), [
    "elsewhere.org",
    "third.org",
  ]);
});

Deno.test("RFC 3261 16.7.4: Contacts of a 3xx are tried when the route asks for it, and not otherwise", () => {
  const redirect = (text: string, ...contacts: string[]) =>
    response(text, 302, contacts.map((contact) => `Contact: ${contact}`));
  const plain = forking([targetAt(A)]);
  plain.receive(redirect(begin(plain).a, "<sip:bob@203.0.113.2:5062>"), A);
  assertEquals(back(plain.take()), ["SIP/2.0 302 Reason"]);

  const harness = forking([targetAt(A)], { options: { recurse: true } });
  const { a } = begin(harness);
  harness.receive(
    redirect(
      a,
      "<sip:bob@203.0.113.3:5063>;q=0.2, <sip:bob@203.0.113.2:5062?Subject=x>;q=0.7",
      "<tel:+49301>",
    ),
    A,
  );
  const first = harness.take();
  assertEquals(lines(first).at(-1), "5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0");
  const b = sentTo(first, B)[0];
  // Back to where it came from: that was tried.
  harness.receive(redirect(b, "<sip:bob@203.0.113.1:5061>"), B);
  const c = sentTo(harness.take(), C)[0];
  harness.receive(response(c, 486), C);
  assertEquals(back(harness.take()), ["SIP/2.0 302 Reason"]);
});

Deno.test("RFC 3261 16.8: Timer C runs for each branch: the one that rings too long is cancelled", () => {
  const harness = forking(both);
  const { invite, a, b } = begin(harness);
  harness.receive(response(a, 180), A);
  harness.receive(response(b, 180), B);
  harness.runTo(100_000);
  harness.receive(response(b, 183), B);
  harness.take();
  harness.runTo(200_100);
  const cancels = harness.take();
  assertEquals(lines(cancels), ["5061 CANCEL sip:bob@203.0.113.1:5061 SIP/2.0"]);
  harness.receive(response(cancels[0].text, 200), A);
  harness.receive(response(a, 487), A);
  harness.runTo(300_100);
  assertEquals(lines(harness.take()), [
    "5061 ACK sip:bob@203.0.113.1:5061 SIP/2.0",
    "5062 CANCEL sip:bob@203.0.113.2:5062 SIP/2.0",
  ]);
  // It does not even answer that.
  harness.runTo(332_300);
  const answer = harness.take().find(({ to }) => to.port === PHONE.port)!;
  assertEquals(statusOf(answer.text), 487);
  harness.receive(ackOf(invite, answer.text));
  harness.runTo(400_000);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.9: a branch that cannot be sent counts as 503, and the next one is tried", () => {
  const harness = forking([targetAt(A, 0.9), targetAt(B, 0.1)]);
  harness.transportWorks = false;
  harness.receive(request("INVITE"));
  harness.transportWorks = true;
  harness.take();
  harness.runTo(20);
  assertEquals(lines(harness.take()), ["5062 INVITE sip:bob@203.0.113.2:5062 SIP/2.0"]);
});

Deno.test("RFC 3261 16.10: a CANCEL goes to all branches, no further one begins, and the caller gets 487", () => {
  const harness = forking([...both, targetAt(C, 0.1)]);
  const { invite, a, b } = begin(harness);
  harness.receive(response(a, 180), A);
  harness.receive(response(b, 180), B);
  harness.take();
  harness.receive(cancelOf(invite));
  const sent = harness.take();
  assertEquals(lines(sent), [
    "5070 SIP/2.0 200 OK",
    "5061 CANCEL sip:bob@203.0.113.1:5061 SIP/2.0",
    "5062 CANCEL sip:bob@203.0.113.2:5062 SIP/2.0",
  ]);
  harness.receive(response(a, 487), A);
  harness.receive(response(b, 404), B);
  const end = harness.take();
  assertEquals(back(end), ["SIP/2.0 487 Request Terminated"]);
  assertEquals(sentTo(end, C), []);
  harness.receive(ackOf(invite, end.find(({ to }) => to.port === PHONE.port)!.text));
  harness.runTo(100_000);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.10: a CANCEL that crosses a 200 leaves the call standing", () => {
  const harness = forking(both);
  const { invite, a, b } = begin(harness);
  harness.receive(response(a, 180), A);
  harness.receive(cancelOf(invite));
  harness.take();
  harness.receive(response(a, 200), A);
  assertEquals(back(harness.take()), ["SIP/2.0 200 Reason"]);
  harness.receive(response(b, 487), B);
  assertEquals(back(harness.take()), []);
});

Deno.test("RFC 3261 16.7: other requests fork too; one final response goes back", () => {
  const harness = forking(both);
  const { a, b } = begin(harness, request("MESSAGE"));
  harness.receive(response(a, 404), A);
  assertEquals(back(harness.take()), []);
  harness.receive(response(b, 200), B);
  assertEquals(back(harness.take()), ["SIP/2.0 200 Reason"]);
  harness.receive(response(a, 200), A);
  harness.runTo(80_000);
  assertEquals(harness.take(), []);
  assertEmpty(harness);
});

Deno.test("RFC 4320 4.1: branches of another request than INVITE that nobody answers bring no 408", () => {
  const harness = forking(both);
  begin(harness, request("MESSAGE"));
  harness.runTo(80_000);
  assertEquals(back(harness.take()), ["SIP/2.0 100 Trying"]);
  assertEmpty(harness);
});

Deno.test("RFC 3261 16.7.6: an INVITE that nobody answers on any branch is 408", () => {
  const harness = forking(both);
  const { invite } = begin(harness);
  harness.runTo(32_100);
  const answer = harness.take().find(({ to }) => to.port === PHONE.port)!;
  assertEquals(statusOf(answer.text), 408);
  harness.receive(ackOf(invite, answer.text));
  harness.runTo(100_000);
  assertEmpty(harness);
});

Deno.test("RFC 5393 5.3.3: branches side by side share Max-Breadth", () => {
  const harness = forking([targetAt(A), targetAt(B), targetAt(C)]);
  const { a, b, c } = begin(harness, request("INVITE", { headers: ["Max-Breadth: 10"] }));
  assertEquals([a, b, c].map((text) => header(text, "Max-Breadth")), ["4", "3", "3"]);
  const without = forking([targetAt(A), targetAt(B)]);
  const { a: one, b: two } = begin(without);
  assertEquals([one, two].map((text) => header(text, "Max-Breadth")), ["30", "30"]);
});

Deno.test("RFC 5393 5.3.3: what Max-Breadth has no room for is tried afterwards", () => {
  const harness = forking([targetAt(A), targetAt(B), targetAt(C)]);
  const { a, b, c } = begin(harness, request("INVITE", { headers: ["Max-Breadth: 2"] }));
  assertEquals([header(a, "Max-Breadth"), header(b, "Max-Breadth"), c], ["1", "1", undefined]);
  harness.receive(response(a, 486), A);
  assertEquals(sentTo(harness.take(), C), []);
  harness.receive(response(b, 486), B);
  assertEquals(header(sentTo(harness.take(), C)[0], "Max-Breadth"), "2");
});

Deno.test("RFC 3327 5.4: a target's Path becomes Route, and leads on", () => {
  const harness = forking([{
    uri: "sip:bob@198.51.100.7:5090",
    path: ["<sip:203.0.113.1:5061;lr>", "<sip:203.0.113.9;lr>"],
  }]);
  harness.receive(request("INVITE"));
  const [{ text, to }] = harness.take().slice(-1);
  assertEquals([firstLine(text), to], ["INVITE sip:bob@198.51.100.7:5090 SIP/2.0", A]);
  assertEquals(headers(text, "Route"), ["<sip:203.0.113.1:5061;lr>", "<sip:203.0.113.9;lr>"]);
});

Deno.test("RFC 3261 16.6.7: a target goes where its phone was seen last", () => {
  const harness = forking([{ uri: "sip:bob@10.0.0.7:5090", received: A }]);
  harness.receive(request("INVITE"));
  const [{ text, to }] = harness.take().slice(-1);
  assertEquals([firstLine(text), to], ["INVITE sip:bob@10.0.0.7:5090 SIP/2.0", A]);
});

Deno.test("RFC 3263 4.3: the next address of a next hop is tried after 503, silence, or when it cannot be reached", () => {
  const next = ["sip:203.0.113.1:5061", "sip:203.0.113.2:5062"];
  const make = () => {
    const harness = routed((_request, proxy) => {
      proxy.dsSelect(1);
      proxy.relay();
    });
    Object.assign(harness.proxy.core.services, { dispatcher: { select: () => next } });
    return harness;
  };
  const served = make();
  const { a } = begin(served);
  assertEquals(firstLine(a), "INVITE sip:bob@example.com SIP/2.0");
  served.receive(response(a, 503), A);
  const b = sentTo(served.take(), B)[0];
  assertEquals(firstLine(b), "INVITE sip:bob@example.com SIP/2.0");
  assert(branchOf(a) !== branchOf(b));
  served.receive(response(b, 486), B);
  assertEquals(back(served.take()), ["SIP/2.0 486 Reason"]);

  const silent = make();
  begin(silent);
  silent.runTo(32_100);
  assertEquals(sentTo(silent.take(), B).length, 1);

  const dead = make();
  dead.transportWorks = false;
  dead.receive(request("INVITE"));
  dead.transportWorks = true;
  dead.take();
  dead.runTo(20);
  assertEquals(sentTo(dead.take(), B).length, 1);

  // One that has spoken is alive: its silence later is no reason.
  const ringing = make();
  const { invite, a: rung } = begin(ringing);
  ringing.receive(response(rung, 180), A);
  ringing.receive(response(rung, 486), A);
  const sent = ringing.take();
  assertEquals(sentTo(sent, B), []);
  ringing.receive(ackOf(invite, sent.at(-1)!.text));
  ringing.runTo(100_000);
  assertEmpty(ringing);
});

Deno.test("RFC 3261 16.10: a CANCEL while a target's name is looked up ends the call", () => {
  const harness = forking([{ uri: "sip:bob@phone.example.net" }]);
  harness.holdLookUps = true;
  const invite = request("INVITE");
  harness.receive(invite);
  harness.take();
  harness.receive(cancelOf(invite));
  assertEquals(back(harness.take()), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
  harness.lookUps.shift()!.done("203.0.113.1");
  assertEquals(sentTo(harness.take(), A), []);
});

Deno.test("RFC 3261 16.7: a forked call without a transaction left is answered, not forgotten", () => {
  const harness = routed((_request, proxy) => proxy.relay(both), ["--max_transactions", "16"]);
  for (let i = 0; i < 15; i++) harness.receive(request("INVITE"));
  const answers = harness.take().filter(({ to, text }) => to.port === PHONE.port && statusOf(text) >= 200);
  assert(answers.length > 0);
  assert(answers.every(({ text }) => [500, 503].includes(statusOf(text))));
});
