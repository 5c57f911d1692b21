import { assert, assertEquals, assertLess } from "@std/assert";
import { fromHex, toHex } from "../hash/hex.ts";
import { type Random, seededRandom } from "../random.ts";
import { type Exchange, PcAgent } from "./agent.ts";
import type { AgentAccount, AgentPolicy, AgentReaction, AgentRequest } from "./agent_types.ts";
import { DEFAULT_AGENT_POLICY } from "./agent_types.ts";
import type { PcAnswer, PcChallenge, PcInfo } from "./pc_header.ts";
import { ALICE, backend, flipped, INVITE, IssuedChain, nonces, OPAQUE, TestProxy } from "./testing.ts";

const HOP = "192.0.2.1:5060";
const AT_ORG: AgentAccount = { username: "alice", realm: "example.org", password: "other" };
const [NONCE, OTHER_NONCE] = nonces(2, 1);

function newAgent(policy: Partial<AgentPolicy> = {}, accounts = [ALICE, AT_ORG], random = seededRandom(1)) {
  return new PcAgent(backend, random, accounts, { ...DEFAULT_AGENT_POLICY, ...policy });
}

/** The request with a CSeq number. */
function invite(cseq: number, callId = INVITE.callId): AgentRequest {
  return { method: "INVITE", uri: INVITE.uri, callId, cseq };
}

function bare(changes: Partial<PcChallenge> = {}): PcChallenge {
  return { realm: ALICE.realm, algorithm: "SHA-1", nonce: NONCE, chain: 10, opaque: OPAQUE, ...changes };
}

/** The chain behind {@linkcode bare}. */
function issued(n = 10, nonce = NONCE, account = ALICE): IssuedChain {
  return new IssuedChain(n, "SHA-1", account, fromHex(nonce));
}

/** A right guided challenge, in answer to the request with `cseq`. */
function guided(seq: number, cseq: number, chain = issued()): PcChallenge {
  const { credential: { key, n, nonce, realm }, hash } = chain;
  const text = `PC1 challenge\n${OPAQUE}\n${seq}\n${INVITE.callId}\n${cseq}`;
  const auth = hash.hmac(key, new TextEncoder().encode(text));
  return bare({ realm, chain: n, nonce: toHex(nonce), guide: { seq, auth } });
}

function answersOf(reaction: AgentReaction): readonly PcAnswer[] {
  assert(reaction.kind === "answer", `refused: ${JSON.stringify(reaction)}`);
  return reaction.answers;
}
function refusalOf(reaction: AgentReaction): string {
  assert(reaction.kind === "refuse", "answered");
  return reaction.reason;
}

/** The next answers of an exchange whose request `cseq` was challenged. */
function challengeOnce(agent: PcAgent, exchange: Exchange, challenge: PcChallenge, cseq = 1): PcAnswer {
  const answers = answersOf(agent.challenged(exchange, [challenge], invite(cseq), invite(cseq + 1)));
  assertEquals(answers.length, 1);
  return answers[0];
}

/** Sends one request through a row of proxies, as often as it is challenged; how often that was. */
function call(agent: PcAgent, proxies: TestProxy[], callId: string, hop = HOP, now = 0): number {
  const exchange = agent.begin(hop);
  let request = invite(1, callId);
  let answers = agent.preempt(exchange, request);
  for (let challenges = 0;; challenges++) {
    const infos: PcInfo[] = [];
    let challenge: PcChallenge | undefined;
    for (const proxy of proxies) {
      const response = proxy.receive(request, answers, now);
      if (response.status === 407) {
        challenge = response.challenge;
        break;
      }
      infos.push(...response.infos);
    }
    if (challenge === undefined) {
      const confirmation = agent.confirm(exchange, 200, infos, request);
      assertEquals(confirmation, infos.length === proxies.length ? "confirmed" : "unconfirmed");
      return challenges;
    }
    const next = invite(request.cseq + 1, callId);
    answers = answersOf(agent.challenged(exchange, [challenge], request, next));
    request = next;
  }
}

Deno.test("bare challenges: n - 1 first, then the lowest revealed minus one, then renew", () => {
  const agent = newAgent();
  const chain = issued(3);
  for (const j of [2, 1, 0]) {
    const answer = challengeOnce(agent, agent.begin(HOP), bare({ chain: 3 }));
    assertEquals(answer, chain.answer(j, {}, INVITE), `j = ${j}`);
  }
  for (let again = 0; again < 2; again++) {
    assertEquals(challengeOnce(agent, agent.begin(HOP), bare({ chain: 3 })), chain.renewal({}, INVITE));
  }
});

Deno.test("the lowest index is remembered per realm, N and opaque", () => {
  const agent = newAgent();
  const seqOf = (changes: Partial<PcChallenge>) => challengeOnce(agent, agent.begin(HOP), bare(changes)).seq;
  assertEquals([seqOf({}), seqOf({}), seqOf({})], [9, 8, 7]);
  assertEquals(seqOf({ nonce: OTHER_NONCE }), 9);
  assertEquals(seqOf({ opaque: "fedcba9876543210" }), 9);
  assertEquals(seqOf({ realm: AT_ORG.realm }), 9);
  assertEquals([seqOf({ stale: true }), seqOf({ nonce: OTHER_NONCE })], [6, 8]);
});

Deno.test("guided challenges: min(seq, lowest - 1), when auth is right", () => {
  const cases: [own: number[], seq: number, j: number | undefined][] = [
    [[], 9, 9],
    [[], 4, 4],
    [[], 0, 0],
    [[9, 8], 9, 7],
    [[9, 8], 7, 7],
    [[9, 8], 3, 3],
    [[9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 5, undefined],
  ];
  for (const [own, seq, j] of cases) {
    const agent = newAgent();
    for (const expected of own) assertEquals(challengeOnce(agent, agent.begin(HOP), bare()).seq, expected);
    assertEquals(agent.hasVerified(ALICE.realm), false);
    const answer = challengeOnce(agent, agent.begin(HOP), guided(seq, 1));
    assertEquals(agent.hasVerified(ALICE.realm), true);
    assertEquals(
      answer,
      j === undefined ? issued().renewal() : issued().answer(j),
      `seq = ${seq} after ${own}`,
    );
  }
});

Deno.test("a wrong auth is reported, reveals nothing and costs no token", async (t) => {
  const right = guided(3, 1);
  const { auth } = right.guide!;
  const wrong: [string, PcChallenge][] = [
    ["a bit", bare({ guide: { seq: 3, auth: flipped(auth) } })],
    ["empty", bare({ guide: { seq: 3, auth: new Uint8Array(0) } })],
    ["short", bare({ guide: { seq: 3, auth: auth.slice(0, 16) } })],
    ["for another seq", bare({ guide: { seq: 2, auth } })],
    ["for another CSeq", guided(3, 2)],
    ["for another N", { ...right, nonce: OTHER_NONCE }],
    ["for another chain length", { ...right, chain: 11 }],
    ["for another opaque", { ...right, opaque: "fedcba9876543210" }],
    ["for another realm", { ...right, realm: AT_ORG.realm }],
    ["for another algorithm", { ...right, algorithm: "SHA-256" }],
    ["under the key of another user", guided(3, 1, issued(10, NONCE, { ...ALICE, password: "guess" }))],
  ];
  for (const [name, challenge] of wrong) {
    await t.step(name, () => {
      const agent = newAgent();
      const first = bare({ realm: AT_ORG.realm, nonce: OTHER_NONCE });
      const reaction = agent.challenged(agent.begin(HOP), [first, challenge], invite(1), invite(2));
      if (challenge.realm === AT_ORG.realm) return assertEquals(answersOf(reaction)[0].realm, AT_ORG.realm);
      assertEquals(refusalOf(reaction), "wrong_auth");
      assertEquals(agent.hasVerified(ALICE.realm), false);
      assertEquals(challengeOnce(agent, agent.begin(HOP), bare()).seq, 9);
      assertEquals(challengeOnce(agent, agent.begin(HOP), first).seq, 9, "of the other realm");
    });
  }
});

Deno.test("spread: exactly as told the first time, then up to 31 further down, never below 0", () => {
  const low = new Set<number>();
  for (let seed = 1; seed <= 300; seed++) {
    const agent = newAgent({}, [ALICE], seededRandom(seed));
    const exchange = agent.begin(HOP);
    const chain = issued(200);
    assertEquals(challengeOnce(agent, exchange, guided(150, 1, chain), 1).seq, 150);
    const drop = 100 - challengeOnce(agent, exchange, guided(100, 2, chain), 2).seq!;
    assert(drop >= 0 && drop <= 31, `seed ${seed}: ${drop}`);
    low.add(drop);
    const seq = challengeOnce(agent, exchange, guided(5, 3, chain), 3).seq!;
    assert(seq >= 0 && seq <= 5, `seed ${seed}: ${seq}`);
    if (seq > 0) assertEquals(challengeOnce(agent, exchange, guided(0, 4, chain), 4).seq, 0);
  }
  assertEquals([...low].sort((a, b) => a - b), Array.from({ length: 32 }, (_, drop) => drop));
});

Deno.test("spread: counts from the agent's own next token, and starts anew with each request", () => {
  const agent = newAgent({}, [ALICE], lowest(31));
  const chain = issued(200);
  const exchange = agent.begin(HOP);
  assertEquals(challengeOnce(agent, exchange, bare({ chain: 200 }), 1).seq, 199);
  assertEquals(challengeOnce(agent, exchange, guided(199, 2, chain), 2).seq, 198);
  assertEquals(challengeOnce(agent, exchange, guided(199, 3, chain), 3).seq, 197 - 31);
  assertEquals(challengeOnce(agent, exchange, bare({ chain: 200 }), 4).seq, 165);
  assertEquals(challengeOnce(agent, agent.begin(HOP), guided(199, 5, chain), 5).seq, 164);
});

/** A random source that always gives its highest number, of which the test says what it must be. */
function lowest(highest: number): Random {
  return {
    bytes: () => {
      throw new Error("no bytes are needed");
    },
    below: (limit) => {
      assertEquals(limit, highest + 1);
      return highest;
    },
  };
}

Deno.test("six challenges per request, then no more", () => {
  const agent = newAgent();
  const exchange = agent.begin(HOP);
  for (let k = 1; k <= 6; k++) assertEquals(challengeOnce(agent, exchange, bare(), k).seq, 10 - k);
  assertEquals(refusalOf(agent.challenged(exchange, [bare()], invite(7), invite(8))), "too_many_challenges");
  assertEquals(challengeOnce(agent, agent.begin(HOP), bare()).seq, 3, "the seventh took no token");
});

Deno.test("what is never answered", () => {
  const agent = newAgent({ weakest: "SHA-1", maxChain: 100 }, [{ ...ALICE, hops: [HOP] }]);
  const react = (challenge: PcChallenge, hop = HOP, fromFarEnd = false) =>
    agent.challenged(agent.begin(hop), [challenge], invite(1), invite(2), fromFarEnd);
  assertEquals(refusalOf(react(bare({ realm: "example.net" }))), "unknown_realm");
  assertEquals(refusalOf(react(bare({ realm: "Example.com" }))), "unknown_realm");
  assertEquals(refusalOf(react(bare({ algorithm: "MD5" }))), "policy");
  assertEquals(refusalOf(react(bare({ chain: 101 }))), "policy");
  assertEquals(refusalOf(react(bare(), "198.51.100.9:5060")), "unknown_hop");
  assertEquals(refusalOf(react(bare(), HOP, true)), "far_end");
  assertEquals(refusalOf(agent.challenged(agent.begin(HOP), [], invite(1), invite(2))), "unknown_realm");
  assertEquals(answersOf(react(bare({ chain: 100 })))[0].seq, 99);
  assertEquals(answersOf(react(bare({ algorithm: "SHA-256" })))[0].seq, 9);
});

Deno.test("of several challenges each realm is answered once, by the first that policy allows", () => {
  const agent = newAgent({ weakest: "SHA-1" });
  const challenges = [
    bare({ realm: "example.net" }),
    bare({ algorithm: "MD5" }),
    bare({ algorithm: "SHA-256" }),
    bare({ algorithm: "SHA-1" }),
    bare({ realm: AT_ORG.realm, chain: 5 }),
  ];
  const answers = answersOf(agent.challenged(agent.begin(HOP), challenges, invite(1), invite(2)));
  assertEquals(answers.map(({ realm, algorithm, seq }) => [realm, algorithm, seq]), [
    [ALICE.realm, "SHA-256", 9],
    [AT_ORG.realm, "SHA-1", 4],
  ]);
});

Deno.test("auth-int: the answer repeats qop and covers the body, the empty one when there is none", () => {
  const chain = issued();
  for (const body of [undefined, new Uint8Array(0), new TextEncoder().encode("v=0\r\n")]) {
    const agent = newAgent();
    const bodyHash = toHex(chain.hash.digest(body ?? new Uint8Array(0)));
    const exchange = agent.begin(HOP);
    const request = { ...invite(2), body };
    const reaction = agent.challenged(exchange, [bare({ qop: "auth-int" })], invite(1), request);
    const expected = { ...INVITE, bodyHash };
    assertEquals(answersOf(reaction), [chain.answer(9, {}, expected)]);
    agent.confirm(exchange, 200, [], request);
    const next = { ...invite(3), body };
    assertEquals(agent.preempt(agent.begin(HOP), next), [chain.answer(8, {}, { ...expected, cseq: 3 })]);
  }
});

/** An agent whose request with `cseq` 2 carries h_9, and the right confirmation of it. */
function answered(next?: PcInfo["next"], policy: Partial<AgentPolicy> = {}) {
  const agent = newAgent(policy);
  const exchange = agent.begin(HOP);
  challengeOnce(agent, exchange, bare());
  const live = issued().live();
  const info: PcInfo = {
    realm: ALICE.realm,
    nonce: NONCE,
    seq: 9,
    rspauth: live.rspauth(OPAQUE, 9, invite(2), next),
    next,
  };
  const unasked = () => agent.preempt(agent.begin(HOP), invite(3)).map(({ nonce, seq }) => [nonce, seq]);
  return { agent, exchange, info, unasked };
}

Deno.test("a right rspauth confirms, and the next request carries the next token unasked", () => {
  for (const status of [200, 486, 503]) {
    const { agent, exchange, info, unasked } = answered();
    assertEquals(unasked(), []);
    assertEquals(agent.confirm(exchange, status, [info], invite(2)), "confirmed");
    assertEquals(agent.hasVerified(ALICE.realm), true);
    assertEquals(agent.hasVerified(AT_ORG.realm), false);
    assertEquals(unasked(), [[NONCE, 8]]);
    assertEquals(unasked(), [[NONCE, 7]]);
  }
});

Deno.test("a wrong confirmation is reported, and nothing of it is believed", async (t) => {
  const announced = { nonce: OTHER_NONCE, chain: 10 };
  const { info } = answered(announced);
  const wrong: [string, PcInfo][] = [
    ["a bit", { ...info, rspauth: flipped(info.rspauth) }],
    ["empty", { ...info, rspauth: new Uint8Array(0) }],
    ["another seq", { ...info, seq: 8 }],
    ["nextnonce taken away", { ...info, next: undefined }],
    ["another nextnonce", { ...info, next: { ...announced, nonce: NONCE } }],
    ["another chain", { ...info, next: { ...announced, chain: 65_535 } }],
    ["a nextnonce of the adversary's", { ...answered().info, next: announced }],
  ];
  for (const [name, info] of wrong) {
    await t.step(name, () => {
      const { agent, exchange, unasked } = answered();
      assertEquals(agent.confirm(exchange, 200, [info], invite(2)), "wrong_rspauth");
      assertEquals(agent.hasVerified(ALICE.realm), false);
      assertEquals(unasked(), []);
    });
  }
  await t.step("of another request", () => {
    const { agent, exchange, info } = answered();
    assertEquals(agent.confirm(exchange, 200, [info], invite(3)), "wrong_rspauth");
    assertEquals(agent.confirm(exchange, 200, [info], invite(2, "other")), "wrong_rspauth");
    assertEquals(agent.confirm(exchange, 200, [info], invite(2)), "confirmed");
  });
});

Deno.test("no confirmation: a 2xx tells that the chain is good, another status tells nothing", () => {
  for (
    const [status, expected] of [[200, [[NONCE, 8]]], [299, [[NONCE, 8]]], [486, []], [603, []]] as const
  ) {
    const { agent, exchange, unasked } = answered();
    assertEquals(agent.confirm(exchange, status, [], invite(2)), "unconfirmed");
    assertEquals(agent.hasVerified(ALICE.realm), false);
    assertEquals(unasked(), expected.map((pair) => [...pair]), `${status}`);
  }
  const { agent, exchange, info } = answered();
  assertEquals(agent.confirm(exchange, 486, [{ ...info, realm: AT_ORG.realm }], invite(2)), "unconfirmed");
  assertEquals(agent.confirm(exchange, 486, [{ ...info, nonce: OTHER_NONCE }], invite(2)), "unconfirmed");
  assertEquals(agent.confirm(agent.begin(HOP), 200, [info], invite(2)), "not_authenticated");
});

Deno.test("an announced credential is moved to without a challenge, as often as it is announced", () => {
  const announced = { nonce: OTHER_NONCE, chain: 20 };
  const { agent, exchange, info, unasked } = answered(announced);
  for (const seq of [19, 18]) {
    assertEquals(agent.confirm(exchange, 200, [info], invite(2)), "confirmed");
    assertEquals(unasked(), [[OTHER_NONCE, seq]]);
  }
  const [answer] = agent.preempt(agent.begin(HOP), invite(2));
  assertEquals(answer, issued(20, OTHER_NONCE).answer(17));
});

Deno.test("an announced chain that is longer than the policy allows is left alone", () => {
  const { agent, exchange, info, unasked } = answered({ nonce: OTHER_NONCE, chain: 11 }, { maxChain: 10 });
  assertEquals(agent.confirm(exchange, 200, [info], invite(2)), "confirmed");
  assertEquals(unasked(), [[NONCE, 8]]);
});

Deno.test("a late confirmation of the older chain does not move the agent back", () => {
  const { agent, exchange, info, unasked } = answered();
  agent.confirm(exchange, 200, [info], invite(2));
  const [one, other] = [agent.begin(HOP), agent.begin(HOP)];
  agent.preempt(one, invite(3));
  agent.preempt(other, invite(3, "other"));
  const live = issued().live();
  const next = { nonce: OTHER_NONCE, chain: 10 };
  const confirm = (exchange: Exchange, seq: number, request: AgentRequest, next?: PcInfo["next"]) => {
    const rspauth = live.rspauth(OPAQUE, seq, request, next);
    const info = { realm: ALICE.realm, nonce: NONCE, seq, rspauth, next };
    assertEquals(agent.confirm(exchange, 200, [info], request), "confirmed");
  };
  confirm(one, 8, invite(3), next);
  assertEquals(unasked(), [[OTHER_NONCE, 9]]);
  confirm(other, 7, invite(3, "other"));
  assertEquals(unasked(), [[OTHER_NONCE, 8]]);
  // A proxy that asks for the older one by name means it.
  const asked = agent.begin(HOP);
  assertEquals(challengeOnce(agent, asked, bare()).seq, 6);
  confirm(asked, 6, invite(2));
  assertEquals(unasked(), [[NONCE, 5]]);
});

Deno.test("unasked answers: to the hop that accepted the chain, while tokens last, and only if wished", () => {
  const { agent, exchange, info } = answered();
  agent.confirm(exchange, 200, [info], invite(2));
  assertEquals(agent.preempt(agent.begin("192.0.2.2:5060"), invite(3)), []);
  for (let j = 8; j >= 0; j--) assertEquals(agent.preempt(agent.begin(HOP), invite(3))[0].seq, j);
  assertEquals(agent.preempt(agent.begin(HOP), invite(3)), [], "no token left");

  const shy = answered(undefined, { preemptive: false });
  shy.agent.confirm(shy.exchange, 200, [shy.info], invite(2));
  assertEquals(shy.unasked(), []);

  const forgetful = answered();
  forgetful.agent.confirm(forgetful.exchange, 200, [forgetful.info], invite(2));
  forgetful.agent.forgetPreemptive();
  assertEquals(forgetful.unasked(), []);
});

Deno.test("unasked answers: at most four, one for each N", () => {
  const accounts = nonces(6, 2).map((_, k) => ({ ...ALICE, realm: `r${k}.example` }));
  const agent = newAgent({}, accounts);
  const exchange = agent.begin(HOP);
  const challenges = accounts.map(({ realm }) => bare({ realm }));
  assertEquals(answersOf(agent.challenged(exchange, challenges, invite(1), invite(2))).length, 6);
  agent.confirm(exchange, 200, [], invite(2));
  const answers = agent.preempt(agent.begin(HOP), invite(3));
  assertEquals(answers.map(({ realm, seq }) => [realm, seq]), [0, 1, 2, 3].map((k) => [`r${k}.example`, 8]));
});

Deno.test("a 400 to unasked answers makes the agent wait for a challenge", () => {
  const { agent, exchange, info, unasked } = answered();
  agent.confirm(exchange, 200, [info], invite(2));
  const refused = agent.begin(HOP);
  assertEquals(agent.preempt(refused, invite(3)).length, 1);
  assertEquals(agent.confirm(refused, 400, [], invite(3)), "unconfirmed");
  assertEquals(unasked(), []);
});

Deno.test("two requests in flight take different tokens, whatever makes them", () => {
  const { agent, exchange, info } = answered();
  agent.confirm(exchange, 200, [info], invite(2));
  const [one, other, third] = [agent.begin(HOP), agent.begin(HOP), agent.begin(HOP)];
  const seqs = [
    agent.preempt(one, invite(3))[0].seq,
    agent.preempt(other, invite(3, "other"))[0].seq,
    challengeOnce(agent, third, bare()).seq,
    challengeOnce(agent, one, guided(8, 3), 3).seq,
    challengeOnce(agent, other, bare()).seq,
  ];
  assertEquals(seqs, [8, 7, 6, 5, 4]);
});

Deno.test("forgetting the least recently used chain costs a challenge, not a lower token", () => {
  const agent = newAgent({ maxChains: 2 });
  const seqOf = (nonce: string) => challengeOnce(agent, agent.begin(HOP), bare({ nonce })).seq;
  const [a, b, c] = nonces(3, 3);
  assertEquals([seqOf(a), seqOf(b), seqOf(a), seqOf(c)], [9, 9, 8, 9]);
  assertEquals([seqOf(a), seqOf(b)], [7, 9], "b was forgotten");
});

Deno.test("a whole life with one proxy: one challenge in all when it announces, one per chain when it does not", () => {
  for (const n of [1, 2, 10, 300]) {
    for (const announces of [true, false]) {
      const agent = newAgent();
      const proxy = new TestProxy(ALICE, n, 5, { announces });
      let challenges = 0;
      const calls = 3 * n;
      for (let k = 0; k < calls; k++) challenges += call(agent, [proxy], `call-${k}`);
      assertEquals(challenges, announces ? 1 : 3, `n = ${n}, announces: ${announces}`);
    }
  }
});

Deno.test("several realms on the path: all are answered, in one challenge each", () => {
  const agent = newAgent();
  const path = [
    new TestProxy(ALICE, 10, 1, { announces: true }),
    new TestProxy(AT_ORG, 20, 2, { algorithm: "SHA-256", announces: true }),
  ];
  assertEquals(call(agent, path, "call-0"), 2);
  for (let k = 1; k < 50; k++) assertEquals(call(agent, path, `call-${k}`), 0, `call ${k}`);
  // Another first hop, with a proxy of its own behind it, knows neither.
  const others = [new TestProxy(AT_ORG, 20, 3), path[0]];
  assertEquals(call(agent, others, "call-x", "198.51.100.1:5060"), 2);
  assertEquals(call(agent, others, "call-y", "198.51.100.1:5060"), 0);
  assertEquals(call(agent, path, "call-z"), 0);
});

Deno.test("a proxy that starts again costs one challenge", () => {
  const agent = newAgent();
  assertEquals(call(agent, [new TestProxy(ALICE, 10, 1)], "call-0"), 1);
  const restarted = new TestProxy(ALICE, 10, 2);
  assertEquals(call(agent, [restarted], "call-1"), 1);
  assertEquals(call(agent, [restarted], "call-2"), 0);
});

Deno.test("an agent that starts again, beside lost answers, costs two challenges at most", () => {
  const proxy = new TestProxy(ALICE, 200, 1);
  for (let life = 0; life < 10; life++) {
    const agent = newAgent();
    assertLess(call(agent, [proxy], `call-${life}`), 3, `life ${life}`);
    for (let lost = 0; lost < 5; lost++) agent.preempt(agent.begin(HOP), invite(1, "lost"));
    assertEquals(call(agent, [proxy], `call-${life}-b`, HOP, 10_000 * life), 0);
  }
});

Deno.test("eight devices under one name get through within six challenges each", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const proxy = new TestProxy(ALICE, 1000, seed);
    const random = seededRandom(seed);
    const devices = Array.from(
      { length: 8 },
      (_, k) => newAgent({}, [ALICE], seededRandom(seed * 100 + k)),
    );
    for (let round = 0; round < 10; round++) {
      // All send at once, and go on turn by turn in random order.
      const waiting = devices.map((agent, k) => {
        const exchange = agent.begin(HOP);
        const request = invite(1, `${round}-${k}`);
        return { agent, exchange, request, answers: agent.preempt(exchange, request) };
      });
      while (waiting.length > 0) {
        const at = random.below(waiting.length);
        const device = waiting[at];
        const { agent, exchange, request } = device;
        const response = proxy.receive(request, device.answers, round * 10_000);
        if (response.status === 200) {
          assertEquals(agent.confirm(exchange, 200, response.infos, request), "confirmed");
          waiting.splice(at, 1);
          continue;
        }
        device.request = invite(request.cseq + 1, request.callId);
        const reaction = agent.challenged(exchange, [response.challenge], request, device.request);
        assertEquals(reaction.kind, "answer", `seed ${seed}, round ${round}`);
        device.answers = answersOf(reaction);
      }
    }
  }
});
