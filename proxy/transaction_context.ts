/**
 * What the proxy remembers of a request from its arrival to the end of its transactions: the response context of
 * RFC 3261 §16.2, with one branch.
 */
import { type ClientTransaction, type ServerTransaction, TimerEntry } from "../mod.ts";
import type { AcceptedToken } from "./accepted_token.ts";

/** Why the context's own timer runs. */
export type ContextTimer =
  /** The route has not decided yet: the caller of an INVITE hears 100 (Trying) after a while. */
  | "trying"
  /** The route has not decided for a long time: the request is given up. */
  | "undecided"
  /** Timer C: an INVITE that was provisionally answered gets no final response (RFC 3261 §16.6 step 11). */
  | "C"
  /** A cancelled INVITE gets no final response (RFC 3261 §9.1). */
  | "cancelled";

/** What acts when the timer of a context fires. */
export interface ContextTimerSink {
  contextTimer(context: TransactionContext, now: number): void;
}

/** The context of one request. */
export class TransactionContext extends TimerEntry {
  /** The branch that the request was forwarded on. */
  client: ClientTransaction | undefined;
  /** The token that was accepted: confirmed in the final response. */
  accepted: AcceptedToken | undefined;
  /** The To tag of this proxy's own responses. */
  toTag: string | undefined;
  /** Whether a final response was given to the server transaction. */
  answered = false;
  /** Whether a CANCEL came. */
  cancelled = false;
  timer: ContextTimer = "C";
  readonly #serial: number;

  constructor(readonly server: ServerTransaction, private readonly sink: ContextTimerSink) {
    super();
    this.#serial = server.serial;
  }

  /** Whether the server transaction is still that of this request. */
  get alive(): boolean {
    return this.server.serial === this.#serial && this.server.context === this;
  }

  override onTimer(now: number): void {
    this.sink.contextTimer(this, now);
  }
}
