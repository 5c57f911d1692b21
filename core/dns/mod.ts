/** Next hops by name: RFC 3263. Sans-I/O; `core/io/dns_io.ts` asks servers. */
export * from "./name_server.ts";
export * from "./records.ts";
export * from "./sip_locator.ts";
export * from "./sip_servers.ts";
export * from "./srv_order.ts";
