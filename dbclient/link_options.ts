/** Flags about the links to proxies: processes, keys, TLS and limits (docs/PROTOCOL.md §9). */
import {
  type FlagTable,
  type FlagValues,
  isLoopback,
  MAX_FRAME_LENGTH,
  MAX_REQUEST_LENGTH,
  UsageError,
} from "../mod.ts";
import { DEFAULT_LIMITS, type LinkLimits } from "./limits.ts";

/** Flags of the server, beside those of options.ts. */
export const LINK_FLAGS = {
  workers: {
    type: "integer",
    min: 1,
    max: 256,
    unit: "processes",
    help: "processes that share the port (Linux); without it one for each processor core",
  },
  key_file: {
    type: "text",
    value: "FILE",
    help: "pre-shared key of all proxies: 16 bytes or more, or 32 hexadecimal digits or more; " +
      "or in environment PROXYCHAIN_KEY; read again on SIGHUP",
  },
  keys_file: {
    type: "text",
    value: "FILE",
    help: "a key for each proxy, mode 600; lines of: proxy-name hexkey [realm,realm…]; read again on SIGHUP",
  },
  key_overlap: {
    type: "integer",
    default: 600,
    min: 0,
    max: 604_800,
    unit: "s",
    help: "how long a key is still accepted after it went from its file",
  },
  tls_certificate: {
    type: "text",
    value: "FILE",
    help: "TLS: the certificate and its chain (PEM); read again on SIGHUP",
  },
  tls_private_key: { type: "text", value: "FILE", help: "TLS: the private key of the certificate (PEM)" },
  max_connections: {
    type: "integer",
    default: DEFAULT_LIMITS.connections,
    min: 1,
    max: 100_000,
    help: "connections at once, in each worker",
  },
  max_connections_per_address: {
    type: "integer",
    default: DEFAULT_LIMITS.connectionsPerAddress,
    min: 1,
    max: 100_000,
    help: "connections at once from one address, in each worker",
  },
  max_frame: {
    type: "integer",
    default: DEFAULT_LIMITS.frameBytes,
    min: MAX_REQUEST_LENGTH,
    max: MAX_FRAME_LENGTH,
    unit: "bytes",
    help: "largest frame of a proxy",
  },
  max_in_flight: {
    type: "integer",
    default: DEFAULT_LIMITS.framesInFlight,
    min: 1,
    max: 1_000_000,
    unit: "requests",
    help: "requests of one connection without an answer; more are refused",
  },
  max_rate: {
    type: "integer",
    default: DEFAULT_LIMITS.usersPerSecond,
    min: 1,
    max: 100_000_000,
    unit: "users per second",
    help: "what one proxy may ask for, in each worker; more is refused",
  },
  max_send_buffer: {
    type: "integer",
    default: DEFAULT_LIMITS.sendBufferBytes,
    min: 1 << 18,
    max: 1 << 30,
    unit: "bytes",
    help: "a proxy for which more waits to be sent is cut off",
  },
  handshake_timeout: {
    type: "number",
    default: DEFAULT_LIMITS.handshakeMs / 1000,
    min: 0.1,
    max: 60,
    unit: "s",
    help: "from the connection to the end of the handshake, that of TLS included",
  },
  idle_timeout: {
    type: "number",
    default: DEFAULT_LIMITS.idleMs / 1000,
    min: 1,
    max: 86_400,
    unit: "s",
    help: "a proxy that says nothing for so long is cut off; it is sent a PING at half of it",
  },
  write_timeout: {
    type: "number",
    default: DEFAULT_LIMITS.writeMs / 1000,
    min: 0.1,
    max: 600,
    unit: "s",
    help: "a proxy that takes no byte for so long is cut off",
  },
} as const satisfies FlagTable;

/** The values of {@linkcode LINK_FLAGS}. */
export type LinkValues = FlagValues<typeof LINK_FLAGS>;

/** The limits that the flags ask for. */
export function limitsOf(values: LinkValues): LinkLimits {
  return {
    connections: values.max_connections,
    connectionsPerAddress: values.max_connections_per_address,
    frameBytes: values.max_frame,
    framesInFlight: values.max_in_flight,
    usersPerSecond: values.max_rate,
    handshakeMs: values.handshake_timeout * 1000,
    idleMs: values.idle_timeout * 1000,
    writeMs: values.write_timeout * 1000,
    sendBufferBytes: values.max_send_buffer,
  };
}

/**
 * How many processes serve.
 *
 * @param system the operating system and its number of cores
 * @throws {UsageError} when they cannot share a port
 */
export function workersOf(
  { workers }: Pick<LinkValues, "workers">,
  system: { readonly os: string; readonly cores: number },
): number {
  const shares = system.os === "linux";
  if (workers !== undefined && workers > 1 && !shares) {
    throw new UsageError("--workers above 1 needs Linux, where processes can share a port");
  }
  return workers ?? (shares ? Math.min(system.cores, LINK_FLAGS.workers.max) : 1);
}

/**
 * Checks that what is said on the link can be trusted: off loopback both TLS and a key, docs/PROTOCOL.md §9.
 *
 * @throws {UsageError} with what is missing
 */
export function checkLink(
  listen: string,
  values: Pick<LinkValues, "key_file" | "keys_file" | "tls_certificate" | "tls_private_key">,
  hasKey: boolean,
): void {
  if ((values.tls_certificate === undefined) !== (values.tls_private_key === undefined)) {
    throw new UsageError("TLS needs both --tls_certificate FILE and --tls_private_key FILE");
  }
  if (values.key_file !== undefined && values.keys_file !== undefined) {
    throw new UsageError(
      "--key_file is one key for all proxies, --keys_file one for each; it takes one of them",
    );
  }
  if (isLoopback(listen)) return;
  const missing = [
    ...(values.tls_certificate === undefined ? ["TLS (--tls_certificate FILE, --tls_private_key FILE)"] : []),
    ...(hasKey ? [] : ["a key (--keys_file FILE, or --key_file FILE)"]),
  ];
  if (missing.length > 0) {
    throw new UsageError(`${listen} is not a loopback address: that needs ${missing.join(" and ")}`);
  }
}
