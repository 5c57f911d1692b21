/** The header fields that this project knows by number: names, compact forms, and how often each may stand. */
import { encodeText, equalsIgnoreCase } from "./ascii.ts";

/** Small numbers for the known header fields (RFC 3261 §20 and its extensions). `OTHER` is any other name. */
export const HeaderId = Object.freeze(
  {
    OTHER: 0,
    VIA: 1,
    FROM: 2,
    TO: 3,
    CALL_ID: 4,
    CSEQ: 5,
    CONTACT: 6,
    MAX_FORWARDS: 7,
    ROUTE: 8,
    RECORD_ROUTE: 9,
    PROXY_AUTHORIZATION: 10,
    AUTHORIZATION: 11,
    PROXY_AUTHENTICATE: 12,
    WWW_AUTHENTICATE: 13,
    PROXY_AUTHENTICATION_INFO: 14,
    AUTHENTICATION_INFO: 15,
    CONTENT_LENGTH: 16,
    CONTENT_TYPE: 17,
    CONTENT_ENCODING: 18,
    REQUIRE: 19,
    PROXY_REQUIRE: 20,
    SUPPORTED: 21,
    UNSUPPORTED: 22,
    EXPIRES: 23,
    MIN_EXPIRES: 24,
    RETRY_AFTER: 25,
    USER_AGENT: 26,
    SERVER: 27,
    ALLOW: 28,
    ACCEPT: 29,
    DATE: 30,
    SUBJECT: 31,
    EVENT: 32,
    REFER_TO: 33,
    PATH: 34,
    SERVICE_ROUTE: 35,
    TIMESTAMP: 36,
    WARNING: 37,
    P_ASSERTED_IDENTITY: 38,
    PRIVACY: 39,
    RACK: 40,
    RSEQ: 41,
    REASON: 42,
    SESSION_EXPIRES: 43,
    MIN_SE: 44,
    ALLOW_EVENTS: 45,
    SUBSCRIPTION_STATE: 46,
    REPLACES: 47,
    REFERRED_BY: 48,
    P_PREFERRED_IDENTITY: 49,
    ACCEPT_ENCODING: 50,
    ACCEPT_LANGUAGE: 51,
    ALERT_INFO: 52,
    CALL_INFO: 53,
    ERROR_INFO: 54,
    CONTENT_DISPOSITION: 55,
    CONTENT_LANGUAGE: 56,
    MIME_VERSION: 57,
    ORGANIZATION: 58,
    PRIORITY: 59,
    REPLY_TO: 60,
    IN_REPLY_TO: 61,
    HISTORY_INFO: 62,
    SIP_ETAG: 63,
    SIP_IF_MATCH: 64,
    JOIN: 65,
    MAX_BREADTH: 66,
  } as const,
);
/** One of the numbers of {@link HeaderId}. */
export type HeaderId = typeof HeaderId[keyof typeof HeaderId];

/** How often a header field may stand: once, in several lines, or also as a comma-separated list (RFC 3261 §7.3.1). */
export type HeaderForm = "single" | "lines" | "list";

type Row = readonly [id: HeaderId, name: string, form: HeaderForm, compact?: string];

// Compact forms: RFC 3261 §7.3.3, RFC 3265/6665 (o, u), RFC 3515 (r), RFC 3892 (b), RFC 4028 (x).
const ROWS: readonly Row[] = [
  [HeaderId.VIA, "Via", "list", "v"],
  [HeaderId.FROM, "From", "single", "f"],
  [HeaderId.TO, "To", "single", "t"],
  [HeaderId.CALL_ID, "Call-ID", "single", "i"],
  [HeaderId.CSEQ, "CSeq", "single"],
  [HeaderId.CONTACT, "Contact", "list", "m"],
  [HeaderId.MAX_FORWARDS, "Max-Forwards", "single"],
  [HeaderId.ROUTE, "Route", "list"],
  [HeaderId.RECORD_ROUTE, "Record-Route", "list"],
  // A comma inside credentials separates parameters, so these are never split (RFC 3261 §7.3.1).
  [HeaderId.PROXY_AUTHORIZATION, "Proxy-Authorization", "lines"],
  [HeaderId.AUTHORIZATION, "Authorization", "lines"],
  [HeaderId.PROXY_AUTHENTICATE, "Proxy-Authenticate", "lines"],
  [HeaderId.WWW_AUTHENTICATE, "WWW-Authenticate", "lines"],
  [HeaderId.PROXY_AUTHENTICATION_INFO, "Proxy-Authentication-Info", "lines"],
  [HeaderId.AUTHENTICATION_INFO, "Authentication-Info", "lines"],
  [HeaderId.CONTENT_LENGTH, "Content-Length", "single", "l"],
  [HeaderId.CONTENT_TYPE, "Content-Type", "single", "c"],
  [HeaderId.CONTENT_ENCODING, "Content-Encoding", "list", "e"],
  [HeaderId.REQUIRE, "Require", "list"],
  [HeaderId.PROXY_REQUIRE, "Proxy-Require", "list"],
  [HeaderId.SUPPORTED, "Supported", "list", "k"],
  [HeaderId.UNSUPPORTED, "Unsupported", "list"],
  [HeaderId.EXPIRES, "Expires", "single"],
  [HeaderId.MIN_EXPIRES, "Min-Expires", "single"],
  [HeaderId.RETRY_AFTER, "Retry-After", "single"],
  [HeaderId.USER_AGENT, "User-Agent", "single"],
  [HeaderId.SERVER, "Server", "single"],
  [HeaderId.ALLOW, "Allow", "list"],
  [HeaderId.ACCEPT, "Accept", "list"],
  [HeaderId.DATE, "Date", "single"],
  [HeaderId.SUBJECT, "Subject", "single", "s"],
  [HeaderId.EVENT, "Event", "single", "o"],
  [HeaderId.REFER_TO, "Refer-To", "single", "r"],
  [HeaderId.PATH, "Path", "list"],
  [HeaderId.SERVICE_ROUTE, "Service-Route", "list"],
  [HeaderId.TIMESTAMP, "Timestamp", "single"],
  [HeaderId.WARNING, "Warning", "list"],
  [HeaderId.P_ASSERTED_IDENTITY, "P-Asserted-Identity", "list"],
  [HeaderId.PRIVACY, "Privacy", "lines"],
  [HeaderId.RACK, "RAck", "single"],
  [HeaderId.RSEQ, "RSeq", "single"],
  [HeaderId.REASON, "Reason", "list"],
  [HeaderId.SESSION_EXPIRES, "Session-Expires", "single", "x"],
  [HeaderId.MIN_SE, "Min-SE", "single"],
  [HeaderId.ALLOW_EVENTS, "Allow-Events", "list", "u"],
  [HeaderId.SUBSCRIPTION_STATE, "Subscription-State", "single"],
  [HeaderId.REPLACES, "Replaces", "single"],
  [HeaderId.REFERRED_BY, "Referred-By", "single", "b"],
  [HeaderId.P_PREFERRED_IDENTITY, "P-Preferred-Identity", "list"],
  [HeaderId.ACCEPT_ENCODING, "Accept-Encoding", "list"],
  [HeaderId.ACCEPT_LANGUAGE, "Accept-Language", "list"],
  [HeaderId.ALERT_INFO, "Alert-Info", "list"],
  [HeaderId.CALL_INFO, "Call-Info", "list"],
  [HeaderId.ERROR_INFO, "Error-Info", "list"],
  [HeaderId.CONTENT_DISPOSITION, "Content-Disposition", "single"],
  [HeaderId.CONTENT_LANGUAGE, "Content-Language", "list"],
  [HeaderId.MIME_VERSION, "MIME-Version", "single"],
  [HeaderId.ORGANIZATION, "Organization", "single"],
  [HeaderId.PRIORITY, "Priority", "single"],
  [HeaderId.REPLY_TO, "Reply-To", "single"],
  [HeaderId.IN_REPLY_TO, "In-Reply-To", "list"],
  [HeaderId.HISTORY_INFO, "History-Info", "list"],
  [HeaderId.SIP_ETAG, "SIP-ETag", "single"],
  [HeaderId.SIP_IF_MATCH, "SIP-If-Match", "single"],
  [HeaderId.JOIN, "Join", "single"],
  [HeaderId.MAX_BREADTH, "Max-Breadth", "single"],
];

/** One more than the largest {@link HeaderId}. */
export const HEADER_IDS: number = Math.max(...Object.values(HeaderId)) + 1;

const names: string[] = new Array(HEADER_IDS).fill("");
const forms: HeaderForm[] = new Array(HEADER_IDS).fill("lines");

/** A name, full or compact, in lower case. */
export interface HeaderSpelling {
  readonly bytes: Uint8Array;
  readonly id: HeaderId;
}
// Buckets by length and first letter: at most a few spellings each, and every one is compared in full.
const buckets: (HeaderSpelling[] | undefined)[] = new Array(32 * 32);

for (const [id, name, form, compact] of ROWS) {
  names[id] = name;
  forms[id] = form;
  for (const spelling of compact === undefined ? [name] : [name, compact]) {
    const bytes = encodeText(spelling.toLowerCase());
    (buckets[(bytes.length & 31) << 5 | bytes[0] & 31] ??= []).push({ bytes, id });
  }
}

/** All names that are known, full and compact. */
export function headerSpellings(): HeaderSpelling[] {
  return buckets.flatMap((bucket) => bucket ?? []);
}

/** The full name of a known header field as the RFCs spell it; "" for `HeaderId.OTHER`. */
export function headerName(id: number): string {
  return names[id] ?? "";
}

/** How often the field may stand. Unknown fields are "lines": without its grammar a comma says nothing. */
export function headerForm(id: number): HeaderForm {
  return forms[id] ?? "lines";
}

/** The number of the header name in buffer[start, end), full or compact, in any case; `HeaderId.OTHER` if unknown. */
export function headerIdAt(buffer: Uint8Array, start: number, end: number): HeaderId {
  const length = end - start;
  if (length < 1 || length > 31) return HeaderId.OTHER;
  const bucket = buckets[length << 5 | buffer[start] & 31];
  if (bucket === undefined) return HeaderId.OTHER;
  for (let i = 0; i < bucket.length; i++) {
    if (equalsIgnoreCase(buffer, start, end, bucket[i].bytes)) return bucket[i].id;
  }
  return HeaderId.OTHER;
}

/**
 * The number of a header name, full or compact, in any case.
 *
 * @example
 * ```ts
 * import { HeaderId, headerIdOf } from "./header.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(headerIdOf("v"), HeaderId.VIA);
 * assertEquals(headerIdOf("CALL-ID"), HeaderId.CALL_ID);
 * assertEquals(headerIdOf("X-Mine"), HeaderId.OTHER);
 * ```
 */
export function headerIdOf(name: string): HeaderId {
  const bytes = encodeText(name);
  return headerIdAt(bytes, 0, bytes.length);
}
