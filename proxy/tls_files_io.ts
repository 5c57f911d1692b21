/** Reads the certificates that the flags name. */
import type { TlsIdentity } from "../mod.ts";
import { Fatal } from "./fatal.ts";
import type { ProxyValues } from "./options.ts";
import { readText } from "./route_io.ts";
import type { Settings } from "./settings.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * The certificate and key of tls listeners; undefined without such.
 *
 * @throws {Fatal} with one line, which never has the key in it
 */
export function readTlsIdentity({ tls_certificate, tls_private_key }: ProxyValues): TlsIdentity | undefined {
  if (tls_certificate === undefined || tls_private_key === undefined) return undefined;
  const cert = readText(tls_certificate, "--tls_certificate");
  const key = readText(tls_private_key, "--tls_private_key");
  if (cert.match(CERTIFICATE) === null) {
    throw new Fatal(`--tls_certificate ${tls_certificate}: there is no PEM certificate in it`);
  }
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) {
    throw new Fatal(`--tls_private_key ${tls_private_key}: there is no PEM private key in it`);
  }
  return { cert, key };
}

/** The settings with the certificates that they are served with. @throws {Fatal} with one line */
export function withTls(settings: Settings, values: ProxyValues): Settings {
  const { tls_ca_list } = values;
  const list = tls_ca_list === undefined ? undefined : readText(tls_ca_list, "--tls_ca_list");
  const tlsAuthorities = list?.match(CERTIFICATE) ?? undefined;
  if (list !== undefined && tlsAuthorities === undefined) {
    throw new Fatal(`--tls_ca_list ${tls_ca_list}: there is no PEM certificate in it`);
  }
  return { ...settings, tls: readTlsIdentity(values), tlsAuthorities };
}
