import { assertEquals, assertNotEquals } from "@std/assert";
import { createHmac } from "node:crypto";
import { CHAIN_ALGORITHMS } from "../hash/chain_hash.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import vectors from "../../tests/vectors/pc.json" with { type: "json" };
import { acceptedMac, challengeMac, renewMac, responseMac } from "./mac.ts";
import { backend, INVITE, OPAQUE } from "./testing.ts";

Deno.test("the MACs give the values of tests/vectors/pc.json", async (t) => {
  for (const [i, vector] of vectors.entries()) {
    const algorithm = CHAIN_ALGORITHMS.find((name) => name === vector.algorithm)!;
    const hash = backend.get(algorithm);
    const key = fromHex(vector.key);
    const { opaque, seq } = vector;
    const bodyHash = toHex(hash.digest(new TextEncoder().encode(vector.body)));
    const next = { nonce: vector.nextnonce, chain: vector.chain };
    const challenged = { callId: vector.callId, cseq: vector.challengedCseq };
    const values: Record<string, Uint8Array> = {
      auth: challengeMac(hash, key, opaque, seq, challenged),
      response: responseMac(hash, key, opaque, seq, vector),
      responseAuthInt: responseMac(hash, key, opaque, seq, vector, bodyHash),
      renew: renewMac(hash, key, opaque, vector),
      rspauth: acceptedMac(hash, key, opaque, seq, vector),
      rspauthNext: acceptedMac(hash, key, opaque, seq, vector, next),
    };
    for (const [field, value] of Object.entries(values)) {
      await t.step(`vector ${i} ${algorithm}: ${field}`, () => {
        assertEquals(toHex(value), (vector as unknown as Record<string, string>)[field]);
      });
    }
  }
});

const hash = backend.get("SHA-256");
const key = new Uint8Array(32).fill(9);
const hmac = (text: string) => createHmac("sha256", key).update(text).digest("hex");

Deno.test("each MAC covers exactly the text of docs/PROTOCOL.md", () => {
  const { method, uri, callId, cseq } = INVITE;
  const next = { nonce: "ab".repeat(16), chain: 10 };
  assertEquals(
    toHex(challengeMac(hash, key, OPAQUE, 0, INVITE)),
    hmac(`PC1 challenge\n${OPAQUE}\n0\n${callId}\n${cseq}`),
  );
  assertEquals(
    toHex(responseMac(hash, key, OPAQUE, 65534, INVITE)),
    hmac(`PC1 response\n${OPAQUE}\n${method}\n${uri}\n65534\n${callId}\n${cseq}`),
  );
  assertEquals(
    toHex(responseMac(hash, key, OPAQUE, 9, INVITE, "00ff")),
    hmac(`PC1 response\n${OPAQUE}\n${method}\n${uri}\n9\n${callId}\n${cseq}\n00ff`),
  );
  assertEquals(
    toHex(renewMac(hash, key, OPAQUE, INVITE)),
    hmac(`PC1 renew\n${OPAQUE}\n${method}\n${uri}\n${callId}\n${cseq}`),
  );
  assertEquals(
    toHex(renewMac(hash, key, OPAQUE, INVITE, "00ff")),
    hmac(`PC1 renew\n${OPAQUE}\n${method}\n${uri}\n${callId}\n${cseq}\n00ff`),
  );
  assertEquals(
    toHex(acceptedMac(hash, key, OPAQUE, 9, INVITE, next)),
    hmac(`PC1 accepted\n${OPAQUE}\n9\n${callId}\n${cseq}\n${next.nonce}\n10`),
  );
});

Deno.test("both LFs of rspauth stand when nothing is announced", () => {
  const { callId, cseq } = INVITE;
  const expected = hmac(`PC1 accepted\n${OPAQUE}\n9\n${callId}\n${cseq}\n\n`);
  assertEquals(toHex(acceptedMac(hash, key, OPAQUE, 9, INVITE)), expected);
});

Deno.test("texts are UTF-8, and the CSeq number goes up to 2^32 - 1 in decimal", () => {
  const request = { method: "INVITE", uri: "sip:zoë@例え.jp", callId: "č-🙂@host", cseq: 2 ** 32 - 1 };
  assertEquals(
    toHex(responseMac(hash, key, OPAQUE, 9, request)),
    hmac(`PC1 response\n${OPAQUE}\nINVITE\nsip:zoë@例え.jp\n9\nč-🙂@host\n4294967295`),
  );
});

Deno.test("a text longer than the standing buffer leaves nothing behind for a short one", () => {
  for (const length of [500, 2000, 5000, 70_000, 3]) {
    const request = { ...INVITE, uri: `sip:${"ü".repeat(length)}@example.com` };
    assertEquals(
      toHex(responseMac(hash, key, OPAQUE, 9, request)),
      hmac(`PC1 response\n${OPAQUE}\nINVITE\n${request.uri}\n9\n${INVITE.callId}\n2`),
      `${length} characters`,
    );
  }
});

Deno.test("the MACs of one request are all different", () => {
  const macs = [
    challengeMac(hash, key, OPAQUE, 9, INVITE),
    responseMac(hash, key, OPAQUE, 9, INVITE),
    responseMac(hash, key, OPAQUE, 9, INVITE, ""),
    renewMac(hash, key, OPAQUE, INVITE),
    acceptedMac(hash, key, OPAQUE, 9, INVITE),
  ].map(toHex);
  assertEquals(new Set(macs).size, macs.length);
  assertNotEquals(toHex(responseMac(hash, flip(key), OPAQUE, 9, INVITE)), macs[1]);
});

function flip(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => i === 0 ? byte ^ 1 : byte);
}
