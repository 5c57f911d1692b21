/** What a connection to DBclient needs, and how it fails: dbclient_link_io.ts. */
import type { Identity } from "../chain/derive.ts";
import type { ChainHash } from "../hash/chain_hash.ts";

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
  /** Where DBclients listen; after a failure the next one is tried. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
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
  /** Shortest and longest pause between attempts to connect, milliseconds, default 50 and 2000. */
  readonly backoff?: { readonly min: number; readonly max: number };
  /**
   * Users whose credentials are void if their serial is below this one; an empty realm stands for every realm. "all":
   * more than can be told, everything has to go.
   */
  onRevoked?(serial: number, users: readonly Identity[] | "all"): void;
  /** Each change between connected and not, with the reason; once per change, not per attempt. */
  onState?(connected: boolean, text: string): void;
  /** Opens the stream, default plain TCP. */
  connect?(address: { readonly host: string; readonly port: number }): Promise<DbclientStream>;
}
