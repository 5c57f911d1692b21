/** Transport addresses: host and port as text, with IPv6 references in brackets (RFC 3261 §25.1, hostport). */

/** What carries messages: the `transport` of a URI, and in capitals that of Via. */
export type Transport = "udp" | "tcp" | "tls";

/** Where a message comes from or goes to. */
export interface Address {
  /** An IP address or a name, without brackets. */
  readonly host: string;
  /** 0 … 65535. */
  readonly port: number;
  /** UDP when absent. */
  readonly transport?: Transport;
  /**
   * The way that leads back there (RFC 5626 §2, a flow). Above 0: the number of an open connection; below 0: of the
   * UDP listener that a message came in at, counted from -1. 0 or absent: any.
   */
  readonly flow?: number;
  /** The domain that was looked up, for TLS: the certificate has to be good for it (RFC 5922 §4). */
  readonly name?: string;
}

/** Whether messages to an address go over a connection, which loses none (RFC 3261 §17, "reliable transport"). */
export function isReliable({ transport }: Address): boolean {
  return transport !== undefined && transport !== "udp";
}

/** The port of a transport when none is named (RFC 3261 §18.2.1, §19.1.2). */
export function defaultPort(transport: Transport | undefined): number {
  return transport === "tls" ? 5061 : 5060;
}

/** `host` as it stands in a URI or Via: an IPv6 address gets its brackets. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** "host:port" or "[v6]:port". */
export function formatAddress(address: Address): string {
  return `${formatHost(address.host)}:${address.port}`;
}

/**
 * Reads "host", "host:port", "[v6]" or "[v6]:port". Undefined when it is none of these or the port is above 65535.
 *
 * @param text the address
 * @param defaultPort the port when none is given (5060: RFC 3261 §19.1.2)
 * @example
 * ```ts
 * import { parseHostPort } from "./address.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseHostPort("example.com"), { host: "example.com", port: 5060 });
 * assertEquals(parseHostPort("[2001:db8::1]:5070"), { host: "2001:db8::1", port: 5070 });
 * assertEquals(parseHostPort("example.com:x"), undefined);
 * ```
 */
export function parseHostPort(text: string, defaultPort = 5060): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port > 65535) return undefined;
  return { host: match[1] ?? match[2], port };
}

/** Whether two addresses are the same, their transport included; host names without regard to case, flows do not count. */
export function sameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && (a.transport ?? "udp") === (b.transport ?? "udp") &&
    (a.host === b.host || a.host.toLowerCase() === b.host.toLowerCase());
}

/** "udp:host:port", as in `--listen`. */
export function formatTransportAddress(address: Address): string {
  return `${address.transport ?? "udp"}:${formatAddress(address)}`;
}
