/** Reads the files that flags name: certificates, and destinations of the dispatcher. They are read again on SIGHUP. */
import type { TlsIdentity } from "../mod.ts";
import { readDestinations } from "./dispatcher/destinations.ts";
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
function readTlsIdentity({ tls_certificate, tls_private_key }: ProxyValues): TlsIdentity | undefined {
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

/** The settings with what stands in files. @throws {Fatal | UsageError} with one line */
export function withFiles(settings: Settings, values: ProxyValues): Settings {
  const { tls_ca_list } = values;
  const list = tls_ca_list === undefined ? undefined : readText(tls_ca_list, "--tls_ca_list");
  const tlsAuthorities = list?.match(CERTIFICATE) ?? undefined;
  if (list !== undefined && tlsAuthorities === undefined) {
    throw new Fatal(`--tls_ca_list ${tls_ca_list}: there is no PEM certificate in it`);
  }
  const { dispatcher_list: path, ds_set } = values;
  const dispatcher = path === undefined
    ? undefined
    : readDestinations(path, readText(path, "--dispatcher_list"));
  if (ds_set !== undefined && !dispatcher?.some(({ set }) => set === ds_set)) {
    throw new Fatal(`--ds_set ${ds_set}: there is no such set in ${path}`);
  }
  return { ...settings, tls: readTlsIdentity(values), tlsAuthorities, dispatcher };
}
