/** The tables of transaction_tables.ts compiled into small arrays, so that an event costs two look-ups. */
import {
  ACTION_NAMES,
  type ActionName,
  EVENT_NAMES,
  type EventName,
  type Machine,
  type MachineName,
  MACHINES,
  STATE_NAMES,
  type StateName,
  type Transition,
} from "./transaction_tables.ts";
import type { TimerName } from "./timers.ts";

/** How many actions one event can have. */
export const ACTIONS_PER_EVENT = 2;
/** `next` of an event that is ignored. */
export const IGNORED = 0xff;
/** Bits of `holds`. */
export const HOLDS_REQUEST = 1;
export const HOLDS_ANSWER = 2;

/** The timers that repeat a message (or send the first 100); all others end a state. Each transaction runs one of either sort. */
const REPEATING: readonly TimerName[] = ["A", "E", "G", "trying"];

/** A compiled machine: everything is a number. `state · EVENT_NAMES.length + event` is the place of a cell. */
export interface CompiledMachine {
  readonly name: MachineName;
  readonly initial: number;
  /** Per cell: the next state, or `IGNORED`. */
  readonly next: Uint8Array;
  /** Per cell, `ACTIONS_PER_EVENT` numbers: actions in order, then zeros. */
  readonly actions: Uint8Array;
  /** Per state: the event of the repeating timer that starts on entry, or 0 (timers are never event 0). */
  readonly startsRepeat: Uint8Array;
  /** Per state: the event of the ending timer that starts on entry, or 0. */
  readonly startsEnd: Uint8Array;
  /** Per state: 1 if the timers that run go on when it is entered. */
  readonly keepsTimers: Uint8Array;
  /** Per state: what is held, as bits. */
  readonly holds: Uint8Array;
}

/** The number of a state. */
export function stateNumber(name: StateName): number {
  return STATE_NAMES.indexOf(name);
}

/** The number of an event. */
export function eventNumber(name: EventName): number {
  return EVENT_NAMES.indexOf(name);
}

/** The number of an action: 1 and up. */
export function actionNumber(name: ActionName): number {
  return ACTION_NAMES.indexOf(name) + 1;
}

/** The events that a name in a table stands for: "200-699" is two. */
export function expandEvent(name: string): EventName[] {
  if (name === "200-699") return ["2xx", "300-699"];
  if (name === "200-699 from user") return ["2xx from user", "300-699 from user"];
  return [name as EventName];
}

/**
 * Compiles one table.
 *
 * @throws TypeError if the table cannot be run: an unknown name, too many actions, two timers of one sort in a state
 */
export function compileMachine(machine: Machine): CompiledMachine {
  const fault = (text: string): never => {
    throw new TypeError(`${machine.name} table: ${text}`);
  };
  const states = STATE_NAMES.length;
  const events = EVENT_NAMES.length;
  const compiled: CompiledMachine = {
    name: machine.name,
    initial: stateNumber(machine.initial),
    next: new Uint8Array(states * events).fill(IGNORED),
    actions: new Uint8Array(states * events * ACTIONS_PER_EVENT),
    startsRepeat: new Uint8Array(states),
    startsEnd: new Uint8Array(states),
    keepsTimers: new Uint8Array(states),
    holds: new Uint8Array(states),
  };
  for (const [stateName, state] of Object.entries(machine.states)) {
    const from = stateNumber(stateName as StateName);
    for (const timer of state.starts) {
      const row = REPEATING.includes(timer) ? compiled.startsRepeat : compiled.startsEnd;
      if (row[from] !== 0) fault(`${stateName} starts two timers of one sort`);
      row[from] = eventNumber(`timer ${timer}`);
    }
    compiled.keepsTimers[from] = state.keeps === undefined ? 0 : 1;
    for (const message of state.holds) {
      compiled.holds[from] |= message === "request" ? HOLDS_REQUEST : HOLDS_ANSWER;
    }
    for (const [name, transition] of Object.entries(state.on) as [string, Transition][]) {
      for (const eventName of expandEvent(name)) {
        const event = eventNumber(eventName);
        if (event < 0) fault(`unknown event ${eventName}`);
        const cell = from * events + event;
        const next = transition.next === "same" ? stateName as StateName : transition.next;
        if (next !== "Terminated" && machine.states[next] === undefined) fault(`no state ${next}`);
        compiled.next[cell] = stateNumber(next);
        if (transition.actions.length > ACTIONS_PER_EVENT) fault(`too many actions on ${eventName}`);
        // The user is told last, since it may end the transaction then.
        if (transition.actions.slice(0, -1).some((action) => action.endsWith("to user"))) {
          fault(`an action after the user was told of ${eventName}`);
        }
        transition.actions.forEach((action, i) => {
          compiled.actions[cell * ACTIONS_PER_EVENT + i] = actionNumber(action);
        });
      }
    }
  }
  return compiled;
}

/** `MACHINES`, compiled. */
export const COMPILED_MACHINES: readonly CompiledMachine[] = MACHINES.map(compileMachine);
