/**
 * Where everything stands in the one buffer of a credential cache. Regions that are seldom needed (second credentials,
 * ends of long names, replay windows) stand apart from the others: memory that nobody touched costs nothing.
 */
import { WINDOW_SIZE } from "../../mod.ts";

/** Longest user name and realm, bytes of UTF-8 (docs/PROTOCOL.md §9). */
export const MAX_NAME_BYTES = 256;
/** Realms that one cache can know: the served ones, which the operator lists. */
export const MAX_REALMS = 256;
/** No user has this number. */
export const NO_USER = -1;

/** Words of the header. */
export const Header = {
  /** Says that a buffer is a cache, and of which form. */
  MAGIC: 0,
  MAX_USERS: 1,
  DIGEST_BYTES: 2,
  /** Numbers given to threads. */
  OWNERS: 3,
  /** Guards the chains and the free users. */
  TABLE_LOCK: 4,
  /** Odd while the chains change. */
  TABLE_STAMP: 5,
  POOL_LOCK: 6,
  /** Windows that were ever used, the first free one + 1, and where to look for a dead one next. */
  POOL_USED: 7,
  POOL_FREE: 8,
  POOL_HAND: 9,
  /** Numbers given to credentials. */
  TAGS: 10,
  REALMS: 11,
  /** Key of the hash of names: two words. */
  KEY: 12,
  /** Two parts of {@linkcode Part} words: users never verified, and the protected ones. */
  PARTS: 16,
} as const;

/** Words of a part in the header. */
export const Part = {
  /** Users in it. */
  COUNT: 0,
  /** Places that were ever used. */
  USED: 1,
  /** The first free one of those + 1; the others follow by {@linkcode User.NEXT}. */
  FREE: 2,
  /** Where the search for a user to forget goes on. */
  HAND: 3,
  WORDS: 4,
} as const;

/** A user: 64 bytes, one cache line. Indices of 4-byte words, except those of 8-byte floats. */
export const User = {
  /** float: when a credential was last asked for, ms; -Infinity when never. */
  LAST_ISSUE: 0,
  /** float: credentials whose serial is below this are void. */
  REVOKED: 1,
  /** The thread that is asking for a credential, 0 when none is. */
  FETCHER: 4,
  LOCK: 5,
  /** Counts the changes. */
  STAMP: 6,
  /** Keyed hash of name and realm. */
  HASH: 7,
  /** The next user of the chain + 1. */
  NEXT: 8,
  FLAGS: 9,
  /** Bytes of the name, and in the upper half the number of the realm. */
  NAME: 10,
  /** byte: the name begins here; what does not fit stands in a region of its own. */
  NAME_BYTE: 44,
  WORDS: 16,
} as const;

/** How much of a name stands in the user's record. */
export const INLINE_NAME = User.WORDS * 4 - User.NAME_BYTE;
/** Room for the rest of a name. */
export const NAME_REST = MAX_NAME_BYTES - INLINE_NAME;

/** Bits of {@linkcode User.FLAGS}. */
export const Flag = {
  /** The place holds a user. */
  USED: 1,
  /** A request came since the last credential. */
  SEEN: 2,
  HAS_NEWEST: 4,
  HAS_OLDER: 8,
  /** The newest credential stands in the second of the user's two places. */
  SWAPPED: 16,
} as const;

/** A credential. Floats first, then words; N, h_i and K follow. */
export const Record = {
  ISSUED_AT: 0,
  EXPIRES_AT: 1,
  WALKS: 2,
  WALKS_AT: 3,
  /** float: revocation serial that was read before the row. */
  SERIAL: 4,
  /** Number of its algorithm in CHAIN_ALGORITHMS. */
  ALGORITHM: 10,
  /** n, and in the upper half i. */
  INDEX: 11,
  /** Tells credentials apart, in one cache, for as long as it exists. */
  TAG: 12,
  /** Its replay window + 1. */
  WINDOW: 13,
  NONCE: 14,
  VALUE: 18,
} as const;

/** A replay window of the pool: its words, then 64 floats. */
export const Window = {
  /** Tag of the credential that it belongs to, 0 when free. */
  TAG: 0,
  /** The next free one + 1. */
  NEXT: 1,
  /** float: when it was last written, ms. */
  WRITTEN_AT: 1,
  /** float: the first skip time. */
  TIMES: 2,
  FLOATS: 2 + WINDOW_SIZE,
} as const;

const MAGIC = 0x50430001;
const HEADER_BYTES = 256;
const REALM_BYTES = 2 + MAX_NAME_BYTES;
const PAGE = 4096;
/** Limits of the window pool: one for every sixteen users. */
const MIN_WINDOWS = 64;
const MAX_WINDOWS = 65_536;

/** The regions of a cache as views of its buffer. */
export interface CacheMemory {
  readonly buffer: SharedArrayBuffer;
  readonly maxUsers: number;
  /** How many of them may be users who were never verified: those with the lowest numbers. */
  readonly unverifiedMax: number;
  /** Room for h_i and for K in a credential, bytes. */
  readonly digestBytes: number;
  /** Words of a credential. */
  readonly recordWords: number;
  readonly windowCount: number;
  readonly header: Int32Array;
  readonly realms: Uint8Array;
  /** First users of the chains + 1. */
  readonly heads: Int32Array;
  /** By user: the second in which to look at it again, 0 for never. */
  readonly due: Int32Array;
  /** By user: whether it was used since the hand went by. */
  readonly referenced: Uint8Array;
  readonly userWords: Int32Array;
  readonly userFloats: Float64Array;
  readonly userBytes: Uint8Array;
  readonly nameRests: Uint8Array;
  /** Credential `user`, and its second one at `maxUsers + user`. */
  readonly recordWordsOf: Int32Array;
  readonly recordFloatsOf: Float64Array;
  readonly windowWords: Int32Array;
  readonly windowFloats: Float64Array;
}

/**
 * Makes the zeroed memory of an empty cache.
 *
 * @param digestBytes room for h_i and K: that of the longest digest in use
 * @param key of the hash of names, 8 bytes
 * @throws RangeError when the machine has no room for so many users
 */
export function allocateMemory(maxUsers: number, digestBytes: number, key: Uint8Array): CacheMemory {
  const buffer = new SharedArrayBuffer(view(undefined, maxUsers, digestBytes).bytes);
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  header[Header.MAX_USERS] = maxUsers;
  header[Header.DIGEST_BYTES] = digestBytes;
  new Uint8Array(buffer, Header.KEY * 4, 8).set(key);
  Atomics.store(header, Header.MAGIC, MAGIC);
  return view(buffer, maxUsers, digestBytes).memory!;
}

/**
 * The memory of a cache that exists.
 *
 * @throws TypeError when the buffer is none
 */
export function memoryOf(buffer: SharedArrayBuffer): CacheMemory {
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  if (header[Header.MAGIC] !== MAGIC) throw new TypeError("the buffer is not that of a credential cache");
  return view(buffer, header[Header.MAX_USERS], header[Header.DIGEST_BYTES]).memory!;
}

/** Lays the regions out one after the other, each from the beginning of a page. */
function view(
  buffer: SharedArrayBuffer | undefined,
  maxUsers: number,
  digestBytes: number,
): { bytes: number; memory: CacheMemory | undefined } {
  let end = 0;
  const region = (bytes: number): number => {
    const start = end;
    end = Math.ceil((start + bytes) / PAGE) * PAGE;
    return start;
  };
  const chains = 2 ** Math.ceil(Math.log2(maxUsers));
  const windowCount = Math.min(MAX_WINDOWS, Math.max(MIN_WINDOWS, Math.ceil(maxUsers / 16)));
  // A whole number of floats.
  const recordWords = Math.ceil((Record.VALUE + digestBytes / 2) / 2) * 2;
  const sizes = {
    header: HEADER_BYTES,
    realms: MAX_REALMS * REALM_BYTES,
    heads: chains * 4,
    due: maxUsers * 4,
    referenced: maxUsers,
    users: maxUsers * User.WORDS * 4,
    nameRests: maxUsers * NAME_REST,
    records: 2 * maxUsers * recordWords * 4,
    windows: windowCount * Window.FLOATS * 8,
  };
  const at = Object.fromEntries(
    Object.entries(sizes).map(([name, bytes]) => [name, region(bytes)]),
  ) as Record<keyof typeof sizes, number>;
  if (buffer === undefined) return { bytes: end, memory: undefined };
  const words = (name: keyof typeof sizes) => new Int32Array(buffer, at[name], sizes[name] / 4);
  const floats = (name: keyof typeof sizes) => new Float64Array(buffer, at[name], sizes[name] / 8);
  const bytes = (name: keyof typeof sizes) => new Uint8Array(buffer, at[name], sizes[name]);
  const memory = {
    buffer,
    maxUsers,
    unverifiedMax: Math.floor(maxUsers / 4),
    digestBytes,
    recordWords,
    windowCount,
    header: words("header"),
    realms: bytes("realms"),
    heads: words("heads"),
    due: words("due"),
    referenced: bytes("referenced"),
    userWords: words("users"),
    userFloats: floats("users"),
    userBytes: bytes("users"),
    nameRests: bytes("nameRests"),
    recordWordsOf: words("records"),
    recordFloatsOf: floats("records"),
    windowWords: words("windows"),
    windowFloats: floats("windows"),
  };
  return { bytes: end, memory };
}

/** Realm `number`: where its length and text stand. */
export function realmAt(number: number): number {
  return number * REALM_BYTES;
}
