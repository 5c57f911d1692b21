/** Hash functions of the chains and their helpers. */
export * from "./chain_hash.ts";
export * from "./equal.ts";
export * from "./hex.ts";
export * from "./lanes.ts";
export * from "./select.ts";
