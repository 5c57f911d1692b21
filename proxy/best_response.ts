/** Which final response of several goes back: RFC 3261 §16.7 steps 5 to 7. */
import { HeaderId, type Patch, SipMessage } from "../mod.ts";

/** A final response that a branch has ended with. */
export interface BranchResponse {
  readonly status: number;
  /** The response, without what does not go on of it; undefined for one that was made here, such as 408 after Timer B. */
  readonly bytes: Uint8Array | undefined;
}

/** Within 4xx these come first, since they tell the caller how to do better (§16.7 step 6). */
const HELPFUL: readonly number[] = [401, 407, 415, 420, 484];

/** How good a final response is: the lowest is sent. */
function rank(status: number): number {
  if (status >= 600) return 0;
  const group = Math.floor(status / 100) * 1000;
  if (status === 401 || status === 407) return group;
  if (HELPFUL.includes(status)) return group + 100;
  // A branch that said nothing, and one that would not serve, tell less than any that gave a reason.
  if (status === 408 || status === 503) return group + 900;
  return group + 500;
}

/** Whether `status` is to be sent rather than `than`; of two that are equal the first stays. */
export function isBetter(status: number, than: number): boolean {
  return rank(status) < rank(than);
}

const CHALLENGES = [HeaderId.PROXY_AUTHENTICATE, HeaderId.WWW_AUTHENTICATE] as const;

/** Whether a response asks for credentials. */
export function isChallenge(status: number): boolean {
  return status === 401 || status === 407;
}

/** Adds the challenges of other responses to the one that is sent (§16.7 step 7); those that it has itself stay. */
export function addChallenges(patch: Patch, others: readonly BranchResponse[], chosen: BranchResponse): void {
  const view = new SipMessage();
  for (const other of others) {
    if (other === chosen || other.bytes === undefined || !isChallenge(other.status)) continue;
    view.parse(other.bytes, 0, other.bytes.length);
    for (const id of CHALLENGES) {
      for (let i = view.first(id); i >= 0; i = view.next(i)) {
        patch.insert(patch.message.headersEnd, other.bytes, view.lineStart(i), view.lineEnd(i));
      }
    }
  }
}
