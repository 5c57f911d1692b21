/** The file that keeps which tokens of the users' chains were sent, from one run to the next. */
import { type AgentState, CHAIN_ALGORITHMS, DEFAULT_AGENT_POLICY, isHex } from "../mod.ts";
import { type ChainStates } from "./authenticator.ts";

const VERSION = 1;
/** Permission bits that are for others than the owner. */
const OTHERS = 0o077;

/**
 * Reads it.
 *
 * @returns nothing where there is no file yet
 * @throws {Error} one line: others may read it, or it is damaged
 */
export function readChainStates(file: string): ChainStates {
  let text: string;
  try {
    const { mode } = Deno.statSync(file);
    if (mode !== null && (mode & OTHERS) !== 0) {
      throw new Error(`${file}: others may read it; chmod 600 makes it yours alone`);
    }
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
  try {
    const { version, users } = JSON.parse(text);
    if (version === VERSION && Object.values<AgentState>(users).every(isWhole)) return users;
  } catch {
    // Damaged: see below.
  }
  throw new Error(`${file}: it is no file of chain states of this version; remove it to begin anew`);
}

/** Whether it is what {@linkcode writeChainStates} has written: a run must not find out in the middle. */
function isWhole({ chains, accepted, verified }: AgentState): boolean {
  return chains.every(({ realm, algorithm, nonce, chain, opaque, lowest }) =>
    typeof realm === "string" && CHAIN_ALGORITHMS.includes(algorithm) && isHex(nonce, 16) &&
    /^[0-9a-f]+$/.test(opaque) && Number.isInteger(chain) && chain >= 1 &&
    chain <= DEFAULT_AGENT_POLICY.maxChain && Number.isInteger(lowest) && lowest >= 0 && lowest <= chain
  ) &&
    accepted.every(({ hop, chains: numbers }) =>
      typeof hop === "string" &&
      numbers.every(({ number }) => Number.isInteger(number) && number < chains.length)
    ) && verified.every((realm) => typeof realm === "string");
}

/** Writes it under another name first, so that it is whole at every moment. */
export function writeChainStates(file: string, users: ChainStates): void {
  const temporary = `${file}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(temporary, JSON.stringify({ version: VERSION, users }), {
    mode: 0o600,
    createNew: true,
  });
  Deno.renameSync(temporary, file);
}
