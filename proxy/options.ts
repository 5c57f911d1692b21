/** The proxy's flags; each is a key of the TOML file (`--config`) too. Names of the original and of OpenSIPS where there are such. */
import { type FlagTable, type FlagValues, RUNTIME_FLAGS } from "../mod.ts";
import { DISPATCHER_FLAGS } from "./dispatcher/options.ts";
import { STREAM_FLAGS } from "./stream_options.ts";

/** All flags of the proxy. */
export const PROXY_FLAGS = {
  config: {
    type: "text",
    value: "FILE",
    help: "TOML file with any of these flags as keys; the command line wins",
  },
  modparams: {
    type: "text",
    value: "FILE",
    help: 'opensips.cfg whose modparam("auth_db", …) lines set flags; --config and the command line win',
  },
  listen: {
    type: "list",
    value: "udp|tcp|tls:ADDRESS:PORT",
    default: ["udp:127.0.0.1:5060"],
    help: "Where SIP is received, IPv4 or IPv6 ([::1]); the first of a transport and family is used to send",
  },
  advertise: {
    type: "list",
    value: "[udp:|tcp:|tls:]ADDRESS:PORT",
    default: [],
    help:
      "Address in Via and Record-Route, of all listeners or those of one transport; wildcard addresses need it",
  },
  workers: {
    type: "integer",
    default: 1,
    min: 1,
    max: 256,
    unit: "threads",
    help: "Threads that serve, for as many processor cores (Linux); they share port and credentials",
  },
  reply_port: {
    type: "integer",
    default: 0,
    min: 0,
    max: 65535,
    help:
      "With several workers: worker k gets its responses at this port + k - 1 (in Via); 0: at any free port",
  },
  realm: {
    type: "list",
    value: "REALM",
    default: [],
    help: "Served realms: From domains that are authenticated",
  },
  next_hop: {
    type: "text",
    value: "SIP-URI",
    help: "Where requests for this proxy and its domains go; without it to their Request-URI",
  },
  auth: {
    type: "choice",
    choices: ["pc", "digest", "both", "none"],
    default: "pc",
    help: "Authentication of the default route; both offers Digest first, then PC",
  },
  auth_methods: {
    type: "list",
    value: "METHOD",
    default: ["INVITE"],
    help: "Methods authenticated by the default route: INVITE that begins a dialog, others always",
  },
  foreign_from: {
    type: "choice",
    choices: ["reject", "relay"],
    default: "reject",
    help: "What the default route does with a request to be authenticated from a domain not served",
  },
  record_route: {
    type: "boolean",
    default: true,
    help: "Whether the default route stays on the way of dialogs",
  },
  route: {
    type: "text",
    value: "FILE.ts",
    help: "Module whose default export is the routing function; read again on SIGHUP",
  },
  pc_enable: {
    type: "boolean",
    default: true,
    alias: ["hc_enable"],
    help: "Whether PC is used; 0 makes --auth pc and both fall back to digest",
  },
  algorithm: {
    type: "choice",
    choices: ["SHA-1", "SHA-256", "MD5"],
    default: "SHA-1",
    help: "Hash of the chains",
  },
  auth_int: { type: "boolean", default: false, help: "Offer, and so require, qop=auth-int with PC" },
  digest_algorithms: {
    type: "list",
    value: "MD5|SHA-256|SHA-512-256",
    default: ["MD5"],
    help: "Digest challenges offered, in this order",
  },
  nonce_expire: {
    type: "integer",
    default: 300,
    min: 1,
    max: 86400,
    unit: "s",
    help: "How long a Digest nonce is good",
  },
  max_users: {
    type: "integer",
    default: 200_000,
    min: 4,
    max: 20_000_000,
    unit: "users",
    help: "Size of the credential cache; a quarter of it is for users not verified yet",
  },
  cache_warmup: {
    type: "boolean",
    default: false,
    help: "Whether credentials are read from --cache_warmup_file before the proxy begins to serve",
  },
  cache_warmup_file: {
    type: "text",
    value: "FILE",
    help: "File written by dbclient warmup for this proxy_name, under the key of --key_file",
  },
  cache_warmup_size: {
    type: "integer",
    min: 1,
    max: 100_000_000,
    unit: "users",
    help: "How many user numbers of the file are taken, from its first number plus offset up; without it all",
  },
  offset: {
    type: "integer",
    default: 0,
    min: 0,
    max: 0xffffffff,
    help:
      "Added to the first user number of the warm-up file, so that each proxy starts with users of its own",
  },
  dbclient_addr: {
    type: "list",
    value: "ADDRESS[:PORT]",
    default: ["127.0.0.1"],
    help: "Where DBclients are: the first that answers is asked, so the preferred one first",
  },
  dbclient_port: {
    type: "integer",
    default: 19760,
    min: 1,
    max: 65535,
    help: "TCP port of DBclients whose address names none",
  },
  dbclient_silence: {
    type: "integer",
    min: 100,
    max: 60000,
    unit: "ms",
    help:
      "A DBclient that says nothing for so long is left for the next; without it 1000, and 10000 for a single one",
  },
  dbclient_tls: {
    type: "boolean",
    default: false,
    help: "TLS to DBclients, with a certificate of a well-known authority or of the next",
  },
  dbclient_tls_ca: {
    type: "text",
    value: "FILE",
    help: "TLS to DBclients: certificates of authorities that are trusted (PEM)",
  },
  dbclient_tls_name: {
    type: "text",
    value: "NAME",
    help: "TLS to DBclients: the name in their certificate, where it is not the address",
  },
  dbclient_timeout: {
    type: "integer",
    default: 2000,
    min: 10,
    max: 60000,
    unit: "ms",
    help: "How long an answer of DBclient is waited for",
  },
  proxy_name: { type: "text", value: "NAME", default: "proxy", help: "Name of this proxy towards DBclient" },
  key_file: {
    type: "text",
    value: "FILE",
    help: "Pre-shared key with DBclient; or environment PROXYCHAIN_KEY; read again on SIGHUP",
  },
  prefetching: {
    type: "boolean",
    default: true,
    help: "Whether credentials are renewed before they are needed",
  },
  prefetch_delay: {
    type: "number",
    default: 1,
    min: 0.01,
    max: 3600,
    unit: "s",
    help: "Time between two rounds of the prefetcher",
  },
  low_water: {
    type: "integer",
    default: 1,
    min: 0,
    max: 65535,
    unit: "tokens",
    help: "A credential with so few tokens left is renewed",
  },
  check_from: {
    type: "boolean",
    default: true,
    help: "Whether the answer's user name must be the user of From",
  },
  from_alias: {
    type: "list",
    value: "FROM-USER=USERNAME",
    default: [],
    help: "From users that answer under another user name",
  },
  max_skip: {
    type: "integer",
    min: 1,
    max: 65535,
    unit: "links",
    help: "How far below the expected token one is searched; without it the smaller of chain length and 256",
  },
  reorder_ms: {
    type: "integer",
    default: 5000,
    min: 0,
    max: 60000,
    unit: "ms",
    help: "How long a token that was skipped stays acceptable",
  },
  confirm: {
    type: "boolean",
    default: true,
    help: "Whether final responses prove the proxy (Proxy-Authentication-Info)",
  },
  peers: {
    type: "list",
    value: "ADDRESS",
    default: [],
    help: "Next hops whose PC headers for served realms are let through",
  },
  miss_limit: {
    type: "integer",
    default: 50_000,
    min: 1,
    unit: "per second",
    help: "Cache misses that may become questions to DBclient, in total; shared out among workers",
  },
  miss_limit_per_source: {
    type: "integer",
    default: 20_000,
    min: 1,
    unit: "per second",
    help: "The same, per source address (and worker)",
  },
  max_transactions: {
    type: "integer",
    default: 500_000,
    min: 16,
    max: 10_000_000,
    unit: "transactions",
    help: "Transactions at one time, shared out among workers; above it new requests get 503",
  },
  fr_inv_timer: {
    type: "integer",
    default: 200,
    min: 181,
    max: 3600,
    unit: "s",
    help: "How long a called side may ring (Timer C)",
  },
  dns_servers: {
    type: "list",
    value: "ADDRESS[:PORT]",
    default: [],
    help: "Name servers that next hops are looked up with; without it those of /etc/resolv.conf",
  },
  ...DISPATCHER_FLAGS,
  ...STREAM_FLAGS,
  drain: {
    type: "integer",
    default: 5,
    min: 0,
    max: 3600,
    unit: "s",
    help: "How long SIGTERM waits for requests to be answered; new ones get 503 meanwhile",
  },
  ...RUNTIME_FLAGS,
  stats_file: {
    type: "text",
    value: "FILE",
    help: "JSON file with counters, written every second and at the end",
  },
} as const satisfies FlagTable;

/** The values of {@linkcode PROXY_FLAGS}. */
export type ProxyValues = FlagValues<typeof PROXY_FLAGS>;
