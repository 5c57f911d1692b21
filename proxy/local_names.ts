/** The names under which this proxy is known: its own addresses and the domains that it serves (RFC 3261 §16.3 … §16.5). */
import { type Address, formatAddress, type SipUri } from "../mod.ts";

/** Answers whether a URI means this proxy. */
export class LocalNames {
  /** Own hosts in lower case, each with its ports. */
  readonly #own = new Map<string, Set<number>>();
  readonly #realms = new Map<string, string>();
  readonly #faces: { readonly ipv6: boolean; readonly text: string }[];

  /**
   * @param listen addresses listened on
   * @param advertise the address that others see, when it is another
   * @param realms served domains
   */
  constructor(
    listen: readonly Address[],
    advertise: Address | undefined,
    private readonly realms: readonly string[],
  ) {
    for (const address of [...listen, ...(advertise === undefined ? [] : [advertise])]) {
      const host = address.host.toLowerCase();
      this.#own.set(host, (this.#own.get(host) ?? new Set()).add(address.port));
    }
    for (const realm of realms) this.#realms.set(realm.toLowerCase(), realm);
    const faces = advertise === undefined ? listen : [advertise];
    this.#faces = faces.map((address) => ({
      ipv6: address.host.includes(":"),
      text: formatAddress(address),
    }));
  }

  /** `host:port` for Via and Record-Route towards a target: that of the same address family. */
  facing(target: Address): string {
    const ipv6 = target.host.includes(":");
    return (this.#faces.find((face) => face.ipv6 === ipv6) ?? this.#faces[0]).text;
  }

  /** Whether host and port are an address of this proxy. */
  isOwn(uri: SipUri): boolean {
    return this.#own.get(uri.host.toLowerCase())?.has(uri.port ?? 5060) ?? false;
  }

  /** Whether a URI names this proxy, or a domain that it serves. */
  isOwnOrServed(uri: SipUri): boolean {
    return this.isOwn(uri) || this.#realms.has(uri.host.toLowerCase());
  }

  /**
   * The served realm of a From host. A phone that knows the proxy by its address alone has that address in From: it
   * belongs to the first realm.
   */
  realmOf(host: string): string | undefined {
    return this.#realms.get(host) ?? (this.#own.has(host) ? this.realms[0] : undefined);
  }
}
