/**
 * The memory that finished transactions take, which live on for 32 s to absorb what comes again:
 *
 *     deno run -A --v8-flags=--expose-gc bench/transaction_memory.ts [TRANSACTIONS]
 *
 * First calls: a server and a client transaction of INVITE each, answered with 200, which hold no message. Then as many
 * server transactions of BYE, which hold their 200. The figure is what the process has resident above the empty layer.
 */
import { NO_TRANSACTION, seededRandom, SipMessage, type TransactionId, TransactionLayer } from "../mod.ts";

const total = Number(Deno.args[0] ?? 200_000);
const encoder = new TextEncoder();
const PHONE = { host: "192.0.2.7", port: 5060 };
const NEXT_HOP = { host: "192.0.2.9", port: 5080 };
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const resident = (): number => {
  collect();
  return Deno.memoryUsage().rss;
};

const common = (method: string): string =>
  "From: Alice <sip:alice@example.com>;tag=a1928301774\r\nTo: Bob <sip:bob@example.com>;tag=314159\r\n" +
  `Call-ID: a84b4c76e66710@pc33.example.com\r\nCSeq: 1 ${method}\r\nContent-Length: 0\r\n\r\n`;
// The branches have a fixed width, so that the number of the transaction is written over the digits.
const PHONE_VIA = "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-phone-0000000000;rport\r\n";
const PROXY_VIA = "Via: SIP/2.0/UDP 192.0.2.8:5060;branch=z9hG4bK-proxy-0000000000\r\n";
interface Template {
  readonly bytes: Uint8Array;
  /** Where the digits are. */
  readonly digits: readonly number[];
}
function template(text: string): Template {
  return { bytes: encoder.encode(text), digits: [...text.matchAll(/0{10}/g)].map(({ index }) => index) };
}
function number({ bytes, digits }: Template, value: number): Uint8Array {
  for (const at of digits) {
    let rest = value;
    for (let i = 9; i >= 0; i--, rest = Math.floor(rest / 10)) bytes[at + i] = 0x30 + rest % 10;
  }
  return bytes;
}
const invite = template(`INVITE sip:bob@example.com SIP/2.0\r\n${PHONE_VIA}${common("INVITE")}`);
const forwarded = template(
  `INVITE sip:bob@example.com SIP/2.0\r\n${PROXY_VIA}${PHONE_VIA}${common("INVITE")}`,
);
const answer = template(`SIP/2.0 200 OK\r\n${PROXY_VIA}${PHONE_VIA}${common("INVITE")}`);
const answerUp = template(`SIP/2.0 200 OK\r\n${PHONE_VIA}${common("INVITE")}`);
const bye = template(`BYE sip:bob@example.com SIP/2.0\r\n${PHONE_VIA}${common("BYE")}`);
const byeAnswer = template(`SIP/2.0 200 OK\r\n${PHONE_VIA}${common("BYE")}`);

const view = new SipMessage();
const nothing = (): void => {};

class Load {
  #server: TransactionId = NO_TRANSACTION;
  readonly layer: TransactionLayer;

  constructor() {
    this.layer = new TransactionLayer({ now: 0, random: seededRandom(1), trying: "never" }, nothing, {
      request: (_, tx) => void (this.#server = tx),
      cancel: nothing,
      response: nothing,
      timeout: nothing,
      transportError: nothing,
      terminated: nothing,
      overloaded: nothing,
      timer: nothing,
    });
  }

  #receive(bytes: Uint8Array, from: typeof PHONE): void {
    view.parse(bytes, 0, bytes.length);
    this.layer.receive(view, from, 0);
  }

  calls(first: number, count: number): void {
    for (let i = first; i < first + count; i++) {
      this.#receive(number(invite, i), PHONE);
      const sent = number(forwarded, i);
      this.layer.sendRequest(sent, 0, sent.length, NEXT_HOP, 0);
      this.#receive(number(answer, i), NEXT_HOP);
      const up = number(answerUp, i);
      this.layer.respond(this.#server, up, 0, up.length, 0);
    }
  }

  byes(first: number, count: number): void {
    for (let i = first; i < first + count; i++) {
      this.#receive(number(bye, i), PHONE);
      const up = number(byeAnswer, i);
      this.layer.respond(this.#server, up, 0, up.length, 0);
    }
  }
}

// What code and garbage of the filling take is there in the empty process already.
const warm = new Load();
warm.calls(0, 5000);
warm.byes(0, 5000);
warm.layer.advance(100_000);
const before = resident();
const load = new Load();
const empty = resident();
load.calls(0, total / 2);
const full = resident();
load.byes(0, total);
const withByes = resident();
const line = (what: string, bytes: number): void =>
  console.log(`${what}: ${(bytes / 1e6).toFixed(1)} MB, ${(bytes / total).toFixed(0)} bytes each`);
console.log(
  `resident: ${(before / 1e6).toFixed(1)} MB without a layer, ${
    (empty / 1e6).toFixed(1)
  } MB with an empty one`,
);
line(`${total} transactions of ${total / 2} calls`, full - empty);
line(`${total} more of BYE, with their answers of ${byeAnswer.bytes.length} bytes`, withByes - full);
console.log(`${load.layer.size} transactions live, ${load.layer.slotsInUse} messages held`);
