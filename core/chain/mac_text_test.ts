import { assertEquals } from "@std/assert";
import { CHAIN_ALGORITHMS } from "../hash/chain_hash.ts";
import { toHex } from "../hash/hex.ts";
import { seededRandom } from "../random.ts";
import { encodeText } from "../sip/ascii.ts";
import { SipMessage } from "../sip/message.ts";
import { acceptedMac, challengeMac, renewMac, responseMac } from "./mac.ts";
import { MacText } from "./mac_text.ts";
import { SEQ_NONE } from "./pc_answer_view.ts";
import { backend, OPAQUE } from "./testing.ts";

const none = new Uint8Array(0);
const text = new MacText(encodeText(OPAQUE));

function parse(
  callId: string | Uint8Array,
  method = "INVITE",
  uri = "sip:bob@example.com",
  cseq = "2",
): SipMessage {
  const head = encodeText(
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\n` +
      `CSeq: ${cseq} ${method}\r\nCall-ID:`,
  );
  const value = typeof callId === "string" ? encodeText(callId) : callId;
  const bytes = new Uint8Array([...head, ...value, ...encodeText("\r\n\r\n")]);
  const message = new SipMessage();
  assertEquals(message.parse(bytes, 0, bytes.length), undefined);
  return message;
}

const MESSAGES = [
  parse("a84b4c76e66710@pc33.example.com"),
  parse("x", "OPTIONS", "sips:service.example.com;transport=tcp?a=%41", "0"),
  parse("x".repeat(3000), "X-METHOD", `sip:${"y".repeat(3000)}@example.com`, "2147483647"),
  parse("ünïcode-\u{1f600}@\ufeffhost", "INVITE", "tel:+4930123", "000123"),
  // Bytes that are no UTF-8 count as the text that they are read as: U+FFFD each.
  parse(new Uint8Array([0x61, 0xff, 0xc3, 0x62, 0xed, 0xa0, 0x80])),
];

Deno.test("MAC texts from bytes give the MACs that strings give, for every algorithm", () => {
  const random = seededRandom(5);
  for (const algorithm of CHAIN_ALGORITHMS) {
    const hash = backend.get(algorithm);
    const key = random.bytes(hash.size);
    const mac = () => {
      const out = new Uint8Array(hash.size);
      hash.hmacInto(key, text.buffer, text.length, out);
      return toHex(out);
    };
    for (const message of MESSAGES) {
      const { method, callId, cseqNumber: cseq, requestUri: uri } = message;
      const request = { method, uri, callId, cseq };
      const digest = hash.digest(encodeText("v=0\r\n"));
      for (const seq of [0, 9, 10, 99, 65_534]) {
        text.response(message, seq);
        assertEquals(mac(), toHex(responseMac(hash, key, OPAQUE, seq, request)));
        text.response(message, seq);
        text.bodyDigest(digest);
        assertEquals(mac(), toHex(responseMac(hash, key, OPAQUE, seq, request, toHex(digest))));
        text.challenge(message, seq);
        assertEquals(mac(), toHex(challengeMac(hash, key, OPAQUE, seq, request)));
        text.accepted(message, seq, none, 0);
        assertEquals(mac(), toHex(acceptedMac(hash, key, OPAQUE, seq, request)));
        const nonce = random.bytes(16);
        text.accepted(message, seq, nonce, 1000);
        const next = { nonce: toHex(nonce), chain: 1000 };
        assertEquals(mac(), toHex(acceptedMac(hash, key, OPAQUE, seq, request, next)));
      }
      text.response(message, SEQ_NONE);
      assertEquals(mac(), toHex(renewMac(hash, key, OPAQUE, request)));
      text.response(message, SEQ_NONE);
      text.bodyDigest(digest);
      assertEquals(mac(), toHex(renewMac(hash, key, OPAQUE, request, toHex(digest))));
    }
  }
});

Deno.test("MAC texts: numbers are canonical decimals", () => {
  for (const number of [0, 1, 9, 10, 19, 100, 65_535, 99_999, 100_000, 2 ** 31 - 1]) {
    text.length = 0;
    text.number(number);
    assertEquals(new TextDecoder().decode(text.buffer.subarray(0, text.length)), String(number));
  }
});
