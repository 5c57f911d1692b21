/** Constants of the PC scheme itself, docs/PROTOCOL.md. Tuning values that an operator may change are in `policy.ts`. */

/** Name of the authentication scheme in challenges and answers. */
export const PC_SCHEME = "PC";
/** Length of N in bytes, docs/PROTOCOL.md §3. */
export const NONCE_BYTES = 16;
/** Length of `opaque` in bytes, docs/PROTOCOL.md §4. */
export const OPAQUE_BYTES = 8;
/** The shortest and the longest chain, docs/PROTOCOL.md §3. */
export const MIN_CHAIN = 1;
export const MAX_CHAIN = 65535;
/** How many indices from i up the replay window covers, docs/PROTOCOL.md §6 step 5. */
export const WINDOW_SIZE = 64;
/** Most challenges that an agent answers for one request, docs/PROTOCOL.md §4. */
export const MAX_CHALLENGES_PER_REQUEST = 6;
/** Most tokens that an agent jumps down at random on a repeated guided challenge, docs/PROTOCOL.md §4. */
export const MAX_SPREAD = 31;
/** Most pre-emptive answers in one request, docs/PROTOCOL.md §5. */
export const MAX_PREEMPTIVE_ANSWERS = 4;
/** A proxy asks for a new credential on an agent's wish at most once in this time per user, ms, docs/PROTOCOL.md §5. */
export const RENEW_INTERVAL_MS = 2000;
