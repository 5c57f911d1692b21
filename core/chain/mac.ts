/**
 * The five MACs of the scheme (docs/PROTOCOL.md §4, §5, §7): one HMAC under K over texts joined with LF.
 * Fields are values, not spelling: hexadecimal in lower case, numbers in canonical decimal, texts in UTF-8.
 */
import type { ChainHash } from "../hash/chain_hash.ts";

/** The parts of a SIP request that a MAC binds. */
export interface RequestIdentity {
  readonly callId: string;
  /** The CSeq number. */
  readonly cseq: number;
}
/** A request as the response MAC sees it. */
export interface MacRequest extends RequestIdentity {
  readonly method: string;
  /** The Request-URI, byte-equal to the request line. */
  readonly uri: string;
}

const encoder = new TextEncoder();
let scratch = new Uint8Array(2048);

/** HMAC over a text. The scratch buffer never leaves this function, so nothing is allocated but the result. */
function mac(hash: ChainHash, key: Uint8Array, text: string): Uint8Array {
  if (text.length * 3 > scratch.length) scratch = new Uint8Array(text.length * 3);
  const { written } = encoder.encodeInto(text, scratch);
  return hash.hmac(key, scratch.subarray(0, written));
}

/**
 * `auth` of a guided challenge, docs/PROTOCOL.md §4.
 *
 * @param key K of the credential that the challenge offers
 * @param opaque 16 hexadecimal digits in lower case
 * @param request the request that is being answered
 * @returns `hash.size` bytes
 */
export function challengeMac(
  hash: ChainHash,
  key: Uint8Array,
  opaque: string,
  seq: number,
  request: RequestIdentity,
): Uint8Array {
  return mac(hash, key, `PC1 challenge\n${opaque}\n${seq}\n${request.callId}\n${request.cseq}`);
}

/**
 * `response` of an answer with a token, docs/PROTOCOL.md §5.
 *
 * @param bodyHash hex(H(body)) in lower case when the answer has `qop=auth-int`
 */
export function responseMac(
  hash: ChainHash,
  key: Uint8Array,
  opaque: string,
  seq: number,
  request: MacRequest,
  bodyHash?: string,
): Uint8Array {
  const body = bodyHash === undefined ? "" : `\n${bodyHash}`;
  return mac(
    hash,
    key,
    `PC1 response\n${opaque}\n${request.method}\n${request.uri}\n${seq}\n${request.callId}\n${request.cseq}${body}`,
  );
}

/** `response` of an answer with `seq=none`, docs/PROTOCOL.md §5. */
export function renewMac(
  hash: ChainHash,
  key: Uint8Array,
  opaque: string,
  request: MacRequest,
  bodyHash?: string,
): Uint8Array {
  const body = bodyHash === undefined ? "" : `\n${bodyHash}`;
  return mac(
    hash,
    key,
    `PC1 renew\n${opaque}\n${request.method}\n${request.uri}\n${request.callId}\n${request.cseq}${body}`,
  );
}

/** The next credential as Proxy-Authentication-Info announces it. */
export interface NextNonce {
  /** hex(N) of the next credential. */
  readonly nonce: string;
  /** Its chain length. */
  readonly chain: number;
}

/** `rspauth` of Proxy-Authentication-Info, docs/PROTOCOL.md §7. Both trailing LFs always stand. */
export function acceptedMac(
  hash: ChainHash,
  key: Uint8Array,
  opaque: string,
  seq: number,
  request: RequestIdentity,
  next?: NextNonce,
): Uint8Array {
  return mac(
    hash,
    key,
    `PC1 accepted\n${opaque}\n${seq}\n${request.callId}\n${request.cseq}\n${next?.nonce ?? ""}\n${
      next?.chain ?? ""
    }`,
  );
}
