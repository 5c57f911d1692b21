/** Where DBclients are and how the links to them are secured, from the flags. */
import {
  type Address,
  formatAddress,
  isLoopback,
  parseHostPort,
  parseIpAddress,
  UsageError,
} from "../mod.ts";
import type { ProxyValues } from "./options.ts";

/**
 * The addresses of `--dbclient_addr`, the preferred one first.
 *
 * @throws {UsageError} for what is none, and one that is named twice
 */
export function readDbclients({ dbclient_addr, dbclient_port }: ProxyValues): Address[] {
  const addresses = dbclient_addr.map((text) => {
    const isIpv6 = parseIpAddress(text)?.length === 16;
    const address = isIpv6 ? { host: text, port: dbclient_port } : parseHostPort(text, dbclient_port);
    if (address === undefined || address.port === 0) {
      throw new UsageError(
        `--dbclient_addr: ${JSON.stringify(text)} is not allowed; it takes ADDRESS[:PORT],…`,
      );
    }
    return address;
  });
  if (addresses.length === 0) throw new UsageError("--dbclient_addr needs a value: ADDRESS[:PORT],…");
  if (new Set(addresses.map(formatAddress)).size < addresses.length) {
    throw new UsageError("--dbclient_addr names one DBclient twice");
  }
  return addresses;
}

/** Whether the links use TLS: switched on, or by naming a CA or a name. */
export function usesTls(
  values: Pick<ProxyValues, "dbclient_tls" | "dbclient_tls_ca" | "dbclient_tls_name">,
): boolean {
  return values.dbclient_tls || values.dbclient_tls_ca !== undefined ||
    values.dbclient_tls_name !== undefined;
}

/**
 * Checks that the links can be trusted: off loopback both TLS and a key, docs/PROTOCOL.md §9.
 *
 * @throws {UsageError} with what is missing
 */
export function checkDbclientLinks(
  dbclients: readonly Address[],
  values: ProxyValues,
  hasKey: boolean,
): void {
  const remote = dbclients.find(({ host }) => !isLoopback(host));
  if (remote === undefined) return;
  const missing = [
    ...(usesTls(values) ? [] : ["TLS (--dbclient_tls_ca FILE, or --dbclient_tls 1)"]),
    ...(hasKey ? [] : ["a key (--key_file FILE)"]),
  ];
  if (missing.length === 0) return;
  throw new UsageError(
    `--dbclient_addr: ${remote.host} is not a loopback address: that needs ${missing.join(" and ")}`,
  );
}
