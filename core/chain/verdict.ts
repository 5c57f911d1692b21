/** What comes out of looking at a request's PC answer: the closed set of docs/PROTOCOL.md §6. */
export type Verdict =
  | "ok"
  | "no_credentials"
  | "malformed"
  | "stale"
  | "expired"
  | "bad_response"
  | "bad_token"
  | "out_of_range"
  | "replayed"
  | "renew"
  | "forbidden"
  | "unavailable";

/** How a proxy answers a verdict, docs/PROTOCOL.md §6. */
export type VerdictAnswer =
  /** Forward the request. */
  | "forward"
  /** 400, 403 or 503 by `status`. */
  | "refuse"
  /** 407 or 401 with a challenge that has no index. */
  | "bare"
  /** 407 or 401 with `seq` and `auth`. */
  | "guided";

/** One row of the table below. */
export interface VerdictRow {
  readonly answer: VerdictAnswer;
  /** Status of a refusal. */
  readonly status?: 400 | 403 | 503;
  /** The challenge says `stale=true`. */
  readonly stale?: true;
  /** A new credential is taken or asked for before the challenge. */
  readonly renew?: true;
}

/** How each verdict is answered: docs/PROTOCOL.md §4 (stale, renew) and §6 (last paragraphs). */
export const VERDICTS: Readonly<Record<Verdict, VerdictRow>> = {
  ok: { answer: "forward" },
  no_credentials: { answer: "bare" },
  malformed: { answer: "refuse", status: 400 },
  stale: { answer: "bare", stale: true },
  expired: { answer: "bare", stale: true },
  bad_response: { answer: "bare" },
  bad_token: { answer: "guided" },
  out_of_range: { answer: "guided", renew: true },
  replayed: { answer: "guided" },
  renew: { answer: "bare", renew: true },
  forbidden: { answer: "refuse", status: 403 },
  unavailable: { answer: "refuse", status: 503 },
};
