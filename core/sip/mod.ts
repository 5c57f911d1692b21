/** SIP messages: reading, writing, framing, URIs. */
export * from "./address.ts";
export * from "./auth_params.ts";
export * from "./byte_writer.ts";
export * from "./forward.ts";
export * from "./header.ts";
export * from "./message.ts";
export * from "./name_addr.ts";
export * from "./patch.ts";
export * from "./problem.ts";
export * from "./reason.ts";
export * from "./stream.ts";
export * from "./uri.ts";
export * from "./uri_compare.ts";
export * from "./values.ts";
export * from "./via.ts";
export * from "./write.ts";
