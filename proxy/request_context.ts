/** One request in the hands of a route: what the route sees (RouteRequest) and may do (RouteActions). */
import {
  type Address,
  DIGEST_VERDICTS,
  type DigestVerdict,
  NO_TRANSACTION,
  type SipMessage,
  type TransactionId,
  type Verdict,
  VERDICTS,
} from "../mod.ts";
import { type AuthKind, PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";
import { type Destination, textDestination } from "./destination.ts";
import { type DigestResult, hasDigestAnswer } from "./digest_authenticator.ts";
import { OwnRoute } from "./own_route.ts";
import { type ChallengeOutcome, PcResult } from "./pc_authenticator.ts";
import type { Forwarding, ProxyCore } from "./proxy_core.ts";
import { aorAt } from "./registrar/aor.ts";
import type { AuthenticatedUser } from "./registrar/registrar.ts";
import type { RouteActions, RouteRequest } from "./route.ts";
import { ClaimView } from "./subscriber.ts";
import { type Target, targetOf } from "./target.ts";

/** Where a request stands. */
type Progress =
  /** In the route. */
  | "open"
  /** A challenge waits for its credential. */
  | "waiting"
  /** Answered, relayed or dropped. */
  | "done";

const NO_HEADERS: readonly string[] = [];

/** A request and its route's decisions. */
export class RequestContext implements RouteRequest, RouteActions, Forwarding {
  readonly method: string;
  readonly hasToTag: boolean;
  ownRoute = false;
  recordRoute = false;
  consumeDigest = false;
  targets: readonly Target[] | undefined;
  #message: SipMessage;
  #claim: ClaimView;
  readonly #serial: number;
  #kept = false;
  #toldAt: number;
  #progress: Progress = "open";
  /** What Route says, as bits; -1 when it was not read yet. */
  #route = -1;
  #digestAccepted = false;
  /** The realm of the accepted answer. */
  #authenticatedRealm: string | undefined;
  #pcResult: PcResult | undefined;
  #digestResult: DigestResult | undefined;

  /**
   * @param server NO_TRANSACTION for an ACK
   * @param claim of the message, as long as that is there
   */
  constructor(
    private readonly core: ProxyCore,
    message: SipMessage,
    private readonly server: TransactionId,
    claim: ClaimView,
    readonly source: Address,
    now: number,
  ) {
    this.#message = message;
    this.#claim = claim;
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
    return this.hasToTag && (this.#readRoute() & OwnRoute.TAGGED) !== 0;
  }

  get hasForeignRoute(): boolean {
    return (this.#readRoute() & OwnRoute.OTHERS) !== 0;
  }

  #readRoute(): number {
    if (this.#route < 0) this.#route = this.core.readRoute(this.#message);
    return this.#route;
  }

  get isForUs(): boolean {
    return this.core.isForUs(this.#message);
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
    if (this.server === NO_TRANSACTION) return "ok"; // ACK: docs/PROTOCOL.md §6
    const result = this.#result();
    const verdict = this.core.pc.authorize(this.#message, kind, realm, this.#claim, this.#now, result);
    if (verdict === "ok" && this.#isAlive()) this.core.contexts.keepToken(this.server, result.accepted);
    if (verdict === "ok") this.#authenticatedRealm = realm;
    return verdict;
  }

  #challengePc(kind: AuthKind, realm: string, before: readonly string[]): void {
    this.#check(realm, "subscriber");
    const { core, server } = this;
    const result = this.#result();
    const { answer, status } = VERDICTS[result.verdict];
    if (answer === "forward") return this.reply(500, "Challenge after a verdict of ok");
    if (answer === "refuse") return this.#refuse(status!, result.reason);
    if (this.#over()) return;
    if (server === NO_TRANSACTION) return this.drop(); // An ACK is never challenged (RFC 3261 §22.1).
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
      (outcome, now) => {
        this.#now = now;
        this.#challengeLate(kind, before, outcome);
      },
    );
    if (state === "written") return this.#sendChallenge(kind, before);
    if (state === "unavailable") return this.#refuseChallenge(core.pc.retryAfter);
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
    core.counters.challenged++;
    core.reply(this.#message, server, kind.status, kind.reason, before, this.#now, core.lines);
  }

  #refuseChallenge(retryAfter: number): void {
    const { core, server } = this;
    this.#progress = "done";
    core.counters.refused++;
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
    if (this.server === NO_TRANSACTION) return Promise.resolve("ok"); // ACK is never challenged (RFC 3261 §22.1)
    this.#keep();
    return new Promise((resolve) => {
      this.core.digest.authorize(this.#message, kind, realm, this.fromUser, this.#now, (result, now) => {
        this.#now = now;
        this.#digestResult = result;
        this.#digestAccepted = result.verdict === "ok";
        if (this.#digestAccepted) this.#authenticatedRealm = realm;
        resolve(result.verdict);
      });
    });
  }

  #challengeDigest(kind: AuthKind, realm: string): void {
    this.#check(realm, "subscriber");
    const { answer, status, stale } = DIGEST_VERDICTS[this.#digestResult?.verdict ?? "no_credentials"];
    if (answer === "forward") return this.reply(500, "Challenge after a verdict of ok");
    if (answer === "refuse") return this.#refuse(status!, this.#digestResult?.reason);
    this.core.counters.challenged++;
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

  #refuse(status: number, reason: string | undefined): void {
    this.core.counters.refused++;
    if (status === 503) return this.reply(503, undefined, ["Retry-After: 5"]);
    if (status === 403) return this.reply(403, "Forbidden (user name is not that of From)");
    return this.reply(status, reason === undefined ? undefined : `Bad Request (${reason})`);
  }

  // Registrar

  save(): void {
    if (this.#over()) return;
    const { core, server } = this;
    const { registrar } = core;
    if (registrar === undefined) throw new TypeError("save() needs --registrar 1");
    if (this.method !== "REGISTER") throw new TypeError(`save() is for REGISTER, not ${this.method}`);
    let answered = false;
    registrar.save(this.#message, this.source, this.#authenticatedUser, this.#now, (answer, now) => {
      answered = true;
      this.#now = now;
      if (this.#progress === "done" || !this.#isAlive()) return;
      this.#progress = "done";
      core.reply(this.#message, server, answer.status, answer.reason, answer.headers ?? NO_HEADERS, now);
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

  lookup(): boolean {
    const { location } = this.core;
    if (location === undefined) throw new TypeError("lookup() needs --registrar 1");
    const { buffer, requestUriStart, requestUriEnd } = this.#message;
    const aor = aorAt(this.core.names, buffer, requestUriStart, requestUriEnd);
    let bindings = aor === undefined ? [] : location.lookup(aor.key, this.#now);
    // A request to a sips URI goes on securely or not at all (RFC 3261 §26.2.2).
    if (aor?.secure) bindings = bindings.filter(({ uri }) => /^sips:/i.test(uri));
    this.targets = bindings.length === 0 ? undefined : bindings.map(targetOf);
    return bindings.length > 0;
  }

  // Routing

  consume_credentials(): void {
    this.consumeDigest = this.#digestAccepted || this.#pcResult?.verdict === "ok";
  }

  record_route(): void {
    this.recordRoute = true;
  }

  loose_route(): boolean {
    return this.ownRoute = (this.#readRoute() & OwnRoute.OWN) !== 0;
  }

  relay(destination?: string): void {
    this.#relayTo(destination === undefined ? undefined : textDestination(destination));
  }

  #relayTo(destination: Destination | undefined): void {
    if (this.#over()) return;
    if (destination !== undefined) this.targets = undefined;
    this.core.forward(this.#message, this.server, this.source, this, destination, this.#now);
    this.#progress = "done";
  }

  relay_to_next_hop(): void {
    // Without a next hop, a Request-URI that names this proxy would come back to it until Max-Forwards is used up.
    if (this.core.nextHop === undefined && this.isForUs) return this.reply(404);
    this.#relayTo(this.core.nextHop);
  }

  reply(status: number, reason?: string, headers: readonly string[] = NO_HEADERS): void {
    if (this.#over()) return;
    if (this.server !== NO_TRANSACTION) {
      this.core.reply(this.#message, this.server, status, reason, headers, this.#now);
    }
    if (status >= 200) this.#progress = "done";
  }

  drop(): void {
    if (this.#over()) return;
    this.#progress = "done";
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
    if (this.#progress === "open") this.reply(500, "Route made no decision");
  }

  /** To be called when the route has thrown. */
  failed(): void {
    this.reply(500, "Server Internal Error");
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
