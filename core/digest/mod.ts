/** Digest access authentication: RFC 2617, RFC 7616 and RFC 8760 in SIP. */
export * from "./algorithms.ts";
export * from "./client.ts";
export * from "./digest_header.ts";
export * from "./digest_verdict.ts";
export * from "./nonce.ts";
export * from "./nonce_uses.ts";
export * from "./response.ts";
export * from "./server.ts";
