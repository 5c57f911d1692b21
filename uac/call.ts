/** One call: where it stands in its scenario, what its messages need, and what it may have to send again. */
import { type Address, type ByteWriter, SipMessage, TimerEntry } from "../mod.ts";
import { RequestAuth } from "./authenticator.ts";
import { type MessageContext, Text } from "./keywords.ts";
import type { CompiledStep, Program } from "./program.ts";
import type { AuthKind } from "./statistics.ts";
import type { Template } from "./template.ts";
import type { Value } from "./variables.ts";

/** Most messages fit; a larger one gets an array of its own. */
const BUFFER_BYTES = 1536;
/** Buffers kept for reuse. */
const MAX_SPARE = 32_768;

/** A message that was sent, kept so that it can be sent again. */
export class SentMessage {
  bytes: Uint8Array = new Uint8Array(BUFFER_BYTES);
  length = 0;
  /** Of the request, or of the request that is answered. */
  method = "";
  cseq = 0;
  /** The step that sent it; -1: none. */
  step = -1;
}

/** Sent messages that no call needs any more. */
export class SentPool {
  readonly #spare: SentMessage[] = [];

  /** A copy of what was written. */
  take(out: ByteWriter, method: string, cseq: number, step: number): SentMessage {
    const sent = this.#spare.pop() ?? new SentMessage();
    const { length } = out;
    if (length > sent.bytes.length) sent.bytes = new Uint8Array(length);
    sent.bytes.set(out.buffer.subarray(0, length));
    sent.length = length;
    sent.method = method;
    sent.cseq = cseq;
    sent.step = step;
    return sent;
  }

  give(sent: SentMessage): void {
    if (this.#spare.length < MAX_SPARE && sent.bytes.length === BUFFER_BYTES) this.#spare.push(sent);
  }
}

/** Who looks after calls: gets their timers and writes their credentials. */
export interface CallOwner {
  timer(call: Call, now: number): void;
  authenticate(call: Call, out: ByteWriter, username: string | undefined, password: string | undefined): void;
  writeUser(call: Call, out: ByteWriter): void;
}

/** How far the request of a step has come. */
export const UNSENT = 0;
export const SENT = 1;
export const PROCEEDING = 2;
export const FINISHED = 3;

const NO_LINES: readonly number[] = [];

/** A call. Records are reused: {@linkcode reset} makes one ready for the next call. */
export class Call extends TimerEntry implements MessageContext {
  program!: Program<Call>;
  steps!: readonly CompiledStep<Call>[];
  readonly callId = new Text();
  /** Its place in the table of calls. */
  hashLow = 0;
  hashHigh = 0;
  nextInTable: Call | undefined;
  callNumber = 0;
  cseq = 0;
  localTag = 0;
  readonly peerTag = new Text(32);
  remote: Address;
  /** Where its messages leave from: a number of the transport, and the address. */
  socket = 0;
  local: Address;
  readonly routes = new Text();
  readonly nextUrl = new Text();
  lines: number[] = NO_LINES as number[];
  userId = 0;
  circuit = "";
  bodyLength = 0;
  variables: Value[] = [];
  userVariables: Value[] = [];
  received: SipMessage | undefined;
  receivedFrom: Address;
  /** The last received message, kept beyond its datagram. */
  keptBytes: SentMessage | undefined;
  readonly auth: RequestAuth = new RequestAuth();
  /** The message that is being written, for {@linkcode authenticate}. */
  template: Template | undefined;
  sendStep = -1;
  sameBranch = -1;
  /** The step whose branch was written last; set by the keyword. */
  branchStep = -1;
  /** Why the message being written is not to be sent; "" if it is. */
  refusal = "";

  /** The step that is done next, or at which it waits. */
  step = 0;
  /** When the schedule had it start, and when it did, ms. */
  scheduledAt = 0;
  startedAt = 0;
  /** When each timer started, ms; NaN: it has ended. */
  readonly timers: number[] = [];
  /** When a pause ends; Infinity outside of one. */
  pausedUntil = Infinity;
  /** What is retransmitted, when next, after what interval, and how often it was. */
  retransmitting: SentMessage | undefined;
  retransmitAt = Infinity;
  interval = 0;
  retransmissions = 0;
  /** When the wait has failed. */
  giveUpAt = Infinity;
  /** The request sent last, except ACK. */
  request: SentMessage | undefined;
  /** The ACKs that were sent, and the last response to each request that came: sent again when that comes again. */
  readonly acks: SentMessage[] = [];
  readonly replies: SentMessage[] = [];
  /** Per step: how far its request has come, its CSeq number, the step of its branch, and how often it was sent. */
  readonly states: Uint8Array;
  readonly cseqs: Int32Array;
  readonly branches: Int16Array;
  readonly counts: Uint16Array;
  /** The request that was received last. */
  requestMethod = "";
  requestCseq = -1;
  /** Per transaction name (`start_txn`): its step; -1: none. */
  readonly transactions: number[] = [];
  /** The status of the last final response to INVITE, and the step of that INVITE; -1: none. */
  inviteStatus = 0;
  inviteStep = -1;
  /** The kind of credentials that the step `authStep` has sent, when, and until they are answered; ms. */
  authKind: AuthKind | undefined;
  authStep = -1;
  authSentAt = 0;
  /** The last final response was a challenge that the scenario answers. */
  challenged = false;
  /** The INVITE was cancelled: only its ACK is awaited. */
  cancelled = false;
  /** It is counted as ended: no step is done any more. */
  ended = false;
  /** Set up, or its first final response has come. */
  answered = false;

  constructor(private readonly owner: CallOwner, somewhere: Address, steps: number) {
    super();
    this.remote = this.receivedFrom = this.local = somewhere;
    this.states = new Uint8Array(steps);
    this.cseqs = new Int32Array(steps);
    this.branches = new Int16Array(steps).fill(-1);
    this.counts = new Uint16Array(steps);
  }

  writeUser(out: ByteWriter): void {
    this.owner.writeUser(this, out);
  }

  visits(step: number): number {
    this.branchStep = step;
    const count = this.counts[step] ?? 0;
    // The step that is being sent has not been counted yet.
    return step === this.sendStep ? count : Math.max(0, count - 1);
  }

  authenticate(out: ByteWriter, username: string | undefined, password: string | undefined): void {
    this.owner.authenticate(this, out, username, password);
  }

  override onTimer(now: number): void {
    this.owner.timer(this, now);
  }

  /** Keeps the received message beyond its datagram. */
  keep(pool: SentPool, scratch: ByteWriter): void {
    const { received } = this;
    if (received === undefined) return;
    this.release(pool);
    scratch.clear();
    scratch.bytes(received.buffer, received.start, received.bodyEnd);
    this.keptBytes = pool.take(scratch, "", 0, -1);
    this.received = undefined;
  }

  /** Reads the kept message again. */
  restore(scratch: SipMessage): void {
    const { keptBytes } = this;
    if (keptBytes !== undefined && this.received === undefined) {
      scratch.parse(keptBytes.bytes, 0, keptBytes.length);
      this.received = scratch;
    }
  }

  /** Gives the kept message up. */
  release(pool: SentPool): void {
    if (this.keptBytes !== undefined) pool.give(this.keptBytes);
    this.keptBytes = undefined;
  }

  /** Forgets the call. */
  reset(pool: SentPool): void {
    if (this.request !== undefined) pool.give(this.request);
    for (let i = 0; i < this.acks.length; i++) pool.give(this.acks[i]);
    for (let i = 0; i < this.replies.length; i++) pool.give(this.replies[i]);
    this.release(pool);
    this.acks.length = this.replies.length = this.transactions.length = 0;
    this.request =
      this.retransmitting =
      this.received =
      this.template =
      this.authKind =
        undefined;
    this.peerTag.clear();
    this.routes.clear();
    this.nextUrl.clear();
    this.refusal = this.circuit = this.requestMethod = "";
    this.cseq =
      this.step =
      this.inviteStatus =
      this.retransmissions =
      this.socket =
        0;
    this.sendStep =
      this.sameBranch =
      this.inviteStep =
      this.requestCseq =
        -1;
    this.pausedUntil = this.retransmitAt = this.giveUpAt = Infinity;
    this.cancelled =
      this.challenged =
      this.ended =
      this.answered =
        false;
    this.lines = NO_LINES as number[];
    if (this.variables.length > 0) this.variables = [];
    this.userVariables = NO_VALUES;
    const { states, branches, counts } = this;
    for (let i = 0; i < states.length; i++) {
      states[i] = counts[i] = 0;
      branches[i] = -1;
    }
    this.auth.clear();
  }
}

const NO_VALUES: Value[] = [];
