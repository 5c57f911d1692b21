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
import {
  type AgentAccount,
  type AgentPolicy,
  type AgentReaction,
  type AgentRefusal,
  type AgentRequest,
  type AgentState,
  type Confirmation,
  DEFAULT_AGENT_POLICY,
} from "./agent_types.ts";
import { MAX_CHALLENGES_PER_REQUEST, MAX_PREEMPTIVE_ANSWERS, MAX_SPREAD } from "./constants.ts";
import { ha1, ha1Algorithm } from "./derive.ts";
import { acceptedMac, challengeMac, renewMac, type RequestIdentity, responseMac } from "./mac.ts";
import type { PcAnswer, PcChallenge, PcInfo } from "./pc_header.ts";

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

/**
 * The memory of one user agent.
 *
 * @example
 * ```ts
 * import { loadHashBackend, PcAgent, seededRandom } from "../../mod.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const { backend } = await loadHashBackend();
 * const account = { username: "alice", realm: "example.com", password: "secret" };
 * const agent = new PcAgent(backend, seededRandom(1), [account]);
 * const request = (cseq: number) => ({ method: "INVITE", uri: "sip:bob@example.com", callId: "c@host", cseq });
 *
 * const exchange = agent.begin("192.0.2.1:5060");
 * assertEquals(agent.preempt(exchange, request(1)), []); // no chain is known yet
 * const reaction = agent.challenged(
 *   exchange,
 *   [{ realm: "example.com", algorithm: "SHA-1", nonce: "ab".repeat(16), chain: 10, opaque: "cd".repeat(8) }],
 *   request(1),
 *   request(2),
 * );
 * assert(reaction.kind === "answer");
 * assertEquals(reaction.answers[0].seq, 9);
 * assertEquals(agent.confirm(exchange, 200, [], request(2)), "unconfirmed");
 * // The 200 told that the chain is good, so the next request carries its next token unasked.
 * assertEquals(agent.preempt(agent.begin("192.0.2.1:5060"), request(3))[0].seq, 8);
 * ```
 */
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
    const offers = new Map<string, { readonly chain: AgentChain; readonly challenge: PcChallenge }>();
    let refusal: AgentRefusal = "unknown_realm";
    // Every `auth` is checked before any token is taken, so that a wrong one costs none.
    for (const challenge of challenges) {
      const account = this.accounts.find(({ realm }) => realm === challenge.realm);
      if (account === undefined || offers.has(challenge.realm)) continue;
      const problem = this.#objection(account, challenge, exchange.hop);
      if (problem !== undefined) {
        refusal = problem;
        continue;
      }
      const chain = this.#chainFor(account, challenge);
      if (challenge.guide !== undefined) {
        const right = challengeMac(chain.hash, chain.key, chain.opaque, challenge.guide.seq, challenged);
        if (!equalBytes(challenge.guide.auth, right)) return { kind: "refuse", reason: "wrong_auth" };
        this.#verifiedRealms.add(challenge.realm);
      }
      offers.set(challenge.realm, { chain, challenge });
    }
    if (offers.size === 0) return { kind: "refuse", reason: refusal };

    const sent: Exchange["sent"] = [];
    for (const [realm, { chain, challenge }] of offers) {
      const next = this.#nextIndex(chain, challenge, exchange);
      const answer = next < 0
        ? this.#renew(chain, realm, request, challenge.qop)
        : this.#token(chain, realm, next, request, challenge.qop);
      sent.push({ chain, answer });
    }
    // A proxy further up asks only after the ones before it have let the request through: they need answers again.
    for (const { chain, answer: { realm, qop } } of exchange.sent) {
      if (chain.left === 0 || challenges.some((challenge) => challenge.realm === realm)) continue;
      sent.push({ chain, answer: this.#token(chain, realm, chain.lowest - 1, request, qop) });
    }
    if (challenges.some(({ realm, guide }) => guide !== undefined && offers.has(realm))) exchange.guided++;
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
        if (status >= 200 && status < 300) {
          accepted.push({ realm: answer.realm, chain: newest(exchange, chain), qop: answer.qop });
        }
        continue;
      }
      const right = acceptedMac(chain.hash, chain.key, chain.opaque, answer.seq, request, info.next);
      if (info.seq !== answer.seq || !equalBytes(info.rspauth, right)) {
        result = "wrong_rspauth";
        continue;
      }
      this.#verifiedRealms.add(answer.realm);
      const account = this.accounts.find(({ realm }) => realm === answer.realm)!;
      if (info.next !== undefined && info.next.chain <= this.policy.maxChain) {
        chain.successor = this.#chainFor(account, {
          realm: answer.realm,
          algorithm: chain.algorithm,
          nonce: info.next.nonce,
          chain: info.next.chain,
          opaque: chain.opaque,
        });
        accepted.push({ realm: answer.realm, chain: chain.successor, qop: answer.qop });
      } else accepted.push({ realm: answer.realm, chain: newest(exchange, chain), qop: answer.qop });
    }
    if (accepted.length > 0) this.#accepted.set(exchange.hop, accepted);
    // 400 without a confirmation: this hop cannot read our answers (its qop may have changed), so wait for its challenge.
    else if (status === 400) this.#accepted.delete(exchange.hop);
    return result;
  }

  /** Forgets the chains that are sent unasked, so that the next request waits for a challenge. */
  forgetPreemptive(): void {
    this.#accepted.clear();
  }

  /** What it remembers, as plain values: for {@linkcode restore} in a later run. It holds no secret. */
  state(): AgentState {
    const entries = [...this.#chains];
    const numbers = new Map(entries.map(([, chain], i) => [chain, i]));
    return {
      chains: entries.map(([key, chain]) => ({
        realm: key.slice(0, key.indexOf("\n")),
        algorithm: chain.algorithm,
        nonce: toHex(chain.nonce),
        chain: chain.n,
        opaque: chain.opaque,
        lowest: chain.lowest,
      })),
      accepted: [...this.#accepted].map(([hop, chains]) => ({
        hop,
        chains: chains.flatMap(({ chain, qop }) => {
          const number = numbers.get(chain);
          return number === undefined ? [] : [{ number, qop }];
        }),
      })),
      verified: [...this.#verifiedRealms],
    };
  }

  /**
   * Takes over what an earlier run remembered, so that no token is sent twice. Chains of realms without an account are
   * left out.
   *
   * @throws {RangeError} if a value is none that {@linkcode state} gives
   */
  restore({ chains, accepted, verified }: AgentState): void {
    const made = chains.map((saved) => {
      const account = this.accounts.find(({ realm }) => realm === saved.realm);
      if (account === undefined) return undefined;
      const { lowest, chain: n, nonce, opaque, algorithm } = saved;
      if (
        !Number.isInteger(n) || n < 1 || n > this.policy.maxChain ||
        !(Number.isInteger(lowest) && lowest >= 0) ||
        lowest > n || !/^[0-9a-f]{32}$/.test(nonce) || !/^[0-9a-f]+$/.test(opaque) ||
        !CHAIN_ALGORITHMS.includes(algorithm)
      ) throw new RangeError(`the state of a chain of ${account.username} is damaged`);
      const chain = this.#chainFor(account, saved);
      chain.lowest = Math.min(chain.lowest, lowest);
      return chain;
    });
    for (const { hop, chains: numbers } of accepted) {
      const known = numbers.flatMap(({ number, qop }) => {
        const chain = made[number];
        return chain === undefined ? [] : [{ realm: chains[number].realm, chain, qop }];
      });
      if (known.length > 0) this.#accepted.set(hop, known);
    }
    for (const realm of verified) this.#verifiedRealms.add(realm);
  }

  /** Why a challenge is not answered at all, whatever it proves. */
  #objection(
    { hops }: AgentAccount,
    { algorithm, chain }: PcChallenge,
    hop: string,
  ): "unknown_hop" | "policy" | undefined {
    if (hops !== undefined && !hops.includes(hop)) return "unknown_hop";
    const strong = CHAIN_ALGORITHMS.indexOf(algorithm) >= CHAIN_ALGORITHMS.indexOf(this.policy.weakest);
    return strong && chain <= this.policy.maxChain ? undefined : "policy";
  }

  /** j for a challenge whose `auth`, if it has one, is right; below 0 when no token is left. */
  #nextIndex(chain: AgentChain, { guide }: PcChallenge, exchange: Exchange): number {
    const own = chain.lowest - 1;
    if (guide === undefined) return own;
    const base = Math.min(guide.seq, own);
    // The first time as told; later at random further down, so that devices of one user do not collide for ever.
    return exchange.guided === 0 || base <= 0
      ? base
      : base - this.random.below(Math.min(MAX_SPREAD, base) + 1);
  }

  /** The chain of (realm, N, opaque), made when it is new. */
  #chainFor(account: AgentAccount, challenge: Omit<PcChallenge, "guide">): AgentChain {
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

/**
 * The chain to go on with after an accepted answer. The confirmation of an answer sent unasked may come late, when
 * another request has moved on to the announced chain; a proxy that challenged with the older one means it.
 */
function newest({ challenges }: Exchange, chain: AgentChain): AgentChain {
  while (challenges === 0 && chain.successor !== undefined) chain = chain.successor;
  return chain;
}
