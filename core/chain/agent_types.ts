/** What goes into and comes out of the user agent's side of the scheme, docs/PROTOCOL.md §4, §5 and §7. */
import type { ChainAlgorithm } from "../hash/chain_hash.ts";
import type { MacRequest } from "./mac.ts";
import type { PcAnswer } from "./pc_header.ts";

/** A realm that the agent may answer for. */
export interface AgentAccount {
  readonly username: string;
  readonly realm: string;
  readonly password: string;
  /** Next hops that may ask for it, in the spelling of `Exchange.hop`; absent: every hop. */
  readonly hops?: readonly string[];
}

/** How an agent behaves. */
export interface AgentPolicy {
  /** The weakest algorithm that is answered. */
  readonly weakest: ChainAlgorithm;
  /** The longest chain that is computed for a challenge, in links: a bound on the work a stranger can ask for. */
  readonly maxChain: number;
  /** Whether tokens are sent before they are asked for. */
  readonly preemptive: boolean;
  /** Chains remembered at most, over all realms; the least recently used is forgotten first. */
  readonly maxChains: number;
}

/** The defaults of {@linkcode AgentPolicy}. */
export const DEFAULT_AGENT_POLICY: AgentPolicy = {
  weakest: "MD5",
  maxChain: 65535,
  preemptive: true,
  maxChains: 64,
};

/** A request that is about to be sent, with its body when it has one. */
export interface AgentRequest extends MacRequest {
  readonly body?: Uint8Array;
}

/** What an agent remembers, as plain values without secrets. */
export interface AgentState {
  readonly chains: readonly {
    readonly realm: string;
    readonly algorithm: ChainAlgorithm;
    /** N in hexadecimal. */
    readonly nonce: string;
    /** n */
    readonly chain: number;
    readonly opaque: string;
    /** The lowest index that was revealed. */
    readonly lowest: number;
  }[];
  /** Per next hop, the chains that its last successful request used: numbers of `chains`. */
  readonly accepted: readonly {
    readonly hop: string;
    readonly chains: readonly { readonly number: number; readonly qop: "auth-int" | undefined }[];
  }[];
  /** Realms whose proxy has proved itself. */
  readonly verified: readonly string[];
}

/** Why an agent does not answer, docs/PROTOCOL.md §4. */
export type AgentRefusal =
  /** No challenge of the response is for a realm that the agent has an account for. */
  | "unknown_realm"
  /** The account is not for this next hop. */
  | "unknown_hop"
  /** The algorithm is weaker, or the chain longer, than the agent's policy allows. */
  | "policy"
  /** `auth` of a guided challenge is wrong: whoever sent it does not hold the credential. */
  | "wrong_auth"
  /** The request was challenged more than `MAX_CHALLENGES_PER_REQUEST` times. */
  | "too_many_challenges"
  /** A challenge for an in-dialog request came from the far end. */
  | "far_end";

/** What the agent does about a challenge. */
export type AgentReaction =
  | { readonly kind: "answer"; readonly answers: readonly PcAnswer[] }
  | { readonly kind: "refuse"; readonly reason: AgentRefusal };

/** What a final response proved, docs/PROTOCOL.md §7. */
export type Confirmation =
  /** Every answer of the request was confirmed with a right `rspauth`. */
  | "confirmed"
  /** No confirmation for an answer that the agent sent. */
  | "unconfirmed"
  /** A confirmation was there and wrong: the sender does not hold the credential. */
  | "wrong_rspauth"
  /** The agent had sent no answer. */
  | "not_authenticated";
