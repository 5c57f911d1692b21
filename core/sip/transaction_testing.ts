/** For tests: a transaction layer on virtual time that notes everything it sends and tells. */
import { assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import type { Address } from "./address.ts";
import { SipMessage } from "./message.ts";
import { NO_TRANSACTION, type TransactionId } from "./transaction.ts";
import { TransactionLayer } from "./transaction_layer.ts";
import type { TransactionOptions } from "./transaction_options.ts";
import type { TransactionUser } from "./transaction_user.ts";

export const PEER: Address = { host: "192.0.2.7", port: 5060 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a request of these tests can have otherwise than the usual. */
export interface RequestParts {
  readonly branch?: string;
  readonly sentBy?: string;
  readonly viaParams?: string;
  readonly uri?: string;
  readonly toTag?: string;
  readonly cseq?: number;
  readonly headers?: readonly string[];
}

/** A request as text. */
export function requestText(method: string, parts: RequestParts = {}): string {
  const toTag = parts.toTag === undefined ? "" : `;tag=${parts.toTag}`;
  return [
    `${method} ${parts.uri ?? "sip:bob@example.com"} SIP/2.0`,
    `Via: SIP/2.0/UDP ${parts.sentBy ?? "192.0.2.7:5060"};branch=${parts.branch ?? "z9hG4bK-1"}${
      parts.viaParams ?? ""
    }`,
    "Max-Forwards: 70",
    ...(parts.headers ?? []),
    "From: Alice <sip:alice@example.com>;tag=a1",
    `To: Bob <sip:bob@example.com>${toTag}`,
    "Call-ID: 7f3@192.0.2.7",
    `CSeq: ${parts.cseq ?? 1} ${method}`,
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

/** A response to `request` (text), as text. */
export function responseText(request: string, status: number, toTag = "b1"): string {
  const lines = request.split("\r\n").filter((line) => /^(Via|From|Call-ID|CSeq):/.test(line));
  const to = request.split("\r\n").find((line) => line.startsWith("To:"))!.replace(/;tag=.*/, "");
  return [`SIP/2.0 ${status} Reason`, ...lines, `${to};tag=${toTag}`, "Content-Length: 0", "", ""].join(
    "\r\n",
  );
}

/** Its first line. */
export function firstLine(text: string): string {
  return text.slice(0, text.indexOf("\r\n"));
}

/** Something that was sent. */
export interface Sent {
  readonly at: number;
  readonly text: string;
  readonly to: Address;
}

/** The harness. `onRequest`, `onCancel`, `onResponse`, `onTimeout`, `onTimer` let a test act inside the calls. */
export class Harness {
  now = 0;
  readonly sent: Sent[] = [];
  readonly told: string[] = [];
  readonly layer: TransactionLayer;
  lastServer: TransactionId = NO_TRANSACTION;
  lastInvite: TransactionId = NO_TRANSACTION;
  /** What `send` returns. */
  transportWorks = true;
  onRequest: (tx: TransactionId, message: SipMessage) => void = () => {};
  onCancel: (tx: TransactionId, invite: TransactionId) => void = () => {};
  onResponse: (message: SipMessage, tx: TransactionId) => void = () => {};
  onTimeout: (tx: TransactionId) => void = () => {};
  onTimer: (tx: TransactionId) => void = () => {};
  onTerminated: (tx: TransactionId) => void = () => {};
  readonly #view = new SipMessage();

  constructor(options: Partial<TransactionOptions> = {}) {
    const send = (buffer: Uint8Array, start: number, end: number, to: Address): boolean => {
      this.sent.push({ at: this.now, text: decoder.decode(buffer.subarray(start, end)), to });
      return this.transportWorks;
    };
    const full = { now: 0, random: seededRandom(1), trying: "never", ...options } as const;
    this.layer = new TransactionLayer(full, send, this.#user);
  }

  /** Lets time pass, waking up exactly when the layer asks for it. */
  runTo(time: number): void {
    for (;;) {
      const due = this.layer.nextDue();
      if (due === undefined || due > time) break;
      this.now = Math.max(this.now, due);
      this.layer.advance(this.now);
    }
    this.now = time;
    this.layer.advance(time);
  }

  /** A message comes in. */
  receive(text: string, from: Address = PEER): void {
    const bytes = encoder.encode(text);
    const problem = this.#view.parse(bytes, 0, bytes.length);
    if (problem !== undefined) throw new Error(problem.text);
    this.layer.receive(this.#view, from, this.now);
    bytes.fill(0x78); // Nobody may have kept the buffer.
  }

  /** Sends a request through a client transaction. */
  request(text: string): TransactionId {
    const bytes = encoder.encode(`garbage${text}garbage`);
    const sent = this.layer.sendRequest(bytes, 7, bytes.length - 7, PEER, this.now);
    bytes.fill(0x78);
    return sent;
  }

  /** Answers through a server transaction. */
  respond(text: string, tx: TransactionId = this.lastServer): boolean {
    const bytes = encoder.encode(`garbage${text}garbage`);
    const done = this.layer.respond(tx, bytes, 7, bytes.length - 7, this.now);
    bytes.fill(0x78);
    return done;
  }

  /** The state of a transaction, the last server one by default. */
  state(tx: TransactionId = this.lastServer): string {
    return this.layer.stateOf(tx);
  }

  /** Everything is over and nothing is left behind. */
  assertEmpty(): void {
    const { layer } = this;
    const zero = { inviteClient: 0, nonInviteClient: 0, inviteServer: 0, nonInviteServer: 0 };
    assertEquals([layer.size, layer.timersRunning, layer.slotsInUse, layer.nextDue()], [0, 0, 0, undefined]);
    assertEquals(layer.counts, zero);
  }

  /** Times and first lines of what was sent since the last call. */
  takeSent(): string[] {
    return this.sent.splice(0).map(({ at, text }) => `${at} ${firstLine(text)}`);
  }
  /** Only the times. */
  takeTimes(): number[] {
    return this.sent.splice(0).map(({ at }) => at);
  }
  /** What the user was told since the last call. */
  takeTold(): string[] {
    return this.told.splice(0);
  }

  #note(what: string): void {
    this.told.push(`${this.now} ${what}`);
  }

  #kind(tx: TransactionId): string {
    return this.layer.kindOf(tx);
  }

  readonly #user: TransactionUser = {
    request: (message, tx) => {
      this.#note(
        tx === NO_TRANSACTION ? `request ${message.method} without transaction` : `request ${message.method}`,
      );
      if (tx === NO_TRANSACTION) return;
      this.lastServer = tx;
      this.onRequest(tx, message);
    },
    cancel: (_, invite, tx) => {
      this.lastInvite = invite;
      this.lastServer = tx;
      this.#note(`cancel of ${invite === NO_TRANSACTION ? "nothing" : this.layer.methodOf(invite)}`);
      this.onCancel(tx, invite);
    },
    response: (message, tx) => {
      this.#note(`${tx === NO_TRANSACTION ? "stray" : this.layer.methodOf(tx)} ${message.status}`);
      this.onResponse(message, tx);
    },
    timeout: (tx) => {
      this.#note(`timeout of ${this.#kind(tx)}`);
      this.onTimeout(tx);
    },
    transportError: (tx) => this.#note(`transport error of ${this.#kind(tx)}`),
    terminated: (tx) => {
      this.#note(`terminated ${this.#kind(tx)}`);
      this.onTerminated(tx);
    },
    overloaded: (message) => this.#note(`overloaded ${message.method}`),
    timer: (tx) => {
      this.#note(`timer of ${this.layer.methodOf(tx)}`);
      this.onTimer(tx);
    },
  };
}
