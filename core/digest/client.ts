/** The answering side of Digest. */
import { isMalformed, type MalformedAuth } from "../sip/auth_fields.ts";
import { DIGEST_ALGORITHMS, type DigestAlgorithm, type DigestHasher } from "./algorithms.ts";
import { type DigestChallenge, writeDigestAnswer } from "./digest_header.ts";
import { digestHa1, digestResponse, digestUserHash } from "./response.ts";

/** A user's secret: the password, or the HA1 of some algorithms. */
export interface DigestCredentials {
  readonly username: string;
  readonly password?: string;
  /** HA1 in lower-case hexadecimal; used before the password. */
  readonly ha1?: Readonly<Partial<Record<DigestAlgorithm, string>>>;
}

/** What an answer is bound to. */
export interface DigestRequest {
  readonly method: string;
  /** The Request-URI as the server will see it. */
  readonly uri: string;
  /** For auth-int; undefined is the empty body. */
  readonly body?: Uint8Array;
}

/** Whether there is a secret for `algorithm`. */
function canAnswer(credentials: DigestCredentials, algorithm: DigestAlgorithm): boolean {
  return credentials.password !== undefined || credentials.ha1?.[algorithm] !== undefined;
}

/**
 * The strongest challenge that can be answered, of those in one response; of equals the first.
 *
 * RFC 8760 §2.4 takes the topmost unless the client's policy is another: this is the policy, so that a weaker
 * challenge put on top by somebody on the way gains nothing.
 *
 * @param challenges as parsed; malformed ones are passed over
 * @param options.realm only challenges for this realm; a request with several realms is answered for each
 * @param options.weakest answer to nothing weaker than this
 * @param options.credentials only algorithms for which they hold a secret
 * @returns undefined if there is none
 */
export function selectDigest(
  challenges: readonly (DigestChallenge | MalformedAuth)[],
  options: {
    readonly realm?: string;
    readonly weakest?: DigestAlgorithm;
    readonly credentials?: DigestCredentials;
  } = {},
): DigestChallenge | undefined {
  const { realm, weakest = "MD5", credentials } = options;
  let best: DigestChallenge | undefined;
  let strength = DIGEST_ALGORITHMS.indexOf(weakest) - 1;
  for (const challenge of challenges) {
    if (isMalformed(challenge) || (realm !== undefined && challenge.realm !== realm)) continue;
    if (credentials !== undefined && !canAnswer(credentials, challenge.algorithm)) continue;
    const its = DIGEST_ALGORITHMS.indexOf(challenge.algorithm);
    if (its <= strength) continue;
    best = challenge;
    strength = its;
  }
  return best;
}

/**
 * Answers a challenge.
 *
 * `auth` is preferred to `auth-int` where both are offered, since elements on the way may rewrite a body.
 *
 * @param cnonce random text of the client, new for each nonce at least
 * @param nc how often this nonce has been used, this time included: 1 … 2^32 - 1
 * @returns the value of the Proxy-Authorization or Authorization header
 * @throws {TypeError} if the credentials hold no secret for the algorithm, or a text has a control character
 * @throws {RangeError} if `nc` is out of range
 */
export function answerDigest(
  hasher: DigestHasher,
  challenge: DigestChallenge,
  credentials: DigestCredentials,
  request: DigestRequest,
  cnonce: string,
  nc: number,
): string {
  if (!(Number.isInteger(nc) && nc >= 1 && nc <= 0xffffffff)) {
    throw new RangeError(`nc ${nc} is not 1 … 2^32 - 1`);
  }
  const { algorithm, realm, nonce, opaque, qops } = challenge;
  const { username, password } = credentials;
  const ha1 = credentials.ha1?.[algorithm] ??
    (password === undefined ? undefined : digestHa1(hasher, algorithm, username, realm, password));
  if (ha1 === undefined) throw new TypeError(`no secret of ${username} for ${algorithm}`);
  const qop = qops.includes("auth") ? "auth" : qops.at(0);
  const protection = qop && { qop, nc: nc.toString(16).padStart(8, "0"), count: nc, cnonce };
  const bodyHash = qop === "auth-int"
    ? hasher.bytes(algorithm, request.body ?? new Uint8Array(0))
    : undefined;
  const { method, uri } = request;
  const response = digestResponse(hasher, ha1, { algorithm, nonce, method, uri, ...protection, bodyHash });
  const userhash = challenge.userhash === true;
  return writeDigestAnswer({
    username: userhash ? digestUserHash(hasher, algorithm, username, realm) : username,
    userhash,
    realm,
    nonce,
    uri,
    response,
    algorithm,
    opaque,
    protection,
  });
}
