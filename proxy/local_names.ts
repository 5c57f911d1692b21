/** The names under which this proxy is known: its own addresses and the domains that it serves (RFC 3261 §16.3 … §16.5). */
import {
  type Address,
  encodeText,
  equalsIgnoreCase,
  formatAddress,
  type SipUri,
  type UriView,
} from "../mod.ts";

/** A host with the bytes by which it is found in messages. */
interface OwnHost {
  readonly host: string;
  readonly bytes: Uint8Array;
  readonly ports: Set<number>;
}

/** A served domain as it was configured, and its bytes in lower case. */
interface Realm {
  readonly realm: string;
  readonly bytes: Uint8Array;
}

/** Answers whether a URI means this proxy. */
export class LocalNames {
  readonly #own: OwnHost[] = [];
  readonly #realms: readonly Realm[];
  readonly #faces: { readonly ipv6: boolean; readonly text: string }[];
  readonly #oneFace: boolean;

  /**
   * @param listen addresses listened on
   * @param advertise the address that others see, when it is another
   * @param realms served domains
   */
  constructor(listen: readonly Address[], advertise: Address | undefined, realms: readonly string[]) {
    for (const address of [...listen, ...(advertise === undefined ? [] : [advertise])]) {
      const host = address.host.toLowerCase();
      let own = this.#own.find((known) => known.host === host);
      if (own === undefined) this.#own.push(own = { host, bytes: encodeText(host), ports: new Set() });
      own.ports.add(address.port);
    }
    this.#realms = realms.map((realm) => ({ realm, bytes: encodeText(realm.toLowerCase()) }));
    const faces = advertise === undefined ? listen : [advertise];
    this.#faces = faces.map((address) => ({
      ipv6: address.host.includes(":"),
      text: formatAddress(address),
    }));
    this.#oneFace = this.#faces.length === 1;
  }

  /** `host:port` for Via and Record-Route towards a target: that of the same address family. */
  facing(target: Address): string {
    if (this.#oneFace) return this.#faces[0].text;
    const ipv6 = target.host.includes(":");
    return (this.#faces.find((face) => face.ipv6 === ipv6) ?? this.#faces[0]).text;
  }

  /** Whether host and port are an address of this proxy. */
  isOwn(uri: SipUri): boolean {
    const host = uri.host.toLowerCase();
    return this.#own.find((own) => own.host === host)?.ports.has(uri.port ?? 5060) ?? false;
  }

  /** {@linkcode isOwn} of a URI that was read from bytes. */
  isOwnAt(buffer: Uint8Array, uri: UriView): boolean {
    return this.#hostAt(buffer, uri.hostStart, uri.hostEnd)?.ports.has(uri.hasPort ? uri.port : 5060) ??
      false;
  }

  /** Whether a URI names this proxy, or a domain that it serves. */
  isOwnOrServed(uri: SipUri): boolean {
    const host = uri.host.toLowerCase();
    return this.isOwn(uri) || this.#realms.some(({ realm }) => realm.toLowerCase() === host);
  }

  /** {@linkcode isOwnOrServed} of a URI that was read from bytes. */
  isOwnOrServedAt(buffer: Uint8Array, uri: UriView): boolean {
    return this.isOwnAt(buffer, uri) || this.#servedAt(buffer, uri.hostStart, uri.hostEnd) !== undefined;
  }

  /**
   * The served realm of the From host buffer[start, end). A phone that knows the proxy by its address alone has that
   * address in From: it belongs to the first realm.
   */
  realmAt(buffer: Uint8Array, start: number, end: number): string | undefined {
    const served = this.#servedAt(buffer, start, end);
    if (served !== undefined) return served;
    return this.#hostAt(buffer, start, end) === undefined ? undefined : this.#realms[0]?.realm;
  }

  #servedAt(buffer: Uint8Array, start: number, end: number): string | undefined {
    const realms = this.#realms;
    for (let i = 0; i < realms.length; i++) {
      if (equalsIgnoreCase(buffer, start, end, realms[i].bytes)) return realms[i].realm;
    }
    return undefined;
  }

  #hostAt(buffer: Uint8Array, start: number, end: number): OwnHost | undefined {
    const own = this.#own;
    for (let i = 0; i < own.length; i++) {
      if (equalsIgnoreCase(buffer, start, end, own[i].bytes)) return own[i];
    }
    return undefined;
  }
}
