import { assert, assertEquals, assertThrows } from "@std/assert";
import { mermaid } from "./transaction_diagram.ts";
import {
  actionNumber,
  ACTIONS_PER_EVENT,
  COMPILED_MACHINES,
  compileMachine,
  eventNumber,
  IGNORED,
  stateNumber,
} from "./transaction_machine.ts";
import {
  ACTION_NAMES,
  type ActionName,
  EVENT_NAMES,
  type EventName,
  MACHINES,
  STATE_NAMES,
  type StateName,
} from "./transaction_tables.ts";

/**
 * The figures once more, written down from the RFCs arrow by arrow and apart from the tables: "state, event, next state,
 * actions". Figures 5 and 7 are those of RFC 6026; 6 and 8 those of RFC 3261.
 */
const FIGURES: Record<string, string[]> = {
  "INVITE client": [
    "Calling | timer A | Calling | send request, restart timer A",
    "Calling | timer B | Terminated | timeout to user",
    "Calling | transport error | Terminated | transport error to user",
    "Calling | 1xx | Proceeding | response to user",
    "Calling | 2xx | Accepted | response to user",
    "Calling | 300-699 | Completed | send ACK, response to user",
    "Proceeding | 1xx | Proceeding | response to user",
    "Proceeding | 2xx | Accepted | response to user",
    "Proceeding | 300-699 | Completed | send ACK, response to user",
    "Completed | 300-699 | Completed | send ACK",
    "Completed | transport error | Terminated | transport error to user",
    "Completed | timer D | Terminated |",
    "Accepted | 2xx | Accepted | response to user",
    "Accepted | timer M | Terminated |",
  ],
  "non-INVITE client": [
    "Trying | timer E | Trying | send request, restart timer E",
    "Trying | timer F | Terminated | timeout to user",
    "Trying | transport error | Terminated | transport error to user",
    "Trying | 1xx | Proceeding | response to user",
    "Trying | 2xx | Completed | response to user",
    "Trying | 300-699 | Completed | response to user",
    "Proceeding | timer E | Proceeding | send request, restart timer E",
    "Proceeding | timer F | Terminated | timeout to user",
    "Proceeding | transport error | Terminated | transport error to user",
    "Proceeding | 1xx | Proceeding | response to user",
    "Proceeding | 2xx | Completed | response to user",
    "Proceeding | 300-699 | Completed | response to user",
    "Completed | timer K | Terminated |",
  ],
  "INVITE server": [
    "Proceeding | request | Proceeding | send response",
    "Proceeding | timer trying | Proceeding | send 100",
    "Proceeding | 1xx from user | Proceeding | send response",
    "Proceeding | 2xx from user | Accepted | send response",
    "Proceeding | 300-699 from user | Completed | send response",
    "Proceeding | transport error | Proceeding | transport error to user",
    "Completed | request | Completed | send response",
    "Completed | timer G | Completed | send response, restart timer G",
    "Completed | timer H | Terminated | timeout to user",
    "Completed | ACK | Confirmed |",
    "Completed | transport error | Completed | transport error to user",
    "Confirmed | timer I | Terminated |",
    "Accepted | 2xx from user | Accepted | send response",
    "Accepted | ACK | Accepted | ACK to user",
    "Accepted | transport error | Accepted | transport error to user",
    "Accepted | timer L | Terminated |",
  ],
  "non-INVITE server": [
    "Trying | 1xx from user | Proceeding | send response",
    "Trying | 2xx from user | Completed | send response",
    "Trying | 300-699 from user | Completed | send response",
    "Proceeding | request | Proceeding | send response",
    "Proceeding | 1xx from user | Proceeding | send response",
    "Proceeding | 2xx from user | Completed | send response",
    "Proceeding | 300-699 from user | Completed | send response",
    "Proceeding | transport error | Terminated | transport error to user",
    "Completed | request | Completed | send response",
    "Completed | transport error | Terminated | transport error to user",
    "Completed | timer J | Terminated |",
  ],
};

for (const [index, machine] of MACHINES.entries()) {
  const compiled = COMPILED_MACHINES[index]!;
  Deno.test(`${machine.name}: every state and event is that of the RFC's figure, and no other`, () => {
    const figure = new Map(FIGURES[machine.name]!.map((line) => {
      const [state, event, next, actions] = line.split("|").map((part) => part.trim());
      return [`${state} | ${event}`, { next, actions: actions === "" ? [] : actions!.split(", ") }];
    }));
    let listed = 0;
    for (const state of STATE_NAMES) {
      for (const event of EVENT_NAMES) {
        const cell = stateNumber(state) * EVENT_NAMES.length + eventNumber(event);
        const expected = figure.get(`${state} | ${event}`);
        const actions: ActionName[] = [];
        for (let i = 0; i < ACTIONS_PER_EVENT; i++) {
          const action = compiled.actions[cell * ACTIONS_PER_EVENT + i]!;
          if (action !== 0) actions.push(ACTION_NAMES[action - 1]!);
        }
        if (expected === undefined) {
          assertEquals(compiled.next[cell], IGNORED, `${state}, ${event} is to be ignored`);
          assertEquals(actions, []);
        } else {
          listed++;
          assertEquals(STATE_NAMES[compiled.next[cell]!], expected.next as StateName, `${state}, ${event}`);
          assertEquals(actions as string[], expected.actions, `${state}, ${event}`);
        }
      }
    }
    assertEquals(listed, figure.size);
  });

  Deno.test(`${machine.name}: every state can be reached and left, and its timers are its own events`, () => {
    const reached = new Set<string>([machine.initial]);
    for (let size = 0; size !== reached.size;) {
      size = reached.size;
      for (const name of [...reached] as StateName[]) {
        for (const transition of Object.values(machine.states[name]?.on ?? {})) {
          if (transition.next !== "same") reached.add(transition.next);
        }
      }
    }
    assertEquals(reached.size, Object.keys(machine.states).length + 1);
    for (const [name, state] of Object.entries(machine.states)) {
      const leaves = Object.values(state.on).some((transition) => transition.next !== "same");
      assert(leaves, `${name} cannot be left`);
      const timers = [...state.starts, ...(state.keeps ?? [])].map((timer) => `timer ${timer}`).toSorted();
      assertEquals(
        timers,
        Object.keys(state.on).filter((event) => event.startsWith("timer")).toSorted(),
        name,
      );
    }
  });

  Deno.test(`${machine.name}: the diagram names every arrow`, () => {
    const diagram = mermaid(machine);
    assert(diagram.startsWith(`stateDiagram-v2\n    [*] --> ${machine.initial}: `));
    const arrows = diagram.split("\n").filter((line) => line.includes("-->"));
    const transitions = Object.values(machine.states).reduce(
      (n, state) => n + Object.keys(state.on).length,
      1,
    );
    assertEquals(arrows.length, transitions);
  });
}

Deno.test("timer events are told from the absence of a timer", () => {
  for (const event of EVENT_NAMES) if (event.startsWith("timer")) assert(eventNumber(event) > 0);
  assert(actionNumber("send request") > 0);
});

Deno.test("a table that cannot run is refused", () => {
  const machine = MACHINES[0]!;
  const calling = machine.states.Calling!;
  const withCalling = (change: object) => () =>
    compileMachine({ ...machine, states: { ...machine.states, Calling: { ...calling, ...change } } });
  assertThrows(withCalling({ starts: ["A", "G"] }), TypeError, "two timers");
  assertThrows(withCalling({ on: { "1xx": { next: "Trying", actions: [] } } }), TypeError, "no state Trying");
  const unknown = { ["3xx" as EventName]: { next: "same", actions: [] } };
  assertThrows(withCalling({ on: unknown }), TypeError, "unknown event");
  const three = ["send request", "send ACK", "send 100"];
  assertThrows(withCalling({ on: { "1xx": { next: "same", actions: three } } }), TypeError, "too many");
});
