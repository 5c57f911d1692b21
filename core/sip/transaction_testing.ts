/** For tests: a transaction layer on virtual time that notes everything it sends and tells. */
import { assertEquals } from "@std/assert";
import { seededRandom } from "../random.ts";
import type { Address } from "./address.ts";
import { SipMessage } from "./message.ts";
import type { ClientTransaction, ServerTransaction, Transaction } from "./transaction.ts";
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

/** The harness. `onRequest`, `onResponse`, `onTimeout` let a test act inside the calls. */
export class Harness {
  now = 0;
  readonly sent: Sent[] = [];
  readonly told: string[] = [];
  readonly layer: TransactionLayer;
  lastServer: ServerTransaction | undefined;
  lastInvite: ServerTransaction | undefined;
  /** What `send` returns. */
  transportWorks = true;
  onRequest: (transaction: ServerTransaction) => void = () => {};
  onResponse: (message: SipMessage, transaction: ClientTransaction | undefined) => void = () => {};
  onTimeout: (transaction: Transaction) => void = () => {};
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
  request(text: string, context?: unknown): ClientTransaction | undefined {
    const bytes = encoder.encode(`garbage${text}garbage`);
    const sent = this.layer.sendRequest(bytes, 7, bytes.length - 7, PEER, this.now, context);
    bytes.fill(0x78);
    return sent;
  }

  /** Answers through a server transaction. */
  respond(text: string, transaction: ServerTransaction = this.lastServer!): boolean {
    const bytes = encoder.encode(`garbage${text}garbage`);
    const done = this.layer.respond(transaction, bytes, 7, bytes.length - 7, this.now);
    bytes.fill(0x78);
    return done;
  }

  /** Everything is over and nothing is left behind. */
  assertEmpty(): void {
    const { layer } = this;
    const zero = { inviteClient: 0, nonInviteClient: 0, inviteServer: 0, nonInviteServer: 0 };
    assertEquals([layer.size, layer.wheel.size, layer.slotsInUse, layer.nextDue()], [0, 0, 0, undefined]);
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

  readonly #user: TransactionUser = {
    request: (message, transaction) => {
      this.#note(
        transaction === undefined
          ? `request ${message.method} without transaction`
          : `request ${message.method}`,
      );
      if (transaction === undefined) return;
      this.lastServer = transaction;
      this.onRequest(transaction);
    },
    cancel: (_, invite, transaction) => {
      this.lastInvite = invite;
      this.lastServer = transaction;
      this.#note(`cancel of ${invite === undefined ? "nothing" : invite.method}`);
    },
    response: (message, transaction) => {
      this.#note(`${transaction === undefined ? "stray" : transaction.method} ${message.status}`);
      this.onResponse(message, transaction);
    },
    timeout: (transaction) => {
      this.#note(`timeout of ${transaction.kind}`);
      this.onTimeout(transaction);
    },
    transportError: (transaction) => this.#note(`transport error of ${transaction.kind}`),
    terminated: (transaction) => this.#note(`terminated ${transaction.kind}`),
    overloaded: (message) => this.#note(`overloaded ${message.method}`),
  };
}
