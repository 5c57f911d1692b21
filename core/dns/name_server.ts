/** Addresses of name servers. */
import { type Address, parseHostPort } from "../sip/address.ts";
import { parseIpAddress } from "../io/ip_address.ts";

/** RFC 1035 §4.2. */
export const DNS_PORT = 53;

/** "ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT" of a name server; undefined when it is none. */
export function parseNameServer(text: string): Address | undefined {
  if (parseIpAddress(text) !== undefined) return { host: text, port: DNS_PORT };
  const address = parseHostPort(text, DNS_PORT);
  return address !== undefined && parseIpAddress(address.host) !== undefined ? address : undefined;
}
