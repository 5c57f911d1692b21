/** The flags of the log and of the metrics, and what they mean. */
import { type FlagTable, UsageError } from "./flags.ts";
import { LOG_FLAGS } from "./log.ts";

/** Flags of every program that serves and is watched. */
export const OBSERVATION_FLAGS = {
  ...LOG_FLAGS,
  metrics: {
    type: "text",
    value: "ADDRESS:PORT",
    help: "serve Prometheus metrics at /metrics there, and /healthz and /readyz, by HTTP without a login",
  },
} as const satisfies FlagTable;

/** An address to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/**
 * Reads `--metrics`: ADDRESS:PORT or [IPV6]:PORT.
 *
 * @throws {UsageError} one line
 */
export function metricsAddress(text: string | undefined): ListenAddress | undefined {
  if (text === undefined) return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new UsageError(
      `--metrics: ${JSON.stringify(text)} is not allowed; it takes ADDRESS:PORT, such as 127.0.0.1:9760`,
    );
  }
  return { host: match[1] ?? match[2], port };
}
