/** Limits as senders meet them: floods, guessed passwords, sizes, and what replies may weigh. */
import { assert, assertEquals } from "@std/assert";
import type { Address } from "../../mod.ts";
import {
  ackOf,
  CALLED,
  craftAnswer,
  firstLine,
  forwardedCall,
  header,
  headers,
  PcCaller,
  PHONE,
  ProxyHarness,
  request,
  response,
  statusOf,
  STRANGER,
} from "../testing.ts";
import type { RouteFunction } from "../route.ts";

const relay: RouteFunction = (_, proxy) => proxy.relay_to_next_hop();

function counts(harness: ProxyHarness, reason: string): number {
  return harness.proxy.statistics()[`refused_${reason}`];
}

Deno.test("limits: a flood from one source gets some 503, then nothing, and another's calls go on", () => {
  const harness = new ProxyHarness(["--source_rate", "100"]);
  const caller = new PcCaller();
  let passed = 0;
  let refused = 0;
  let calls = 0;
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 10_000; i++) {
      harness.now = second * 1000 + i / 10;
      harness.receive(
        request("OPTIONS", { uri: "sip:x@example.com", callId: `flood${second}-${i}` }),
        STRANGER,
      );
      for (const { text } of harness.take()) {
        if (statusOf(text) === 503) refused++;
        else if (statusOf(text) === 0) passed++;
        if (statusOf(text) === 503) assertEquals(header(text, "Retry-After"), "5");
      }
      if (i % 500 !== 0) continue;
      const callId = `call${++calls}`;
      const { forwarded } = forwardedCall(harness, caller, { callId });
      harness.receive(response(forwarded, 200), CALLED);
      assertEquals(harness.take().map(({ text }) => statusOf(text)), [200]);
    }
    harness.runTo((second + 1) * 1000);
    harness.take();
  }
  assertEquals(calls, 100);
  // 200 at once, 100 in each second.
  assert(passed >= 600 && passed <= 720, `${passed} passed`);
  assert(refused >= 80 && refused <= 130, `${refused} were told`);
  assertEquals(counts(harness, "source_rate"), refused);
  assertEquals(counts(harness, "source_rate_dropped") + refused + passed, 50_000);
  const told = harness.refusals.filter((line) => line.includes(STRANGER.host));
  assert(told.length >= 10 && told.length <= 100 + 20, `${told.length} lines`);
  assertEquals(harness.refusals.length, told.length);
});

Deno.test("limits: a request over the limit that was taken before is no new one, and its call goes on", () => {
  const harness = new ProxyHarness(["--source_rate", "1", "--auth", "none"]);
  const invite = request("INVITE");
  harness.receive(invite);
  harness.receive(request("INVITE", { callId: "second" }));
  harness.take();
  harness.receive(invite);
  assertEquals(harness.take().map(({ text }) => statusOf(text)), [100]);
  assertEquals(statusOf(harness.ask(request("INVITE", { callId: "third" }))), 503);
});

Deno.test("limits: peers, the next hop and destinations of the dispatcher are not limited", () => {
  const harness = new ProxyHarness(["--source_rate", "1", "--auth", "none", "--peers", "192.0.2.77"], {
    route: relay,
  });
  const passed = (from: Address) =>
    [...Array(30).keys()].filter((i) => {
      harness.receive(request("OPTIONS", { callId: `${from.host}-${i}` }), from);
      return harness.take().some(({ text }) => statusOf(text) === 0);
    }).length;
  assertEquals([passed(CALLED), passed({ host: "192.0.2.77", port: 9 }), passed(STRANGER)], [30, 30, 2]);
});

Deno.test("limits: addresses of one IPv6 /64 count as one source", () => {
  const harness = new ProxyHarness(["--source_rate", "1", "--auth", "none"]);
  const statuses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map((host, i) => {
    harness.receive(request("OPTIONS", { callId: `v6-${i}` }), { host, port: 5060 });
    return statusOf(harness.take()[0].text);
  });
  assertEquals(statuses, [0, 0, 503, 0]);
});

Deno.test("limits: pike_check_req tells a route who sends more than its density", () => {
  const route: RouteFunction = (_, proxy) =>
    proxy.pike_check_req() ? proxy.relay_to_next_hop() : proxy.reply(503, "Slow Down");
  const harness = new ProxyHarness(["--reqs_density_per_unit", "4", "--sampling_time_unit", "2"], { route });
  const ask = (from = PHONE) => {
    harness.receive(request("OPTIONS", { callId: `${harness.now}-${Math.random()}` }), from);
    return statusOf(harness.take()[0].text);
  };
  assertEquals([1, 2, 3, 4, 5].map(() => ask()), [0, 0, 0, 0, 503]);
  assertEquals(ask(STRANGER), 0);
  harness.runTo(1000);
  assertEquals([ask(), ask(), ask()], [0, 0, 503]);
});

/** Answers challenges, once with a guess and up to three times with the password, and gives back what comes then. */
function guess(harness: ProxyHarness, name: string, from: Address, password = "guess"): string {
  const caller = new PcCaller(name, password);
  const callId = `g${harness.now}-${name}-${from.host}-${Math.random()}`;
  let sent = caller.request("INVITE", { callId });
  let answer = harness.ask(sent, from);
  for (let left = password === "guess" ? 1 : 3; statusOf(answer) === 407 && left > 0; left--) {
    harness.receive(ackOf(sent, answer), from);
    sent = caller.again(answer, "INVITE", { callId });
    answer = harness.ask(sent, from);
  }
  if (statusOf(answer) >= 300) harness.receive(ackOf(sent, answer), from);
  harness.take();
  return answer;
}

for (const auth of ["pc", "both"]) {
  Deno.test(`limits: guessing one user's password is slowed and logged, the owner is not held up (--auth ${auth})`, () => {
    const harness = new ProxyHarness([
      "--auth",
      auth,
      "--max_failures_per_user",
      "10",
      "--failure_window",
      "100",
    ]);
    assertEquals(statusOf(guess(harness, "alice", PHONE, "secret")), 0);
    const statuses: number[] = [];
    let lastRefusal = "";
    for (let i = 0; i < 1000; i++) {
      harness.now += 100;
      const answer = guess(harness, "alice", { host: `198.51.100.${i % 50}`, port: 5060 });
      statuses.push(statusOf(answer));
      if (statusOf(answer) === 503) lastRefusal = answer;
    }
    // Ten at once, and ten in 100 s.
    const looked = statuses.filter((status) => status === 407).length;
    assert(looked >= 19 && looked <= 21, `${looked} guesses were looked at`);
    assertEquals(firstLine(lastRefusal), "SIP/2.0 503 Service Unavailable");
    assert(Number(header(lastRefusal, "Retry-After")) >= 1);
    assertEquals(counts(harness, "bad_response"), looked);
    assertEquals(counts(harness, "too_many_failures"), 1000 - looked);
    assert(harness.refusals.some((line) => /too_many_failures.*"user":"alice"/.test(line)));
    assertEquals(statusOf(guess(harness, "alice", PHONE, "secret")), 0);
    // Even the right password is not looked at where guesses come from.
    assertEquals(statusOf(guess(harness, "alice", STRANGER, "secret")), 503);
    assertEquals(statusOf(guess(harness, "bob", STRANGER, "geheim")), 0);
  });
}

Deno.test("limits: one source that tries many names is slowed, others and those who are known there are not", () => {
  const harness = new ProxyHarness(["--max_failures_per_source", "20", "--failure_window", "100"]);
  assertEquals(statusOf(guess(harness, "alice", STRANGER, "secret")), 0);
  const statuses = [...Array(200).keys()].map((i) => statusOf(guess(harness, `user${i}`, STRANGER)));
  assertEquals(statuses.filter((status) => status === 407).length, 20);
  assertEquals(statuses.filter((status) => status === 503).length, 180);
  assertEquals(statusOf(guess(harness, "alice", STRANGER, "secret")), 0);
  assertEquals(statusOf(guess(harness, "bob", PHONE, "geheim")), 0);
  harness.runTo(6000);
  harness.take();
  assertEquals(statusOf(guess(harness, "bob", STRANGER, "geheim")), 0);
});

Deno.test("limits: an authenticated user that sends too much gets 503 with the proxy's proof", () => {
  const harness = new ProxyHarness(["--user_rate", "2"]);
  const caller = new PcCaller();
  const statuses: number[] = [];
  for (let i = 0; i < 6; i++) {
    const parts = { callId: `rate${i}` };
    const first = caller.request("INVITE", parts);
    let answer = harness.ask(first);
    harness.receive(ackOf(first, answer));
    if (statusOf(answer) === 407) answer = harness.ask(caller.again(answer, "INVITE", parts));
    statuses.push(statusOf(answer));
    if (statusOf(answer) === 503) assertEquals(caller.confirm(answer), "confirmed");
  }
  assertEquals(statuses, [0, 0, 0, 0, 503, 503]);
  assertEquals(counts(harness, "user_rate"), 2);
});

Deno.test("limits: From and user name are bound for every method, with PC and Digest, for proxy and registrar", () => {
  const harness = new ProxyHarness(["--auth_methods", "INVITE,BYE,REGISTER,MESSAGE,SUBSCRIBE"]);
  for (const method of ["INVITE", "BYE", "REGISTER", "MESSAGE", "SUBSCRIBE"]) {
    const name = method === "REGISTER" ? "Authorization" : "Proxy-Authorization";
    const answer = `${name}: PC username="bob", realm="example.com", nonce="00"`;
    assertEquals(statusOf(harness.ask(request(method, { headers: [answer], callId: method }))), 403, method);
  }
  assertEquals(counts(harness, "forbidden"), 5);
});

Deno.test("limits: messages and bodies over their size get 513, an ACK gets nothing", () => {
  const harness = new ProxyHarness(["--auth", "none", "--max_message", "2000", "--max_body", "500"]);
  const sized = (method: string, body: number, filler = 0) =>
    request(method, {
      body: "x".repeat(body),
      headers: [`X: ${"y".repeat(filler)}`],
      callId: `${body}-${filler}`,
    });
  const [ok] = [sized("OPTIONS", 500)].map((text) => statusOf(harness.ask(text)));
  assertEquals(ok, 0);
  assertEquals(
    firstLine(harness.ask(sized("OPTIONS", 501))),
    "SIP/2.0 513 Message Too Large (the body is too large)",
  );
  assertEquals(
    firstLine(harness.ask(sized("OPTIONS", 0, 2000))),
    "SIP/2.0 513 Message Too Large (the message is too large)",
  );
  harness.receive(sized("ACK", 501));
  assertEquals(harness.take(), []);
  assertEquals(counts(harness, "too_large"), 3);
});

Deno.test("limits: no reply over UDP to a stranger has more than twice the bytes of its request, challenges excepted", () => {
  const short = (method: string, more = "") =>
    `${method} sip:192.0.2.1 SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK${method}${more.length}\r\nf:<sip:a@b>;tag=1\r\nt:<sip:a@b>\r\n` +
    `i:${method}${more.length}\r\nCSeq:1 ${method}\r\n${more}l:0\r\n\r\n`;
  const route: RouteFunction = (request, proxy) =>
    request.method === "OPTIONS"
      ? proxy.options_reply()
      : proxy.reply(488, "x".repeat(600), [`Warning: 399 a "${"w".repeat(900)}"`]);
  const harness = new ProxyHarness([], { route });
  const requests = [
    short("OPTIONS"),
    short("INFO"),
    short("INFO", "Max-Forwards: 0\r\n"),
    short("INFO", "Proxy-Require: a,b,c,d\r\n"),
    short("INFO", "Content-Length: x\r\n"),
    short("INFO").replace("SIP/2.0\r", "SIP/3.0\r"),
  ];
  for (const text of requests) {
    const reply = harness.ask(text, STRANGER);
    assert(statusOf(reply) >= 200, reply);
    assert(reply.length <= 2 * text.length, `${reply.length} for ${text.length}:\n${reply}`);
    harness.runTo(harness.now + 40_000);
    assertEquals(harness.take(), [], "sent again");
  }
  // An ordinary OPTIONS, and one over TCP, gets it all.
  assertEquals(headers(harness.ask(request("OPTIONS", { uri: "sip:192.0.2.1" })), "Allow").length, 1);
  const tcp = short("OPTIONS", "X:1\r\n").replace("/UDP", "/TCP");
  assertEquals(headers(harness.ask(tcp, { ...STRANGER, transport: "tcp", flow: 3 }), "Allow").length, 1);
});

Deno.test("limits: no line about a refusal has anything secret in it", () => {
  const harness = new ProxyHarness(["--auth", "both"]);
  guess(harness, "alice", STRANGER);
  const [issued] = harness.dbclient.issued;
  const opaque = /opaque="([0-9a-f]{16})"/.exec(harness.ask(request("INVITE", { callId: "o" })))![1];
  const answer = craftAnswer(issued, opaque, { cseq: 1, seq: 9, password: "wrong" });
  harness.ask(request("INVITE", { headers: [`Proxy-Authorization: ${answer}`] }));
  const lines = harness.refusals.join("\n");
  assert(lines.includes("bad_response"), lines);
  assert(!/[0-9a-f]{16}/i.test(lines), lines);
});
