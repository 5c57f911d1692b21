/**
 * What a call costs in the proxy's core, without sockets and DBclient: parse, authorize, transactions, forward.
 *
 *     deno bench bench/proxy_bench.ts
 *
 * One iteration is 100 messages in, and what they make the proxy send. Each is of a call of its own, of one of many
 * users with a credential in the cache; the baselines are a proxy that authenticates nobody. Time in it is virtual.
 */
import {
  type Address,
  ByteWriter,
  deriveCredential,
  ha1,
  ha1Algorithm,
  HeaderId,
  loadHashBackend,
  type Located,
  parseFlags,
  response,
  seededRandom,
  SipMessage,
  type SipTarget,
  toHex,
} from "../mod.ts";
import { PROXY_FLAGS } from "../proxy/options.ts";
import { Proxy } from "../proxy/proxy.ts";
import { readSettings } from "../proxy/settings.ts";
import { Authenticator, RequestAuth } from "../uac/authenticator.ts";
import { Statistics } from "../uac/statistics.ts";

const PHONE: Address = { host: "192.0.2.10", port: 5061 };
const CALLED: Address = { host: "192.0.2.20", port: 5080 };
const REALM = "example.com";
const URI = "sip:service@example.com:5060";
const PASSWORD = "5b1f0e6c9d";
const USERS = 1000;
const CHAIN = 10;
/** Messages in one iteration: deno bench counts what is between start() and end() alone only above 10 µs. */
const ROUND = 100;
/** After this much virtual time the transactions of a round have ended: more than 64 · T1. */
const KEPT_MS = 33_000;
/** s: no credential expires while the benchmark runs. */
const LIFE = 0xffffffff;
const SDP =
  "v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
  "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

const { backend } = await loadHashBackend();
const random = seededRandom(1);
const userAt = (i: number) => ({ username: `user${String(i + 1).padStart(6, "0")}`, password: PASSWORD });

type Mode = "none" | "digest" | "pc";

/** A call with the message that the proxy gets next, and the one that the proxy sent last. */
interface Call {
  readonly auth: RequestAuth;
  readonly callId: string;
  readonly username: string;
  cseq: number;
  message: Uint8Array;
  from: Address;
  readonly sent: Uint8Array;
  sentLength: number;
}

/** A proxy in memory with a DBclient that answers at once, its callers and a called side. */
class Scene {
  readonly #proxy: Proxy;
  readonly #authenticator: Authenticator | undefined;
  readonly #message = new SipMessage();
  readonly #out = new ByteWriter(4096);
  #current: Call | undefined;
  #now = 0;
  #calls = 0;

  private constructor(readonly mode: Mode, flags: readonly string[]) {
    const { values } = parseFlags(PROXY_FLAGS, [
      ...["--listen", "udp:192.0.2.1:5060", "--realm", REALM, "--next_hop", "sip:192.0.2.20:5080"],
      ...["--auth", mode, ...flags],
    ]);
    const environment = {
      random,
      now: 0,
      send: (buffer: Uint8Array, start: number, end: number) => {
        const call = this.#current!;
        call.sent.set(buffer.subarray(start, end));
        call.sentLength = end - start;
        return true;
      },
      locate: (_: SipTarget, done: Located) => done([], this.#now),
      log: () => {},
    };
    this.#proxy = new Proxy(values, readSettings(values), backend, environment, {
      connected: true,
      issue: (algorithm, identities, done) => {
        const outcomes = identities.map((user) => {
          const secret = ha1(backend.get(ha1Algorithm(algorithm)), user, PASSWORD);
          const nonce = random.bytes(16);
          const credential = deriveCredential(backend.get(algorithm), secret, user, nonce, CHAIN);
          return { status: "ok", credential, ttl: LIFE, serial: 0 } as const;
        });
        done(outcomes, this.#now);
      },
      verify: (answers, done) => done(answers.map(() => "ok"), this.#now),
    });
    if (mode === "none") return;
    const options = { mode, preemptive: true, bye: false, realms: [REALM], hop: "proxy" };
    this.#authenticator = new Authenticator(options, backend, random, new Statistics().auth);
  }

  /** A scene in which every user has called. */
  static async open(mode: Mode, flags: readonly string[] = []): Promise<Scene> {
    const scene = new Scene(mode, flags);
    for (let i = 0; i < USERS / ROUND; i++) await scene.invites();
    return scene;
  }

  /** Measures INVITEs whose credentials are right. */
  async invites(b?: Deno.BenchContext): Promise<void> {
    const calls = await this.#ready();
    await this.#send(calls, b);
    for (const call of calls) this.#ring(call);
    await this.#send(calls);
    this.#end(calls);
  }

  /** Measures INVITEs without credentials. */
  async bare(b: Deno.BenchContext): Promise<void> {
    const calls = Array.from({ length: ROUND }, () => this.#newCall());
    for (const call of calls) this.#write(call, false);
    await this.#send(calls, b);
    for (const call of calls) expect(this.#parse(call).status === 407, "407");
    this.#letGo();
  }

  /** Measures the 200s of the called side. */
  async finals(b: Deno.BenchContext): Promise<void> {
    const calls = await this.#ready();
    await this.#send(calls);
    for (const call of calls) this.#ring(call);
    await this.#send(calls, b);
    this.#end(calls);
  }

  /** Calls whose INVITE will be accepted: where nothing can be sent unasked, they were challenged. */
  async #ready(): Promise<Call[]> {
    const calls = Array.from({ length: ROUND }, () => this.#newCall());
    const unanswered = calls.filter((call) => !this.#write(call));
    if (this.#authenticator === undefined) return calls;
    await this.#send(unanswered);
    for (const call of unanswered) {
      const challenge = this.#parse(call);
      expect(challenge.status === 407, "407");
      this.#authenticator.challenged(call.auth, challenge);
      call.cseq++;
      expect(this.#write(call), "a challenge that is answered");
    }
    return calls;
  }

  #newCall(): Call {
    const user = userAt(this.#calls % USERS);
    const auth = new RequestAuth();
    this.#authenticator?.assign(auth, user);
    const callId = `${++this.#calls}-${toHex(random.bytes(8))}@192.0.2.10`;
    const { username } = user;
    const message = new Uint8Array(0);
    return {
      auth,
      username,
      callId,
      cseq: 1,
      message,
      from: PHONE,
      sent: new Uint8Array(2048),
      sentLength: 0,
    };
  }

  /** Writes the INVITE of a call; whether it carries credentials. */
  #write(call: Call, authenticate = true): boolean {
    const { auth, username, callId, cseq } = call;
    const out = this.#out;
    out.clear();
    out.text(`INVITE ${URI} SIP/2.0\r
Via: SIP/2.0/UDP 192.0.2.10:5061;rport;branch=z9hG4bK${callId}-${cseq}\r
From: ${username} <sip:${username}@${REALM}>;tag=${callId}\r
To: service <${URI}>\r
Call-ID: ${callId}\r
CSeq: ${cseq} INVITE\r
Contact: <sip:${username}@192.0.2.10:5061>\r
Max-Forwards: 70\r
Subject: Performance Test\r
`);
    const before = out.length;
    if (authenticate) {
      const refusal = this.#authenticator?.write(
        out,
        auth,
        { method: "INVITE", uri: URI, callId, cseq },
        true,
      );
      if (refusal !== undefined) throw new Error(`no answer: ${refusal}`);
    }
    const answered = out.length > before;
    if (answered) out.crlf();
    out.text(`Content-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n${SDP}`);
    call.message = out.buffer.slice(0, out.length);
    return answered;
  }

  /** Gives the proxy the message of each call, and waits until it has sent something. */
  async #send(calls: readonly Call[], b?: Deno.BenchContext): Promise<void> {
    for (const call of calls) call.sentLength = 0;
    b?.start();
    for (const call of calls) {
      this.#current = call;
      this.#proxy.receive(call.message, 0, call.message.length, call.from, this.#now);
      this.#proxy.flush(this.#now);
      // With PC the proxy has sent something already; a Digest verdict is a promise.
      while (call.sentLength === 0) await undefined;
    }
    b?.end();
  }

  /** The message that the proxy sent last for a call. */
  #parse({ sent, sentLength }: Call): SipMessage {
    expect(this.#message.parse(sent, 0, sentLength) === undefined, "a well-formed message");
    return this.#message;
  }

  /** The called side answers the INVITE that was forwarded. */
  #ring(call: Call): void {
    const invite = this.#parse(call);
    expect(invite.isRequest, "the INVITE to the called side");
    const headers = ["Contact: <sip:service@192.0.2.20:5080>"];
    call.message = response(invite, 200, undefined, { toTag: "1", source: CALLED, headers });
    call.from = CALLED;
  }

  /** Checks the 200s that the callers got, and forgets the calls. */
  #end(calls: readonly Call[]): void {
    for (const call of calls) {
      const ok = this.#parse(call);
      expect(ok.status === 200, "200");
      expect((this.mode === "pc") === (ok.first(HeaderId.PROXY_AUTHENTICATION_INFO) >= 0), "a confirmation");
      this.#authenticator?.answered(call.auth, ok);
    }
    this.#letGo();
  }

  /** Lets ended transactions go. */
  #letGo(): void {
    this.#now += KEPT_MS;
    this.#proxy.advance(this.#now);
  }
}

function expect(right: boolean, what: string): void {
  if (!right) throw new Error(`the proxy did not send ${what}`);
}

const none = await Scene.open("none");
const digest = await Scene.open("digest");
const pc = await Scene.open("pc");
const sha256 = await Scene.open("pc", ["--algorithm", "SHA-256"]);

// An arrow function that is not async would not be awaited, whatever it returns.
const invites = `${ROUND} INVITEs: authorize and forward`;
Deno.bench({
  name: "nobody is authenticated",
  group: invites,
  baseline: true,
  fn: async (b) => await none.invites(b),
});
Deno.bench({
  name: "Digest MD5, DBclient's check not counted",
  group: invites,
  fn: async (b) => await digest.invites(b),
});
Deno.bench({ name: "PC SHA-1", group: invites, fn: async (b) => await pc.invites(b) });
Deno.bench({ name: "PC SHA-256", group: invites, fn: async (b) => await sha256.invites(b) });

const challenges = `${ROUND} INVITEs without credentials: 407`;
Deno.bench({ name: "Digest MD5", group: challenges, baseline: true, fn: async (b) => await digest.bare(b) });
Deno.bench({ name: "PC SHA-1", group: challenges, fn: async (b) => await pc.bare(b) });

const finals = `${ROUND} 200s: forward with the confirmation`;
Deno.bench({
  name: "nobody is authenticated",
  group: finals,
  baseline: true,
  fn: async (b) => await none.finals(b),
});
Deno.bench({ name: "Digest MD5 (no confirmation)", group: finals, fn: async (b) => await digest.finals(b) });
Deno.bench({ name: "PC SHA-1", group: finals, fn: async (b) => await pc.finals(b) });
Deno.bench({ name: "PC SHA-256", group: finals, fn: async (b) => await sha256.finals(b) });
