/** SIP over connections (RFC 3261 §18) as the programs see it, whatever carries it. */
import type { Address } from "../sip/address.ts";
import type { Problem } from "../sip/problem.ts";

/** Bounds of all connections of one transport. Times in ms. */
export interface ConnectionLimits {
  /** Connections at one time, whoever opened them. */
  readonly maxConnections: number;
  /** Connections that one IPv4 address, or one /64 of IPv6, has opened. */
  readonly maxPerSource: number;
  /** A connection on which nothing came or went for so long is closed. */
  readonly idleMs: number;
  /** The same as long as nothing whole has come on a connection that a peer has opened. */
  readonly firstMs: number;
  /** How long a message may take from its first byte to its last. */
  readonly messageMs: number;
  /** How long opening a connection may take, with the TLS handshake. */
  readonly connectMs: number;
  /** How long a peer may take nothing of what is to be sent. */
  readonly stallMs: number;
  /** Bytes that may wait to be sent on one connection. */
  readonly queueBytes: number;
  /** The longest message that is taken, bytes: 65,536 when undefined. */
  readonly messageBytes?: number;
  /** Bytes that wait in all, to be sent and of unfinished messages; above it who is slow is cut off sooner. */
  readonly totalBytes: number;
}

/** A certificate chain and its key, PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** What a {@linkcode StreamTransport} tells, and goes by. */
export interface StreamOptions {
  readonly limits: ConnectionLimits;
  /** Certificates, PEM, that peers may be signed by, beside those that Deno trusts. */
  readonly caCerts?: readonly string[];
  /**
   * A whole message: buffer[start, end), good during the call only.
   *
   * @param from the other end, with the flow of its connection: the same object for all messages of a connection
   * @param now the time in milliseconds
   */
  onMessage(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void;
  /** After the messages that came together. */
  onBatchEnd?(now: number): void;
  /**
   * A stream that cannot be read on. The connection closes after this call, when what was sent meanwhile has left.
   * buffer[start, end) is what there is of the message.
   */
  onMalformed(
    problem: Problem,
    buffer: Uint8Array,
    start: number,
    end: number,
    from: Address,
    now: number,
  ): void;
  /**
   * A connection that was opened from here could not be had, or has broken: what was sent there may be lost.
   *
   * @param to as it was given to `send`
   */
  onUnreachable(to: Address, now: number): void;
  /** Something that an operator should know: a name and what belongs to it. */
  onEvent?(event: StreamEventName, fields: Readonly<Record<string, string | number>>): void;
  /** An error thrown by one of the others, or by a listener. The transport goes on. */
  onError(error: Error): void;
}

/** What {@linkcode StreamOptions.onEvent} tells of. */
export type StreamEventName =
  /** A peer's connection was turned away: there are too many. */
  | "connection_refused"
  /** A connection was closed from here before its time. */
  | "connection_cut"
  /** A connection to a next hop could not be opened. */
  | "connect_failed";

/** What a transport has counted since it began. */
export interface StreamCounters {
  /** Connections that peers have opened. */
  accepted: number;
  /** Connections opened from here. */
  opened: number;
  /** Turned away: too many in all, or from one source. */
  refused: number;
  /** Connections that could not be opened. */
  failed: number;
  /** Closed because nothing came or went. */
  idle: number;
  /** Closed because a message took too long. */
  halfMessages: number;
  /** Closed because the peer read too slowly. */
  slow: number;
  /** Closed because the stream could not be read on. */
  malformed: number;
}
