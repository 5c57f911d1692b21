/** For tests of the programs' metrics: other parsers, the conventions of names, and the documentation. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import parse from "parse-prometheus-text-format";
import type { MetricFamily } from "./exposition.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

/** A family as parse-prometheus-text-format gives it. */
export interface ParsedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly metrics: readonly {
    readonly value?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly buckets?: Readonly<Record<string, string>>;
    readonly count?: string;
    readonly sum?: string;
  }[];
}

/** Fails unless an independent parser finds every family, sample, label and bucket with its value. */
export function assertParsed(text: string, families: readonly MetricFamily[]): void {
  const parsed = parse(text) as ParsedFamily[];
  assertEquals(
    parsed.map(({ name, help, type }) => ({ name, help, type: type.toLowerCase() })),
    families.map(({ name, help, type }) => ({ name, help, type })),
  );
  for (const [i, family] of families.entries()) {
    const { metrics } = parsed[i];
    if (family.type !== "histogram") {
      assertEquals(
        metrics.map(({ value, labels = {} }) => ({ value: Number(value), labels })),
        family.samples.map(({ value, labels = {} }) => ({ value, labels })),
        family.name,
      );
      continue;
    }
    const { bounds, observations: { counts, sum } } = family;
    // The parser gives an object, whose keys that look like array indices come first.
    assertEquals(Object.keys(metrics[0].buckets!).toSorted(), [...bounds.map(String), "+Inf"].toSorted());
    const total = counts.reduce((all, count) => all + count, 0);
    assertEquals([Number(metrics[0].buckets!["+Inf"]), Number(metrics[0].count)], [total, total]);
    assertEquals(Number(metrics[0].sum), sum);
  }
}

/**
 * Fails unless names, units and labels follow Prometheus's conventions.
 *
 * @param labels of the program's own: of each a closed set of values, never a user, a name or an address
 */
export function assertNames(
  program: string,
  families: readonly MetricFamily[],
  labels: readonly string[],
): void {
  assertEquals(new Set(families.map(({ name }) => name)).size, families.length);
  for (const family of families) {
    const { name, type, help } = family;
    assertMatch(name, /^[a-z]+_[a-z0-9_]+$/);
    assert(name.startsWith(`${program}_`) || name.startsWith("process_"), name);
    assertEquals(name.endsWith("_total"), type === "counter", name);
    assert(!/_(bucket|sum|count|ms|milliseconds|kb)$/.test(name), name);
    assertMatch(help, /^[A-Z0-9].*\.$/);
    if (family.type === "histogram") continue;
    for (const sample of family.samples) {
      for (const label of Object.keys(sample.labels ?? {})) {
        assert(["worker", "version", "deno", "hash", ...labels].includes(label), label);
      }
    }
  }
}

/** Where a program is, or undefined. */
function installed(program: string): string | undefined {
  return (Deno.env.get("PATH") ?? "").split(":").map((folder) => `${folder}/${program}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

const PROMTOOL = installed("promtool");
/** Why a test with promtool is skipped; "" when it is not. */
export const WITHOUT_PROMTOOL: string = PROMTOOL === undefined ? " (skipped: promtool is not installed)" : "";

/** Fails unless promtool is content. */
export async function promtool(args: string[], input: string): Promise<void> {
  const options = { args, cwd: ROOT, stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(PROMTOOL!, options).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stdout) + decoder.decode(stderr));
}

function table(families: readonly MetricFamily[]): string {
  const rows = families.map((family) => {
    const labels = family.type === "histogram" ? ["le"] : Object.keys(family.samples[0].labels ?? {});
    return `| \`${family.name}\` | ${family.type} | ${labels.join(", ")} | ${family.help} |`;
  });
  return ["| metric | type | labels | what it is |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** A table as deno fmt has it, without the padding. */
const bare = (text: string) => text.replace(/ +/g, " ").replace(/-{3,}/g, "---").trim();

/**
 * Fails unless docs/MONITORING.md has the table of a program's metrics, the alerting rules name only what there is, and each
 * alert is in the document.
 *
 * @param families each with a sample at least
 */
export function assertDocumented(program: string, families: readonly MetricFamily[]): void {
  const document = read("docs/MONITORING.md");
  const found = new RegExp(`<!-- ${program} metrics -->\\n+([\\s\\S]*?)\\n+<!-- end -->`).exec(document);
  assertEquals(bare(found?.[1] ?? ""), bare(table(families)));
  const rules = read(`examples/prometheus/${program}_alerts.yml`);
  const names = new Set(
    families.flatMap(({ name, type }) => type === "histogram" ? [`${name}_bucket`] : [name]),
  );
  for (const [name] of rules.matchAll(new RegExp(`\\b(${program}|process)_[a-z_]+\\b`, "g"))) {
    assert(names.has(name), name);
  }
  for (const [, alert] of rules.matchAll(/- alert: (\w+)/g)) assert(document.includes(alert), alert);
}
