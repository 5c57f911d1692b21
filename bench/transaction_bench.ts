/** The transaction layer per call, and the timer wheel per timer: `deno bench -A bench/transaction_bench.ts`. */
import { seededRandom } from "../core/random.ts";
import { SipMessage } from "../core/sip/message.ts";
import { TimerEntry, TimerWheel } from "../core/sip/timer_wheel.ts";
import { NO_TRANSACTION, type TransactionId } from "../core/sip/transaction.ts";
import { TransactionLayer } from "../core/sip/transaction_layer.ts";
import type { TransactionUser } from "../core/sip/transaction_user.ts";

const encoder = new TextEncoder();
const SOURCE = { host: "192.0.2.7", port: 5060 };
const TARGET = { host: "192.0.2.9", port: 5080 };
const SDP =
  `v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n`;
const COMMON = [
  "From: Alice <sip:alice@example.com>;tag=a1928301774",
  "To: Bob <sip:bob@example.com>",
  "Call-ID: a84b4c76e66710@pc33.example.com",
  "Contact: <sip:alice@192.0.2.7:5060>",
  "Content-Type: application/sdp",
];
const tail = (method: string, headers: string[]): string =>
  [...headers, ...COMMON, `CSeq: 1 ${method}`, `Content-Length: ${SDP.length}`, "", SDP].join("\r\n");
// The branches have a fixed width, so that the number of the call is written over the digits.
const FROM_PHONE = "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-phone-0000000000;rport";
const FROM_PROXY = "Via: SIP/2.0/UDP 192.0.2.8:5060;branch=z9hG4bK-proxy-0000000000";
const received = encoder.encode(`INVITE sip:bob@example.com SIP/2.0\r\n${tail("INVITE", [FROM_PHONE])}`);
const forwarded = encoder.encode(
  `INVITE sip:bob@example.com SIP/2.0\r\n${tail("INVITE", [FROM_PROXY, FROM_PHONE])}`,
);
const ringing = encoder.encode(`SIP/2.0 180 Ringing\r\n${tail("INVITE", [FROM_PROXY, FROM_PHONE])}`);
const answer = encoder.encode(`SIP/2.0 200 OK\r\n${tail("INVITE", [FROM_PROXY, FROM_PHONE])}`);
const answerUp = encoder.encode(`SIP/2.0 200 OK\r\n${tail("INVITE", [FROM_PHONE])}`);
const digits = (bytes: Uint8Array, prefix: string): number =>
  new TextDecoder().decode(bytes).indexOf(prefix) + prefix.length;
const writeNumber = (bytes: Uint8Array, at: number, value: number): void => {
  for (let i = 9; i >= 0; i--, value = Math.floor(value / 10)) bytes[at + i] = 0x30 + value % 10;
};

let invite: TransactionId = NO_TRANSACTION;
const user: TransactionUser = {
  request: (_, tx) => void (invite = tx),
  cancel: () => {},
  response: () => {},
  timeout: () => {},
  transportError: () => {},
  terminated: () => {},
  overloaded: () => {},
  timer: () => {},
};
let bytesSent = 0;
const layer = new TransactionLayer(
  { now: 0, random: seededRandom(1), trying: "never" },
  (_, start, end) => void (bytesSent += end - start),
  user,
);
const view = new SipMessage();
const phoneAt = digits(received, "-phone-");
const proxyAt = digits(forwarded, "-proxy-");
const ringingAt = digits(ringing, "-proxy-");
const answerAt = digits(answer, "-proxy-");
let call = 0;

/** One INVITE through a proxy at 2,000 calls/s: so that some 128,000 transactions live at any time. */
function oneCall(): void {
  const now = call / 2;
  call++;
  writeNumber(received, phoneAt, call);
  view.parse(received, 0, received.length);
  layer.receive(view, SOURCE, now);
  writeNumber(forwarded, proxyAt, call);
  layer.sendRequest(forwarded, 0, forwarded.length, TARGET, now);
  writeNumber(ringing, ringingAt, call);
  view.parse(ringing, 0, ringing.length);
  layer.receive(view, TARGET, now);
  layer.respond(invite, ringing, 0, ringing.length, now);
  writeNumber(answer, answerAt, call);
  view.parse(answer, 0, answer.length);
  layer.receive(view, TARGET, now);
  layer.respond(invite, answerUp, 0, answerUp.length, now);
  layer.advance(now);
}
for (let i = 0; i < 140_000; i++) oneCall();

Deno.bench({
  name: "server and client transaction of an INVITE with 180 and 200, three parses included",
  group: "transactions",
  baseline: true,
  fn: () => oneCall(),
});

Deno.bench("the three parses alone", { group: "transactions" }, () => {
  view.parse(received, 0, received.length);
  view.topVia();
  view.parse(ringing, 0, ringing.length);
  view.topVia();
  view.parse(answer, 0, answer.length);
  view.topVia();
});

class Alarm extends TimerEntry {
  override onTimer(): void {}
}
const wheel = new TimerWheel(0);
for (let i = 0; i < 100_000; i++) wheel.schedule(new Alarm(), 1e9 + i);
const alarm = new Alarm();
let time = 0;
Deno.bench("wheel: schedule 32 s ahead and cancel", { group: "wheel" }, () => {
  wheel.schedule(alarm, 32_000);
  wheel.cancel(alarm);
});
Deno.bench("wheel: schedule the next tick, advance, fire", { group: "wheel" }, () => {
  time += 10;
  wheel.schedule(alarm, time);
  wheel.advance(time);
});
