/**
 * Numbers of the DBclient protocol (docs/PROTOCOL.md §9): byte values, widths and limits of the format first,
 * our own tuning after them. docs/PROTOCOL.md shows the same as a table; a test compares the two.
 */

/** The version that HELLO and WELCOME carry. */
export const PROTOCOL_VERSION = 1;
/** Random bytes in HELLO and WELCOME. */
export const HANDSHAKE_RANDOM_BYTES = 16;
/** Length of a proof: HMAC-SHA-256. */
export const PROOF_BYTES = 32;
/** Proofs in one WELCOME at most: one per key that is accepted for the proxy's name. */
export const MAX_PROOFS = 4;
/** The largest value of the length field: 1 MiB. */
export const MAX_FRAME_LENGTH = 1 << 20;
/**
 * Largest length field of ISSUE and VERIFY as a proxy of ours sends them: 1000 users with the longest names fit. DBclient
 * takes no lower limit, so that no request of a proxy can be over it.
 */
export const MAX_REQUEST_LENGTH = 1 << 19;
/** The smallest value of the length field: type and request id. */
export const MIN_FRAME_LENGTH = 5;
/** Users in an ISSUE, answers in a VERIFY, users in a REVOKED or READY, at most. */
export const MAX_ITEMS = 1000;

/** Byte value of each frame type. */
export const FRAME_TYPE = {
  HELLO: 0x01,
  WELCOME: 0x02,
  AUTH: 0x03,
  READY: 0x04,
  ISSUE: 0x10,
  ISSUED: 0x11,
  VERIFY: 0x12,
  VERIFIED: 0x13,
  REVOKED: 0x20,
  PING: 0x30,
  PONG: 0x31,
  ERROR: 0x3f,
} as const;
/** Name of a frame type. */
export type FrameName = keyof typeof FRAME_TYPE;

/** Byte value of each chain algorithm in ISSUE and ISSUED. */
export const ALGORITHM_BYTE = { "MD5": 1, "SHA-1": 2, "SHA-256": 3 } as const;
/** Length of anchor and key, in bytes, by algorithm: L of docs/PROTOCOL.md §2. */
export const ALGORITHM_SIZE = { "MD5": 16, "SHA-1": 20, "SHA-256": 32 } as const;

/** Codes of an ERROR frame. With request id 0 the sender closes; with another it refuses that request alone. */
export const ERROR_CODE = {
  /** The length field is over 1 MiB (before the handshake is done: over 4 KiB). */
  frame_too_long: 1,
  /** The type byte is none of the table. */
  unknown_type: 2,
  /** The payload ends inside a field. */
  truncated_field: 3,
  /** A text or a count is over its limit. */
  overlong_field: 4,
  /** Bytes are left after the last field. */
  trailing_bytes: 5,
  /** A value is outside its range, or a text is not UTF-8. */
  bad_value: 6,
  /** The frame is well-formed, but not allowed now or from this side. */
  unexpected_frame: 7,
  /** HELLO or WELCOME carries another protocol version. */
  unsupported_version: 8,
  /** The proof is wrong or missing, or the proxy's name has no key. */
  unauthorized: 9,
  /** The handshake took too long, or the peer has fallen silent. */
  timeout: 10,
  /** Too many connections, or more requests outstanding than the receiver takes. */
  busy: 11,
  /** The sender is ending in good order. */
  shutting_down: 12,
  /** The request could not be carried out, for a reason that is the sender's own. */
  internal: 13,
} as const;
/** Name of a code of an ERROR frame. */
export type ErrorName = keyof typeof ERROR_CODE;

/** Why one position of an ISSUED frame has no credential. None of them tells whether the user exists (docs/PROTOCOL.md §8). */
export const ISSUE_ERROR = {
  /** The subscriber database cannot be asked now. */
  unavailable: 1,
  /** The name has control characters or is too long: no credential can exist for it. */
  invalid_name: 2,
  /** This proxy may not ask for this realm. */
  forbidden_realm: 3,
} as const;
/** Name of an error of one position of an ISSUED frame. */
export type IssueErrorName = keyof typeof ISSUE_ERROR;

/** Status of one position of a VERIFIED frame. */
export const VERIFY_STATUS = {
  /** The answer is right. */
  ok: 0,
  /** It is wrong, or there is no such user, or the user has no hash for the algorithm. */
  wrong: 1,
  /** It cannot be checked as it stands: an algorithm or qop that is not known, or a name that is not possible. */
  malformed: 2,
  /** The subscriber database cannot be asked now. */
  unavailable: 3,
  /** This proxy may not ask for this realm. */
  forbidden_realm: 4,
} as const;
/** Name of a status of a VERIFIED frame. */
export type VerifyStatus = keyof typeof VERIFY_STATUS;

/** Longest allowed value of each text field, in bytes of UTF-8. */
export const TEXT_LIMIT = {
  "proxy name": 64,
  username: 256,
  realm: 256,
  nonce: 1024,
  uri: 4096,
  method: 64,
  qop: 32,
  nc: 32,
  cnonce: 1024,
  algorithm: 32,
  "body hash": 128,
  response: 256,
  text: 1024,
} as const;
/** Name of a text field. */
export type TextField = keyof typeof TEXT_LIMIT;

/** Role labels of the proofs (docs/PROTOCOL.md §9). */
export const PROOF_LABEL = { proxy: "PC1 proxy", dbclient: "PC1 dbclient" } as const;
/** Shortest pre-shared key, in bytes (docs/PROTOCOL.md §9). */
export const MIN_KEY_BYTES = 16;

// Our own tuning from here on: either end may choose other values.

/** The largest length field that is read before the handshake is done: a stranger cannot make us keep more. */
export const HANDSHAKE_FRAME_LENGTH = 4096;
/** Time limits of a link, in milliseconds. */
export interface LinkTimes {
  /** From the start of the connection to READY. */
  readonly handshake: number;
  /** Silence of the peer after which a PING is sent. */
  readonly ping: number;
  /** Silence of the peer after which it counts as gone. */
  readonly dead: number;
}
/** Times of the proxy's end: it notices a hung DBclient soon, since it can do without one for a while. */
export const PROXY_LINK_TIMES: LinkTimes = { handshake: 5_000, ping: 5_000, dead: 10_000 };
/** Times of DBclient's end. */
export const DBCLIENT_LINK_TIMES: LinkTimes = { handshake: 5_000, ping: 30_000, dead: 60_000 };
