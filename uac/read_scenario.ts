/** Reads SIPp's XML scenarios, and finds what is wrong with them. */
import { nearest } from "../mod.ts";
import type { Action, CommonStep, Distribution, RecvStep, Scenario, Step } from "./scenario.ts";
import { ACTIONS, DISTRIBUTIONS, type ElementSpec, MEDIA, SECTIONS, STEPS } from "./schema.ts";
import { type Finding, type Place, readXml, type XmlElement } from "./xml.ts";

/** A scenario as far as it could be read, and what was found. */
export interface ReadResult {
  /** undefined where an error keeps it from being run. */
  readonly scenario: Scenario | undefined;
  /** In the order of the file. */
  readonly findings: readonly Finding[];
}

const didYouMean = (name: string, names: Iterable<string>) => {
  const like = nearest(name, names);
  return like === undefined ? "" : `: did you mean ${like}?`;
};
const TRUE = ["true", "1", "yes"];
const FALSE = ["false", "0", "no"];
/** SIPp's defaults, ms. */
const DEFAULT_RESPONSE_TIMES = [10, 20, 30, 40, 50, 100, 150, 200];
const DEFAULT_CALL_LENGTHS = [10, 50, 100, 500, 1000, 5000, 10000];

/** Reads one file. */
class Reader {
  readonly findings: Finding[] = [];
  readonly globals = new Set<string>();
  readonly userVariables = new Set<string>();
  readonly referenced = new Set<string>();
  responseTimes: readonly number[] = DEFAULT_RESPONSE_TIMES;
  callLengths: readonly number[] = DEFAULT_CALL_LENGTHS;

  error(at: Place, text: string): void {
    this.findings.push({ severity: "error", line: at.line, column: at.column, text });
  }
  warn(at: Place, text: string): void {
    this.findings.push({ severity: "warning", line: at.line, column: at.column, text });
  }

  /** Checks an element's attributes and children by its line in the table. */
  check(element: XmlElement, spec: ElementSpec): void {
    const names = Object.keys(spec.attributes);
    for (const { name, value, at } of element.attributes.values()) {
      const type = spec.attributes[name];
      if (type === undefined) {
        this.error(at, `<${element.name}> has no attribute ${name}${didYouMean(name, names)}`);
      } else if (typeof type !== "string") {
        if (!type.includes(value)) {
          this.error(at, `${name}: ${JSON.stringify(value)} is not allowed; it takes ${type.join(", ")}`);
        }
      } else if (type === "boolean") {
        if (![...TRUE, ...FALSE].includes(value.trim().toLowerCase())) {
          this.error(at, `${name}: ${JSON.stringify(value)} is not allowed; it takes true or false`);
        }
      } else if (type === "number" || type === "integer") {
        const number = value.trim() === "" ? NaN : Number(value);
        if (!Number.isFinite(number) || (type === "integer" && !Number.isInteger(number))) {
          const what = type === "integer" ? "a whole number" : "a number";
          this.error(at, `${name}: ${JSON.stringify(value)} is not allowed; it takes ${what}`);
        }
      }
    }
    for (const name of spec.required ?? []) {
      if (!element.attributes.has(name)) {
        this.error(element.at, `<${element.name}> lacks the attribute ${name}`);
      }
    }
    if (spec.children === undefined) {
      for (const { name, at } of element.children) this.error(at, `<${element.name}> takes no <${name}>`);
    }
    if (spec.unsupported !== undefined) {
      this.error(element.at, `<${element.name}>: ${spec.unsupported}`);
    }
  }

  step(element: XmlElement): Step | undefined {
    this.check(element, STEPS[element.name]);
    const text = (name: string) => element.attributes.get(name)?.value;
    const number = (name: string) => {
      const value = Number(text(name) ?? NaN);
      return Number.isFinite(value) ? value : undefined;
    };
    const flag = (name: string) => TRUE.includes(text(name)?.trim().toLowerCase() ?? "");
    const names = (name: string) =>
      (text(name) ?? "").split(",").map((s) => s.trim()).filter((s) => s !== "");
    const common: CommonStep = {
      at: element.at,
      // rtd="true" is the first timer.
      startRtd: names("start_rtd").map(timerName),
      rtd: names("rtd").filter((name) => name !== "false").map(timerName),
      repeatRtd: flag("repeat_rtd"),
      crlf: flag("crlf"),
      next: text("next"),
      test: text("test"),
      chance: number("chance") ?? 1,
      condexec: text("condexec"),
      condexecInverse: flag("condexec_inverse"),
      counter: text("counter"),
      hide: flag("hide"),
      display: text("display"),
      actions: this.#actions(element),
    };
    switch (element.name) {
      case "send": {
        if (element.text.trim() === "") this.error(element.at, "<send> has no message");
        const message = element.text;
        return {
          ...common,
          kind: "send",
          message,
          messageAt: element.textAt,
          retrans: number("retrans"),
          lost: number("lost"),
          startTxn: text("start_txn"),
          ackTxn: text("ack_txn"),
        };
      }
      case "recv":
        return this.#recv(element, common, text, number, flag);
      case "pause":
      case "timewait": {
        const milliseconds = number("milliseconds");
        const length: Distribution | undefined = milliseconds === undefined
          ? this.distribution(element)
          : { kind: "fixed", parameters: [milliseconds] };
        return { ...common, kind: element.name, length, variable: text("variable") };
      }
      case "nop":
        return { ...common, kind: "nop" };
      default:
        return undefined;
    }
  }

  #recv(
    element: XmlElement,
    common: CommonStep,
    text: (name: string) => string | undefined,
    number: (name: string) => number | undefined,
    flag: (name: string) => boolean,
  ): RecvStep {
    const response = number("response");
    const request = text("request");
    if ((response === undefined) === (request === undefined)) {
      this.error(element.at, "<recv> takes either response or request");
    }
    const regexp = flag("regexp_match");
    if (regexp && request === undefined) this.error(element.at, "regexp_match is for request only");
    if (flag("auth") && response !== undefined && response !== 401 && response !== 407) {
      this.warn(element.at, `auth="true": a ${response} has no challenge; 401 and 407 have`);
    }
    const optional = text("optional");
    return {
      ...common,
      kind: "recv",
      response,
      request,
      regexp,
      optional: optional === "global" ? "global" : optional === "true" ? "yes" : "no",
      rrs: flag("rrs"),
      auth: flag("auth"),
      lost: number("lost"),
      timeout: number("timeout"),
      timeoutVariable: text("timeout_variable"),
      ontimeout: text("ontimeout"),
      responseTxn: text("response_txn"),
    };
  }

  distribution(element: XmlElement): Distribution | undefined {
    const value = (name: string) => Number(element.attributes.get(name)?.value ?? NaN);
    const attribute = element.attributes.get("distribution");
    if (attribute === undefined) {
      // SIPp's older form: <pause min= max=>.
      if (element.attributes.has("min") && element.attributes.has("max")) {
        return { kind: "uniform", parameters: [value("min"), value("max")] };
      }
      return undefined;
    }
    const kind = attribute.value as keyof typeof DISTRIBUTIONS;
    const names = DISTRIBUTIONS[kind];
    if (names === undefined) return undefined;
    for (const name of names) {
      if (!element.attributes.has(name)) {
        this.error(attribute.at, `distribution ${kind} lacks the attribute ${name}`);
      }
    }
    return { kind, parameters: names.map((name) => value(name)) };
  }

  #actions(element: XmlElement): Action[] {
    const actions: Action[] = [];
    for (const child of element.children) {
      if (child.name !== "action") {
        if (STEPS[element.name].children !== undefined) {
          this.error(child.at, `<${element.name}> takes <action>, not <${child.name}>`);
        }
        continue;
      }
      for (const action of child.children) {
        const spec = ACTIONS[action.name];
        if (spec === undefined) {
          const like = didYouMean(action.name, Object.keys(ACTIONS));
          this.error(action.at, `unknown action <${action.name}>${like}`);
          continue;
        }
        this.check(action, spec);
        const values = Object.fromEntries(
          [...action.attributes.values()].map(({ name, value }) => [name, value]),
        );
        this.#checkAction(action, values);
        actions.push({ kind: action.name, at: action.at, values });
      }
    }
    return actions;
  }

  #checkAction(element: XmlElement, values: Readonly<Record<string, string>>): void {
    const { name, at } = element;
    if (name === "ereg") {
      const where = values.search_in ?? "msg";
      if (where === "hdr" && values.header === undefined) this.error(at, 'search_in="hdr" needs header');
      if (where === "var" && values.variable === undefined) this.error(at, 'search_in="var" needs variable');
      if (TRUE.includes(values.check_it ?? "") && TRUE.includes(values.check_it_inverse ?? "")) {
        this.error(at, "check_it and check_it_inverse exclude each other");
      }
    } else if (name === "exec") {
      const media = MEDIA.find((attribute) => values[attribute] !== undefined);
      if (media !== undefined) this.error(at, `<exec ${media}>: media is not supported`);
      else if (values.command === undefined && values.int_cmd === undefined) {
        this.error(at, "<exec> takes command or int_cmd");
      }
    } else if (name === "sample") this.distribution(element);
    else if (["assign", "add", "subtract", "multiply", "divide", "jump"].includes(name)) {
      if ((values.value === undefined) === (values.variable === undefined)) {
        this.error(at, `<${name}> takes either value or variable`);
      }
    } else if (name === "test" && (values.value === undefined) === (values.variable2 === undefined)) {
      this.error(at, "<test> takes either value or variable2");
    }
  }

  /** Steps and labels of `<scenario>` or `<init>`. */
  sequence(element: XmlElement, allowed: readonly string[]) {
    const steps: Step[] = [];
    const labels = new Map<string, { step: number; at: Place }>();
    for (const child of element.children) {
      if (child.name === "label") {
        this.check(child, STEPS.label);
        const id = child.attributes.get("id")?.value ?? "";
        if (labels.has(id)) this.error(child.at, `label ${id} stands twice`);
        else labels.set(id, { step: steps.length, at: child.at });
      } else if (allowed.includes(child.name)) {
        const step = this.step(child);
        if (step !== undefined) steps.push(step);
      } else if (element.name === "init") this.error(child.at, `<init> takes no <${child.name}>`);
    }
    for (const step of steps) {
      for (const target of [step.next, step.kind === "recv" ? step.ontimeout : undefined]) {
        if (target !== undefined && !labels.has(target)) {
          this.error(step.at, `there is no label ${target}${didYouMean(target, labels.keys())}`);
        }
      }
    }
    return { steps, labels };
  }

  section(element: XmlElement): void {
    this.check(element, SECTIONS[element.name]);
    const attribute = element.attributes.get("variables") ?? element.attributes.get("value");
    const list = (attribute?.value ?? "").split(",").map((s) => s.trim()).filter((s) => s !== "");
    const add = (set: Set<string>) => list.forEach((name) => set.add(name));
    if (element.name === "Global") add(this.globals);
    else if (element.name === "User") add(this.userVariables);
    else if (element.name === "Reference") add(this.referenced);
    else if (element.name !== "init") {
      const bounds = list.map(Number);
      if (
        bounds.some((bound) => !(bound >= 0)) || bounds.some((bound, i) => i > 0 && bound <= bounds[i - 1])
      ) {
        this.error(attribute?.at ?? element.at, `<${element.name}> takes rising numbers of milliseconds`);
      } else if (element.name === "ResponseTimeRepartition") this.responseTimes = bounds;
      else this.callLengths = bounds;
    }
  }
}

const timerName = (name: string) => name === "true" ? "1" : name;

/**
 * Reads a scenario.
 *
 * @param text the file
 * @param name for a scenario that has none
 * @example
 * ```ts
 * import { readScenario } from "./read_scenario.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = '<scenario name="x">\n  <recv request="BYE" optinal="true"/>\n</scenario>';
 * const { scenario, findings } = readScenario(text, "x");
 * assertEquals(scenario, undefined);
 * assertEquals(findings, [{
 *   severity: "error",
 *   line: 2,
 *   column: 23,
 *   text: "<recv> has no attribute optinal: did you mean optional?",
 * }]);
 * ```
 */
export function readScenario(text: string, name: string): ReadResult {
  const { root, findings } = readXml(text);
  const reader = new Reader();
  reader.findings.push(...findings);
  if (root === undefined || findings.some(({ severity }) => severity === "error")) {
    return { scenario: undefined, findings };
  }
  if (root.name !== "scenario") {
    reader.error(root.at, `the file holds <${root.name}>, not <scenario>`);
    return { scenario: undefined, findings: reader.findings };
  }
  for (const { name: attribute, at } of root.attributes.values()) {
    if (attribute !== "name") {
      reader.error(at, `<scenario> has no attribute ${attribute}: did you mean name?`);
    }
  }
  const known = [...Object.keys(STEPS), ...Object.keys(SECTIONS)];
  for (const child of root.children) {
    if (SECTIONS[child.name] !== undefined) reader.section(child);
    else if (STEPS[child.name] === undefined) {
      reader.error(child.at, `unknown element <${child.name}>${didYouMean(child.name, known)}`);
    }
  }
  const { steps, labels } = reader.sequence(root, Object.keys(STEPS));
  const init: Step[] = [];
  const initLabels = new Map<string, { step: number; at: Place }>();
  for (const child of root.children.filter(({ name }) => name === "init")) {
    const sequence = reader.sequence(child, SECTIONS.init.children!);
    for (const [label, { step, at }] of sequence.labels) {
      initLabels.set(label, { step: step + init.length, at });
    }
    init.push(...sequence.steps);
  }
  const first = steps.find(({ kind }) => kind === "send" || kind === "recv");
  if (first === undefined) reader.error(root.at, "the scenario sends and receives nothing");
  else if (first.kind === "recv" && first.response !== undefined && first.request === undefined) {
    reader.error(first.at, "the first message is a response, to nothing that was sent");
  }
  reader.findings.sort((a, b) => a.line - b.line || a.column - b.column);
  const failed = reader.findings.some(({ severity }) => severity === "error");
  const scenario: Scenario = {
    name: root.attributes.get("name")?.value ?? name,
    role: first?.kind === "recv" ? "server" : "client",
    steps,
    labels,
    init,
    initLabels,
    globals: reader.globals,
    userVariables: reader.userVariables,
    referenced: reader.referenced,
    responseTimes: reader.responseTimes,
    callLengths: reader.callLengths,
  };
  return { scenario: failed ? undefined : scenario, findings: reader.findings };
}
