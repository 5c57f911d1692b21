/**
 * The routing functions of the proxy: what a route (`--route FILE.ts`) is given for each request. Names and meaning
 * follow OpenSIPS; docs/ROUTING.md has them side by side. A route is called for every request but ACK to a failed INVITE and
 * CANCEL of a known one, which the proxy handles by itself. ACK and CANCEL are never challenged (docs/PROTOCOL.md §6).
 */
import type { Address, DigestVerdict, SipMessage, Verdict } from "../mod.ts";
import type { RelayTarget } from "./targets.ts";

export type { RelayTarget } from "./targets.ts";

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
  /** Whether an answer of the request was verified, with the verdict ok. */
  readonly isAuthenticated: boolean;
  /** Whether the Request-URI names this proxy or a domain that it serves. */
  readonly isForUs: boolean;
  /**
   * Whether {@linkcode RouteActions.relay_to_next_hop} would send it to where the sender chooses: there is no `--next_hop`,
   * and the Request-URI names neither this proxy nor a domain that it serves. From strangers that makes an open relay.
   */
  readonly leadsAnywhere: boolean;
  /** Whether the Request-URI is the address of `--next_hop`: so is one that a called side there gave as its Contact. */
  readonly isForNextHop: boolean;
}

/** What a relay can be told. */
export interface RelayOptions {
  /** Whether the Contacts of a 3xx are tried in its place (RFC 3261 §16.7 step 4); off by default. */
  readonly recurse?: boolean;
}

/** How all branches of a request have failed: what a failure hook is given. */
export interface RelayFailure {
  /** Status of the response that is sent if the hook does nothing: 408 when nobody answered, 503 when nobody could be reached. */
  readonly status: number;
  /** Of every branch. */
  readonly statuses: readonly number[];
  /** What the Contacts of the response name: targets that a 3xx asks to try. */
  readonly contacts: readonly RelayTarget[];
}

/**
 * Called when every branch of a request has ended without a 2xx, but not after a CANCEL. It may {@linkcode RouteActions.relay}
 * to other targets, answer with {@linkcode RouteActions.reply}, or leave it: then the best response goes back. It counts
 * once: who wants to hear of the next failure sets it again.
 */
export type FailureHook = (failure: RelayFailure, proxy: RouteActions) => void | Promise<void>;

/** A response on its way back: what a reply hook is given. */
export interface RelayReply {
  readonly status: number;
  /** The response; a view that is good during the call. */
  readonly message: SipMessage;
  readonly source: Address;
  /** Keeps a provisional response from going on; a final one always does its part. */
  drop(): void;
}

/** Called for each response of a request but 100 and repeated ones. */
export type ReplyHook = (reply: RelayReply) => void;

/** Where users are: the registrar's part of a route. */
export interface LocationService {
  /**
   * The contacts of the Request-URI, the best first; empty when there are none, or it is no user of a served domain.
   *
   * @param message is used during the call only
   */
  lookup(message: SipMessage, now: number): readonly RelayTarget[];
  /**
   * Changes the contacts of To as a REGISTER asks, all or none (RFC 3261 §10.3).
   *
   * @param message is used during the call only
   * @param user who was authenticated; undefined when nobody was
   * @param done is called once, at once or later, with the answer
   */
  save(
    message: SipMessage,
    source: Address,
    user: AuthenticatedUser | undefined,
    now: number,
    done: (answer: ReplyParts, now: number) => void,
  ): void;
}

/** Whose answer to a challenge was accepted. */
export interface AuthenticatedUser {
  readonly username: string;
  readonly realm: string;
}

/** A response to be made. */
export interface ReplyParts {
  readonly status: number;
  readonly reason?: string;
  readonly headers?: readonly string[];
}

/** How a dispatcher chooses among the targets of a set. */
export type DispatchAlgorithm = "round_robin" | "call_id" | "weight" | "first";

/** Sets of next hops that share their load. */
export interface DispatcherService {
  /**
   * The next hops of a set in the order to be tried, those that are down left out; SIP URIs.
   *
   * @param message for algorithms that go by the Call-ID
   */
  select(set: number, algorithm: DispatchAlgorithm, message: SipMessage): readonly string[];
}

/** Notices who sends too much. */
export interface FloodService {
  /** Whether one more request of this source is within its limits. */
  check(source: Address, now: number): boolean;
}

/** What a route can use beside the proxy core. */
export interface RouteServices {
  readonly location?: LocationService;
  readonly dispatcher?: DispatcherService;
  /** The set that relay_to_next_hop goes to, in the place of `--next_hop`. */
  readonly nextHopSet?: { readonly set: number; readonly algorithm: DispatchAlgorithm };
  readonly flood?: FloodService;
}

/** What a route may do with a request. It ends with exactly one of challenge, reply, save, relay, forward and drop. */
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
  /** Whether the request has come by a Route value of this proxy, which is taken away in any case (RFC 3261 §16.4). */
  loose_route(): boolean;
  /**
   * Looks up where the user of the Request-URI is (RFC 3261 §16.5): {@linkcode relay} goes to the contacts then, whose URIs
   * replace it, those with the highest q first.
   *
   * @param table "location"
   * @returns whether there are any; 480 says that there are none
   * @throws {TypeError} without a registrar (`--registrar 1`)
   */
  lookup(table?: string): boolean;
  /**
   * Changes the contacts of To as a REGISTER asks, and answers it: 200 with all contacts, or 400, 403, 404, 420, 423 or 503, with
   * nothing changed (RFC 3261 §10.3). Where a user was authenticated, To must be that user.
   *
   * @param table "location"
   * @throws {TypeError} without a registrar (`--registrar 1`)
   */
  save(table?: string): void;
  /** Puts another URI into the Request-URI of the request that is relayed. @throws {TypeError} when it is no sip or sips URI */
  seturi(uri: string): void;
  /** Adds a header line to the request that is relayed. @param line "Name: value" */
  append_hf(line: string): void;
  /** Takes a header out of the request that is relayed; lines of {@linkcode append_hf} stay. */
  remove_hf(name: string): void;
  /**
   * Chooses a next hop from a set of the dispatcher: {@linkcode relay} goes there with its Request-URI as it is, and to the
   * others of the set when that one does not serve (503) or answer.
   *
   * @returns false when no next hop of the set is up
   * @throws {TypeError} without a dispatcher
   */
  dsSelect(set: number, algorithm?: DispatchAlgorithm): boolean;
  /** Whether the source sends no more than it may (as pike_check_req of OpenSIPS); true without limits. */
  pike_check_req(): boolean;
  /** Has `hook` called when all branches of the request fail, as t_on_failure. To be said before {@linkcode relay}. */
  onFailure(hook: FailureHook): void;
  /** Has `hook` called for the responses of the request, as t_on_reply. To be said before {@linkcode relay}. */
  onReply(hook: ReplyHook): void;
  /**
   * Relays the request statefully: to the next Route value if there is one, else to `to`, else to what {@linkcode lookup} or
   * {@linkcode dsSelect} has found, else to the Request-URI (RFC 3261 §16.6). An ACK goes without a transaction, as does a
   * CANCEL of an INVITE that is not known.
   *
   * @param to a next hop such as `sip:192.0.2.1:5060`, with which the Request-URI stays; or targets, each of which gets the request
   * with its own Request-URI: those of equal q side by side, the others after them
   */
  relay(to?: string | readonly RelayTarget[], options?: RelayOptions): void;
  /**
   * Sends the request on without a transaction (RFC 3261 §16.11). It is for requests that are not authenticated: one that its
   * sender repeats comes to the route again, and a PC token is good once.
   *
   * @param destination as for {@linkcode relay}
   */
  forward(destination?: string): void;
  /** Relays to the next hop of the configuration (`--next_hop`). */
  relay_to_next_hop(): void;
  /**
   * Answers the request.
   *
   * @param reason the reason phrase; that of the status by default
   * @param headers further lines, "Name: value"
   */
  reply(status: number, reason?: string, headers?: readonly string[]): void;
  /** Answers OPTIONS with what this proxy can do (RFC 3261 §11.2). */
  options_reply(): void;
  /** Gives the request up without an answer. */
  drop(): void;
}

/** A route: decides what happens to one request. */
export type RouteFunction = (request: RouteRequest, proxy: RouteActions) => void | Promise<void>;
