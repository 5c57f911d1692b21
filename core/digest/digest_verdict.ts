/** What comes out of looking at a request's Digest answer: a closed set. */
export type DigestVerdict =
  /** Right, and a new use of its nonce. */
  | "ok"
  /** No Digest answer for our realm. */
  | "no_credentials"
  /** The header breaks the scheme, was not asked for in this form, or is for another Request-URI. */
  | "malformed"
  /** The nonce is ours but too old. */
  | "stale"
  /** The nonce is not ours, or of an earlier run. */
  | "bad_nonce"
  /** This nonce has been used with this count. */
  | "replayed"
  /** Wrong password or unknown user: not told apart. */
  | "bad_response"
  /** The user name may not be used with this From. */
  | "forbidden"
  /** The answer cannot be checked now: the service with the passwords cannot be reached. */
  | "unavailable";

/** How a server answers a verdict. */
export interface DigestVerdictRow {
  readonly answer: "forward" | "challenge" | "refuse";
  /** Status of a refusal. */
  readonly status?: 400 | 403 | 503;
  /** The challenge says `stale=true`: the client tries again with the same password, without asking its user. */
  readonly stale?: true;
}

/**
 * How each verdict is answered: RFC 7616 §3.3 ("stale"), §5.5; RFC 3261 §22.1 … §22.3.
 *
 * `bad_nonce` says stale too: most of them come from clients that still hold a nonce of the run before. It tells
 * nothing about the password, since the response has not been looked at.
 */
export const DIGEST_VERDICTS: Readonly<Record<DigestVerdict, DigestVerdictRow>> = {
  ok: { answer: "forward" },
  no_credentials: { answer: "challenge" },
  malformed: { answer: "refuse", status: 400 },
  stale: { answer: "challenge", stale: true },
  bad_nonce: { answer: "challenge", stale: true },
  replayed: { answer: "challenge", stale: true },
  bad_response: { answer: "challenge" },
  forbidden: { answer: "refuse", status: 403 },
  unavailable: { answer: "refuse", status: 503 },
};
