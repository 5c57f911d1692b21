/** `uac lint`: what is wrong with a scenario, and what is suspicious. */
import { seededRandom } from "../mod.ts";
import type { ActionHost } from "./actions.ts";
import type { Call } from "./call.ts";
import { InjectionFile, InjectionFiles } from "./injection.ts";
import { compileProgram } from "./program.ts";
import { readScenario } from "./read_scenario.ts";
import type { Scenario, Step } from "./scenario.ts";
import { Variables } from "./variables.ts";
import type { Finding, Place } from "./xml.ts";

/** Attributes that name variables, by action: those that set, and those that use. */
const SETS = ["assign_to"];
const USES = ["variable", "variable2"];
/** Actions whose target has to have a value before. */
const CHANGES = ["add", "subtract", "multiply", "divide", "trim", "urlencode", "urldecode"];

/** Injection files of any name, with any field, for a scenario that is only looked at. */
class AnyFiles extends InjectionFiles {
  constructor() {
    const file = new InjectionFile(new TextEncoder().encode("SEQUENTIAL\n;\n"), "any");
    file.index(0);
    super([file]);
  }
  override find(): number {
    return 0;
  }
}

/** What a scenario is compiled with when it is not run. */
function lintHost(keys: Readonly<Record<string, string>>): ActionHost<Call> {
  const nothing = () => {};
  return {
    facts: {
      service: "service",
      remoteIp: "127.0.0.1",
      remotePort: 5060,
      localIp: "127.0.0.1",
      localPort: 5060,
      transport: "UDP",
      pid: 1,
      domain: "localhost",
      keys,
    },
    variables: new Variables(),
    files: new AnyFiles(),
    random: seededRandom(1),
    hasher: undefined,
    mayExec: true,
    wallClock: () => 0,
    clockTick: () => 0,
    users: () => 0,
    dynamicId: () => 0,
    readFile: () => new Uint8Array(0),
    exec: nothing,
    log: nothing,
    warn: nothing,
    fail: nothing,
    stop: nothing,
    setDestination: nothing,
    closeConnection: nothing,
  };
}

/**
 * Looks at a scenario.
 *
 * @param text the file
 * @param keys keywords that `-key` would give
 * @returns what was found, in the order of the file
 * @example
 * ```ts
 * import { lint } from "./lint.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = '<scenario name="x">\n<recv request="BYE"/>\n<label id="a"/>\n</scenario>';
 * assertEquals(lint(text, "x").map(({ line, text }) => `${line}: ${text}`), ["3: nothing leads to label a"]);
 * ```
 */
export function lint(text: string, name: string, keys: Readonly<Record<string, string>> = {}): Finding[] {
  const { scenario, findings } = readScenario(text, name);
  const found = [...findings];
  if (scenario !== undefined) {
    compileProgram(scenario, lintHost(keys), (finding) => found.push(finding));
    found.push(...flow(scenario.steps, scenario), ...variables(scenario));
  }
  return found.sort((a, b) => a.line - b.line || a.column - b.column);
}

const warning = ({ line, column }: Place, text: string): Finding => ({
  severity: "warning",
  line,
  column,
  text,
});

/** Labels that nothing leads to, and steps that are never done. */
function flow(steps: readonly Step[], { labels }: Scenario): Finding[] {
  const found: Finding[] = [];
  const targets = new Set<string>();
  const jumps = steps.some(({ actions }) => actions.some(({ kind }) => kind === "jump"));
  for (const step of steps) {
    if (step.next !== undefined) targets.add(step.next);
    if (step.kind === "recv" && step.ontimeout !== undefined) targets.add(step.ontimeout);
  }
  for (const [label, { at }] of labels) {
    if (!targets.has(label) && !label.startsWith("_unexp.")) {
      found.push(warning(at, `nothing leads to label ${label}`));
    }
  }
  if (jumps) return found;
  const reached = new Set<number>();
  const todo = [
    0,
    ...[...labels].filter(([label]) => label.startsWith("_unexp.")).map(([, { step }]) => step),
  ];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    if (reached.has(at) || at >= steps.length) continue;
    reached.add(at);
    const step = steps[at];
    const target = step.next === undefined ? undefined : labels.get(step.next)?.step;
    if (target !== undefined) todo.push(target);
    const always = target !== undefined && step.test === undefined && step.chance >= 1 &&
      step.condexec === undefined && !(step.kind === "recv" && step.optional !== "no");
    if (!always) todo.push(at + 1);
    if (step.kind === "recv" && step.ontimeout !== undefined) {
      const late = labels.get(step.ontimeout)?.step;
      if (late !== undefined) todo.push(late);
    }
  }
  const first = steps.findIndex((_, i) => !reached.has(i));
  if (first >= 0) found.push(warning(steps[first].at, `<${steps[first].kind}> is never reached`));
  return found;
}

/** Variables that are set and not used, or used and not set. */
function variables(scenario: Scenario): Finding[] {
  const set = new Map<string, Place>();
  const used = new Map<string, Place>();
  const note = (map: Map<string, Place>, name: string | undefined, at: Place) => {
    for (const item of (name ?? "").split(",")) {
      const trimmed = item.trim();
      if (trimmed !== "" && !map.has(trimmed)) map.set(trimmed, at);
    }
  };
  const texts = (text: string, at: Place) => {
    for (const [, name] of text.matchAll(/\[\$([^\]]+)\]/g)) note(used, name, at);
    for (const [, name] of text.matchAll(/\[fill[^\]]*variable="?([^\]\s"]+)/g)) note(used, name, at);
  };
  for (const step of [...scenario.steps, ...scenario.init]) {
    note(used, step.test, step.at);
    note(used, step.condexec, step.at);
    if (step.kind === "recv") note(used, step.timeoutVariable, step.at);
    else if (step.kind === "send") texts(step.message, step.messageAt);
    else if (step.kind === "pause" || step.kind === "timewait") note(used, step.variable, step.at);
    for (const { kind, at, values } of step.actions) {
      for (const [name, value] of Object.entries(values)) {
        if (SETS.includes(name)) note(set, value, at);
        else if (USES.includes(name)) note(used, value, at);
        else if (name !== "regexp") texts(value, at);
      }
      if (CHANGES.includes(kind)) note(used, values.assign_to, at);
    }
  }
  const excused = (name: string) => scenario.referenced.has(name) || name.startsWith("_unexp.");
  const found: Finding[] = [];
  for (const [name, at] of set) {
    if (!used.has(name) && !excused(name)) found.push(warning(at, `variable ${name} is set and never used`));
  }
  for (const [name, at] of used) {
    if (
      !set.has(name) && !excused(name) && !scenario.globals.has(name) && !scenario.userVariables.has(name)
    ) {
      found.push(warning(at, `variable ${name} is used and never set`));
    }
  }
  return found;
}
