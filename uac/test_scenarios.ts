/** For tests: scenarios as they are written in a test, and the built-in ones. */
import { fail } from "@std/assert";
import { BUILTIN } from "./builtin.ts";
import { readScenario } from "./read_scenario.ts";
import type { Scenario } from "./scenario.ts";

/** A scenario; steps alone will do. */
export function scenarioOf(text: string): Scenario {
  const whole = text.includes("<scenario") ? text : `<scenario name="test">\n${text}\n</scenario>`;
  const { scenario, findings } = readScenario(whole, "test");
  return scenario ?? fail(findings.map(({ line, column, text }) => `${line}:${column}: ${text}`).join("\n"));
}

/** The built-in caller and called side. */
export const UAC: Scenario = scenarioOf(BUILTIN.uac);
export const UAS: Scenario = scenarioOf(BUILTIN.uas);
