/** The flags of limits; docs/SECURITY.md has them all in one table. */
import type { FlagTable, FlagValues } from "../../mod.ts";

/** Part of `PROXY_FLAGS`. */
export const LIMIT_FLAGS = {
  source_rate: {
    type: "integer",
    default: 5000,
    min: 0,
    max: 10_000_000,
    unit: "per second",
    help:
      "Requests from one IPv4 address or IPv6 /64 (and to one worker), twice as many at once; more get 503, then nothing; 0: no limit",
  },
  user_rate: {
    type: "integer",
    default: 1000,
    min: 0,
    max: 10_000_000,
    unit: "per second",
    help: "Authenticated requests of one user (and to one worker); more get 503; 0: no limit",
  },
  max_failures_per_user: {
    type: "integer",
    default: 30,
    min: 0,
    max: 1_000_000,
    unit: "answers",
    help: "Wrong answers for one user within --failure_window; more are not looked at (503); 0: no limit",
  },
  max_failures_per_source: {
    type: "integer",
    default: 500,
    min: 0,
    max: 10_000_000,
    unit: "answers",
    help: "Wrong answers from one IPv4 address or IPv6 /64 within --failure_window; 0: no limit",
  },
  failure_window: {
    type: "integer",
    default: 600,
    min: 1,
    max: 86_400,
    unit: "s",
    help: "In this time all attempts of --max_failures_per_user and _source come back",
  },
  reqs_density_per_unit: {
    type: "integer",
    default: 30,
    min: 1,
    max: 10_000_000,
    unit: "requests",
    help: "Requests of one source within --sampling_time_unit that pike_check_req lets a route take",
  },
  sampling_time_unit: {
    type: "integer",
    default: 2,
    min: 1,
    max: 3600,
    unit: "s",
    help: "The time for --reqs_density_per_unit",
  },
  max_message: {
    type: "integer",
    default: 65_507,
    min: 1024,
    max: 65_507,
    unit: "bytes",
    help: "Longest message, over UDP, TCP and TLS; longer ones get 513",
  },
  max_body: {
    type: "integer",
    default: 65_507,
    min: 0,
    max: 65_507,
    unit: "bytes",
    help: "Longest body; longer ones get 513",
  },
} as const satisfies FlagTable;

/** The values of {@linkcode LIMIT_FLAGS}. */
export type LimitValues = FlagValues<typeof LIMIT_FLAGS>;
