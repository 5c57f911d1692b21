/**
 * How the calls of a run authenticate themselves: which challenge is answered, tokens that are sent unasked, and
 * what the other side has proved (docs/PROTOCOL.md §4, §5, §7; Digest: RFC 3261 §22).
 */
import {
  type AgentAccount,
  type AgentRefusal,
  type AgentState,
  answerDigest,
  type ByteWriter,
  DEFAULT_AGENT_POLICY,
  type DigestAlgorithm,
  type DigestChallenge,
  digestHa1,
  DigestHasher,
  type Exchange,
  type HashBackend,
  HeaderId,
  isMalformed,
  MAX_CHALLENGES_PER_REQUEST,
  parseAuthAt,
  parseDigestChallenge,
  parsePcChallenge,
  parsePcInfo,
  PC_SCHEME,
  PcAgent,
  type PcAnswer,
  type PcChallenge,
  type PcInfo,
  type Random,
  selectDigest,
  type SipMessage,
  toHex,
  writePcAnswer,
} from "../mod.ts";
import type { AuthCounters } from "./statistics.ts";

/** Whose credentials a call has. */
export interface User {
  readonly username: string;
  /** undefined: no challenge can be answered. */
  readonly password: string | undefined;
}

/** What is answered: `any` is PC where it is offered or has been verified before, else Digest. */
export type AuthMode = "pc" | "digest" | "any";

/** Why a challenge was not answered. */
export type AuthFailure =
  | AgentRefusal
  /** The response has no challenge that the chosen mode, and what is known of the server, allow to answer. */
  | "no_usable_challenge"
  /** The answer was right for the nonce and yet refused: a wrong password, or no such user. */
  | "rejected"
  /** The user has no password. */
  | "no_password";

/** How a run authenticates. */
export interface AuthOptions {
  readonly mode: AuthMode;
  /** PC tokens go out unasked. */
  readonly preemptive: boolean;
  /** Requests other than the first of a call carry them too; else only once the hop has challenged such a request. */
  readonly bye: boolean;
  /** Challenges of other realms are not answered; absent: those of any realm are. */
  readonly realms?: readonly string[];
  /** The next hop, for the agents' memory. */
  readonly hop: string;
}

/** Chains that one user remembers: the one in use, the next, and some of other runs of the proxy. */
const CHAINS_PER_USER = 8;
const CNONCE_BYTES = 8;

/** What a user remembers between calls. */
interface UserMemory {
  readonly user: User;
  readonly accounts: AgentAccount[];
  readonly agent: PcAgent | undefined;
  /** The header that was asked for last: Proxy-Authorization by a proxy, Authorization by a server. */
  header: string;
  /** HA1 by algorithm and realm, made once. */
  readonly ha1: Map<string, Partial<Record<DigestAlgorithm, string>>>;
  /** The nonce that was answered last, and how often. */
  nonce: string;
  count: number;
}

/** The request that is being written. */
export interface OutgoingRequest {
  readonly method: string;
  readonly uri: string;
  readonly callId: string;
  readonly cseq: number;
  /** For auth-int; looked at only then. */
  readonly body?: Uint8Array;
}

/** The challenges of a response that are for us. */
interface Challenge {
  readonly pc: readonly PcChallenge[];
  /** One for each realm. */
  readonly digest: readonly DigestChallenge[];
}

/** The authentication of one request of a call, from its first sending to its final response. Reused. */
export class RequestAuth {
  /** @internal */
  memory: UserMemory | undefined;
  /** @internal */
  exchange: Exchange | undefined;
  /** @internal challenges that the next sending answers; undefined: it is a new request */
  challenge: Challenge | undefined;
  /** @internal */
  header = "Proxy-Authorization";
  /** @internal identity of the request as sent last */
  callId = "";
  /** @internal */
  cseq = 0;
  /** @internal what it carried */
  sent: "nothing" | "preemptive" | "pc" | "digest" = "nothing";
  /** @internal Digest challenges that it answered, one for each realm */
  answered: readonly DigestChallenge[] = [];
  /** @internal */
  digestAnswers = 0;

  /** Makes it ready for another call. */
  clear(): void {
    this.memory = this.exchange = this.challenge = undefined;
    this.sent = "nothing";
    this.digestAnswers = 0;
    this.header = "Proxy-Authorization";
    if (this.answered.length > 0) this.answered = [];
  }
}

/** What the agents of a run remember, by user name: for the next run. It holds no secrets. */
export type ChainStates = Readonly<Record<string, AgentState>>;

/** Authenticates the requests of a run. */
export class Authenticator {
  readonly #memories = new Map<string, UserMemory>();
  readonly #hasher: DigestHasher;
  /** Methods that the hop has challenged. */
  readonly #challenged = new Set<string>();
  #states: ChainStates = {};
  #used = false;

  constructor(
    private readonly options: AuthOptions,
    private readonly hashes: HashBackend,
    private readonly random: Random,
    private readonly counters: AuthCounters,
  ) {
    this.#hasher = new DigestHasher(hashes);
  }

  /** Chain states of an earlier run; before the first call. */
  restore(states: ChainStates): void {
    this.#states = states;
    this.#used = Object.keys(states).length > 0;
  }

  /** Nobody has ever asked for authentication, and nothing is known from before: there is nothing to write. */
  get idle(): boolean {
    return !this.#used;
  }

  /** What the next run may be given; users that made no call keep theirs. */
  states(): ChainStates {
    const states: Record<string, AgentState> = { ...this.#states };
    for (const [name, { agent }] of this.#memories) {
      const state = agent?.state();
      if (state !== undefined && state.chains.length > 0) states[name] = state;
    }
    return states;
  }

  /** Prepares `auth` for the requests of a call of this user. */
  assign(auth: RequestAuth, user: User): void {
    auth.clear();
    auth.memory = this.#memoryOf(user);
  }

  /** Gives a request credentials, or other ones than it had. Those that it has stay as they are. */
  use(auth: RequestAuth, username: string, password: string): void {
    const { memory } = auth;
    if (memory?.user.username === username && memory.user.password === password) return;
    auth.memory = this.#memoryOf({ username, password });
    auth.exchange = undefined;
  }

  #memoryOf(user: User): UserMemory {
    let memory = this.#memories.get(user.username);
    if (memory === undefined || memory.user.password !== user.password) {
      memory = this.#remember(user);
      this.#memories.set(user.username, memory);
    }
    return memory;
  }

  /**
   * Writes the header lines that a request carries: the answer to the challenge that came last, or tokens unasked.
   *
   * @param first whether it is the first request of its call
   * @returns why the challenge is not answered; the request is then not to be sent
   */
  write(
    out: ByteWriter,
    auth: RequestAuth,
    request: OutgoingRequest,
    first: boolean,
  ): AuthFailure | undefined {
    const { challenge } = auth;
    if (challenge === undefined) this.#begin(out, auth, request, first);
    else {
      auth.challenge = undefined;
      const failure = this.#answer(out, auth, challenge, request);
      if (failure !== undefined) {
        this.counters.refused.set(failure, (this.counters.refused.get(failure) ?? 0) + 1);
        return failure;
      }
    }
    auth.callId = request.callId;
    auth.cseq = request.cseq;
    return undefined;
  }

  /** Takes in the challenges of a 401 or 407; the next {@linkcode write} answers them. */
  challenged(auth: RequestAuth, message: SipMessage): void {
    const proxy = message.status === 407;
    auth.header = proxy ? "Proxy-Authorization" : "Authorization";
    if (auth.memory !== undefined) auth.memory.header = auth.header;
    const id = proxy ? HeaderId.PROXY_AUTHENTICATE : HeaderId.WWW_AUTHENTICATE;
    const pc: PcChallenge[] = [];
    const digest: DigestChallenge[] = [];
    for (let i = message.first(id); i >= 0; i = message.next(i)) {
      const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
      if (header.scheme.toUpperCase() === PC_SCHEME) {
        const parsed = parsePcChallenge(header);
        if (!isMalformed(parsed) && this.#isOurs(parsed.realm)) pc.push(parsed);
      } else if (header.scheme.toLowerCase() === "digest") {
        const parsed = parseDigestChallenge(header);
        if (!isMalformed(parsed) && this.#isOurs(parsed.realm)) digest.push(parsed);
      }
    }
    // The request may have been sent without a word of authentication: what it was, the response says.
    auth.callId = message.callId;
    auth.cseq = message.cseqNumber;
    this.#challenged.add(message.cseqMethod);
    this.#used = true;
    this.counters.challenges++;
    if (pc.some(({ guide }) => guide !== undefined)) this.counters.guided++;
    const realms = new Set(digest.map(({ realm }) => realm));
    auth.challenge = { pc, digest: [...realms].map((realm) => selectDigest(digest, { realm })!) };
  }

  /** Takes in a final response that is no challenge: what does it prove? */
  answered(auth: RequestAuth, message: SipMessage): void {
    if (!this.#used) return;
    const { exchange, sent } = auth;
    auth.challenge = auth.exchange = undefined;
    auth.sent = "nothing";
    auth.digestAnswers = 0;
    if (auth.answered.length > 0) auth.answered = [];
    if (sent === "nothing" || exchange === undefined || exchange.sent.length === 0) return;
    if (sent === "preemptive") this.counters.preemptiveAccepted++;
    const infos: PcInfo[] = [];
    for (const id of INFO_HEADERS) {
      for (let i = message.first(id); i >= 0; i = message.next(i)) {
        const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
        if (header.scheme.toUpperCase() !== PC_SCHEME) continue;
        const info = parsePcInfo(header);
        if (!isMalformed(info)) infos.push(info);
      }
    }
    const result = auth.memory!.agent!.confirm(exchange, message.status, infos, auth);
    if (result === "confirmed") this.counters.confirmed++;
    else if (result === "unconfirmed") this.counters.unconfirmed++;
    else if (result === "wrong_rspauth") this.counters.wrong++;
  }

  #isOurs(realm: string): boolean {
    const { realms } = this.options;
    return realms === undefined || realms.includes(realm);
  }

  #remember(user: User): UserMemory {
    const { username, password } = user;
    const { mode, realms = [], preemptive } = this.options;
    const accounts: AgentAccount[] = password === undefined
      ? []
      : realms.map((realm) => ({ username, realm, password }));
    const memory: UserMemory = {
      user,
      accounts,
      agent: mode === "digest" || password === undefined
        ? undefined
        : new PcAgent(this.hashes, this.random, accounts, {
          ...DEFAULT_AGENT_POLICY,
          preemptive,
          maxChains: CHAINS_PER_USER,
        }),
      header: "Proxy-Authorization",
      ha1: new Map(),
      nonce: "",
      count: 0,
    };
    const state = Object.hasOwn(this.#states, username) ? this.#states[username] : undefined;
    if (state !== undefined && memory.agent !== undefined) {
      for (const { realm } of state.chains) this.#addAccount(memory, realm);
      memory.agent.restore(state);
    }
    return memory;
  }

  /** With no realm configured, the realm of whoever is called is answered. */
  #addAccount({ accounts, user: { username, password } }: UserMemory, realm: string): void {
    if (!this.#isOurs(realm) || accounts.some((account) => account.realm === realm)) return;
    accounts.push({ username, realm, password: password! });
  }

  /** A new request: tokens unasked, where they are likely to be wanted. */
  #begin(out: ByteWriter, auth: RequestAuth, request: OutgoingRequest, first: boolean): void {
    const agent = auth.memory?.agent;
    auth.sent = "nothing";
    auth.digestAnswers = 0;
    if (auth.memory !== undefined) auth.header = auth.memory.header;
    auth.exchange = agent?.begin(this.options.hop);
    if (agent === undefined || auth.exchange === undefined) return;
    if (!first && !this.options.bye && !this.#challenged.has(request.method)) return;
    const answers = agent.preempt(auth.exchange, request);
    if (answers.length === 0) return;
    auth.sent = "preemptive";
    this.counters.preemptive++;
    writeAnswers(out, auth.header, answers);
  }

  #answer(
    out: ByteWriter,
    auth: RequestAuth,
    { pc, digest }: Challenge,
    request: OutgoingRequest,
  ): AuthFailure | undefined {
    const { memory } = auth;
    if (memory?.user.password === undefined) return "no_password";
    memory.header = auth.header;
    const { agent } = memory;
    let written = false;
    if (agent !== undefined && pc.length > 0) {
      for (const { realm } of pc) this.#addAccount(memory, realm);
      auth.exchange ??= agent.begin(this.options.hop);
      const reaction = agent.challenged(auth.exchange, pc, auth, request);
      if (reaction.kind === "refuse") return reaction.reason;
      writeAnswers(out, auth.header, reaction.answers);
      auth.sent = "pc";
      this.counters.pcAnswers++;
      written = true;
    }
    // A realm that has proved to know PC is never answered with Digest.
    const weaker = this.options.mode === "pc"
      ? []
      : digest.filter(({ realm }) =>
        !(written && pc.some((challenge) => challenge.realm === realm)) && agent?.hasVerified(realm) !== true
      );
    if (weaker.length === 0) return written ? undefined : "no_usable_challenge";
    // The same secret again would be refused again; only `stale` says that the nonce was to blame.
    for (const { realm, stale } of weaker) {
      if (stale !== true && auth.answered.some((answered) => answered.realm === realm)) return "rejected";
    }
    if (++auth.digestAnswers > MAX_CHALLENGES_PER_REQUEST) return "too_many_challenges";
    // A proxy further up asks only after those before it have let the request through: they need answers again.
    const again = auth.answered.filter(({ realm }) => !digest.some((challenge) => challenge.realm === realm));
    auth.answered = [...weaker, ...again];
    for (const challenge of auth.answered) {
      if (written) out.crlf();
      out.text(auth.header).text(": ").text(this.#digest(memory, challenge, request));
      written = true;
    }
    if (auth.sent !== "pc" || pc.length === 0) auth.sent = "digest";
    this.counters.digestAnswers++;
    return undefined;
  }

  #digest(memory: UserMemory, challenge: DigestChallenge, request: OutgoingRequest): string {
    const { username, password } = memory.user;
    let ha1 = memory.ha1.get(challenge.realm);
    if (ha1 === undefined) memory.ha1.set(challenge.realm, ha1 = {});
    ha1[challenge.algorithm] ??= digestHa1(
      this.#hasher,
      challenge.algorithm,
      username,
      challenge.realm,
      password!,
    );
    // How often a nonce was used is counted over the calls of a user (RFC 7616 §3.4.5).
    memory.count = memory.nonce === challenge.nonce ? memory.count + 1 : 1;
    memory.nonce = challenge.nonce;
    const cnonce = toHex(this.random.bytes(CNONCE_BYTES));
    return answerDigest(this.#hasher, challenge, { username, ha1 }, request, cnonce, memory.count);
  }
}

const INFO_HEADERS = [HeaderId.PROXY_AUTHENTICATION_INFO, HeaderId.AUTHENTICATION_INFO];

/** One header line per answer; the line end of the last is the template's. */
function writeAnswers(out: ByteWriter, header: string, answers: readonly PcAnswer[]): void {
  for (let i = 0; i < answers.length; i++) {
    if (i > 0) out.crlf();
    out.text(header).text(": ").text(writePcAnswer(answers[i]));
  }
}
