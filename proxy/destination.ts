/** Where a request is sent: RFC 3261 §16.5, §16.6 steps 6 and 7, as far as addresses without DNS go. */
import {
  type Address,
  AddressBook,
  encodeText,
  equalsIgnoreCase,
  parseUri,
  type SipMessage,
  type SipUri,
  uriParam,
  UriView,
} from "../mod.ts";

/** A next hop by URI, or why it cannot be used: the status that says so. */
export type Destination = Address | { readonly status: 400 | 416 | 500; readonly reason: string };

const MADDR = encodeText("maddr");
const TRANSPORT = encodeText("transport");
const UDP = encodeText("udp");
const DOT = 0x2e;

/** Whether a destination is an address. */
export function isAddress(destination: Destination): destination is Address {
  return "host" in destination;
}

/** The transport address of a URI: maddr before host, 5060 by default (RFC 3261 §19.1.2, RFC 3263 §4). */
export function uriDestination(uri: SipUri | undefined): Destination {
  if (uri === undefined) return { status: 500, reason: "Next hop is not a readable URI" };
  if (uri.scheme !== "sip") return { status: 416, reason: "Unsupported URI Scheme" };
  const transport = uriParam(uri, "transport")?.toLowerCase() ?? "udp";
  if (transport !== "udp") return { status: 500, reason: "Next hop asks for a transport other than UDP" };
  return { host: uriParam(uri, "maddr") ?? uri.host, port: uri.port ?? 5060 };
}

/** {@linkcode uriDestination} of a URI in text. */
export function textDestination(text: string): Destination {
  return uriDestination(parseUri(text));
}

/** Whether a host is an IP address, so that it needs no look-up. */
export function isIpAddress(host: string): boolean {
  let dots = 0;
  let digits = 0;
  for (let i = 0; i < host.length; i++) {
    const c = host.charCodeAt(i);
    if (c >= 0x30 && c <= 0x39) digits++;
    else if (c === DOT && digits >= 1 && digits <= 3) {
      dots++;
      digits = 0;
    } else return host.includes(":");
  }
  return dots === 3 && digits >= 1 && digits <= 3;
}

/** Finds destinations by the bytes of messages: what was seen before costs no new text or object. */
export class Destinations {
  readonly #book = new AddressBook();
  readonly #uri = new UriView();

  /** {@linkcode uriDestination} of the URI buffer[start, end). */
  at(message: SipMessage, start: number, end: number): Destination {
    const { buffer } = message;
    const uri = this.#uri;
    const plain = uri.parse(buffer, start, end) && uri.scheme === "sip" && !uri.param(MADDR);
    const isUdp = !uri.param(TRANSPORT) || equalsIgnoreCase(buffer, uri.valueStart, uri.valueEnd, UDP);
    if (!plain || !isUdp) return textDestination(message.text(start, end));
    return this.#book.at(buffer, uri.hostStart, uri.hostEnd, uri.hasPort ? uri.port : 5060);
  }
}
