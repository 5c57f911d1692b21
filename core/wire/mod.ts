/** The DBclient protocol: docs/PROTOCOL.md §9. */
export { utf8Length, WireError } from "./bytes.ts";
export {
  ERROR_CODE,
  type ErrorName,
  type FrameName,
  type IssueErrorName,
  type LinkTimes,
  MAX_FRAME_LENGTH,
  MAX_ITEMS,
  MAX_PROOFS,
  MAX_REQUEST_LENGTH,
  MIN_KEY_BYTES,
  PROTOCOL_VERSION,
  TEXT_LIMIT,
  type VerifyStatus,
} from "./constants.ts";
export * from "./frame.ts";
export * from "./frame_reader.ts";
export * from "./handshake.ts";
export * from "./link.ts";
export * from "./proxy_link.ts";
export * from "./dbclient_link.ts";
export * from "./link_key.ts";
export * from "./loopback.ts";
export * from "./warmup.ts";
export * from "./warmup_reader.ts";
export * from "./warmup_writer.ts";
