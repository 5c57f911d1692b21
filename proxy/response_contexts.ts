/**
 * What the proxy remembers of a request from its arrival to the end of its transactions: the response contexts of
 * RFC 3261 §16.2. Columns by the numbers of transactions, so that the contexts of all the calls of the last half minute
 * are no objects. A context of several branches has an object beside ({@linkcode Fork}).
 */
import { NO_TRANSACTION, type TransactionId } from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";

/** Why the user's timer of a transaction runs. */
export const ContextTimer = {
  /** Of a server transaction: nothing was answered yet, and 100 (Trying) is due (RFC 3261 §17.2.1, RFC 4320 §4.1). */
  TRYING: 0,
  /** Of a server transaction: the route has not decided for a long time, and the request is given up. */
  UNDECIDED: 1,
  /** Of a client transaction, Timer C: an INVITE gets no final response (RFC 3261 §16.6 step 11). */
  C: 2,
  /** Of a client transaction: a cancelled INVITE gets no final response (RFC 3261 §9.1). */
  CANCELLED: 3,
} as const;
/** One of {@linkcode ContextTimer}. */
export type ContextTimer = typeof ContextTimer[keyof typeof ContextTimer];

const TIMER_BITS = 3;
/** A final response was given to the server transaction. */
const ANSWERED = 4;
/** Of a server transaction: a CANCEL came. Of a client transaction: one was sent. */
const CANCELLED = 8;
/** The transaction is a server transaction. */
const SERVER = 16;
/** Its request has, or may get, several branches. */
const FORKED = 32;

/** Tokens that there is room for at first. */
const FIRST_TOKENS = 1024;

/** The contexts of one proxy core. A context has the number of its server transaction. */
export class ResponseContexts {
  /** By client transaction the server transaction, and the other way round if there is one branch; + 1, 0 for none. */
  readonly #other: Int32Array;
  readonly #flags: Uint8Array;
  /** By server transaction its place among the tokens + 1, 0 for none. */
  readonly #token: Int32Array;
  #tokens = new Int32Array(FIRST_TOKENS * AcceptedToken.WORDS);
  #tokensUsed = 0;
  readonly #freeTokens: number[] = [];
  #open = 0;

  /** @param capacity numbers of transactions are below it */
  constructor(capacity: number) {
    this.#other = new Int32Array(capacity);
    this.#flags = new Uint8Array(capacity);
    this.#token = new Int32Array(capacity);
  }

  /** Tokens that are remembered. */
  get tokens(): number {
    return this.#tokensUsed - this.#freeTokens.length;
  }

  /** Requests that have no final response yet. */
  get open(): number {
    return this.#open;
  }

  /** A request has come. */
  begin(server: TransactionId): void {
    this.#flags[server] = SERVER;
    this.#open++;
  }

  /** A transaction of either side is over: it is forgotten, and its other side has none any more. */
  end(transaction: TransactionId): void {
    const other = this.#other[transaction] - 1;
    const flags = this.#flags[transaction];
    if ((flags & SERVER) !== 0 && (flags & ANSWERED) === 0) this.#open--;
    this.#other[transaction] = 0;
    this.#flags[transaction] = 0;
    if (other >= 0 && this.#other[other] === transaction + 1) this.#other[other] = 0;
    const token = this.#token[transaction] - 1;
    if (token < 0) return;
    this.#token[transaction] = 0;
    this.#tokens.fill(0, token * AcceptedToken.WORDS, (token + 1) * AcceptedToken.WORDS);
    this.#freeTokens.push(token);
  }

  /** The request was forwarded, on its only branch. */
  link(server: TransactionId, client: TransactionId): void {
    this.#other[server] = client + 1;
    this.#other[client] = server + 1;
  }

  /** The request was forwarded on one of several branches. */
  linkBranch(server: TransactionId, client: TransactionId): void {
    this.#other[client] = server + 1;
  }

  /** A branch goes on without its context: that is over. */
  unlink(client: TransactionId): void {
    this.#other[client] = 0;
  }

  /** The only branch that a request was forwarded on; NO_TRANSACTION when there is none, it is over, or there are several. */
  clientOf(server: TransactionId): TransactionId {
    const other = this.#other[server];
    return other === 0 ? NO_TRANSACTION : other - 1;
  }

  /** The context of a client transaction; NO_TRANSACTION when it has none, or its server transaction is over. */
  serverOf(client: TransactionId): TransactionId {
    return (this.#flags[client] & SERVER) === 0 ? this.clientOf(client) : NO_TRANSACTION;
  }

  /** Whether it is a server transaction. */
  isServer(transaction: TransactionId): boolean {
    return (this.#flags[transaction] & SERVER) !== 0;
  }

  isAnswered(server: TransactionId): boolean {
    return (this.#flags[server] & ANSWERED) !== 0;
  }
  setAnswered(server: TransactionId): void {
    if ((this.#flags[server] & ANSWERED) !== 0) return;
    this.#flags[server] |= ANSWERED;
    this.#open--;
  }

  isCancelled(transaction: TransactionId): boolean {
    return (this.#flags[transaction] & CANCELLED) !== 0;
  }
  setCancelled(transaction: TransactionId): void {
    this.#flags[transaction] |= CANCELLED;
  }

  isForked(server: TransactionId): boolean {
    return (this.#flags[server] & FORKED) !== 0;
  }
  setForked(server: TransactionId): void {
    this.#flags[server] |= FORKED;
  }

  timer(transaction: TransactionId): ContextTimer {
    return (this.#flags[transaction] & TIMER_BITS) as ContextTimer;
  }
  setTimer(transaction: TransactionId, timer: ContextTimer): void {
    this.#flags[transaction] = this.#flags[transaction] & ~TIMER_BITS | timer;
  }

  /** Remembers the token that a request was accepted with, for the confirmation in the final response. */
  keepToken(server: TransactionId, token: AcceptedToken): void {
    let place = this.#token[server] - 1;
    if (place < 0) {
      place = this.#freeTokens.pop() ?? this.#tokensUsed++;
      this.#token[server] = place + 1;
      if ((place + 1) * AcceptedToken.WORDS > this.#tokens.length) this.#grow();
    }
    token.save(this.#tokens, place * AcceptedToken.WORDS);
  }

  /** Reads the token that a request was accepted with; false when there was none. */
  readToken(server: TransactionId, into: AcceptedToken): boolean {
    const place = this.#token[server] - 1;
    if (place < 0) return false;
    into.load(this.#tokens, place * AcceptedToken.WORDS);
    return true;
  }

  #grow(): void {
    const larger = new Int32Array(2 * this.#tokens.length);
    larger.set(this.#tokens);
    this.#tokens = larger;
  }
}
