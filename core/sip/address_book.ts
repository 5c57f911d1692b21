/** One object per address that messages name again and again: found by its bytes, so that no text is made of them. */
import { parseIpAddress } from "../io/ip_address.ts";
import { type Address, defaultPort, type Transport } from "./address.ts";
import { decodeText, equalsText } from "./ascii.ts";

/** Places: a power of two. Two addresses that share one take turns in it. */
const PLACES = 1024;

/**
 * Remembers addresses by the bytes of their host and their port. What it holds is bounded, and a name that is forgotten
 * costs a new object.
 *
 * @example
 * ```ts
 * import { AddressBook } from "./address_book.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const book = new AddressBook();
 * const bytes = new TextEncoder().encode("sip:192.0.2.1");
 * const address = book.at(bytes, 4, bytes.length, 5060);
 * assertEquals(address, { host: "192.0.2.1", port: 5060 });
 * assert(book.at(bytes, 4, bytes.length, 5060) === address);
 * ```
 */
export class AddressBook {
  readonly #places: (Address | undefined)[] = new Array(PLACES).fill(undefined);
  /** The ports as they were asked for. */
  readonly #ports = new Int32Array(PLACES);

  /**
   * The address with the host buffer[start, end), without brackets.
   *
   * @param port 0: none is named. An IP address gets that of the transport then, a name keeps the 0: RFC 3263 §4.2
   * @param transport undefined: none is named
   */
  at(buffer: Uint8Array, start: number, end: number, port: number, transport?: Transport): Address {
    let hash = port;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ buffer[i], 0x01000193);
    const place = (hash ^ hash >>> 15) & (PLACES - 1);
    const known = this.#places[place];
    if (
      known !== undefined && this.#ports[place] === port && known.transport === transport &&
      equalsText(buffer, start, end, known.host)
    ) {
      return known;
    }
    this.#ports[place] = port;
    return this.#places[place] = addressOf(decodeText(buffer, start, end), port, transport);
  }
}

/** The address that a host, a port (0: none) and a transport (undefined: none) name. */
export function addressOf(host: string, port: number, transport: Transport | undefined): Address {
  if (port === 0 && parseIpAddress(host) !== undefined) port = defaultPort(transport);
  return transport === undefined ? { host, port } : { host, port, transport };
}
