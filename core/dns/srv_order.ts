/** In which order the targets of SRV records are tried: RFC 2782. */
import type { Random } from "../random.ts";

/** What is ordered. */
export interface Weighted {
  /** Lower ones go first. */
  readonly priority: number;
  /** Among equals each is first in proportion to it. */
  readonly weight: number;
}

/** More than a record can have, as a share of which random numbers are whole. */
const PRECISION = 2 ** 32;

/**
 * By priority, and by weighted lot among those of the same.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../random.ts";
 * import { orderByWeight } from "./srv_order.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const targets = [{ priority: 2, weight: 0 }, { priority: 1, weight: 9 }];
 * assertEquals(orderByWeight(targets, seededRandom(1)), [targets[1], targets[0]]);
 * ```
 */
export function orderByWeight<T extends Weighted>(targets: readonly T[], random: Random): T[] {
  if (targets.length < 2) return [...targets];
  const ordered: T[] = [];
  // Those of weight 0 in front: with weights about they are chosen seldom, as RFC 2782 has it.
  const left = [...targets].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  while (left.length > 0) {
    let count = 1;
    while (count < left.length && left[count].priority === left[0].priority) count++;
    const total = left.slice(0, count).reduce((sum, { weight }) => sum + weight, 0);
    const drawn = random.below(PRECISION) / PRECISION * total;
    let sum = 0;
    let chosen = 0;
    // Without weights all have the same chance.
    if (total === 0) chosen = random.below(count);
    else while (chosen < count - 1 && (sum += left[chosen].weight) <= drawn) chosen++;
    ordered.push(...left.splice(chosen, 1));
  }
  return ordered;
}
