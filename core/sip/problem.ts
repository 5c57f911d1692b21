/** What can be wrong with a SIP message, and what a server does about it. */

/**
 * What to do: `drop` (a response, an ACK, or nothing that could be answered), `bad_request` (400), `version` (505),
 * `too_large` (513). RFC 3261 §16.3, §18.3, §8.2, §21.5.7.
 */
export type ProblemCode = "drop" | "bad_request" | "version" | "too_large";

/** A named problem of a message that was read. */
export interface Problem {
  readonly code: ProblemCode;
  /** The status that answers it; 0 when nothing must be sent. */
  readonly status: 0 | 400 | 505 | 513;
  /** The header field or part of the message that is wrong, for example "CSeq" or "Request-URI". */
  readonly field: string;
  /** What is wrong with it, naming the field; plain ASCII without line ends. */
  readonly text: string;
}

const STATUS = { drop: 0, bad_request: 400, version: 505, too_large: 513 } as const;

/** A problem with its status. */
export function problem(code: ProblemCode, field: string, text: string): Problem {
  return { code, status: STATUS[code], field, text };
}

/**
 * The reason phrase of the answer.
 *
 * @example
 * ```ts
 * import { problem, problemReason } from "./problem.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(problemReason(problem("bad_request", "CSeq", "CSeq is missing")), "Bad Request (CSeq is missing)");
 * ```
 */
export function problemReason(problem: Problem): string {
  if (problem.code === "version") return "Version Not Supported";
  return `${problem.code === "too_large" ? "Message Too Large" : "Bad Request"} (${problem.text})`;
}
