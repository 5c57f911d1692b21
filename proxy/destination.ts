/** Where a request is sent: RFC 3261 §16.5, §16.6 steps 6 and 7, as far as addresses without DNS go. */
import {
  type Address,
  HeaderId,
  type NameAddrView,
  parseUri,
  type SipMessage,
  type SipUri,
  uriParam,
} from "../mod.ts";

/** A next hop by URI, or why it cannot be used: the status that says so. */
export type Destination = Address | { readonly status: 416 | 500; readonly reason: string };

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

/** {@linkcode uriDestination} of a Route value. */
export function routeDestination(route: NameAddrView): Destination {
  return uriDestination(route.uri());
}

/** Whether a host is an IP address, so that it needs no look-up. */
export function isIpAddress(host: string): boolean {
  return /^[0-9]{1,3}(\.[0-9]{1,3}){3}$/.test(host) || host.includes(":");
}

/**
 * Where a request goes: RFC 3261 §16.6 steps 6 and 7.
 *
 * @param ownRoute whether the first Route value is this proxy's own, which does not count
 * @param chosen what the route chose; a Route value left in the request goes before it
 * @returns the address of the next Route value, else what was chosen, else that of the Request-URI
 */
export function requestDestination(
  message: SipMessage,
  ownRoute: boolean,
  chosen: Destination | undefined,
): Destination {
  const routes = message.values(HeaderId.ROUTE);
  if (ownRoute) routes.advance();
  if (routes.advance()) {
    const route = message.address(HeaderId.ROUTE);
    if (route?.parse(message.buffer, routes.start, routes.end)) return routeDestination(route);
    return { status: 500, reason: "Route has no readable URI" };
  }
  return chosen ?? textDestination(message.requestUri);
}
