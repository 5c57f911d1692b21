/**
 * What the proxy remembers of a request from its arrival to the end of its transactions: the response contexts of
 * RFC 3261 §16.2, with one branch. Columns by the numbers of transactions, so that the contexts of all the calls of
 * the last half minute are no objects.
 */
import { NO_TRANSACTION, type TransactionId } from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";

/** Why the timer of a context runs. */
export const ContextTimer = {
  /** The route has not decided yet: the caller of an INVITE hears 100 (Trying) after a while. */
  TRYING: 0,
  /** The route has not decided for a long time: the request is given up. */
  UNDECIDED: 1,
  /** Timer C: an INVITE that was provisionally answered gets no final response (RFC 3261 §16.6 step 11). */
  C: 2,
  /** A cancelled INVITE gets no final response (RFC 3261 §9.1). */
  CANCELLED: 3,
} as const;
/** One of {@linkcode ContextTimer}. */
export type ContextTimer = typeof ContextTimer[keyof typeof ContextTimer];

const TIMER_BITS = 3;
/** A final response was given to the server transaction. */
const ANSWERED = 4;
/** A CANCEL came. */
const CANCELLED = 8;
/** The transaction is a server transaction. */
const SERVER = 16;
/** The request was forwarded, or its sender has proved who it is. */
const TRUSTED = 32;

/** Tokens that there is room for at first. */
const FIRST_TOKENS = 1024;

/** The contexts of one proxy core. A context has the number of its server transaction. */
export class ResponseContexts {
  /** By client transaction the server transaction, and the other way round; + 1, 0 for none. */
  readonly #other: Int32Array;
  readonly #flags: Uint8Array;
  /** By server transaction its place among the tokens + 1, 0 for none. */
  readonly #token: Int32Array;
  #tokens = new Int32Array(FIRST_TOKENS * AcceptedToken.WORDS);
  #tokensUsed = 0;
  readonly #freeTokens: number[] = [];

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

  /** A request has come. */
  begin(server: TransactionId): void {
    this.#flags[server] = SERVER;
  }

  /** A transaction of either side is over: it is forgotten, and its other side has none any more. */
  end(transaction: TransactionId): void {
    const other = this.#other[transaction] - 1;
    this.#other[transaction] = 0;
    this.#flags[transaction] = 0;
    if (other >= 0) this.#other[other] = 0;
    const token = this.#token[transaction] - 1;
    if (token < 0) return;
    this.#token[transaction] = 0;
    this.#tokens.fill(0, token * AcceptedToken.WORDS, (token + 1) * AcceptedToken.WORDS);
    this.#freeTokens.push(token);
  }

  /** The request was forwarded. */
  link(server: TransactionId, client: TransactionId): void {
    this.#flags[server] |= TRUSTED;
    this.#other[server] = client + 1;
    this.#other[client] = server + 1;
  }

  /** The branch that the request of a server transaction was forwarded on; NO_TRANSACTION when it was not, or that is over. */
  clientOf(server: TransactionId): TransactionId {
    const other = this.#other[server];
    return other === 0 ? NO_TRANSACTION : other - 1;
  }

  /** The context of a client transaction; NO_TRANSACTION when it has none, or its server transaction is over. */
  serverOf(client: TransactionId): TransactionId {
    return (this.#flags[client] & SERVER) === 0 ? this.clientOf(client) : NO_TRANSACTION;
  }

  isAnswered(server: TransactionId): boolean {
    return (this.#flags[server] & ANSWERED) !== 0;
  }
  setAnswered(server: TransactionId): void {
    this.#flags[server] |= ANSWERED;
  }

  isCancelled(server: TransactionId): boolean {
    return (this.#flags[server] & CANCELLED) !== 0;
  }
  setCancelled(server: TransactionId): void {
    this.#flags[server] |= CANCELLED;
  }

  /**
   * Whether the request was forwarded, or its sender has proved who it is. To others a refusal is sent once, and forgotten
   * (RFC 3261 §26.3.2.4).
   */
  isTrusted(server: TransactionId): boolean {
    return (this.#flags[server] & TRUSTED) !== 0;
  }
  setTrusted(server: TransactionId): void {
    this.#flags[server] |= TRUSTED;
  }

  timer(server: TransactionId): ContextTimer {
    return (this.#flags[server] & TIMER_BITS) as ContextTimer;
  }
  setTimer(server: TransactionId, timer: ContextTimer): void {
    this.#flags[server] = this.#flags[server] & ~TIMER_BITS | timer;
  }

  /** Remembers the token that a request was accepted with, for the confirmation in the final response. */
  keepToken(server: TransactionId, token: AcceptedToken): void {
    let place = this.#token[server] - 1;
    if (place < 0) {
      place = this.#freeTokens.pop() ?? this.#tokensUsed++;
      this.#token[server] = place + 1;
      if ((place + 1) * AcceptedToken.WORDS > this.#tokens.length) this.#grow();
    }
    this.setTrusted(server);
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
