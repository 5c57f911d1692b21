/** Mutated messages under one invariant: no exception, offsets inside the buffer, what is forwarded parses again. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import { parseAuthAt } from "./auth_params.ts";
import {
  addReceivedRport,
  decrementMaxForwards,
  popRoute,
  popVia,
  pushRecordRoute,
  pushVia,
} from "./forward.ts";
import { SipMessage } from "./message.ts";
import { Patch } from "./patch.ts";
import { StreamFramer } from "./stream.ts";
import { mutate } from "./test_mutations.ts";
import { response } from "./write.ts";

const MUTATIONS = 6000;
/** Another run explores other messages: FUZZ_SEED=n deno test … */
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20240501);

function checkOffsets(message: SipMessage, start: number, end: number): void {
  let at = message.start;
  assert(at >= start && message.bodyEnd <= end && message.bodyStart <= message.bodyEnd);
  assert(message.headersEnd <= message.bodyStart);
  assert(message.requestUriStart <= message.requestUriEnd && message.reasonStart <= message.reasonEnd);
  for (let i = 0; i < message.headerCount; i++) {
    const offsets = [message.nameStart(i), message.nameEnd(i), message.valueStart(i), message.valueEnd(i)];
    for (const offset of [...offsets, message.lineEnd(i)]) {
      assert(offset >= at && offset <= message.headersEnd, `header ${i}`);
      at = offset;
    }
  }
}

/** Everything that reads must work on any message, problem or not. */
function readAll(message: SipMessage): void {
  for (let id = 0; id < 66; id++) {
    message.value(id);
    for (const [start, end] of message.values(id)) {
      assert(start < end);
      parseAuthAt(message.buffer, start, end);
    }
    message.address(id)?.uri();
  }
  assert(
    message.requestUri + message.callId + message.fromTag + message.toTag + message.reason !== undefined,
  );
  for (const via of [message.topVia(), message.secondVia()]) {
    if (via === undefined) continue;
    assert(via.start < via.end && via.end <= message.headersEnd);
    assert(`${via.host}${via.port}${via.branch}${via.received}${via.rport}${via.maddr}`.length > 0);
  }
  message.fromUri();
  message.toUri();
  message.contactUri();
  if (message.isRequest) response(message, 400, undefined, { toTag: "t", source: { host: "h", port: 5 } });
}

function forwardAndBack(message: SipMessage, patch: Patch): void {
  patch.begin(message);
  pushVia(patch, "SIP/2.0/UDP proxy.example;branch=z9hG4bKfuzz");
  addReceivedRport(patch, { host: "192.0.2.77", port: 7 });
  pushRecordRoute(patch, "<sip:proxy.example;lr>");
  popRoute(patch);
  const forwards = decrementMaxForwards(patch);
  const bytes = patch.toBytes();
  const there = new SipMessage(message.headerCount + 3);
  assertEquals(there.parse(bytes, 0, bytes.length), undefined);
  assertEquals(there.topVia()?.branch, "z9hG4bKfuzz");
  assertEquals(there.maxForwards, forwards < 0 ? 0 : forwards);
  assertEquals(there.callId, message.callId);
  assertEquals(there.body(), message.body());

  popVia(patch.begin(there));
  const popped = patch.toBytes();
  const back = new SipMessage(there.headerCount);
  assertEquals(back.parse(popped, 0, popped.length), undefined);
  assertEquals(back.topVia()?.branch, message.topVia()?.branch);
  assertEquals(back.topVia()?.host, message.topVia()?.host);
}

Deno.test("fuzz: messages", () => {
  const message = new SipMessage();
  const patch = new Patch();
  let good = 0;
  for (let n = 0; n < MUTATIONS; n++) {
    const seed = SEED + n;
    const random = seededRandom(seed);
    const bytes = mutate(random);
    const before = random.below(50);
    const buffer = new Uint8Array(before + bytes.length + random.below(50)).fill(random.below(256));
    buffer.set(bytes, before);
    try {
      const problem = message.parse(buffer, before, before + bytes.length);
      checkOffsets(message, before, before + bytes.length);
      readAll(message);
      if (problem === undefined) {
        good++;
        forwardAndBack(message, patch);
        assertEquals(message.clone().callId, message.callId);
      }
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}: ${JSON.stringify(new TextDecoder().decode(bytes))}`, {
        cause: error,
      });
    }
  }
  assert(good > MUTATIONS / 10, `only ${good} messages were still good`);
});

Deno.test("fuzz: streams give the same in any chunks", () => {
  for (let n = 0; n < MUTATIONS / 10; n++) {
    const random = seededRandom(SEED + n);
    const bytes = new Uint8Array([...mutate(random), ...mutate(random), ...mutate(random)]);
    const read = (size: () => number) => {
      const framer = new StreamFramer();
      const found: string[] = [];
      for (let at = 0; at < bytes.length;) {
        const chunk = bytes.subarray(at, at += size());
        for (const event of framer.push(chunk)) {
          found.push(
            event.type === "ping" ? "ping" : `${event.type} ${event.buffer.slice(event.start, event.end)}`,
          );
        }
      }
      return found;
    };
    const whole = read(() => bytes.length);
    assertEquals(read(() => 1), whole, `FUZZ_SEED=${SEED + n}`);
    assertEquals(read(() => 1 + random.below(300)), whole, `FUZZ_SEED=${SEED + n}`);
  }
});
