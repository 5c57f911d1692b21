/**
 * The proxy core: RFC 3261 §16 over the transaction layer. Sans-I/O: datagrams and the time come in, datagrams go out, and
 * questions to DBclient leave through the services given. An ordinary request has one branch, and is handled here; several
 * branches are the business of {@linkcode Forks}.
 */
import {
  type Address,
  ByteWriter,
  HeaderId,
  isReliable,
  methodNumber,
  METHODS,
  NO_TRANSACTION,
  Patch,
  popVia,
  type Problem,
  problem,
  problemReason,
  responseAddress,
  sameAddress,
  SipMessage,
  type TransactionId,
  TransactionLayer,
  type TransactionUser,
  TRYING_DELAY,
  UriView,
  writeResponse,
} from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { addChallenges, type BranchResponse } from "./best_response.ts";
import { BranchIds } from "./branch_ids.ts";
import { newProxyCounters, type ProxyCounters, refusalOf } from "./counters.ts";
import { type Destination, Destinations, isAddress, isIpAddress, overTcp } from "./destination.ts";
import { DialogTags } from "./dialog_tags.ts";
import type { DigestAuthenticator } from "./digest_authenticator.ts";
import type { Fork, ForkOptions } from "./fork.ts";
import { type ForkCore, Forks } from "./forks.ts";
import { hasAssertions, removeAssertions } from "./header_filter.ts";
import { isTag, KeyedTag, TAG_DIGITS } from "./keyed_tag.ts";
import { cut, Refusals } from "./limits/refusals.ts";
import { LocalNames } from "./local_names.ts";
import { OwnRequests } from "./own_requests.ts";
import type { HopWatch, ProxyEnvironment, ProxyLimits, ProxyOptions } from "./proxy_environment.ts";
import { type PcAuthenticator, PcResult } from "./pc_authenticator.ts";
import { NextRoute, OwnRouteReader } from "./own_route.ts";
import {
  CHECKS,
  extensionRefusal,
  fromRefusal,
  hopsRefusal,
  loopRefusal,
  type Refusal,
  uriRefusal,
} from "./request_check.ts";
import { RequestContext } from "./request_context.ts";
import { ownRequestUri, withoutStrictRouter } from "./request_rewrite.ts";
import { type Forwarding, MAX_MESSAGE, RequestWriter } from "./request_writer.ts";
import { ContextTimer, ResponseContexts } from "./response_contexts.ts";
import type { Admission } from "./limits/source_limiter.ts";
import type { RouteFunction, RouteServices } from "./route.ts";
import { ClaimView } from "./subscriber.ts";

/** After a CANCEL without an answer the call is over: 64 · T1, RFC 3261 §9.1. */
const CANCEL_WAIT_MS = 32_000;
/** How long a route may wait before its request is given up, ms: longer than any answer of DBclient takes. */
const ROUTE_WAIT_MS = 64_000;
/** When a request other than INVITE that is not answered yet gets its 100: Timer E is T2 then (RFC 4320 §4.1). */
const LATE_TRYING_MS = 3500;
const RETRY_LATER: readonly string[] = ["Retry-After: 5"];
const NO_HEADERS: readonly string[] = [];
const MADDR = new TextEncoder().encode("maddr");
const DROP = problem("drop", "", "");
const MESSAGE_TOO_LARGE = problem("too_large", "message", "the message is too large");
const BODY_TOO_LARGE = problem("too_large", "body", "the body is too large");
/**
 * A reply over UDP to somebody who has not proved who it is has at most so many times the bytes of the request, or is as
 * short as RFC 3261 §8.2.6 allows: whoever forges its source must gain nothing by it. Challenges are the exception.
 */
const MAX_AMPLIFICATION = 2;

/** A stateful SIP proxy that authenticates. */
export class ProxyCore implements TransactionUser, ForkCore {
  readonly counters: ProxyCounters = newProxyCounters();
  readonly layer: TransactionLayer;
  readonly contexts: ResponseContexts;
  readonly names: LocalNames;
  readonly dialogTags: DialogTags;
  readonly realms: ReadonlySet<string>;
  /** Where `--next_hop` leads, read once. */
  nextHop: Destination | undefined;
  readonly destinations: Destinations;
  readonly writer: RequestWriter;
  readonly forks: Forks;
  /** The routing function; another one takes over for the requests that come after. */
  route!: RouteFunction;
  /** Requests that begin something are refused: the proxy is about to end. */
  draining = false;
  readonly branches: BranchIds;
  /** OPTIONS of this proxy. */
  readonly own: OwnRequests;
  hops: HopWatch | undefined;
  readonly refusals: Refusals;
  /** IP addresses that the name of `--next_hop` leads to. */
  #nextHopHosts: readonly string[] = [];
  /** Whether the request in hand is over the limit of its source. */
  #over = false;
  readonly #toTags: KeyedTag;
  readonly #toTag = new Uint8Array(TAG_DIGITS);
  readonly #message = new SipMessage();
  readonly #claim = new ClaimView();
  readonly #uri = new UriView();
  readonly #ownRoute: OwnRouteReader;
  readonly #next = new NextRoute();
  #pcResult = new PcResult();
  readonly #held = new SipMessage();
  readonly #token = new AcceptedToken();
  readonly #patch = new Patch();
  readonly #out = new Uint8Array(MAX_MESSAGE + 1);
  readonly #response = new ByteWriter(4096);
  /** Header lines of the response that is being made. */
  readonly lines = new ByteWriter(1024);
  #now: number;

  constructor(
    readonly options: ProxyOptions,
    readonly environment: ProxyEnvironment,
    readonly pc: PcAuthenticator,
    readonly digest: DigestAuthenticator,
    route: RouteFunction,
    readonly limits: ProxyLimits,
    readonly services: RouteServices = {},
  ) {
    const { random } = environment;
    this.destinations = new Destinations(options.listen.some(({ transport }) => transport === "tls"));
    this.setRoute(route, options.nextHop);
    this.realms = new Set(options.realms);
    this.#now = environment.now;
    this.refusals = new Refusals(this.counters.refusals, environment.log);
    this.dialogTags = new DialogTags(options.dialogKey);
    this.names = new LocalNames(options.listen, options.advertise, options.realms, options.reply);
    this.#ownRoute = new OwnRouteReader(this.names, this.dialogTags);
    this.branches = new BranchIds(random, options.dialogKey);
    this.writer = new RequestWriter(this.names, this.dialogTags, this.branches, this.realms);
    this.forks = new Forks(this);
    this.own = new OwnRequests(() => this.layer, this.names, random);
    this.#toTags = new KeyedTag(options.dialogKey);
    this.layer = new TransactionLayer(
      {
        now: environment.now,
        random,
        maxTransactions: options.maxTransactions,
        trying: "never",
        reliable: isReliable,
      },
      environment.send,
      this,
    );
    this.contexts = new ResponseContexts(this.layer.capacity);
  }

  /** Takes one datagram. The bytes are used during the call only. */
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void {
    // Keep-alives: CRLF, or a single byte (RFC 5626 §3.5.1 and common practice).
    if (end - start < 16) return;
    this.counters.received++;
    this.#now = now;
    const message = this.#message;
    const fault = message.parse(buffer, start, end);
    if (fault !== undefined) {
      if (this.#admit(message, from, now) === "pass") this.#refuseMalformed(message, fault, from);
      return;
    }
    const { maxMessage, maxBody } = this.options;
    const tooLong = end - start > maxMessage;
    if (tooLong || message.bodyEnd - message.bodyStart > maxBody) {
      if (message.isRequest && this.#admit(message, from, now) !== "pass") return;
      return this.#tooLarge(message, tooLong ? MESSAGE_TOO_LARGE : BODY_TOO_LARGE, from);
    }
    this.#count(message);
    if (!message.isRequest && !this.#isAnswer(message)) {
      this.counters.strays++;
      return;
    }
    if (!message.isRequest) return this.layer.receive(message, from, now);
    const admission = this.#admit(message, from, now);
    if (admission === "drop") return;
    // What is known already goes its way: a 503 to a repeated request would end a call that has begun.
    this.#over = admission === "refuse";
    this.layer.receive(message, from, now);
    this.#over = false;
  }

  /** Counts what comes from a source. */
  #admit(message: SipMessage, from: Address, now: number): Admission {
    const admission = this.limits.sources.admit(from, now);
    if (admission !== "pass") {
      const reason = admission === "refuse" ? "source_rate" : "source_rate_dropped";
      this.refusals.note(reason, from, now, () => ({ method: cut(message.method) }));
    }
    return admission;
  }

  #tooLarge(message: SipMessage, problem: Problem, from: Address): void {
    const answered = message.isRequest && message.method !== "ACK";
    this.#refuseMalformed(message, answered ? problem : DROP, from, problem);
  }

  /** Whether a response can be one to a request of this proxy; no other may end the transaction of one. */
  #isAnswer(response: SipMessage): boolean {
    const { buffer, hostStart, hostEnd, explicitPort } = response.topVia()!;
    // §18.1.2: its top Via is this proxy's.
    if (!this.names.isOwnHostAt(buffer, hostStart, hostEnd, explicitPort)) return false;
    // §16.7 step 3: there is another Via, but for those to the proxy's own requests.
    return response.secondVia() !== undefined || this.own.isAnswer(response);
  }

  #count(message: SipMessage): void {
    if (message.isRequest) this.counters.requests[Math.min(methodNumber(message.method), METHODS.length)]++;
    else this.counters.responsesReceived[Math.floor(message.status / 100)]++;
  }

  #countSent(status: number): void {
    if (status !== 100) this.counters.responsesSent[Math.floor(status / 100)]++;
  }

  /**
   * Answers what there is of a message whose stream cannot be read on, if it is a request (RFC 3261 §18.3). The bytes are used
   * during the call only.
   */
  receiveMalformed(problem: Problem, buffer: Uint8Array, start: number, end: number, from: Address): void {
    this.counters.received++;
    const message = this.#message;
    message.parse(buffer, start, end);
    this.#tooLarge(message, problem, from);
  }

  /** Nothing can be sent to an address any more: what waits there is told so. */
  unreachable(to: Address, now: number): void {
    this.#now = now;
    this.layer.transportError(to, now);
  }

  /** Another route takes over, for the requests that come after. @param nextHop undefined: there is none */
  setRoute(route: RouteFunction, nextHop: string | undefined): void {
    this.route = route;
    this.nextHop = nextHop === undefined ? undefined : this.destinations.ofText(nextHop);
    this.#nextHopHosts = [];
  }

  /** Whether a Request-URI names this proxy or a domain that it serves. */
  isForUs({ buffer, requestUriStart, requestUriEnd }: SipMessage): boolean {
    const uri = this.#uri;
    return uri.parse(buffer, requestUriStart, requestUriEnd) && this.names.isOwnOrServedAt(buffer, uri);
  }

  /** What Route says: bits of OwnRoute. */
  readRoute(message: SipMessage): number {
    return this.#ownRoute.read(message);
  }

  /** Where the verdict on the request in hand goes. It is used for the next request again, unless it is kept. */
  newPcResult(): PcResult {
    this.#pcResult.clear();
    return this.#pcResult;
  }

  /** Leaves the result to the request that has it. */
  keepPcResult(): void {
    this.#pcResult = new PcResult();
  }

  /** Whether requests from a host are the next hop's, as it is known so far. */
  isNextHop(host: string): boolean {
    const { nextHop } = this;
    return nextHop !== undefined && isAddress(nextHop) && nextHop.host === host ||
      this.#nextHopHosts.includes(host);
  }

  /** Whether the Request-URI is the address of the next hop. */
  isForNextHop(message: SipMessage): boolean {
    const { nextHop } = this;
    if (nextHop === undefined || !isAddress(nextHop)) return false;
    const target = this.requestDestination(message);
    return isAddress(target) && sameAddress(target, nextHop);
  }

  /** The latest time that the core was told, ms: what routes go by that have waited. */
  get now(): number {
    return this.#now;
  }

  /** Lets due timers fire. */
  advance(now: number): void {
    this.#now = now;
    this.layer.advance(now);
    this.own.advance(now);
  }

  // TransactionUser

  request(message: SipMessage, server: TransactionId, from: Address, now: number): void {
    if (server !== NO_TRANSACTION) this.contexts.begin(server);
    // An ACK for a refusal that left no transaction behind.
    else if (this.#hasOwnTag(message) || this.#over) return;
    if (this.#over) return this.reply(message, server, 503, undefined, RETRY_LATER, now);
    const uri = this.#uri;
    const isSip = uri.parse(message.buffer, message.requestUriStart, message.requestUriEnd);
    const claim = this.#claim;
    const fault = claim.read(message);
    // In the order of RFC 3261 §16.3.
    const refusal = fromRefusal(fault) ?? uriRefusal(message, uri, isSip) ?? hopsRefusal(message) ??
      (this.branches.isLoop(message, this.names) ? loopRefusal() : undefined) ?? extensionRefusal(message);
    if (refusal !== undefined) return this.#refuse(message, server, refusal, from, now);
    let routed = message;
    // RFC 3261 §16.4.
    const strict = this.#ownRoute.isRequestUri(message);
    if (strict) routed = withoutStrictRouter(message);
    else if (isSip && uri.param(MADDR)) routed = ownRequestUri(message, this.names);
    if (routed !== message) {
      claim.read(routed);
      uri.parse(routed.buffer, routed.requestUriStart, routed.requestUriEnd);
    }
    const isForUs = uri.scheme !== "" && this.names.isOwnOrServedAt(routed.buffer, uri);
    const kept = routed !== message;
    const routing = kept ? this.branches.routing(message) : undefined;
    const request = new RequestContext(
      this,
      routed,
      kept,
      server,
      claim,
      from,
      isForUs,
      now,
      routing,
      strict,
    );
    if (this.draining && server !== NO_TRANSACTION && !request.hasToTag && message.method !== "CANCEL") {
      this.counters.refusals.draining++;
      return this.reply(message, server, 503, undefined, RETRY_LATER, now);
    }
    this.#run(request);
  }

  /** Gives a request to the route. */
  #run(request: RequestContext): void {
    try {
      const pending = this.route(request, request);
      if (pending === undefined) return request.finish();
      request.suspend();
      pending.then(() => request.finish()).catch((error) => this.routeFailed(request, error));
    } catch (error) {
      this.routeFailed(request, error);
    }
  }

  #refuse(
    message: SipMessage,
    server: TransactionId,
    refusal: Refusal,
    from: Address,
    now: number,
  ): void {
    this.environment.trace?.refused(refusal);
    this.refusals.note(refusalOf(refusal.status), from, now, () => ({
      method: cut(message.method),
      status: refusal.status,
      problem: refusal.reason ?? CHECKS[refusal.check],
    }));
    if (server === NO_TRANSACTION) return; // An ACK is never answered.
    const { status, reason, headers } = refusal;
    this.reply(message, server, status, reason, headers, now);
  }

  cancel(
    message: SipMessage,
    invite: TransactionId,
    server: TransactionId,
    from: Address,
    now: number,
  ): void {
    const { contexts } = this;
    // RFC 3261 §16.10: what is known of its INVITE may be that it was sent on without a transaction.
    if (invite === NO_TRANSACTION) return this.request(message, server, from, now);
    contexts.begin(server);
    this.reply(message, server, 200, undefined, NO_HEADERS, now);
    if (contexts.isAnswered(invite) || contexts.isCancelled(invite)) return;
    contexts.setCancelled(invite);
    if (contexts.isForked(invite)) return this.forks.cancel(invite, now);
    const client = contexts.clientOf(invite);
    if (client === NO_TRANSACTION) return this.answerHeld(invite, 487, now);
    this.#cancelBranch(client, now);
  }

  #cancelBranch(client: TransactionId, now: number): void {
    this.contexts.setCancelled(client);
    this.layer.cancel(client, now);
    this.startTimer(client, ContextTimer.CANCELLED, now);
  }

  response(message: SipMessage, client: TransactionId, from: Address, now: number): void {
    const { contexts, layer } = this;
    // A CANCEL of ours has no context, and its answer tells nothing.
    const server = client === NO_TRANSACTION ? NO_TRANSACTION : contexts.serverOf(client);
    if (server === NO_TRANSACTION) {
      if (client === NO_TRANSACTION && this.branches.isStateless(message)) {
        return this.#forwardStateless(message, from);
      }
      if (client !== NO_TRANSACTION && this.own.answered(client, message.status, now)) return;
      // RFC 6026 §8.2: a response that belongs to no transaction is not forwarded.
      this.counters.strays++;
      return;
    }
    const { status } = message;
    const invite = layer.methodOf(client) === "INVITE";
    // Timer C is the branch's; the 100 that is due for another request is the context's.
    if (status >= 200) layer.stopTimer(invite ? client : server);
    if (status === 100) return;
    if (status < 200) {
      // RFC 4320 §4.1: a request other than INVITE gets no provisional response but 100.
      if (!invite) return;
      if (!contexts.isCancelled(client)) this.startTimer(client, ContextTimer.C, now);
    }
    if (contexts.isForked(server)) return this.forks.response(message, client, server, from, now);
    if (status === 503) {
      this.hops?.failed(layer.fromOf(client), false, now);
      // §16.7 step 6: it is the next hop that does not serve, and not this proxy.
      return this.answerHeld(server, 500, now);
    }
    // RFC 4320 §4.1: nothing but INVITE gets a 408, which would come too late anyway.
    if (status === 408 && !invite) return layer.end(server, now);
    this.forwardResponse(message, server, from, now);
  }

  timeout(client: TransactionId, now: number): void {
    const { contexts } = this;
    const server = contexts.serverOf(client);
    if (server === NO_TRANSACTION) return void this.own.timeout(client, now);
    if (contexts.isForked(server)) return this.forks.timeout(server, client, now);
    if (!contexts.isCancelled(client)) this.hops?.failed(this.layer.fromOf(client), false, now);
    this.answerHeld(server, contexts.isCancelled(server) ? 487 : 408, now);
  }

  transportError(client: TransactionId, now: number): void {
    const { contexts } = this;
    const server = contexts.serverOf(client);
    if (server === NO_TRANSACTION) return void this.own.transportError(client, now);
    if (contexts.isForked(server)) return this.forks.transportError(server, client, now);
    this.hops?.failed(this.layer.fromOf(client), false, now);
    // RFC 3261 §16.9: as if 503 had been received, which is not forwarded but turned into 500 (§16.7 step 6).
    this.answerHeld(server, 500, now);
  }

  terminated(transaction: TransactionId): void {
    const { contexts } = this;
    if (contexts.isServer(transaction)) {
      if (contexts.isForked(transaction)) this.forks.end(transaction);
    } else {
      const server = contexts.clientOf(transaction);
      if (server !== NO_TRANSACTION && contexts.isForked(server)) this.forks.forget(server, transaction);
    }
    contexts.end(transaction);
  }

  overloaded(message: SipMessage, from: Address): void {
    this.refusals.note("transactions", from, this.#now, () => ({ method: cut(message.method) }));
    if (message.method === "ACK") return;
    this.#replyStateless(message, from, 503, undefined, RETRY_LATER);
  }

  /** A route that takes its time; Timer C, or a cancelled call that nobody ends. */
  timer(transaction: TransactionId, now: number): void {
    const { contexts, layer } = this;
    const timer = contexts.timer(transaction);
    if (contexts.isServer(transaction)) {
      if (!contexts.isAnswered(transaction)) this.#serverTimer(transaction, timer, now);
      return;
    }
    // §16.8: it is cancelled, and then counts as ended without a response.
    if (timer === ContextTimer.C) return this.#cancelBranch(transaction, now);
    const server = contexts.serverOf(transaction);
    if (server !== NO_TRANSACTION) this.timeout(transaction, now);
    layer.end(transaction, now);
  }

  #serverTimer(server: TransactionId, timer: ContextTimer, now: number): void {
    const { contexts, layer } = this;
    if (timer === ContextTimer.TRYING) {
      if (layer.methodOf(server) === "INVITE") layer.sendTrying(server, now);
      else this.answerHeld(server, 100, now);
      if (contexts.clientOf(server) !== NO_TRANSACTION || contexts.isForked(server)) return;
      return this.startTimer(server, ContextTimer.UNDECIDED, now);
    }
    this.environment.log("route_failed", {
      method: layer.methodOf(server),
      error: "no decision in time",
    });
    const fork = this.forks.of(server);
    if (fork === undefined) this.answerHeld(server, 500, now);
    else this.forks.answer(fork, now);
  }

  /** Sees to it that the sender of a request hears 100 (Trying) if nothing else was sent when it is due (§17.2.1, RFC 4320 §4.1). */
  tryingSoon(server: TransactionId, now: number): void {
    this.startTimer(server, ContextTimer.TRYING, now);
  }

  startTimer(transaction: TransactionId, timer: ContextTimer, now: number): void {
    this.contexts.setTimer(transaction, timer);
    this.layer.startTimer(transaction, now + this.#duration(transaction, timer));
  }

  #duration(transaction: TransactionId, timer: ContextTimer): number {
    switch (timer) {
      case ContextTimer.C:
        return this.options.timerC;
      case ContextTimer.CANCELLED:
        return CANCEL_WAIT_MS;
      case ContextTimer.UNDECIDED:
        return ROUTE_WAIT_MS;
      default:
        return this.layer.methodOf(transaction) === "INVITE" ? TRYING_DELAY : LATE_TRYING_MS;
    }
  }

  // What a request's route does

  /**
   * Answers a request through its server transaction; once.
   *
   * @param lines header lines as bytes, beside `headers`
   */
  reply(
    message: SipMessage,
    server: TransactionId,
    status: number,
    reason: string | undefined,
    headers: readonly string[],
    now: number,
    lines?: ByteWriter,
  ): void {
    const { contexts, layer } = this;
    if (contexts.isAnswered(server)) return;
    if (message.method !== "INVITE") {
      // RFC 4320 §4.1: no provisional response but 100, and no answer at all rather than a 408.
      if (status > 100 && status < 200) return;
      if (status === 408) return layer.end(server, now);
    }
    if (status >= 200) lines = this.#confirmationLine(message, server, now, lines);
    const out = this.#response;
    out.clear();
    this.#countSent(status);
    const toTag = this.#toTagOf(message);
    const source = layer.fromOf(server);
    writeResponse(out, message, status, reason, { toTag, headers, lines, source });
    if (this.#amplifies(out.length, message, status, source) && !contexts.isTrusted(server)) {
      out.clear();
      writeResponse(out, message, status, undefined, { toTag, headers: NO_HEADERS, source });
    }
    if (status >= 200) contexts.setAnswered(server);
    if (status >= 300 && !contexts.isTrusted(server)) layer.refuse(server, out.buffer, 0, out.length, now);
    else layer.respond(server, out.buffer, 0, out.length, now);
  }

  /** One tag for all responses to a request (RFC 3261 §8.2.6.2): it is made of the top Via and the Call-ID. */
  #toTagOf(message: SipMessage): Uint8Array {
    const via = message.topVia();
    const callId = message.first(HeaderId.CALL_ID);
    const start = via?.start ?? message.start;
    const end = via?.end ?? message.bodyEnd;
    const callIdStart = callId < 0 ? 0 : message.valueStart(callId);
    const callIdEnd = callId < 0 ? 0 : message.valueEnd(callId);
    this.#toTags.writeOfBoth(message.buffer, start, end, callIdStart, callIdEnd, this.#toTag);
    return this.#toTag;
  }

  /** Whether To has the tag that a response of this proxy to a request with this Via and Call-ID has. */
  #hasOwnTag(message: SipMessage): boolean {
    const { tagStart, tagEnd } = message.to;
    return tagEnd - tagStart === TAG_DIGITS && isTag(message.buffer, tagStart, this.#toTagOf(message));
  }

  requestDestination(message: SipMessage): Destination {
    return this.destinations.at(message, message.requestUriStart, message.requestUriEnd);
  }

  routeDestination(message: SipMessage, next: NextRoute): Destination {
    if (!next.readable) return { status: 400, reason: "Bad Request (Route has no readable URI)" };
    return this.destinations.at(message, next.uriStart, next.uriEnd);
  }

  /**
   * Forwards a request on one branch: RFC 3261 §16.6.
   *
   * @param server NO_TRANSACTION for an ACK
   * @param destination from the route, undefined for the Request-URI; a Route value left in the request goes before it
   * @param stateless without a client transaction, and with an end of the server transaction (§16.11)
   */
  forward(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    destination: Destination | undefined,
    stateless: boolean,
    now: number,
  ): void {
    const next = this.#next;
    next.read(message, how.ownRoutes);
    const target = next.found
      ? this.routeDestination(message, next)
      : destination ?? this.requestDestination(message);
    if (!isAddress(target)) {
      if (server !== NO_TRANSACTION) {
        this.reply(message, server, target.status, target.reason, NO_HEADERS, now);
      }
      return;
    }
    if (isIpAddress(target.host)) return this.#send(message, server, from, how, target, stateless, now);
    this.#sendToName(message.clone(), server, from, how, target, stateless, now);
  }

  #sendToName(
    kept: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    target: Address,
    stateless: boolean,
    now: number,
  ): void {
    const { layer, contexts } = this;
    const serial = server === NO_TRANSACTION ? 0 : layer.serialOf(server);
    if (server !== NO_TRANSACTION && !stateless && kept.method === "INVITE") {
      layer.sendTrying(server, now, kept);
    }
    this.locate(target, (addresses, at) => {
      if (server !== NO_TRANSACTION) {
        if (layer.serialOf(server) !== serial || contexts.isAnswered(server)) return;
        if (addresses.length === 0) {
          return this.reply(kept, server, 500, "Next hop has no address", NO_HEADERS, at);
        }
      }
      if (addresses.length === 0) return;
      if (addresses.length === 1 || stateless) {
        this.#next.read(kept, how.ownRoutes);
        return this.#send(kept, server, from, how, addresses[0], stateless, at);
      }
      this.#forkTo(addresses, kept, server, from, how, at);
    }, now);
  }

  /** Forwards a request on several branches, or where hooks are to be told. */
  fork(
    message: SipMessage,
    kept: boolean,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    options: ForkOptions,
    now: number,
  ): void {
    if (message.method !== "INVITE") this.tryingSoon(server, now);
    else this.layer.stopTimer(server);
    this.forks.begin(message, kept, server, from, how, options, now);
  }

  locate(target: Address, done: (addresses: readonly Address[], now: number) => void, now: number): void {
    if (isIpAddress(target.host)) return done([target], now);
    const { host, port, transport } = target;
    this.environment.locate(
      { host, port, transport },
      (addresses, at) => {
        if (target === this.nextHop) this.#nextHopHosts = addresses.map(({ host }) => host);
        done(this.hops?.order(addresses, at) ?? addresses, at);
      },
    );
  }

  #send(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    target: Address,
    stateless: boolean,
    now: number,
  ): void {
    const { layer, writer } = this;
    const length = writer.write(message, from, how, this.#next, target, undefined, stateless);
    if (length < 0) {
      if (server !== NO_TRANSACTION) this.reply(message, server, -length, undefined, NO_HEADERS, now);
      return;
    }
    if (length > this.options.udpMtu && !isReliable(target)) {
      return this.#sendLong(message, server, from, how, target, stateless, now);
    }
    if (stateless) {
      this.counters.forwarded++;
      this.environment.send(writer.bytes, 0, length, target);
      if (server !== NO_TRANSACTION) layer.end(server, now);
      return;
    }
    const invite = message.method === "INVITE";
    if (invite) {
      layer.stopTimer(server);
      layer.sendTrying(server, now, message);
    } else this.tryingSoon(server, now);
    const client = this.sendBranch(length, target, now);
    if (client === NO_TRANSACTION) {
      this.counters.refusals.transactions++;
      return this.reply(message, server, 503, undefined, RETRY_LATER, now);
    }
    this.contexts.link(server, client);
    if (invite) this.startTimer(client, ContextTimer.C, now);
  }

  /** RFC 3261 §18.1.1: by TCP, and by UDP again where TCP is refused, which takes a branch of its own. */
  #sendLong(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    target: Address,
    stateless: boolean,
    now: number,
  ): void {
    if (stateless) return this.#send(message, server, from, how, overTcp(target), stateless, now);
    this.#forkTo([target], message.clone(), server, from, how, now);
  }

  /** Next hops that are tried one after the other, which takes more than one branch. */
  #forkTo(
    nextHops: readonly Address[],
    kept: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    now: number,
  ): void {
    const options = { groups: [[undefined]], known: [], nextHops, recurse: false };
    this.fork(kept, true, server, from, how, { ...options, onFailure: undefined, onReply: undefined }, now);
  }

  sendBranch(length: number, target: Address, now: number): TransactionId {
    this.counters.forwarded++;
    const { bytes, branch, branchStart, branchEnd } = this.writer;
    return this.layer.sendRequest(bytes, 0, length, target, now, branch, branchStart, branchEnd);
  }

  forwardResponse(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    now: number,
    others?: readonly BranchResponse[],
    chosen?: BranchResponse,
  ): void {
    const final = message.status >= 200;
    const patch = this.#patch.begin(message);
    popVia(patch);
    // One that was chosen among others was looked at when it came.
    if (chosen === undefined) this.#removeAssertions(patch, from);
    else if (others !== undefined) addChallenges(patch, others, chosen);
    if (final) {
      const line = this.#confirmationLine(message, server, now, undefined);
      if (line !== undefined) patch.insert(message.headersEnd, line.buffer, 0, line.length);
    }
    if (message.contentLength < 0 && isReliable(this.layer.toOf(server))) {
      // §16.7 step 9, §18.3: over a stream nothing else says where it ends.
      patch.insert(message.headersEnd, `Content-Length: ${message.bodyEnd - message.bodyStart}\r\n`);
    }
    if (patch.length > MAX_MESSAGE) {
      // It cannot be sent on, and without a final response the caller would wait for ever.
      if (final) this.answerHeld(server, 500, now);
      return;
    }
    if (final) this.contexts.setAnswered(server);
    const length = patch.apply(this.#out, 0);
    this.counters.forwarded++;
    this.#countSent(message.status);
    this.layer.respond(server, this.#out, 0, length, now);
  }

  #removeAssertions(patch: Patch, from: Address): void {
    if (hasAssertions(patch.message) && !this.options.peers.has(from.host)) {
      removeAssertions(patch, this.realms);
    }
  }

  cleaned(message: SipMessage, from: Address): Uint8Array {
    const patch = this.#patch.begin(message);
    this.#removeAssertions(patch, from);
    return patch.toBytes();
  }

  /** A response to what was sent on without a transaction: RFC 3261 §16.11. */
  #forwardStateless(message: SipMessage, from: Address): void {
    const below = message.secondVia();
    if (below === undefined) return;
    const patch = this.#patch.begin(message);
    popVia(patch);
    this.#removeAssertions(patch, from);
    if (patch.length > MAX_MESSAGE) return;
    const { received, rport, transport } = below;
    const to: Address = {
      host: received ?? below.host,
      port: typeof rport === "number" ? rport : below.port,
      ...(transport === "TCP" ? { transport: "tcp" } : transport === "TLS" ? { transport: "tls" } : {}),
    };
    this.counters.forwarded++;
    this.#countSent(message.status);
    this.environment.send(this.#out, 0, patch.apply(this.#out, 0), to);
  }

  /**
   * The confirmation of docs/PROTOCOL.md §7 as a header line, if the request was authenticated with PC.
   *
   * @param message the request, or a response to it
   * @param lines are returned, with the line behind them if there is one
   */
  #confirmationLine(
    message: SipMessage,
    server: TransactionId,
    now: number,
    lines: ByteWriter | undefined,
  ): ByteWriter | undefined {
    const token = this.#token;
    if (!this.options.confirm || !this.contexts.readToken(server, token)) return lines;
    if (lines === undefined) {
      lines = this.lines;
      lines.clear();
    }
    this.pc.writeConfirmation(lines, token, message, now);
    lines.crlf();
    // A final response that is sent again carries the same.
    this.contexts.keepToken(server, token);
    return lines;
  }

  /** Answers a request whose message is at hand no more, from the copy that its transaction holds. */
  answerHeld(server: TransactionId, status: number, now: number, reason?: string): void {
    if (this.contexts.isAnswered(server)) return;
    if (this.layer.requestOf(server, this.#held)) {
      this.reply(this.#held, server, status, reason, NO_HEADERS, now);
    }
  }

  /** Whether a response is too long for somebody who may not be at the address that the request names. */
  #amplifies(length: number, message: SipMessage, status: number, to: Address): boolean {
    return length > MAX_AMPLIFICATION * message.length && status !== 401 && status !== 407 &&
      // What a registration is answered with has been authenticated, unless there is none (--auth none).
      !(status === 200 && message.method === "REGISTER") && !isReliable(to) &&
      !this.options.peers.has(to.host);
  }

  /** @param cause what is wrong, where the problem says only that there is no answer */
  #refuseMalformed(message: SipMessage, problem: Problem, from: Address, cause = problem): void {
    this.environment.trace?.malformed(cause);
    const reason = cause.code === "too_large" ? "too_large" : "malformed";
    this.refusals.note(reason, from, this.#now, () => ({ problem: cause.text, status: problem.status }));
    if (problem.code === "drop") return;
    this.#replyStateless(message, from, problem.status, problemReason(problem), NO_HEADERS);
  }

  #replyStateless(
    message: SipMessage,
    from: Address,
    status: number,
    reason: string | undefined,
    headers: readonly string[],
  ): void {
    const via = message.topVia();
    const out = this.#response;
    out.clear();
    this.#countSent(status);
    const toTag = this.#toTagOf(message);
    writeResponse(out, message, status, reason, { toTag, headers, source: from });
    if (this.#amplifies(out.length, message, status, from)) {
      out.clear();
      writeResponse(out, message, status, undefined, { toTag, headers: NO_HEADERS, source: from });
    }
    const to = via === undefined ? from : responseAddress(via, from, isReliable(from));
    this.environment.send(out.buffer, 0, out.length, to);
  }

  // Hooks

  askHook(fork: Fork, message: SipMessage, now: number): void {
    const { onFailure } = fork;
    const best = fork.best();
    if (onFailure === undefined || best === undefined) return this.forks.answer(fork, now);
    fork.onFailure = undefined;
    const kept = fork.message ?? message.clone();
    const claim = new ClaimView();
    claim.read(kept);
    const request = new RequestContext(
      this,
      kept,
      true,
      fork.server,
      claim,
      fork.from,
      this.isForUs(kept),
      now,
    );
    request.continues(fork);
    try {
      const failure = {
        status: best.status,
        statuses: fork.responses.map(({ status }) => status),
        contacts: best.bytes === undefined ? [] : this.forks.contacts(best.bytes),
      };
      const pending = onFailure(failure, request);
      if (pending === undefined) return request.finish();
      this.startTimer(fork.server, ContextTimer.UNDECIDED, now);
      pending.then(() => request.finish()).catch((error) => this.routeFailed(request, error));
    } catch (error) {
      this.routeFailed(request, error);
    }
  }

  tellHook(fork: Fork, message: SipMessage, from: Address): boolean {
    const { onReply } = fork;
    if (onReply === undefined) return true;
    let goesOn = true;
    try {
      onReply({
        status: message.status,
        message,
        source: from,
        drop: () => goesOn = message.status >= 200,
      });
    } catch (error) {
      this.#logFailure(this.layer.methodOf(fork.server), error);
    }
    return goesOn;
  }

  routeFailed(request: RequestContext, error: unknown): void {
    this.#logFailure(request.method, error);
    request.failed();
  }

  #logFailure(method: string, error: unknown): void {
    this.environment.log("route_failed", {
      method,
      error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
  }
}
