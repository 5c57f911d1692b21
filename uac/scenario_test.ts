import { assertEquals, assertThrows } from "@std/assert";
import { SCENARIOS } from "./builtin.ts";
import { compileScenario, type Scenario, ScenarioError } from "./scenario.ts";

const CONSTANTS = {
  service: "s",
  remoteIp: "127.0.0.1",
  remotePort: 5060,
  localIp: "127.0.0.1",
  localPort: 5061,
  transport: "UDP",
  pid: 1,
  domain: "d",
  keys: {},
};
const compile = (steps: Scenario["steps"], role: Scenario["role"] = "client") =>
  compileScenario({ name: "x", role, steps }, CONSTANTS);

Deno.test("the built-in scenarios compile", () => {
  for (const scenario of Object.values(SCENARIOS)) {
    assertEquals(compileScenario(scenario, CONSTANTS).role, scenario.role);
  }
});

Deno.test("labels become step numbers; the end is a place too", () => {
  const { steps } = compile([
    { kind: "label", id: "a" },
    { kind: "nop", next: "b" },
    { kind: "nop", next: "a" },
    { kind: "label", id: "b" },
  ]);
  assertEquals(steps.map(({ next }) => next), [2, 0]);
});

Deno.test("what is wrong with a scenario is said", () => {
  const wrong = (text: string, steps: Scenario["steps"], role?: Scenario["role"]) =>
    assertThrows(() => compile(steps, role), ScenarioError, text);
  wrong("there is no label ende; did you mean end?", [{ kind: "nop", next: "ende" }, {
    kind: "label",
    id: "end",
  }]);
  wrong("label a stands twice", [{ kind: "label", id: "a" }, { kind: "label", id: "a" }]);
  wrong("step 1: recv takes either response or request", [{ kind: "recv" }]);
  wrong("awaits a request", [{ kind: "recv", response: 200 }], "server");
  wrong("step 1: unknown keyword [x]", [{ kind: "send", message: "A b SIP/2.0\nX: [x]" }]);
});
