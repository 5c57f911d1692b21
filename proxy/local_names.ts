/** The names under which this proxy is known: its own addresses and the domains that it serves (RFC 3261 §16.3 … §16.5). */
import {
  type Address,
  encodeText,
  equalsIgnoreCase,
  formatAddress,
  type SipUri,
  type Transport,
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

/** A listener as others see it. */
interface Face {
  readonly ipv6: boolean;
  readonly transport: Transport;
  /** The flow of messages that come in there ({@linkcode Address.flow}), as far as it tells the listener. */
  readonly flow: number;
  /** `host:port`, with a transport parameter where it is not UDP: for Record-Route. */
  readonly uri: string;
  /** The start of Via for each transport: a message may leave by a transport that is not listened on. */
  readonly via: Readonly<Record<Transport, string>>;
}

/** Answers whether a URI means this proxy, and what it calls itself towards others. */
export class LocalNames {
  readonly #own: OwnHost[] = [];
  readonly #realms: readonly Realm[];
  readonly #faces: readonly Face[];
  readonly #viaFaces: readonly Face[];

  /**
   * @param listen addresses listened on
   * @param advertise addresses that others see, when they are others: one for all listeners, or one for each transport
   * @param realms served domains
   * @param reply where responses come in, when it is elsewhere
   */
  constructor(
    listen: readonly Address[],
    advertise: readonly Address[],
    realms: readonly string[],
    reply?: ReplyAddresses,
  ) {
    const replies = reply?.all ?? [];
    for (const address of [...listen, ...replies, ...advertise]) this.#addOwn(address);
    const seen = (address: Address) => advertisedAs(address, advertise);
    // Behind an address translation the ports of the listeners and workers are seen under the advertised host.
    for (const address of listen) this.#addOwn(seen(address));
    for (const address of replies) this.#addOwn({ host: seen(address).host, port: address.port });
    this.#realms = realms.map((realm) => ({ realm, bytes: encodeText(realm.toLowerCase()) }));
    this.#faces = listen.map((address, i) => faceOf(address, seen(address), i));
    this.#viaFaces = reply === undefined
      ? this.#faces
      // An advertised port is that of all workers: the worker's own stays.
      : reply.own.map((address, i) =>
        faceOf(address, { host: seen(address).host, port: address.port, transport: address.transport }, i)
      );
  }

  #addOwn(address: Address): void {
    const host = address.host.toLowerCase();
    let own = this.#own.find((known) => known.host === host);
    if (own === undefined) this.#own.push(own = { host, bytes: encodeText(host), ports: new Set() });
    own.ports.add(address.port);
  }

  /**
   * `host:port`, or `host:port;transport=tcp`, for Record-Route towards a target: the listener of its flow, else the first of
   * its transport and address family. Any worker is reached there.
   */
  facing(target: Address): string {
    return faceTowards(this.#faces, target).uri;
  }

  /** `SIP/2.0/UDP host:port` for Via towards a target: where this worker is reached. */
  viaFacing(target: Address): string {
    return faceTowards(this.#viaFaces, target).via[target.transport ?? "udp"];
  }

  /** Whether host and port are an address of this proxy. */
  isOwn(uri: SipUri): boolean {
    const host = uri.host.toLowerCase();
    return hasPort(this.#own.find((own) => own.host === host), uri.port ?? 0);
  }

  /** {@linkcode isOwn} of a URI that was read from bytes. */
  isOwnAt(buffer: Uint8Array, uri: UriView): boolean {
    return this.isOwnHostAt(buffer, uri.hostStart, uri.hostEnd, uri.hasPort ? uri.port : 0);
  }

  /** Whether the host buffer[start, end) and a port (0: none is named) are an address of this proxy. */
  isOwnHostAt(buffer: Uint8Array, start: number, end: number, port: number): boolean {
    return hasPort(this.#hostAt(buffer, start, end), port);
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

/** Without a port a URI means the default port of its transport. */
function hasPort(own: OwnHost | undefined, port: number): boolean {
  if (own === undefined) return false;
  return port === 0 ? own.ports.has(5060) || own.ports.has(5061) : own.ports.has(port);
}

/** An address as it is advertised. An entry without a transport gives its host to all, and its port to UDP and TCP. */
function advertisedAs(address: Address, advertise: readonly Address[]): Address {
  const { transport = "udp", port } = address;
  const ipv6 = address.host.includes(":");
  const suitable = advertise.filter((entry) =>
    entry.transport === undefined || entry.transport === transport
  );
  const entry = suitable.find(({ host }) => host.includes(":") === ipv6) ?? suitable[0];
  if (entry === undefined) return address;
  const general = entry.transport === undefined && transport === "tls";
  return { host: entry.host, port: general ? port : entry.port, transport };
}

/** @param seen how others see the listener */
function faceOf(listener: Address, seen: Address, index: number): Face {
  const { transport = "udp" } = listener;
  const hostPort = formatAddress(seen);
  return {
    ipv6: listener.host.includes(":"),
    transport,
    flow: transport === "udp" ? -1 - index : 0,
    uri: transport === "udp" ? hostPort : `${hostPort};transport=${transport}`,
    via: {
      udp: `SIP/2.0/UDP ${hostPort}`,
      tcp: `SIP/2.0/TCP ${hostPort}`,
      tls: `SIP/2.0/TLS ${hostPort}`,
    },
  };
}

function faceTowards(faces: readonly Face[], target: Address): Face {
  if (faces.length === 1) return faces[0];
  const { flow = 0, transport = "udp" } = target;
  const ipv6 = target.host.includes(":");
  let best = faces[0];
  let bestMatch = -1;
  for (let i = 0; i < faces.length; i++) {
    const face = faces[i];
    const match = (flow < 0 && face.flow === flow ? 8 : 0) + (face.ipv6 === ipv6 ? 2 : 0) +
      (face.transport === transport ? 4 : 0);
    if (match <= bestMatch) continue;
    best = face;
    bestMatch = match;
  }
  return best;
}
