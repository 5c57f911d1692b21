/** Where a response goes: RFC 3261 §18.2.2 as amended by RFC 3581 §4. */
import type { Address } from "./address.ts";
import type { ViaView } from "./via.ts";

/**
 * Where to send the responses to a request that came from `from`.
 *
 * - over a reliable transport, or if rport is asked for: back to `from`;
 * - else to the address it came from and the port of sent-by.
 *
 * A `maddr` parameter is passed over: it would let a stranger choose who gets our responses, and multicast is not used.
 *
 * @param via the topmost Via of the request
 * @param from where the request came from
 * @param reliable whether it came over a connection
 */
export function responseAddress(via: ViaView, from: Address, reliable: boolean): Address {
  if (reliable || via.rportNameEnd >= 0) return from;
  const port = via.port;
  return port === from.port ? from : { host: from.host, port };
}
