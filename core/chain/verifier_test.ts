import { assert, assertEquals } from "@std/assert";
import { CHAIN_ALGORITHMS, type ChainHash } from "../hash/chain_hash.ts";
import { toHex } from "../hash/hex.ts";
import { seededRandom } from "../random.ts";
import { encodeText } from "../sip/ascii.ts";
import { SipMessage } from "../sip/message.ts";
import { acceptedMac, challengeMac } from "./mac.ts";
import { MacText } from "./mac_text.ts";
import { PcAnswerView } from "./pc_answer_view.ts";
import { type PcAnswer, writePcAnswer } from "./pc_header.ts";
import { DEFAULT_VERIFIER_POLICY, defaultMaxSkip, type VerifierPolicy } from "./policy.ts";
import { ALICE, backend, flipped, INVITE, IssuedChain, OPAQUE } from "./testing.ts";
import { VERDICTS } from "./verdict.ts";
import { type CredentialVerdict, LiveCredential } from "./verifier.ts";
import { ReplayWindow } from "./window.ts";

/** {@linkcode INVITE} as bytes. */
const MESSAGE = new SipMessage();
{
  const { method, uri, callId, cseq } = INVITE;
  const bytes = encodeText(
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\n` +
      `Call-ID: ${callId}\r\nCSeq: ${cseq} ${method}\r\n\r\n`,
  );
  assertEquals(MESSAGE.parse(bytes, 0, bytes.length), undefined);
}
const text = new MacText(encodeText(OPAQUE));
const view = new PcAnswerView();

/** Verifies at a time, by default with the default policy; from bytes too, which must come to the same. */
function verify(
  live: LiveCredential,
  answer: PcAnswer,
  now = 0,
  policy: Partial<VerifierPolicy> = {},
): CredentialVerdict {
  const whole = { ...DEFAULT_VERIFIER_POLICY, ...policy };
  const twin = twinOf(live);
  const verdict = live.verify(answer, INVITE, OPAQUE, now, whole);
  const bytes = encodeText(writePcAnswer(answer));
  // Answers that cannot be spelled (a token of another length) are for objects alone.
  if (view.scan(bytes, 0, bytes.length) && view.check(answer.qop)) {
    text.response(MESSAGE, view.seq);
    assertEquals(twin.verifyView(view, text, now, whole), verdict);
    assertEquals({ ...twin.state, hash: 0 }, { ...live.state, hash: 0 });
  }
  return verdict;
}

/** A credential in the same state, whose links and MACs nobody counts. */
function twinOf({ state }: LiveCredential): LiveCredential {
  let window: ReplayWindow | undefined;
  if (state.window !== undefined) {
    window = new ReplayWindow();
    window.skippedAt.set(state.window.skippedAt);
  }
  return new LiveCredential({
    ...state,
    hash: backend.get(state.hash.name),
    value: state.value.slice(),
    window,
  });
}

/** A hash that counts the links and MACs that verification costs. */
class CountingHash implements ChainHash {
  links = 0;
  macs = 0;
  readonly backend: string;
  readonly name: ChainHash["name"];
  readonly size: number;
  constructor(private readonly hash: ChainHash) {
    ({ backend: this.backend, name: this.name, size: this.size } = hash);
  }
  digest = (data: Uint8Array) => this.hash.digest(data);
  walk: ChainHash["walk"] = (nonce, from, value, links) => {
    this.links += links;
    return this.hash.walk(nonce, from, value, links);
  };
  walkMany: ChainHash["walkMany"] = (walks) => this.hash.walkMany(walks);
  chain: ChainHash["chain"] = (nonce, seed, n) => this.hash.chain(nonce, seed, n);
  verify: ChainHash["verify"] = (nonce, from, token, links, expected) => {
    this.links += links;
    return this.hash.verify(nonce, from, token, links, expected);
  };
  verifyMany: ChainHash["verifyMany"] = (checks) => this.hash.verifyMany(checks);
  hmac: ChainHash["hmac"] = (key, data) => {
    this.macs++;
    return this.hash.hmac(key, data);
  };
  hmacInto: ChainHash["hmacInto"] = (key, data, length, out) => {
    this.macs++;
    this.hash.hmacInto(key, data, length, out);
  };
  hmacMany: ChainHash["hmacMany"] = (jobs) => this.hash.hmacMany(jobs);
  deriveMany: ChainHash["deriveMany"] = (secrets) => this.hash.deriveMany(secrets);
}

Deno.test("a chain is used from n - 1 to 0, with every algorithm and length", async (t) => {
  for (const algorithm of CHAIN_ALGORITHMS) {
    for (const n of [1, 2, 10, 300]) {
      await t.step(`${algorithm}, n = ${n}`, () => {
        const chain = new IssuedChain(n, algorithm);
        const live = chain.live();
        assertEquals([live.index, live.touched, live.canOffer(0)], [n, false, true]);
        for (let j = n - 1; j >= 0; j--) {
          assertEquals(verify(live, chain.answer(j)), "ok", `j = ${j}`);
          assertEquals([live.index, live.touched, live.canOffer(0)], [j, true, j > 0]);
          assertEquals(verify(live, chain.answer(j)), "replayed", `j = ${j} again`);
        }
        assertEquals(verify(live, chain.renewal()), "renew");
      });
    }
  }
});

Deno.test("the longest chain", () => {
  const chain = new IssuedChain(65_535);
  const live = chain.live();
  assertEquals(verify(live, chain.answer(65_534)), "ok");
  assertEquals(verify(live, chain.answer(65_535)), "malformed");
  assertEquals(verify(live, chain.answer(65_534 - 256)), "ok");
  assertEquals(verify(live, chain.answer(65_534 - 256 - 257)), "out_of_range");
  assertEquals(live.index, 65_278);
  for (let j = 65_278 - 256; j > 0; j -= 256) assertEquals(verify(live, chain.answer(j)), "ok");
  assertEquals(live.index, 65_278 % 256);
  assertEquals(verify(live, chain.answer(0)), "ok");
});

Deno.test("n = 1: one token, then nothing to offer", () => {
  const chain = new IssuedChain(1);
  const live = chain.live();
  assertEquals(verify(live, chain.answer(1)), "malformed");
  assertEquals(verify(live, chain.answer(0, { token: flipped(chain.token(0)) })), "bad_token");
  assertEquals(verify(live, chain.answer(0)), "ok");
  assert(!live.canOffer(0));
  assertEquals(verify(live, chain.answer(0)), "replayed");
});

/** i = 20 of n = 40 with 21 … 24 skipped at 0 ms; 10 s of life. */
function inTheMiddle(max = 10_000) {
  const chain = new IssuedChain(40);
  const live = chain.live(max);
  for (let j = 39; j >= 25; j--) assertEquals(verify(live, chain.answer(j)), "ok");
  assertEquals(verify(live, chain.answer(20)), "ok");
  return { chain, live };
}

Deno.test("each failure: its verdict, and a state that has not changed", async (t) => {
  const chain = new IssuedChain(40);
  const none = { seq: undefined, token: undefined };
  const wrong = flipped(chain.answer(19).response);
  const cases: [string, CredentialVerdict, PcAnswer][] = [
    ["response with a wrong bit", "bad_response", chain.answer(19, { response: wrong })],
    ["response of another length", "bad_response", chain.answer(19, { response: new Uint8Array(16) })],
    ["no response", "bad_response", chain.answer(19, { response: new Uint8Array(0) })],
    ["response for another seq", "bad_response", chain.answer(19, { seq: 18 })],
    ["response for another URI", "bad_response", chain.answer(19, {}, { ...INVITE, uri: "sip:eve@x" })],
    ["response for another method", "bad_response", chain.answer(19, {}, { ...INVITE, method: "BYE" })],
    ["response for another Call-ID", "bad_response", chain.answer(19, {}, { ...INVITE, callId: "x" })],
    ["response for another CSeq", "bad_response", chain.answer(19, {}, { ...INVITE, cseq: 3 })],
    ["response where a renew MAC belongs", "bad_response", { ...chain.answer(19), ...none }],
    ["renew MAC where a response belongs", "bad_response", {
      ...chain.renewal(),
      seq: 19,
      token: chain.token(19),
    }],
    [
      "renew MAC with a wrong bit",
      "bad_response",
      chain.renewal({
        response: flipped(chain.renewal().response),
      }),
    ],
    ["right renew MAC", "renew", chain.renewal()],
    ["seq = n", "malformed", chain.answer(40)],
    ["seq = 65534", "malformed", chain.answer(65_534)],
    ["next token with a wrong bit", "bad_token", chain.answer(19, { token: flipped(chain.token(19)) })],
    ["token of another index", "bad_token", chain.answer(19, { token: chain.token(18) })],
    ["token of another length", "bad_token", chain.answer(19, { token: chain.token(19).slice(0, 16) })],
    ["token further down, wrong", "bad_token", chain.answer(7, { token: chain.token(8) })],
    ["skipped token, wrong", "bad_token", chain.answer(22, { token: chain.token(23) })],
    ["skipped index, token of i", "bad_token", chain.answer(22, { token: chain.token(20) })],
    ["token of i again", "replayed", chain.answer(20)],
    ["used token above i", "replayed", chain.answer(25)],
    ["first token again", "replayed", chain.answer(39)],
  ];
  for (const [name, verdict, answer] of cases) {
    await t.step(`${name}: ${verdict}`, () => {
      const { live } = inTheMiddle();
      assertEquals(verify(live, answer, 10), verdict);
      assertEquals(live.index, 20);
      assertEquals(live.challengeAuth(OPAQUE, INVITE), inTheMiddle().live.challengeAuth(OPAQUE, INVITE));
      // Whatever was good before is still good, and once.
      for (const j of [22, 24, 21, 23, 19]) {
        assertEquals(verify(live, chain.answer(j), 20), "ok", `token ${j} after it`);
        assertEquals(verify(live, chain.answer(j), 30), "replayed", `token ${j} twice`);
      }
    });
  }
});

Deno.test("out_of_range changes nothing either", () => {
  const chain = new IssuedChain(1000);
  const live = chain.live();
  assertEquals(verify(live, chain.answer(743)), "out_of_range");
  assertEquals(live.index, 1000);
  assertEquals(verify(live, chain.answer(999)), "ok");
});

Deno.test("expired after its time, to the millisecond, and never offered again", () => {
  const { chain, live } = inTheMiddle();
  assertEquals(live.isExpired(9999), false);
  assertEquals(live.canOffer(9999), true);
  assertEquals(verify(live, chain.answer(19), 9999), "ok");
  assertEquals([live.isExpired(10_000), live.canOffer(10_000)], [true, false]);
  assertEquals(verify(live, chain.answer(18), 10_000), "expired");
  assertEquals(live.index, 19);
});

Deno.test("order of precedence: expired, bad_response, renew, malformed, out_of_range, replayed or bad_token", () => {
  const chain = new IssuedChain(1000);
  const setUp = () => {
    const live = chain.live(10_000);
    assertEquals(verify(live, chain.answer(999)), "ok");
    return live;
  };
  const badResponse = { response: new Uint8Array(20) };
  const badToken = { token: new Uint8Array(20) };
  const cases: [CredentialVerdict, PcAnswer, number][] = [
    ["expired", chain.answer(998, badResponse), 10_000],
    ["expired", chain.renewal(), 10_000],
    ["expired", chain.answer(1000), 10_000],
    ["bad_response", chain.answer(1000, badResponse), 0],
    ["bad_response", chain.answer(0, badResponse), 0],
    ["bad_response", chain.answer(999, badResponse), 0],
    ["bad_response", chain.answer(998, { ...badResponse, ...badToken }), 0],
    ["bad_response", chain.renewal(badResponse), 0],
    ["malformed", chain.answer(1000, badToken), 0],
    ["out_of_range", chain.answer(0, badToken), 0],
    ["replayed", chain.answer(999, badToken), 0],
    ["bad_token", chain.answer(998, badToken), 0],
  ];
  for (const [verdict, answer, now] of cases) assertEquals(verify(setUp(), answer, now), verdict);
});

Deno.test("max_skip is min(n, 256) by default: so far and no link further", async (t) => {
  for (const [n, maxSkip] of [[1, 1], [10, 10], [255, 255], [256, 256], [257, 256], [65_535, 256]]) {
    assertEquals(defaultMaxSkip(n), maxSkip, `n = ${n}`);
  }
  for (const n of [10, 255, 256, 257, 600]) {
    await t.step(`n = ${n}`, () => {
      const chain = new IssuedChain(n);
      const lowest = Math.max(0, n - 256);
      if (lowest > 0) assertEquals(verify(chain.live(), chain.answer(lowest - 1)), "out_of_range");
      assertEquals(verify(chain.live(), chain.answer(lowest)), "ok");
    });
  }
  await t.step("set by the operator", () => {
    const chain = new IssuedChain(600);
    assertEquals(verify(chain.live(), chain.answer(594), 0, { maxSkip: 5 }), "out_of_range");
    assertEquals(verify(chain.live(), chain.answer(595), 0, { maxSkip: 5 }), "ok");
    assertEquals(verify(chain.live(), chain.answer(0), 0, { maxSkip: 600 }), "ok");
    const live = chain.live();
    assertEquals(verify(live, chain.answer(599), 0, { maxSkip: 1 }), "ok");
    assertEquals(verify(live, chain.answer(597), 0, { maxSkip: 1 }), "out_of_range");
    assertEquals(verify(live, chain.answer(598), 0, { maxSkip: 1 }), "ok");
  });
});

Deno.test("skipped tokens are good once, in any order, for less than 5 s", () => {
  const setUp = () => {
    const chain = new IssuedChain(40);
    const live = chain.live();
    assertEquals(verify(live, chain.answer(30), 1000), "ok");
    assertEquals(verify(live, chain.answer(25), 3000), "ok");
    return { chain, live };
  };
  const { chain, live } = setUp();
  for (
    const [j, now, verdict] of [[33, 5999, "ok"], [33, 5999, "replayed"], [39, 5999, "ok"], [
      34,
      6000,
      "replayed",
    ]] as const
  ) {
    assertEquals(verify(live, chain.answer(j), now), verdict, `token ${j} at ${now}`);
  }
  for (
    const [j, now, verdict] of [[26, 7999, "ok"], [29, 7999, "ok"], [27, 8000, "replayed"], [
      26,
      8000,
      "replayed",
    ]] as const
  ) {
    assertEquals(verify(live, chain.answer(j), now), verdict, `token ${j} at ${now}`);
  }
  assertEquals(live.index, 25);
  assertEquals(verify(setUp().live, chain.answer(33), 3001, { reorderMs: 2000 }), "replayed");
});

Deno.test("one skipped token is good too, and stays so while later ones are used", () => {
  const chain = new IssuedChain(40);
  const live = chain.live();
  for (const j of [39, 37, 36, 35]) assertEquals(verify(live, chain.answer(j), 0), "ok", `${j}`);
  assertEquals(verify(live, chain.answer(38), 4999), "ok");
  assertEquals(verify(live, chain.answer(38), 4999), "replayed");
});

Deno.test("tokens skipped before a window was needed again stay shut", () => {
  const chain = new IssuedChain(40);
  const live = chain.live();
  assertEquals(verify(live, chain.answer(35), 0), "ok");
  // At 6 s nothing is open any more: the window goes with the next token, and comes back with the next skip.
  assertEquals(verify(live, chain.answer(34), 6000), "ok");
  assertEquals(verify(live, chain.answer(30), 6000), "ok");
  for (const j of [39, 36, 35, 34, 30]) assertEquals(verify(live, chain.answer(j), 6001), "replayed", `${j}`);
  for (const j of [33, 31]) assertEquals(verify(live, chain.answer(j), 6001), "ok", `${j}`);
});

Deno.test("the window is the 64 indices from i up", () => {
  const chain = new IssuedChain(300);
  const results = new Map<CredentialVerdict, number[]>();
  const live = chain.live();
  assertEquals(verify(live, chain.answer(100), 0), "ok");
  for (let j = 100; j < 300; j++) {
    const verdict = verify(live, chain.answer(j), 1);
    results.set(verdict, [...results.get(verdict) ?? [], j]);
  }
  const from = (low: number, high: number) => Array.from({ length: high - low }, (_, k) => low + k);
  assertEquals(results.get("ok"), from(101, 164));
  assertEquals(results.get("replayed"), [100, ...from(164, 300)]);
});

Deno.test("no token is accepted twice: any order, gaps, times and repeats", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const chain = new IssuedChain(300);
    const live = chain.live();
    const accepted = new Set<number>();
    let now = 0;
    for (let step = 0; step < 400; step++) {
      const j = Math.min(299, Math.max(0, live.index - 4 + random.below(12)));
      const verdict = verify(live, chain.answer(j), now);
      if (verdict === "ok") {
        assert(!accepted.has(j), `seed ${seed}, step ${step}: ${j} twice`);
        accepted.add(j);
      } else assertEquals(verdict, "replayed", `seed ${seed}, step ${step}`);
      now += random.below(400);
    }
  }
});

Deno.test("auth-int binds the body, of a renewal too", () => {
  const chain = new IssuedChain(10, "SHA-256");
  const bodyHash = toHex(chain.hash.digest(new TextEncoder().encode("v=0\r\n")));
  const empty = toHex(chain.hash.digest(new Uint8Array(0)));
  const withBody = { ...INVITE, bodyHash };
  const live = chain.live();
  const at = (answer: PcAnswer, request: typeof INVITE) =>
    live.verify(answer, request, OPAQUE, 0, DEFAULT_VERIFIER_POLICY);
  assertEquals(at(chain.answer(9, {}, withBody), { ...INVITE, bodyHash: empty }), "bad_response");
  assertEquals(at(chain.answer(9, {}, withBody), INVITE), "bad_response");
  assertEquals(at(chain.answer(9), withBody), "bad_response");
  assertEquals(at(chain.renewal(), withBody), "bad_response");
  assertEquals(at(chain.renewal({}, withBody), withBody), "renew");
  assertEquals(at(chain.answer(9, {}, withBody), withBody), "ok");
});

Deno.test("an answer is good for one run of one proxy and one credential", () => {
  const chain = new IssuedChain();
  const policy = DEFAULT_VERIFIER_POLICY;
  assertEquals(chain.live().verify(chain.answer(9), INVITE, "fedcba9876543210", 0, policy), "bad_response");
  const others = [
    new IssuedChain(11),
    new IssuedChain(10, "SHA-1", ALICE, new Uint8Array(16)),
    new IssuedChain(10, "SHA-1", { ...ALICE, username: "bob" }),
    new IssuedChain(10, "SHA-1", { ...ALICE, realm: "example.org" }),
    new IssuedChain(10, "SHA-1", { ...ALICE, password: "Secret" }),
  ];
  for (const other of others) assertEquals(verify(other.live(), chain.answer(9)), "bad_response");
});

Deno.test("what each verdict costs", () => {
  const chain = new IssuedChain(40);
  const cost = (answer: PcAnswer, now = 0): [string, number, number] => {
    const hash = new CountingHash(chain.hash);
    const live = chain.live(10_000, hash);
    assertEquals(verify(live, chain.answer(30)), "ok");
    hash.links = hash.macs = 0;
    return [verify(live, answer, now), hash.macs, hash.links];
  };
  assertEquals(cost(chain.answer(29), 10_000), ["expired", 0, 0]);
  assertEquals(cost(chain.answer(29, { response: new Uint8Array(20) })), ["bad_response", 1, 0]);
  assertEquals(cost(chain.renewal()), ["renew", 1, 0]);
  assertEquals(cost(chain.answer(40)), ["malformed", 1, 0]);
  assertEquals(cost(chain.answer(30)), ["replayed", 1, 0]);
  assertEquals(cost(chain.answer(29)), ["ok", 1, 1]);
  assertEquals(cost(chain.answer(25)), ["ok", 1, 5]);
  assertEquals(cost(chain.answer(37)), ["ok", 1, 7]);
});

Deno.test("failed walks: an empty bucket leaves the next token alone, and fills up again", () => {
  const chain = new IssuedChain(200);
  const hash = new CountingHash(chain.hash);
  const live = chain.live(3_600_000, hash);
  const policy = { failedWalks: 3, failedWalksPerSecond: 1 };
  const bad = { token: new Uint8Array(20) };
  const look = (j: number, changes: Partial<PcAnswer>, now: number): [CredentialVerdict, number] => {
    hash.links = 0;
    return [verify(live, chain.answer(j, changes), now, policy), hash.links];
  };
  assertEquals(look(190, {}, 0), ["ok", 10]);
  assertEquals(look(150, bad, 0), ["bad_token", 40]);
  assertEquals(look(193, bad, 0), ["bad_token", 3]);
  assertEquals(look(189, bad, 0), ["bad_token", 1]);
  // Empty: even right tokens are not walked, below i and above it, except the next one.
  assertEquals(look(188, {}, 0), ["bad_token", 0]);
  assertEquals(look(150, {}, 999), ["bad_token", 0]);
  assertEquals(look(191, {}, 999), ["bad_token", 0]);
  assertEquals(look(189, bad, 999), ["bad_token", 1]);
  assertEquals(look(189, {}, 999), ["ok", 1]);
  assertEquals(look(188, {}, 999), ["ok", 1]);
  // The failure at 999 ms took what 999 ms had brought: a second from there brings one walk.
  assertEquals(look(186, {}, 1998), ["bad_token", 0]);
  assertEquals(look(186, bad, 1999), ["bad_token", 2]);
  assertEquals(look(186, {}, 1999), ["bad_token", 0]);
  // Successful walks are free.
  for (const j of [186, 184, 182]) assertEquals(look(j, {}, 2999), ["ok", 2], `${j}`);
  // It never holds more than its capacity.
  for (let k = 0; k < 3; k++) assertEquals(look(170, bad, 100_000), ["bad_token", 12]);
  assertEquals(look(170, bad, 100_000), ["bad_token", 0]);
});

Deno.test("the bucket is per credential, and only failed walks empty it", () => {
  const chain = new IssuedChain(200);
  const policy = { failedWalks: 1, failedWalksPerSecond: 0 };
  const one = chain.live();
  const other = chain.live();
  assertEquals(verify(one, chain.answer(190, { token: new Uint8Array(20) }), 0, policy), "bad_token");
  assertEquals(verify(one, chain.answer(190), 0, policy), "bad_token");
  const unwalked = [
    chain.answer(190, { response: new Uint8Array(20) }),
    chain.renewal(),
    chain.answer(200),
    chain.answer(199, { response: new Uint8Array(0) }),
  ];
  for (const answer of unwalked) verify(other, answer, 0, policy);
  assertEquals(verify(other, chain.answer(190), 0, policy), "ok");
});

Deno.test("a guided challenge proves K for seq = i - 1 and the request it answers", () => {
  const { chain, live } = inTheMiddle();
  const { key } = chain.credential;
  assertEquals(live.challengeAuth(OPAQUE, INVITE), challengeMac(chain.hash, key, OPAQUE, 19, INVITE));
  assertEquals(live.rspauth(OPAQUE, 20, INVITE, undefined), acceptedMac(chain.hash, key, OPAQUE, 20, INVITE));
  const next = { nonce: "ab".repeat(16), chain: 10 };
  assertEquals(
    live.rspauth(OPAQUE, 20, INVITE, next),
    acceptedMac(chain.hash, key, OPAQUE, 20, INVITE, next),
  );
});

Deno.test("the caller's token may be overwritten after it was accepted", () => {
  for (const hash of CHAIN_ALGORITHMS.map((algorithm) => backend.get(algorithm))) {
    const chain = new IssuedChain(10, hash.name);
    const live = chain.live();
    const answer = chain.answer(9);
    assertEquals(verify(live, answer), "ok");
    answer.token!.fill(0);
    assertEquals(verify(live, chain.answer(8)), "ok", hash.name);
  }
});

Deno.test("every verdict has its answer, docs/PROTOCOL.md §6", () => {
  assertEquals(VERDICTS, {
    ok: { answer: "forward" },
    no_credentials: { answer: "bare" },
    malformed: { answer: "refuse", status: 400 },
    stale: { answer: "bare", stale: true },
    expired: { answer: "bare", stale: true },
    bad_response: { answer: "bare" },
    bad_token: { answer: "guided" },
    out_of_range: { answer: "guided", renew: true },
    replayed: { answer: "guided" },
    renew: { answer: "bare", renew: true },
    forbidden: { answer: "refuse", status: 403 },
    unavailable: { answer: "refuse", status: 503 },
  });
});
