/**
 * Where things stand in the kernel's memory: read by the kernel (AssemblyScript) and by its host (TypeScript) alike.
 * Numbers in records are 32 bits, little endian; N, values and digests are bytes as they go over the wire.
 */

/** A walk: bytes from one record to the next. */
export const WALK_SIZE = 64;
/** N, 16 bytes. */
export const WALK_NONCE = 0;
/** k, the index of the value. */
export const WALK_INDEX = 16;
/** h_k: as many bytes as the algorithm gives, at most 32. */
export const WALK_VALUE = 20;
/** How many links are still to go. */
export const WALK_LINKS = 52;

/** An expected value of a verification: bytes from one to the next. */
export const EXPECTED_SIZE = 32;

/** A run, that is compressions of consecutive blocks into one state: bytes from one record to the next. */
export const RUN_SIZE = 12;
/** Where the state is. */
export const RUN_STATE = 0;
/** Where the next block is. */
export const RUN_BLOCK = 4;
/** How many blocks are still to go. */
export const RUN_BLOCKS = 8;

/** An HMAC: bytes from one record to the next. */
export const MAC_SIZE = 240;
/** The key, filled up with zeros to a block of 64 bytes; used up by the kernel. */
export const MAC_KEY = 0;
/** The state after the inner pad: 8 words. */
export const MAC_INNER = 64;
/** The state after the outer pad: 8 words. */
export const MAC_OUTER = 96;
/** Where the message is; room for its padding follows it. */
export const MAC_MESSAGE = 128;
/** Length of the message in bytes. */
export const MAC_LENGTH = 132;
/** The result: as many bytes as the algorithm gives, at most 32. */
export const MAC_RESULT = 144;
/** Room for a message of at most 55 bytes and its padding. */
export const MAC_SHORT = 176;

/** Numbers of the algorithms. */
export const MD5 = 0;
export const SHA1 = 1;
export const SHA256 = 2;
