/** Addresses as shared objects, so that the path of a datagram makes none and compares them with `===`. */
import type { Address } from "../sip/address.ts";

/** An address that the socket interface of Deno takes as it is. */
export interface NetAddress extends Address {
  readonly hostname: string;
  readonly transport: "udp";
  readonly flow: number;
}

/** More addresses than this at once, and the table starts anew: a flood of spoofed sources must not fill the memory. */
const MAX_ADDRESSES = 16_384;

/** One object per host and port. */
export class AddressTable {
  #hosts = new Map<string, Map<number, NetAddress>>();
  #size = 0;

  /**
   * @param limit addresses at most
   * @param flow of them all: see {@linkcode Address.flow}
   */
  constructor(private readonly limit: number = MAX_ADDRESSES, private readonly flow = 0) {}

  /** How many addresses it holds. */
  get size(): number {
    return this.#size;
  }

  /** The object for `host` and `port`. */
  get(host: string, port: number): NetAddress {
    let ports = this.#hosts.get(host);
    const known = ports?.get(port);
    if (known !== undefined) return known;
    if (this.#size >= this.limit) {
      this.#hosts = new Map();
      this.#size = 0;
      ports = undefined;
    }
    if (ports === undefined) this.#hosts.set(host, ports = new Map());
    const address: NetAddress = { host, port, hostname: host, transport: "udp", flow: this.flow };
    ports.set(port, address);
    this.#size++;
    return address;
  }
}
