/** Whether a request can be routed at all: RFC 3261 §16.3, what the scanner has not checked already. */
import { encodeText, HeaderId, type SipMessage, type UriView } from "../mod.ts";
import { breadthOf } from "./request_writer.ts";

/** What is looked at, in the order of RFC 3261 §16.3, with what stands behind it. */
export const CHECKS = {
  from: "From can be read (§16.3 step 1)",
  uri: "Request-URI: syntax and scheme (§16.3 steps 1 and 2)",
  hops: "Max-Forwards, and Max-Breadth of RFC 5393 (§16.3 step 3)",
  loop: "no loop, by the branch of RFC 5393 §4.2 (§16.3 step 4)",
  extensions: "Proxy-Require (§16.3 step 5)",
} as const;

/** Why a request is refused. */
export interface Refusal {
  readonly check: keyof typeof CHECKS;
  readonly status: 400 | 416 | 420 | 440 | 482 | 483;
  readonly reason: string | undefined;
  readonly headers: readonly string[];
}

const NO_HEADERS: readonly string[] = [];
/** Schemes that are understood, beside sip and sips: they go to a next hop that knows more (RFC 3966, RFC 5031). */
const OTHER_SCHEMES = ["tel:", "urn:"].map((scheme) => encodeText(scheme));

function refusal(
  check: Refusal["check"],
  status: Refusal["status"],
  reason?: string,
  headers = NO_HEADERS,
): Refusal {
  return { check, status, reason, headers };
}

/** What is wrong with From. @param fault undefined: nothing */
export function fromRefusal(fault: string | undefined): Refusal | undefined {
  return fault === undefined ? undefined : refusal("from", 400, `Bad Request (${fault})`);
}

/**
 * What is wrong with the Request-URI: §16.3 steps 1 and 2.
 *
 * @param uri into which it was read
 * @param isSip whether it is a sip or sips URI
 */
export function uriRefusal(message: SipMessage, uri: UriView, isSip: boolean): Refusal | undefined {
  const { buffer, requestUriStart, requestUriEnd } = message;
  if (isSip) {
    // Headers in a Request-URI are not allowed (§19.1.1).
    return uri.paramsEnd === requestUriEnd
      ? undefined
      : refusal("uri", 400, "Bad Request (headers in Request-URI)");
  }
  const text = message.text(requestUriStart, requestUriEnd);
  if (/^sips?:/i.test(text) || !/^[a-z][a-z0-9+.-]*:/i.test(text)) {
    return refusal("uri", 400, "Bad Request (Request-URI is malformed)");
  }
  for (const scheme of OTHER_SCHEMES) {
    let same = true;
    for (let i = 0; i < scheme.length && same; i++) {
      same = (buffer[requestUriStart + i] | 0x20) === (scheme[i] | 0x20);
    }
    if (same) return undefined;
  }
  return refusal("uri", 416);
}

/** Methods that this proxy may answer in the place of somebody further on: with them Max-Forwards of 0 is no end (§16.3 step 3). */
function isAnswerable(method: string): boolean {
  return method === "OPTIONS" || method === "REGISTER";
}

/** §16.3 step 3, and Max-Breadth (RFC 5393 §5.3.3). */
export function hopsRefusal(message: SipMessage): Refusal | undefined {
  if (message.maxForwards === 0 && !isAnswerable(message.method)) return refusal("hops", 483);
  if (message.first(HeaderId.MAX_BREADTH) < 0) return undefined;
  const breadth = breadthOf(message);
  if (breadth < 0) return refusal("hops", 400, "Bad Request (Max-Breadth is not a number)");
  return breadth === 0 && message.method !== "ACK" && message.method !== "CANCEL"
    ? refusal("hops", 440)
    : undefined;
}

/** §16.3 step 4. */
export function loopRefusal(): Refusal {
  return refusal("loop", 482);
}

/** §16.3 step 5: none of these extensions is known. ACK and CANCEL are not asked (§8.2.2.3, §22.1). */
export function extensionRefusal(message: SipMessage): Refusal | undefined {
  if (message.first(HeaderId.PROXY_REQUIRE) < 0 || message.method === "ACK" || message.method === "CANCEL") {
    return undefined;
  }
  return refusal("extensions", 420, undefined, [
    `Unsupported: ${allValues(message, HeaderId.PROXY_REQUIRE)}`,
  ]);
}

/** The values of all lines of a header, as one list that can stand in a header again. */
function allValues(message: SipMessage, id: HeaderId): string {
  const lines: string[] = [];
  for (let i = message.first(id); i >= 0; i = message.next(i)) {
    lines.push(message.text(message.valueStart(i), message.valueEnd(i)));
  }
  // A CR or LF that ends no line is let through by the scanner.
  // deno-lint-ignore no-control-regex
  return lines.join(", ").replace(/[\x00-\x1f\x7f]+/g, " ");
}
