/** Which `uri` of a Digest answer fits a request: RFC 7616 §3.4.6, RFC 3261 §22.4. */
import { parseUri, sameUri } from "../mod.ts";
import type { LocalNames } from "./local_names.ts";

/**
 * Makes the comparison: a URI that means the same as the Request-URI (RFC 3261 §19.1.4), or one without a user that names
 * this proxy. The second is what SIPp writes unless it is told otherwise (`-auth_uri`); a nonce serves once, so an answer
 * of this form cannot be used for a second request.
 */
export function digestUriMatcher(names: LocalNames): (uri: string, requestUri: string) => boolean {
  return (text, requestText) => {
    const uri = parseUri(text);
    const requestUri = parseUri(requestText);
    if (uri === undefined || requestUri === undefined) return false;
    return sameUri(uri, requestUri) || (uri.user === undefined && names.isOwnOrServed(uri));
  };
}
