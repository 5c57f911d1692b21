/** Where things lie in the kernel's memory: addresses and sizes in bytes, for the host and for the kernel. */

/**
 * Classes of bytes, 16 bytes each: bit h of byte l says whether 16 h + l belongs to it. No byte above 127 does. The
 * last ones hold where a run ends.
 */
export const TOKEN_BYTES = 1024;
export const URI_BYTES = 1040;
export const WHITE_SPACE = 1056;
export const VALUE_ENDS = 1072;
export const NAME_ENDS = 1088;
export const ANGLE_ENDS = 1104;
export const QUOTE_ENDS = 1120;
export const IPV6_BYTES = 1136;
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

/** A result begins with what was found of the header section; offsets are i32. */
export const HEADERS_END = 0;
export const BODY_START = 4;
export const REPEATS = 8;
/** Of a whole message: offsets, numbers (-1: missing), the status (0 for a request). */
export const HEADERS_START = 12;
export const STATUS = 16;
export const METHOD_END = 20;
/** Request-URI or reason phrase. */
export const LINE_PART_START = 24;
export const LINE_PART_END = 28;
export const CSEQ_NUMBER = 32;
export const CSEQ_METHOD_START = 36;
export const CSEQ_METHOD_END = 40;
export const MAX_FORWARDS = 44;
export const CONTENT_LENGTH = 48;
/** The top Via. */
export const VIA = 52;
export const VIA_START = 52;
export const VIA_END = 56;
export const TRANSPORT_START = 60;
export const TRANSPORT_END = 64;
export const HOST_START = 68;
export const HOST_END = 72;
export const SENT_BY_END = 76;
export const PORT = 80;
export const BRANCH_START = 84;
export const BRANCH_END = 88;
export const RECEIVED_START = 92;
export const RECEIVED_END = 96;
export const RPORT_NAME_END = 100;
export const RPORT_START = 104;
export const RPORT_END = 108;
export const MADDR_START = 112;
export const MADDR_END = 116;
export const TTL = 120;
/** From and To, each with: */
export const FROM = 124;
export const TO = 160;
export const ADDR_START = 0;
export const ADDR_END = 4;
export const DISPLAY_START = 8;
export const DISPLAY_END = 12;
export const URI_START = 16;
export const URI_END = 20;
export const PARAMS_START = 24;
export const TAG_START = 28;
export const TAG_END = 32;
/** Where each id stands first (i16), the id of each line (u8), its offsets (i32). */
export const FIRST = 208;
export const FIRST_SIZE = 144;
export const IDS = 352;
export const LINES = 608;
/** Offsets per line: name start and end, value start and end, line end. */
export const LINE_SIZE = 20;
/** Lines in a result. */
export const MAX_LINES = 256;
/** Bytes of a method at most: it is kept for as long as its transaction lives. */
export const MAX_METHOD = 64;
export const RESULT_SIZE = 5760;

/** The ids of the fields that the kernel looks into: header.ts. */
export const VIA_FIELD = 1;
export const FROM_FIELD = 2;
export const TO_FIELD = 3;
export const CALL_ID_FIELD = 4;
export const CSEQ_FIELD = 5;
export const MAX_FORWARDS_FIELD = 7;
export const CONTENT_LENGTH_FIELD = 16;

/** Results, then messages that lie elsewhere are copied in, then what the host gives out. */
export const RESULTS = 16384;
export const MAX_RESULTS = 32;
export const INPUT = 204800;
/** The longest message that is copied in; more are scanned by the host. */
export const INPUT_SIZE = 65536;
/** The kernel reads up to so many bytes behind what it was given. */
export const PADDING = 64;
export const FREE = 270400;
