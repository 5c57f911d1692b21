/** The names under which this proxy is known: its own addresses and the domains that it serves (RFC 3261 §16.3 … §16.5). */
import { type Address, formatAddress, type SipUri } from "../mod.ts";

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
  /** Own hosts in lower case, each with its ports. */
  readonly #own = new Map<string, Set<number>>();
  readonly #realms = new Map<string, string>();
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
    private readonly realms: readonly string[],
    reply?: ReplyAddresses,
  ) {
    const replies = reply?.all ?? [];
    for (const address of [...listen, ...replies]) this.#addOwn(address);
    // Behind an address translation the ports of the workers are seen under the advertised host.
    if (advertise !== undefined) {
      for (const { port } of [advertise, ...replies]) this.#addOwn({ host: advertise.host, port });
    }
    for (const realm of realms) this.#realms.set(realm.toLowerCase(), realm);
    this.#faces = (advertise === undefined ? listen : [advertise]).map(faceOf);
    this.#viaFaces = reply === undefined ? this.#faces : viaAddresses(reply.own, advertise).map(faceOf);
  }

  #addOwn({ host, port }: Address): void {
    const name = host.toLowerCase();
    this.#own.set(name, (this.#own.get(name) ?? new Set()).add(port));
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

function faceOf(address: Address): Face {
  return { ipv6: address.host.includes(":"), text: formatAddress(address) };
}

function facingOf(faces: readonly Face[], target: Address): string {
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
