/**
 * The user agent's side of the scheme: docs/PROTOCOL.md §4 ("The agent"), §5 and §7. It decides which tokens to
 * reveal, to whom, and whether the proxy has proved itself. Pure: requests and headers come in as values, answers
 * go out as values.
 */
import { CHAIN_ALGORITHMS, type ChainAlgorithm, type HashBackend } from "../hash/chain_hash.ts";
import { equalBytes } from "../hash/equal.ts";
import { fromHex, toHex } from "../hash/hex.ts";
import type { Random } from "../random.ts";
import { AgentChain } from "./agent_chain.ts";
import { MAX_CHALLENGES_PER_REQUEST, MAX_PREEMPTIVE_ANSWERS, MAX_SPREAD } from "./constants.ts";
import { ha1, ha1Algorithm } from "./derive.ts";
import {
  acceptedMac,
  challengeMac,
  type MacRequest,
  renewMac,
  type RequestIdentity,
  responseMac,
} from "./mac.ts";
import type { PcAnswer, PcChallenge, PcInfo } from "./pc_header.ts";

/** A realm that the agent may answer for. */
export interface AgentAccount {
  readonly username: string;
  readonly realm: string;
  readonly password: string;
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

/** Why an agent does not answer, docs/PROTOCOL.md §4. */
export type AgentRefusal =
  /** No challenge of the response is for a realm that the agent has an account for. */
  | "unknown_realm"
  /** The algorithm is weaker, or the chain longer, than the agent's policy allows. */
  | "policy"
  /** `auth` of a guided challenge is wrong: whoever sent it does not hold the credential. */
  | "wrong_auth"
  /** The request was challenged more than {@linkcode MAX_CHALLENGES_PER_REQUEST} times. */
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

/** One request from its first sending to its final response, with all its challenges. */
export interface Exchange {
  /** The next hop: pre-emptive answers go to the hop that accepted their chain. */
  readonly hop: string;
  challenges: number;
  guided: number;
  /** Answers in the request as sent last. */
  sent: { readonly chain: AgentChain; readonly answer: PcAnswer }[];
}

/** A chain whose token a next hop accepted: the source of pre-emptive answers. */
interface AcceptedChain {
  readonly realm: string;
  readonly chain: AgentChain;
  readonly qop: "auth-int" | undefined;
}

/** The memory of one user agent. */
export class PcAgent {
  readonly #chains = new Map<string, AgentChain>();
  readonly #accepted = new Map<string, readonly AcceptedChain[]>();
  readonly #secrets = new Map<string, string>();
  readonly #verifiedRealms = new Set<string>();

  constructor(
    private readonly hashes: HashBackend,
    private readonly random: Random,
    private readonly accounts: readonly AgentAccount[],
    private readonly policy: AgentPolicy = DEFAULT_AGENT_POLICY,
  ) {}

  /** Whether a proxy of this realm has proved itself before: Digest is then refused (docs/PROTOCOL.md §4). */
  hasVerified(realm: string): boolean {
    return this.#verifiedRealms.has(realm);
  }

  /** Starts a request to a next hop. */
  begin(hop: string): Exchange {
    return { hop, challenges: 0, guided: 0, sent: [] };
  }

  /**
   * Answers to send unasked with a new request: the chains that the last successful request to that hop used
   * (docs/PROTOCOL.md §5, "Pre-emptive").
   */
  preempt(exchange: Exchange, request: AgentRequest): readonly PcAnswer[] {
    exchange.sent = [];
    if (!this.policy.preemptive) return [];
    for (const { realm, chain, qop } of this.#accepted.get(exchange.hop) ?? []) {
      if (chain.left === 0 || exchange.sent.length === MAX_PREEMPTIVE_ANSWERS) continue;
      exchange.sent.push({ chain, answer: this.#token(chain, realm, chain.lowest - 1, request, qop) });
    }
    return exchange.sent.map(({ answer }) => answer);
  }

  /**
   * Reacts to the challenges of a 407 or 401.
   *
   * @param challenged the request that was answered with the challenges
   * @param request the request that will carry the answers: the same with a higher CSeq
   * @param fromFarEnd whether the challenge came from the called side inside a dialog: never answered
   */
  challenged(
    exchange: Exchange,
    challenges: readonly PcChallenge[],
    challenged: RequestIdentity,
    request: AgentRequest,
    fromFarEnd = false,
  ): AgentReaction {
    if (fromFarEnd) return { kind: "refuse", reason: "far_end" };
    if (++exchange.challenges > MAX_CHALLENGES_PER_REQUEST) {
      return { kind: "refuse", reason: "too_many_challenges" };
    }
    const sent: Exchange["sent"] = [];
    const realms = new Set<string>();
    let refusal: AgentRefusal = "unknown_realm";
    let guided = false;
    for (const challenge of challenges) {
      const account = this.accounts.find(({ realm }) => realm === challenge.realm);
      if (account === undefined || realms.has(challenge.realm)) continue;
      if (!this.#allows(challenge)) {
        refusal = "policy";
        continue;
      }
      const chain = this.#chainFor(account, challenge);
      let next = chain.lowest - 1;
      if (challenge.guide !== undefined) {
        const { seq, auth } = challenge.guide;
        const right = challengeMac(chain.hash, chain.key, chain.opaque, seq, challenged);
        if (!equalBytes(auth, right)) return { kind: "refuse", reason: "wrong_auth" };
        next = Math.min(seq, next);
        if (exchange.guided > 0 && next > 0) next -= this.random.below(Math.min(MAX_SPREAD, next) + 1);
        guided = true;
      }
      realms.add(challenge.realm);
      const answer = next < 0
        ? this.#renew(chain, account.realm, request, challenge.qop)
        : this.#token(chain, account.realm, next, request, challenge.qop);
      sent.push({ chain, answer });
    }
    if (sent.length === 0) return { kind: "refuse", reason: refusal };
    if (guided) exchange.guided++;
    exchange.sent = sent;
    return { kind: "answer", answers: sent.map(({ answer }) => answer) };
  }

  /**
   * Checks what a final response (other than 401 and 407) proves, and remembers the chains that were accepted or
   * announced.
   *
   * @param status of the response: a 2xx without a confirmation still tells that the chain is in use
   * @param request the request that the response answers
   */
  confirm(
    exchange: Exchange,
    status: number,
    infos: readonly PcInfo[],
    request: RequestIdentity,
  ): Confirmation {
    if (exchange.sent.length === 0) return "not_authenticated";
    let result: Confirmation = "confirmed";
    const accepted: AcceptedChain[] = [];
    for (const { chain, answer } of exchange.sent) {
      const info = infos.find((info) => info.nonce === answer.nonce && info.realm === answer.realm);
      if (info === undefined || answer.seq === undefined) {
        if (result === "confirmed") result = "unconfirmed";
        if (status >= 200 && status < 300) accepted.push({ realm: answer.realm, chain, qop: answer.qop });
        continue;
      }
      const right = acceptedMac(chain.hash, chain.key, chain.opaque, answer.seq, request, info.next);
      if (info.seq !== answer.seq || !equalBytes(info.rspauth, right)) {
        result = "wrong_rspauth";
        continue;
      }
      this.#verifiedRealms.add(answer.realm);
      const account = this.accounts.find(({ realm }) => realm === answer.realm)!;
      const next = info.next === undefined || info.next.chain > this.policy.maxChain
        ? chain
        : this.#chainFor(account, {
          realm: answer.realm,
          algorithm: chain.algorithm,
          nonce: info.next.nonce,
          chain: info.next.chain,
          opaque: chain.opaque,
        });
      accepted.push({ realm: answer.realm, chain: next, qop: answer.qop });
    }
    if (accepted.length > 0) this.#accepted.set(exchange.hop, accepted);
    return result;
  }

  /** Forgets the chains that are sent unasked, so that the next request waits for a challenge. */
  forgetPreemptive(): void {
    this.#accepted.clear();
  }

  #allows({ algorithm, chain }: PcChallenge): boolean {
    return CHAIN_ALGORITHMS.indexOf(algorithm) >= CHAIN_ALGORITHMS.indexOf(this.policy.weakest) &&
      chain <= this.policy.maxChain;
  }

  /** The chain of (realm, N, opaque), made when it is new. */
  #chainFor(account: AgentAccount, challenge: PcChallenge): AgentChain {
    const key =
      `${challenge.realm}\n${challenge.algorithm}\n${challenge.nonce}\n${challenge.chain}\n${challenge.opaque}`;
    let chain = this.#chains.get(key);
    if (chain === undefined) {
      chain = new AgentChain(
        this.hashes.get(challenge.algorithm),
        this.#secret(account, challenge.algorithm),
        fromHex(challenge.nonce),
        challenge.chain,
        challenge.opaque,
      );
    } else this.#chains.delete(key);
    this.#chains.set(key, chain);
    if (this.#chains.size > this.policy.maxChains) this.#chains.delete(this.#chains.keys().next().value!);
    return chain;
  }

  /** S of an account for an algorithm. */
  #secret(account: AgentAccount, algorithm: ChainAlgorithm): string {
    const column = ha1Algorithm(algorithm);
    const key = `${column}\n${account.realm}`;
    let secret = this.#secrets.get(key);
    if (secret === undefined) {
      secret = ha1(this.hashes.get(column), account, account.password);
      this.#secrets.set(key, secret);
    }
    return secret;
  }

  #token(
    chain: AgentChain,
    realm: string,
    seq: number,
    request: AgentRequest,
    qop: "auth-int" | undefined,
  ): PcAnswer {
    const response = responseMac(
      chain.hash,
      chain.key,
      chain.opaque,
      seq,
      request,
      bodyHash(chain, request, qop),
    );
    return this.#answer(chain, realm, request, { seq, token: chain.reveal(seq), response, qop });
  }

  #renew(chain: AgentChain, realm: string, request: AgentRequest, qop: "auth-int" | undefined): PcAnswer {
    const response = renewMac(chain.hash, chain.key, chain.opaque, request, bodyHash(chain, request, qop));
    return this.#answer(chain, realm, request, { seq: undefined, token: undefined, response, qop });
  }

  #answer(
    chain: AgentChain,
    realm: string,
    request: AgentRequest,
    rest: Pick<PcAnswer, "seq" | "token" | "response" | "qop">,
  ): PcAnswer {
    const { username } = this.accounts.find((account) => account.realm === realm)!;
    return {
      username,
      realm,
      algorithm: chain.algorithm,
      nonce: toHex(chain.nonce),
      opaque: chain.opaque,
      uri: request.uri,
      ...rest,
    };
  }
}

/** hex(H(body)) under auth-int, of the empty string when there is no body (docs/PROTOCOL.md §5). */
function bodyHash(chain: AgentChain, request: AgentRequest, qop: "auth-int" | undefined): string | undefined {
  return qop === undefined ? undefined : toHex(chain.hash.digest(request.body ?? new Uint8Array(0)));
}
