/** From flag values to the options of the proxy's parts: what no single flag can check is checked here. */
import {
  type Address,
  defaultPort,
  DIGEST_ALGORITHMS,
  type DigestAlgorithm,
  formatTransportAddress,
  isReliable,
  parseHostPort,
  parseNameServer,
  parseUri,
  type TlsIdentity,
  type Transport,
  UsageError,
} from "../mod.ts";
import { readDbclients } from "./dbclient_settings.ts";
import { isAddress, uriDestination } from "./destination.ts";
import type { AuthMode } from "./default_route.ts";
import { MAX_REALMS } from "./cache/layout.ts";
import type { DestinationEntry } from "./dispatcher/destinations.ts";
import type { ReplyAddresses } from "./local_names.ts";
import type { ProxyValues } from "./options.ts";
import { parseLocationUrl } from "./registrar/location_store.ts";

/** Settings that took more than reading a value. */
export interface Settings {
  readonly listen: readonly Address[];
  /** What others see of the listeners: one without a transport stands for all. */
  readonly advertise: readonly Address[];
  /** For tls listeners. */
  readonly tls?: TlsIdentity;
  /** Certificates, PEM, that next hops over TLS may be signed by. */
  readonly tlsAuthorities?: readonly string[];
  /** What `--dispatcher_list` holds. */
  readonly dispatcher?: readonly DestinationEntry[];
  readonly auth: AuthMode;
  readonly methods: ReadonlySet<string>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly digestAlgorithms: readonly DigestAlgorithm[];
  /** Where DBclients are, the preferred one first. */
  readonly dbclients: readonly Address[];
  /** Marks the dialogs of this proxy; drawn at random when absent. */
  readonly dialogKey?: Uint8Array;
  /** In all challenges: 16 hexadecimal digits; drawn at random when absent. */
  readonly opaque?: string;
  /** Where a worker's responses come in; without workers, at the addresses listened on. */
  readonly reply?: ReplyAddresses;
}

const MAX_PORT = 65_535;
const WILDCARDS = ["0.0.0.0", "::"];
/** A method without small letters: methods are compared by case, so that "invite" would authenticate no INVITE. */
const METHOD = /^[A-Z0-9.!%*_+`'~-]+$/;

const LISTENED = /^(?:(udp|tcp|tls):)?(.*)$/;

function readTransportAddress(text: string): Address | undefined {
  const [, transport, rest] = LISTENED.exec(text)!;
  const address = parseHostPort(rest, defaultPort(transport as Transport | undefined));
  return address === undefined || transport === undefined
    ? address
    : { ...address, transport: transport as Transport };
}

function readListen(text: string): Address {
  const address = readTransportAddress(text);
  if (address?.transport === undefined) {
    throw new UsageError(
      `--listen: ${JSON.stringify(text)} is not allowed; it takes udp:ADDRESS:PORT, tcp:… or tls:…`,
    );
  }
  return address;
}

function readAdvertise(text: string): Address {
  const address = readTransportAddress(text);
  if (address === undefined) {
    throw new UsageError(
      `--advertise: ${
        JSON.stringify(text)
      } is not allowed; it takes ADDRESS:PORT, or udp:ADDRESS:PORT, tcp:… or tls:…`,
    );
  }
  return address;
}

function checkListen(values: ProxyValues, listen: readonly Address[]): void {
  if (listen.length === 0) throw new UsageError("--listen needs a value: udp:ADDRESS:PORT");
  const seen = new Set<string>();
  for (const address of listen) {
    const text = formatTransportAddress(address);
    if (address.port !== 0 && seen.has(text)) throw new UsageError(`--listen: ${text} is there twice`);
    seen.add(text);
  }
  if (!listen.some(({ transport }) => transport === "tls")) return;
  for (const flag of ["tls_certificate", "tls_private_key"] as const) {
    if (values[flag] === undefined) throw new UsageError(`--listen tls:… needs --${flag} FILE`);
  }
}

/** Several workers need sockets that threads can share, and free ports for their responses. */
function checkWorkers({ workers, reply_port, io }: ProxyValues, listen: readonly Address[]): void {
  if (workers === 1) return;
  if (io === "deno") throw new UsageError("--workers above 1 needs batched I/O: not with --io deno");
  if (reply_port === 0) return;
  const last = reply_port + workers - 1;
  if (last > MAX_PORT) {
    throw new UsageError(
      `--reply_port ${reply_port}: ${workers} workers need as many ports up to ${MAX_PORT}`,
    );
  }
  const taken = listen.find((address) =>
    !isReliable(address) && reply_port <= address.port && address.port <= last
  );
  if (taken !== undefined) {
    throw new UsageError(
      `--reply_port: port ${taken.port} of --listen is one of ${reply_port} to ${last} for the workers`,
    );
  }
}

/** What the registrar needs. */
function checkRegistrar({ registrar, realm, min_expires, max_expires, location_db }: ProxyValues): void {
  if (!registrar && location_db !== undefined) throw new UsageError("--location_db needs --registrar 1");
  if (location_db !== undefined) parseLocationUrl(location_db);
  if (!registrar) return;
  if (realm.length === 0) throw new UsageError("--registrar needs --realm: the domain whose users register");
  if (min_expires > max_expires) {
    throw new UsageError(`--min_expires ${min_expires} is more than --max_expires ${max_expires}`);
  }
}

function readAlias(text: string): [string, string] {
  const parts = text.split("=");
  if (parts.length !== 2 || parts.includes("")) {
    throw new UsageError(`--from_alias: ${JSON.stringify(text)} is not allowed; it takes FROM-USER=USERNAME`);
  }
  return [parts[0], parts[1]];
}

/**
 * Reads the settings.
 *
 * @throws {UsageError} with one line that says what is wrong and what is allowed
 */
export function readSettings(values: ProxyValues): Settings {
  const listen = values.listen.map(readListen);
  checkListen(values, listen);
  const advertise = values.advertise.map(readAdvertise);
  const server = values.dns_servers.find((text) => parseNameServer(text) === undefined);
  if (server !== undefined) {
    throw new UsageError(
      `--dns_servers: ${JSON.stringify(server)} is not allowed; it takes ADDRESS or ADDRESS:PORT`,
    );
  }
  const dbclients = readDbclients(values);
  for (const { host, transport } of listen) {
    if (
      !WILDCARDS.includes(host) || advertise.some((entry) => (entry.transport ?? transport) === transport)
    ) continue;
    throw new UsageError("--listen on a wildcard address needs --advertise ADDRESS:PORT");
  }
  checkWorkers(values, listen);
  const auth = !values.pc_enable && (values.auth === "pc" || values.auth === "both") ? "digest" : values.auth;
  if (values.realm.length === 0 && values.route === undefined && auth !== "none") {
    throw new UsageError("--realm needs a value: the domain whose users are authenticated (or --auth none)");
  }
  if (values.realm.length > MAX_REALMS) throw new UsageError(`--realm takes at most ${MAX_REALMS} values`);
  for (const realm of values.realm) {
    // deno-lint-ignore no-control-regex
    if (new TextEncoder().encode(realm).length > 256 || /[\x00-\x1f\x7f]/.test(realm)) {
      throw new UsageError("--realm takes at most 256 bytes without control characters");
    }
  }
  if (values.auth_methods.length === 0) {
    throw new UsageError("--auth_methods needs a value: SIP methods (or --auth none)");
  }
  for (const method of values.auth_methods) {
    if (!METHOD.test(method) || method === "ACK" || method === "CANCEL") {
      throw new UsageError(
        `--auth_methods: ${
          JSON.stringify(method)
        } is not allowed; it takes SIP methods in capitals other than ACK and CANCEL`,
      );
    }
  }
  checkRegistrar(values);
  if (values.cache_warmup && values.cache_warmup_file === undefined) {
    throw new UsageError("--cache_warmup needs --cache_warmup_file FILE");
  }
  if (values.ds_set !== undefined && values.dispatcher_list === undefined) {
    throw new UsageError("--ds_set needs --dispatcher_list FILE");
  }
  if (values.ds_set !== undefined && values.next_hop !== undefined) {
    throw new UsageError("--ds_set and --next_hop exclude each other");
  }
  if (values.next_hop !== undefined) {
    const uri = parseUri(values.next_hop);
    if (uri === undefined || !isAddress(uriDestination(uri, true))) {
      throw new UsageError(
        `--next_hop: ${JSON.stringify(values.next_hop)} is not allowed; it takes sip:ADDRESS:PORT`,
      );
    }
  }
  if (values.digest_algorithms.length === 0) {
    throw new UsageError(`--digest_algorithms needs a value: some of ${DIGEST_ALGORITHMS.join(", ")}`);
  }
  const digestAlgorithms = values.digest_algorithms.map((name) => {
    const known = DIGEST_ALGORITHMS.find((algorithm) => algorithm === name);
    if (known === undefined) {
      throw new UsageError(
        `--digest_algorithms: ${JSON.stringify(name)} is not allowed; it takes ${
          DIGEST_ALGORITHMS.join(", ")
        }`,
      );
    }
    return known;
  });
  return {
    listen,
    advertise,
    auth,
    methods: new Set(values.auth_methods),
    aliases: new Map(values.from_alias.map(readAlias)),
    digestAlgorithms,
    dbclients,
  };
}
