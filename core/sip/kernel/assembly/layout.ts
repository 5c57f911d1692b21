/** Where things lie in the kernel's memory: addresses and sizes in bytes, for the host and for the kernel. */

/** 1 for each byte of a token, 0 for the others. */
export const TOKENS = 1024;
/** By hash of a header name: the number of its entry, 0 where there is none. */
export const SLOTS = 1280;
export const SLOT_BITS = 10;
/** Spellings of header names, the first of which none has: text, the bits of it that count, length, id, form. */
export const ENTRIES = 2304;
export const ENTRY_SIZE = 80;
export const ENTRY_CARE = 32;
export const ENTRY_LENGTH = 64;
export const ENTRY_ID = 65;
/** 1 for a field that may stand only once. */
export const ENTRY_SINGLE = 66;
export const MAX_ENTRIES = 128;
export const MAX_NAME = 31;

/** A result: what was counted, where each id stands first (i16), the id of each line (u8), its offsets (i32). */
export const HEADERS_END = 0;
export const BODY_START = 4;
export const REPEATS = 8;
export const FIRST = 16;
export const FIRST_SIZE = 144;
export const IDS = 160;
export const LINES = 416;
/** Offsets per line: name start and end, value start and end, line end. */
export const LINE_SIZE = 20;
/** Lines in a result. */
export const MAX_LINES = 256;
export const RESULT_SIZE = 5568;

/** Results, then messages that lie elsewhere are copied in, then what the host gives out. */
export const RESULTS = 16384;
export const MAX_RESULTS = 32;
export const INPUT = 196608;
/** The longest message that is copied in; more are scanned by the host. */
export const INPUT_SIZE = 65536;
/** The kernel reads up to so many bytes behind what it was given. */
export const PADDING = 64;
export const FREE = 262208;
