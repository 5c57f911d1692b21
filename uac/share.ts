/** What one of several workers does of a run. */

/** The worker's number, from 0, and how many there are. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** Of a whole number of calls or users, so that the shares add up to it; 0, no limit, stays. */
export function partOf(total: number, { index, of }: Share): number {
  return Math.floor(total / of) + (index < total % of ? 1 : 0);
}
