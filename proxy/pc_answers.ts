/** Which PC answers a request has, before any of them is verified: docs/PROTOCOL.md §2, §6. */
import { type AuthHeader, parseAuthAt, PC_SCHEME, type SipMessage } from "../mod.ts";
import type { AuthKind } from "./auth_kind.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;

/**
 * The PC answers for one realm. Those for other realms or without a realm, and other schemes, are another proxy's;
 * one that breaks off before its realm could be read counts as ours, so that its sender is told.
 */
export function ownAnswers(message: SipMessage, kind: AuthKind, realm: string): AuthHeader[] {
  const own: AuthHeader[] = [];
  for (let i = message.first(kind.answer); i >= 0; i = message.next(i)) {
    const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
    if (header.scheme.toUpperCase() !== PC_SCHEME) continue;
    const stated = header.params.find(([name]) => name === "realm")?.[1];
    if (stated === realm || (stated === undefined && header.error !== undefined)) own.push(header);
  }
  return own;
}

/** A field of the request that goes into a MAC and may not (docs/PROTOCOL.md §2), since LF joins the fields there. */
export function fieldWithControl(message: SipMessage): string | undefined {
  if (CONTROL.test(message.callId)) return "Call-ID";
  if (CONTROL.test(message.requestUri)) return "Request-URI";
  return CONTROL.test(message.method) ? "method" : undefined;
}

/** The user name that an answer states. */
export function usernameOf(answer: AuthHeader): string | undefined {
  return answer.params.find(([name]) => name === "username")?.[1];
}
