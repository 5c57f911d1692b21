/** The timers of SIP transactions: RFC 3261 table 4 and RFC 6026 §7, in milliseconds. */

/** Estimate of the round-trip time (RFC 3261 §17.1.1.1). */
export const T1 = 500;
/** The longest interval between retransmissions of a non-INVITE request or of a final response to INVITE (§17.1.2.2). */
export const T2 = 4_000;
/** The longest time that a message stays in the network (§17.1.2.2). */
export const T4 = 5_000;
/** How long a proxy waits for the final response to an INVITE after a provisional one: more than 3 minutes (§16.6 item 11). */
export const TIMER_C = 180_000 + 1_000;
/** How long INVITE responses that are retransmitted are awaited over UDP: at least 32 s (§17.1.1.2). */
export const TIMER_D = 32_000;
/** A server transaction answers 100 (Trying) by itself if its user does not answer an INVITE within this time (§17.2.1). */
export const TRYING_DELAY = 200;

/** The name of a timer, as the RFCs name it; "trying" is the 200 ms of RFC 3261 §17.2.1, to which they give no letter. */
export type TimerName = "A" | "B" | "D" | "E" | "F" | "G" | "H" | "I" | "J" | "K" | "L" | "M" | "trying";

/** All durations in milliseconds. */
export interface SipTimers {
  readonly t1: number;
  readonly t2: number;
  readonly t4: number;
  /** Timer A: first retransmission of INVITE; doubles each time, without a limit but Timer B (§17.1.1.2). */
  readonly a: number;
  /** Timer B: an INVITE without any response has failed: 64·T1. */
  readonly b: number;
  /** Timer C: used by proxies, not by a transaction (§16.6, §16.8). */
  readonly c: number;
  /** Timer D: wait for retransmitted responses to INVITE over an unreliable transport. */
  readonly d: number;
  /** Timer E: first retransmission of another request; doubles up to T2 (§17.1.2.2). */
  readonly e: number;
  /** Timer F: a request other than INVITE without a final response has failed: 64·T1. */
  readonly f: number;
  /** Timer G: first retransmission of a 300-699 response to INVITE; doubles up to T2 (§17.2.1). */
  readonly g: number;
  /** Timer H: the ACK has not come: 64·T1. */
  readonly h: number;
  /** Timer I: wait for retransmitted ACKs over an unreliable transport: T4. */
  readonly i: number;
  /** Timer J: wait for retransmitted requests other than INVITE over an unreliable transport: 64·T1 (§17.2.2). */
  readonly j: number;
  /** Timer K: wait for retransmitted responses over an unreliable transport: T4 (§17.1.2.2). */
  readonly k: number;
  /** Timer L: absorb retransmissions of an INVITE that was answered with 2xx: 64·T1, on any transport (RFC 6026 §7.1). */
  readonly l: number;
  /** Timer M: pass further 2xx responses on to the user: 64·T1, on any transport (RFC 6026 §7.2). */
  readonly m: number;
  /** The wait before the automatic 100 (Trying). */
  readonly trying: number;
}

/**
 * The timers that follow from T1, T2 and T4 (RFC 3261 table 4), with any of them replaced.
 *
 * @param changes what differs from the RFC's values, in milliseconds
 * @throws RangeError if a duration is not a number from 0 to 24 hours
 * @example
 * ```ts
 * import { sipTimers } from "./timers.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sipTimers().b, 32_000);
 * assertEquals(sipTimers({ t1: 100 }).b, 6_400);
 * ```
 */
export function sipTimers(changes: Partial<SipTimers> = {}): SipTimers {
  const t1 = changes.t1 ?? T1;
  const t2 = changes.t2 ?? T2;
  const t4 = changes.t4 ?? T4;
  const long = 64 * t1;
  const timers: SipTimers = {
    t1,
    t2,
    t4,
    a: t1,
    b: long,
    c: TIMER_C,
    d: Math.max(TIMER_D, long),
    e: t1,
    f: long,
    g: t1,
    h: long,
    i: t4,
    j: long,
    k: t4,
    l: long,
    m: long,
    trying: TRYING_DELAY,
    ...changes,
  };
  for (const [name, duration] of Object.entries(timers)) {
    if (!(duration >= 0 && duration <= 86_400_000)) {
      throw new RangeError(`SIP timer ${name} is ${duration}: it must be 0 to 86400000 ms`);
    }
  }
  return timers;
}
