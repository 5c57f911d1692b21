/** Remembers where the servers of SIP URIs are, as long as DNS says, and asks for each only once at a time. */
import type { Random } from "../random.ts";
import type { Address } from "../sip/address.ts";
import type { DnsSource } from "./records.ts";
import { findSipServers, type LocateOptions, type SipServer, type SipTarget } from "./sip_servers.ts";
import { orderByWeight } from "./srv_order.ts";

/** What a locator needs. */
export interface LocatorOptions extends LocateOptions {
  readonly source: DnsSource;
  readonly random: Random;
  /** The time in ms. */
  now(): number;
  /** Domains remembered at most. Default 10,000. */
  readonly maxNames?: number;
  /** Tells that a name could not be looked up. */
  onFailure?(target: SipTarget, error: unknown): void;
}

/** Gets the addresses to try, in order; none: there is nobody. */
export type Located = (addresses: readonly Address[], now: number) => void;

const MAX_NAMES = 10_000;
/** Requests that may wait for answers, in all: each holds a message. */
const MAX_WAITING = 10_000;
/** How long answers are good at least and at most, ms. */
const MIN_MS = 1000;
const MAX_MS = 3_600_000;
/** That there is nobody is believed so long at most, ms; and that nobody answers, ms. */
const NEGATIVE_MS = 30_000;
const FAILED_MS = 2000;
/** So long after its end an answer is still used when nobody gives a new one (RFC 8767), ms. */
const STALE_MS = 3_600_000;

interface Known {
  servers: readonly SipServer[];
  /** Until when it is good, and until when it may be used in need, ms. */
  until: number;
  staleUntil: number;
  /** Who waits for the question under way; undefined: there is none. */
  waiting: Located[] | undefined;
}

/**
 * The way from names to addresses. What is known is told at once, within the call.
 *
 * @example
 * ```ts ignore
 * const locator = new SipLocator({ source, random, now, transports: ["udp", "tcp"], ipv4: true, ipv6: false });
 * locator.locate({ host: "example.com", port: 0, transport: undefined }, (addresses) => console.log(addresses));
 * ```
 */
export class SipLocator {
  readonly #options: LocatorOptions;
  readonly #known = new Map<string, Known>();
  #waiting = 0;

  constructor(options: LocatorOptions) {
    this.#options = options;
  }

  /** Names that are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /** Finds the addresses of a URI's servers: RFC 3263 §4.1, §4.2, with the weights of RFC 2782 drawn anew each time. */
  locate(target: SipTarget, done: Located): void {
    const { now } = this.#options;
    const key = `${target.transport ?? ""} ${target.host.toLowerCase()} ${target.port}`;
    let known = this.#known.get(key);
    if (known !== undefined && known.until > now()) return done(this.#order(known), now());
    if (this.#waiting >= MAX_WAITING) return done([], now());
    this.#waiting++;
    if (known?.waiting !== undefined) {
      known.waiting.push(done);
      return;
    }
    if (known === undefined) {
      this.#makeRoom();
      known = { servers: [], until: 0, staleUntil: 0, waiting: undefined };
      this.#known.set(key, known);
    }
    known.waiting = [done];
    this.#ask(target, known);
  }

  /** The oldest gives way; those that are waited for come to their end all the same. */
  #makeRoom(): void {
    const { maxNames = MAX_NAMES } = this.#options;
    for (const key of this.#known.keys()) {
      if (this.#known.size < maxNames) break;
      this.#known.delete(key);
    }
  }

  async #ask(target: SipTarget, known: Known): Promise<void> {
    const { source, now, onFailure } = this.#options;
    try {
      const { servers, ttl } = await findSipServers(target, source, this.#options);
      const good = Math.min(Math.max(ttl * 1000, MIN_MS), servers.length === 0 ? NEGATIVE_MS : MAX_MS);
      known.servers = servers;
      known.until = now() + good;
      known.staleUntil = known.until + STALE_MS;
    } catch (error) {
      if (now() > known.staleUntil) known.servers = [];
      known.until = now() + FAILED_MS;
      onFailure?.(target, error);
    }
    const waiting = known.waiting!;
    known.waiting = undefined;
    this.#waiting -= waiting.length;
    for (const done of waiting) done(this.#order(known), now());
  }

  #order({ servers }: Known): readonly Address[] {
    if (servers.length === 1) return servers[0].addresses;
    return orderByWeight(servers, this.#options.random).flatMap(({ addresses }) => addresses);
  }
}
