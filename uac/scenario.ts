/** Scenarios as data: what a file says, read and checked, and not yet made ready to be run (program.ts). */
import type { DISTRIBUTIONS } from "./schema.ts";
import type { Place } from "./xml.ts";

/** The parameters of a random length or value, or of a fixed one. */
export interface Distribution {
  readonly kind: keyof typeof DISTRIBUTIONS;
  readonly parameters: readonly number[];
}

/** What every step may have. */
export interface CommonStep {
  readonly at: Place;
  /** Timers that start and end with it; names. */
  readonly startRtd: readonly string[];
  readonly rtd: readonly string[];
  readonly repeatRtd: boolean;
  readonly crlf: boolean;
  /** The label to go on at after this step; absent: the next step. */
  readonly next?: string;
  /** Only where this variable is set, and with this chance (0 … 1). */
  readonly test?: string;
  readonly chance: number;
  /** Done only where this variable is set, or where it is not. */
  readonly condexec?: string;
  readonly condexecInverse: boolean;
  readonly counter?: string;
  readonly hide: boolean;
  readonly display?: string;
  readonly actions: readonly Action[];
}
/** Sends a message. */
export interface SendStep extends CommonStep {
  readonly kind: "send";
  readonly message: string;
  readonly messageAt: Place;
  /** First interval of retransmission over UDP, ms. */
  readonly retrans?: number;
  /** Percent that are not sent. */
  readonly lost?: number;
  readonly startTxn?: string;
  readonly ackTxn?: string;
}
/** Waits for a message. */
export interface RecvStep extends CommonStep {
  readonly kind: "recv";
  readonly response?: number;
  readonly request?: string;
  /** `request` is a regular expression. */
  readonly regexp: boolean;
  readonly optional: "no" | "yes" | "global";
  readonly rrs: boolean;
  readonly auth: boolean;
  readonly lost?: number;
  readonly timeout?: number;
  readonly timeoutVariable?: string;
  readonly ontimeout?: string;
  readonly responseTxn?: string;
}
/** Does nothing for a while. `timewait`: the call counts as ended. */
export interface PauseStep extends CommonStep {
  readonly kind: "pause" | "timewait";
  readonly length?: Distribution;
  readonly variable?: string;
}
/** Does its actions. */
export interface NopStep extends CommonStep {
  readonly kind: "nop";
}
/** A step of a call. */
export type Step = SendStep | RecvStep | PauseStep | NopStep;

/** An action: its element, with values as they stand there. */
export interface Action {
  readonly kind: string;
  readonly at: Place;
  readonly values: Readonly<Record<string, string>>;
}

/** Where a label stands: before this step; the number of steps is the end. */
export type Labels = ReadonlyMap<string, { readonly step: number; readonly at: Place }>;

/** A scenario. */
export interface Scenario {
  readonly name: string;
  /** "client" places calls; "server" is called: its first message is received. */
  readonly role: "client" | "server";
  readonly steps: readonly Step[];
  readonly labels: Labels;
  /** Done once, before the first call. */
  readonly init: readonly Step[];
  readonly initLabels: Labels;
  /** Variables that all calls share, and that the calls of a user share. */
  readonly globals: ReadonlySet<string>;
  readonly userVariables: ReadonlySet<string>;
  /** Variables that may stand unused. */
  readonly referenced: ReadonlySet<string>;
  /** Bounds in ms. */
  readonly responseTimes: readonly number[];
  readonly callLengths: readonly number[];
}

/** Something that keeps a scenario from being run: a line with its place. */
export class ScenarioError extends Error {
  override name = "ScenarioError";
}
