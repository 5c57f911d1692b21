/** The called side of a simulation: rings, answers, sends its 200 until the ACK comes, and may hang up. */
import {
  type Address,
  formatAddress,
  HeaderId,
  NO_TRANSACTION,
  response,
  type SipMessage,
  type TransactionId,
} from "../../mod.ts";
import { Endpoint, type Outcome } from "./endpoint.ts";

/** The 200 goes out again after this time, ms, up to `LAST` (RFC 3261 §13.3.1.4, without doubling). */
const REPEAT = 1000;
const LAST = 20_000;

/** A request that reached the called side: it got through the proxy. */
export interface Arrival {
  readonly at: number;
  readonly method: string;
  readonly callId: string;
  readonly cseq: number;
  readonly fromUser: string;
  /** Whether it carried any PC answer. */
  readonly hasAnswer: boolean;
}

/** A user agent that is called. */
export class CalledSide extends Endpoint {
  readonly arrivals: Arrival[] = [];
  /** Time before the 200, ms. */
  ring = 20;
  /** Hangs up this long after the ACK, ms; undefined: leaves it to the caller. */
  hangUpAfter: number | undefined;
  readonly byes: Outcome[] = [];
  readonly #acknowledged = new Set<string>();

  request(message: SipMessage, tx: TransactionId, from: Address): void {
    if (tx === NO_TRANSACTION) return void this.#acknowledged.add(message.callId);
    this.arrivals.push({
      at: this.around.queue.now,
      method: message.method,
      callId: message.callId,
      cseq: message.cseqNumber,
      fromUser: message.fromUri()?.user ?? "",
      hasAnswer: message.first(HeaderId.PROXY_AUTHORIZATION) >= 0 ||
        message.first(HeaderId.AUTHORIZATION) >= 0,
    });
    const { queue } = this.around;
    const kept = message.clone();
    const serial = this.layer.serialOf(tx);
    const answer = (status: number) => {
      if (this.layer.serialOf(tx) !== serial) return;
      const headers = [`Contact: <sip:bob@${formatAddress(this.address)}>`];
      const bytes = response(kept, status, undefined, { toTag: `b${kept.cseqNumber}`, headers });
      this.layer.respond(tx, bytes, 0, bytes.length, queue.now);
      this.waker.look();
    };
    if (message.method !== "INVITE") return answer(200);
    answer(180);
    const startedAt = queue.now;
    const repeat = () => {
      if (this.#acknowledged.has(kept.callId)) return this.#hangUp(kept, from);
      if (queue.now - startedAt > LAST) return;
      answer(200);
      queue.after(REPEAT, repeat);
    };
    queue.after(this.ring, repeat);
  }

  #hangUp(invite: SipMessage, hop: Address): void {
    const { hangUpAfter } = this;
    if (hangUpAfter === undefined) return;
    const route: string[] = [];
    for (const [start, end] of invite.values(HeaderId.RECORD_ROUTE)) route.push(invite.text(start, end));
    const uri = invite.address(HeaderId.CONTACT)!.uriText;
    const from = `${invite.value(HeaderId.TO)};tag=b${invite.cseqNumber}`;
    const to = invite.value(HeaderId.FROM)!;
    this.around.queue.after(hangUpAfter, () => {
      const spec = { method: "BYE", uri, hop, from, to, callId: invite.callId, cseq: 1, route };
      this.start(spec, (outcome) => void this.byes.push(outcome));
    });
  }
}
