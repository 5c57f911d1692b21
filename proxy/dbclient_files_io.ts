/** What the links to DBclient need from files: the key, and the authority of DBclient's certificate. */
import { X509Certificate } from "node:crypto";
import { accessWarning, type DbclientTls, parseLinkKey } from "../mod.ts";
import { usesTls } from "./dbclient_settings.ts";
import { Fatal } from "./fatal.ts";
import type { ProxyValues } from "./options.ts";
import { readText } from "./route_io.ts";

/** Warns of the files with secrets that others may read; they have been read before. */
export function warnOfAccess(values: ProxyValues, warn: (line: string) => void): void {
  for (const flag of ["key_file", "tls_private_key", "location_password_file"] as const) {
    const path = values[flag];
    const warning = path === undefined ? undefined : accessWarning(`--${flag}`, path);
    if (warning !== undefined) warn(warning);
  }
}

/**
 * The key shared with DBclient, on the first line of its file, [] when there is none.
 *
 * @throws {Fatal} with one line that does not repeat the key
 */
export function readKeys({ key_file }: Pick<ProxyValues, "key_file">): Uint8Array[] {
  const text = key_file === undefined ? Deno.env.get("PROXYCHAIN_KEY") : readText(key_file, "--key_file");
  if (text === undefined || text === "") return [];
  try {
    return [parseLinkKey(text.split(/\r?\n/, 1)[0])];
  } catch (error) {
    throw new Fatal(`${key_file ?? "PROXYCHAIN_KEY"}: ${(error as Error).message}`);
  }
}

/**
 * How DBclient's certificate is checked; undefined without TLS.
 *
 * @throws {Fatal} when the file cannot be read, or is no certificate
 */
export function readTls(values: ProxyValues): DbclientTls | undefined {
  if (!usesTls(values)) return undefined;
  const { dbclient_tls_ca: path, dbclient_tls_name: name } = values;
  if (path === undefined) return { caCerts: [], name };
  const pem = readText(path, "--dbclient_tls_ca");
  try {
    new X509Certificate(pem);
  } catch {
    throw new Fatal(`--dbclient_tls_ca: ${path} holds no PEM certificate`);
  }
  return { caCerts: [pem], name };
}
