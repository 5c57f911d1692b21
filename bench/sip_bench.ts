/**
 * SIP messages, per 900-byte INVITE: `deno bench bench/sip_bench.ts`. The time of one iteration is that of one message;
 * the baseline of each group is the scan alone.
 */
import { ByteWriter, HeaderId, parseAuthAt, Patch, SipMessage, writeResponse } from "../core/sip/mod.ts";
import { decrementMaxForwards, popVia, pushRecordRoute, pushVia } from "../core/sip/mod.ts";
import { HeaderIndex } from "../core/sip/scan.ts";
import { INVITE, RESPONSE } from "../core/sip/test_messages.ts";

// One arena for receiving and sending, as batched sockets have it; the messages lie in its middle.
const arena = new Uint8Array(1 << 20);
const REQUEST_AT = 4096;
const RESPONSE_AT = 8192;
const OUT = 65_536;
arena.set(INVITE, REQUEST_AT);
arena.set(RESPONSE, RESPONSE_AT);
const requestEnd = REQUEST_AT + INVITE.length;
const responseEnd = RESPONSE_AT + RESPONSE.length;
const elsewhere = new Uint8Array(4096);

const index = new HeaderIndex();
const message = new SipMessage();
const patch = new Patch();
const writer = new ByteWriter();
const encoder = new TextEncoder();
const via = encoder.encode("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef");
const recordRoute = encoder.encode("<sip:192.0.2.1:5060;lr>");
const headersAt = REQUEST_AT + INVITE.indexOf(10) + 1;
const options = {
  toTag: "abcdef",
  source: { host: "192.0.2.10", port: 5061 },
  headers: [
    'Proxy-Authenticate: PC realm="example.com", algorithm=SHA-1, nonce="00112233445566778899aabbccddeeff"',
  ],
};
let sink = 0;

Deno.bench("scan: header offsets", { group: "sip", baseline: true }, () => {
  index.scan(arena, headersAt, requestEnd);
  sink += index.count;
});

Deno.bench("parse: scan, start line, checks", { group: "sip" }, () => {
  message.parse(arena, REQUEST_AT, requestEnd);
  sink += message.headerCount;
});

Deno.bench("parse and what a proxy reads: top Via, Call-ID, tags, CSeq, URI", { group: "sip" }, () => {
  message.parse(arena, REQUEST_AT, requestEnd);
  sink += message.topVia()!.branch.length + message.callId.length + message.fromTag.length +
    message.toTag.length +
    message.cseqNumber + message.requestUri.length + message.maxForwards;
});

function forward(out: Uint8Array, offset: number): void {
  message.parse(arena, REQUEST_AT, requestEnd);
  patch.begin(message);
  pushVia(patch, via);
  pushRecordRoute(patch, recordRoute);
  decrementMaxForwards(patch);
  sink += patch.apply(out, offset);
}

Deno.bench("parse and forward a request, in one arena", { group: "sip" }, () => forward(arena, OUT));
Deno.bench("parse and forward a request, to another array", { group: "sip" }, () => forward(elsewhere, 0));

Deno.bench("parse and forward a response: pop Via (500 bytes)", { group: "sip" }, () => {
  message.parse(arena, RESPONSE_AT, responseEnd);
  popVia(patch.begin(message));
  sink += patch.apply(arena, OUT);
});

Deno.bench("parse and build a 407", { group: "sip" }, () => {
  message.parse(arena, REQUEST_AT, requestEnd);
  writer.clear();
  writeResponse(writer, message, 407, undefined, options);
  sink += writer.length;
});

Deno.bench("parse and read the credentials into strings", { group: "sip" }, () => {
  message.parse(arena, REQUEST_AT, requestEnd);
  const i = message.first(HeaderId.PROXY_AUTHORIZATION);
  sink += parseAuthAt(arena, message.valueStart(i), message.valueEnd(i)).params.length;
});

Deno.bench("parse and clone", { group: "sip" }, () => {
  message.parse(arena, REQUEST_AT, requestEnd);
  sink += message.clone().length;
});

globalThis.addEventListener("unload", () => {
  if (sink < 0) throw new Error("never: keeps the results alive");
});
