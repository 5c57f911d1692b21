/** SIP messages: reading, writing, framing, URIs. */
export * from "./address.ts";
export * from "./auth_params.ts";
export * from "./header.ts";
export * from "./message.ts";
export * from "./name_addr.ts";
export * from "./problem.ts";
export * from "./uri.ts";
export * from "./values.ts";
export * from "./via.ts";
