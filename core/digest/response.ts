/** The computations of RFC 7616 §3.4: HA1, user hash and response. */
import { equalText } from "../hash/equal.ts";
import type { DigestAlgorithm, DigestHasher } from "./algorithms.ts";

/** `qop` values of RFC 7616 §3.4 */
export type DigestQop = "auth" | "auth-int";

/** HA1 = H(username ":" realm ":" password) in hexadecimal, RFC 7616 §3.4.2: what subscriber tables keep. */
export function digestHa1(
  hasher: DigestHasher,
  algorithm: DigestAlgorithm,
  username: string,
  realm: string,
  password: string,
): string {
  return hasher.text(algorithm, `${username}:${realm}:${password}`);
}

/** H(username ":" realm), which stands for the user name where `userhash=true`, RFC 7616 §3.4.4. */
export function digestUserHash(
  hasher: DigestHasher,
  algorithm: DigestAlgorithm,
  username: string,
  realm: string,
): string {
  return hasher.text(algorithm, `${username}:${realm}`);
}

/** What `response` is computed from, besides HA1. */
export interface DigestInput {
  readonly algorithm: DigestAlgorithm;
  readonly nonce: string;
  readonly method: string;
  readonly uri: string;
  /** undefined: the form without qop of RFC 2617 §3.2.2.1; `nc` and `cnonce` are then not used. */
  readonly qop?: DigestQop;
  /** The eight digits as they are written in the header. */
  readonly nc?: string;
  readonly cnonce?: string;
  /** H(body) in hexadecimal for auth-int, of the empty body if there is none. */
  readonly bodyHash?: string;
}

/**
 * `response`, RFC 7616 §3.4.1 and §3.4.3.
 *
 * With the empty text as method this is `rspauth` (§3.5).
 *
 * @param ha1 HA1 in lower-case hexadecimal
 * @throws {TypeError} if `nc`, `cnonce` or `bodyHash` is missing where `qop` needs it
 * @example
 * ```ts
 * import { digestHa1, DigestHasher, digestResponse, loadHashBackend } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const hasher = new DigestHasher((await loadHashBackend()).backend);
 * const ha1 = digestHa1(hasher, "MD5", "Mufasa", "testrealm@host.com", "Circle Of Life");
 * const response = digestResponse(hasher, ha1, {
 *   algorithm: "MD5",
 *   nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
 *   method: "GET",
 *   uri: "/dir/index.html",
 *   qop: "auth",
 *   nc: "00000001",
 *   cnonce: "0a4f113b",
 * });
 * assertEquals(response, "6629fae49393a05397450978507c4ef1"); // RFC 2617 §3.5
 * ```
 */
export function digestResponse(hasher: DigestHasher, ha1: string, input: DigestInput): string {
  const { algorithm, nonce, method, uri, qop, nc, cnonce, bodyHash } = input;
  let a2 = `${method}:${uri}`;
  if (qop === "auth-int") {
    if (bodyHash === undefined) throw new TypeError("auth-int needs the hash of the body");
    a2 += `:${bodyHash}`;
  }
  const ha2 = hasher.text(algorithm, a2);
  if (qop === undefined) return hasher.text(algorithm, `${ha1}:${nonce}:${ha2}`);
  if (nc === undefined || cnonce === undefined) throw new TypeError(`qop ${qop} needs nc and cnonce`);
  return hasher.text(algorithm, `${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`);
}

/** Whether `response` (lower-case hexadecimal) is right, in constant time. Throws as {@linkcode digestResponse}. */
export function digestMatches(
  hasher: DigestHasher,
  ha1: string,
  input: DigestInput,
  response: string,
): boolean {
  return equalText(digestResponse(hasher, ha1, input), response);
}
