/** Who a source is, for limits: an IPv4 address, or the /64 of an IPv6 address, which is what one site has. */
import { type Address, KeyedHash } from "../../mod.ts";

const GROUPS = 8;
const COLON = 0x3a;
const DOT = 0x2e;
const PERCENT = 0x25;

/** Value of a hexadecimal digit; -1 for other characters. */
function digit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The key of a source as two words of a keyed hash; the same object is read once. Nothing is allocated. */
export class SourceKey {
  low = 0;
  high = 0;
  #host = "";
  readonly #groups = new Uint16Array(GROUPS);

  constructor(private readonly hash: KeyedHash) {}

  /** Reads who sends. @param source its port and transport do not count */
  read({ host }: Address): void {
    // Most often it is the one of before.
    if (host === this.#host) return;
    this.#host = host;
    const { hash } = this;
    hash.begin();
    const ipv4 = dottedDecimal(host, 0);
    if (ipv4 >= 0) this.#ipv4(ipv4);
    else if (host.includes(":")) this.#ipv6(host);
    else for (let i = 0; i < host.length; i++) hash.word(host.charCodeAt(i));
    hash.end();
    this.low = hash.low;
    this.high = hash.high;
  }

  #ipv4(address: number): void {
    this.hash.word(4);
    this.hash.word(address | 0);
  }

  #ipv6(host: string): void {
    const { hash } = this;
    const groups = this.#groups;
    const ipv4 = readGroups(host, groups);
    // An IPv4 address that came in at an IPv6 listener (RFC 4291 §2.5.5.2).
    if (ipv4 >= 0 && groups[0] === 0 && groups[1] === 0 && groups[2] === 0 && groups[3] === 0) {
      return this.#ipv4(ipv4);
    }
    hash.word(6);
    hash.word(groups[0] << 16 | groups[1]);
    hash.word(groups[2] << 16 | groups[3]);
  }
}

/** The address as a number, or -1 when text[start …] is no dotted decimal one. */
function dottedDecimal(text: string, start: number): number {
  let address = 0;
  let part = 0;
  let dots = 0;
  for (let i = start; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === DOT) {
      address = address * 256 + part;
      part = 0;
      dots++;
    } else if (c >= 0x30 && c <= 0x39) part = part * 10 + c - 0x30;
    else return -1;
  }
  return dots === 3 ? address * 256 + part : -1;
}

/** Reads the groups of an IPv6 address. @returns an IPv4 address at its end, or -1 */
function readGroups(text: string, groups: Uint16Array): number {
  groups.fill(0);
  let count = 0;
  let gap = -1;
  let ipv4 = -1;
  for (let i = 0; i < text.length && count < GROUPS;) {
    if (text.charCodeAt(i) === COLON) {
      if (text.charCodeAt(i + 1) === COLON) gap = count;
      i++;
      continue;
    }
    if (text.charCodeAt(i) === PERCENT) break;
    ipv4 = dottedDecimal(text, i);
    if (ipv4 >= 0) {
      count += 2;
      break;
    }
    let group = 0;
    const from = i;
    for (let value = digit(text.charCodeAt(i)); value >= 0; value = digit(text.charCodeAt(++i))) {
      group = group * 16 + value;
    }
    if (i === from) break;
    groups[count++] = group;
  }
  if (gap >= 0 && gap < count && count < GROUPS) {
    groups.copyWithin(GROUPS - (count - gap), gap, count);
    groups.fill(0, gap, GROUPS - (count - gap));
  }
  return ipv4;
}
