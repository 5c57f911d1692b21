/** Damaged messages through forks, rewriting and stateless forwarding: nothing throws, what is sent is SIP, and nothing is left. */
import { assertEquals } from "@std/assert";
import { seededRandom, SipMessage } from "../../mod.ts";
import type { RouteFunction } from "../route.ts";
import { damaged } from "../test_damage.ts";
import { ackOf, CALLED, cancelOf, PHONE, request, response, statusOf } from "../testing.ts";
import { A, assertEmpty, B, C, routed, targetAt } from "./testing.ts";

const ROUNDS = 120;
const encoder = new TextEncoder();

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`RFC 3261 16: damaged messages through every way of forwarding, seed ${seed}`, () => {
    const random = seededRandom(seed);
    const route: RouteFunction = (r, proxy) => {
      const what = random.below(8);
      if (what === 0) return proxy.forward("sip:203.0.113.1:5061");
      if (what === 1) return proxy.relay();
      if (what === 2) proxy.seturi("sip:new@203.0.113.2:5062");
      if (what === 3) proxy.remove_hf("Contact");
      if (what === 4) proxy.append_hf("X-Added: 1");
      if (r.hasToTag) proxy.record_route();
      proxy.onFailure((failure, failed) => failed.relay(failure.contacts));
      proxy.relay(
        [targetAt(A), targetAt(B, 0.5), {
          ...targetAt(C, 0.1),
          path: ["<sip:203.0.113.1:5061>", "<sip:p;lr>"],
        }],
        { recurse: what === 5 },
      );
    };
    const harness = routed(route);
    const tag = harness.proxy.core.dialogTags.tag("7f3a9c@192.0.2.10");
    const own = `sip:192.0.2.1:5060;lr;did=${tag}`;
    const view = new SipMessage();
    const outward: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const invite = request("INVITE", { body: "v=0\r\n", headers: ["Max-Breadth: 3"] });
      const texts = [
        invite,
        cancelOf(invite),
        ackOf(invite, response(invite, 486)),
        request("BYE", {
          toTag: "b",
          uri: own,
          headers: ["Route: <sip:203.0.113.1:5061>, <sip:bob@203.0.113.2>"],
        }),
        request("BYE", { toTag: "b", headers: [`Route: <${own}>, <${own}>, <sip:203.0.113.1:5061>`] }),
        request("MESSAGE", { uri: "sip:bob@example.com:5060;maddr=192.0.2.1;transport=udp" }),
        request("OPTIONS", { headers: ["Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK" + "0".repeat(36)] }),
      ];
      for (const text of texts) {
        harness.receive(
          random.below(3) === 0 ? text : damaged(text, random),
          random.below(2) === 0 ? PHONE : CALLED,
        );
      }
      for (let i = 0; i < 6 && outward.length > 0; i++) {
        const contacts = ["Contact: <sip:x@203.0.113.3>;q=0.5, sip:y@203.0.113.1"];
        const status = [180, 200, 302, 407, 486, 503, 603][random.below(7)];
        const answer = response(outward[random.below(outward.length)], status, contacts);
        harness.receive(random.below(2) === 0 ? answer : damaged(answer, random), A);
      }
      for (const { text } of harness.take()) {
        const bytes = encoder.encode(text);
        const problem = view.parse(bytes, 0, bytes.length);
        if (problem !== undefined && ![400, 505, 513].includes(statusOf(text))) {
          throw new Error(`seed ${seed}, round ${round}: ${problem.text} in\n${text}`);
        }
        if (statusOf(text) === 0 && text.includes("\r\nTo:") && outward.push(text) > 50) outward.shift();
      }
      harness.runTo(harness.now + 100 * random.below(30));
    }
    assertEquals(harness.logs.filter((line) => !line.includes("seturi")), [], `seed ${seed}`);
    harness.runTo(harness.now + 1_000_000);
    assertEmpty(harness);
  });
}
