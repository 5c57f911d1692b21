/**
 * The proxy core: RFC 3261 §16 for one branch per request, over the transaction layer. Sans-I/O: datagrams and the time
 * come in, datagrams go out, and questions to DBclient leave through the services given.
 */
import {
  addReceivedRport,
  type Address,
  type ClientTransaction,
  decrementMaxForwards,
  HeaderId,
  parseUri,
  Patch,
  popRoute,
  popVia,
  type Problem,
  problemReason,
  pushRecordRoute,
  pushVia,
  response,
  responseAddress,
  sameAddress,
  ServerTransaction,
  SipMessage,
  toHex,
  type Transaction,
  TransactionLayer,
  type TransactionUser,
  TRYING_DELAY,
} from "../mod.ts";
import {
  type Destination,
  isAddress,
  isIpAddress,
  requestDestination,
  textDestination,
} from "./destination.ts";
import { DialogTags } from "./dialog_tags.ts";
import type { DigestAuthenticator } from "./digest_authenticator.ts";
import { hasAssertions, removeAnswers, removeAssertions } from "./header_filter.ts";
import { LocalNames } from "./local_names.ts";
import type { ProxyCounters, ProxyEnvironment, ProxyOptions } from "./proxy_environment.ts";
import type { PcAuthenticator } from "./pc_authenticator.ts";
import { RequestContext } from "./request_context.ts";
import type { RouteFunction } from "./route.ts";
import { readClaim } from "./subscriber.ts";
import { TransactionContext } from "./transaction_context.ts";

/** Longest message that is written: what a UDP datagram holds over IPv4. */
const MAX_MESSAGE = 65_507;
/** After a CANCEL without an answer the call is over: 64 · T1, RFC 3261 §9.1. */
const CANCEL_WAIT_MS = 32_000;
/** How long a route may wait before its request is given up, ms: longer than any answer of DBclient takes. */
const ROUTE_WAIT_MS = 64_000;

/** The values of all lines of a header, as one list that can stand in a header again. */
function allValues(message: SipMessage, id: HeaderId): string {
  const lines: string[] = [];
  for (let i = message.first(id); i >= 0; i = message.next(i)) {
    lines.push(message.text(message.valueStart(i), message.valueEnd(i)));
  }
  // A CR or LF that ends no line is let through by the scanner.
  // deno-lint-ignore no-control-regex
  return lines.join(", ").replace(/[\x00-\x1f\x7f]+/g, " ");
}

/** A stateful SIP proxy that authenticates. */
export class ProxyCore implements TransactionUser {
  readonly counters: ProxyCounters = {
    received: 0,
    malformed: 0,
    forwarded: 0,
    challenged: 0,
    refused: 0,
    strays: 0,
  };
  readonly layer: TransactionLayer;
  readonly names: LocalNames;
  readonly dialogTags: DialogTags;
  readonly realms: ReadonlySet<string>;
  /** Where `--next_hop` leads, read once. */
  readonly nextHop: Destination | undefined;
  readonly #message = new SipMessage();
  readonly #held = new SipMessage();
  readonly #patch = new Patch();
  readonly #out = new Uint8Array(MAX_MESSAGE + 1);
  readonly #branchPrefix: string;
  #branches = 0;
  #now: number;

  constructor(
    readonly options: ProxyOptions,
    readonly environment: ProxyEnvironment,
    readonly pc: PcAuthenticator,
    readonly digest: DigestAuthenticator,
    private readonly route: RouteFunction,
  ) {
    this.realms = new Set(options.realms);
    this.#now = environment.now;
    this.nextHop = options.nextHop === undefined ? undefined : textDestination(options.nextHop);
    this.dialogTags = new DialogTags(options.dialogKey);
    this.names = new LocalNames(options.listen, options.advertise, options.realms, options.reply);
    this.#branchPrefix = `z9hG4bK${toHex(environment.random.bytes(6))}`;
    this.layer = new TransactionLayer(
      {
        now: environment.now,
        random: environment.random,
        maxTransactions: options.maxTransactions,
        trying: "never",
      },
      environment.send,
      this,
    );
  }

  /** Takes one datagram. The bytes are used during the call only. */
  receive(buffer: Uint8Array, start: number, end: number, from: Address, now: number): void {
    // Keep-alives: CRLF, or a single byte (RFC 5626 §3.5.1 and common practice).
    if (end - start < 16) return;
    this.counters.received++;
    this.#now = now;
    const message = this.#message;
    const problem = message.parse(buffer, start, end);
    if (problem === undefined) this.layer.receive(message, from, now);
    else this.#refuseMalformed(message, problem, from);
  }

  /** Whether a Request-URI names this proxy or a domain that it serves. */
  isForUs(requestUri: string): boolean {
    const uri = parseUri(requestUri);
    return uri !== undefined && this.names.isOwnOrServed(uri);
  }

  /** Whether a Request-URI is the address of the next hop. */
  isForNextHop(requestUri: string): boolean {
    const { nextHop } = this;
    if (nextHop === undefined || !isAddress(nextHop)) return false;
    const target = textDestination(requestUri);
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
  }

  // TransactionUser

  request(message: SipMessage, transaction: ServerTransaction | undefined, from: Address, now: number): void {
    const claim = readClaim(message);
    let context: TransactionContext | undefined;
    if (transaction !== undefined) {
      context = new TransactionContext(transaction, this);
      transaction.context = context;
      if (message.maxForwards === 0 && message.method !== "OPTIONS") {
        return this.reply(message, context, 483, undefined, [], now);
      }
      if (message.first(HeaderId.PROXY_REQUIRE) >= 0) {
        const unsupported = `Unsupported: ${allValues(message, HeaderId.PROXY_REQUIRE)}`;
        return this.reply(message, context, 420, undefined, [unsupported], now);
      }
      if ("problem" in claim) {
        return this.reply(message, context, 400, `Bad Request (${claim.problem})`, [], now);
      }
    } else if ("problem" in claim) return;
    const request = new RequestContext(this, message, context, claim, from, now);
    try {
      const pending = this.route(request, request);
      if (pending === undefined) return request.finish();
      request.suspend();
      pending.then(() => request.finish(), (error) => this.#routeFailed(request, error));
    } catch (error) {
      this.#routeFailed(request, error);
    }
  }

  cancel(
    message: SipMessage,
    invite: ServerTransaction | undefined,
    transaction: ServerTransaction,
    _from: Address,
    now: number,
  ): void {
    const context = invite?.context;
    const cancel = new TransactionContext(transaction, this);
    transaction.context = cancel;
    if (!(context instanceof TransactionContext)) return this.reply(message, cancel, 481, undefined, [], now);
    this.reply(message, cancel, 200, undefined, [], now);
    if (context.answered || context.cancelled) return;
    context.cancelled = true;
    if (context.client === undefined) return this.#answerHeld(context, 487, now);
    this.layer.cancel(context.client, now);
    context.timer = "cancelled";
    this.layer.wheel.schedule(context, now + CANCEL_WAIT_MS);
  }

  response(
    message: SipMessage,
    transaction: ClientTransaction | undefined,
    from: Address,
    now: number,
  ): void {
    const context = transaction?.context;
    if (!(context instanceof TransactionContext) || transaction?.method === "CANCEL" || !context.alive) {
      // RFC 6026 §8.2: a response that belongs to no transaction is not forwarded.
      this.counters.strays++;
      return;
    }
    const { status } = message;
    if (status === 100) return;
    if (status < 200) {
      if (transaction!.method === "INVITE" && !context.cancelled) {
        this.layer.wheel.schedule(context, now + this.options.timerC);
      }
    } else this.layer.wheel.cancel(context);
    this.#forwardResponse(message, context, from, now);
  }

  timeout(transaction: Transaction, now: number): void {
    const { context } = transaction;
    if (
      !(context instanceof TransactionContext) || transaction instanceof ServerTransaction || !context.alive
    ) return;
    if (transaction.method === "CANCEL") return;
    // RFC 4320 §4.1: a request other than INVITE gets no 408.
    if (context.server.method === "INVITE") this.#answerHeld(context, 408, now);
    else this.layer.end(context.server, now);
  }

  transportError(transaction: Transaction, now: number): void {
    const { context } = transaction;
    if (
      !(context instanceof TransactionContext) || transaction instanceof ServerTransaction || !context.alive
    ) return;
    // RFC 3261 §16.9: as if 503 had been received, which is not forwarded but turned into 500 (§16.7 step 6).
    if (transaction.method !== "CANCEL") this.#answerHeld(context, 500, now);
  }

  terminated(transaction: Transaction): void {
    const { context } = transaction;
    if (transaction instanceof ServerTransaction && context instanceof TransactionContext) {
      this.layer.wheel.cancel(context);
    }
  }

  overloaded(message: SipMessage, from: Address): void {
    this.counters.refused++;
    if (message.method === "ACK") return;
    this.#replyStateless(message, from, 503, undefined, ["Retry-After: 5"]);
  }

  /** Sends 100 (Trying) for an INVITE if nothing else was sent within 200 ms (RFC 3261 §17.2.1). */
  tryingSoon(context: TransactionContext, now: number): void {
    context.timer = "trying";
    this.layer.wheel.schedule(context, now + TRYING_DELAY);
  }

  /** Timer C, a cancelled call that nobody ends, or a route that takes its time. */
  contextTimer(context: TransactionContext, now: number): void {
    if (!context.alive || context.answered) return;
    if (context.timer === "trying") {
      if (context.server.method === "INVITE") this.layer.sendTrying(context.server, now);
      context.timer = "undecided";
      return this.layer.wheel.schedule(context, now + ROUTE_WAIT_MS);
    }
    if (context.timer === "undecided") {
      this.environment.log("route_failed", { method: context.server.method, error: "no decision in time" });
      return this.#answerHeld(context, 500, now);
    }
    if (context.client === undefined) return;
    if (context.timer === "C") {
      context.timer = "cancelled";
      context.cancelled = true;
      this.layer.cancel(context.client, now);
      this.layer.wheel.schedule(context, now + CANCEL_WAIT_MS);
      return;
    }
    this.layer.end(context.client, now);
    this.#answerHeld(context, 487, now);
  }

  // What a request's route does

  /** Answers a request through its server transaction; once. */
  reply(
    message: SipMessage,
    context: TransactionContext,
    status: number,
    reason: string | undefined,
    headers: readonly string[],
    now: number,
  ): void {
    if (!context.alive || context.answered) return;
    const final = status >= 200;
    const info = final ? this.#confirmationLine(context, now) : undefined;
    const bytes = response(message, status, reason, {
      // One tag for all responses to a request (RFC 3261 §8.2.6.2).
      toTag: context.toTag ??= toHex(this.environment.random.bytes(8)),
      headers: info === undefined ? headers : [...headers, info],
      source: context.server.from,
    });
    if (final) context.answered = true;
    this.layer.respond(context.server, bytes, 0, bytes.length, now);
  }

  /**
   * Forwards a request: RFC 3261 §16.6.
   *
   * @param context undefined for an ACK, which is forwarded without a transaction
   * @param destination from the route, undefined for the Request-URI; a Route value left in the request goes before it
   */
  forward(
    message: SipMessage,
    context: TransactionContext | undefined,
    from: Address,
    how: {
      readonly ownRoute: boolean;
      readonly recordRoute: boolean;
      readonly consumeDigest: boolean;
      readonly destination: Destination | undefined;
    },
    now: number,
  ): void {
    const target = requestDestination(message, how.ownRoute, how.destination);
    if (!isAddress(target)) {
      if (context !== undefined) this.reply(message, context, target.status, target.reason, [], now);
      return;
    }
    if (isIpAddress(target.host)) return this.#send(message, context, from, how, target, now);
    const kept = message.clone();
    if (context?.server.method === "INVITE") this.layer.sendTrying(context.server, now);
    this.environment.resolve(target.host, (host, at) => {
      if (context !== undefined && (!context.alive || context.answered)) return;
      if (host !== undefined) this.#send(kept, context, from, how, { host, port: target.port }, at);
      else if (context !== undefined) this.reply(kept, context, 500, "Next hop has no address", [], at);
    });
  }

  #send(
    message: SipMessage,
    context: TransactionContext | undefined,
    from: Address,
    how: { readonly ownRoute: boolean; readonly recordRoute: boolean; readonly consumeDigest: boolean },
    target: Address,
    now: number,
  ): void {
    const patch = this.#patch.begin(message);
    removeAnswers(patch, this.realms, how.consumeDigest);
    if (how.ownRoute) popRoute(patch);
    if (decrementMaxForwards(patch) < 0) {
      if (context !== undefined) this.reply(message, context, 483, undefined, [], now);
      return;
    }
    if (how.recordRoute) {
      pushRecordRoute(
        patch,
        `<sip:${this.names.facing(target)};lr;did=${this.dialogTags.tag(message.callId)}>`,
      );
    }
    addReceivedRport(patch, from);
    pushVia(patch, `SIP/2.0/UDP ${this.names.viaFacing(target)};branch=${this.#newBranch()}`);
    if (patch.length > MAX_MESSAGE) {
      if (context !== undefined) this.reply(message, context, 513, undefined, [], now);
      return;
    }
    const length = patch.apply(this.#out, 0);
    this.counters.forwarded++;
    if (context === undefined) {
      this.environment.send(this.#out, 0, length, target);
      return;
    }
    if (context.server.method === "INVITE") {
      this.layer.sendTrying(context.server, now);
      context.timer = "C";
      this.layer.wheel.schedule(context, now + this.options.timerC);
    }
    context.client = this.layer.sendRequest(this.#out, 0, length, target, now, context);
    if (context.client === undefined) {
      this.reply(message, context, 503, undefined, ["Retry-After: 5"], now);
    }
  }

  #forwardResponse(message: SipMessage, context: TransactionContext, from: Address, now: number): void {
    const final = message.status >= 200;
    const via = message.secondVia();
    if (via === undefined) {
      this.counters.strays++;
      return;
    }
    const patch = this.#patch.begin(message);
    popVia(patch);
    if (!this.options.peers.has(from.host) && hasAssertions(message)) removeAssertions(patch, this.realms);
    if (final) {
      const info = this.#confirmationLine(context, now);
      if (info !== undefined) patch.insert(message.headersEnd, `${info}\r\n`);
    }
    if (patch.length > MAX_MESSAGE) {
      // It cannot be sent on, and without a final response the caller would wait for ever.
      if (final) this.#answerHeld(context, 500, now);
      return;
    }
    if (final) context.answered = true;
    const length = patch.apply(this.#out, 0);
    this.counters.forwarded++;
    this.layer.respond(context.server, this.#out, 0, length, now);
  }

  /** The confirmation of docs/PROTOCOL.md §7 as a header line, if the request was authenticated with PC. */
  #confirmationLine(context: TransactionContext, now: number): string | undefined {
    const { accepted } = context;
    if (accepted === undefined || !this.options.confirm) return undefined;
    return context.confirmation ??= `${accepted.kind.info}: ${this.pc.confirmation(accepted, now)}`;
  }

  /** Answers a request whose message is at hand no more, from the copy that its transaction holds. */
  #answerHeld(context: TransactionContext, status: number, now: number): void {
    if (!context.alive || context.answered) return;
    if (this.layer.requestOf(context.server, this.#held)) {
      this.reply(this.#held, context, status, undefined, [], now);
    }
  }

  #newBranch(): string {
    this.#branches++;
    return `${this.#branchPrefix}${this.environment.random.below(2 ** 32).toString(36)}.${
      this.#branches.toString(36)
    }`;
  }

  #refuseMalformed(message: SipMessage, problem: Problem, from: Address): void {
    this.counters.malformed++;
    if (problem.code === "drop") return;
    this.#replyStateless(message, from, problem.status, problemReason(problem), []);
  }

  #replyStateless(
    message: SipMessage,
    from: Address,
    status: number,
    reason: string | undefined,
    headers: readonly string[],
  ): void {
    const via = message.topVia();
    if (via === undefined) return;
    const toTag = toHex(this.environment.random.bytes(8));
    const bytes = response(message, status, reason, { toTag, headers, source: from });
    this.environment.send(bytes, 0, bytes.length, responseAddress(via, from, false));
  }

  #routeFailed(request: RequestContext, error: unknown): void {
    this.environment.log("route_failed", {
      method: request.method,
      error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
    request.failed();
  }
}
