/** Levenshtein distance between two short texts, in edits (insert, delete, replace). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}

/**
 * The candidate that is most like `name`, for "did you mean" in error texts.
 *
 * @returns the candidate, or undefined when none is within a third of the length of `name` (at least 2 edits, but never as many
 * as it has letters).
 * @example
 * ```ts
 * import { nearest } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nearest("lisen", ["listen", "realm"]), "listen");
 * assertEquals(nearest("xyzzy", ["listen", "realm"]), undefined);
 * assertEquals(nearest("zz", ["sf"]), undefined);
 * ```
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(name.length, Math.max(2, Math.floor(name.length / 3)) + 1);
  for (const candidate of candidates) {
    const d = distance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}
