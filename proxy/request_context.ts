/** One request in the hands of a route: what the route sees (RouteRequest) and may do (RouteActions). */
import {
  type Address,
  DIGEST_VERDICTS,
  type DigestVerdict,
  NO_TRANSACTION,
  SipMessage,
  type TransactionId,
  type Verdict,
  VERDICTS,
} from "../mod.ts";
import { type AuthKind, PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";
import type { Destination, Destinations } from "./destination.ts";
import { type DigestResult, hasDigestAnswer } from "./digest_authenticator.ts";
import type { Fork, ForkOptions } from "./fork.ts";
import { HeaderEdits } from "./header_edits.ts";
import { TOO_MANY_FAILURES, USER_RATE } from "./limits/attempt_limiter.ts";
import { cut, refusalOfVerdict } from "./limits/refusals.ts";
import { OwnRoute, ownValues } from "./own_route.ts";
import { type ChallengeOutcome, PcResult } from "./pc_authenticator.ts";
import type { ProxyCore } from "./proxy_core.ts";
import { withRequestUri } from "./request_rewrite.ts";
import type { Forwarding } from "./request_writer.ts";
import type {
  AuthenticatedUser,
  DispatchAlgorithm,
  FailureHook,
  RelayOptions,
  ReplyHook,
  RouteActions,
  RouteRequest,
} from "./route.ts";
import { ClaimView } from "./subscriber.ts";
import { groupTargets, type RelayTarget } from "./targets.ts";

/** Where a request stands. */
type Progress =
  /** In the route. */
  | "open"
  /** A challenge waits for its credential. */
  | "waiting"
  /** Answered, relayed or dropped. */
  | "done";

const NO_HEADERS: readonly string[] = [];
const RETRY_LATER: readonly string[] = ["Retry-After: 5"];
/** RFC 3261 §11.2: what a proxy says of itself. */
const CAPABILITIES: readonly string[] = [
  "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY, PUBLISH",
  "Accept: application/sdp",
  "Accept-Encoding: identity",
  "Accept-Language: en",
  "Supported: path",
];

/** A request and its route's decisions. */
export class RequestContext implements RouteRequest, RouteActions, Forwarding {
  readonly method: string;
  readonly hasToTag: boolean;
  recordRoute = false;
  consumeDigest = false;
  edits: HeaderEdits | undefined;
  isForUs: boolean;
  #message: SipMessage;
  #claim: ClaimView;
  readonly #serial: number;
  #kept: boolean;
  #toldAt: number;
  #progress: Progress = "open";
  /** What Route says, as bits; -1 when it was not read yet. */
  #route = -1;
  #digestAccepted = false;
  /** For a 503 that a verdict asks for, s. */
  #retryAfter = 5;
  /** The realm of the accepted answer. */
  #authenticatedRealm: string | undefined;
  #pcResult: PcResult | undefined;
  #digestResult: DigestResult | undefined;
  #routing: number | undefined;
  #targets: readonly RelayTarget[] | undefined;
  #nextHops: readonly Destination[] | undefined;
  #onFailure: FailureHook | undefined;
  #onReply: ReplyHook | undefined;
  /** The context whose failure hook this is. */
  #fork: Fork | undefined;

  /**
   * @param kept whether the message is another than the transaction holds
   * @param server NO_TRANSACTION for an ACK
   * @param claim of the message, as long as that is there
   * @param isForUs whether the Request-URI names this proxy or a domain that it serves
   * @param routing if the message is not as it came: what the proxy routes by, as it came
   * @param byStrictRouter whether the Request-URI was this proxy's Record-Route value for the dialog
   */
  constructor(
    private readonly core: ProxyCore,
    message: SipMessage,
    kept: boolean,
    private readonly server: TransactionId,
    claim: ClaimView,
    readonly source: Address,
    isForUs: boolean,
    now: number,
    routing?: number,
    private readonly byStrictRouter = false,
  ) {
    this.#message = message;
    this.#kept = kept;
    this.#claim = claim;
    this.isForUs = isForUs;
    this.#routing = routing;
    this.#serial = server === NO_TRANSACTION ? 0 : core.layer.serialOf(server);
    this.#toldAt = now;
    this.method = message.method;
    this.hasToTag = message.to.tagStart >= 0 && message.to.tagEnd > message.to.tagStart;
  }

  /** The present time: a route may come back from waiting long after the request. */
  get #now(): number {
    return Math.max(this.#toldAt, this.core.now);
  }
  set #now(now: number) {
    this.#toldAt = now;
  }

  get fromUser(): string {
    return this.#claim.user;
  }

  get fromHost(): string {
    return this.#claim.host;
  }

  get realm(): string | undefined {
    const { hostStart, hostEnd } = this.#claim;
    return this.core.names.realmAt(this.#message.buffer, hostStart, hostEnd);
  }

  get isInDialog(): boolean {
    return this.hasToTag && (this.byStrictRouter || (this.#readRoute() & OwnRoute.TAGGED) !== 0);
  }

  get hasForeignRoute(): boolean {
    return (this.#readRoute() & OwnRoute.OTHERS) !== 0;
  }

  #readRoute(): number {
    if (this.#route < 0) this.#route = this.core.readRoute(this.#message);
    return this.#route;
  }

  get routing(): number {
    return this.#routing ??= this.core.branches.routing(this.#message);
  }

  get ownRoutes(): number {
    return ownValues(this.#readRoute());
  }

  /** Nobody answers a challenge to it, and nothing waits for its responses here: it is sent on without a transaction. */
  get #isBare(): boolean {
    return this.method === "ACK" || this.method === "CANCEL";
  }

  get isAuthenticated(): boolean {
    return this.#digestAccepted || this.#pcResult?.verdict === "ok";
  }

  get leadsAnywhere(): boolean {
    const { nextHop, services } = this.core;
    return nextHop === undefined && services.nextHopSet === undefined && !this.isForUs;
  }

  get isForNextHop(): boolean {
    return this.core.isForNextHop(this.#message);
  }

  get message(): SipMessage {
    return this.#message;
  }

  // PC

  proxy_authorize_pc(realm: string, table = "subscriber"): Verdict {
    return this.#authorizePc(PROXY_AUTH, realm, table);
  }

  www_authorize_pc(realm: string, table = "subscriber"): Verdict {
    return this.#authorizePc(WWW_AUTH, realm, table);
  }

  proxy_challenge_pc(realm: string, _qop = 0): void {
    this.#challengePc(PROXY_AUTH, realm, NO_HEADERS);
  }

  www_challenge_pc(realm: string, _qop = 0): void {
    this.#challengePc(WWW_AUTH, realm, NO_HEADERS);
  }

  #authorizePc(kind: AuthKind, realm: string, table: string): Verdict {
    this.#check(realm, table);
    if (this.#isBare) return "ok"; // docs/PROTOCOL.md §6
    const result = this.#result();
    const { nameFault } = this.#claim;
    if (nameFault !== undefined) {
      this.core.counters.pc.malformed++;
      this.#note("malformed", nameFault, realm);
      return result.be("malformed", nameFault);
    }
    this.core.limits.attempts.from(this.source);
    const verdict = this.core.pc.authorize(this.#message, kind, realm, this.#claim, this.#now, result);
    this.core.counters.pc[verdict]++;
    this.#note(verdict, result.reason, realm);
    // Over its rate a user has proved itself all the same, and is owed the proxy's proof.
    const proved = verdict === "ok" || result.reason === USER_RATE;
    if (proved && this.#isAlive()) this.core.contexts.keepToken(this.server, result.accepted);
    if (verdict === "ok") this.#authenticatedRealm = realm;
    return verdict;
  }

  /** Counts and tells a verdict that is none of the ordinary ones. */
  #note(verdict: Verdict | DigestVerdict, fault: string | undefined, realm: string): void {
    const refusal = refusalOfVerdict(verdict);
    if (refusal === undefined) return;
    const reason = fault === TOO_MANY_FAILURES
      ? "too_many_failures"
      : fault === USER_RATE
      ? "user_rate"
      : refusal;
    const { retryAfter } = this.core.limits.attempts;
    if (verdict === "unavailable" && fault !== undefined) this.#retryAfter = retryAfter;
    this.core.refusals.note(reason, this.source, this.#now, () => ({
      method: cut(this.method),
      user: cut(this.fromUser),
      realm,
      ...(verdict === "malformed" && fault !== undefined ? { problem: fault } : {}),
    }));
  }

  #challengePc(kind: AuthKind, realm: string, before: readonly string[]): void {
    this.#check(realm, "subscriber");
    const { core, server } = this;
    const result = this.#result();
    const { answer, status } = VERDICTS[result.verdict];
    if (answer === "forward") return this.reply(500, "Challenge after a verdict of ok");
    if (answer === "refuse") return this.#refuse(status!, result.reason);
    if (this.#claim.nameFault !== undefined) return this.#refuse(400, this.#claim.nameFault);
    if (this.#over()) return;
    if (this.#isBare) return this.#passOver();
    const { lines } = core;
    lines.clear();
    const state = core.pc.challenge(
      result,
      kind,
      realm,
      this.#claim,
      this.#message,
      this.source.host,
      this.#now,
      lines,
    );
    if (state === "written") return this.#sendChallenge(kind, before);
    if (state === "unavailable") return this.#refuseChallenge(core.pc.retryAfter);
    core.pc.challengeLater(result, realm, this.#claim, this.#message, this.#now, (outcome, now) => {
      this.#now = now;
      this.#challengeLate(kind, before, outcome);
    });
    // The credential is on the way: keep the request, and tell its sender to wait.
    this.#keep();
    this.#progress = "waiting";
    core.tryingSoon(server, this.#now);
  }

  /** Challenges with the credential that has come. */
  #challengeLate(kind: AuthKind, before: readonly string[], outcome: ChallengeOutcome): void {
    if (this.#progress === "done" || !this.#isAlive()) return;
    if ("unavailable" in outcome) return this.#refuseChallenge(outcome.retryAfter);
    const { lines } = this.core;
    lines.clear();
    lines.line(`${kind.challenge}: ${outcome.header}`);
    this.#sendChallenge(kind, before);
  }

  /** Sends the challenge whose line is written. */
  #sendChallenge(kind: AuthKind, before: readonly string[]): void {
    const { core, server } = this;
    this.#progress = "done";
    core.counters.challenges[before.length > 0 ? "both" : "pc"]++;
    core.reply(this.#message, server, kind.status, kind.reason, before, this.#now, core.lines);
  }

  #refuseChallenge(retryAfter: number): void {
    const { core, server } = this;
    this.#progress = "done";
    core.counters.refusals.unavailable++;
    core.reply(this.#message, server, 503, undefined, [`Retry-After: ${retryAfter}`], this.#now);
  }

  // Digest

  proxy_authorize(realm: string, table = "subscriber"): Promise<DigestVerdict> {
    return this.#authorizeDigest(PROXY_AUTH, realm, table);
  }

  www_authorize(realm: string, table = "subscriber"): Promise<DigestVerdict> {
    return this.#authorizeDigest(WWW_AUTH, realm, table);
  }

  proxy_challenge(realm: string, _qop = 0): void {
    this.#challengeDigest(PROXY_AUTH, realm);
  }

  www_challenge(realm: string, _qop = 0): void {
    this.#challengeDigest(WWW_AUTH, realm);
  }

  has_digest_answer(realm: string, register = false): boolean {
    return hasDigestAnswer(this.#message, register ? WWW_AUTH : PROXY_AUTH, realm);
  }

  #authorizeDigest(kind: AuthKind, realm: string, table: string): Promise<DigestVerdict> {
    this.#check(realm, table);
    if (this.#isBare) return Promise.resolve("ok"); // Never challenged (RFC 3261 §22.1).
    this.#keep();
    const { nameFault } = this.#claim;
    if (nameFault !== undefined) {
      this.core.counters.digest.malformed++;
      this.#digestResult = { verdict: "malformed", reason: nameFault };
      this.#note("malformed", nameFault, realm);
      return Promise.resolve("malformed");
    }
    return new Promise((resolve) => {
      this.core.digest.authorize(
        this.#message,
        kind,
        realm,
        this.fromUser,
        this.source,
        this.#now,
        (result, now) => {
          this.#now = now;
          this.core.counters.digest[result.verdict]++;
          this.#note(result.verdict, result.reason, realm);
          this.#digestResult = result;
          this.#digestAccepted = result.verdict === "ok";
          if (this.#digestAccepted && this.#isAlive()) this.core.contexts.setTrusted(this.server);
          if (this.#digestAccepted) this.#authenticatedRealm = realm;
          resolve(result.verdict);
        },
      );
    });
  }

  #challengeDigest(kind: AuthKind, realm: string): void {
    this.#check(realm, "subscriber");
    if (this.#isBare) return this.#passOver();
    const { answer, status, stale } = DIGEST_VERDICTS[this.#digestResult?.verdict ?? "no_credentials"];
    if (answer === "forward") return this.reply(500, "Challenge after a verdict of ok");
    if (answer === "refuse") return this.#refuse(status!, this.#digestResult?.reason);
    if (this.#claim.nameFault !== undefined) return this.#refuse(400, this.#claim.nameFault);
    this.core.counters.challenges.digest++;
    this.reply(kind.status, kind.reason, this.#digestLines(kind, realm, stale ?? false));
  }

  #digestLines(kind: AuthKind, realm: string, stale: boolean): string[] {
    return this.core.digest.challenges(realm, this.#now, stale).map((value) => `${kind.challenge}: ${value}`);
  }

  challenge_both(realm: string, register = false): void {
    const kind = register ? WWW_AUTH : PROXY_AUTH;
    const digest = DIGEST_VERDICTS[this.#digestResult?.verdict ?? "no_credentials"];
    if (digest.answer === "refuse") return this.#challengeDigest(kind, realm);
    this.#check(realm, "subscriber");
    this.#challengePc(kind, realm, this.#digestLines(kind, realm, digest.stale ?? false));
  }

  /** What is never challenged (RFC 3261 §22.1): an ACK has no answer, and the CANCEL of an INVITE that is not known has this. */
  #passOver(): void {
    if (this.method === "CANCEL") this.reply(481);
    else this.drop();
  }

  /** What the verdict asks for; its reason was noted with it. */
  #refuse(status: number, reason: string | undefined): void {
    if (status === 503) return this.reply(503, undefined, [`Retry-After: ${this.#retryAfter}`]);
    if (status === 403) return this.reply(403, "Forbidden (user name is not that of From)");
    return this.reply(status, reason === undefined ? undefined : `Bad Request (${reason})`);
  }

  // Routing

  consume_credentials(): void {
    this.consumeDigest = this.isAuthenticated;
  }

  record_route(): void {
    this.recordRoute = true;
  }

  loose_route(): boolean {
    return this.ownRoutes > 0;
  }

  lookup(table = "location"): boolean {
    const { location } = this.core.services;
    if (location === undefined) throw new TypeError("lookup: there is no registrar (--registrar)");
    checkTable(table);
    const targets = location.lookup(this.#message, this.#now);
    this.#targets = targets.length === 0 ? undefined : targets;
    return targets.length > 0;
  }

  save(table = "location"): void {
    const { location } = this.core.services;
    if (location === undefined) throw new TypeError("save: there is no registrar (--registrar)");
    checkTable(table);
    if (this.method !== "REGISTER") throw new TypeError(`save: it is for REGISTER, not for ${this.method}`);
    if (this.#over()) return;
    const { core, server } = this;
    let answered = false;
    location.save(this.#message, this.source, this.#authenticatedUser, this.#now, (answer, now) => {
      answered = true;
      this.#now = now;
      if (this.#progress === "done" || !this.#isAlive()) return;
      this.#progress = "done";
      const { status, reason, headers = NO_HEADERS } = answer;
      core.reply(this.#message, server, status, reason, headers, now);
    });
    if (answered) return;
    // Another thread owns the location.
    this.#keep();
    this.#progress = "waiting";
    core.tryingSoon(server, this.#now);
  }

  get #authenticatedUser(): AuthenticatedUser | undefined {
    const realm = this.#authenticatedRealm;
    if (realm === undefined) return undefined;
    const username = this.#digestAccepted ? this.#digestResult?.username : this.#pcResult?.username;
    return { username: username ?? "", realm };
  }

  seturi(uri: string): void {
    this.#rewrite(withRequestUri(this.#message, uri));
  }

  /** Goes on with another message, which is a copy. */
  #rewrite(message: SipMessage): void {
    if (this.#pcResult !== undefined && !this.#kept) this.core.keepPcResult();
    this.#routing = this.routing;
    this.#kept = true;
    this.#message = message;
    this.#claim = new ClaimView();
    this.#claim.read(message);
    this.isForUs = this.core.isForUs(message);
  }

  append_hf(line: string): void {
    (this.edits ??= new HeaderEdits()).add(line);
  }

  remove_hf(name: string): void {
    (this.edits ??= new HeaderEdits()).remove(name);
  }

  dsSelect(set: number, algorithm: DispatchAlgorithm = "round_robin"): boolean {
    const { dispatcher } = this.core.services;
    if (dispatcher === undefined) throw new TypeError("dsSelect: there is no dispatcher");
    this.#nextHops = dispatcher.select(set, algorithm, this.#message).map((uri) =>
      this.core.destinations.ofText(uri)
    );
    return this.#nextHops.length > 0;
  }

  pike_check_req(): boolean {
    return this.core.services.flood?.check(this.source, this.#now) ?? true;
  }

  onFailure(hook: FailureHook): void {
    this.#onFailure = hook;
  }

  onReply(hook: ReplyHook): void {
    this.#onReply = hook;
  }

  relay(to?: string | readonly RelayTarget[], options?: RelayOptions): void {
    if (typeof to === "object") this.#targets = to;
    this.#relayTo(
      typeof to === "string" ? this.core.destinations.ofText(to) : undefined,
      options?.recurse ?? false,
    );
  }

  relay_to_next_hop(): void {
    const { nextHopSet } = this.core.services;
    if (nextHopSet !== undefined) {
      const { set, algorithm } = nextHopSet;
      if (!this.dsSelect(set, algorithm)) return this.reply(503, undefined, RETRY_LATER);
      return this.#relayTo(undefined, false);
    }
    // Without a next hop, a Request-URI that names this proxy would come back to it until Max-Forwards is used up.
    if (this.core.nextHop === undefined && this.isForUs) return this.reply(404);
    this.#relayTo(this.core.nextHop, false);
  }

  #relayTo(destination: Destination | undefined, recurse: boolean): void {
    if (this.#over()) return;
    this.#progress = "done";
    const hops = destination === undefined ? this.#nextHops : undefined;
    const first = destination ?? hops?.[0];
    const plain = this.#targets === undefined && (hops === undefined || hops.length <= 1) &&
      this.#onFailure === undefined && this.#onReply === undefined && !recurse && this.#fork === undefined;
    if (plain || this.#isBare) {
      return this.core.forward(
        this.#message,
        this.server,
        this.source,
        this,
        this.#isBare && this.#targets !== undefined
          ? bareDestination(this.#targets, this.core.destinations)
          : first,
        this.#isBare,
        this.#now,
      );
    }
    this.#relayOnBranches(first === undefined ? [] : hops ?? [first], recurse);
  }

  #relayOnBranches(nextHops: readonly Destination[], recurse: boolean): void {
    const { core } = this;
    const fork = this.#fork;
    const known = fork?.known ?? [];
    const options: ForkOptions = {
      groups: this.#targets === undefined ? [[undefined]] : groupTargets(this.#targets, known),
      known,
      nextHops,
      recurse,
      onFailure: this.#onFailure,
      onReply: this.#onReply ?? fork?.onReply,
    };
    if (fork !== undefined) {
      core.layer.stopTimer(this.server);
      return core.forks.extend(fork, this.#message, this, options, this.#now);
    }
    core.fork(this.#message, this.#kept, this.server, this.source, this, options, this.#now);
  }

  forward(destination?: string): void {
    if (this.#over()) return;
    // What was relayed already has a transaction, and keeps it.
    if (this.#fork !== undefined) return this.relay(destination);
    this.#progress = "done";
    const target = destination === undefined
      ? this.#nextHops?.[0]
      : this.core.destinations.ofText(destination);
    this.core.forward(this.#message, this.server, this.source, this, target, true, this.#now);
  }

  /** The request goes on from here: all branches of this context have failed. */
  continues(fork: Fork): void {
    this.#fork = fork;
    const { recordRoute, consumeDigest, edits, routing } = fork.how;
    this.#routing = routing;
    this.recordRoute = recordRoute;
    this.consumeDigest = consumeDigest;
    this.edits = edits;
  }

  reply(status: number, reason?: string, headers: readonly string[] = NO_HEADERS): void {
    if (this.#over()) return;
    if (this.server !== NO_TRANSACTION) {
      this.core.reply(this.#message, this.server, status, reason, headers, this.#now);
    }
    if (status >= 200) this.#progress = "done";
  }

  options_reply(): void {
    this.reply(200, undefined, CAPABILITIES);
  }

  drop(): void {
    if (this.#over()) return;
    this.#progress = "done";
    this.core.counters.dropped++;
    if (this.server !== NO_TRANSACTION) this.core.layer.end(this.server, this.#now);
  }

  /** To be called when the route waits for something: the datagram goes, the request stays. */
  suspend(): void {
    if (this.#over()) return;
    this.#keep();
    if (this.server !== NO_TRANSACTION) this.core.tryingSoon(this.server, this.#now);
  }

  /** To be called when the route has returned: it must have decided. */
  finish(): void {
    if (this.#progress !== "open") return;
    if (this.#fork === undefined) this.reply(500, "Route made no decision");
    else if (this.#isAlive()) this.core.forks.answer(this.#fork, this.#now);
  }

  /** To be called when the route has thrown. */
  failed(): void {
    if (this.#fork === undefined) this.reply(500, "Server Internal Error");
    else this.finish();
  }

  /** Whether the request was decided (a challenge that waits is a decision), or its transaction has ended by itself (CANCEL). */
  #over(): boolean {
    return this.#progress !== "open" || !this.#isAlive();
  }

  /** Whether the transaction is still that of this request, and waits for a final response. */
  #isAlive(): boolean {
    const { core, server } = this;
    if (server === NO_TRANSACTION) return true;
    return core.layer.serialOf(server) === this.#serial && !core.contexts.isAnswered(server);
  }

  /** Where the verdict on the PC answer goes: the core's, as long as the request is in its hands. */
  #result(): PcResult {
    return this.#pcResult ??= this.#kept ? new PcResult() : this.core.newPcResult();
  }

  /** Copies the message, so that it outlives the datagram, and keeps what else the next request would overwrite. */
  #keep(): void {
    if (this.#kept) return;
    this.#kept = true;
    this.#message = this.#message.clone();
    this.#claim = new ClaimView();
    this.#claim.read(this.#message);
    if (this.#pcResult !== undefined) this.core.keepPcResult();
  }

  #check(realm: string, table: string): void {
    if (!this.core.realms.has(realm)) {
      throw new TypeError(`realm ${JSON.stringify(realm)} is not served (--realm)`);
    }
    if (table !== "subscriber") {
      throw new TypeError(`table ${JSON.stringify(table)}: DBclient knows "subscriber" alone`);
    }
  }
}

/** The registrar has one table. */
function checkTable(table: string): void {
  if (table !== "location") {
    throw new TypeError(`table ${JSON.stringify(table)}: the registrar has "location" alone`);
  }
}

/** Where what has no branches goes: to the first of its targets. */
function bareDestination(targets: readonly RelayTarget[], destinations: Destinations): Destination {
  return targets.length === 0
    ? { status: 500, reason: "No target" }
    : targets[0].received ?? destinations.ofText(targets[0].uri);
}
