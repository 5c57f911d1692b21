/** State diagrams for the documentation, drawn from the tables that run. */
import type { Machine, Transition } from "./transaction_tables.ts";

/**
 * One machine as a Mermaid state diagram (`stateDiagram-v2`): "event / actions" on the arrows, and the timers that start
 * with a state noted in it.
 *
 * @example
 * ```ts
 * import { mermaid } from "./transaction_diagram.ts";
 * import { NON_INVITE_SERVER } from "./transaction_tables.ts";
 * import { assertStringIncludes } from "@std/assert";
 *
 * assertStringIncludes(mermaid(NON_INVITE_SERVER), "Completed --> [*]: timer J");
 * ```
 */
export function mermaid(machine: Machine): string {
  const lines = ["stateDiagram-v2"];
  const label = (event: string, actions: readonly string[]): string =>
    actions.length === 0 ? event : `${event} / ${actions.join(", ")}`;
  lines.push(`    [*] --> ${machine.initial}: ${label(machine.begins.event, machine.begins.actions)}`);
  for (const [name, state] of Object.entries(machine.states)) {
    const timers = [
      ...state.starts.map((timer) => timer === "trying" ? "starts 200 ms" : `starts ${timer}`),
      ...(state.keeps ?? []).map((timer) => `keeps ${timer}`),
    ];
    if (timers.length > 0) lines.push(`    ${name}: ${name} (${timers.join(", ")})`);
    for (const [event, transition] of Object.entries(state.on) as [string, Transition][]) {
      const next = transition.next === "same"
        ? name
        : transition.next === "Terminated"
        ? "[*]"
        : transition.next;
      lines.push(`    ${name} --> ${next}: ${label(event, transition.actions)}`);
    }
  }
  return lines.join("\n") + "\n";
}
