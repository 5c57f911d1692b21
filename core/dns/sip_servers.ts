/** Where the servers of a SIP URI are: RFC 3263 §4, the client's side. */
import { type Address, defaultPort, type Transport } from "../sip/address.ts";
import { parseIpAddress } from "../io/ip_address.ts";
import type { DnsAnswer, DnsSource, SrvRecord } from "./records.ts";
import type { Weighted } from "./srv_order.ts";

/** What a URI says of its server. */
export interface SipTarget {
  /** A domain or an IP address. */
  readonly host: string;
  /** 0: none is given. */
  readonly port: number;
  /** Undefined: none is given. */
  readonly transport: Transport | undefined;
}

/** A server with its addresses. */
export interface SipServer extends Weighted {
  /** In the order in which they are tried. */
  readonly addresses: readonly Address[];
}

/** The servers of a domain. */
export interface SipServers {
  /** None: there is no such domain, or it has none for SIP. */
  readonly servers: readonly SipServer[];
  /** How long this is good, s. */
  readonly ttl: number;
}

/** What can be used. */
export interface LocateOptions {
  /** Transports in the order of preference. */
  readonly transports: readonly Transport[];
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** SRV targets looked up for one domain, and addresses of each. */
const MAX_TARGETS = 16;
const MAX_ADDRESSES = 8;
/** With nothing to go by, s. */
const NO_TTL = 86_400;
/** How the transports are named in NAPTR (RFC 3263 §4.1) and in SRV. */
const SERVICES: Readonly<Record<Transport, { naptr: string; srv: string }>> = {
  udp: { naptr: "SIP+D2U", srv: "_sip._udp." },
  tcp: { naptr: "SIP+D2T", srv: "_sip._tcp." },
  tls: { naptr: "SIPS+D2T", srv: "_sips._tcp." },
};

/**
 * Finds the servers of a domain.
 *
 * @throws {Error} (rejects) when nobody answers
 */
export async function findSipServers(
  target: SipTarget,
  source: DnsSource,
  options: LocateOptions,
): Promise<SipServers> {
  return await new Search(target, source, options).run();
}

/** One search, with the shortest life of all answers that it used. */
class Search {
  #ttl = NO_TTL;

  constructor(
    private readonly target: SipTarget,
    private readonly source: DnsSource,
    private readonly options: LocateOptions,
  ) {}

  async run(): Promise<SipServers> {
    const servers = await this.#servers();
    return { servers, ttl: this.#ttl };
  }

  async #servers(): Promise<SipServer[]> {
    const { host, port, transport } = this.target;
    if (parseIpAddress(host) !== undefined || port !== 0) {
      // §4.1: a port or a numeric host without a transport means UDP.
      return await this.#host(host, port, transport ?? "udp", 0, 0);
    }
    if (transport !== undefined) {
      return await this.#service(SERVICES[transport].srv + host, transport) ??
        await this.#host(host, 0, transport, 0, 0);
    }
    return await this.#byNaptr() ?? await this.#bySrv() ?? await this.#host(host, 0, "udp", 0, 0);
  }

  /** §4.1: the most preferred service that can be used; undefined when the domain names none. */
  async #byNaptr(): Promise<SipServer[] | undefined> {
    const { records } = await this.#query(this.target.host, "NAPTR");
    const usable = records.flatMap((record) => {
      const services = record.services.toUpperCase();
      const transport = this.options.transports.find((one) => SERVICES[one].naptr === services);
      const good = transport !== undefined && record.flags.toLowerCase() === "s" && record.regexp === "";
      return good ? [{ ...record, transport }] : [];
    });
    usable.sort((a, b) => a.order - b.order || a.preference - b.preference);
    for (const { replacement, transport } of usable.slice(0, MAX_TARGETS)) {
      const servers = await this.#service(replacement, transport);
      if (servers !== undefined && servers.length > 0) return servers;
    }
    return undefined;
  }

  /** §4.1: without NAPTR, SRV of each transport. */
  async #bySrv(): Promise<SipServer[] | undefined> {
    const { host } = this.target;
    for (const transport of this.options.transports) {
      const servers = await this.#service(SERVICES[transport].srv + host, transport);
      if (servers !== undefined) return servers;
    }
    return undefined;
  }

  /** The servers of an SRV name; undefined when there are no such records. */
  async #service(name: string, transport: Transport): Promise<SipServer[] | undefined> {
    const { records } = await this.#query(name, "SRV");
    if (records.length === 0) return undefined;
    const offered = records.filter(({ target }) => target !== "" && target !== ".");
    offered.sort((a, b) => a.priority - b.priority);
    const found = await Promise.all(
      offered.slice(0, MAX_TARGETS).map(({ target, port, priority, weight }: SrvRecord) =>
        this.#host(target, port, transport, priority, weight)
      ),
    );
    return found.flat();
  }

  /** A host's addresses as one server; none when it has none. */
  async #host(
    host: string,
    port: number,
    transport: Transport,
    priority: number,
    weight: number,
  ): Promise<SipServer[]> {
    const hosts = parseIpAddress(host) === undefined ? await this.#addresses(host) : [host];
    if (hosts.length === 0) return [];
    // RFC 5922 §4: the certificate is to be that of the domain asked for, not of a host that DNS names.
    const name = transport === "tls" ? this.target.host : undefined;
    const at = port === 0 ? defaultPort(transport) : port;
    const addresses = hosts.map((ip): Address => ({ host: ip, port: at, transport, flow: 0, name }));
    return [{ priority, weight, addresses }];
  }

  async #addresses(host: string): Promise<string[]> {
    const { ipv4, ipv6 } = this.options;
    const none: DnsAnswer<string> = { records: [], ttl: NO_TTL };
    const [a, aaaa] = await Promise.all([
      ipv4 ? this.#query(host, "A") : none,
      ipv6 ? this.#query(host, "AAAA") : none,
    ]);
    return [...a.records, ...aaaa.records].slice(0, MAX_ADDRESSES);
  }

  readonly #query: DnsSource["query"] = async (name, type) => {
    const answer = await this.source.query(name, type);
    this.#ttl = Math.min(this.#ttl, answer.ttl);
    return answer;
  };
}
