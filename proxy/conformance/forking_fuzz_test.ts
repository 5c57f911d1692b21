/** Forked requests under whatever can happen: from a seed that a failure prints. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../mod.ts";
import type { RelayTarget, RouteActions } from "../route.ts";
import { ackOf, cancelOf, header, PHONE, request, response, type Sent, statusOf } from "../testing.ts";
import { A, assertEmpty, B, C, routed, targetAt } from "./testing.ts";

const PLACES = [A, B, C];
const STATUSES = [100, 180, 183, 199, 200, 200, 202, 302, 401, 404, 407, 408, 480, 486, 487, 500, 503, 603];
const ROUNDS = 60;
/** Longer than all timers of a call, with three failure hooks. */
const END_MS = 1_200_000;

Deno.test("RFC 3261 16.7: whatever branches do, a request gets one final response, or 2xx alone, and nothing is left", () => {
  for (let seed = 1; seed <= 150; seed++) run(seed);
});

function run(seed: number): void {
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)];
  const targets = (): RelayTarget[] =>
    Array.from({ length: random.below(5) }, () => ({
      ...targetAt(pick(PLACES), random.below(3) / 2),
      uri: random.below(8) === 0
        ? "sip:bob@phone.example.net"
        : `sip:u${random.below(4)}@${pick(PLACES).host}`,
    }));
  const relay = (proxy: RouteActions, depth: number) => {
    if (depth < 3 && random.below(2) === 0) {
      proxy.onFailure((failure, failed) => {
        const what = random.below(4);
        if (what === 0) relay(failed, depth + 1);
        else if (what === 1) failed.reply(480);
        else if (what === 2) failed.relay(failure.contacts);
      });
    }
    if (random.below(3) === 0) proxy.onReply((reply) => random.below(4) === 0 && reply.drop());
    proxy.relay(targets(), { recurse: random.below(2) === 0 });
  };
  const harness = routed((r, proxy) => r.method === "ACK" ? proxy.drop() : relay(proxy, 0));
  harness.holdLookUps = random.below(2) === 0;
  const sent = new Map<string, { readonly text: string; readonly finals: number[] }>();
  const outward: Sent[] = [];
  const collect = () => {
    for (const message of harness.take()) {
      const status = statusOf(message.text);
      if (message.to.host !== PHONE.host) {
        if (status === 0 && !message.text.startsWith("ACK")) outward.push(message);
        continue;
      }
      const known = sent.get(header(message.text, "Call-ID"));
      if (known === undefined || status < 200 || header(message.text, "CSeq").endsWith("CANCEL")) continue;
      known.finals.push(status);
      if (status >= 300 && known.text.startsWith("INVITE")) harness.receive(ackOf(known.text, message.text));
    }
  };
  for (let round = 0; round < ROUNDS; round++) {
    harness.transportWorks = random.below(10) !== 0;
    const what = random.below(10);
    if (what === 0 || sent.size === 0) {
      const callId = `${seed}-${round}`;
      const breadth = random.below(3) === 0 ? [`Max-Breadth: ${1 + random.below(4)}`] : [];
      const text = request(pick(["INVITE", "INVITE", "MESSAGE"]), { callId, headers: breadth });
      sent.set(callId, { text, finals: [] });
      harness.receive(text);
    } else if (what === 1) {
      const { text, finals } = pick([...sent.values()]);
      // After its answer a repeated request may be a new one: nobody knows it any more.
      if (finals.length === 0) harness.receive(random.below(2) === 0 ? text : cancelOf(text));
    } else if (what === 2) harness.runTo(harness.now + pick([10, 600, 4000, 33_000, 200_000]));
    else if (what === 3 && harness.lookUps.length > 0) {
      harness.lookUps.shift()!.done(...(random.below(2) === 0 ? [pick(PLACES).host] : []));
    } else if (outward.length > 0) {
      const { text, to } = pick(outward);
      const contact = random.below(2) === 0
        ? ["Contact: <sip:new@203.0.113.2>;q=0.3, <sip:x@203.0.113.3>"]
        : [];
      harness.receive(response(text, pick(STATUSES), contact, `t${random.below(3)}`), to);
    }
    collect();
  }
  harness.transportWorks = true;
  for (const { done } of harness.lookUps.splice(0)) done();
  const end = harness.now + END_MS;
  while (harness.now < end) {
    harness.runTo(harness.now + 10_000);
    for (const { done } of harness.lookUps.splice(0)) done();
    collect();
  }
  const failures = harness.logs.filter((line) => !line.includes("no decision"));
  assertEquals(failures, [], `seed ${seed}`);
  for (const { text, finals } of sent.values()) {
    const refusals = new Set(finals.filter((status) => status >= 300));
    assert(refusals.size <= 1, `seed ${seed}: ${finals} for ${text}`);
    assert(refusals.size === 0 || finals.every((status) => status >= 300), `seed ${seed}: ${finals}`);
    if (text.startsWith("INVITE")) assert(finals.length > 0, `seed ${seed}: no answer to ${text}`);
    assert(!finals.includes(503), `seed ${seed}: ${finals}`);
  }
  assertEmpty(harness);
}
