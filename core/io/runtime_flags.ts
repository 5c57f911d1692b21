/** Flags that every program with sockets and hashes has. */
import type { FlagTable } from "../cli/flags.ts";
import { HASH_CHOICES } from "../hash/select.ts";

/** Which hash library, and which sockets. */
export const RUNTIME_FLAGS = {
  hash: {
    type: "choice",
    choices: HASH_CHOICES,
    default: "auto",
    env: "PROXYCHAIN_HASH",
    help: "Hash library",
  },
  io: {
    type: "choice",
    choices: ["auto", "batched", "deno"],
    default: "auto",
    help: "Datagrams by batches (Linux), or by Deno's sockets; auto takes batches where it can",
  },
  io_wait: {
    type: "number",
    default: 1,
    min: 0,
    max: 10,
    unit: "ms",
    help: "Under load, how long batched I/O waits for more datagrams; 0: not at all",
  },
} as const satisfies FlagTable;
