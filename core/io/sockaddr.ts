/** `struct sockaddr_in` and `sockaddr_in6` of Linux as 32-bit words, little-endian: x86-64 and arm64 (ip(7), ipv6(7)). */
import { formatIpAddress } from "./ip_address.ts";

/** Address families. */
export const AF_INET = 2;
export const AF_INET6 = 10;
/** Words of `sockaddr_in`: family and port, address, two of padding. */
export const SOCKADDR_IN_WORDS = 4;
/** Words of `sockaddr_in6`: family and port, flow information, four of address, scope. */
export const SOCKADDR_IN6_WORDS = 7;

/** Where the address begins in either structure, in words. */
const IN_ADDRESS = 1;
const IN6_ADDRESS = 2;

/** The family of the address at words[at]. */
export function familyOf(words: Uint32Array, at: number): number {
  return words[at] & 0xffff;
}

/** The port of the address at words[at]; it stands there in network order. */
export function portOf(words: Uint32Array, at: number): number {
  const port = words[at] >>> 16;
  return (port & 0xff) << 8 | port >>> 8;
}

/** The IP address at words[at] as text. */
export function hostOf(words: Uint32Array, at: number): string {
  const ipv4 = familyOf(words, at) === AF_INET;
  const start = words.byteOffset + 4 * (at + (ipv4 ? IN_ADDRESS : IN6_ADDRESS));
  return formatIpAddress(new Uint8Array(words.buffer, start, ipv4 ? 4 : 16));
}

/** The structure for an IP address of 4 or 16 bytes. */
export function toSockaddr(ip: Uint8Array, port: number): Uint32Array {
  const ipv4 = ip.length === 4;
  const words = new Uint32Array(ipv4 ? SOCKADDR_IN_WORDS : SOCKADDR_IN6_WORDS);
  words[0] = (ipv4 ? AF_INET : AF_INET6) | (port & 0xff) << 24 | (port >>> 8) << 16;
  new Uint8Array(words.buffer).set(ip, 4 * (ipv4 ? IN_ADDRESS : IN6_ADDRESS));
  return words;
}
