import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { seededRandom, SipMessage } from "../mod.ts";
import type { Engine } from "./engine.ts";
import { scenarioOf, UAC, UAS } from "./test_scenarios.ts";
import { type NetworkFaults, TestNetwork } from "./test_network.ts";

const CALLER = { host: "10.0.0.1", port: 5070 };
const CALLED = { host: "10.0.0.2", port: 5080 };

function pair(
  seed: number,
  faults: NetworkFaults,
  caller: Partial<Parameters<TestNetwork["engine"]>[0]> = {},
) {
  const network = new TestNetwork(seed, faults);
  const called = network.engine({ scenario: UAS, local: CALLED });
  const engine = network.engine({
    scenario: UAC,
    local: CALLER,
    remote: CALLED,
    recvTimeout: 60_000,
    ...caller,
  });
  return { network, caller: engine, called };
}

function figures(engine: Engine) {
  const { started, ok, failed } = engine.statistics;
  return { started, ok, failed, open: engine.open };
}

Deno.test("calls over a good network: six messages each, on schedule", () => {
  const { network, caller, called } = pair(1, {}, { rate: 100, calls: 50 });
  network.run(() => caller.done);
  assertEquals(figures(caller), { started: 50, ok: 50, failed: 0, open: 0 });
  assertEquals(figures(called), { started: 50, ok: 50, failed: 0, open: 0 });
  const report = caller.report(network.now);
  assertEquals(report.messages.perCall, 6);
  assertEquals(report.messages.retransmissionsSent, 0);
  assertEquals(report.setupMs.count, 50);
  assertEquals(Math.round(report.setupMs.max), 2); // 1 ms there, 1 ms back
  assertEquals(report.rate.wanted, 100);
  assertEquals(Math.round(report.rate.achieved), 100);
});

Deno.test("what is sent is SIP: every message parses, dialogs and branches are as RFC 3261 has them", () => {
  const { network, caller } = pair(2, {}, { calls: 3 });
  network.run(() => caller.done);
  const branches = new Map<string, string>();
  for (const { text } of network.log) {
    const bytes = new TextEncoder().encode(text);
    const message = new SipMessage();
    assertEquals(message.parse(bytes, 0, bytes.length), undefined, text);
    assertEquals(message.bodyEnd, bytes.length, text);
    assertMatch(message.callId, /^\d+-[0-9a-f]{16}@10\.0\.0\.1$/);
    if (!message.isRequest) continue;
    const branch = message.topVia()!.branch;
    assertMatch(branch, /^z9hG4bK/);
    assertEquals(branches.get(branch), undefined);
    branches.set(branch, message.method);
    assertEquals(message.toTag !== "", message.method !== "INVITE");
    assertEquals(message.cseqNumber, message.method === "BYE" ? 2 : 1);
  }
  assertEquals(branches.size, 9);
});

for (const seed of [11, 12, 13, 14, 15]) {
  Deno.test(`loss, duplication and reordering (seed ${seed}): every call succeeds by retransmission`, () => {
    const { network, caller, called } = pair(
      seed,
      { loss: 0.1, duplication: 0.1, delay: [1, 80] },
      { rate: 50, calls: 200, pause: 100 },
    );
    network.run(() => caller.done);
    assertEquals(figures(caller), { started: 200, ok: 200, failed: 0, open: 0 });
    assertGreater(caller.statistics.retransmissionsSent, 0);
    network.run(() => called.open === 0, 40_000);
    assertEquals(called.statistics.started, 200, "no call was made twice");
    // A BYE whose last answer is lost succeeds by the memory of ended calls; nothing stays open.
    assertEquals(called.open, 0);
    assertEquals(called.statistics.failed, 0);
  });
}

Deno.test("the same seed gives the same run", () => {
  const run = () => {
    const { network, caller } = pair(21, { loss: 0.2, delay: [1, 50] }, { rate: 50, calls: 40 });
    network.run(() => caller.done);
    return network.log.map(({ text }) => text);
  };
  assertEquals(run(), run());
});

Deno.test("nobody answers: INVITE at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s, failed after 32 s", () => {
  const { network, caller } = pair(3, { loss: 1 }, { calls: 1 });
  const start = network.now;
  network.run(() => caller.done);
  assertEquals(network.log.length, 7);
  assertEquals(Math.round((network.now - start) / 100), 320);
  assertEquals(caller.report(network.now).failures, { "no answer to INVITE": 1 });
});

Deno.test("open loop: calls start on schedule though no answer comes, and late ones count from their schedule", () => {
  const { network, caller } = pair(4, { delay: [100, 100] }, { rate: 1000, calls: 500, limit: 50 });
  network.run(() => caller.done);
  const report = caller.report(network.now);
  assertEquals(report.calls.ok, 500);
  // 50 calls fit into 400 ms, so the last waits for nine such rounds, though half a second was planned.
  assertGreater(report.setupMs.max, 3000);
  // That is the limit's doing and not the generator's.
  assertLess(report.lagMs.max, 20);
  assertGreater(report.held, 400);
  assertEquals(report.limitedBy, "call limit");

  const free = pair(4, { delay: [100, 100] }, { rate: 1000, calls: 500 });
  free.network.run(() => free.caller.statistics.started === 500);
  assertLess(free.network.now, 1000 + 520);
  assertLess(free.caller.statistics.ok, 500);
});

Deno.test("a generator that stalls says that it was the limit", () => {
  const { network, caller } = pair(4, {}, { rate: 100, calls: 100 });
  network.run(() => caller.statistics.started === 50);
  assertEquals(caller.report(network.now).limitedBy, "nothing");
  network.now += 400;
  assertGreater(caller.report(network.now).overdue, 30);
  network.run(() => caller.done);
  const report = caller.report(network.now);
  assertEquals([report.limitedBy, report.overdue, report.calls.ok], ["generator", 0, 100]);
  assertGreater(report.setupMs.max, 300);
});

Deno.test("a pause starts no calls and makes up for none", () => {
  const { network, caller } = pair(4, {}, { rate: 100, calls: 100 });
  network.run(() => caller.statistics.started === 50);
  caller.pause(true, network.now);
  network.run(() => false, 5000);
  assertEquals(caller.statistics.started, 50);
  network.now += 5000;
  caller.pause(false, network.now);
  const start = network.now;
  network.run(() => caller.statistics.started === 100);
  assertEquals(Math.round((network.now - start) / 10), 49);
  assertEquals(caller.report(network.now).limitedBy, "nothing");
});

Deno.test("a response with another branch, CSeq or Call-ID is not believed", () => {
  const network = new TestNetwork(5);
  const caller = network.engine({ scenario: UAC, local: CALLER, remote: CALLED, calls: 1 });
  caller.advance(network.now);
  const invite = network.log[0].text;
  const answer = (change: (text: string) => string) => {
    const lines = invite.split("\r\n").filter((line) => /^(Via|From|To|Call-ID|CSeq):/.test(line));
    const text = change(
      ["SIP/2.0 200 OK", ...lines, "Contact: <sip:10.0.0.2>", "Content-Length: 0", "", ""].join("\r\n"),
    );
    const bytes = new TextEncoder().encode(text);
    caller.receive(bytes, 0, bytes.length, CALLED, network.now);
  };
  answer((text) => text.replace(/branch=z9hG4bK/, "branch=z9hG4bKx"));
  answer((text) => text.replace("CSeq: 1 INVITE", "CSeq: 2 INVITE"));
  answer((text) => text.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
  answer((text) => text.replace(/Call-ID: ./, "Call-ID: 9"));
  assertEquals(network.log.length, 1);
  answer((text) => text.replace(/^To: .*$/m, (line) => `${line.trimEnd()};tag=x`));
  assertMatch(network.log[1].text, /^ACK sip:10\.0\.0\.2 SIP\/2\.0\r\n/);
});

Deno.test("a call that is refused is acknowledged and counted by status", () => {
  const network = new TestNetwork(6);
  const busy = scenarioOf(`<recv request="INVITE"/>
    <send retrans="500"><![CDATA[
      SIP/2.0 486 Busy Here
      [last_Via:]
      [last_From:]
      [last_To:];tag=[local_tag]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: [len]
    ]]></send>
    <recv request="ACK"/>`);
  const called = network.engine({ scenario: busy, local: CALLED });
  const caller = network.engine({ scenario: UAC, local: CALLER, remote: CALLED, calls: 1 });
  network.run(() => caller.done && called.open === 0, 5000);
  assertEquals(caller.report(network.now).failures, { "486 to INVITE": 1 });
  assertEquals(figures(called), { started: 1, ok: 1, failed: 0, open: 0 });
  const [invite, , ack] = network.log.map(({ text }) => text);
  const branch = (text: string) => /branch=(\S+)/.exec(text)![1];
  assertEquals(branch(ack), branch(invite), "RFC 3261 §17.1.1.3");
});

Deno.test("CANCEL while it rings: 200 to it, 487 to INVITE until ACK", () => {
  const network = new TestNetwork(7);
  const called = network.engine({ scenario: UAS, local: CALLED, pause: 2000 });
  const send = network.sender(CALLER);
  const got: string[] = [];
  network.add(CALLER, {
    receive: (bytes, start, end) =>
      got.push(new TextDecoder().decode(bytes.subarray(start, end)).split("\r\n")[0]),
  });
  const request = (method: string) => {
    const text = `${method} sip:bob@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKc\r\n` +
      `From: <sip:a@x>;tag=1\r\nTo: <sip:bob@x>\r\nCall-ID: c\r\nCSeq: 1 ${method}\r\nMax-Forwards: 70\r\n` +
      `Content-Length: 0\r\n\r\n`;
    const bytes = new TextEncoder().encode(text);
    send(bytes, 0, bytes.length, CALLED);
  };
  request("INVITE");
  network.run(() => got.length === 1, 1000);
  request("CANCEL");
  network.run(() => got.length === 4, 1000);
  assertEquals(got, [
    "SIP/2.0 180 Ringing",
    "SIP/2.0 200 OK",
    "SIP/2.0 487 Request Terminated",
    "SIP/2.0 487 Request Terminated",
  ]);
  request("ACK");
  network.run(() => called.open === 0, 1000);
  assertEquals(called.report(network.now).failures, { cancelled: 1 });
});

Deno.test("Record-Route comes back in both directions; BYE and ACK carry Route and go to Contact", () => {
  const network = new TestNetwork(8);
  network.engine({ scenario: UAS, local: CALLED });
  // A hop between the two that writes itself into the route of every INVITE.
  const HOP = { host: "10.0.0.9", port: 5060 };
  const send = network.sender(HOP);
  network.add(HOP, {
    receive(bytes, start, end, from) {
      let text = new TextDecoder().decode(bytes.subarray(start, end));
      const toCalled = from.host === CALLER.host;
      if (toCalled) {
        text = text.replace("\r\nVia:", "\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKhop;rport\r\nVia:");
        text = text.replace(
          /^(INVITE [^]*?\r\n)/,
          "$1Record-Route: <sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>\r\n",
        );
      } else text = text.replace(/^Via: SIP\/2\.0\/UDP 10\.0\.0\.9.*\r\n/m, "");
      const copy = new TextEncoder().encode(text);
      send(copy, 0, copy.length, toCalled ? CALLED : CALLER);
    },
  });
  const caller = network.engine({ scenario: UAC, local: CALLER, remote: HOP, calls: 1 });
  network.run(() => caller.done, 5000);
  assertEquals(caller.statistics.ok, 1);
  const sent = (start: string) =>
    network.log.find(({ from, text }) => from === "10.0.0.1:5070" && text.startsWith(start));
  for (const method of ["ACK", "BYE"]) {
    const { text } = sent(method)!;
    assertStringIncludes(text, `${method} sip:10.0.0.2:5080;transport=UDP SIP/2.0`);
    assertStringIncludes(text, "\r\nRoute: <sip:10.0.0.8;lr>, <sip:10.0.0.9;lr>\r\n");
  }
  const ok =
    network.log.find(({ from, text }) => from === "10.0.0.2:5080" && text.startsWith("SIP/2.0 200"))!.text;
  assertStringIncludes(ok, "\r\nRecord-Route: <sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>\r\n");
  assertStringIncludes(ok, "branch=z9hG4bKhop;rport=5060;received=10.0.0.9"); // RFC 3581 §4: it asked
});

Deno.test("noise: whatever arrives, the engine goes on", () => {
  const { network, caller } = pair(9, {}, { rate: 100, calls: 20 });
  const random = seededRandom(99);
  for (let i = 0; i < 2000; i++) {
    const { text } = network.log[random.below(Math.max(1, network.log.length))] ?? { text: "\r\n\r\n" };
    const bytes = new TextEncoder().encode(text);
    for (let k = 0; k < 3; k++) if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    caller.receive(bytes, 0, random.below(bytes.length + 1), CALLED, network.now);
    if (i % 100 === 0) network.run(() => false, 20);
  }
  caller.receive(new Uint8Array(0), 0, 0, CALLED, network.now);
  network.run(() => caller.done, 100_000);
  assertEquals(caller.done, true);
});

Deno.test("stop: no new calls, the open ones end; abort: they count as failed", () => {
  const { network, caller } = pair(10, {}, { rate: 100, pause: 1000 });
  network.run(() => caller.statistics.started === 10);
  caller.stop(network.now);
  assert(!caller.done);
  network.run(() => caller.done);
  assertEquals(figures(caller), { started: 10, ok: 10, failed: 0, open: 0 });

  const other = pair(10, {}, { rate: 100, pause: 1000 });
  other.network.run(() => other.caller.statistics.started === 10);
  other.caller.abort(other.network.now);
  assertEquals(figures(other.caller), { started: 10, ok: 0, failed: 10, open: 0 });
});
