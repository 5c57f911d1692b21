/** Times that follow from T1 (RFC 3261 table 4), in milliseconds. */
import { T1 } from "../mod.ts";

/** A message that nobody answers has failed after so long: Timers B, F and H. */
export const GIVE_UP: number = 64 * T1;
/** For how long the Call-IDs of ended calls are remembered at least, to answer late retransmissions: Timer J. */
export const REMEMBER: number = 64 * T1;
