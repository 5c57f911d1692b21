/** Addresses as shared objects that are found by the bytes of a socket address: no text, no garbage for those known. */
import type { Address } from "../sip/address.ts";
import { parseIpAddress } from "./ip_address.ts";
import {
  AF_INET,
  familyOf,
  hostOf,
  portOf,
  SOCKADDR_IN6_WORDS,
  SOCKADDR_IN_WORDS,
  toSockaddr,
} from "./sockaddr.ts";

/** An address with its form for the system. */
export class Peer implements Address {
  constructor(
    readonly host: string,
    readonly port: number,
    /** `sockaddr_in` or `sockaddr_in6`. */
    readonly sockaddr: Uint32Array,
    readonly flow: number,
  ) {}
}

/** Peers whose hash is the same at this many bits share one set; in it the oldest gives way. */
const WAYS = 8;
/** Sets: a power of two. */
const SETS = 4096;
/** Words of a key: family and port, four of address (IPv4: one), scope. */
const KEY_WORDS = 6;
/** Addresses remembered by their text. */
const MAX_NAMED = 16_384;

/**
 * One object per address. It never holds more than some ten thousand, and a look-up is never longer than one set: a
 * flood of forged sources can only make it forget.
 */
export class PeerTable {
  readonly #keys = new Uint32Array(SETS * WAYS * KEY_WORDS);
  readonly #peers: (Peer | undefined)[] = new Array(SETS * WAYS).fill(undefined);
  /** The place in each set that is taken next. */
  readonly #next = new Uint8Array(SETS);
  readonly #named = new Map<string, Map<number, Peer>>();
  #namedCount = 0;

  /**
   * @param seed any 32-bit number that a sender does not know: the sets differ by it
   * @param flow of them all: see {@linkcode Address.flow}
   */
  constructor(private readonly seed: number, private readonly flow = 0) {}

  /** The object for the socket address at words[at]. */
  fromSockaddr(words: Uint32Array, at: number): Peer {
    const ipv4 = familyOf(words, at) === AF_INET;
    const w0 = words[at];
    const w1 = ipv4 ? words[at + 1] : words[at + 2];
    const w2 = ipv4 ? 0 : words[at + 3];
    const w3 = ipv4 ? 0 : words[at + 4];
    const w4 = ipv4 ? 0 : words[at + 5];
    const w5 = ipv4 ? 0 : words[at + 6];
    let hash = mix(mix(this.seed, w0), w1);
    if (!ipv4) hash = mix(mix(mix(mix(hash, w2), w3), w4), w5);
    const set = hash >>> 16 & (SETS - 1);
    const keys = this.#keys;
    for (let way = 0; way < WAYS; way++) {
      const key = (set * WAYS + way) * KEY_WORDS;
      if (
        keys[key] === w0 && keys[key + 1] === w1 && keys[key + 2] === w2 && keys[key + 3] === w3 &&
        keys[key + 4] === w4 && keys[key + 5] === w5
      ) {
        return this.#peers[set * WAYS + way]!;
      }
    }
    const index = set * WAYS + this.#next[set];
    this.#next[set] = (this.#next[set] + 1) % WAYS;
    keys.set([w0, w1, w2, w3, w4, w5], index * KEY_WORDS);
    const sockaddr = words.slice(at, at + (ipv4 ? SOCKADDR_IN_WORDS : SOCKADDR_IN6_WORDS));
    return this.#peers[index] = new Peer(hostOf(words, at), portOf(words, at), sockaddr, this.flow);
  }

  /** The object for any address; undefined if its host is no IP address. */
  fromAddress(address: Address): Peer | undefined {
    if (address instanceof Peer) return address;
    const { host, port } = address;
    let ports = this.#named.get(host);
    const known = ports?.get(port);
    if (known !== undefined) return known;
    const ip = parseIpAddress(host);
    if (ip === undefined) return undefined;
    if (this.#namedCount >= MAX_NAMED) {
      this.#named.clear();
      this.#namedCount = 0;
      ports = undefined;
    }
    if (ports === undefined) this.#named.set(host, ports = new Map());
    const peer = this.fromSockaddr(toSockaddr(ip, port), 0);
    ports.set(port, peer);
    this.#namedCount++;
    return peer;
  }
}

/** One step of a multiplicative hash. */
function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1);
  return product ^ product >>> 15;
}
