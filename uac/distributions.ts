/** Random numbers of the distributions that SIPp's pauses and samples name. */
import type { Random } from "../mod.ts";
import type { Distribution } from "./scenario.ts";

/** A uniform number in (0, 1). */
const unit = (random: Random) => (random.below(2 ** 32) + 0.5) / 2 ** 32;

/** A standard normal number (Box and Muller 1958). */
const normal = (random: Random) =>
  Math.sqrt(-2 * Math.log(unit(random))) * Math.cos(2 * Math.PI * unit(random));

/** Shape k, scale 1 (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000). */
function gamma(random: Random, k: number): number {
  if (k < 1) return gamma(random, k + 1) * unit(random) ** (1 / k);
  const d = k - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(unit(random)) < x * x / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** By the product of uniform numbers (Knuth); in parts, so that no product is too small. */
function poisson(random: Random, mean: number): number {
  let count = 0;
  for (; mean > 500; mean -= 500) count += poisson(random, 500);
  const limit = Math.exp(-mean);
  for (let product = unit(random); product > limit; product *= unit(random)) count++;
  return count;
}

/** Why the parameters make no sense; undefined if they do. */
export function distributionProblem({ kind, parameters }: Distribution): string | undefined {
  const [a, b] = parameters;
  const positive = (...values: number[]) => values.every((value) => value > 0);
  switch (kind) {
    case "uniform":
      return a <= b ? undefined : "uniform: min is above max";
    case "normal":
    case "lognormal":
      return b >= 0 ? undefined : `${kind}: stdev is below 0`;
    case "exponential":
      return positive(a) ? undefined : "exponential: mean is not above 0";
    case "weibull":
    case "pareto":
    case "gamma":
      return positive(a, b) ? undefined : `${kind}: both parameters have to be above 0`;
    case "negbin":
      return a > 0 && a <= 1 && b > 0 ? undefined : "negbin: p has to be above 0 and at most 1, n above 0";
    default:
      return undefined;
  }
}

/** A number of the distribution. */
export function sample({ kind, parameters: [a, b] }: Distribution, random: Random): number {
  switch (kind) {
    case "fixed":
      return a;
    case "uniform":
      return a + unit(random) * (b - a);
    case "normal":
      return a + b * normal(random);
    case "lognormal":
      return Math.exp(a + b * normal(random));
    case "exponential":
      return -a * Math.log(unit(random));
    case "weibull":
      return a * (-Math.log(unit(random))) ** (1 / b);
    case "pareto":
      return b / unit(random) ** (1 / a);
    case "gamma":
      return b * gamma(random, a);
    case "negbin":
      return a === 1 ? 0 : poisson(random, gamma(random, b) * (1 - a) / a);
  }
}
