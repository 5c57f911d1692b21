import { assert, assertEquals, assertThrows } from "@std/assert";
import { loadHashBackend } from "../hash/select.ts";
import { seededRandom } from "../random.ts";
import { PcAgent } from "./agent.ts";
import type { AgentState } from "./agent_types.ts";

const { backend } = await loadHashBackend();
const ACCOUNT = { username: "alice", realm: "example.com", password: "secret" };
const HOP = "192.0.2.1:5060";
const CHALLENGE = {
  realm: "example.com",
  algorithm: "SHA-1",
  nonce: "ab".repeat(16),
  chain: 10,
  opaque: "cd".repeat(8),
} as const;
const request = (cseq: number) => ({ method: "INVITE", uri: "sip:bob@example.com", callId: "c@host", cseq });

/** An agent whose token 9 was accepted. */
function used(): PcAgent {
  const agent = new PcAgent(backend, seededRandom(1), [ACCOUNT]);
  const exchange = agent.begin(HOP);
  assertEquals(agent.challenged(exchange, [CHALLENGE], request(1), request(2)).kind, "answer");
  agent.confirm(exchange, 200, [], request(2));
  return agent;
}

Deno.test("an agent that takes over a state goes on with the next token, and sends none twice", () => {
  const state: AgentState = JSON.parse(JSON.stringify(used().state()));
  assert(!JSON.stringify(state).includes("secret"));
  const agent = new PcAgent(backend, seededRandom(2), [ACCOUNT]);
  agent.restore(state);
  assertEquals(agent.preempt(agent.begin(HOP), request(3)).map(({ seq }) => seq), [8]);
  assertEquals(agent.preempt(agent.begin("192.0.2.2:5060"), request(3)), []);
});

Deno.test("the state of a realm without an account is left out; a damaged one is refused", () => {
  const state = used().state();
  const other = new PcAgent(backend, seededRandom(2), [{ ...ACCOUNT, realm: "other.example" }]);
  other.restore(state);
  assertEquals(other.state().chains, []);
  for (
    const change of [{ lowest: 11 }, { lowest: -1 }, { chain: 0 }, { chain: 1e9 }, { nonce: "xy" }, {
      opaque: "",
    }]
  ) {
    const damaged = { ...state, chains: state.chains.map((chain) => ({ ...chain, ...change })) };
    const agent = new PcAgent(backend, seededRandom(2), [ACCOUNT]);
    assertThrows(() => agent.restore(damaged), RangeError, "damaged");
  }
});
