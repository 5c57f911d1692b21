/** The calling side of a simulation: a user agent that calls, hangs up, and answers a BYE. */
import {
  type Address,
  NO_TRANSACTION,
  request,
  response,
  type SipMessage,
  toHex,
  type TransactionId,
} from "../../mod.ts";
import { Endpoint, type Outcome } from "./endpoint.ts";

/** One call from its INVITE to its end. */
export interface Call {
  readonly device: Device;
  readonly startedAt: number;
  /** Of the INVITE, when it is over. */
  invite?: Outcome;
  /** Of the caller's BYE. */
  bye?: Outcome;
  /** Whether the caller is to hang up. */
  readonly hangsUp: boolean;
  /** The called side hung up. */
  ended: boolean;
}

/** What a caller may choose. */
export interface CallOptions {
  readonly hop: Address;
  /** Default sip:bob@example.com. */
  readonly uri?: string;
  /** Who hangs up after `hold`; "nobody" leaves it to the called side. */
  readonly bye?: "caller" | "nobody";
  /** Time between ACK and BYE, ms. */
  readonly hold?: number;
  readonly body?: string;
  /** Whom From claims; the account's user when undefined. */
  readonly fromUser?: string;
}

/** A user agent that calls. */
export class Device extends Endpoint {
  /** Calls by Call-ID, for a BYE of the called side. */
  readonly #calls = new Map<string, Call>();

  /** Calls; the result fills itself. */
  call(options: CallOptions): Call {
    const { queue, random } = this.around;
    const call: Call = {
      device: this,
      startedAt: queue.now,
      hangsUp: options.bye !== "nobody",
      ended: false,
    };
    const callId = this.newCallId();
    this.#calls.set(callId, call);
    const { hop, uri = "sip:bob@example.com", body } = options;
    const user = options.fromUser ?? this.account.username;
    const from = `<sip:${user}@${this.account.realm}>;tag=${toHex(random.bytes(4))}`;
    const spec = { method: "INVITE", uri, hop, from, to: `<${uri}>`, callId, cseq: 1, body };
    const sent = this.start(spec, (outcome) => {
      call.invite = outcome;
      if (outcome.status < 200 || outcome.status > 299) return;
      const { to, route, contact, cseq } = outcome;
      const acknowledge = () => {
        const via = this.via();
        const ack = { method: "ACK", uri: contact, via, from, to, callId, cseq, route, body: undefined };
        this.sendAlone(request(ack), hop);
      };
      acknowledge();
      sent.onRepeated(acknowledge);
      if (!call.hangsUp) return;
      queue.after(options.hold ?? 100, () => {
        if (call.ended) return;
        this.start(
          { method: "BYE", uri: contact, hop, from, to, callId, cseq: cseq + 1, route },
          (bye) => call.bye = bye,
        );
      });
    });
    return call;
  }

  /** Sends a request outside a dialog. */
  ask(method: string, hop: Address, done: (outcome: Outcome) => void, uri = "sip:bob@example.com"): void {
    const { username, realm } = this.account;
    const from = `<sip:${username}@${realm}>;tag=${toHex(this.around.random.bytes(4))}`;
    this.start({ method, uri, hop, from, to: `<${uri}>`, callId: this.newCallId(), cseq: 1 }, done);
  }

  request(message: SipMessage, tx: TransactionId): void {
    if (tx === NO_TRANSACTION) return;
    const call = this.#calls.get(message.callId);
    if (call !== undefined && message.method === "BYE") call.ended = true;
    const bytes = response(message, call === undefined ? 481 : 200, undefined, { toTag: "d" });
    this.layer.respond(tx, bytes, 0, bytes.length, this.around.queue.now);
  }
}
