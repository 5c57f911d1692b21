/** Runs calls through their scenario: steps, matching of messages, retransmission (RFC 3261 §13, §17). */
import {
  ack,
  type Address,
  ByteWriter,
  cancel,
  HeaderId,
  NameAddrView,
  response,
  responseAddress,
  SipMessage,
  T1,
  T2,
  type TimerWheel,
} from "../mod.ts";
import type { Authenticator } from "./authenticator.ts";
import type { Call, CallOwner, SentMessage, SentPool } from "./call.ts";
import { GIVE_UP } from "./constants.ts";
import type { CompiledScenario, CompiledStep } from "./scenario.ts";
import type { Statistics } from "./statistics.ts";
import { renderTemplate } from "./template.ts";

/** What the runner works with. */
export interface RunnerOptions {
  readonly scenario: CompiledScenario;
  readonly statistics: Statistics;
  readonly authenticator: Authenticator | undefined;
  readonly wheel: TimerWheel;
  readonly pool: SentPool;
  readonly pause: number;
  readonly recvTimeout: number;
  send(bytes: Uint8Array, length: number, to: Address): void;
  /** The call has ended; `failure` is "" when it went as the scenario says. */
  ended(call: Call, failure: string, now: number): void;
  /** Something that does not end the call. */
  problem(call: Call, text: string): void;
}

type SendStep = Extract<CompiledStep, { kind: "send" }>;
type RecvStep = Extract<CompiledStep, { kind: "recv" }>;

const decoder = new TextDecoder();
const SPACE = 0x20;

/** Runs all calls of an engine. */
export class CallRunner implements CallOwner {
  readonly #o: RunnerOptions;
  readonly #steps: readonly CompiledStep[];
  readonly #out = new ByteWriter(4096);
  readonly #address = new NameAddrView();
  /** Scratch view of a message of ours. */
  readonly #own = new SipMessage();

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.#steps = options.scenario.steps;
  }

  /** Does the steps from the present one to the next that waits. */
  run(call: Call, now: number): void {
    for (;;) {
      const step = this.#steps[call.step];
      if (step === undefined) return this.#o.ended(call, "", now);
      switch (step.kind) {
        case "send":
          if (!this.#send(call, step, now)) return;
          break;
        case "pause": {
          const milliseconds = step.milliseconds ?? this.#o.pause;
          if (milliseconds > 0) {
            call.pausedUntil = now + milliseconds;
            this.#schedule(call);
            return;
          }
          break;
        }
        case "recv": {
          const timeout = step.timeout ?? this.#o.recvTimeout;
          call.giveUpAt = timeout > 0 ? now + timeout : Infinity;
          if (call.retransmitting !== undefined) call.giveUpAt = Math.min(call.giveUpAt, now + GIVE_UP);
          this.#schedule(call);
          return;
        }
        default:
          break;
      }
      call.step = step.next;
    }
  }

  /** A response for a call. */
  response(call: Call, message: SipMessage, from: Address, now: number): void {
    const { request } = call;
    const via = message.topVia();
    if (
      request === undefined || request.finished || message.cseqNumber !== request.cseq ||
      message.cseqMethod !== request.method || via?.branch !== request.branch
    ) return this.#lateResponse(call, message);
    const { status } = message;
    const invite = request.method === "INVITE";
    if (status < 200) {
      // RFC 3261 §17.1.1.2: a provisional response ends the retransmission of INVITE; another request goes on at T2.
      request.proceeding = true;
      if (invite) this.#stopRetransmitting(call);
      else call.interval = Math.max(call.interval, T2 / 2);
    } else {
      request.finished = true;
      this.#stopRetransmitting(call);
      if (message.to.tagStart >= 0) call.peerTag = message.toTag;
      if (invite) call.inviteStatus = status;
    }
    const index = this.#match(call, message);
    if (index < 0) {
      if (status >= 200) {
        this.#o.authenticator?.answered(call.auth, message);
        if (invite && status >= 300) this.#acknowledge(call, request, message);
        return this.#o.ended(call, `${status} to ${request.method}`, now);
      }
      if (invite) this.#waitAgain(call, now);
      return;
    }
    this.#advance(call, index, message, from, now);
  }

  /** A request for a call, its first one too. */
  request(call: Call, message: SipMessage, from: Address, now: number): void {
    const { method, cseqNumber } = message;
    if (method !== "ACK") {
      for (let i = 0; i < call.replies.length; i++) {
        const reply = call.replies[i];
        if (reply.cseq === cseqNumber && reply.method === method) {
          this.#o.statistics.retransmissionsReceived++;
          return this.#sendAgain(call, reply);
        }
      }
    }
    if (method === "CANCEL") return this.#cancel(call, message, from, now);
    if (call.cancelled) return method === "ACK" ? this.#o.ended(call, "cancelled", now) : undefined;
    const index = this.#match(call, message);
    if (index < 0) return this.#unexpectedRequest(call, message, from, now);
    call.remote = responseAddress(message.topVia()!, from, false);
    if (message.from.tagStart >= 0) call.peerTag = message.fromTag;
    this.#stopRetransmitting(call);
    this.#advance(call, index, message, from, now);
  }

  timer(call: Call, now: number): void {
    if (call.pausedUntil <= now) {
      call.pausedUntil = Infinity;
      call.step = this.#steps[call.step].next;
      return this.run(call, now);
    }
    if (call.giveUpAt <= now) return this.#giveUp(call, now);
    const { retransmitting } = call;
    if (retransmitting !== undefined && call.retransmitAt <= now) {
      this.#sendAgain(call, retransmitting);
      // Timer A doubles without a limit; Timers E and G, and 2xx (§13.3.1.4), up to T2.
      const limit = retransmitting === call.request && retransmitting.method === "INVITE" ? GIVE_UP : T2;
      call.interval = Math.min(call.interval * 2, limit);
      call.retransmitAt = now + call.interval;
    }
    this.#schedule(call);
  }

  authenticate(call: Call, out: ByteWriter): void {
    const { authenticator } = this.#o;
    const { template } = call;
    if (authenticator === undefined || template === undefined || call.user === undefined) {
      if (call.challenged) call.refusal = "no_password";
      return;
    }
    const { buffer } = out;
    const uriStart = template.method.length + 1;
    let uriEnd = uriStart;
    while (buffer[uriEnd] !== SPACE) uriEnd++;
    const failure = authenticator.write(out, call.auth, {
      method: template.method,
      uri: decoder.decode(buffer.subarray(uriStart, uriEnd)),
      callId: call.callId,
      cseq: "fixed" in template.cseq ? template.cseq.fixed : call.cseq + template.cseq.offset,
    }, call.inviteStatus < 200 || call.inviteStatus >= 300);
    if (failure !== undefined) call.refusal = failure;
  }

  /** Whether the call goes on. */
  #send(call: Call, step: SendStep, now: number): boolean {
    const { template } = step;
    const { method } = template;
    const isRequest = method !== "";
    const isAck = method === "ACK";
    const { request } = call;
    if (isRequest) {
      if (!isAck && method !== "CANCEL") call.cseq++;
      // The ACK of a failure and CANCEL belong to the transaction of the INVITE (§17.1.1.3, §9.1).
      const sameBranch = request !== undefined &&
        ((isAck && call.inviteStatus >= 300) || method === "CANCEL");
      call.branch = sameBranch ? request.branch : call.branchBase + ++call.requests;
    }
    const out = this.#out;
    out.clear();
    call.template = template;
    renderTemplate(out, template, call);
    if (call.refusal !== "") {
      this.#o.ended(call, `auth: ${call.refusal}`, now);
      return false;
    }
    const received = call.received;
    const cseq = "fixed" in template.cseq ? template.cseq.fixed : call.cseq + template.cseq.offset;
    const sent = isRequest
      ? this.#o.pool.take(out, method, cseq, call.branch)
      : this.#o.pool.take(out, received?.method ?? "", received?.cseqNumber ?? 0, "");
    if (isAck) call.acks.push(sent);
    else if (isRequest) this.#replaceRequest(call, sent);
    else this.#replaceReply(call, sent);
    this.#o.send(sent.bytes, sent.length, call.remote);
    if (step.retrans > 0) {
      call.retransmitting = sent;
      call.interval = step.retrans;
      call.retransmitAt = now + step.retrans;
    }
    return true;
  }

  #replaceRequest(call: Call, sent: SentMessage): void {
    if (call.request !== undefined) this.#o.pool.give(call.request);
    call.request = sent;
  }

  #replaceReply(call: Call, sent: SentMessage): void {
    const { replies } = call;
    for (let i = 0; i < replies.length; i++) {
      if (replies[i].cseq === sent.cseq && replies[i].method === sent.method) {
        this.#o.pool.give(replies[i]);
        replies[i] = sent;
        return;
      }
    }
    replies.push(sent);
  }

  /** The step that awaits this message: the present one, or one after it if all before are optional; -1: none. */
  #match(call: Call, message: SipMessage): number {
    for (let i = call.step;; i++) {
      const step = this.#steps[i];
      if (step?.kind !== "recv") return -1;
      if (message.isRequest ? step.request === message.method : step.response === message.status) return i;
      if (!step.optional) return -1;
    }
  }

  #advance(call: Call, index: number, message: SipMessage, from: Address, now: number): void {
    const step = this.#steps[index] as RecvStep;
    if (!message.isRequest && message.status >= 200) {
      call.challenged = step.auth;
      if (step.auth) this.#o.authenticator?.challenged(call.auth, message);
      else this.#o.authenticator?.answered(call.auth, message);
    }
    if (step.rrs) this.#keepRouteSet(call, message);
    if (step.rtd) this.#o.statistics.setUp(now - call.scheduledAt);
    if (!message.isRequest && message.status < 200) {
      // What follows is awaited too, and this may come again: an optional provisional response moves nothing.
      if (step.optional && step.next === index + 1) return this.#waitAgain(call, now);
    }
    call.receivedFrom = from;
    call.received = message;
    call.step = step.next;
    this.run(call, now);
    // The datagram is gone after this, so a call that goes on after a pause needs a copy.
    if (call.received === message) {
      const needed = this.#o.scenario.keepsReceived && call.pausedUntil !== Infinity;
      call.received = needed ? message.clone() : undefined;
    }
  }

  /** Record-Route and Contact of the far end (§12.1): in reverse order for the side that calls. */
  #keepRouteSet(call: Call, message: SipMessage): void {
    const view = this.#address;
    const contact = message.first(HeaderId.CONTACT);
    if (
      contact >= 0 && view.parse(message.buffer, message.valueStart(contact), message.valueEnd(contact))
    ) call.nextUrl = view.uriText;
    call.routes = "";
    if (message.first(HeaderId.RECORD_ROUTE) < 0) return;
    for (const [start, end] of message.values(HeaderId.RECORD_ROUTE)) {
      const route = message.text(start, end);
      if (call.routes === "") call.routes = route;
      else call.routes = message.isRequest ? `${call.routes}, ${route}` : `${route}, ${call.routes}`;
    }
  }

  /** Gives the wait its full time again. */
  #waitAgain(call: Call, now: number): void {
    const step = this.#steps[call.step];
    // What is still retransmitted has its own end (Timer F).
    if (step?.kind !== "recv" || call.retransmitting !== undefined) return;
    const timeout = step.timeout ?? this.#o.recvTimeout;
    call.giveUpAt = timeout > 0 ? now + timeout : Infinity;
    this.#schedule(call);
  }

  /** A response to nothing that is pending: a retransmission, as a rule, of a final one whose ACK was lost. */
  #lateResponse(call: Call, message: SipMessage): void {
    this.#o.statistics.retransmissionsReceived++;
    if (message.cseqMethod !== "INVITE" || message.status < 200) return;
    for (let i = 0; i < call.acks.length; i++) {
      if (call.acks[i].cseq === message.cseqNumber) return this.#sendAgain(call, call.acks[i]);
    }
  }

  #unexpectedRequest(call: Call, message: SipMessage, from: Address, now: number): void {
    const { method } = message;
    if (method === "ACK") return;
    this.#o.statistics.unexpected++;
    this.#o.problem(call, `unexpected ${method}`);
    const status = method === "BYE" || method === "OPTIONS" ? 200 : 405;
    this.#reply(call, message, status, from);
    if (method === "BYE") this.#o.ended(call, "unexpected BYE", now);
  }

  /** CANCEL for the call (§9.2): 200 to it; 487 to an INVITE that has no final response yet. */
  #cancel(call: Call, message: SipMessage, from: Address, now: number): void {
    const invite = call.received;
    this.#reply(call, message, 200, from);
    if (invite?.method !== "INVITE" || call.pausedUntil === Infinity) return;
    call.pausedUntil = Infinity;
    call.cancelled = true;
    const sent = this.#reply(call, invite, 487, call.receivedFrom);
    call.retransmitting = sent;
    call.interval = T1;
    call.retransmitAt = now + T1;
    call.giveUpAt = now + GIVE_UP;
    this.#schedule(call);
  }

  /** A response that no scenario describes. */
  #reply(call: Call, request: SipMessage, status: number, from: Address): SentMessage {
    const bytes = response(request, status, undefined, { toTag: call.localTag, source: from });
    const out = this.#out;
    out.clear();
    out.bytes(bytes);
    const sent = this.#o.pool.take(out, request.method, request.cseqNumber, "");
    this.#replaceReply(call, sent);
    this.#o.send(sent.bytes, sent.length, responseAddress(request.topVia()!, from, false));
    return sent;
  }

  /** The ACK of a failure that the scenario does not await (§17.1.1.3). */
  #acknowledge(call: Call, request: SentMessage, message: SipMessage): void {
    if (this.#own.parse(request.bytes, 0, request.length) !== undefined) return;
    const bytes = ack(this.#own, message);
    this.#o.send(bytes, bytes.length, call.remote);
  }

  #giveUp(call: Call, now: number): void {
    const { retransmitting, request } = call;
    if (call.cancelled) return this.#o.ended(call, "cancelled", now);
    if (retransmitting !== undefined) {
      const failure = retransmitting === request ? `no answer to ${request.method}` : "no ACK";
      return this.#o.ended(call, failure, now);
    }
    if (request !== undefined && !request.finished) {
      // §9.1: an INVITE that was answered provisionally can be cancelled; how that ends is not awaited.
      if (request.method === "INVITE" && this.#own.parse(request.bytes, 0, request.length) === undefined) {
        const bytes = cancel(this.#own);
        this.#o.send(bytes, bytes.length, call.remote);
      }
      return this.#o.ended(call, `no final response to ${request.method}`, now);
    }
    const step = this.#steps[call.step];
    const awaited = step?.kind === "recv" ? step.request || String(step.response) : "message";
    this.#o.ended(call, `no ${awaited} in time`, now);
  }

  #sendAgain(call: Call, sent: SentMessage): void {
    this.#o.statistics.retransmissionsSent++;
    this.#o.send(sent.bytes, sent.length, call.remote);
  }

  #stopRetransmitting(call: Call): void {
    call.retransmitting = undefined;
    call.retransmitAt = Infinity;
  }

  #schedule(call: Call): void {
    const at = Math.min(call.pausedUntil, call.retransmitAt, call.giveUpAt);
    if (at === Infinity) this.#o.wheel.cancel(call);
    else this.#o.wheel.schedule(call, at);
  }
}
