/** The flags of TCP and TLS; names of OpenSIPS and Kamailio where there are such. */
import type { ConnectionLimits, FlagTable, FlagValues } from "../mod.ts";
import type { LimitValues } from "./limits/options.ts";

/** Part of `PROXY_FLAGS`. */
export const STREAM_FLAGS = {
  tls_certificate: {
    type: "text",
    value: "FILE",
    help: "Certificate chain of tls listeners, PEM; read again on SIGHUP",
  },
  tls_private_key: { type: "text", value: "FILE", help: "Private key of tls listeners, PEM" },
  tls_ca_list: {
    type: "text",
    value: "FILE",
    help: "Certificates, PEM, that next hops over TLS may be signed by, beside those that Deno trusts",
  },
  tcp_max_connections: {
    type: "integer",
    default: 30_000,
    min: 1,
    max: 1_000_000,
    unit: "connections",
    help: "Open TCP and TLS connections at one time, shared out among workers; more are turned away",
  },
  tcp_max_connections_per_source: {
    type: "integer",
    default: 4000,
    min: 1,
    max: 1_000_000,
    unit: "connections",
    help: "The same, from one IPv4 address or IPv6 /64 (and in one worker)",
  },
  tcp_connection_lifetime: {
    type: "integer",
    default: 600,
    min: 1,
    max: 86_400,
    unit: "s",
    help: "A connection on which nothing came or went for so long is closed; keep-alives (RFC 5626) count",
  },
  tcp_max_msg_time: {
    type: "integer",
    default: 4,
    min: 1,
    max: 600,
    unit: "s",
    help: "A message that has begun must be complete by then, or its connection is closed",
  },
  tcp_connect_timeout: {
    type: "integer",
    default: 3000,
    min: 10,
    max: 60_000,
    unit: "ms",
    help: "How long a connection to a next hop may take, TLS handshake included",
  },
  tcp_send_timeout: {
    type: "integer",
    default: 10,
    min: 1,
    max: 600,
    unit: "s",
    help: "A peer that takes nothing of what is to be sent for so long is cut off",
  },
  tcp_conn_wq_max: {
    type: "integer",
    default: 262_144,
    min: 4096,
    max: 67_108_864,
    unit: "bytes",
    help: "What may wait to be sent on one connection; a peer that reads too slowly for it is cut off",
  },
  tcp_wq_max: {
    type: "integer",
    default: 67_108_864,
    min: 4096,
    max: 17_179_869_184,
    unit: "bytes",
    help:
      "What may wait on all: to be sent, and of unfinished messages; above it slow peers are cut off sooner",
  },
  udp_mtu: {
    type: "integer",
    default: 1300,
    min: 0,
    max: 65_535,
    unit: "bytes",
    help:
      "Longer requests to a UDP next hop go by TCP (RFC 3261 §18.1.1) if tcp is listened on, by UDP where TCP is refused; " +
      "0: never",
  },
} as const satisfies FlagTable;

/** How long a connection that has not sent one message yet is kept, ms. */
const FIRST_MESSAGE_MS = 30_000;

/** The bounds of connections. */
export function connectionLimits(
  values: FlagValues<typeof STREAM_FLAGS> & Pick<LimitValues, "max_message">,
): ConnectionLimits {
  return {
    maxConnections: values.tcp_max_connections,
    maxPerSource: values.tcp_max_connections_per_source,
    idleMs: values.tcp_connection_lifetime * 1000,
    firstMs: Math.min(FIRST_MESSAGE_MS, values.tcp_connection_lifetime * 1000),
    messageMs: values.tcp_max_msg_time * 1000,
    connectMs: values.tcp_connect_timeout,
    stallMs: values.tcp_send_timeout * 1000,
    queueBytes: values.tcp_conn_wq_max,
    totalBytes: values.tcp_wq_max,
    messageBytes: values.max_message,
  };
}
