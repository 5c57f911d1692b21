/** The backend that runs everywhere: @noble/hashes, plain JavaScript. */
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { HashBackend } from "./chain_hash.ts";
import { singleLaneBackend } from "./single_lane.ts";

/** Never fails. Promised all the same, since the other backends need time to start. */
export function loadNoble(): Promise<HashBackend> {
  return Promise.resolve(singleLaneBackend("noble", {
    "MD5": (data) => md5(data),
    "SHA-1": (data) => sha1(data),
    "SHA-256": (data) => sha256(data),
  }));
}
