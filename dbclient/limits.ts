/** What one proxy, one address and all together may take of a DBclient. Without I/O. */
import { MAX_FRAME_LENGTH, MAX_ITEMS, parseIpAddress, toHex } from "../mod.ts";

/** Limits of one process that serves proxies. */
export interface LinkLimits {
  /** Connections at once. */
  readonly connections: number;
  /** Connections at once from one address (IPv6: from one /64). */
  readonly connectionsPerAddress: number;
  /** The largest value of a frame's length field. */
  readonly frameBytes: number;
  /** Requests of one proxy's connection without an answer. */
  readonly framesInFlight: number;
  /** Users and Digest answers that one proxy's name may ask for in a second. */
  readonly usersPerSecond: number;
  /** From the connection to the end of the handshake, that of TLS included, ms. */
  readonly handshakeMs: number;
  /** Silence after which a proxy counts as gone, ms; after half of it it is sent a PING. */
  readonly idleMs: number;
  /** A proxy that takes no byte for so long is cut off, ms. */
  readonly writeMs: number;
  /** A proxy for which more bytes wait is cut off; with a quarter of them waiting nothing more is read from it. */
  readonly sendBufferBytes: number;
}

/** The limits where nothing else is said. */
export const DEFAULT_LIMITS: LinkLimits = {
  connections: 1024,
  connectionsPerAddress: 256,
  frameBytes: MAX_FRAME_LENGTH,
  framesInFlight: 4096,
  usersPerSecond: 200_000,
  handshakeMs: 5_000,
  idleMs: 60_000,
  writeMs: 10_000,
  sendBufferBytes: 4 << 20,
};

/** A bucket that nobody has taken from for so long is full, and need not be kept, ms. */
const FULL_MS = 1000;

/** A token bucket for each proxy: a second's worth of users at once, and one full frame in any case. */
export class UserRates {
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** @param perSecond users and Digest answers */
  constructor(private readonly perSecond: number) {}

  /** Takes so many users of a proxy, or none when there are too few left. */
  take(proxy: string, count: number, now: number): boolean {
    const most = Math.max(this.perSecond, MAX_ITEMS);
    const bucket = this.#buckets.get(proxy) ?? { left: most, at: now };
    bucket.left = Math.min(most, bucket.left + (now - bucket.at) * this.perSecond / 1000);
    bucket.at = now;
    this.#buckets.set(proxy, bucket);
    if (bucket.left < count) return false;
    bucket.left -= count;
    return true;
  }

  /** Forgets the buckets that are full again: names that need no key are without end. */
  forgetFull(now: number): void {
    const full = FULL_MS * Math.max(1, MAX_ITEMS / this.perSecond);
    for (const [proxy, { at }] of this.#buckets) if (now - at >= full) this.#buckets.delete(proxy);
  }
}

/**
 * Whom an address belongs to, as far as can be told: an IPv4 address itself, of an IPv6 address the first 64 bits, since
 * a site is given as many (RFC 6177 §2).
 */
export function addressGroup(host: string): string {
  const bytes = parseIpAddress(host);
  return bytes === undefined || bytes.length === 4 ? host : toHex(bytes.subarray(0, 8));
}
