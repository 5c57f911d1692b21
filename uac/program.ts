/** Makes a scenario ready to be run: messages in slices, labels as numbers, actions as functions. */
import { nearest } from "../mod.ts";
import { type ActionHost, compileAction, type CompiledAction } from "./actions.ts";
import { distributionProblem } from "./distributions.ts";
import type { MessageContext } from "./keywords.ts";
import { posixRegExp } from "./regexp.ts";
import { type Distribution, type Labels, type Scenario, ScenarioError, type Step } from "./scenario.ts";
import { StepCounters } from "./statistics.ts";
import { type Template, TemplateCompiler, TemplateError } from "./template.ts";
import type { VariableRef } from "./variables.ts";
import type { Finding, Place } from "./xml.ts";

/** Whether a message has to come. */
export const MANDATORY = 0;
export const OPTIONAL = 1;
export const GLOBAL = 2;

/** A step ready to be run. The number of steps stands for the end. */
export class CompiledStep<C extends MessageContext> {
  kind: Step["kind"];
  /** Where it goes on. */
  next: number;
  /** `next` was given, and not only what follows. */
  jumps = false;
  /** Neither a condition, nor a timer, counter or action: nothing to do after it but to go on. */
  plain = true;
  template: Template | undefined;
  retrans = 0;
  /** Share that gets lost, 0 … 1; -1: as the run has it. */
  lost = -1;
  response = 0;
  request = "";
  pattern: RegExp | undefined;
  optional = MANDATORY;
  rrs = false;
  auth = false;
  /** ms; -1: as the run has it. */
  timeout = -1;
  timeoutVariable: VariableRef | undefined;
  ontimeout = -1;
  length: Distribution | undefined;
  variable: VariableRef | undefined;
  test: VariableRef | undefined;
  chance = 1;
  condexec: VariableRef | undefined;
  condexecInverse = false;
  startRtd: readonly number[] = [];
  rtd: readonly number[] = [];
  repeatRtd = false;
  counter = -1;
  /** Numbers of transactions; -1: none. */
  startTxn = -1;
  ackTxn = -1;
  responseTxn = -1;
  actions: readonly CompiledAction<C>[] = [];

  constructor(readonly index: number, readonly source: Step) {
    this.kind = source.kind;
    this.next = index + 1;
  }
}

/** A scenario ready to be run. */
export interface Program<C extends MessageContext> {
  readonly scenario: Scenario;
  readonly name: string;
  readonly role: "client" | "server";
  readonly steps: readonly CompiledStep<C>[];
  /** What its steps have done. */
  readonly counts: StepCounters;
  /** Names of the timers (`rtd`) and counters. */
  readonly timers: readonly string[];
  readonly counters: readonly string[];
  /** The last received message may be needed after the datagram that held it is gone. */
  readonly keepsReceived: boolean;
  /** Where an unexpected message leads, and where it came from; -1: nowhere. */
  readonly unexpected: number;
  readonly returnAddress: VariableRef | undefined;
}

/** SIPp's label for unexpected messages, and the variable that keeps where the call was. */
const UNEXPECTED = "_unexp.main";
const RETURN_ADDRESS = "_unexp.retaddr";

/** A name's number, new at the first call. */
class Names {
  readonly names: string[] = [];
  number(name: string): number {
    const known = this.names.indexOf(name);
    return known >= 0 ? known : this.names.push(name) - 1;
  }
}

/** The place of a character of a text that begins at a place. */
function placeIn(text: string, at: number, start: Place): Place {
  const lines = text.slice(0, at).split("\n");
  const last = lines[lines.length - 1].length;
  return lines.length === 1
    ? { line: start.line, column: start.column + last }
    : { line: start.line + lines.length - 1, column: last + 1 };
}

/**
 * Compiles a scenario, or its init part.
 *
 * @param report takes what is wrong: the steps concerned are not ready then
 */
export function compileSteps<C extends MessageContext>(
  steps: readonly Step[],
  labels: Labels,
  host: ActionHost<C>,
  names: { timers: Names; counters: Names; transactions: Names },
  report: (finding: Finding) => void,
): CompiledStep<C>[] {
  const { variables } = host;
  const started = new Set<string>();
  for (const step of steps) {
    if (step.kind === "send" && step.startTxn !== undefined) started.add(step.startTxn);
  }
  return steps.map((step, index) => {
    const error = (at: Place, text: string) =>
      report({ severity: "error", line: at.line, column: at.column, text });
    const out = new CompiledStep<C>(index, step);
    const target = (label: string | undefined) => label === undefined ? -1 : labels.get(label)?.step ?? -1;
    const transaction = (name: string | undefined) => {
      if (name === undefined) return -1;
      if (!started.has(name)) {
        const like = nearest(name, started);
        error(step.at, `no start_txn="${name}"${like === undefined ? "" : `: did you mean ${like}?`}`);
      }
      return names.transactions.number(name);
    };
    if (step.next !== undefined) {
      out.next = target(step.next);
      out.jumps = true;
    }
    const ref = (name: string | undefined) => name === undefined ? undefined : variables.ref(name);
    out.test = ref(step.test);
    out.chance = step.chance;
    out.condexec = ref(step.condexec);
    out.condexecInverse = step.condexecInverse;
    out.startRtd = step.startRtd.map((name) => names.timers.number(name));
    out.rtd = step.rtd.map((name) => names.timers.number(name));
    out.repeatRtd = step.repeatRtd;
    out.counter = step.counter === undefined ? -1 : names.counters.number(step.counter);
    out.actions = step.actions.flatMap((action) => {
      try {
        return [compileAction(action, host, index, steps.length)];
      } catch (problem) {
        if (!(problem instanceof SyntaxError)) throw problem;
        error(action.at, problem.message);
        return [];
      }
    });
    switch (step.kind) {
      case "send":
        out.retrans = step.retrans ?? 0;
        out.lost = step.lost === undefined ? -1 : step.lost / 100;
        out.startTxn = step.startTxn === undefined ? -1 : names.transactions.number(step.startTxn);
        out.ackTxn = transaction(step.ackTxn);
        try {
          out.template = new TemplateCompiler(host, index).message(step.message);
        } catch (problem) {
          if (!(problem instanceof TemplateError)) throw problem;
          error(placeIn(step.message, problem.at, step.messageAt), problem.message);
        }
        break;
      case "recv":
        out.response = step.response ?? 0;
        out.request = step.request ?? "";
        out.optional = step.optional === "global" ? GLOBAL : step.optional === "yes" ? OPTIONAL : MANDATORY;
        out.rrs = step.rrs;
        out.auth = step.auth;
        out.lost = step.lost === undefined ? -1 : step.lost / 100;
        out.timeout = step.timeout ?? -1;
        out.timeoutVariable = ref(step.timeoutVariable);
        out.ontimeout = target(step.ontimeout);
        out.responseTxn = transaction(step.responseTxn);
        if (step.regexp) {
          try {
            out.pattern = posixRegExp(step.request ?? "");
          } catch (problem) {
            error(step.at, `request: ${(problem as Error).message}`);
          }
        }
        break;
      case "pause":
      case "timewait": {
        out.length = step.length;
        out.variable = ref(step.variable);
        const problem = step.length === undefined ? undefined : distributionProblem(step.length);
        if (problem !== undefined) error(step.at, problem);
        break;
      }
    }
    out.plain = out.test === undefined && out.chance === 1 && out.startRtd.length === 0 &&
      out.rtd.length === 0 &&
      out.counter < 0 && out.actions.length === 0;
    return out;
  });
}

/** Compiles a scenario; `report` takes what is wrong. */
export function compileProgram<C extends MessageContext>(
  scenario: Scenario,
  host: ActionHost<C>,
  report: (finding: Finding) => void,
): { program: Program<C>; init: readonly CompiledStep<C>[] } {
  host.variables.declare(scenario.globals, scenario.userVariables);
  const names = { timers: new Names(), counters: new Names(), transactions: new Names() };
  const steps = compileSteps(scenario.steps, scenario.labels, host, names, report);
  const init = compileSteps(scenario.init, scenario.initLabels, host, names, report);
  const usesLast = steps.some(({ template, kind, actions }) =>
    template?.usesLast === true || (kind !== "recv" && actions.length > 0)
  );
  const waits = steps.some(({ kind, ontimeout }) => kind === "pause" || ontimeout >= 0);
  const unexpected = scenario.labels.get(UNEXPECTED)?.step ?? -1;
  const program: Program<C> = {
    scenario,
    name: scenario.name,
    role: scenario.role,
    steps,
    counts: new StepCounters(steps.length),
    timers: names.timers.names,
    counters: names.counters.names,
    keepsReceived: usesLast && waits,
    unexpected,
    returnAddress: unexpected >= 0 ? host.variables.ref(RETURN_ADDRESS) : undefined,
  };
  return { program, init };
}

/** A finding as one line: file:line:column. */
export function findingText(file: string, { line, column, severity, text }: Finding): string {
  return `${file}:${line}:${column}: ${severity === "warning" ? "warning: " : ""}${text}`;
}

/**
 * Compiles a scenario that has to be right.
 *
 * @param file its name, for the message
 * @throws {ScenarioError} with the first thing that is wrong
 */
export function compileOrThrow<C extends MessageContext>(
  scenario: Scenario,
  host: ActionHost<C>,
  file: string,
): { program: Program<C>; init: readonly CompiledStep<C>[] } {
  return compileProgram(scenario, host, (finding) => {
    throw new ScenarioError(findingText(file, finding));
  });
}
