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

/** Where responses reach a worker: see docs/decisions/workers.md. */
export interface ReplyAddresses {
  /** This worker's: one for each address listened on, in the same order. */
  readonly own: readonly Address[];
  /** Those of all workers. */
  readonly all: readonly Address[];
}

/** An address as others see it. */
interface Face {
  readonly ipv6: boolean;
  readonly text: string;
}

/** Answers whether a URI means this proxy. */
export class LocalNames {
  readonly #own: OwnHost[] = [];
  readonly #realms: readonly Realm[];
  readonly #faces: readonly Face[];
  readonly #viaFaces: readonly Face[];

  /**
   * @param listen addresses listened on
   * @param advertise the address that others see, when it is another
   * @param realms served domains
   * @param reply where responses come in, when it is elsewhere
   */
  constructor(
    listen: readonly Address[],
    advertise: Address | undefined,
    realms: readonly string[],
    reply?: ReplyAddresses,
  ) {
    const replies = reply?.all ?? [];
    for (const address of [...listen, ...replies]) this.#addOwn(address);
    // Behind an address translation the ports of the workers are seen under the advertised host.
    if (advertise !== undefined) {
      for (const { port } of [advertise, ...replies]) this.#addOwn({ host: advertise.host, port });
    }
    this.#realms = realms.map((realm) => ({ realm, bytes: encodeText(realm.toLowerCase()) }));
    this.#faces = (advertise === undefined ? listen : [advertise]).map(faceOf);
    this.#viaFaces = reply === undefined ? this.#faces : viaAddresses(reply.own, advertise).map(faceOf);
  }

  #addOwn(address: Address): void {
    const host = address.host.toLowerCase();
    let own = this.#own.find((known) => known.host === host);
    if (own === undefined) this.#own.push(own = { host, bytes: encodeText(host), ports: new Set() });
    own.ports.add(address.port);
  }

  /** `host:port` for Record-Route towards a target: that of the same address family. Any worker is reached there. */
  facing(target: Address): string {
    return facingOf(this.#faces, target);
  }

  /** `host:port` for Via towards a target: where this worker is reached. */
  viaFacing(target: Address): string {
    return facingOf(this.#viaFaces, target);
  }

  /** Whether host and port are an address of this proxy. */
  isOwn(uri: SipUri): boolean {
    const host = uri.host.toLowerCase();
    return this.#own.find((own) => own.host === host)?.ports.has(uri.port ?? 5060) ?? false;
  }

  /** {@linkcode isOwn} of a URI that was read from bytes. */
  isOwnAt(buffer: Uint8Array, uri: UriView): boolean {
    return this.isOwnHostAt(buffer, uri.hostStart, uri.hostEnd, uri.hasPort ? uri.port : 5060);
  }

  /** Whether the host buffer[start, end) and a port are an address of this proxy. */
  isOwnHostAt(buffer: Uint8Array, start: number, end: number, port: number): boolean {
    return this.#hostAt(buffer, start, end)?.ports.has(port) ?? false;
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

function faceOf(address: Address): Face {
  return { ipv6: address.host.includes(":"), text: formatAddress(address) };
}

function facingOf(faces: readonly Face[], target: Address): string {
  if (faces.length === 1) return faces[0].text;
  const ipv6 = target.host.includes(":");
  return (faces.find((face) => face.ipv6 === ipv6) ?? faces[0]).text;
}

/** With an advertised host that has the port of the same address family, or of the first when it is a name. */
function viaAddresses(own: readonly Address[], advertise: Address | undefined): readonly Address[] {
  if (advertise === undefined) return own;
  const ipv6 = advertise.host.includes(":");
  const { port } = own.find(({ host }) => host.includes(":") === ipv6) ?? own[0];
  return [{ host: advertise.host, port }];
}
