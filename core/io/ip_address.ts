/** IP addresses between text and bytes: dotted decimal, and RFC 4291 §2.2 in the canonical form of RFC 5952. */

const GROUPS = 8;

/** The four bytes of a dotted decimal address; undefined if the text is none. */
function parseIpv4(text: string): Uint8Array | undefined {
  const match = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(text);
  if (match === null) return undefined;
  const numbers = match.slice(1).map(Number);
  return numbers.every((number) => number <= 255) ? Uint8Array.from(numbers) : undefined;
}

/** 16-bit groups between the colons of one side of a "::"; undefined if one is malformed. */
function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    const ipv4 = i === parts.length - 1 && part.includes(".") ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(ipv4[0] << 8 | ipv4[1], ipv4[2] << 8 | ipv4[3]);
    else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  const head = parseGroups(sides[0]);
  const tail = sides.length === 2 ? parseGroups(sides[1]) : [];
  if (head === undefined || tail === undefined) return undefined;
  // An embedded IPv4 address ends the text, so it cannot stand in front of "::".
  if (sides.length === 2 && sides[0].includes(".")) return undefined;
  const missing = GROUPS - head.length - tail.length;
  // "::" stands for one group of zeros at least.
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/**
 * The bytes of an IP address in text: 4 of an IPv4, 16 of an IPv6 address (without brackets and zone).
 *
 * @returns undefined if the text is no IP address
 * @example
 * ```ts
 * import { parseIpAddress } from "./ip_address.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseIpAddress("192.0.2.1"), Uint8Array.of(192, 0, 2, 1));
 * assertEquals(parseIpAddress("example.com"), undefined);
 * ```
 */
export function parseIpAddress(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** The text of an IP address of 4 or 16 bytes, in the form that Deno gives it (RFC 5952 §4 and §5). */
export function formatIpAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 2 * GROUPS; i += 2) groups.push(bytes[i] << 8 | bytes[i + 1]);
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${bytes.subarray(12).join(".")}`;
  }
  // The longest run of zeros, the first of equals, becomes "::"; a single zero does not.
  let start = 0;
  let length = 1;
  for (let i = 0; i < GROUPS; i++) {
    let end = i;
    while (end < GROUPS && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  const hex = groups.map((group) => group.toString(16));
  if (length === 1) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}
