/** Where a request is sent: RFC 3261 §16.5, §16.6 steps 6 and 7, as far as that takes no DNS. */
import {
  type Address,
  AddressBook,
  addressOf,
  encodeText,
  equalsIgnoreCase,
  parseUri,
  type SipMessage,
  type SipUri,
  type Transport,
  uriParam,
  UriView,
} from "../mod.ts";

/**
 * A next hop by URI, or why it cannot be used: the status that says so. With a name as its host, port 0 and no transport mean
 * that none is named (RFC 3263 §4).
 */
export type Destination = Address | { readonly status: 400 | 416 | 500; readonly reason: string };

const MADDR = encodeText("maddr");
const TRANSPORT = encodeText("transport");
const TRANSPORTS: readonly (readonly [Transport, Uint8Array])[] = [
  ["udp", encodeText("udp")],
  ["tcp", encodeText("tcp")],
  ["tls", encodeText("tls")],
];
const DOT = 0x2e;

/** Whether a destination is an address. */
export function isAddress(destination: Destination): destination is Address {
  return "host" in destination;
}

/** The transport of a URI: that of its parameter; TLS for sips; undefined when it names none, false for one unknown. */
function transportOf({ scheme }: SipUri, named: string | undefined): Transport | undefined | false {
  const known = TRANSPORTS.find(([name]) => name === named?.toLowerCase())?.[0];
  if (named !== undefined && known === undefined) return false;
  if (scheme !== "sips") return known;
  // RFC 3261 §26.2.2, §19.1.2: sips over TCP means TLS; UDP would leave it open.
  return known === "udp" ? false : "tls";
}

/**
 * What a URI names: maddr before host (RFC 3261 §19.1.2, RFC 3263 §4).
 *
 * @param sips whether sips is served: by a proxy that can be reached by TLS too
 */
export function uriDestination(uri: SipUri | undefined, sips: boolean): Destination {
  if (uri === undefined) return { status: 500, reason: "Next hop is not a readable URI" };
  if (uri.scheme !== "sip" && !(uri.scheme === "sips" && sips)) {
    return { status: 416, reason: "Unsupported URI Scheme" };
  }
  const transport = transportOf(uri, uriParam(uri, "transport"));
  if (transport === false) {
    return { status: 500, reason: "Next hop asks for a transport other than UDP, TCP and TLS" };
  }
  return addressOf(uriParam(uri, "maddr") ?? uri.host, uri.port ?? 0, transport);
}

/** {@linkcode uriDestination} of a URI in text. */
export function textDestination(text: string, sips: boolean): Destination {
  return uriDestination(parseUri(text), sips);
}

/** The same address over TCP: RFC 3261 §18.1.1. */
export function overTcp({ host, port }: Address): Address {
  return { host, port, transport: "tcp" };
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

  /** @param sips see {@linkcode uriDestination} */
  constructor(private readonly sips: boolean) {}

  /** {@linkcode uriDestination} of a URI in text. */
  ofText(text: string): Destination {
    return textDestination(text, this.sips);
  }

  /** {@linkcode uriDestination} of the URI buffer[start, end). */
  at(message: SipMessage, start: number, end: number): Destination {
    const { buffer } = message;
    const uri = this.#uri;
    const plain = uri.parse(buffer, start, end) && uri.scheme === "sip" && !uri.param(MADDR);
    if (!plain) return this.ofText(message.text(start, end));
    let transport: Transport | undefined;
    if (uri.param(TRANSPORT)) {
      for (let i = 0; i < TRANSPORTS.length && transport === undefined; i++) {
        const [name, bytes] = TRANSPORTS[i];
        if (equalsIgnoreCase(buffer, uri.valueStart, uri.valueEnd, bytes)) transport = name;
      }
      if (transport === undefined) return this.ofText(message.text(start, end));
    }
    return this.#book.at(buffer, uri.hostStart, uri.hostEnd, uri.hasPort ? uri.port : 0, transport);
  }
}
