/** The highest rate that holds, in a bounded number of trials. */

/** How far a search may go. */
export interface SearchOptions {
  /** The first rate, calls per s. */
  readonly start: number;
  /** No higher one is tried. */
  readonly cap: number;
  /** Trials at most. */
  readonly trials: number;
}

/** What was found. */
export interface Highest {
  /** calls per s; 0: none held. */
  readonly rate: number;
  /** The lowest rate that did not hold; undefined: the highest one allowed did. */
  readonly failedAt: number | undefined;
  readonly trials: number;
}

const round = (rate: number) => rate >= 100 ? Math.round(rate / 10) * 10 : Math.max(1, Math.round(rate));
/** Bounds that are so near each other are not searched between. */
const CLOSE = 1.06;

/**
 * Doubles or halves until one rate holds and one does not, then tries between the two.
 *
 * @param holds runs the load at a rate and says whether it held
 * @example
 * ```ts
 * import { findHighest } from "./search.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const found = await findHighest((rate) => Promise.resolve(rate <= 3000), { start: 1000, cap: 20000, trials: 8 });
 * assertEquals(found, { rate: 2950, failedAt: 3080, trials: 7 });
 * ```
 */
export async function findHighest(
  holds: (rate: number) => Promise<boolean>,
  { start, cap, trials }: SearchOptions,
): Promise<Highest> {
  let good = 0;
  let bad: number | undefined;
  let rate = Math.min(round(start), cap);
  let done = 0;
  while (done < trials) {
    done++;
    if (await holds(rate)) good = rate;
    else bad = rate;
    if (bad === undefined) {
      if (good >= cap) break;
      rate = Math.min(cap, good * 2);
    } else if (good === 0) {
      if (bad <= 1) break;
      rate = round(bad / 2);
    } else {
      if (bad / good < CLOSE) break;
      rate = round(Math.sqrt(good * bad));
      if (rate === good || rate === bad) break;
    }
  }
  return { rate: good, failedAt: bad, trials: done };
}
