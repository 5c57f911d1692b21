/** What a transaction layer tells its user (RFC 3261 §5: the TU), a proxy core or a user agent core. */
import type { Address } from "./address.ts";
import type { SipMessage } from "./message.ts";
import type { TransactionId } from "./transaction.ts";

/**
 * The transaction user. Messages are views that are good during the call only. Every method may call the layer again, but
 * for `receive` and `advance`. Transactions are numbers, `NO_TRANSACTION` where there is none.
 */
export interface TransactionUser {
  /**
   * A new request. An ACK that belongs to no failed INVITE (so that for a 2xx) comes without a transaction, and is to be
   * forwarded statelessly or handed to its dialog. The user answers each other request with
   * {@linkcode TransactionLayer.respond}, or gives it up with {@linkcode TransactionLayer.end}: until then the
   * transaction lives (RFC 4320 §4.2 forbids an answer to a request other than INVITE that is too late).
   */
  request(message: SipMessage, tx: TransactionId, from: Address, now: number): void;
  /**
   * A new CANCEL, with the INVITE transaction that it concerns, if that is known (RFC 3261 §9.2, §16.10). The user answers
   * `tx`, 200 or 481, and if the INVITE has no final response yet has to see to it that it gets one.
   */
  cancel(message: SipMessage, invite: TransactionId, tx: TransactionId, from: Address, now: number): void;
  /**
   * A response to be acted on: each provisional one, the first final one, and every 2xx to INVITE. Without a transaction it
   * is a stray: its transaction is over, or never was.
   */
  response(message: SipMessage, tx: TransactionId, from: Address, now: number): void;
  /** No response came (Timer B, F), or no ACK (Timer H). */
  timeout(tx: TransactionId, now: number): void;
  /** The transport could not send for this transaction. A server transaction for INVITE lives on (RFC 6026 §7.1). */
  transportError(tx: TransactionId, now: number): void;
  /** The last that is heard of a transaction; its number is used for another one afterwards. */
  terminated(tx: TransactionId, now: number): void;
  /** A new request for which there is no room (`maxTransactions`): answer 503 statelessly, or drop it. */
  overloaded(message: SipMessage, from: Address, now: number): void;
  /** The timer that the user started with {@linkcode TransactionLayer.startTimer} has fired. */
  timer(tx: TransactionId, now: number): void;
}

/**
 * Sends `buffer[start … end)`, copying what it keeps; never throws.
 *
 * @returns false if it is known by now that the message cannot be sent: a transport error of the transaction
 */
export type SendMessage = (buffer: Uint8Array, start: number, end: number, to: Address) => boolean | void;

/** What a layer has counted since it began. */
export interface TransactionStatistics {
  /** Requests sent again by Timer A or E. */
  requestsRetransmitted: number;
  /** Responses sent again by Timer G, or because the request came again. */
  responsesRetransmitted: number;
  /** Messages that changed nothing: repeated requests, responses and ACKs. */
  absorbed: number;
  /** Responses without a transaction. */
  strays: number;
  /** Requests that found no room. */
  refused: number;
}
