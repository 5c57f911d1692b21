/** What a proxy core is given, and what it counts. */
import type { Address, Located, Random, SendMessage, SipTarget } from "../mod.ts";
import type { ReplyAddresses } from "./local_names.ts";
import type { Location, LocationOwner } from "./location.ts";

/** What a proxy core is set up with. */
export interface ProxyOptions {
  /** Addresses it listens on: the first of a target's transport and family is used in Via and Record-Route. */
  readonly listen: readonly Address[];
  /** What others see, when it is not what is listened on: for all listeners, or by transport. */
  readonly advertise: readonly Address[];
  /** Where responses come in, when it is not there: in Via. */
  readonly reply?: ReplyAddresses;
  readonly realms: readonly string[];
  /** Where requests for this proxy or a served domain go; undefined: to their Request-URI. */
  readonly nextHop?: string;
  /** Marks the dialogs of this proxy, 8 bytes: see {@linkcode DialogTags}. */
  readonly dialogKey: Uint8Array;
  /** Hosts whose PC headers in responses are let through (docs/PROTOCOL.md §7). */
  readonly peers: ReadonlySet<string>;
  /** Whether final responses carry the confirmation of docs/PROTOCOL.md §7. */
  readonly confirm: boolean;
  readonly maxTransactions: number;
  /** Timer C in ms: more than three minutes (RFC 3261 §16.6 step 11). */
  readonly timerC: number;
  /** Requests longer than this go by TCP instead of UDP (RFC 3261 §18.1.1), bytes; Infinity: never. */
  readonly udpMtu: number;
}

/** Watches next hops: who does not serve is not asked first. */
export interface HopWatch {
  /** The same addresses, with those at the end that are known not to serve. */
  order(addresses: readonly Address[], now: number): readonly Address[];
  /**
   * A next hop did not answer, could not be reached, or answered 503.
   *
   * @param replaced whether another is tried in its place
   */
  failed(address: Address, replaced: boolean, now: number): void;
}

/** What the core needs of its surroundings. */
export interface ProxyEnvironment {
  readonly random: Random;
  readonly now: number;
  /** The credential cache of another thread of this proxy, to be shared; without it the proxy makes its own. */
  readonly cache?: SharedArrayBuffer;
  /** Where users are, and who takes registrations; without it the proxy makes its own (`--registrar`). */
  readonly location?: { readonly location: Location; readonly owner: LocationOwner };
  /** Sends a datagram; see SendMessage. */
  readonly send: SendMessage;
  /** Finds the addresses of the servers of a domain (RFC 3263), in the order in which they are to be tried; none: there is nobody. */
  locate(target: SipTarget, done: Located): void;
  /** Tells of something that an operator should know, without secrets. */
  log(event: string, fields: Readonly<Record<string, string | number>>): void;
}
