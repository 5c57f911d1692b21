/** One call: where it stands in its scenario, what its messages need, and what it may have to send again. */
import { type Address, type ByteWriter, type SipMessage, TimerEntry } from "../mod.ts";
import { RequestAuth } from "./authenticator.ts";
import type { MessageContext } from "./keywords.ts";
import type { Template } from "./template.ts";
import type { User } from "./users.ts";

/** Most messages fit; a larger one gets an array of its own. */
const BUFFER_BYTES = 2048;
/** Buffers kept for reuse. */
const MAX_SPARE = 16_384;

/** A message that was sent, kept so that it can be sent again. */
export interface SentMessage {
  bytes: Uint8Array;
  length: number;
  /** Of the request, or of the request that is answered. */
  method: string;
  cseq: number;
  branch: string;
  /** A final response has come, or the ACK of a response. */
  finished: boolean;
  /** A provisional response has come. */
  proceeding: boolean;
}

/** Sent messages that no call needs any more. */
export class SentPool {
  readonly #spare: SentMessage[] = [];

  /** A copy of what was written. */
  take(out: ByteWriter, method: string, cseq: number, branch: string): SentMessage {
    const sent = this.#spare.pop() ?? {
      bytes: new Uint8Array(BUFFER_BYTES),
      length: 0,
      method,
      cseq,
      branch,
      finished: false,
      proceeding: false,
    };
    if (out.length > sent.bytes.length) sent.bytes = new Uint8Array(out.length);
    sent.bytes.set(out.buffer.subarray(0, out.length));
    sent.length = out.length;
    sent.method = method;
    sent.cseq = cseq;
    sent.branch = branch;
    sent.finished = sent.proceeding = false;
    return sent;
  }

  give(sent: SentMessage): void {
    if (this.#spare.length < MAX_SPARE && sent.bytes.length === BUFFER_BYTES) this.#spare.push(sent);
  }
}

/** Who looks after calls: gets their timers and writes their credentials. */
export interface CallOwner {
  timer(call: Call, now: number): void;
  authenticate(call: Call, out: ByteWriter): void;
}

/** A call. Records are reused: {@linkcode reset} makes one ready for the next call. */
export class Call extends TimerEntry implements MessageContext {
  callId = "";
  callNumber = 0;
  cseq = 0;
  branch = "";
  localTag = "";
  peerTag = "";
  remote: Address;
  routes = "";
  nextUrl = "";
  user: User | undefined;
  bodyLength = 0;
  received: SipMessage | undefined;
  receivedFrom: Address;
  readonly auth: RequestAuth = new RequestAuth();
  /** The template that is being written, for {@linkcode authenticate}. */
  template: Template | undefined;
  /** Why the message being written is not to be sent; "" if it is. */
  refusal = "";

  /** The step that is done next, or at which it waits. */
  step = 0;
  /** Random part of its branches. */
  branchBase = "";
  /** Requests sent: each has its own branch. */
  requests = 0;
  /** When the schedule had it start, and when it did, ms. */
  scheduledAt = 0;
  startedAt = 0;
  /** When a pause ends; Infinity outside of one. */
  pausedUntil = Infinity;
  /** What is retransmitted, when next, and after what interval. */
  retransmitting: SentMessage | undefined;
  retransmitAt = Infinity;
  interval = 0;
  /** When the wait has failed. */
  giveUpAt = Infinity;
  /** The request sent last, except ACK. */
  request: SentMessage | undefined;
  /** The ACKs that were sent, and the last response to each request that came: sent again when that comes again. */
  readonly acks: SentMessage[] = [];
  readonly replies: SentMessage[] = [];
  /** The status of the last final response to INVITE. */
  inviteStatus = 0;
  /** The last final response was a challenge that the scenario answers. */
  challenged = false;
  /** The INVITE was cancelled: only its ACK is awaited. */
  cancelled = false;

  constructor(private readonly owner: CallOwner, somewhere: Address) {
    super();
    this.remote = this.receivedFrom = somewhere;
  }

  get username(): string {
    return this.user?.username ?? "";
  }

  field(index: number): string {
    return this.user?.fields[index] ?? "";
  }

  authenticate(out: ByteWriter): void {
    this.owner.authenticate(this, out);
  }

  override onTimer(now: number): void {
    this.owner.timer(this, now);
  }

  /** Forgets the call. */
  reset(pool: SentPool): void {
    if (this.request !== undefined) pool.give(this.request);
    for (let i = 0; i < this.acks.length; i++) pool.give(this.acks[i]);
    for (let i = 0; i < this.replies.length; i++) pool.give(this.replies[i]);
    this.acks.length = this.replies.length = 0;
    this.request =
      this.retransmitting =
      this.received =
      this.user =
      this.template =
        undefined;
    this.callId =
      this.branch =
      this.peerTag =
      this.routes =
      this.nextUrl =
      this.refusal =
        "";
    this.cseq =
      this.step =
      this.requests =
      this.inviteStatus =
        0;
    this.pausedUntil = this.retransmitAt = this.giveUpAt = Infinity;
    this.cancelled = this.challenged = false;
    this.auth.clear();
  }
}
