/** Options and figures of the transaction layer. */
import type { Random } from "../random.ts";
import type { Address } from "./address.ts";
import type { SipTimers } from "./timers.ts";

/** How a layer is set up. */
export interface TransactionOptions {
  /** The time at which it begins, in milliseconds of the clock that all later calls use. */
  readonly now: number;
  /** For the secret key of the hash by which messages find their transaction: 8 bytes. */
  readonly random: Random;
  /** RFC values by default; see {@linkcode sipTimers}. */
  readonly timers?: SipTimers;
  /** Whether messages to and from this address go over TCP, TLS or another reliable transport. Default: never. */
  readonly reliable?: (address: Address) => boolean;
  /** Most transactions at one time, 1 … 2^26; each costs memory once it is used. Default 500,000. */
  readonly maxTransactions?: number;
  /**
   * Most bytes of messages that are kept for retransmission and the like; above it there is no room for new server
   * transactions. Default: 1,024 for each of `maxTransactions`, but no less than 16 MiB.
   */
  readonly maxBytes?: number;
  /**
   * When the layer answers an INVITE with 100 (Trying) by itself. "after 200 ms" (default) is for user agents (§17.2.1);
   * "immediate" for proxies that forward at once; "never" leaves it to {@linkcode TransactionLayer.sendTrying}, for proxies
   * that may answer with a challenge first.
   */
  readonly trying?: "immediate" | "after 200 ms" | "never";
}

/** How many transactions of each kind live. */
export interface TransactionCounts {
  readonly inviteClient: number;
  readonly nonInviteClient: number;
  readonly inviteServer: number;
  readonly nonInviteServer: number;
}
