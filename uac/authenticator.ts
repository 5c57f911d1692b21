/**
 * How the calls of a run authenticate themselves: which challenge is answered, tokens that are sent unasked, and
 * what the other side has proved (docs/PROTOCOL.md §4, §5, §7; Digest: RFC 3261 §22).
 */
import {
  type AgentRefusal,
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
import type { User } from "./users.ts";

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
  /** Challenges of other realms are not answered. */
  readonly realm: string;
  /** The next hop, for the agents' memory. */
  readonly hop: string;
}

/** Chains that one user remembers: the one in use, the next, and some of other runs of the proxy. */
const CHAINS_PER_USER = 8;
const CNONCE_BYTES = 8;

/** What a user remembers between calls. */
interface UserMemory {
  readonly user: User;
  readonly agent: PcAgent | undefined;
  /** The header that was asked for last: Proxy-Authorization by a proxy, Authorization by a server. */
  header: string;
  /** HA1 by algorithm, made once. */
  readonly ha1: Partial<Record<DigestAlgorithm, string>>;
}

/** The request that is being written. */
export interface OutgoingRequest {
  readonly method: string;
  readonly uri: string;
  readonly callId: string;
  readonly cseq: number;
}

/** The authentication of one request of a call, from its first sending to its final response. Reused. */
export class RequestAuth {
  /** @internal */
  memory: UserMemory | undefined;
  /** @internal */
  exchange: Exchange | undefined;
  /** @internal challenges that the next sending answers; undefined: it is a new request */
  challenge:
    | { readonly pc: readonly PcChallenge[]; readonly digest: DigestChallenge | undefined }
    | undefined;
  /** @internal */
  header = "Proxy-Authorization";
  /** @internal identity of the request as sent last */
  callId = "";
  /** @internal */
  cseq = 0;
  /** @internal what it carried */
  sent: "nothing" | "preemptive" | "pc" | "digest" = "nothing";
  /** @internal */
  digestAnswers = 0;

  /** Makes it ready for another call. */
  clear(): void {
    this.memory = this.exchange = this.challenge = undefined;
    this.sent = "nothing";
    this.header = "Proxy-Authorization";
  }
}

/** Authenticates the requests of a run. */
export class Authenticator {
  readonly #memories: (UserMemory | undefined)[] = [];
  readonly #hasher: DigestHasher;
  /** Methods that the hop has challenged. */
  readonly #challenged = new Set<string>();

  constructor(
    private readonly options: AuthOptions,
    private readonly hashes: HashBackend,
    private readonly random: Random,
    private readonly counters: AuthCounters,
  ) {
    this.#hasher = new DigestHasher(hashes);
  }

  /** Prepares `auth` for the requests of a call of the user with this index. */
  assign(auth: RequestAuth, index: number, user: User): void {
    auth.clear();
    auth.memory = this.#memories[index] ??= this.#remember(user);
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
        if (!isMalformed(parsed)) pc.push(parsed);
      } else if (header.scheme.toLowerCase() === "digest") {
        const parsed = parseDigestChallenge(header);
        if (!isMalformed(parsed)) digest.push(parsed);
      }
    }
    this.#challenged.add(message.cseqMethod);
    this.counters.challenges++;
    if (pc.some(({ guide }) => guide !== undefined)) this.counters.guided++;
    auth.challenge = { pc, digest: selectDigest(digest, { realm: this.options.realm }) };
  }

  /** Takes in a final response that is no challenge: what does it prove? */
  answered(auth: RequestAuth, message: SipMessage): void {
    const { exchange, sent } = auth;
    auth.challenge = undefined;
    if (sent === "nothing" || sent === "digest" || exchange === undefined) return;
    if (sent === "preemptive") this.counters.preemptiveAccepted++;
    const infos: PcInfo[] = [];
    for (const id of [HeaderId.PROXY_AUTHENTICATION_INFO, HeaderId.AUTHENTICATION_INFO]) {
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
    auth.sent = "nothing";
  }

  #remember(user: User): UserMemory {
    const { username, password } = user;
    const { mode, realm, preemptive } = this.options;
    const agent = mode === "digest" || password === undefined ? undefined : new PcAgent(
      this.hashes,
      this.random,
      [{ username, realm, password }],
      { ...DEFAULT_AGENT_POLICY, preemptive, maxChains: CHAINS_PER_USER },
    );
    return { user, agent, header: "Proxy-Authorization", ha1: {} };
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
    { pc, digest }: NonNullable<RequestAuth["challenge"]>,
    request: OutgoingRequest,
  ): AuthFailure | undefined {
    const { mode, realm } = this.options;
    const { memory, exchange } = auth;
    if (memory?.user.password === undefined) return "no_password";
    const { agent } = memory;
    if (agent !== undefined && exchange !== undefined && pc.some((challenge) => challenge.realm === realm)) {
      const reaction = agent.challenged(exchange, pc, auth, request);
      if (reaction.kind === "refuse") return reaction.reason;
      writeAnswers(out, auth.header, reaction.answers);
      auth.sent = "pc";
      this.counters.pcAnswers++;
      return undefined;
    }
    if (mode === "pc" || digest === undefined || agent?.hasVerified(realm)) return "no_usable_challenge";
    // The same secret again would be refused again; only `stale` says that the nonce was to blame.
    if (auth.sent === "digest" && digest.stale !== true) return "rejected";
    if (++auth.digestAnswers > MAX_CHALLENGES_PER_REQUEST) return "too_many_challenges";
    const { username, password } = memory.user;
    const ha1 = memory.ha1;
    ha1[digest.algorithm] ??= digestHa1(this.#hasher, digest.algorithm, username, digest.realm, password!);
    const cnonce = toHex(this.random.bytes(CNONCE_BYTES));
    out.text(auth.header).text(": ");
    out.text(answerDigest(this.#hasher, digest, { username, ha1 }, request, cnonce, 1));
    auth.sent = "digest";
    this.counters.digestAnswers++;
    return undefined;
  }
}

/** One header line per answer; the line end of the last is the template's. */
function writeAnswers(out: ByteWriter, header: string, answers: readonly PcAnswer[]): void {
  for (let i = 0; i < answers.length; i++) {
    if (i > 0) out.crlf();
    out.text(header).text(": ").text(writePcAnswer(answers[i]));
  }
}
