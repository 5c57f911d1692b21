import { assert, assertEquals } from "@std/assert";
import { encodeText } from "./ascii.ts";
import { SipMessage } from "./message.ts";
import { StreamFramer, type StreamLimits } from "./stream.ts";
import { INVITE, lines, RESPONSE } from "./test_messages.ts";

/** What comes out, as text, when the bytes come in chunks of `size`. */
function events(bytes: Uint8Array<ArrayBuffer>, size: number, limits?: StreamLimits): string[] {
  const framer = new StreamFramer(limits);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    for (const event of framer.push(bytes.subarray(at, at + size))) {
      if (event.type === "ping") found.push("ping");
      else {
        const content = new TextDecoder().decode(event.buffer.subarray(event.start, event.end));
        found.push(
          event.type === "message" ? content : `${event.problem.code} ${event.problem.text}: ${content}`,
        );
      }
    }
  }
  return found;
}

function sameInAnyChunks(bytes: Uint8Array<ArrayBuffer>, limits?: StreamLimits): string[] {
  const whole = events(bytes, bytes.length, limits);
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    assertEquals(events(bytes, size, limits), whole, `chunks of ${size}`);
  }
  return whole;
}

const invite = new TextDecoder().decode(INVITE);
const response = new TextDecoder().decode(RESPONSE);

Deno.test("stream: messages one after the other, with keep-alives between them", () => {
  const found = sameInAnyChunks(
    encodeText(`\r\n${invite}\r\n\r\n${response}${response}\r\n\r\n\r\n\r\n\r\n${invite}`),
  );
  assertEquals(found, [invite, "ping", response, response, "ping", "ping", invite]);
});

Deno.test("stream: LF alone, folds and compact names", () => {
  const message = "BYE sip:a SIP/2.0\nX: y\n\tz\nl\t:\n 3\n\nabc";
  assertEquals(sameInAnyChunks(encodeText(message + invite)), [message, invite]);
});

Deno.test("stream: what is wrong is named, and ends the stream", () => {
  const head = (line: string) => new TextDecoder().decode(lines(["BYE sip:a SIP/2.0", line]));
  const cases: [string, string][] = [
    ["X: y", "bad_request Content-Length is missing"],
    ["Content-Length: -1", "bad_request Content-Length is not a number"],
    ["Content-Length: 99999999999999999999", "bad_request Content-Length is not a number"],
    ["Content-Length: 1\r\nl: 2", "bad_request Content-Length is there more than once"],
    ["Content-Length: 70000", "too_large the message is too large"],
    [new Array(400).fill("X: y").join("\r\n"), "too_large there are too many header fields"],
  ];
  for (const [line, expected] of cases) {
    assertEquals(sameInAnyChunks(encodeText(invite + head(line) + invite)), [
      invite,
      `${expected}: ${head(line)}`,
    ]);
  }
  const found = sameInAnyChunks(encodeText(invite + head("X: y".padEnd(400))), { maxHeaderBytes: 300 });
  assert(found[0].startsWith("too_large the header section is too large: INVITE"));
  assertEquals(found.length, 1);
  assertEquals(sameInAnyChunks(encodeText("no line end at all".repeat(1000))).length, 1);
});

Deno.test("stream: cut at every byte, nothing comes too early and the rest completes it", () => {
  for (let cut = 0; cut < INVITE.length; cut++) {
    const framer = new StreamFramer();
    assertEquals(framer.push(INVITE.subarray(0, cut)).length, 0);
    assertEquals(framer.pending, cut);
    assertEquals(framer.push(INVITE.subarray(cut)).map((event) => event.type), ["message"]);
    assertEquals(framer.pending, 0);
  }
});

Deno.test("stream: a framed message parses where it lies", () => {
  const framer = new StreamFramer();
  const message = new SipMessage();
  const both = encodeText(invite + response);
  for (const event of framer.push(both)) {
    assert(event.type === "message");
    assertEquals(message.parse(event.buffer, event.start, event.end), undefined);
  }
  assertEquals(message.status, 200);
});
