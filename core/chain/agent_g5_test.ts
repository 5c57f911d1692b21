/**
 * G5 of docs/PROTOCOL.md §1: no one who lacks K can make an agent reveal a token lower in a chain than its own next
 * one. What the agent may reveal is counted here from the bytes that it sends, apart from the agent.
 */
import { assert, assertEquals } from "@std/assert";
import { toHex } from "../hash/hex.ts";
import { seededRandom } from "../random.ts";
import { type Exchange, PcAgent } from "./agent.ts";
import type { AgentAccount, AgentRequest } from "./agent_types.ts";
import type { PcAnswer, PcChallenge, PcInfo } from "./pc_header.ts";
import { ALICE, backend, INVITE, IssuedChain, TestProxy } from "./testing.ts";

const ACCOUNTS: AgentAccount[] = [ALICE, { username: "alice", realm: "example.org", password: "other" }];

/** What one seed brought about, so that the test cannot pass because nothing happened. */
interface Tally {
  tokens: number;
  followedGuides: number;
  refusedGuides: number;
}

/** An adversary without K between an agent and two real proxies. */
class Adversary {
  readonly #random;
  readonly #n: number;
  readonly #agent: PcAgent;
  readonly #otherDevice: PcAgent;
  readonly #proxies: TestProxy[];
  /** Challenges that it has overheard. */
  readonly #overheard: PcChallenge[];
  /** `seq` of the genuine guided challenges, by credential and request. */
  readonly #genuine = new Map<string, number>();
  /** Lowest index that the agent has revealed, by credential and opaque. */
  readonly #lowest = new Map<string, number>();
  readonly tally: Tally = { tokens: 0, followedGuides: 0, refusedGuides: 0 };

  constructor(readonly seed: number) {
    this.#random = seededRandom(seed);
    const n = this.#n = this.#pick([3, 10, 40, 300]);
    // Seeds of their own, or the adversary would draw the nonces that the proxies draw later.
    this.#agent = new PcAgent(backend, seededRandom(seed + 1000), ACCOUNTS);
    this.#otherDevice = new PcAgent(backend, seededRandom(seed + 1500), ACCOUNTS);
    this.#proxies = ACCOUNTS.map((account, k) => new TestProxy(account, n, 2000 + 2 * seed + k));
    this.#overheard = this.#proxies.map((proxy) => proxy.challenge());
  }

  /** Another device of the same user takes a few tokens, so that genuine guided challenges lead further down. */
  #useOtherDevice(): void {
    for (let left = this.#random.below(5); left > 0; left--) {
      const proxy = this.#pick(this.#proxies);
      const next = { ...INVITE, callId: "other device", cseq: INVITE.cseq + 1 };
      const challenges = [proxy.challenge(INVITE)];
      const reaction = this.#otherDevice.challenged(
        this.#otherDevice.begin("hop-1"),
        challenges,
        INVITE,
        next,
      );
      if (reaction.kind === "answer") proxy.receive(next, reaction.answers);
    }
  }

  /** One request of the agent, with up to six responses of the adversary's making. */
  attack(callId: string): void {
    this.#useOtherDevice();
    const exchange = this.#agent.begin(this.#pick(["hop-1", "hop-2"]));
    let request: AgentRequest = { ...INVITE, callId, cseq: 1 };
    for (const answer of this.#agent.preempt(exchange, request)) this.#judge(answer);
    for (let step = 0; step < 6; step++) {
      const challenges = Array.from({ length: 1 + this.#random.below(2) }, () => this.#challenge(request));
      const next = { ...request, cseq: request.cseq + 1 };
      const guidedBefore = exchange.guided;
      const reaction = this.#agent.challenged(exchange, challenges, request, next);
      if (reaction.kind === "refuse") {
        if (reaction.reason === "wrong_auth") this.tally.refusedGuides++;
        continue;
      }
      for (const answer of reaction.answers) {
        this.#judge(answer, this.#genuine.get(guideKey(answer, request)), guidedBefore > 0);
        // Some requests reach the proxies after all, so that their chains go on.
        if (this.#random.below(2) === 0) this.#proxies.forEach((proxy) => proxy.receive(next, [answer]));
      }
      request = next;
    }
    this.#confirm(exchange, request);
  }

  /** A challenge that is genuine, overheard, changed or invented. */
  #challenge(request: AgentRequest): PcChallenge {
    const random = this.#random;
    const base = this.#pick(this.#overheard);
    const other = this.#pick(this.#overheard);
    const seq = random.below(base.chain);
    switch (random.below(9)) {
      case 0:
        return { ...base, guide: undefined };
      case 1:
        return base;
      case 2:
        return { ...base, guide: { seq, auth: random.bytes(20) } };
      case 3:
        return { ...base, guide: base.guide && { ...base.guide, seq } };
      case 4:
        return { ...base, stale: true, nonce: other.nonce, opaque: other.opaque };
      case 5:
        return { ...base, chain: 1 + random.below(this.#n), guide: undefined };
      case 6:
        return { ...base, nonce: toHex(random.bytes(16)), guide: undefined };
      case 7: {
        const guessed = new IssuedChain(1, "SHA-1", { ...ALICE, password: "guess" }).live();
        return { ...base, guide: { seq: 0, auth: guessed.challengeAuth(base.opaque, request) } };
      }
      default: {
        const proxy = this.#pick(this.#proxies);
        if (random.below(4) === 0) proxy.issue();
        const challenge = proxy.challenge(request);
        this.#genuine.set(guideKey(challenge, request), challenge.guide!.seq);
        this.#overheard.push(challenge);
        return challenge;
      }
    }
  }

  /**
   * Fails when a token of a real chain is lower than the agent's next one, or than where a genuine guided challenge
   * for this very request sends it.
   */
  #judge(answer: PcAnswer, told?: number, spread = false): void {
    const j = answer.token && this.#realIndex(answer.token, answer.nonce);
    if (j === undefined) return;
    const key = `${answer.nonce} ${answer.opaque}`;
    const own = (this.#lowest.get(key) ?? this.#n) - 1;
    const base = Math.min(own, told ?? own);
    const floor = told !== undefined && spread ? Math.max(0, base - 31) : base;
    assert(j >= floor, `seed ${this.seed}: h_${j} of ${key} where ${floor} is the lowest to reveal`);
    this.#lowest.set(key, Math.min(j, own + 1));
    this.tally.tokens++;
    if (base < own) this.tally.followedGuides++;
  }

  /** Which value of a chain of the two proxies it is, whatever the answer says. */
  #realIndex(token: Uint8Array, nonce: string): number | undefined {
    for (const chain of this.#proxies.flatMap(({ issued }) => issued)) {
      if (toHex(chain.credential.nonce) !== nonce) continue;
      for (let j = 0; j < this.#n; j++) if (toHex(chain.token(j)) === toHex(token)) return j;
    }
    return undefined;
  }

  /** A final response: no confirmation, or a forged one that announces a chain of the adversary's choice. */
  #confirm(exchange: Exchange, request: AgentRequest): void {
    if (exchange.sent.length === 0) return;
    const infos: PcInfo[] = exchange.sent.map(({ answer: { realm, nonce, seq = 0 } }) => ({
      realm,
      nonce,
      seq,
      rspauth: this.#random.bytes(20),
      next: { nonce: this.#pick(this.#overheard).nonce, chain: 1 + this.#random.below(this.#n) },
    }));
    const forged = this.#random.below(2) === 0;
    const confirmation = this.#agent.confirm(exchange, 200, forged ? infos : [], request);
    assert(confirmation === "unconfirmed" || confirmation === "wrong_rspauth", `seed ${this.seed}`);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)];
  }
}

function guideKey({ realm, nonce, opaque }: PcChallenge | PcAnswer, { callId, cseq }: AgentRequest): string {
  return `${realm} ${nonce} ${opaque} ${callId} ${cseq}`;
}

Deno.test("G5: who lacks K never gets a token below the agent's own next one", () => {
  const total: Tally = { tokens: 0, followedGuides: 0, refusedGuides: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const adversary = new Adversary(seed);
    // Call-IDs come again, so that overheard challenges fit the Call-ID at times and the CSeq at others.
    for (let k = 0; k < 40; k++) adversary.attack(`call-${k % 25}`);
    for (const name of ["tokens", "followedGuides", "refusedGuides"] as const) {
      total[name] += adversary.tally[name];
    }
  }
  assert(
    total.tokens > 1000 && total.followedGuides > 10 && total.refusedGuides > 1000,
    JSON.stringify(total),
  );
});

Deno.test("G5: an adversary who invents N, opaque or a chain length learns no value of the real chain", () => {
  const agent = new PcAgent(backend, seededRandom(1), ACCOUNTS);
  const proxy = new TestProxy(ALICE, 10, 1);
  const real = proxy.challenge();
  const invented = [
    { ...real, chain: 9 },
    { ...real, chain: 11 },
    { ...real, nonce: "00".repeat(16) },
    { ...real, realm: "example.org" },
    { ...real, algorithm: "SHA-256" as const },
    { ...real, algorithm: "MD5" as const },
  ];
  const values = Array.from({ length: 10 }, (_, j) => toHex(proxy.issued[0].token(j)));
  for (const challenge of invented) {
    for (let k = 0; k < 8; k++) {
      const reaction = agent.challenged(agent.begin("hop"), [challenge], INVITE, { ...INVITE, cseq: 3 });
      assert(reaction.kind === "answer");
      assert(!values.includes(toHex(reaction.answers[0].token!)), JSON.stringify(challenge));
    }
  }
  const reaction = agent.challenged(agent.begin("hop"), [real], INVITE, { ...INVITE, cseq: 3 });
  assert(reaction.kind === "answer");
  assertEquals(toHex(reaction.answers[0].token!), values[9]);
});
