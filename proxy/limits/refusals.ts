/** Which requests are refused, and why: counted by reason, and told to the operator without secrets. */
import { type Address, formatTransportAddress } from "../../mod.ts";
import { type LogFields, QuietLog } from "../quiet_log.ts";

/** Why: docs/SECURITY.md explains each. */
export const REFUSAL_REASONS = [
  /** The message is malformed, or RFC 3261 §16.3 forbids it. */
  "invalid_message",
  "too_large",
  /** Over `source_rate`: answered with 503, or dropped. */
  "source_rate",
  "source_rate_dropped",
  "user_rate",
  /** Over `max_failures_per_user` or `max_failures_per_source`. */
  "too_many_failures",
  /** No room for another transaction. */
  "overload",
  // Verdicts on answers (docs/PROTOCOL.md §6). Those that honest agents meet in the course of things are none:
  // no_credentials, stale, expired, out_of_range, renew.
  "malformed",
  "bad_response",
  "bad_token",
  "replayed",
  "forbidden",
  "unavailable",
] as const;

/** One of {@linkcode REFUSAL_REASONS}. */
export type RefusalReason = typeof REFUSAL_REASONS[number];

/** Lines of one reason in a second. */
const LINES_PER_SECOND = 10;
/** Longest text from outside in a line, characters. */
const MAX_TEXT = 64;

/** Whether a verdict on an answer is one of {@linkcode REFUSAL_REASONS}. */
export function isRefusal(verdict: string): verdict is RefusalReason {
  return (REFUSAL_REASONS as readonly string[]).includes(verdict);
}

/** A text from outside, not longer than a line can bear. */
export function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** Counts refusals and logs them as `refused`. */
export class Refusals {
  readonly counts: Record<RefusalReason, number> = Object.fromEntries(
    REFUSAL_REASONS.map((reason) => [reason, 0]),
  ) as Record<RefusalReason, number>;
  readonly #log: QuietLog;

  constructor(log: (event: string, fields: LogFields) => void) {
    this.#log = new QuietLog(log, LINES_PER_SECOND);
  }

  /** @param fields makes what else the line says: never a response, token, nonce or password */
  note(reason: RefusalReason, source: Address, now: number, fields: () => LogFields = () => ({})): void {
    this.counts[reason]++;
    this.#log.say(
      "refused",
      () => ({ reason, source: formatTransportAddress(source), ...fields() }),
      now,
      reason,
    );
  }
}
