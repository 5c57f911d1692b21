/**
 * Warm-up files: credentials that DBclient writes ahead for one proxy (docs/PROTOCOL.md §10). Here are the numbers of
 * the format, which docs/warmup_file.md states as a table, and what both ends share; warmup_writer.ts and
 * warmup_reader.ts are the codec.
 */
import type { Credential } from "../chain/derive.ts";
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import { TEXT_LIMIT } from "./constants.ts";

/** First bytes of every warm-up file. */
export const WARMUP_MAGIC = "PCWARMUP";
/** The version that this codec writes, and the only one that it reads. */
export const WARMUP_VERSION = 1;
/** Role label of the MAC, as the proofs of a link have theirs (docs/PROTOCOL.md §9). */
export const WARMUP_LABEL = "PC1 warmup";
/** Length of the MAC: HMAC-SHA-256. */
export const WARMUP_MAC_BYTES = 32;
/** Length of N, docs/PROTOCOL.md §3. */
export const WARMUP_NONCE_BYTES = 16;
/** Length of magic, version and header length. */
export const WARMUP_PREFIX_BYTES = WARMUP_MAGIC.length + 4;
/**
 * Bytes of a record after its length field.
 *
 * @param nameBytes length of the user name in UTF-8
 * @param size length of anchor and key: L of docs/PROTOCOL.md §2
 */
export function warmupRecordLength(nameBytes: number, size: number): number {
  return 4 + 2 + 2 + nameBytes + WARMUP_NONCE_BYTES + 2 + 2 * size + 4;
}
/** The longest record there can be: SHA-256 and the longest user name. */
export const MAX_WARMUP_RECORD_BYTES = warmupRecordLength(TEXT_LIMIT.username, 32);
/** The length field of a record that ends the records. */
export const WARMUP_END_OF_RECORDS = 0;

/** How far the clocks of DBclient and proxy may differ, s: our own tuning. */
export const WARMUP_CLOCK_SKEW = 60;
/** Everything that can be wrong with a warm-up file: a closed set. */
export type WarmupFault =
  /** The first bytes are others. */
  | "not_a_warmup_file"
  /** Written in another version of the format. */
  | "other_version"
  /** The file ends early. */
  | "truncated"
  /** Bytes after the MAC. */
  | "trailing_bytes"
  /** A record's length is over what any record can have. */
  | "record_too_long"
  /** A field is outside its range, or does not fit its record. */
  | "bad_value"
  /** Damaged, or written under another key. */
  | "wrong_mac"
  /** Written for another proxy. */
  | "other_proxy"
  /** Written for another algorithm. */
  | "other_algorithm"
  /** Holds users of a realm that is not served. */
  | "other_realm"
  /** Every credential in it is past its time. */
  | "expired"
  /** The clock of the writer was ahead of ours: the lives of its credentials cannot be told. */
  | "issued_in_the_future";

/** A warm-up file cannot be used: `fault` for programs, the message (one line, no secrets) for the operator. */
export class WarmupError extends Error {
  override name = "WarmupError";
  constructor(readonly fault: WarmupFault, detail: string) {
    super(detail);
  }
}

/** HMAC-SHA-256 in pieces: node:crypto's takes 20 ms for 30 MB where hash-wasm's takes 120 ms, so it is passed in. */
export interface IncrementalMac {
  update(bytes: Uint8Array): void;
  /** The MAC over all that came; to be called once. */
  digest(): Uint8Array;
}

/** What stands before the records. */
export interface WarmupHeader {
  /** Name of the proxy that may load the file. */
  readonly proxy: string;
  /** Time of issue: wall clock, s since 1970-01-01 UTC, before the first row was read. */
  readonly issuedAt: number;
  /** The longest time to live of a credential in the file, s from `issuedAt`. */
  readonly ttl: number;
  /** Revocation serial, read before the first row. */
  readonly serial: number;
  readonly algorithm: ChainAlgorithm;
  /** The number that the operator began to count users with: what a proxy's `offset` is added to. */
  readonly firstNumber: number;
  /** Realms that records refer to. */
  readonly realms: readonly string[];
}

/** One user's credential. */
export interface WarmupRecord {
  /** The user's number: that in the user name, or the position in the list of all users. */
  readonly number: number;
  readonly credential: Credential;
  /** Time to live in s, counted from the header's `issuedAt`. */
  readonly ttl: number;
}

/** What the reader of a file asks of it; what is left out is not checked. */
export interface WarmupExpectation {
  readonly proxy?: string;
  readonly algorithm?: ChainAlgorithm;
  /** Realms that are served. */
  readonly realms?: readonly string[];
  /** Wall clock, s since 1970. */
  readonly time?: number;
}

/** What a whole file says about itself. */
export interface WarmupSummary extends WarmupHeader {
  readonly count: number;
}
