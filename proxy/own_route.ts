/** Recognises this proxy in the topmost Route value: RFC 3261 §16.4. */
import { HeaderId, type SipMessage } from "../mod.ts";
import type { LocalNames } from "./local_names.ts";

/** Whether the first Route value is an address of this proxy. */
export function findOwnRoute(message: SipMessage, names: LocalNames): boolean {
  const uri = message.address(HeaderId.ROUTE)?.uri();
  return uri !== undefined && names.isOwn(uri);
}
