/**
 * SIP messages: `deno bench bench/sip_bench.ts`. The time of one iteration is that of one message. Group "sip" is per
 * 900-byte INVITE; its baseline is the scan alone. Groups "scan" and "parse" compare the kernel with the scan byte by
 * byte and with messages that must be copied for it; "cold" goes over 4,000 different messages in 8 MB.
 */
import { ByteWriter, HeaderId, parseAuthAt, Patch, SipMessage, writeResponse } from "../core/sip/mod.ts";
import { decrementMaxForwards, popVia, pushRecordRoute, pushVia } from "../core/sip/mod.ts";
import { scanKernel } from "../core/sip/kernel/kernel.ts";
import { HeaderIndex, MAX_HEADERS } from "../core/sip/scan.ts";
import { INVITE, lines, RESPONSE } from "../core/sip/test_messages.ts";

// One arena for receiving and sending, as batched sockets have it; the messages lie in its middle.
const arena = new Uint8Array(1 << 20);
const REQUEST_AT = 4096;
const RESPONSE_AT = 8192;
const OUT = 65_536;
const KINDS_AT = 16_384;
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

const dialog = [
  'From: "User 42" <sip:user42@example.com:5061>;tag=18351SIPpTag001',
  "To: service <sip:service@example.com:5060>;tag=99",
  "Call-ID: 1-18351@192.0.2.10",
];
const viaLine = "Via: SIP/2.0/UDP 192.0.2.10:5061;rport;branch=z9hG4bK-18351-1-9";
const MESSAGES: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "INVITE": INVITE,
  "200": RESPONSE,
  "BYE": lines([
    "BYE sip:192.0.2.20:5060 SIP/2.0",
    ...[viaLine, ...dialog, "CSeq: 3 BYE", "Max-Forwards: 70", "Route: <sip:192.0.2.1;lr>"],
    "Content-Length: 0",
  ]),
  "407": lines([
    "SIP/2.0 407 Proxy Authentication Required",
    ...[viaLine, ...dialog, "CSeq: 2 INVITE", options.headers[0], "Content-Length: 0"],
  ]),
};

/** An index of the usual size has a place in the kernel. */
const KERNEL = MAX_HEADERS;
const BYTES = MAX_HEADERS - 1;
const inKernel = scanKernel?.allocate(1 << 16) ?? new Uint8Array(1 << 16);
Object.values(MESSAGES).forEach((bytes, i) => {
  for (const buffer of [arena, inKernel]) buffer.set(bytes, KINDS_AT + i * 4096);
});

Object.entries(MESSAGES).forEach(([name, bytes], i) => {
  const start = KINDS_AT + i * 4096;
  const headers = start + bytes.indexOf(10) + 1;
  const end = start + bytes.length;
  const variants = [["bytes", arena, BYTES], ["kernel, copied", arena, KERNEL], [
    "kernel",
    inKernel,
    KERNEL,
  ]] as const;
  for (const [variant, buffer, size] of variants) {
    const index = new HeaderIndex(size);
    const baseline = variant === "bytes";
    Deno.bench(`scan ${name}: ${variant}`, { group: `scan ${name}`, baseline }, () => {
      index.scan(buffer, headers, end);
      sink += index.count;
    });
  }
  for (const [variant, buffer, size] of variants) {
    const message = new SipMessage(size);
    const baseline = variant === "bytes";
    Deno.bench(`parse ${name}: ${variant}`, { group: `parse ${name}`, baseline }, () => {
      message.parse(buffer, start, end);
      sink += message.headerCount;
    });
  }
});

// More than the caches hold, and each message another: 2 KB apart, the kinds mixed, with numbers of their own.
const COLD = 4000;
const PLACE = 2048;
const cold = scanKernel?.allocate(COLD * PLACE) ?? new Uint8Array(COLD * PLACE);
const coldElsewhere = new Uint8Array(COLD * PLACE);
const ends = new Int32Array(COLD);
for (let i = 0; i < COLD; i++) {
  const kinds = Object.values(MESSAGES);
  const text = new TextDecoder().decode(kinds[(i * 7919 >>> 3) % kinds.length]);
  const bytes = encoder.encode(text.replaceAll("18351", String(i * 104_729)).replaceAll("user42", `u${i}`));
  const at = i * PLACE + (i % 8) * 64;
  for (const buffer of [cold, coldElsewhere]) buffer.set(bytes, at);
  ends[i] = at + bytes.length;
}

for (
  const [variant, buffer, size] of [
    ["bytes", coldElsewhere, BYTES],
    ["kernel, copied", coldElsewhere, KERNEL],
    ["kernel", cold, KERNEL],
  ] as const
) {
  const message = new SipMessage(size);
  let next = 0;
  Deno.bench(`parse: ${variant}`, { group: "cold", baseline: variant === "bytes" }, () => {
    // 2,003 and 4,000 have no divisor in common, so that no message is near the last one.
    next = (next + 2003) % COLD;
    message.parse(buffer, next * PLACE + (next % 8) * 64, ends[next]);
    sink += message.headerCount;
  });
}

globalThis.addEventListener("unload", () => {
  if (sink < 0) throw new Error("never: keeps the results alive");
});
