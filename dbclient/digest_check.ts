/** Checks Digest answers with the hashes of the subscriber table, without I/O (docs/PROTOCOL.md §9, VERIFY). */
import {
  type DigestAlgorithm,
  type DigestAnswer,
  DigestHasher,
  digestMatches,
  type DigestQop,
  type HashBackend,
  type VerifyStatus,
} from "../mod.ts";
import type { Issuer } from "./issuer.ts";
import { hasControlCharacters } from "./names.ts";
import { HASH_DIGITS, type HashColumn, type Subscriber } from "./subscriber.ts";

/** The column that holds HA1 for each Digest algorithm (RFC 8760). */
const DIGEST_COLUMN: Readonly<Record<DigestAlgorithm, HashColumn>> = {
  "MD5": "ha1",
  "SHA-256": "ha1_sha256",
  "SHA-512-256": "ha1_sha512t256",
};

/** The column to ask for, or undefined when the answer is `malformed` as it stands: then nothing is asked. */
export function digestColumn(answer: DigestAnswer): HashColumn | undefined {
  const { username, realm, algorithm, qop, nc, cnonce, bodyHash } = answer;
  if (hasControlCharacters(username) || hasControlCharacters(realm)) return undefined;
  if (qop !== "" && qop !== "auth" && qop !== "auth-int") return undefined;
  if (qop !== "" && (nc === "" || cnonce === "")) return undefined;
  if (qop === "auth-int" && bodyHash === "") return undefined;
  // RFC 7616 §3.3: without the parameter it is MD5.
  return Object.hasOwn(DIGEST_COLUMN, algorithm || "MD5")
    ? DIGEST_COLUMN[(algorithm || "MD5") as DigestAlgorithm]
    : undefined;
}

/** Checks answers; a user that does not exist costs the same work as one that does. */
export class DigestChecker {
  readonly #hasher: DigestHasher;

  constructor(hashes: HashBackend, private readonly issuer: Issuer) {
    this.#hasher = new DigestHasher(hashes);
  }

  /** @param row what the store gave for {@linkcode digestColumn} of the answer */
  check(answer: DigestAnswer, row: Subscriber | undefined, column: HashColumn): VerifyStatus {
    const { secret, decoy } = this.issuer.secretOf(answer, row, column);
    // A decoy is cut to the length of a real hash: otherwise MD5 would need one block more for it.
    const ha1 = secret.slice(0, HASH_DIGITS[column]);
    const right = digestMatches(this.#hasher, ha1, {
      algorithm: (answer.algorithm || "MD5") as DigestAlgorithm,
      nonce: answer.nonce,
      method: answer.method,
      uri: answer.uri,
      qop: answer.qop === "" ? undefined : answer.qop as DigestQop,
      nc: answer.nc,
      cnonce: answer.cnonce,
      bodyHash: answer.bodyHash.toLowerCase(),
    }, answer.response.toLowerCase());
    return right && !decoy ? "ok" : "wrong";
  }
}
