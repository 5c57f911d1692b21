/** One request in the hands of a route: what the route sees (RouteRequest) and may do (RouteActions). */
import {
  type Address,
  ByteWriter,
  DIGEST_VERDICTS,
  type DigestVerdict,
  type SipMessage,
  type Verdict,
  VERDICTS,
} from "../mod.ts";
import { type AuthKind, PROXY_AUTH, WWW_AUTH } from "./auth_kind.ts";
import { type Destination, textDestination } from "./destination.ts";
import { type DigestResult, hasDigestAnswer } from "./digest_authenticator.ts";
import { type OwnRoute, readRoute } from "./own_route.ts";
import { type ChallengeOutcome, PcResult } from "./pc_authenticator.ts";
import type { ProxyCore } from "./proxy_core.ts";
import type { RouteActions, RouteRequest } from "./route.ts";
import { type Claim, ClaimView } from "./subscriber.ts";
import type { TransactionContext } from "./transaction_context.ts";

const decoder = new TextDecoder();

/** Where a request stands. */
type Progress =
  /** In the route. */
  | "open"
  /** A challenge waits for its credential. */
  | "waiting"
  /** Answered, relayed or dropped. */
  | "done";

/** A request and its route's decisions. */
export class RequestContext implements RouteRequest, RouteActions {
  readonly method: string;
  readonly fromUser: string;
  readonly fromHost: string;
  readonly realm: string | undefined;
  readonly hasToTag: boolean;
  #message: SipMessage;
  #kept = false;
  #toldAt: number;
  #progress: Progress = "open";
  #ownRoute = false;
  #routeRead: OwnRoute | undefined;
  #recordRoute = false;
  #consumeDigest = false;
  #digestAccepted = false;
  #pcResult: PcResult | undefined;
  #digestResult: DigestResult | undefined;

  /** @param context undefined for an ACK */
  constructor(
    private readonly core: ProxyCore,
    message: SipMessage,
    private readonly context: TransactionContext | undefined,
    claim: Claim,
    readonly source: Address,
    now: number,
  ) {
    this.#message = message;
    this.#toldAt = now;
    this.method = message.method;
    this.fromUser = claim.user;
    this.fromHost = claim.host;
    this.realm = core.names.realmOf(claim.host);
    this.hasToTag = message.toTag !== "";
  }

  /** The present time: a route may come back from waiting long after the request. */
  get #now(): number {
    return Math.max(this.#toldAt, this.core.now);
  }
  set #now(now: number) {
    this.#toldAt = now;
  }

  get isInDialog(): boolean {
    return this.hasToTag && this.#readRoute().tagged;
  }

  get hasForeignRoute(): boolean {
    return this.#readRoute().others;
  }

  #readRoute(): OwnRoute {
    return this.#routeRead ??= readRoute(this.#message, this.core.names, this.core.dialogTags);
  }

  get isForUs(): boolean {
    return this.core.isForUs(this.#message.requestUri);
  }

  get isForNextHop(): boolean {
    return this.core.isForNextHop(this.#message.requestUri);
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
    this.#challengePc(PROXY_AUTH, realm, []);
  }

  www_challenge_pc(realm: string, _qop = 0): void {
    this.#challengePc(WWW_AUTH, realm, []);
  }

  #authorizePc(kind: AuthKind, realm: string, table: string): Verdict {
    this.#check(realm, table);
    if (this.context === undefined) return "ok"; // ACK: docs/PROTOCOL.md §6
    const result = this.#pcResult = new PcResult();
    const verdict = this.core.pc.authorize(this.#message, kind, realm, this.#claim(), this.#now, result);
    if (verdict === "ok") this.context.accepted = result.accepted;
    return verdict;
  }

  /** The sender of the message as it stands now: the datagram's, or the copy's. */
  #claim(): ClaimView {
    const claim = new ClaimView();
    claim.read(this.#message);
    return claim;
  }

  #challengePc(kind: AuthKind, realm: string, before: readonly string[]): void {
    this.#check(realm, "subscriber");
    const result = this.#pcResult ?? new PcResult();
    const { answer, status } = VERDICTS[result.verdict];
    if (answer === "forward") return this.reply(500, "Challenge after a verdict of ok");
    if (answer === "refuse") return this.#refuse(status!, result.reason);
    if (this.#over()) return;
    if (this.context === undefined) return this.drop(); // An ACK is never challenged (RFC 3261 §22.1).
    let message = this.#message;
    const out = new ByteWriter();
    const { pc } = this.core;
    const state = pc.challenge(
      result,
      kind,
      realm,
      this.#claim(),
      message,
      this.source.host,
      this.#now,
      out,
      (outcome, now) => {
        this.#now = now;
        this.#finishChallenge(message, kind, before, outcome);
      },
    );
    if (state === "unavailable") {
      const outcome = { unavailable: true, retryAfter: pc.retryAfter } as const;
      return this.#finishChallenge(message, kind, before, outcome);
    }
    if (state === "written") {
      const line = decoder.decode(out.buffer.subarray(kind.challenge.length + 2, out.length - 2));
      return this.#finishChallenge(message, kind, before, { header: line });
    }
    // The credential is on the way: keep the request, and tell its sender to wait.
    message = this.#keep();
    this.#progress = "waiting";
    this.core.tryingSoon(this.context!, this.#now);
  }

  #finishChallenge(
    message: SipMessage,
    kind: AuthKind,
    before: readonly string[],
    outcome: ChallengeOutcome,
  ): void {
    if (this.#progress === "done") return;
    this.#progress = "done";
    if ("unavailable" in outcome) {
      this.core.counters.refused++;
      this.core.reply(
        message,
        this.context!,
        503,
        undefined,
        [`Retry-After: ${outcome.retryAfter}`],
        this.#now,
      );
      return;
    }
    this.core.counters.challenged++;
    const headers = [...before, `${kind.challenge}: ${outcome.header}`];
    this.core.reply(message, this.context!, kind.status, kind.reason, headers, this.#now);
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
    if (this.context === undefined) return Promise.resolve("ok"); // ACK is never challenged (RFC 3261 §22.1)
    this.#keep();
    return new Promise((resolve) => {
      this.core.digest.authorize(this.#message, kind, realm, this.fromUser, this.#now, (result, now) => {
        this.#now = now;
        this.#digestResult = result;
        this.#digestAccepted = result.verdict === "ok";
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

  // Routing

  consume_credentials(): void {
    this.#consumeDigest = this.#digestAccepted || this.#pcResult?.verdict === "ok";
  }

  record_route(): void {
    this.#recordRoute = true;
  }

  loose_route(): boolean {
    return this.#ownRoute = this.#readRoute().own;
  }

  relay(destination?: string): void {
    this.#relayTo(destination === undefined ? undefined : textDestination(destination));
  }

  #relayTo(destination: Destination | undefined): void {
    if (this.#over()) return;
    this.core.forward(this.#message, this.context, this.source, {
      ownRoute: this.#ownRoute,
      recordRoute: this.#recordRoute,
      consumeDigest: this.#consumeDigest,
      destination,
    }, this.#now);
    this.#progress = "done";
  }

  relay_to_next_hop(): void {
    const { nextHop } = this.core.options;
    // Without a next hop, a Request-URI that names this proxy would come back to it until Max-Forwards is used up.
    if (nextHop === undefined && this.isForUs) return this.reply(404);
    this.#relayTo(this.core.nextHop);
  }

  reply(status: number, reason?: string, headers: readonly string[] = []): void {
    if (this.#over()) return;
    if (this.context !== undefined) {
      this.core.reply(this.#message, this.context, status, reason, headers, this.#now);
    }
    if (status >= 200) this.#progress = "done";
  }

  drop(): void {
    if (this.#over()) return;
    this.#progress = "done";
    if (this.context !== undefined) this.core.layer.end(this.context.server, this.#now);
  }

  /** To be called when the route waits for something: the datagram goes, the request stays. */
  suspend(): void {
    if (this.#over()) return;
    this.#keep();
    if (this.context !== undefined) this.core.tryingSoon(this.context, this.#now);
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
    if (this.#progress !== "open") return true;
    return this.context !== undefined && (!this.context.alive || this.context.answered);
  }

  /** Copies the message, so that it outlives the datagram. */
  #keep(): SipMessage {
    if (!this.#kept) this.#message = this.#message.clone();
    this.#kept = true;
    return this.#message;
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
