/** What a connection to DBclient needs, and how it fails: dbclient_link_io.ts. */
import type { Identity } from "../chain/derive.ts";
import type { ChainHash } from "../hash/chain_hash.ts";
import type { Address } from "../sip/address.ts";

/** DBclient cannot answer now: not connected, the connection was lost, the deadline has passed, or it refused. */
export class DbclientUnavailable extends Error {
  override name = "DbclientUnavailable";
}

/** A byte stream to DBclient: what `Deno.connect` and `Deno.connectTls` give. */
export interface DbclientStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What a `DbclientConnection` needs. */
export interface DbclientConnectionOptions {
  /** Where DBclients listen, the preferred one first. All of them have a link; the first whose link is open is asked. */
  readonly addresses: readonly Address[];
  /** The proxy's name, default "proxy"; keys belong to it. */
  readonly name?: string;
  /** Pre-shared keys, best first; none: only for loopback. */
  readonly keys?: readonly Uint8Array[];
  /** The SHA-256 backend, for the proofs. */
  readonly sha256: ChainHash;
  /** Last revocation serial seen, default 0. */
  readonly serial?: number;
  /** Default time for a request in milliseconds, default 2000. */
  readonly deadline?: number;
  /**
   * Silence in milliseconds after which a DBclient counts as gone; after half of it it is sent a PING. Default with
   * several addresses 1000, or half of the deadline where that is less; else 10 000: where there is no other, one that
   * is only slow is better than none.
   */
  readonly silence?: number;
  /** Shortest and longest pause between attempts to connect, milliseconds, default 50 and 2000. */
  readonly backoff?: { readonly min: number; readonly max: number };
  /**
   * Users whose credentials are void if their serial is below this one; an empty realm stands for every realm. "all":
   * more than can be told, everything has to go.
   */
  onRevoked?(serial: number, users: readonly Identity[] | "all"): void;
  /** Each change between connected (to any) and not, with the reason; once per change, not per attempt. */
  onState?(connected: boolean, text: string): void;
  /** With several addresses: each change of one of them, with the reason of a loss. */
  onPeer?(name: string, connected: boolean, text: string): void;
  /** Opens the stream, default plain TCP. */
  connect?(address: Address): Promise<DbclientStream>;
}

/** One DBclient as a proxy sees it. Plain data. */
export interface DbclientState {
  /** `host:port` */
  readonly name: string;
  readonly up: boolean;
  /** Why it is not up, in one line. */
  readonly reason?: string;
}
