/** Which requests are refused, and why: counted by reason, and told to the operator without secrets. */
import { type Address, type DigestVerdict, formatTransportAddress, type Verdict } from "../../mod.ts";
import type { RefusalReason } from "../counters.ts";
import { type LogFields, QuietLog } from "../quiet_log.ts";

/** Lines of one reason in a second. */
const LINES_PER_SECOND = 10;
/** Longest text from outside in a line, characters. */
const MAX_TEXT = 64;

const OF_VERDICTS: { readonly [verdict in Verdict | DigestVerdict]?: RefusalReason } = {
  malformed: "bad_answer",
  bad_response: "bad_response",
  bad_token: "bad_token",
  replayed: "replayed",
  forbidden: "forbidden",
  unavailable: "unavailable",
};

/** The reason that a verdict on an answer is; undefined for those that honest agents meet too. */
export function refusalOfVerdict(verdict: Verdict | DigestVerdict): RefusalReason | undefined {
  return OF_VERDICTS[verdict];
}

/** A text from outside, not longer than a line can bear. */
export function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** Counts refusals and logs them as `refused`. */
export class Refusals {
  readonly #log: QuietLog;

  constructor(
    private readonly counts: Record<RefusalReason, number>,
    log: (event: string, fields: LogFields) => void,
  ) {
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
