/**
 * The header values of Digest: challenge (WWW-Authenticate, Proxy-Authenticate: RFC 7616 §3.3) and answer
 * (Authorization, Proxy-Authorization: §3.4) with the SIP rules of RFC 3261 §22.4 and RFC 8760 §2. Parsed fields are
 * values: quotes and quoted-pairs are gone. Parameters that are not known are ignored.
 */
import { AuthFault, AuthFields, type MalformedAuth, parseFields } from "../sip/auth_fields.ts";
import { isHex } from "../hash/hex.ts";
import { type AuthHeader, quote } from "../sip/auth_params.ts";
import { DIGEST_ALGORITHMS, type DigestAlgorithm, RESPONSE_DIGITS } from "./algorithms.ts";
import type { DigestQop } from "./response.ts";

/** `auth-scheme`, compared without regard to case. */
export const DIGEST_SCHEME = "Digest";

/** A Digest answer: the value of an Authorization or Proxy-Authorization header. */
export interface DigestAuthorization {
  /** The user name, or its hash in hexadecimal if `userhash`. */
  readonly username: string;
  readonly userhash: boolean;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  /** Lower-case hexadecimal of the algorithm's length. */
  readonly response: string;
  /** MD5 where the header does not say. */
  readonly algorithm: DigestAlgorithm;
  readonly opaque?: string;
  /** `qop` with what belongs to it; undefined for an answer of the old form. */
  readonly protection?: {
    readonly qop: DigestQop;
    /** Eight digits as written: they go into the response. */
    readonly nc: string;
    /** The value of `nc`, 1 … 2^32 - 1. */
    readonly count: number;
    readonly cnonce: string;
  };
}

/** A Digest challenge. */
export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  readonly algorithm: DigestAlgorithm;
  /** Those known to us, in the order offered; empty for a challenge of the old form (RFC 2617 §3.2.1). */
  readonly qops: readonly DigestQop[];
  readonly opaque?: string;
  readonly stale?: boolean;
  readonly userhash?: boolean;
}

/** The parameters of one Digest value. */
class Fields extends AuthFields {
  constructor(header: AuthHeader, names: ReadonlySet<string>) {
    if (!isDigest(header)) throw new AuthFault("scheme", "is not Digest");
    super(header, names);
  }

  notEmpty(name: string): string {
    const value = this.text(name);
    if (value === "") throw new AuthFault(name, "is empty");
    return value;
  }

  flag(name: string): boolean {
    return this.optional(name)?.toLowerCase() === "true";
  }

  algorithm(): DigestAlgorithm {
    const wanted = (this.optional("algorithm") ?? "MD5").toUpperCase();
    const found = DIGEST_ALGORITHMS.find((name) => name === wanted);
    if (found === undefined) throw new AuthFault("algorithm", "is unknown");
    return found;
  }

  protection(): DigestAuthorization["protection"] {
    const written = this.optional("qop");
    if (written === undefined) return undefined;
    const qop = knownQop(written);
    if (qop === undefined) throw new AuthFault("qop", "is unknown");
    const nc = this.text("nc");
    if (!isHex(nc, 4)) throw new AuthFault("nc", "is not 8 hexadecimal digits");
    const count = parseInt(nc, 16);
    if (count === 0) throw new AuthFault("nc", "is zero");
    return { qop, nc, count, cnonce: this.notEmpty("cnonce") };
  }
}

function knownQop(text: string): DigestQop | undefined {
  const qop = text.trim().toLowerCase();
  return qop === "auth" || qop === "auth-int" ? qop : undefined;
}

/** Whether a header value is of this scheme. */
export function isDigest(header: AuthHeader): boolean {
  return header.scheme.toLowerCase() === "digest";
}

const ANSWER_FIELDS: ReadonlySet<string> = new Set([
  "username",
  "userhash",
  "realm",
  "nonce",
  "uri",
  "response",
  "algorithm",
  "opaque",
  "qop",
  "nc",
  "cnonce",
]);

/**
 * Reads a Digest answer, RFC 7616 §3.4. Whether its nonce, URI, algorithm and qop are those asked for is the
 * business of {@linkcode DigestServer}.
 *
 * @returns the answer, or the field at fault: missing, repeated, unknown, or of a wrong form
 * @example
 * ```ts
 * import { isMalformed, parseAuth, parseDigestAnswer } from "../../mod.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const answer = parseDigestAnswer(parseAuth('Digest username="alice", realm="example.com"'));
 * assert(isMalformed(answer));
 * assertEquals(`${answer.field} ${answer.problem}`, "nonce is missing");
 * ```
 */
export function parseDigestAnswer(header: AuthHeader): DigestAuthorization | MalformedAuth {
  return parseFields(() => {
    const fields = new Fields(header, ANSWER_FIELDS);
    const answer = {
      username: fields.notEmpty("username"),
      userhash: fields.flag("userhash"),
      realm: fields.text("realm"),
      nonce: fields.notEmpty("nonce"),
      uri: fields.notEmpty("uri"),
      response: fields.text("response").toLowerCase(),
      algorithm: fields.algorithm(),
      opaque: fields.optional("opaque"),
      protection: fields.protection(),
    };
    const digits = RESPONSE_DIGITS[answer.algorithm];
    if (!isHex(answer.response, digits / 2)) {
      throw new AuthFault("response", `is not ${digits} hexadecimal digits`);
    }
    return answer;
  });
}

const CHALLENGE_FIELDS: ReadonlySet<string> = new Set([
  "realm",
  "nonce",
  "algorithm",
  "qop",
  "opaque",
  "stale",
  "userhash",
]);

/**
 * Reads a Digest challenge, RFC 7616 §3.3. One with an unknown algorithm comes back as malformed: a client ignores
 * it (§3.3, "algorithm") and looks at the other challenges.
 */
export function parseDigestChallenge(header: AuthHeader): DigestChallenge | MalformedAuth {
  return parseFields(() => {
    const fields = new Fields(header, CHALLENGE_FIELDS);
    const offered = fields.optional("qop");
    const qops = offered === undefined
      ? []
      : offered.split(",").map(knownQop).filter((qop) => qop !== undefined);
    if (offered !== undefined && qops.length === 0) throw new AuthFault("qop", "is unknown");
    return {
      realm: fields.text("realm"),
      nonce: fields.notEmpty("nonce"),
      algorithm: fields.algorithm(),
      qops,
      opaque: fields.optional("opaque"),
      stale: fields.flag("stale"),
      userhash: fields.flag("userhash"),
    };
  });
}

/**
 * Writes an answer without the header name; quoted and unquoted as RFC 7616 §3.4 has it.
 *
 * @throws {TypeError} if a text holds a control character
 */
export function writeDigestAnswer(answer: DigestAuthorization): string {
  const { protection } = answer;
  let text = `${DIGEST_SCHEME} username=${quote(answer.username)}, realm=${quote(answer.realm)}, ` +
    `nonce=${quote(answer.nonce)}, uri=${quote(answer.uri)}, response="${answer.response}", ` +
    `algorithm=${answer.algorithm}`;
  if (protection !== undefined) {
    text += `, cnonce=${quote(protection.cnonce)}, qop=${protection.qop}, nc=${protection.nc}`;
  }
  if (answer.opaque !== undefined) text += `, opaque=${quote(answer.opaque)}`;
  if (answer.userhash) text += ", userhash=true";
  return text;
}

/**
 * Writes a challenge without the header name; quoted and unquoted as RFC 7616 §3.3 has it.
 *
 * @throws {TypeError} if a text holds a control character
 */
export function writeDigestChallenge(challenge: DigestChallenge): string {
  let text = `${DIGEST_SCHEME} realm=${quote(challenge.realm)}, nonce=${quote(challenge.nonce)}`;
  if (challenge.opaque !== undefined) text += `, opaque=${quote(challenge.opaque)}`;
  text += `, algorithm=${challenge.algorithm}`;
  if (challenge.qops.length > 0) text += `, qop="${challenge.qops.join(",")}"`;
  if (challenge.stale) text += ", stale=true";
  if (challenge.userhash) text += ", userhash=true";
  return text;
}
