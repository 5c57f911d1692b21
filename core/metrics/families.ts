/** Families of metrics as functions of what a program shows at a scrape: a table of them is what it serves. */
import type { MetricFamily, Sample } from "./exposition.ts";

/** Reads a family from a snapshot of the program. */
export type FamilyOf<S> = (snapshot: S) => MetricFamily;

/** A family with a sample for each of a closed set of labels. */
export function labelledFamily<S>(
  type: "counter" | "gauge",
  name: string,
  help: string,
  samples: (snapshot: S) => readonly Sample[],
): FamilyOf<S> {
  return (snapshot) => ({ type, name, help, samples: samples(snapshot) });
}

/** A family of one unlabelled sample. */
export function singleFamily<S>(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (snapshot: S) => number,
): FamilyOf<S> {
  return labelledFamily(type, name, help, (snapshot) => [{ value: value(snapshot) }]);
}
