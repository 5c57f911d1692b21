/** SIP, SIPS and other URIs (RFC 3261 §19.1; tel, RFC 3966, is kept opaque). Comparison is in uri_compare.ts. */
import { formatHost } from "./address.ts";

/** `;name` or `;name=value` of a URI, escapes kept. */
export type UriParam = readonly [name: string, value: string | undefined];
/** `name=value` after the "?" of a URI, escapes kept. */
export type UriHeader = readonly [name: string, value: string];

/** A URI in parts. All texts keep their escapes; {@link unescapeUser} takes them out. */
export interface SipUri {
  /** In lower case: "sip", "sips", "tel", … */
  readonly scheme: string;
  /** undefined when there is no "@". */
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** As written, an IPv6 address without its brackets. "" when the scheme is neither sip nor sips. */
  readonly host: string;
  /** undefined when not given. */
  readonly port: number | undefined;
  readonly params: readonly UriParam[];
  readonly headers: readonly UriHeader[];
  /** For schemes other than sip and sips: all that follows the colon. */
  readonly opaque?: string;
}

const USER = /^(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+$/;
const PASSWORD = /^(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*$/;
const PARAM = /^(?:[A-Za-z0-9\-_.!~*'()[\]/:&+$]|%[0-9A-Fa-f]{2})+$/;
const HEADER = /^(?:[A-Za-z0-9\-_.!~*'()[\]/?:+$]|%[0-9A-Fa-f]{2})*$/;
/** The usual form in one step: no password, no parameter but lr, no header, no escape. Only a short cut; see parseUri. */
const PLAIN = /^(sips?):(?:([A-Za-z0-9\-_.!~*'()&=+$,]+)@)?([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(;lr)?$/;
const NO_PAIRS: readonly [] = [];
const LOOSE: readonly UriParam[] = [["lr", undefined]];
const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?$/;

/**
 * Reads a URI; undefined when it is malformed. Another scheme than sip and sips gives `opaque`.
 *
 * @example
 * ```ts
 * import { formatUri, parseUri } from "./uri.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const uri = parseUri("sip:alice:secret@[2001:db8::10]:5070;transport=tcp?subject=x");
 * assertEquals(uri?.user, "alice");
 * assertEquals(uri?.host, "2001:db8::10");
 * assertEquals(uri?.params, [["transport", "tcp"]]);
 * assertEquals(uri && formatUri(uri), "sip:alice:secret@[2001:db8::10]:5070;transport=tcp?subject=x");
 * assertEquals(parseUri("sip:"), undefined);
 * ```
 */
export function parseUri(text: string): SipUri | undefined {
  const plain = PLAIN.exec(text);
  if (plain !== null) {
    const port = plain[4] === undefined ? undefined : Number(plain[4]);
    if (port !== undefined && port > 65535) return undefined;
    return {
      scheme: plain[1],
      user: plain[2],
      password: undefined,
      host: plain[3],
      port,
      params: plain[5] === undefined ? NO_PAIRS : LOOSE,
      headers: NO_PAIRS,
    };
  }
  const colon = text.indexOf(":");
  if (colon < 1 || !/^[A-Za-z][A-Za-z0-9+.-]*$/.test(text.slice(0, colon))) return undefined;
  const scheme = text.slice(0, colon).toLowerCase();
  const rest = text.slice(colon + 1);
  if (scheme !== "sip" && scheme !== "sips") {
    if (!/^[\x21-\x7e]+$/.test(rest) || /[<>"]/.test(rest)) return undefined;
    return {
      scheme,
      user: undefined,
      password: undefined,
      host: "",
      port: undefined,
      params: [],
      headers: [],
      opaque: rest,
    };
  }
  // A user may hold ";" and "?", so look for the "@" first; it is not allowed unescaped anywhere else.
  const at = rest.indexOf("@");
  let user: string | undefined;
  let password: string | undefined;
  if (at >= 0) {
    const userinfo = rest.slice(0, at);
    const mark = userinfo.indexOf(":");
    user = mark < 0 ? userinfo : userinfo.slice(0, mark);
    if (!USER.test(user)) return undefined;
    if (mark >= 0) {
      password = userinfo.slice(mark + 1);
      if (!PASSWORD.test(password)) return undefined;
    }
  }
  const tail = rest.slice(at + 1);
  const question = tail.indexOf("?");
  const [hostport, ...paramTexts] = (question < 0 ? tail : tail.slice(0, question)).split(";");
  const match = HOST_PORT.exec(hostport);
  if (match === null) return undefined;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && port > 65535) return undefined;
  const params = splitPairs(paramTexts, PARAM, PARAM);
  const headers = question < 0 ? [] : splitPairs(tail.slice(question + 1).split("&"), PARAM, HEADER);
  if (params === undefined || headers === undefined || headers.some(([, value]) => value === undefined)) {
    return undefined;
  }
  return {
    scheme,
    user,
    password,
    host: match[1] ?? match[2],
    port,
    params,
    headers: headers as UriHeader[],
  };
}

function splitPairs(texts: string[], nameForm: RegExp, valueForm: RegExp): UriParam[] | undefined {
  const pairs: UriParam[] = [];
  for (const text of texts) {
    const equal = text.indexOf("=");
    const name = equal < 0 ? text : text.slice(0, equal);
    const value = equal < 0 ? undefined : text.slice(equal + 1);
    if (!nameForm.test(name) || (value !== undefined && !valueForm.test(value))) return undefined;
    pairs.push([name, value]);
  }
  return pairs;
}

/** The URI as text. */
export function formatUri(uri: SipUri): string {
  if (uri.opaque !== undefined) return `${uri.scheme}:${uri.opaque}`;
  const userinfo = uri.user === undefined
    ? ""
    : `${uri.user}${uri.password === undefined ? "" : `:${uri.password}`}@`;
  const port = uri.port === undefined ? "" : `:${uri.port}`;
  const params = uri.params.map(([name, value]) => value === undefined ? `;${name}` : `;${name}=${value}`);
  const headers = uri.headers.map(([name, value]) => `${name}=${value}`).join("&");
  return `${uri.scheme}:${userinfo}${formatHost(uri.host)}${port}${params.join("")}${
    headers && `?${headers}`
  }`;
}

/** The value of the first parameter of this name (lower case): "" without a value, undefined when absent. */
export function uriParam(uri: SipUri, name: string): string | undefined {
  for (const [key, value] of uri.params) if (key.toLowerCase() === name) return value ?? "";
  return undefined;
}

/** `text` with its %-escapes taken out as UTF-8; undefined when they are no UTF-8. For users, passwords, parameters. */
export function unescapeUser(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** `text` as a user part: what may not stand there is escaped (RFC 3261 §25.1 user). */
export function escapeUser(text: string): string {
  return encodeURIComponent(text).replace(
    /%(?:26|3D|2B|24|2C|3B|3F|2F)/g,
    (escape) => decodeURIComponent(escape),
  );
}
