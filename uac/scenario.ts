/**
 * Scenarios as data, in SIPp's terms: steps that send, wait for a message or pause. What runs them is in runner.ts;
 * the messages are templates with SIPp's keywords, see template.ts.
 */
import { nearest } from "../mod.ts";
import { compileTemplate, type Template, type TemplateConstants } from "./template.ts";

/** What every step may have. */
interface CommonStep {
  /** The label to go on at after this step; absent: the next step. */
  readonly next?: string;
}
/** Sends a message. */
export interface SendStep extends CommonStep {
  readonly kind: "send";
  /** The template; white space at the start of each line is not part of it. */
  readonly message: string;
  /** Retransmitted over UDP until an expected message comes: the first interval in ms (SIPp's `retrans`, T1). */
  readonly retrans?: number;
}
/** Waits for a message. */
export interface RecvStep extends CommonStep {
  readonly kind: "recv";
  /** Status of the response that is awaited. Either this or `request`. */
  readonly response?: number;
  /** Method of the request that is awaited. */
  readonly request?: string;
  /** The message need not come: what follows is awaited at the same time. */
  readonly optional?: boolean;
  /** The response is a challenge: the next `[authentication]` answers it. */
  readonly auth?: boolean;
  /** Record-Route and Contact are kept for `[routes]` and `[next_url]` ("record route sets"). */
  readonly rrs?: boolean;
  /** The call is set up: its latency is taken here. */
  readonly rtd?: boolean;
  /** How long to wait, ms; absent: `-recv_timeout`. */
  readonly timeout?: number;
}
/** Does nothing for a while. */
export interface PauseStep extends CommonStep {
  readonly kind: "pause";
  /** ms; absent: `-d`. */
  readonly milliseconds?: number;
}
/** Does nothing: a place to jump from. */
export interface NopStep extends CommonStep {
  readonly kind: "nop";
}
/** A place to jump to. */
export interface LabelStep {
  readonly kind: "label";
  readonly id: string;
}
/** One step of a scenario. */
export type Step = SendStep | RecvStep | PauseStep | NopStep | LabelStep;

/** What a call does, from its first message to its last. */
export interface Scenario {
  readonly name: string;
  /** "client" places calls; "server" is called: its first step awaits a request. */
  readonly role: "client" | "server";
  readonly steps: readonly Step[];
}

/** A scenario that cannot be run: a line for its author. */
export class ScenarioError extends Error {
  override name = "ScenarioError";
}

/** A step ready to be run: labels are gone, `next` is a number (the number of steps is the end). */
export type CompiledStep =
  | { readonly kind: "send"; readonly template: Template; readonly retrans: number; readonly next: number }
  | {
    readonly kind: "recv";
    /** 0 when a request is awaited. */
    readonly response: number;
    /** "" when a response is awaited. */
    readonly request: string;
    readonly optional: boolean;
    readonly auth: boolean;
    readonly rrs: boolean;
    readonly rtd: boolean;
    readonly timeout: number | undefined;
    readonly next: number;
  }
  | { readonly kind: "pause"; readonly milliseconds: number | undefined; readonly next: number }
  | { readonly kind: "nop"; readonly next: number };

/** A scenario ready to be run. */
export interface CompiledScenario {
  readonly name: string;
  readonly role: "client" | "server";
  readonly steps: readonly CompiledStep[];
  /** Whether the last received message may be needed after the datagram that held it is gone. */
  readonly keepsReceived: boolean;
}

/**
 * Makes a scenario ready to be run: templates in slices, labels as numbers.
 *
 * @param constants what is the same in all calls of the run: it becomes part of the slices
 * @throws {ScenarioError} on an unknown label or keyword, or a first step that cannot be the first
 */
export function compileScenario(scenario: Scenario, constants: TemplateConstants): CompiledScenario {
  const labels = new Map<string, number>();
  const steps: Exclude<Step, LabelStep>[] = [];
  for (const step of scenario.steps) {
    if (step.kind !== "label") steps.push(step);
    else if (labels.has(step.id)) throw new ScenarioError(`label ${step.id} stands twice`);
    else labels.set(step.id, steps.length);
  }
  const first = steps[0];
  if (scenario.role === "server" && !(first?.kind === "recv" && first.request !== undefined)) {
    throw new ScenarioError(`a called side's first step awaits a request`);
  }
  const compiled = steps.map((step, i): CompiledStep => {
    const next = step.next === undefined ? i + 1 : labels.get(step.next);
    if (next === undefined) {
      const like = nearest(step.next!, labels.keys());
      throw new ScenarioError(
        `step ${i + 1}: there is no label ${step.next}${like === undefined ? "" : `; did you mean ${like}?`}`,
      );
    }
    switch (step.kind) {
      case "send":
        return { kind: "send", template: template(step, i, constants), retrans: step.retrans ?? 0, next };
      case "recv":
        if ((step.response === undefined) === (step.request === undefined)) {
          throw new ScenarioError(`step ${i + 1}: recv takes either response or request`);
        }
        return {
          kind: "recv",
          response: step.response ?? 0,
          request: step.request ?? "",
          optional: step.optional ?? false,
          auth: step.auth ?? false,
          rrs: step.rrs ?? false,
          rtd: step.rtd ?? false,
          timeout: step.timeout,
          next,
        };
      case "pause":
        return { kind: "pause", milliseconds: step.milliseconds, next };
      default:
        return { kind: "nop", next };
    }
  });
  const usesLast = compiled.some((step) => step.kind === "send" && step.template.usesLast);
  return {
    name: scenario.name,
    role: scenario.role,
    steps: compiled,
    keepsReceived: (usesLast || scenario.role === "server") && compiled.some((step) => step.kind === "pause"),
  };
}

function template(step: SendStep, i: number, constants: TemplateConstants): Template {
  try {
    return compileTemplate(step.message, constants);
  } catch (error) {
    throw new ScenarioError(`step ${i + 1}: ${(error as Error).message}`);
  }
}
