/**
 * Proxychain: SIP authentication by hash chains. The public door to core/; importing it does no I/O.
 *
 * @module
 */
export * from "./core/chain/mod.ts";
export * from "./core/cli/mod.ts";
export * from "./core/digest/mod.ts";
export * from "./core/dns/mod.ts";
export * from "./core/hash/mod.ts";
export * from "./core/io/mod.ts";
export * from "./core/random.ts";
export * from "./core/sip/mod.ts";
export * from "./core/wire/mod.ts";
