/** Names with a number in them, as printf writes them: `user%06d`. */
import { UsageError } from "./flags.ts";

/**
 * Reads a pattern with one %d, with an optional width (`%6d`, `%06d`); %% is a percent sign.
 *
 * @param flag for the error text
 * @param without whether it may have no %d: then it is the same text for every number
 * @returns the name for a number
 * @throws {UsageError} on any other %, and without a %d unless that is allowed
 * @example
 * ```ts
 * import { namePattern } from "./name_pattern.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(namePattern("--users", "user%04d")(7), "user0007");
 * ```
 */
export function namePattern(flag: string, pattern: string, without = false): (number: number) => string {
  const match = /^((?:[^%]|%%)*)(?:%(0?)(\d{0,2})d((?:[^%]|%%)*))?$/.exec(pattern);
  if (match === null || (match[3] === undefined && !without)) {
    throw new UsageError(
      `${flag}: ${JSON.stringify(pattern)} is not allowed; it takes one %d (such as %06d), and %% for %`,
    );
  }
  const [before, after] = [match[1], match[4] ?? ""].map((text) => text.replaceAll("%%", "%"));
  if (match[3] === undefined) return () => before;
  const width = Number(match[3]);
  const pad = match[2] === "0" ? "0" : " ";
  return (number) => before + String(number).padStart(width, pad) + after;
}
