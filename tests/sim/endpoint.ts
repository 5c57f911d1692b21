/** What both sides of a call are made of: a transaction layer on the simulated network, and requests with PC answers. */
import {
  type Address,
  type AgentAccount,
  type AgentPolicy,
  type AgentRefusal,
  type Confirmation,
  DEFAULT_AGENT_POLICY,
  type Exchange,
  formatAddress,
  type HashBackend,
  HeaderId,
  isMalformed,
  NO_TRANSACTION,
  parseAuthAt,
  parsePcChallenge,
  parsePcInfo,
  PC_SCHEME,
  PcAgent,
  type PcAnswer,
  type PcChallenge,
  type PcInfo,
  type Random,
  request,
  SipMessage,
  toHex,
  type TransactionId,
  TransactionLayer,
  type TransactionUser,
  writePcAnswer,
} from "../../mod.ts";
import { type Clock, Waker } from "./event_queue.ts";
import type { Wire } from "./network.ts";

/** Transactions of one endpoint at one time: more than any simulation asks for. */
const MAX_TRANSACTIONS = 20_000;

/** What an endpoint is put into. */
export interface EndpointSurroundings {
  readonly queue: Clock;
  readonly network: Wire;
  readonly hashes: HashBackend;
  readonly random: Random;
}

/** A request to be sent, answering challenges. */
export interface RequestSpec {
  readonly method: string;
  readonly uri: string;
  readonly hop: Address;
  readonly from: string;
  readonly to: string;
  readonly callId: string;
  /** CSeq of the first sending; each further one takes the next. */
  readonly cseq: number;
  readonly route?: readonly string[];
  readonly body?: string;
}

/** How a request ended. */
export interface Outcome {
  /** The final status; 0 when none came in time. */
  readonly status: number;
  /** Challenges that came on the way. */
  readonly challenges: number;
  readonly refusal?: AgentRefusal;
  readonly confirmation: Confirmation;
  /** CSeq of the last sending. */
  readonly cseq: number;
  /** Value of To in the response. */
  readonly to: string;
  /** The route set for the dialog. */
  readonly route: readonly string[];
  readonly contact: string;
  readonly retryAfter: string | undefined;
  readonly took: number;
}

interface Pending {
  readonly spec: RequestSpec;
  readonly exchange: Exchange;
  readonly startedAt: number;
  readonly done: (outcome: Outcome) => void;
  cseq: number;
  /** The 2xx was acted on: what comes after is sent again. */
  over: boolean;
  onRepeated: (() => void) | undefined;
}

/** A SIP element at the end of a path. */
export abstract class Endpoint implements TransactionUser {
  agent!: PcAgent;
  readonly layer: TransactionLayer;
  /** Sees every answer that is sent. */
  onAnswers: ((answers: readonly PcAnswer[], spec: RequestSpec, cseq: number) => void) | undefined;
  /** Sees every challenge that comes, before the agent. */
  onChallenges: ((challenges: readonly PcChallenge[], spec: RequestSpec, cseq: number) => void) | undefined;
  protected readonly waker: Waker;
  /** Methods that proxies have asked for answers with. */
  readonly #challengedMethods = new Set<string>();
  /** What each client transaction is for. */
  readonly #pending = new Map<TransactionId, Pending>();
  readonly #view = new SipMessage();

  constructor(
    protected readonly around: EndpointSurroundings,
    readonly address: Address,
    readonly account: AgentAccount,
    private readonly policy: Partial<AgentPolicy> = {},
  ) {
    const { queue, network, random } = around;
    this.layer = new TransactionLayer(
      { now: queue.now, random, maxTransactions: MAX_TRANSACTIONS },
      (buffer, start, end, to) => network.send(address, to, buffer, start, end),
      this,
    );
    this.waker = new Waker(queue, () => this.layer.nextDue(), () => this.layer.advance(queue.now));
    network.attach(address, (bytes, from) => {
      if (this.#view.parse(bytes, 0, bytes.length) === undefined) {
        this.layer.receive(this.#view, from, queue.now);
      }
      this.waker.look();
    });
    this.forget();
  }

  /** Loses all memory of chains, as a restart does. */
  forget(): void {
    const { hashes, random } = this.around;
    this.agent = new PcAgent(hashes, random, [this.account], { ...DEFAULT_AGENT_POLICY, ...this.policy });
  }

  newCallId(): string {
    return `${toHex(this.around.random.bytes(8))}@${this.address.host}`;
  }

  /** Sends a request and answers its challenges. */
  start(spec: RequestSpec, done: (outcome: Outcome) => void): { onRepeated(action: () => void): void } {
    const exchange = this.agent.begin(formatAddress(spec.hop));
    const pending: Pending = {
      spec,
      exchange,
      startedAt: this.around.queue.now,
      done,
      cseq: spec.cseq,
      over: false,
      onRepeated: undefined,
    };
    // A token with a method that is not authenticated would be wasted: the proxy drops it unread.
    const asked = this.#challengedMethods.has(spec.method);
    this.#send(pending, asked ? this.agent.preempt(exchange, this.#identity(pending)) : []);
    return { onRepeated: (action) => pending.onRepeated = action };
  }

  /** Sends a message outside transactions: an ACK. */
  sendAlone(bytes: Uint8Array, to: Address): void {
    this.around.network.send(this.address, to, bytes);
  }

  via(): string {
    return `SIP/2.0/UDP ${formatAddress(this.address)};branch=z9hG4bK${
      toHex(this.around.random.bytes(8))
    };rport`;
  }

  #identity({ spec: { method, uri, callId, body }, cseq }: Pending) {
    return { method, uri, callId, cseq, body: body === undefined ? undefined : encoder.encode(body) };
  }

  #send(pending: Pending, answers: readonly PcAnswer[]): void {
    const { spec, cseq } = pending;
    if (answers.length > 0) this.onAnswers?.(answers, spec, cseq);
    const name = spec.method === "REGISTER" ? "Authorization" : "Proxy-Authorization";
    const bytes = request({
      ...spec,
      cseq,
      via: this.via(),
      contact: `<sip:${this.account.username}@${formatAddress(this.address)}>`,
      headers: answers.map((answer) => `${name}: ${writePcAnswer(answer)}`),
    });
    const tx = this.layer.sendRequest(bytes, 0, bytes.length, spec.hop, this.around.queue.now);
    if (tx !== NO_TRANSACTION) this.#pending.set(tx, pending);
    this.waker.look();
  }

  response(message: SipMessage, tx: TransactionId): void {
    const pending = this.#pending.get(tx);
    if (pending === undefined || message.status < 200) return;
    if (pending.over) return pending.onRepeated?.();
    if (message.status === 401 || message.status === 407) return this.#challenged(message, pending);
    pending.over = true;
    const infos = pcHeaders(message, [HeaderId.PROXY_AUTHENTICATION_INFO, HeaderId.AUTHENTICATION_INFO])
      .map(parsePcInfo).filter((info): info is PcInfo => !isMalformed(info));
    const confirmation = this.agent.confirm(
      pending.exchange,
      message.status,
      infos,
      this.#identity(pending),
    );
    this.#end(pending, message, confirmation);
  }

  #challenged(message: SipMessage, pending: Pending): void {
    const challenges = pcHeaders(message, [HeaderId.PROXY_AUTHENTICATE, HeaderId.WWW_AUTHENTICATE])
      .map(parsePcChallenge).filter((challenge): challenge is PcChallenge => !isMalformed(challenge));
    this.#challengedMethods.add(pending.spec.method);
    this.onChallenges?.(challenges, pending.spec, pending.cseq);
    const challenged = this.#identity(pending);
    const next = { ...challenged, cseq: challenged.cseq + 1 };
    const reaction = this.agent.challenged(pending.exchange, challenges, challenged, next);
    if (reaction.kind === "refuse") {
      pending.over = true;
      return this.#end(pending, message, "unconfirmed", reaction.reason);
    }
    pending.cseq++;
    this.#send(pending, reaction.answers);
  }

  timeout(tx: TransactionId): void {
    const pending = this.#pending.get(tx);
    if (pending === undefined || pending.over) return;
    pending.over = true;
    this.#end(pending, undefined, "unconfirmed");
  }

  #end(
    { spec, exchange, startedAt, cseq, done }: Pending,
    message: SipMessage | undefined,
    confirmation: Confirmation,
    refusal?: AgentRefusal,
  ): void {
    const route: string[] = [];
    if (message !== undefined) {
      for (const [start, end] of message.values(HeaderId.RECORD_ROUTE)) {
        route.unshift(message.text(start, end));
      }
    }
    done({
      status: message?.status ?? 0,
      challenges: exchange.challenges,
      refusal,
      confirmation,
      cseq,
      to: message?.value(HeaderId.TO) ?? spec.to,
      route,
      contact: message?.address(HeaderId.CONTACT)?.uriText ?? spec.uri,
      retryAfter: message?.value(HeaderId.RETRY_AFTER),
      took: this.around.queue.now - startedAt,
    });
  }

  terminated(tx: TransactionId): void {
    this.#pending.delete(tx);
  }

  abstract request(message: SipMessage, tx: TransactionId, from: Address): void;
  cancel(): void {}
  transportError(): void {}
  overloaded(): void {}
  timer(): void {}
}

const encoder = new TextEncoder();

function pcHeaders(message: SipMessage, ids: readonly HeaderId[]): ReturnType<typeof parseAuthAt>[] {
  const headers = [];
  for (const id of ids) {
    for (let i = message.first(id); i >= 0; i = message.next(i)) {
      const header = parseAuthAt(message.buffer, message.valueStart(i), message.valueEnd(i));
      if (header.scheme === PC_SCHEME) headers.push(header);
    }
  }
  return headers;
}
