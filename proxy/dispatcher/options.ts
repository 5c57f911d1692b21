/** The flags of the dispatcher; names of Kamailio's where there are such. */
import type { FlagTable, FlagValues } from "../../mod.ts";
import type { DispatcherOptions } from "./dispatcher.ts";

/** Part of `PROXY_FLAGS`. */
export const DISPATCHER_FLAGS = {
  dispatcher_list: {
    type: "text",
    value: "FILE",
    help:
      "Destinations of the dispatcher: dispatcher.list of Kamailio, or TOML if its name ends so; read again on SIGHUP",
  },
  ds_set: {
    type: "integer",
    min: 0,
    max: 0x7fff_ffff,
    help: "The set of the dispatcher that relay_to_next_hop uses in the place of --next_hop",
  },
  ds_alg: {
    type: "choice",
    choices: ["round_robin", "call_id", "weight", "first"],
    default: "round_robin",
    help: "How it chooses: first goes by priority",
  },
  ds_ping_interval: {
    type: "integer",
    default: 10,
    min: 0,
    max: 86_400,
    unit: "s",
    help:
      "How often destinations, and next hops that are down, are asked by OPTIONS; 0: destinations never are",
  },
  ds_probing_mode: {
    type: "choice",
    choices: ["all", "failed"],
    default: "all",
    help: "Which are asked: all, or those that have failed and those with flag 8",
  },
  ds_probing_threshold: {
    type: "integer",
    default: 1,
    min: 1,
    max: 1000,
    unit: "failures",
    help: "After so many in a row (no answer, no connection, 408, 503) a destination is not used",
  },
  ds_inactive_threshold: {
    type: "integer",
    default: 1,
    min: 1,
    max: 1000,
    unit: "answers",
    help: "After so many in a row it is used again",
  },
} as const satisfies FlagTable;

/** The options that the flags give. */
export function dispatcherOptions(values: FlagValues<typeof DISPATCHER_FLAGS>): DispatcherOptions {
  return {
    pingInterval: values.ds_ping_interval * 1000,
    probeAll: values.ds_probing_mode === "all",
    probingThreshold: values.ds_probing_threshold,
    inactiveThreshold: values.ds_inactive_threshold,
  };
}
