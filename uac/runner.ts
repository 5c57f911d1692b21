/** Runs calls through their scenario: steps, matching of messages, retransmission (RFC 3261 §13, §17). */
import {
  ack,
  type Address,
  ByteWriter,
  cancel,
  HeaderId,
  NameAddrView,
  type Random,
  request as buildRequest,
  response,
  responseAddress,
  SipMessage,
  T1,
  type TimerWheel,
} from "../mod.ts";
import { CONTINUE, ENDED } from "./actions.ts";
import type { Authenticator, OutgoingRequest } from "./authenticator.ts";
import {
  type Call,
  type CallOwner,
  FINISHED,
  PROCEEDING,
  SENT,
  type SentMessage,
  type SentPool,
  UNSENT,
} from "./call.ts";
import { GIVE_UP } from "./constants.ts";
import { sample } from "./distributions.ts";
import { type CompiledStep, MANDATORY } from "./program.ts";
import type { Statistics } from "./statistics.ts";
import { renderBody, renderTemplate } from "./template.ts";
import { valueNumber, type Variables } from "./variables.ts";

/** What calls do by themselves when a scenario does not say: SIPp's `-default_behaviors`. */
export interface Behaviors {
  /** BYE or CANCEL for a call that fails. */
  readonly bye: boolean;
  /** A message that no step awaits fails the call. */
  readonly abortUnexpected: boolean;
  /** 200 to BYE, CANCEL, and PING and OPTIONS that no step awaits. */
  readonly reply: boolean;
  /** 200 to INFO, NOTIFY, OPTIONS and UPDATE (`-aa`). */
  readonly autoAnswer: boolean;
}

/** What the runner works with. Times in ms. */
export interface RunnerOptions {
  readonly statistics: Statistics;
  readonly authenticator: Authenticator | undefined;
  readonly wheel: TimerWheel;
  readonly pool: SentPool;
  readonly variables: Variables;
  readonly random: Random;
  readonly pause: number;
  readonly recvTimeout: number;
  /** Over a connection nothing is sent again. */
  readonly reliable: boolean;
  /** Over UDP: whether anything is sent again (`-nr`), how often at most, and the longest interval (`-T2`). */
  readonly retransmit: boolean;
  readonly maxInviteRetrans: number;
  readonly maxRetrans: number;
  readonly t2: number;
  /** Share of messages that get lost by will, 0 … 1. */
  readonly lost: number;
  readonly behaviors: Behaviors;
  /** `-auth_uri`; "": the Request-URI. */
  readonly authUri: string;
  /** Where everything is sent instead (`-rsa`). */
  readonly sendTo: Address | undefined;
  /** What every `[branch]` begins with. */
  readonly branchPrefix: Uint8Array;
  /** Messages during a pause are passed over (`-pause_msg_ign`). */
  readonly ignoreInPause: boolean;
  credentials(call: Call): { readonly username: string; readonly password: string };
  writeUser(call: Call, out: ByteWriter): void;
  send(call: Call, bytes: Uint8Array, length: number, to: Address): void;
  /** The call has ended; `failure` is "" when it went as the scenario says. */
  ended(call: Call, failure: string, now: number): void;
  /** It counts as ended, but answers for a while what comes again. */
  lingers(call: Call, now: number): void;
  /** Something that does not end the call. */
  problem(call: Call, text: string): void;
}

type Step = CompiledStep<Call>;

const decoder = new TextDecoder();
const SPACE = 0x20;
const DASH = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** Steps without a wait in a row: more is a loop that never ends. */
const MAX_STEPS_IN_A_ROW = 100_000;
/** Replies that are kept to be sent again. */
const MAX_REPLIES = 16;

/** The request that is being written, as its authentication needs it. */
class Outgoing implements OutgoingRequest {
  method = "";
  uri = "";
  callId = "";
  cseq = 0;
  call: Call | undefined;
  get body(): Uint8Array {
    return renderBody(this.call!.template!, this.call!);
  }
}

/** Runs all calls of an engine. */
export class CallRunner implements CallOwner {
  readonly #o: RunnerOptions;
  readonly #out = new ByteWriter(4096);
  readonly #address = new NameAddrView();
  /** Scratch views: of a message of ours, and of a kept one. */
  readonly #own = new SipMessage();
  readonly #kept = new SipMessage();
  readonly #outgoing = new Outgoing();
  /** Where the responses to the last new caller went. */
  #replyFrom: Address | undefined;
  #replyPort = 0;
  #replyTo: Address | undefined;
  #now = 0;

  constructor(options: RunnerOptions) {
    this.#o = options;
  }

  /** Room to write in, for one piece at a time. */
  get scratch(): ByteWriter {
    return this.#out;
  }

  /** Does the steps from the present one to the next that waits. */
  run(call: Call, now: number): void {
    this.#now = now;
    const { steps } = call;
    for (let done = 0;; done++) {
      const step = steps[call.step];
      if (step === undefined) return this.#o.ended(call, "", now);
      if (done > MAX_STEPS_IN_A_ROW) return this.#o.ended(call, "a loop without a wait", now);
      if (step.condexec !== undefined && this.#isSet(call, step.condexec) === step.condexecInverse) {
        call.step++;
        continue;
      }
      switch (step.kind) {
        case "send":
          if (!this.#send(call, step, now)) return;
          break;
        case "pause":
        case "timewait": {
          call.program.counts.passed[step.index]++;
          const length = this.#pauseOf(call, step);
          if (step.kind === "timewait") this.#o.lingers(call, now);
          if (length > 0) {
            call.pausedUntil = now + length;
            this.#schedule(call);
            return;
          }
          break;
        }
        case "recv":
          this.#wait(call, step, now);
          return;
        default:
          break;
      }
      if (!this.#pass(call, step, now)) return;
    }
  }

  /** What is done with a step when it is over, and where the call goes on. Whether it does. */
  #pass(call: Call, step: Step, now: number): boolean {
    if (step.plain) {
      call.step = step.next;
      return true;
    }
    this.#count(call, step, now);
    const jump = this.#act(call, step);
    if (jump === ENDED) return false;
    // The test is made after the actions, as in SIPp.
    if (jump !== CONTINUE) call.step = jump;
    else call.step = step.jumps && this.#taken(call, step) ? step.next : step.index + 1;
    return true;
  }

  #taken(call: Call, { test, chance }: Step): boolean {
    return (test === undefined || this.#isSet(call, test)) &&
      (chance >= 1 || this.#o.random.below(1_000_000) < chance * 1_000_000);
  }

  #isSet(call: Call, ref: NonNullable<Step["test"]>): boolean {
    return this.#o.variables.isSet(call, ref);
  }

  #count(call: Call, step: Step, now: number): void {
    const { statistics } = this.#o;
    // The out-of-call scenario has counters and timers of its own, which nobody reads.
    if (call.program.counts !== statistics.steps) return;
    if (step.counter >= 0) statistics.counters[step.counter] = (statistics.counters[step.counter] ?? 0) + 1;
    for (let i = 0; i < step.rtd.length; i++) {
      const timer = step.rtd[i];
      const start = call.timers[timer];
      if (!Number.isNaN(start)) statistics.time(timer, now - start);
      if (!step.repeatRtd) call.timers[timer] = NaN;
    }
    for (let i = 0; i < step.startRtd.length; i++) call.timers[step.startRtd[i]] = now;
  }

  /** Does the actions of a step: {@linkcode CONTINUE}, {@linkcode ENDED}, or a step to jump to. */
  #act(call: Call, step: Step): number {
    if (step.actions.length === 0) return CONTINUE;
    if (call.received === undefined) call.restore(this.#kept);
    let jump = CONTINUE;
    for (let i = 0; i < step.actions.length; i++) {
      const result = step.actions[i](call);
      if (result === ENDED || call.ended) return ENDED;
      if (result >= 0) jump = result;
    }
    return jump;
  }

  #pauseOf(call: Call, { length, variable }: Step): number {
    if (variable !== undefined) {
      return Math.max(0, Math.trunc(valueNumber(this.#o.variables.get(call, variable))) || 0);
    }
    if (length === undefined) return this.#o.pause;
    return length.kind === "fixed" ? length.parameters[0] : Math.max(0, sample(length, this.#o.random));
  }

  #wait(call: Call, step: Step, now: number): void {
    let timeout = step.timeout < 0 ? this.#o.recvTimeout : step.timeout;
    if (step.timeoutVariable !== undefined) {
      timeout = Math.trunc(valueNumber(this.#o.variables.get(call, step.timeoutVariable))) || 0;
    }
    call.giveUpAt = timeout > 0 ? now + timeout : Infinity;
    if (call.retransmitting !== undefined) call.giveUpAt = Math.min(call.giveUpAt, now + GIVE_UP);
    this.#schedule(call);
  }

  /** A response for a call. */
  response(call: Call, message: SipMessage, from: Address, now: number): void {
    this.#now = now;
    const asked = this.#answers(call, message);
    if (asked < 0 || call.states[asked] === FINISHED || call.ended) return this.#lateResponse(call, message);
    const { status } = message;
    const step = call.steps[asked];
    // Any response beyond 100 that is no challenge shows that the credentials were accepted, or that it did not matter.
    if (call.authKind !== undefined && status > 100 && asked === call.authStep) {
      if (status !== 401 && status !== 407) {
        this.#o.statistics.authenticated(call.authKind, now - call.authSentAt);
      }
      call.authKind = undefined;
    }
    const invite = step.template!.method === "INVITE";
    const index = this.#match(call, message, asked);
    if (index >= 0 && this.#isLost(call, call.steps[index])) return;
    if (message.to.tagStart >= 0) {
      call.peerTag.set(message.buffer, message.to.tagStart, message.to.tagEnd);
    }
    if (status < 200) {
      // RFC 3261 §17.1.1.2: a provisional response ends the retransmission of INVITE; another request goes on at T2.
      call.states[asked] = PROCEEDING;
      if (invite) this.#stopRetransmitting(call, asked);
      else call.interval = Math.max(call.interval, this.#o.t2 / 2);
    } else {
      call.states[asked] = FINISHED;
      this.#stopRetransmitting(call, asked);
      if (invite) {
        call.inviteStatus = status;
        call.inviteStep = asked;
      }
    }
    if (index < 0) return this.#unexpectedResponse(call, message, asked, invite, from, now);
    const found = call.steps[index];
    if (status >= 200) {
      call.challenged = found.auth;
      if (found.auth) this.#o.authenticator?.challenged(call.auth, message);
      else {
        this.#o.authenticator?.answered(call.auth, message);
        if (!call.answered) {
          call.answered = true;
          if (call.program.timers.length === 0 && status < 300) {
            this.#o.statistics.time(0, now - call.scheduledAt);
          }
        }
      }
    }
    this.#advance(call, found, message, from, now);
  }

  /** A request for a call, its first one too. */
  request(call: Call, message: SipMessage, from: Address, now: number): void {
    this.#now = now;
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
    if (call.ended) return method === "ACK" ? undefined : void this.#reply(call, message, 200, from);
    if (call.cancelled) {
      if (method === "ACK") this.#o.ended(call, "cancelled", now);
      return;
    }
    const index = this.#match(call, message, -1);
    if (index < 0) {
      // One that came before and has no answer yet.
      if (method === call.requestMethod && cseqNumber === call.requestCseq) {
        this.#o.statistics.retransmissionsReceived++;
        return;
      }
      return this.#unexpectedRequest(call, message, from, now);
    }
    const step = call.steps[index];
    if (this.#isLost(call, step)) return;
    call.remote = this.#replyAddress(message, from);
    call.cseq = call.requestCseq = cseqNumber;
    call.requestMethod = method;
    if (call.peerTag.length === 0 && message.from.tagStart >= 0) {
      call.peerTag.set(message.buffer, message.from.tagStart, message.from.tagEnd);
    }
    this.#stopRetransmitting(call, -1);
    this.#advance(call, step, message, from, now);
  }

  #replyAddress(message: SipMessage, from: Address): Address {
    const via = message.topVia()!;
    const port = via.rportNameEnd >= 0 ? -1 : via.port;
    if (from !== this.#replyFrom || port !== this.#replyPort || this.#replyTo === undefined) {
      this.#replyFrom = from;
      this.#replyPort = port;
      this.#replyTo = responseAddress(via, from, this.#o.reliable);
    }
    return this.#replyTo;
  }

  timer(call: Call, now: number): void {
    this.#now = now;
    if (call.pausedUntil <= now) {
      call.pausedUntil = Infinity;
      // A <timewait> is over, and with it what is left of the call.
      if (call.ended) return this.#o.ended(call, "", now);
      if (this.#pass(call, call.steps[call.step], now)) this.run(call, now);
      this.#settle(call);
      return;
    }
    if (call.giveUpAt <= now) return this.#giveUp(call, now);
    const { retransmitting } = call;
    if (retransmitting !== undefined && call.retransmitAt <= now) {
      const invite = retransmitting.method === "INVITE";
      const most = invite ? this.#o.maxInviteRetrans : this.#o.maxRetrans;
      if (call.retransmissions >= most) {
        call.retransmitAt = call.giveUpAt = now;
        return this.#giveUp(call, now);
      }
      call.retransmissions++;
      call.program.counts.retransmissions[retransmitting.step]++;
      this.#sendAgain(call, retransmitting);
      // Timer A doubles without a limit; Timers E and G, and 2xx (§13.3.1.4), up to T2.
      const limit = retransmitting === call.request && invite ? GIVE_UP : this.#o.t2;
      call.interval = Math.min(call.interval * 2, limit);
      call.retransmitAt = now + call.interval;
    }
    this.#schedule(call);
  }

  writeUser(call: Call, out: ByteWriter): void {
    this.#o.writeUser(call, out);
  }

  authenticate(
    call: Call,
    out: ByteWriter,
    username: string | undefined,
    password: string | undefined,
  ): void {
    const { authenticator, authUri } = this.#o;
    const { template } = call;
    if (authenticator === undefined || template === undefined || template.method === "") {
      if (call.challenged) call.refusal = "no_password";
      return;
    }
    if (authenticator.idle) return;
    let user = username;
    let secret = password;
    if (user === undefined || secret === undefined) {
      const own = this.#o.credentials(call);
      user ??= own.username;
      secret ??= own.password;
    }
    authenticator.use(call.auth, user, secret);
    const { buffer } = out;
    const uriStart = template.method.length + 1;
    let uriEnd = uriStart;
    while (buffer[uriEnd] !== SPACE) uriEnd++;
    const request = this.#outgoing;
    request.method = template.method;
    request.uri = authUri === "" ? decoder.decode(buffer.subarray(uriStart, uriEnd)) : authUri;
    request.callId = call.callId.toString();
    request.cseq = template.fixedCseq >= 0 ? template.fixedCseq : call.cseq + template.cseqOffset;
    request.call = call;
    const first = call.inviteStatus < 200 || call.inviteStatus >= 300;
    const failure = authenticator.write(out, call.auth, request, first);
    if (failure !== undefined) {
      call.refusal = failure;
      return;
    }
    call.challenged = false;
    const { sent } = call.auth;
    call.authKind = sent === "nothing" ? undefined : sent;
    call.authStep = call.sendStep;
    call.authSentAt = this.#now;
  }

  /** Whether the call goes on. */
  #send(call: Call, step: Step, now: number): boolean {
    const template = step.template!;
    const { method } = template;
    const isRequest = method !== "";
    const isAck = method === "ACK";
    const { index } = step;
    if (isRequest) {
      if (!isAck && method !== "CANCEL") call.cseq++;
      const toInvite = step.ackTxn >= 0
        ? call.transactions[step.ackTxn] ?? -1
        : this.#inviteFor(call, method);
      call.sameBranch = toInvite;
    }
    const out = this.#out;
    out.clear();
    call.template = template;
    call.sendStep = index;
    call.branchStep = -1;
    if (template.usesLast && call.received === undefined) call.restore(this.#kept);
    renderTemplate(out, template, call);
    call.sameBranch = call.sendStep = -1;
    if (call.refusal !== "") {
      this.abort(call, `auth: ${call.refusal}`, now);
      return false;
    }
    call.counts[index]++;
    call.program.counts.sent[index]++;
    const { pool } = this.#o;
    let sent: SentMessage;
    if (!isRequest) {
      const received = call.received;
      sent = pool.take(out, received?.method ?? "", received?.cseqNumber ?? 0, index);
      this.#replaceReply(call, sent);
    } else {
      const cseq = template.fixedCseq >= 0 ? template.fixedCseq : call.cseq + template.cseqOffset;
      sent = pool.take(out, method, cseq, index);
      call.cseqs[index] = cseq;
      if (isAck) call.acks.push(sent);
      else {
        if (call.request !== undefined) {
          if (call.retransmitting === call.request) this.#stopRetransmitting(call, call.request.step);
          pool.give(call.request);
        }
        call.request = sent;
        call.states[index] = SENT;
        call.branches[index] = template.ownBranch ? call.branchStep : -1;
        if (method === "INVITE") call.inviteStatus = 0;
        if (step.startTxn >= 0) call.transactions[step.startTxn] = index;
      }
    }
    const lost = step.lost < 0 ? this.#o.lost : step.lost;
    if (lost > 0 && this.#o.random.below(1_000_000) < lost * 1_000_000) {
      call.program.counts.lost[index]++;
    } else this.#o.send(call, sent.bytes, sent.length, this.#o.sendTo ?? call.remote);
    if (step.retrans > 0 && !this.#o.reliable && this.#o.retransmit) {
      call.retransmitting = sent;
      call.retransmissions = 0;
      call.interval = step.retrans;
      call.retransmitAt = now + step.retrans;
    }
    return true;
  }

  /** The step of the INVITE to whose transaction an ACK to a failure or a CANCEL belongs; -1: to none. */
  #inviteFor(call: Call, method: string): number {
    if (method === "ACK") return call.inviteStatus >= 300 ? call.inviteStep : -1;
    return method === "CANCEL" && call.request?.method === "INVITE" ? call.request.step : -1;
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
    if (replies.length === MAX_REPLIES) this.#o.pool.give(replies.shift()!);
    replies.push(sent);
  }

  /**
   * The step whose request a response answers, by CSeq and, where the branch is of our making, by branch; -1: none that was
   * sent.
   */
  #answers(call: Call, message: SipMessage): number {
    const { cseqMethod, cseqNumber } = message;
    const { steps, states } = call;
    for (let i = steps.length - 1; i >= 0; i--) {
      if (states[i] === UNSENT || call.cseqs[i] !== cseqNumber) continue;
      if (steps[i].template!.method !== cseqMethod) continue;
      const branch = call.branches[i];
      if (branch < 0 || this.#isBranch(call, message, branch)) return i;
    }
    return -1;
  }

  /** Whether the topmost Via has the branch that the step `own` was sent with last: …-call-step[.times]. */
  #isBranch(call: Call, message: SipMessage, own: number): boolean {
    const via = message.topVia();
    if (via === undefined) return false;
    const { buffer } = message;
    let at = via.branchEnd - 1;
    const start = via.branchStart;
    let number = 0;
    let scale = 1;
    const visits = Math.max(0, (call.counts[own] ?? 0) - 1);
    for (; at > start && buffer[at] >= ZERO && buffer[at] <= NINE; at--, scale *= 10) {
      number += (buffer[at] - ZERO) * scale;
    }
    if (buffer[at] === DOT) {
      if (number !== visits) return false;
      number = 0;
      scale = 1;
      at--;
      for (; at > start && buffer[at] >= ZERO && buffer[at] <= NINE; at--, scale *= 10) {
        number += (buffer[at] - ZERO) * scale;
      }
    } else if (visits > 0) return false;
    if (buffer[at] !== DASH || number !== own) return false;
    number = 0;
    scale = 1;
    for (at--; at > start && buffer[at] >= ZERO && buffer[at] <= NINE; at--, scale *= 10) {
      number += (buffer[at] - ZERO) * scale;
    }
    const { branchPrefix } = this.#o;
    if (number !== call.callNumber || at - start + 1 !== branchPrefix.length) return false;
    for (let i = 0; i < branchPrefix.length; i++) if (buffer[start + i] !== branchPrefix[i]) return false;
    return true;
  }

  /** The step that awaits this message; -1: none. */
  #match(call: Call, message: SipMessage, asked: number): number {
    const { steps } = call;
    for (let i = call.step;; i++) {
      const step = steps[i];
      if (step?.kind !== "recv") break;
      if (this.#matches(call, step, message, asked)) return i;
      if (step.optional === MANDATORY) break;
    }
    // What is optional may come late: right before, or anywhere before where it is global.
    let near = true;
    for (let i = call.step - 1; i >= 0; i--) {
      const step = steps[i];
      if (step.kind !== "recv" || step.optional === MANDATORY) near = false;
      else if ((near || step.optional === 2) && this.#matches(call, step, message, asked)) return i;
    }
    return -1;
  }

  #matches(call: Call, step: Step, message: SipMessage, asked: number): boolean {
    if (message.isRequest) {
      return step.pattern === undefined ? step.request === message.method : step.pattern.test(message.method);
    }
    return step.response === message.status &&
      (step.responseTxn < 0 || call.transactions[step.responseTxn] === asked);
  }

  #isLost(call: Call, step: Step): boolean {
    const lost = step.lost < 0 ? this.#o.lost : step.lost;
    if (lost <= 0 || this.#o.random.below(1_000_000) >= lost * 1_000_000) return false;
    call.program.counts.lost[step.index]++;
    return true;
  }

  /** A message that a step awaits has come. */
  #advance(call: Call, step: Step, message: SipMessage, from: Address, now: number): void {
    call.program.counts.received[step.index]++;
    if (step.rrs) this.#keepRouteSet(call, message);
    call.receivedFrom = from;
    call.received = message;
    call.release(this.#o.pool);
    let next = step.index + 1;
    let jump = CONTINUE;
    let taken = false;
    if (step.plain) {
      taken = step.jumps;
      next = step.next;
    } else {
      this.#count(call, step, now);
      jump = this.#act(call, step);
      taken = jump === CONTINUE && step.jumps && this.#taken(call, step);
      if (taken) next = step.next;
    }
    if (jump !== ENDED) {
      // An optional message moves nothing on, unless it says where to.
      if (jump === CONTINUE && step.optional !== MANDATORY && !taken) this.#waitAgain(call, now);
      else {
        call.pausedUntil = Infinity;
        call.step = jump === CONTINUE ? next : jump;
        this.run(call, now);
      }
    }
    // The datagram is gone after this.
    if (call.received === message) this.#keep(call);
  }

  /** Keeps the received message where a pause or a timeout may lead to a step that looks at it. */
  #keep(call: Call): void {
    const step = call.steps[call.step];
    const needed = call.program.keepsReceived && !call.ended &&
      (step?.kind !== "recv" || step.ontimeout >= 0);
    if (needed) call.keep(this.#o.pool, this.#out);
    else call.received = undefined;
  }

  /** A kept message is read again at each turn. */
  #settle(call: Call): void {
    if (call.received === this.#kept) call.received = undefined;
  }

  /** Record-Route and Contact of the far end (§12.1): in reverse order for the side that calls. */
  #keepRouteSet(call: Call, message: SipMessage): void {
    const view = this.#address;
    const contact = message.first(HeaderId.CONTACT);
    if (
      contact >= 0 && view.parse(message.buffer, message.valueStart(contact), message.valueEnd(contact))
    ) call.nextUrl.set(message.buffer, view.uriStart, view.uriEnd);
    call.routes.clear();
    const first = message.first(HeaderId.RECORD_ROUTE);
    if (first < 0) return;
    const only = message.next(first) < 0;
    let routes = "";
    let count = 0;
    let start = 0;
    let end = 0;
    for ([start, end] of message.values(HeaderId.RECORD_ROUTE)) {
      count++;
      if (only && count === 1) continue;
      if (routes === "" && !only) routes = message.text(start, end);
      else if (routes !== "") {
        const route = message.text(start, end);
        routes = message.isRequest ? `${routes}, ${route}` : `${route}, ${routes}`;
      }
    }
    if (only && count === 1) call.routes.set(message.buffer, start, end);
    else if (only) {
      for (const [from, to] of message.values(HeaderId.RECORD_ROUTE)) {
        const route = message.text(from, to);
        if (routes === "") routes = route;
        else routes = message.isRequest ? `${routes}, ${route}` : `${route}, ${routes}`;
      }
      call.routes.setText(routes);
    } else call.routes.setText(routes);
  }

  /** Gives the wait its full time again. */
  #waitAgain(call: Call, now: number): void {
    const step = call.steps[call.step];
    // What is still retransmitted has its own end (Timer F).
    if (step?.kind !== "recv" || call.retransmitting !== undefined) return;
    this.#wait(call, step, now);
  }

  /** A response to nothing that is pending: a retransmission, as a rule, of a final one whose ACK was lost. */
  #lateResponse(call: Call, message: SipMessage): void {
    this.#o.statistics.retransmissionsReceived++;
    if (message.cseqMethod !== "INVITE" || message.status < 200) return;
    for (let i = 0; i < call.acks.length; i++) {
      if (call.acks[i].cseq === message.cseqNumber) return this.#sendAgain(call, call.acks[i]);
    }
  }

  #unexpectedResponse(
    call: Call,
    message: SipMessage,
    asked: number,
    invite: boolean,
    from: Address,
    now: number,
  ): void {
    const { status } = message;
    const { behaviors } = this.#o;
    if (status < 200) {
      if (invite) this.#waitAgain(call, now);
      return;
    }
    call.program.counts.unexpected[Math.min(call.step, call.steps.length - 1)]++;
    this.#o.statistics.unexpectedStatus(status);
    this.#o.authenticator?.answered(call.auth, message);
    if (invite && status >= 300) this.#acknowledge(call, message);
    if (this.#takeUnexpected(call, message, from, now)) return;
    const failure = `${status} to ${call.steps[asked].template!.method}`;
    if (!behaviors.abortUnexpected) return void this.#o.problem(call, `unexpected ${failure}`);
    this.abort(call, failure, now);
  }

  /** Goes on at the scenario's own label for what is unexpected, if it has one. */
  #takeUnexpected(call: Call, message: SipMessage, from: Address, now: number): boolean {
    const { unexpected, returnAddress } = call.program;
    if (unexpected < 0) return false;
    this.#o.variables.set(call, returnAddress!, call.step);
    call.receivedFrom = from;
    call.received = message;
    call.release(this.#o.pool);
    call.pausedUntil = Infinity;
    call.step = unexpected;
    this.run(call, now);
    if (call.received === message) this.#keep(call);
    return true;
  }

  #unexpectedRequest(call: Call, message: SipMessage, from: Address, now: number): void {
    const { method } = message;
    const { behaviors, statistics } = this.#o;
    if (method === "ACK") return;
    if (behaviors.autoAnswer && AUTO_ANSWERED.includes(method)) {
      statistics.autoAnswered++;
      return void this.#reply(call, message, 200, from);
    }
    if (method === "CANCEL" && behaviors.reply) return this.#cancel(call, message, from, now);
    if (this.#o.ignoreInPause && call.pausedUntil !== Infinity) return;
    statistics.unexpected++;
    call.program.counts.unexpected[Math.min(call.step, call.steps.length - 1)]++;
    if (this.#takeUnexpected(call, message, from, now)) return;
    this.#o.problem(call, `unexpected ${method}`);
    if (!behaviors.reply) {
      if (behaviors.abortUnexpected) this.abort(call, `unexpected ${method}`, now);
      return;
    }
    const harmless = method === "OPTIONS" || method === "PING";
    this.#reply(call, message, method === "BYE" || harmless ? 200 : 405, from);
    if (method === "BYE") this.#o.ended(call, "unexpected BYE", now);
    else if (!harmless && behaviors.abortUnexpected && call.program.role === "client") {
      this.abort(call, `unexpected ${method}`, now);
    }
  }

  /** CANCEL for the call (§9.2): 200 to it; 487 to an INVITE that has no final response yet. */
  #cancel(call: Call, message: SipMessage, from: Address, now: number): void {
    call.restore(this.#kept);
    const invite = call.received;
    const pending = invite?.method === "INVITE" && call.pausedUntil !== Infinity;
    // The views are shared: what the INVITE needs comes first.
    const refusal = pending
      ? response(invite, 487, undefined, { toTag: tagText(call), source: call.receivedFrom })
      : undefined;
    const to = pending ? responseAddress(invite.topVia()!, call.receivedFrom, this.#o.reliable) : undefined;
    const cseq = invite?.cseqNumber ?? 0;
    this.#settle(call);
    this.#reply(call, message, 200, from);
    if (refusal === undefined) return;
    call.pausedUntil = Infinity;
    call.cancelled = true;
    const sent = this.#sendReply(call, refusal, "INVITE", cseq, to!);
    if (!this.#o.reliable) {
      call.retransmitting = sent;
      call.interval = T1;
      call.retransmissions = 0;
      call.retransmitAt = now + T1;
    }
    call.giveUpAt = now + GIVE_UP;
    this.#schedule(call);
  }

  /** A response that no scenario describes. */
  #reply(call: Call, request: SipMessage, status: number, from: Address): SentMessage {
    const bytes = response(request, status, undefined, { toTag: tagText(call), source: from });
    const to = responseAddress(request.topVia()!, from, this.#o.reliable);
    return this.#sendReply(call, bytes, request.method, request.cseqNumber, to);
  }

  #sendReply(call: Call, bytes: Uint8Array, method: string, cseq: number, to: Address): SentMessage {
    const out = this.#out;
    out.clear();
    out.bytes(bytes);
    const sent = this.#o.pool.take(
      out,
      method,
      cseq,
      Math.max(0, Math.min(call.step, call.steps.length - 1)),
    );
    this.#replaceReply(call, sent);
    this.#o.send(call, sent.bytes, sent.length, to);
    return sent;
  }

  /** The ACK of a failure that the scenario does not await (§17.1.1.3). */
  #acknowledge(call: Call, message: SipMessage): void {
    const { request } = call;
    if (request?.method !== "INVITE" || this.#own.parse(request.bytes, 0, request.length) !== undefined) {
      return;
    }
    const bytes = ack(this.#own, message);
    this.#o.send(call, bytes, bytes.length, this.#o.sendTo ?? call.remote);
  }

  /** Ends a call as failed, and tells the far end by CANCEL or BYE where it has called it. */
  abort(call: Call, failure: string, now: number): void {
    if (call.ended) return;
    const { request } = call;
    if (
      this.#o.behaviors.bye && request?.method === "INVITE" &&
      this.#own.parse(request.bytes, 0, request.length) === undefined
    ) {
      const state = call.states[request.step];
      const { inviteStatus } = call;
      const to = this.#o.sendTo ?? call.remote;
      // §9.1: an INVITE that was answered provisionally can be cancelled; how that ends is not awaited.
      if (state === PROCEEDING) {
        const bytes = cancel(this.#own);
        this.#o.send(call, bytes, bytes.length, to);
      } else if (state === FINISHED && inviteStatus >= 200 && inviteStatus < 300) {
        const unacknowledged = !call.acks.some(({ cseq }) => cseq === request.cseq);
        for (const method of unacknowledged ? ["ACK", "BYE"] : ["BYE"]) {
          const bytes = this.#inDialog(call, this.#own, method);
          this.#o.send(call, bytes, bytes.length, to);
        }
      }
    }
    this.#o.ended(call, failure, now);
  }

  /** A request in the dialog that an INVITE of ours has set up. */
  #inDialog(call: Call, invite: SipMessage, method: string): Uint8Array {
    const via = invite.topVia()!;
    const sentBy = decoder.decode(invite.buffer.subarray(via.start, via.branchStart));
    const routes = call.routes.toString();
    return buildRequest({
      method,
      uri: call.nextUrl.length > 0 ? call.nextUrl.toString() : invite.requestUri,
      via: `${sentBy}${via.branch}.${method.toLowerCase()}`,
      from: invite.value(HeaderId.FROM) ?? "",
      to: `${invite.value(HeaderId.TO) ?? ""}${
        call.peerTag.length > 0 ? `;tag=${call.peerTag.toString()}` : ""
      }`,
      callId: call.callId.toString(),
      cseq: method === "ACK" ? invite.cseqNumber : invite.cseqNumber + 1,
      ...routes === "" ? {} : { route: [routes] },
    });
  }

  #giveUp(call: Call, now: number): void {
    const { retransmitting, request } = call;
    if (call.cancelled) return this.#o.ended(call, "cancelled", now);
    const step = call.steps[call.step];
    if (step !== undefined) call.program.counts.timeouts[step.index]++;
    if (step?.kind === "recv" && step.ontimeout >= 0) {
      this.#stopRetransmitting(call, -1);
      call.giveUpAt = Infinity;
      call.step = step.ontimeout;
      this.run(call, now);
      this.#settle(call);
      return;
    }
    if (retransmitting !== undefined) {
      const failure = retransmitting === request ? `no answer to ${request.method}` : "no ACK";
      return this.abort(call, failure, now);
    }
    if (request !== undefined && call.states[request.step] !== FINISHED) {
      return this.abort(call, `no final response to ${request.method}`, now);
    }
    const awaited = step?.kind === "recv" ? step.request || String(step.response) : "message";
    this.abort(call, `no ${awaited} in time`, now);
  }

  #sendAgain(call: Call, sent: SentMessage): void {
    this.#o.statistics.retransmissionsSent++;
    this.#o.send(call, sent.bytes, sent.length, this.#o.sendTo ?? call.remote);
  }

  /** Of the request of a step; -1: of whatever it is. */
  #stopRetransmitting(call: Call, step: number): void {
    if (step >= 0 && call.retransmitting !== undefined && call.retransmitting.step !== step) return;
    call.retransmitting = undefined;
    call.retransmitAt = Infinity;
  }

  #schedule(call: Call): void {
    const at = Math.min(call.pausedUntil, call.retransmitAt, call.giveUpAt);
    if (at === Infinity) this.#o.wheel.cancel(call);
    else this.#o.wheel.schedule(call, at);
  }
}

/** SIPp's `-aa`. */
const AUTO_ANSWERED = ["INFO", "NOTIFY", "OPTIONS", "UPDATE"];

function tagText({ localTag }: Call): string {
  return (localTag >>> 0).toString(16).padStart(8, "0");
}
