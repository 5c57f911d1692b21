import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { loadHashBackend } from "../mod.ts";
import { type AuthMode, type AuthOptions } from "./authenticator.ts";
import type { EngineOptions } from "./engine.ts";
import { AuthServer, type AuthServerOptions } from "./test_auth_server.ts";
import { type NetworkFaults, TestNetwork } from "./test_network.ts";
import { InjectionFiles, patternFile } from "./injection.ts";
import { Ladder } from "./ladder.ts";
import { UAC } from "./test_scenarios.ts";

const { backend: hashes } = await loadHashBackend();
const LOCAL = { host: "10.0.0.1", port: 5070 };
const REMOTE = { host: "10.0.0.9", port: 5060 };
const REALM = "example.com";

const callers = (count: number) => new InjectionFiles([patternFile("user%d", "pw%d", 1, count)]);

interface Setup {
  readonly server?: Partial<AuthServerOptions>;
  readonly auth?: Partial<AuthOptions>;
  readonly engine?: Partial<EngineOptions>;
  readonly faults?: NetworkFaults;
  readonly seed?: number;
}

function setup({ server = {}, auth = {}, engine = {}, faults = {}, seed = 1 }: Setup) {
  const network = new TestNetwork(seed, faults);
  const proxy = new AuthServer(network, REMOTE, {
    hashes,
    realm: REALM,
    offers: ["Digest", "PC"],
    methods: ["INVITE"],
    chain: 10,
    password: (user) => user.replace("user", "pw"),
    proof: "right",
    ...server,
  });
  const caller = network.engine({
    scenario: UAC,
    local: LOCAL,
    remote: REMOTE,
    hashes,
    files: callers(5),
    rate: 10,
    calls: 100,
    recvTimeout: 60_000,
    auth: { realms: [REALM], ...auth },
    ...engine,
  });
  const run = () => {
    network.run(() => caller.done);
    return caller.report(network.now);
  };
  return { network, proxy, caller, run };
}

Deno.test("PC: one challenge per user, then tokens unasked, and the server proves itself every time", () => {
  const { run, proxy } = setup({});
  const { calls, auth, messages } = run();
  assertEquals([calls.ok, calls.failed], [100, 0]);
  assertEquals(auth.challenges, 5);
  assertEquals(auth.pcAnswers, 5);
  assertEquals([auth.preemptive, auth.preemptiveAccepted], [95, 95]);
  assertEquals([auth.confirmed, auth.unconfirmed, auth.wrong], [100, 0, 0]);
  assertEquals(auth.serverAuthenticated, "yes");
  assertEquals(auth.digestAnswers, 0);
  assertEquals(proxy.verdicts.filter((verdict) => verdict !== "ok"), []);
  // INVITE, 200, ACK, BYE, 200; and INVITE, 407, ACK more for each challenge (the server sends no 180).
  assertEquals(messages.perCall, 5 + 5 * 3 / 100);
});

Deno.test("PC without pre-emptive tokens: a challenge per call", () => {
  const { calls, auth } = setup({ auth: { preemptive: false } }).run();
  assertEquals(calls.ok, 100);
  assertEquals([auth.challenges, auth.pcAnswers, auth.preemptive, auth.confirmed], [100, 100, 0, 100]);
});

Deno.test("Digest: one answer per challenge; nothing proves the server", () => {
  for (const mode of ["digest", "any"] as AuthMode[]) {
    const { run, proxy } = setup({ server: { offers: ["Digest"] }, auth: { mode } });
    const { calls, auth } = run();
    assertEquals(calls.ok, 100, mode);
    assertEquals([auth.challenges, auth.digestAnswers, auth.pcAnswers], [100, 100, 0]);
    assertEquals([auth.confirmed, auth.unconfirmed, auth.serverAuthenticated], [0, 0, "no"]);
    assertEquals(new Set(proxy.verdicts), new Set(["digest ok"]));
  }
});

Deno.test("the time of each kind of authentication is measured by itself", () => {
  const counts = (server: Partial<AuthServerOptions>, auth: Partial<AuthOptions> = {}) => {
    const { timesMs } = setup({ server, auth, faults: { delay: [10, 10] } }).run().auth;
    // An answer is 20 ms on its way, there and back.
    for (const { count, min, max } of Object.values(timesMs)) {
      assertEquals(count === 0 || (Math.round(min) === 20 && Math.round(max) === 20), true);
    }
    return [timesMs.preemptive.count, timesMs.pc.count, timesMs.digest.count];
  };
  assertEquals(counts({}), [95, 5, 0]);
  assertEquals(counts({}, { preemptive: false }), [0, 100, 0]);
  assertEquals(counts({ offers: ["Digest"] }), [0, 0, 100]);
});

Deno.test("a ladder shows how a call was authenticated, but none of its credentials", () => {
  const ladder = new Ladder();
  const { run, network } = setup({
    faults: { delay: [10, 10] },
    engine: {
      onMessage: (sent, bytes, start, end, peer) =>
        ladder.message(sent, bytes, start, end, peer, network.now),
      onEnd: (callId, failure) => ladder.ended(callId, failure),
    },
  });
  run();
  const [head, , , ...rungs] = ladder.text("10.0.0.1:5070").split("\n");
  assertMatch(head, /^call 1-\S+: succeeded$/);
  assertEquals(
    rungs.map((rung) => rung.replace(/-+/g, "-").trim()),
    [
      "0.000 ms |- INVITE ->|",
      "20.000 ms |<- 407 Proxy Authe… (INVITE) [Digest, PC] -|",
      "20.000 ms |- ACK ->|",
      "20.000 ms |- INVITE [PC] ->|",
      "40.000 ms |<- 200 OK (INVITE) -|",
      "40.000 ms |- ACK ->|",
      "40.000 ms |- BYE ->|",
      "60.000 ms |<- 200 OK (BYE) -|",
    ],
  );
});

Deno.test("a ladder prefers the first call that fails", () => {
  const ladder = new Ladder();
  let calls = 0;
  const { run, network } = setup({
    auth: { mode: "pc" },
    server: { offers: ["Digest"] },
    engine: {
      onMessage: (sent, bytes, start, end, peer) =>
        ladder.message(sent, bytes, start, end, peer, network.now),
      onEnd: (callId, failure) => ladder.ended(callId, ++calls < 3 ? "" : failure),
    },
  });
  run();
  assertMatch(ladder.text("10.0.0.1:5070"), /^call 3-\S+: auth: no_usable_challenge\n/);
});

Deno.test("the mode decides among several challenges", () => {
  const digest = setup({ auth: { mode: "digest" } }).run();
  assertEquals([digest.calls.ok, digest.auth.digestAnswers, digest.auth.pcAnswers], [100, 100, 0]);
  const pc = setup({ auth: { mode: "pc" } }).run();
  assertEquals([pc.calls.ok, pc.auth.digestAnswers], [100, 0]);
});

Deno.test("--auth pc refuses Digest", () => {
  const { calls, failures, auth } = setup({ server: { offers: ["Digest"] }, auth: { mode: "pc" } }).run();
  assertEquals([calls.ok, calls.failed], [0, 100]);
  assertEquals(failures, { "auth: no_usable_challenge": 100 });
  assertEquals(auth.refused, { no_usable_challenge: 100 });
});

Deno.test("whoever has verified PC refuses a later Digest challenge (docs/PROTOCOL.md §4)", () => {
  const offers: ("PC" | "Digest")[] = ["PC"];
  const { run, caller, network, proxy } = setup({
    server: { offers },
    engine: { files: callers(1), calls: 3, rate: 1 },
  });
  network.run(() => caller.statistics.ok === 1);
  offers[0] = "Digest";
  proxy.forget();
  const { failures } = run();
  assertEquals(failures, { "auth: no_usable_challenge": 2 });
});

Deno.test("a wrong password ends after one Digest answer; with PC after the six challenges of §4", () => {
  const password = () => "other";
  const digest = setup({ server: { offers: ["Digest"], password }, engine: { calls: 5 } }).run();
  assertEquals(digest.failures, { "auth: rejected": 5 });
  const pc = setup({ server: { password }, engine: { calls: 5 } }).run();
  assertEquals(pc.failures, { "auth: too_many_challenges": 5 });
  assertEquals(pc.auth.confirmed, 0);
});

Deno.test("an engine without hashes answers nothing", () => {
  const { failures } = setup({ engine: { hashes: undefined, calls: 1 } }).run();
  assertEquals(failures, { "auth: no_password": 1 });
});

Deno.test("a challenge of another realm is not answered", () => {
  const { failures } = setup({ server: { realm: "other.example" }, engine: { calls: 2 } }).run();
  assertEquals(failures, { "auth: no_usable_challenge": 2 });
});

Deno.test("proofs that are missing or wrong are counted, each", () => {
  const missing = setup({ server: { proof: "none" } }).run().auth;
  assertEquals([missing.confirmed, missing.unconfirmed, missing.wrong], [0, 100, 0]);
  assertEquals(missing.serverAuthenticated, "no");
  const wrong = setup({ server: { proof: "wrong" } }).run().auth;
  assertEquals([wrong.confirmed, wrong.unconfirmed, wrong.wrong], [0, 0, 100]);
  assertEquals(wrong.serverAuthenticated, "no");
});

Deno.test("BYE: its challenge is answered; afterwards, or at once with --bye, tokens go unasked", () => {
  const methods = ["INVITE", "BYE"];
  const learns = setup({ server: { methods } }).run();
  assertEquals(learns.calls.ok, 100);
  assertEquals(learns.auth.confirmed, 200);
  assertEquals(learns.auth.challenges, 6, "five users' INVITE, and the first BYE of all");
  const atOnce = setup({ server: { methods }, auth: { bye: true } }).run();
  assertEquals([atOnce.calls.ok, atOnce.auth.challenges, atOnce.auth.confirmed], [100, 5, 200]);
  const digest = setup({ server: { methods }, auth: { mode: "digest" } }).run();
  assertEquals([digest.calls.ok, digest.auth.challenges, digest.auth.digestAnswers], [100, 200, 200]);
});

Deno.test("401 is answered in Authorization, and so are its tokens unasked", () => {
  const { calls, auth } = setup({ server: { status: 401 } }).run();
  assertEquals([calls.ok, calls.failed], [100, 0]);
  assertEquals([auth.challenges, auth.preemptiveAccepted, auth.confirmed], [5, 95, 100]);
});

Deno.test("chains that run out and a server that forgets: every call succeeds", () => {
  const { run, proxy, caller, network } = setup({ server: { chain: 3 }, engine: { calls: 200 } });
  network.run(() => caller.statistics.ok >= 100);
  proxy.forget();
  const { calls, auth } = run();
  assertEquals([calls.ok, calls.failed], [200, 0]);
  assertEquals(auth.confirmed, 200);
  // One challenge per user at the start, and one more after the restart; nothing for the change of chains.
  assertEquals(auth.challenges, 10);
});

for (const seed of [31, 32, 33]) {
  Deno.test(`PC over a bad network (seed ${seed}): many calls of few users at once all succeed`, () => {
    const { run } = setup({
      seed,
      faults: { loss: 0.05, duplication: 0.05, delay: [1, 60] },
      engine: { rate: 100, calls: 300, files: callers(3) },
      server: { chain: 20, methods: ["INVITE", "BYE"] },
    });
    const { calls, failures, auth } = run();
    assertEquals([calls.ok, calls.failed], [300, 0], JSON.stringify(failures));
    assertGreater(auth.confirmed, 590); // A chain in use may change while an answer is under way.
    assertEquals(auth.wrong, 0);
  });
}

Deno.test("a retried request has a higher CSeq, another branch and the same Call-ID and From tag", () => {
  const { network, run } = setup({ engine: { calls: 1 } });
  run();
  const invites = network.log.filter(({ text }) => text.startsWith("INVITE")).map(({ text }) => text);
  assertEquals(invites.length, 2);
  const field = (text: string, pattern: RegExp) => pattern.exec(text)![1];
  for (const same of [/Call-ID: (.*)/, /From: (.*)/, /To: (.*)/]) {
    assertEquals(field(invites[0], same), field(invites[1], same));
  }
  assertEquals(invites.map((text) => field(text, /CSeq: (.*)\r/)), ["1 INVITE", "2 INVITE"]);
  assert(field(invites[0], /branch=(\S+)/) !== field(invites[1], /branch=(\S+)/));
  const ack = network.log.find(({ text }) => text.startsWith("ACK"))!.text;
  assertEquals(field(ack, /branch=(\S+)/), field(invites[0], /branch=(\S+)/), "RFC 3261 §17.1.1.3");
});
