/** Datagram sockets as the programs see them, whatever carries them. */
import type { Address } from "../sip/address.ts";

/** A bound UDP socket. */
export interface DatagramSocket {
  /** Where it is bound; with port 0 asked for, the port that was given. */
  readonly local: Address;
  /** Datagrams that were not sent, because the queue was full or the system refused them. */
  readonly dropped: number;
  /**
   * Sends buffer[start, end) to `to`, in the order of the calls. Never throws; the bytes are copied or sent before it
   * returns. UDP loses datagrams anyway, so one that cannot be sent counts as lost: see {@linkcode dropped}.
   *
   * @param to an IP address and a port; names are looked up at every send
   */
  send(buffer: Uint8Array, start: number, end: number, to: Address): void;
  /** Ends it: no datagram is delivered after this call. What was queued is given up. Resolves when it has ended. */
  close(): Promise<void>;
}

/** How to open a {@linkcode DatagramSocket}. */
export interface DatagramOptions {
  /** The IPv4 or IPv6 address to bind. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /**
   * A datagram: buffer[start, end), valid only during the call. The same host and port come as the same `Address`
   * object (while no more than some thousand others are about).
   */
  onDatagram(buffer: Uint8Array, start: number, end: number, from: Address): void;
  /** An error of the socket, or one thrown by `onDatagram`. The socket goes on. */
  onError(error: Error): void;
}

/** Opens a socket; rejects with an Error whose message is one clear line. */
export type OpenDatagram = (options: DatagramOptions) => Promise<DatagramSocket>;
