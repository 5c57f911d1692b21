/** OPTIONS that the proxy sends by itself, to see whether a next hop serves (RFC 3261 §11). */
import {
  type Address,
  encodeText,
  NO_TRANSACTION,
  type Random,
  type SipMessage,
  toHex,
  type TransactionId,
  type TransactionLayer,
} from "../mod.ts";
import type { LocalNames } from "./local_names.ts";

/** Gets the status of the answer; 408 when none came, 503 when it could not be sent. */
export type PingDone = (status: number, now: number) => void;

const TIMED_OUT = 408;
const NOT_SENT = 503;

interface Ping {
  readonly serial: number;
  /** When it is given up, ms. */
  readonly until: number;
  readonly done: PingDone;
}

/** The requests that wait for their answers. */
export class OwnRequests {
  readonly #waiting = new Map<TransactionId, Ping>();
  /** Of all branches: nobody else can know it. */
  readonly #prefix: string;

  constructor(
    private readonly layer: () => TransactionLayer,
    private readonly names: LocalNames,
    private readonly random: Random,
  ) {
    this.#prefix = `z9hG4bK${toHex(random.bytes(6))}`;
  }

  /** Whether a response with a single Via may be one to a request of this proxy: to OPTIONS, or to a CANCEL. */
  isAnswer(message: SipMessage): boolean {
    const method = message.cseqMethod;
    if (method !== "OPTIONS") return method === "CANCEL";
    return this.#waiting.size > 0 && message.topVia()?.branch.startsWith(this.#prefix) === true;
  }

  /**
   * Sends OPTIONS.
   *
   * @param uri its Request-URI
   * @param patience how long an answer is waited for, ms
   */
  ping(uri: string, to: Address, patience: number, now: number, done: PingDone): void {
    const via = this.names.viaFacing(to);
    const self = via.slice(via.indexOf(" ") + 1);
    const [branch, tag, callId] = [6, 8, 16].map((count) => toHex(this.random.bytes(count)));
    const bytes = encodeText(
      `OPTIONS ${uri} SIP/2.0\r\nVia: ${via};branch=${this.#prefix}${branch};rport\r\nMax-Forwards: 70\r\n` +
        `From: <sip:ping@${self}>;tag=${tag}\r\nTo: <${uri}>\r\nCall-ID: ${callId}\r\nCSeq: 1 OPTIONS\r\n` +
        `Contact: <sip:${this.names.facing(to)}>\r\nContent-Length: 0\r\n\r\n`,
    );
    const layer = this.layer();
    const client = layer.sendRequest(bytes, 0, bytes.length, to, now);
    if (client === NO_TRANSACTION) return done(NOT_SENT, now);
    this.#waiting.set(client, { serial: layer.serialOf(client), until: now + patience, done });
  }

  /** The answer, or 408 or 503, to one of them. False: it is another's. */
  answered(client: TransactionId, status: number, now: number): boolean {
    const ping = this.#waiting.get(client);
    if (ping === undefined || status < 200) return ping !== undefined;
    this.#waiting.delete(client);
    ping.done(status, now);
    return true;
  }

  timeout(client: TransactionId, now: number): boolean {
    return this.answered(client, TIMED_OUT, now);
  }

  transportError(client: TransactionId, now: number): boolean {
    return this.answered(client, NOT_SENT, now);
  }

  /** Gives up those that are late. */
  advance(now: number): void {
    if (this.#waiting.size === 0) return;
    const layer = this.layer();
    for (const [client, { until, serial }] of this.#waiting) {
      if (until > now) continue;
      this.timeout(client, now);
      if (layer.serialOf(client) === serial) layer.end(client, now);
    }
  }
}
