/**
 * Metrics as Prometheus reads them: its text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Without I/O.
 */

/** The content type of {@linkcode formatExposition}. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Labels of a sample, by name. Their values must come from a small closed set, or memory grows in every Prometheus. */
export type Labels = Readonly<Record<string, string>>;

/** One value. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/**
 * Observations sorted into buckets. Plain numbers without their bounds, so that they pass between processes and can be
 * added up like any other counter.
 */
export interface Observations {
  /** Of each bucket alone; one more than there are bounds. */
  readonly counts: number[];
  /** Sum of all that was observed. */
  sum: number;
}

interface FamilyBase {
  readonly name: string;
  readonly help: string;
}
/** A metric with all its samples. */
export type MetricFamily =
  | FamilyBase & { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] }
  | FamilyBase & {
    readonly type: "histogram";
    /** Upper bounds (included) of the buckets, rising; above the last there is one more bucket. */
    readonly bounds: readonly number[];
    readonly observations: Observations;
  };

/** None yet. */
export function noObservations(bounds: readonly number[]): Observations {
  return { counts: new Array(bounds.length + 1).fill(0), sum: 0 };
}

/** Counts one observation; `bounds` are those of the histogram. */
export function observe(observations: Observations, bounds: readonly number[], value: number): void {
  let bucket = 0;
  while (bucket < bounds.length && value > bounds[bucket]) bucket++;
  observations.counts[bucket]++;
  observations.sum += value;
}

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"');

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${formatValue(value)}`;
}

function* lines(family: MetricFamily): Iterable<string> {
  const { name, help, type } = family;
  yield `# HELP ${name} ${escapeHelp(help)}`;
  yield `# TYPE ${name} ${type}`;
  if (type !== "histogram") {
    for (const { labels = {}, value } of family.samples) yield sample(name, labels, value);
    return;
  }
  const { bounds, observations: { counts, sum } } = family;
  let total = 0;
  for (const [i, count] of counts.entries()) {
    total += count;
    yield sample(`${name}_bucket`, { le: formatValue(bounds[i] ?? Infinity) }, total);
  }
  yield sample(`${name}_sum`, {}, sum);
  yield sample(`${name}_count`, {}, total);
}

/**
 * The text of a scrape. A family without samples is left out.
 *
 * @example
 * ```ts
 * import { formatExposition } from "../../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = formatExposition([
 *   { name: "calls_total", help: "Calls.", type: "counter", samples: [{ labels: { by: 'a"b' }, value: 2 }] },
 * ]);
 * assertEquals(text, '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{by="a\\"b"} 2\n');
 * ```
 */
export function formatExposition(families: readonly MetricFamily[]): string {
  let text = "";
  for (const family of families) {
    if (family.type !== "histogram" && family.samples.length === 0) continue;
    for (const line of lines(family)) text += line + "\n";
  }
  return text;
}
