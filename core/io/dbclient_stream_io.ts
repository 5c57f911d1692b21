/** Streams to DBclient: TCP, and TLS whose certificate is verified (docs/PROTOCOL.md §9). */
import type { Address } from "../sip/address.ts";
import type { DbclientStream } from "./dbclient_link_types.ts";

/** How DBclient's certificate is checked. */
export interface DbclientTls {
  /** Certificates of authorities in PEM, trusted beside those that Deno trusts (`DENO_TLS_CA_STORE`). */
  readonly caCerts: readonly string[];
  /** The name that the certificate has to hold, where it is not the host of the address. */
  readonly name?: string;
}

/** Connects over TCP. */
export async function connectTcp({ host, port }: Address): Promise<DbclientStream> {
  const connection = await Deno.connect({ hostname: host, port });
  connection.setNoDelay(true);
  return connection;
}

/**
 * Connects over TLS.
 *
 * @throws (rejects) when the certificate is not from a known authority or not for this name; the message says which
 */
export async function connectTls({ host, port }: Address, tls: DbclientTls): Promise<DbclientStream> {
  const connection = await Deno.connect({ hostname: host, port });
  connection.setNoDelay(true);
  const secured = await Deno.startTls(connection, {
    hostname: tls.name ?? host,
    caCerts: [...tls.caCerts],
  });
  try {
    await secured.handshake();
  } catch (error) {
    secured.close();
    throw error;
  }
  return secured;
}
