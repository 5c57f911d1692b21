/** What the links to proxies need from files: keys and the TLS certificate; read at the start and on SIGHUP. */
import { accessWarning, firstLine, now, UsageError } from "../mod.ts";
import type { LinkValues } from "./link_options.ts";
import { checkTls, type ServerTls } from "./link_listener_io.ts";
import { linkKey } from "./password_io.ts";
import { type KeyList, type KeyRing, KeysFileError, parseKeysFile } from "./proxy_keys.ts";
import type { Service } from "./service_io.ts";

/** Reads keys and certificate again while DBclient serves, and lets keys that went expire. */
export class Reloading {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly service: Pick<Service, "setKeys" | "setTls">,
    private readonly values: LinkValues,
    private readonly keys: KeyRing,
    private readonly log: (line: string) => void,
  ) {}

  /** What is wrong leaves that of before in force, and is said. */
  reload(): void {
    const { values, keys, log } = this;
    const file = values.keys_file ?? values.key_file;
    if (file === undefined && values.tls_certificate === undefined) {
      return log("SIGHUP: there is no --keys_file, --key_file or --tls_certificate to read again");
    }
    try {
      if (file !== undefined) {
        keys.replace(readKeys(values, log), now());
        this.#setKeys();
        log(`${file} was read again; keys that went from it are accepted for ${values.key_overlap} s more`);
      }
    } catch (error) {
      log(`${firstLine(error)}; the keys of before stay in force`);
    }
    try {
      const tls = readTls(values, log);
      if (tls !== undefined) {
        this.service.setTls(tls);
        log(`${values.tls_certificate} was read again; new connections get it`);
      }
    } catch (error) {
      log(`${firstLine(error)}; the certificate of before stays`);
    }
  }

  /** Stops waiting for keys to expire. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #setKeys(): void {
    const time = now();
    this.service.setKeys(this.keys.snapshot(time));
    clearTimeout(this.#timer);
    const due = this.keys.nextDue(time);
    if (due < Infinity) this.#timer = setTimeout(() => this.#setKeys(), Math.ceil(due - time) + 1);
  }
}

type KeyFlags = Pick<LinkValues, "key_file" | "keys_file">;

function read(flag: string, path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${path}: ${firstLine(error)}`);
  }
}

/**
 * Reads the keys; warns of a `--key_file` that others may read.
 *
 * @throws {UsageError} when a file cannot be read, may be read by others, or is wrong: `file:line:column: …`
 */
export function readKeys({ key_file, keys_file }: KeyFlags, warn: (line: string) => void): KeyList {
  if (keys_file === undefined) {
    const key = linkKey(key_file, warn);
    return key === undefined ? { kind: "none" } : { kind: "any", key };
  }
  const text = read("--keys_file", keys_file);
  const { mode } = Deno.statSync(keys_file);
  if (mode !== null && (mode & 0o077) !== 0) {
    throw new UsageError(`--keys_file: ${keys_file} may be read by others; it takes chmod 600`);
  }
  try {
    return { kind: "named", proxies: parseKeysFile(keys_file, text) };
  } catch (error) {
    if (error instanceof KeysFileError) throw new UsageError(`--keys_file: ${error.message}`);
    throw error;
  }
}

/**
 * Reads certificate and private key; warns of a certificate that has expired, since proxies will refuse it.
 *
 * @throws {UsageError} when they cannot be read, or do not fit
 */
export function readTls(
  { tls_certificate, tls_private_key }: Pick<LinkValues, "tls_certificate" | "tls_private_key">,
  warn: (line: string) => void,
): ServerTls | undefined {
  if (tls_certificate === undefined || tls_private_key === undefined) return undefined;
  const tls = {
    cert: read("--tls_certificate", tls_certificate),
    key: read("--tls_private_key", tls_private_key),
  };
  const warning = accessWarning("--tls_private_key", tls_private_key);
  if (warning !== undefined) warn(warning);
  let until: Date;
  try {
    until = checkTls(tls);
  } catch (error) {
    throw new UsageError(
      `--tls_certificate ${tls_certificate}, --tls_private_key ${tls_private_key}: ${firstLine(error)}`,
    );
  }
  if (until.getTime() < Date.now()) {
    warn(
      `warning: --tls_certificate: ${tls_certificate} has expired on ${until.toISOString()}; proxies refuse it`,
    );
  }
  return tls;
}
