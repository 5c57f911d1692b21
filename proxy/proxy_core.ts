/**
 * The proxy core: RFC 3261 §16 for one branch per request, over the transaction layer. Sans-I/O: datagrams and the time
 * come in, datagrams go out, and questions to DBclient leave through the services given.
 */
import {
  addReceivedRport,
  type Address,
  ByteWriter,
  decrementMaxForwards,
  encodeText,
  HeaderId,
  NO_TRANSACTION,
  Patch,
  popRoute,
  popVia,
  type Problem,
  problemReason,
  pushRecordRoute,
  pushRoute,
  pushVia,
  responseAddress,
  sameAddress,
  setRequestUri,
  SipMessage,
  toHex,
  type TransactionId,
  TransactionLayer,
  type TransactionUser,
  TRYING_DELAY,
  UriView,
  writeHexWord,
  writeResponse,
} from "../mod.ts";
import { AcceptedToken } from "./accepted_token.ts";
import { type Destination, Destinations, isAddress, isIpAddress, textDestination } from "./destination.ts";
import { DialogTags } from "./dialog_tags.ts";
import type { DigestAuthenticator } from "./digest_authenticator.ts";
import { hasAssertions, removeAnswers, removeAssertions } from "./header_filter.ts";
import { KeyedTag, TAG_DIGITS, TAG_KEY_BYTES } from "./keyed_tag.ts";
import { LocalNames } from "./local_names.ts";
import type { ProxyCounters, ProxyEnvironment, ProxyOptions } from "./proxy_environment.ts";
import { type PcAuthenticator, PcResult } from "./pc_authenticator.ts";
import { OwnRouteReader } from "./own_route.ts";
import { RequestContext } from "./request_context.ts";
import { ContextTimer, ResponseContexts } from "./response_contexts.ts";
import type { Location } from "./location.ts";
import type { Registrar } from "./registrar/registrar.ts";
import type { RouteFunction } from "./route.ts";
import { ClaimView } from "./subscriber.ts";
import type { Target } from "./target.ts";

/** Longest message that is written: what a UDP datagram holds over IPv4. */
const MAX_MESSAGE = 65_507;
/** After a CANCEL without an answer the call is over: 64 · T1, RFC 3261 §9.1. */
const CANCEL_WAIT_MS = 32_000;
/** How long a route may wait before its request is given up, ms: longer than any answer of DBclient takes. */
const ROUTE_WAIT_MS = 64_000;
const RETRY_LATER: readonly string[] = ["Retry-After: 5"];
const NO_HEADERS: readonly string[] = [];
const GREATER = 0x3e;

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

/** How a route wants its request forwarded. */
export interface Forwarding {
  /** The first Route value is this proxy's own, and goes. */
  readonly ownRoute: boolean;
  readonly recordRoute: boolean;
  readonly consumeDigest: boolean;
  /** What a look-up found, best first. */
  readonly targets: readonly Target[] | undefined;
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
  readonly contexts: ResponseContexts;
  readonly names: LocalNames;
  readonly dialogTags: DialogTags;
  readonly realms: ReadonlySet<string>;
  /** Where `--next_hop` leads, read once. */
  readonly nextHop: Destination | undefined;
  readonly destinations = new Destinations();
  readonly #toTags: KeyedTag;
  readonly #toTag = new Uint8Array(TAG_DIGITS);
  readonly #message = new SipMessage();
  readonly #claim = new ClaimView();
  readonly #uri = new UriView();
  readonly #ownRoute: OwnRouteReader;
  #pcResult = new PcResult();
  readonly #held = new SipMessage();
  readonly #token = new AcceptedToken();
  readonly #patch = new Patch();
  readonly #out = new Uint8Array(MAX_MESSAGE + 1);
  readonly #response = new ByteWriter(4096);
  /** Header lines of the response that is being made. */
  readonly lines = new ByteWriter(1024);
  /** `SIP/2.0/UDP host:port;branch=…` and `<sip:host:port;lr;did=` by the host:port that a target sees. */
  readonly #vias = new Map<string, LineStart>();
  readonly #recordRoutes = new Map<string, LineStart>();
  readonly #branchPrefix: string;
  #branches = 0;
  #now: number;

  constructor(
    readonly options: ProxyOptions,
    readonly environment: ProxyEnvironment,
    readonly pc: PcAuthenticator,
    readonly digest: DigestAuthenticator,
    private readonly route: RouteFunction,
    /** With `--registrar`. */
    readonly registrar?: Registrar,
    readonly location?: Location,
  ) {
    const { random } = environment;
    this.realms = new Set(options.realms);
    this.#now = environment.now;
    this.nextHop = options.nextHop === undefined ? undefined : textDestination(options.nextHop);
    this.dialogTags = new DialogTags(options.dialogKey);
    this.names = new LocalNames(options.listen, options.advertise, options.realms, options.reply);
    this.#ownRoute = new OwnRouteReader(this.names, this.dialogTags);
    this.#branchPrefix = `z9hG4bK${toHex(random.bytes(6))}`;
    this.#toTags = new KeyedTag(random.bytes(TAG_KEY_BYTES));
    this.layer = new TransactionLayer(
      { now: environment.now, random, maxTransactions: options.maxTransactions, trying: "never" },
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
    const problem = message.parse(buffer, start, end);
    if (problem === undefined) this.layer.receive(message, from, now);
    else this.#refuseMalformed(message, problem, from);
  }

  /** Whether the Request-URI names this proxy or a domain that it serves. */
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

  /** Whether the Request-URI is the address of the next hop. */
  isForNextHop(message: SipMessage): boolean {
    const { nextHop } = this;
    if (nextHop === undefined || !isAddress(nextHop)) return false;
    const target = this.destinations.at(message, message.requestUriStart, message.requestUriEnd);
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

  request(message: SipMessage, server: TransactionId, from: Address, now: number): void {
    const claim = this.#claim;
    const fault = claim.read(message);
    if (server !== NO_TRANSACTION) {
      this.contexts.begin(server);
      if (message.maxForwards === 0 && message.method !== "OPTIONS") {
        return this.reply(message, server, 483, undefined, NO_HEADERS, now);
      }
      if (message.first(HeaderId.PROXY_REQUIRE) >= 0) {
        const unsupported = `Unsupported: ${allValues(message, HeaderId.PROXY_REQUIRE)}`;
        return this.reply(message, server, 420, undefined, [unsupported], now);
      }
      if (fault !== undefined) {
        return this.reply(message, server, 400, `Bad Request (${fault})`, NO_HEADERS, now);
      }
    } else if (fault !== undefined) return;
    const request = new RequestContext(this, message, server, claim, from, now);
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
    invite: TransactionId,
    server: TransactionId,
    _from: Address,
    now: number,
  ): void {
    const { contexts } = this;
    contexts.begin(server);
    if (invite === NO_TRANSACTION) return this.reply(message, server, 481, undefined, NO_HEADERS, now);
    this.reply(message, server, 200, undefined, NO_HEADERS, now);
    if (contexts.isAnswered(invite) || contexts.isCancelled(invite)) return;
    contexts.setCancelled(invite);
    const client = contexts.clientOf(invite);
    if (client === NO_TRANSACTION) return this.#answerHeld(invite, 487, now);
    this.layer.cancel(client, now);
    this.#startTimer(invite, ContextTimer.CANCELLED, now + CANCEL_WAIT_MS);
  }

  response(message: SipMessage, client: TransactionId, from: Address, now: number): void {
    // A CANCEL of ours has no context, and its answer tells nothing.
    const server = client === NO_TRANSACTION ? NO_TRANSACTION : this.contexts.serverOf(client);
    if (server === NO_TRANSACTION) {
      // RFC 6026 §8.2: a response that belongs to no transaction is not forwarded.
      this.counters.strays++;
      return;
    }
    const { status } = message;
    if (status === 100) return;
    if (status >= 200) this.layer.stopTimer(server);
    else if (this.layer.methodOf(client) === "INVITE" && !this.contexts.isCancelled(server)) {
      this.layer.startTimer(server, now + this.options.timerC);
    }
    this.#forwardResponse(message, server, from, now);
  }

  timeout(client: TransactionId, now: number): void {
    const server = this.contexts.serverOf(client);
    if (server === NO_TRANSACTION) return;
    // RFC 4320 §4.1: a request other than INVITE gets no 408.
    if (this.layer.methodOf(server) === "INVITE") this.#answerHeld(server, 408, now);
    else this.layer.end(server, now);
  }

  transportError(client: TransactionId, now: number): void {
    const server = this.contexts.serverOf(client);
    if (server === NO_TRANSACTION) return;
    // RFC 3261 §16.9: as if 503 had been received, which is not forwarded but turned into 500 (§16.7 step 6).
    this.#answerHeld(server, 500, now);
  }

  terminated(transaction: TransactionId): void {
    this.contexts.end(transaction);
  }

  overloaded(message: SipMessage, from: Address): void {
    this.counters.refused++;
    if (message.method === "ACK") return;
    this.#replyStateless(message, from, 503, undefined, RETRY_LATER);
  }

  /** Timer C, a cancelled call that nobody ends, or a route that takes its time. */
  timer(server: TransactionId, now: number): void {
    const { contexts, layer } = this;
    if (contexts.isAnswered(server)) return;
    const timer = contexts.timer(server);
    if (timer === ContextTimer.TRYING) {
      if (layer.methodOf(server) === "INVITE") layer.sendTrying(server, now);
      return this.#startTimer(server, ContextTimer.UNDECIDED, now + ROUTE_WAIT_MS);
    }
    if (timer === ContextTimer.UNDECIDED) {
      this.environment.log("route_failed", {
        method: layer.methodOf(server),
        error: "no decision in time",
      });
      return this.#answerHeld(server, 500, now);
    }
    const client = contexts.clientOf(server);
    if (client === NO_TRANSACTION) return;
    if (timer === ContextTimer.C) {
      contexts.setCancelled(server);
      layer.cancel(client, now);
      return this.#startTimer(server, ContextTimer.CANCELLED, now + CANCEL_WAIT_MS);
    }
    layer.end(client, now);
    this.#answerHeld(server, 487, now);
  }

  /** Sends 100 (Trying) for an INVITE if nothing else was sent within 200 ms (RFC 3261 §17.2.1). */
  tryingSoon(server: TransactionId, now: number): void {
    this.#startTimer(server, ContextTimer.TRYING, now + TRYING_DELAY);
  }

  #startTimer(server: TransactionId, timer: ContextTimer, at: number): void {
    this.contexts.setTimer(server, timer);
    this.layer.startTimer(server, at);
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
    if (status >= 200) lines = this.#confirmationLine(message, server, now, lines);
    const out = this.#response;
    out.clear();
    const toTag = this.#toTagOf(message);
    writeResponse(out, message, status, reason, { toTag, headers, lines, source: layer.fromOf(server) });
    if (status >= 200) contexts.setAnswered(server);
    layer.respond(server, out.buffer, 0, out.length, now);
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

  /**
   * Forwards a request: RFC 3261 §16.6.
   *
   * @param server NO_TRANSACTION for an ACK, which is forwarded without one
   * @param destination from the route, undefined for the Request-URI; a Route value left in the request goes before it
   */
  forward(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    destination: Destination | undefined,
    now: number,
  ): void {
    const target = this.destinations.of(message, how.ownRoute, destination ?? how.targets?.[0].destination);
    if (!isAddress(target)) {
      if (server !== NO_TRANSACTION) {
        this.reply(message, server, target.status, target.reason, NO_HEADERS, now);
      }
      return;
    }
    if (isIpAddress(target.host)) return this.#send(message, server, from, how, target, now);
    const kept = message.clone();
    const { layer } = this;
    const serial = server === NO_TRANSACTION ? 0 : layer.serialOf(server);
    if (server !== NO_TRANSACTION && message.method === "INVITE") layer.sendTrying(server, now, message);
    this.environment.resolve(target.host, (host, at) => {
      if (server !== NO_TRANSACTION) {
        if (layer.serialOf(server) !== serial || this.contexts.isAnswered(server)) return;
        if (host === undefined) {
          return this.reply(kept, server, 500, "Next hop has no address", NO_HEADERS, at);
        }
      }
      if (host !== undefined) this.#send(kept, server, from, how, { host, port: target.port }, at);
    });
  }

  #send(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    target: Address,
    now: number,
  ): void {
    const patch = this.#patch.begin(message);
    removeAnswers(patch, this.realms, how.consumeDigest);
    if (how.ownRoute) popRoute(patch);
    const branch = how.targets?.[0];
    if (branch !== undefined) {
      setRequestUri(patch, branch.uri);
      for (const value of branch.route) pushRoute(patch, value);
    }
    if (decrementMaxForwards(patch) < 0) {
      if (server !== NO_TRANSACTION) this.reply(message, server, 483, undefined, NO_HEADERS, now);
      return;
    }
    if (how.recordRoute) this.#pushRecordRoute(patch, this.names.facing(target));
    addReceivedRport(patch, from);
    this.#pushVia(patch, this.names.viaFacing(target));
    if (patch.length > MAX_MESSAGE) {
      if (server !== NO_TRANSACTION) this.reply(message, server, 513, undefined, NO_HEADERS, now);
      return;
    }
    const length = patch.apply(this.#out, 0);
    this.counters.forwarded++;
    if (server === NO_TRANSACTION) {
      this.environment.send(this.#out, 0, length, target);
      return;
    }
    const { layer } = this;
    if (message.method === "INVITE") {
      layer.sendTrying(server, now, message);
      this.#startTimer(server, ContextTimer.C, now + this.options.timerC);
    }
    const client = layer.sendRequest(this.#out, 0, length, target, now);
    if (client === NO_TRANSACTION) this.reply(message, server, 503, undefined, RETRY_LATER, now);
    else this.contexts.link(server, client);
  }

  #pushRecordRoute(patch: Patch, self: string): void {
    let line = this.#recordRoutes.get(self);
    if (line === undefined) {
      line = new LineStart(`<sip:${self};lr;did=`, TAG_DIGITS + 1);
      this.#recordRoutes.set(self, line);
    }
    const { message } = patch;
    const callId = message.first(HeaderId.CALL_ID);
    const start = message.valueStart(callId);
    let at = this.dialogTags.write(
      message.buffer,
      start,
      message.valueEnd(callId),
      line.bytes,
      line.length,
    );
    line.bytes[at++] = GREATER;
    pushRecordRoute(patch, line.bytes, 0, at);
  }

  /** A branch nobody can guess, and none of this run is used twice. */
  #pushVia(patch: Patch, self: string): void {
    let line = this.#vias.get(self);
    if (line === undefined) {
      line = new LineStart(`SIP/2.0/UDP ${self};branch=${this.#branchPrefix}`, 3 * 8);
      this.#vias.set(self, line);
    }
    this.#branches++;
    const { bytes } = line;
    let at = writeHexWord(this.environment.random.below(2 ** 32), bytes, line.length);
    at = writeHexWord(this.#branches / 2 ** 32, bytes, at);
    at = writeHexWord(this.#branches, bytes, at);
    pushVia(patch, bytes, 0, at);
  }

  #forwardResponse(message: SipMessage, server: TransactionId, from: Address, now: number): void {
    const final = message.status >= 200;
    if (message.secondVia() === undefined) {
      this.counters.strays++;
      return;
    }
    const patch = this.#patch.begin(message);
    popVia(patch);
    if (hasAssertions(message) && !this.options.peers.has(from.host)) removeAssertions(patch, this.realms);
    if (final) {
      const line = this.#confirmationLine(message, server, now, undefined);
      if (line !== undefined) patch.insert(message.headersEnd, line.buffer, 0, line.length);
    }
    if (patch.length > MAX_MESSAGE) {
      // It cannot be sent on, and without a final response the caller would wait for ever.
      if (final) this.#answerHeld(server, 500, now);
      return;
    }
    if (final) this.contexts.setAnswered(server);
    const length = patch.apply(this.#out, 0);
    this.counters.forwarded++;
    this.layer.respond(server, this.#out, 0, length, now);
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
  #answerHeld(server: TransactionId, status: number, now: number): void {
    if (this.contexts.isAnswered(server)) return;
    if (this.layer.requestOf(server, this.#held)) {
      this.reply(this.#held, server, status, undefined, NO_HEADERS, now);
    }
  }

  #refuseMalformed(message: SipMessage, problem: Problem, from: Address): void {
    this.counters.malformed++;
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
    if (via === undefined) return;
    const out = this.#response;
    out.clear();
    writeResponse(out, message, status, reason, { toTag: this.#toTagOf(message), headers, source: from });
    this.environment.send(out.buffer, 0, out.length, responseAddress(via, from, false));
  }

  #routeFailed(request: RequestContext, error: unknown): void {
    this.environment.log("route_failed", {
      method: request.method,
      error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
    request.failed();
  }
}

/** The unchanging start of a header value, with room for what follows. */
class LineStart {
  readonly bytes: Uint8Array;
  readonly length: number;

  constructor(text: string, room: number) {
    const start = encodeText(text);
    this.length = start.length;
    this.bytes = new Uint8Array(start.length + room);
    this.bytes.set(start);
  }
}
