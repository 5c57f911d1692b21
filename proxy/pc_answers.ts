/** Which PC answers a request has, before any of them is verified: docs/PROTOCOL.md §2, §6. */
import { HeaderId, PcAnswerView, type SipMessage } from "../mod.ts";
import type { AuthKind } from "./auth_kind.ts";

/** The PC answers of one request for one realm; reusable. */
export class PcAnswers {
  /** How many of {@linkcode views} are of this request. */
  count = 0;
  /** Grows with the requests that have more answers than any before: at most one per header line. */
  readonly views: PcAnswerView[] = [new PcAnswerView()];

  /**
   * Finds the answers. Those for other realms or without a realm, and other schemes, are another proxy's; one that
   * breaks off before its realm could be read counts as ours, so that its sender is told.
   *
   * @param realm UTF-8
   */
  read(message: SipMessage, kind: AuthKind, realm: Uint8Array): void {
    const { views } = this;
    this.count = 0;
    for (let i = message.first(kind.answer); i >= 0; i = message.next(i)) {
      const view = views[this.count];
      if (!view.scan(message.buffer, message.valueStart(i), message.valueEnd(i))) continue;
      const stated = view.realm;
      if (!(stated.present ? stated.equals(realm, 0, realm.length) : view.broken)) continue;
      if (++this.count === views.length) views.push(new PcAnswerView());
    }
  }
}

/** A field of the request that goes into a MAC and may not (docs/PROTOCOL.md §2), since LF joins the fields there. */
export function fieldWithControl(message: SipMessage): string | undefined {
  const { buffer, method } = message;
  const callId = message.first(HeaderId.CALL_ID);
  if (callId >= 0 && hasControl(buffer, message.valueStart(callId), message.valueEnd(callId))) {
    return "Call-ID";
  }
  if (hasControl(buffer, message.requestUriStart, message.requestUriEnd)) return "Request-URI";
  for (let i = 0; i < method.length; i++) {
    const c = method.charCodeAt(i);
    if (c < 0x20 || c === 0x7f) return "method";
  }
  return undefined;
}

function hasControl(buffer: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] < 0x20 || buffer[i] === 0x7f) return true;
  return false;
}
