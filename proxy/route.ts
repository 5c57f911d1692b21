/**
 * The routing functions of the proxy: what a route (`--route FILE.ts`) is given for each request. Names and meaning
 * follow OpenSIPS; a route is called for every request but ACK to a failed INVITE and CANCEL, which the transaction
 * layer answers. An ACK for a 2xx comes without authentication (docs/PROTOCOL.md §6).
 */
import type { Address, DigestVerdict, SipMessage, Verdict } from "../mod.ts";

/** One request on its way through the proxy. */
export interface RouteRequest {
  /** The request. It is a view that is good until the route function gives up control for the first time (`await`). */
  readonly message: SipMessage;
  readonly method: string;
  /** Where it came from. */
  readonly source: Address;
  /** The unescaped user part of From. */
  readonly fromUser: string;
  /** The host of From in lower case. */
  readonly fromHost: string;
  /** The served realm that the From host belongs to; undefined for a foreign domain. */
  readonly realm: string | undefined;
  /**
   * Whether the request is of a dialog that this proxy stayed in: To has a tag, and Route brings back what
   * {@linkcode RouteActions.record_route} put into Record-Route. A To tag alone proves nothing.
   */
  readonly isInDialog: boolean;
  /** Whether Route names others than this proxy: a route that follows it lets the sender choose where to. */
  readonly hasForeignRoute: boolean;
  /** Whether To has a tag: the request claims to be inside a dialog. */
  readonly hasToTag: boolean;
  /** Whether the Request-URI names this proxy or a domain that it serves. */
  readonly isForUs: boolean;
  /** Whether the Request-URI is the address of `--next_hop`: so is one that a called side there gave as its Contact. */
  readonly isForNextHop: boolean;
}

/** What a route may do with a request. It ends with exactly one of challenge, reply, relay and drop. */
export interface RouteActions {
  /**
   * Verifies the request's PC answer for a served realm, from memory (docs/PROTOCOL.md §6).
   *
   * @param realm a realm of `--realm`
   * @param table "subscriber": the table itself is DBclient's business
   * @throws {TypeError} for a realm that is not served, or another table
   */
  proxy_authorize_pc(realm: string, table?: string): Verdict;
  /**
   * Answers the request as its verdict asks for (docs/PROTOCOL.md §6): 407 with a bare or guided challenge, 400, 403 or
   * 503. It needs no verdict before: without one the challenge is bare.
   *
   * @param qop 0; auth-int is offered by `--auth_int`
   */
  proxy_challenge_pc(realm: string, qop?: number): void;
  /** As {@linkcode proxy_authorize_pc} with Authorization, for a registrar. */
  www_authorize_pc(realm: string, table?: string): Verdict;
  /** As {@linkcode proxy_challenge_pc} with 401 and WWW-Authenticate. */
  www_challenge_pc(realm: string, qop?: number): void;
  /** Verifies the request's Digest answer for a served realm, with one question to DBclient. */
  proxy_authorize(realm: string, table?: string): Promise<DigestVerdict>;
  /** Answers the request as its Digest verdict asks for. */
  proxy_challenge(realm: string, qop?: number): void;
  /** As {@linkcode proxy_authorize} with Authorization, for a registrar. */
  www_authorize(realm: string, table?: string): Promise<DigestVerdict>;
  /** As {@linkcode proxy_challenge} with 401 and WWW-Authenticate. */
  www_challenge(realm: string, qop?: number): void;
  /** Challenges with Digest first and PC second, for agents that know either; the verdicts before decide as above. */
  challenge_both(realm: string, register?: boolean): void;
  /** Whether the request carries a Digest answer for the realm. */
  has_digest_answer(realm: string, register?: boolean): boolean;
  /** Removes the answers that were accepted from the request that is relayed. PC answers of served realms always go. */
  consume_credentials(): void;
  /** Puts this proxy into Record-Route of the request that is relayed (RFC 3261 §16.6 step 4). */
  record_route(): void;
  /** Takes this proxy's own Route value away (RFC 3261 §16.4); whether there was one. */
  loose_route(): boolean;
  /**
   * The registrar (`--registrar 1`): changes the contacts of To as a REGISTER asks, and answers it: 200 with all
   * contacts, or 400, 403, 404, 420, 423 or 503, with nothing changed (RFC 3261 §10.3). Where a user was authenticated, To
   * must be that user.
   *
   * @throws {TypeError} without `--registrar`, and for another method
   */
  save(): void;
  /**
   * Looks the Request-URI up: {@linkcode relay} without a destination then goes to its contacts, whose URIs replace it,
   * those with the highest q first (RFC 3261 §16.5).
   *
   * @returns false when it is no user of a served domain, or has no contacts now: 480 says so
   * @throws {TypeError} without `--registrar`
   */
  lookup(): boolean;
  /**
   * Relays the request statefully: to the next Route value if there is one, else to `destination`, else to the contacts
   * that {@linkcode lookup} found, else to the Request-URI (RFC 3261 §16.6).
   *
   * @param destination a SIP URI such as `sip:192.0.2.1:5060`
   */
  relay(destination?: string): void;
  /** Relays to the next hop of the configuration (`--next_hop`). */
  relay_to_next_hop(): void;
  /**
   * Answers the request.
   *
   * @param reason the reason phrase; that of the status by default
   * @param headers further lines, "Name: value"
   */
  reply(status: number, reason?: string, headers?: readonly string[]): void;
  /** Gives the request up without an answer. */
  drop(): void;
}

/** A route: decides what happens to one request. */
export type RouteFunction = (request: RouteRequest, proxy: RouteActions) => void | Promise<void>;
