/** Requests whose Request-URI is not the one that was meant: RFC 3261 §16.4. */
import {
  formatUri,
  HeaderId,
  NameAddrView,
  parseUri,
  Patch,
  setRequestUri,
  SipMessage,
  uriParam,
} from "../mod.ts";
import type { LocalNames } from "./local_names.ts";

/** What tells one transport address from another in a URI with maddr. */
const ADDRESS_PARAMS: readonly string[] = ["maddr", "transport"];

function rewritten(patch: Patch): SipMessage {
  const bytes = patch.toBytes();
  const message = new SipMessage();
  message.parse(bytes, 0, bytes.length);
  return message;
}

/**
 * Undoes what a strict router has done to a request whose Request-URI is this proxy's Record-Route value: the last value of
 * Route becomes the Request-URI again. A copy; the same message when that value cannot be read.
 */
export function withoutStrictRouter(message: SipMessage): SipMessage {
  const values = message.values(HeaderId.ROUTE);
  let line = -1;
  let start = 0;
  let end = 0;
  while (values.advance()) {
    line = values.header;
    start = values.start;
    end = values.end;
  }
  const value = new NameAddrView();
  if (line < 0 || !value.parse(message.buffer, start, end)) return message;
  const patch = new Patch().begin(message);
  setRequestUri(patch, value.uriText);
  patch.removeValue(line, start);
  return rewritten(patch);
}

/**
 * Takes `maddr`, with the port and transport that belong to it, out of a Request-URI whose `maddr` is an address of this proxy.
 * A copy; the same message when it is another's.
 */
export function ownRequestUri(message: SipMessage, names: LocalNames): SipMessage {
  const uri = parseUri(message.requestUri);
  const maddr = uri === undefined ? undefined : uriParam(uri, "maddr");
  if (uri === undefined || maddr === undefined) return message;
  if (!names.isOwnOrServed({ ...uri, host: maddr.replace(/^\[(.*)\]$/, "$1") })) return message;
  const params = uri.params.filter(([name]) => !ADDRESS_PARAMS.includes(name.toLowerCase()));
  const patch = new Patch().begin(message);
  setRequestUri(patch, formatUri({ ...uri, port: undefined, params }));
  return rewritten(patch);
}

/**
 * A copy with another Request-URI.
 *
 * @throws {TypeError} when it is no sip or sips URI
 */
export function withRequestUri(message: SipMessage, uri: string): SipMessage {
  const scheme = parseUri(uri)?.scheme;
  if (scheme !== "sip" && scheme !== "sips") {
    throw new TypeError(`seturi: ${JSON.stringify(uri)} is no SIP URI`);
  }
  const patch = new Patch().begin(message);
  setRequestUri(patch, uri);
  return rewritten(patch);
}
