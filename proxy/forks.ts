/** Requests on several branches, side by side and one after the other: RFC 3261 §16.6, §16.7, §16.8, §16.10. */
import {
  type Address,
  HeaderId,
  isReliable,
  NameAddrView,
  NO_TRANSACTION,
  SipMessage,
  type TransactionId,
  type TransactionLayer,
} from "../mod.ts";
import { type BranchResponse, isChallenge } from "./best_response.ts";
import { type Destination, type Destinations, isAddress, overTcp } from "./destination.ts";
import { type Branch, Fork, type ForkOptions } from "./fork.ts";
import type { HopWatch, ProxyOptions } from "./proxy_environment.ts";
import { NextRoute } from "./own_route.ts";
import { breadthOf, type Forwarding, type RequestWriter } from "./request_writer.ts";
import { ContextTimer, type ResponseContexts } from "./response_contexts.ts";
import { contactTarget, groupTargets, type RelayTarget } from "./targets.ts";

/** What forks need of their proxy core. */
export interface ForkCore {
  readonly layer: TransactionLayer;
  readonly contexts: ResponseContexts;
  readonly writer: RequestWriter;
  readonly destinations: Destinations;
  readonly options: Pick<ProxyOptions, "udpMtu">;
  readonly hops: HopWatch | undefined;
  /** Where the Request-URI of a message leads. */
  requestDestination(message: SipMessage): Destination;
  /** Where the Route value of a message leads. */
  routeDestination(message: SipMessage, next: NextRoute): Destination;
  /** Finds the address of a next hop, at once if it is one. */
  locate(target: Address, done: (addresses: readonly Address[], now: number) => void, now: number): void;
  /** Sends a request that is written. NO_TRANSACTION when there is no room. */
  sendBranch(length: number, target: Address, now: number): TransactionId;
  /** Starts a timer of a transaction. */
  startTimer(transaction: TransactionId, timer: ContextTimer, now: number): void;
  /** Answers the request of a server transaction with a response that was made here. */
  answerHeld(server: TransactionId, status: number, now: number, reason?: string): void;
  /** Sends a response on; `others` give it their challenges. */
  forwardResponse(
    message: SipMessage,
    server: TransactionId,
    from: Address,
    now: number,
    others?: readonly BranchResponse[],
    chosen?: BranchResponse,
  ): void;
  /** A response as bytes without what a stranger may not say. */
  cleaned(message: SipMessage, from: Address): Uint8Array;
  /** Asks the failure hook of a fork; it ends with {@linkcode Forks.extend} or {@linkcode Forks.answer}. */
  askHook(fork: Fork, message: SipMessage, now: number): void;
  /** Tells the reply hook. False: the provisional response is not to go on. */
  tellHook(fork: Fork, message: SipMessage, from: Address): boolean;
}

/** The status of a branch that could not be sent: as if it had answered so (§16.9). */
const TRANSPORT_FAILED = 503;

/** All forks of a proxy core. */
export class Forks {
  readonly #forks = new Map<TransactionId, Fork>();
  readonly #next = new NextRoute();
  readonly #view = new SipMessage();
  readonly #contact = new NameAddrView();

  constructor(private readonly core: ForkCore) {}

  /** How many there are. */
  get size(): number {
    return this.#forks.size;
  }

  /** The fork of a server transaction. */
  of(server: TransactionId): Fork | undefined {
    return this.#forks.get(server);
  }

  /**
   * Sends a request to its targets.
   *
   * @param kept whether `message` is a copy, or was rewritten: the transaction holds another then
   */
  begin(
    message: SipMessage,
    kept: boolean,
    server: TransactionId,
    from: Address,
    how: Forwarding,
    options: ForkOptions,
    now: number,
  ): void {
    const { core } = this;
    const serial = core.layer.serialOf(server);
    const own = kept ? message : undefined;
    const fork = new Fork(server, serial, own, from, how, breadthOf(message), options);
    core.contexts.setForked(server);
    this.#forks.set(server, fork);
    if (message.method === "INVITE") core.layer.sendTrying(server, now, message);
    this.#startGroup(fork, now);
  }

  /**
   * Sends a request to further targets, from its failure hook; after a 6xx there are none (§16.7 step 5).
   *
   * @param message the request as the hook wants it: a copy
   */
  extend(fork: Fork, message: SipMessage, how: Forwarding, options: ForkOptions, now: number): void {
    if (fork.closed) return this.answer(fork, now);
    const { groups, nextHops, recurse, onFailure, onReply } = options;
    Object.assign(fork, { message, how, groups, nextHops, recurse, onFailure, onReply, deciding: false });
    this.#startGroup(fork, now);
  }

  /** The server transaction is over. */
  end(server: TransactionId): void {
    const fork = this.#forks.get(server);
    if (fork === undefined) return;
    this.#forks.delete(server);
    fork.closed = true;
    for (const { client } of fork.branches) {
      if (client !== NO_TRANSACTION) this.core.contexts.unlink(client);
    }
  }

  /** A client transaction is over. */
  forget(server: TransactionId, client: TransactionId): void {
    this.#forks.get(server)?.forget(client);
  }

  /** The caller gives up (§16.10). */
  cancel(server: TransactionId, now: number): void {
    const fork = this.#forks.get(server);
    if (fork === undefined) return;
    fork.closed = true;
    this.#cancelPending(fork, now);
    if (fork.pending === 0) this.answer(fork, now);
  }

  /** A response other than 100 on a branch. */
  response(
    message: SipMessage,
    client: TransactionId,
    server: TransactionId,
    from: Address,
    now: number,
  ): void {
    const { core } = this;
    const fork = this.#forks.get(server);
    const branch = fork?.branchOf(client);
    if (fork === undefined || branch === undefined) return;
    const { status } = message;
    const invite = core.layer.methodOf(server) === "INVITE";
    branch.heard = true;
    if (status < 200) {
      if (!invite || core.contexts.isAnswered(server)) return;
      if (core.tellHook(fork, message, from)) core.forwardResponse(message, server, from, now);
      return;
    }
    if (status >= 300) {
      // Of a branch that was given up, or whose end is known.
      if (!branch.pending || this.#retry(fork, branch, status, now)) return;
      core.tellHook(fork, message, from);
      return this.#ended(fork, branch, { status, bytes: core.cleaned(message, from) }, now);
    }
    if (!invite && core.contexts.isAnswered(server)) return;
    if (branch.pending) core.tellHook(fork, message, from);
    branch.pending = false;
    fork.closed = true;
    core.forwardResponse(message, server, from, now);
    this.#cancelPending(fork, now);
  }

  /** A branch gets no response: after Timer B or F, or when nobody answers its CANCEL. */
  timeout(server: TransactionId, client: TransactionId, now: number): void {
    this.#failed(server, client, 408, now);
  }

  /** A branch cannot be sent (§16.9). */
  transportError(server: TransactionId, client: TransactionId, now: number): void {
    this.#failed(server, client, TRANSPORT_FAILED, now);
  }

  #failed(server: TransactionId, client: TransactionId, status: number, now: number): void {
    const fork = this.#forks.get(server);
    const branch = fork?.branchOf(client);
    if (fork === undefined || branch === undefined || !branch.pending) return;
    branch.client = NO_TRANSACTION;
    if (!this.#retry(fork, branch, status, now)) this.#ended(fork, branch, { status, bytes: undefined }, now);
  }

  /** Tries the next hop after one that does not serve or answer (RFC 3263 §4.3). */
  #retry(fork: Fork, branch: Branch, status: number, now: number): boolean {
    const unserved = status === 503 || (status === 408 && !branch.heard);
    if (!unserved || fork.closed) return false;
    const next = branch.alternatives.shift();
    if (branch.address !== undefined) {
      this.core.hops?.failed(branch.address, next !== undefined && branch.long === undefined, now);
    }
    if (next === undefined) return false;
    branch.client = NO_TRANSACTION;
    branch.heard = false;
    this.#sendTo(fork, branch, next, now);
    return true;
  }

  #startGroup(fork: Fork, now: number): void {
    for (;;) {
      const group = fork.nextGroup();
      if (group === undefined) return this.#conclude(fork, now);
      const { targets, breadth } = group;
      const begun = targets.map((target, place): Branch => ({
        target,
        alternatives: [...fork.nextHops],
        breadth: breadth(place),
        client: NO_TRANSACTION,
        pending: true,
        heard: false,
        address: undefined,
        long: undefined,
      }));
      fork.branches.push(...begun);
      // Each may end at once: with the last of them the group has ended, but not before.
      fork.deciding = true;
      for (const branch of begun) this.#send(fork, branch, now);
      fork.deciding = false;
      if (!this.#isLive(fork) || fork.pending > 0) return;
      if (fork.closed) return this.#conclude(fork, now);
    }
  }

  #send(fork: Fork, branch: Branch, now: number): void {
    const message = this.#request(fork);
    if (message === undefined) return;
    const hop = this.#hopOf(fork, branch, message);
    this.#sendTo(fork, branch, hop, now);
  }

  /** §16.6 steps 6 and 7: what is known of the phone, its path, the Route of the request, what the route chose, the URI. */
  #hopOf(fork: Fork, { target, alternatives }: Branch, message: SipMessage): Destination {
    if (target?.path !== undefined && target.path.length > 0) {
      const uri = /<([^>]*)>/.exec(target.path[0])?.[1] ?? target.path[0];
      return this.core.destinations.ofText(uri);
    }
    if (target?.received !== undefined) return target.received;
    this.#next.read(message, fork.how.ownRoutes);
    if (this.#next.found) return this.core.routeDestination(message, this.#next);
    return alternatives.shift() ??
      (target === undefined
        ? this.core.requestDestination(message)
        : this.core.destinations.ofText(target.uri));
  }

  #sendTo(fork: Fork, branch: Branch, hop: Destination, now: number): void {
    const { core } = this;
    if (!isAddress(hop)) return this.#ended(fork, branch, { status: hop.status, bytes: undefined }, now);
    core.locate(hop, (addresses, at) => {
      if (!this.#isLive(fork) || !branch.pending) return;
      if (fork.closed) return this.#ended(fork, branch, { status: 487, bytes: undefined }, at);
      const [address, ...others] = addresses;
      branch.alternatives.unshift(...others);
      if (address !== undefined) return this.#sendNow(fork, branch, address, at);
      if (!this.#retry(fork, branch, TRANSPORT_FAILED, at)) {
        this.#ended(fork, branch, { status: 500, bytes: undefined }, at);
      }
    }, now);
  }

  #sendNow(fork: Fork, branch: Branch, address: Address, now: number): void {
    const { core } = this;
    const message = this.#request(fork);
    if (message === undefined) return;
    const { target, breadth } = branch;
    const next = this.#next;
    next.read(message, fork.how.ownRoutes);
    const hop = { uri: target?.uri, path: target?.path ?? [], breadth };
    const length = core.writer.write(message, fork.from, fork.how, next, address, hop, false);
    if (length < 0) return this.#ended(fork, branch, { status: -length, bytes: undefined }, now);
    if (length > core.options.udpMtu && !isReliable(address) && branch.long !== address) {
      branch.long = address;
      branch.alternatives.unshift(address);
      return this.#sendNow(fork, branch, overTcp(address), now);
    }
    branch.address = address;
    const client = core.sendBranch(length, address, now);
    if (client === NO_TRANSACTION) {
      return this.#ended(fork, branch, { status: TRANSPORT_FAILED, bytes: undefined }, now);
    }
    branch.client = client;
    core.contexts.linkBranch(fork.server, client);
    if (message.method === "INVITE") core.startTimer(client, ContextTimer.C, now);
  }

  /** A branch has ended with a final response other than 2xx. */
  #ended(fork: Fork, branch: Branch, response: BranchResponse, now: number): void {
    branch.pending = false;
    if (!this.#isLive(fork) || this.core.contexts.isAnswered(fork.server)) return;
    const { status } = response;
    if (!this.#recurses(fork, response)) fork.responses.push(response);
    if (status >= 600) {
      fork.closed = true;
      this.#cancelPending(fork, now);
    }
    if (fork.deciding || fork.pending > 0) return;
    if (fork.closed) this.#conclude(fork, now);
    else this.#startGroup(fork, now);
  }

  /** Takes the Contacts of a 3xx as targets, before those that are left (§16.7 step 4). */
  #recurses(fork: Fork, { status, bytes }: BranchResponse): boolean {
    if (!fork.recurse || fork.closed || status >= 400 || bytes === undefined) return false;
    const groups = groupTargets(this.contacts(bytes), fork.known);
    fork.groups.unshift(...groups);
    return groups.length > 0;
  }

  /** The targets that the Contacts of a response name. */
  contacts(bytes: Uint8Array): RelayTarget[] {
    const view = this.#view;
    view.parse(bytes, 0, bytes.length);
    const targets: RelayTarget[] = [];
    for (const [start, end] of view.values(HeaderId.CONTACT)) {
      const target = this.#contact.parse(bytes, start, end) ? contactTarget(this.#contact) : undefined;
      if (target !== undefined) targets.push(target);
    }
    return targets;
  }

  /** All branches have ended, and no target is left. */
  #conclude(fork: Fork, now: number): void {
    const { core } = this;
    if (core.contexts.isAnswered(fork.server)) return;
    const message = this.#request(fork);
    const cancelled = core.contexts.isCancelled(fork.server);
    if (fork.onFailure === undefined || cancelled || message === undefined) return this.answer(fork, now);
    fork.deciding = true;
    core.askHook(fork, message, now);
  }

  /** Sends the best of the responses (§16.7 steps 6 to 8). */
  answer(fork: Fork, now: number): void {
    const { core } = this;
    const { server } = fork;
    if (!this.#isLive(fork) || core.contexts.isAnswered(server)) return;
    fork.closed = true;
    if (core.contexts.isCancelled(server)) return core.answerHeld(server, 487, now);
    const best = fork.best();
    if (best === undefined) return core.answerHeld(server, 480, now);
    // §16.7 step 6: 503 is about the next hop, not about this proxy.
    if (best.status === 503) return core.answerHeld(server, 500, now);
    if (best.bytes === undefined) return core.answerHeld(server, best.status, now);
    const view = this.#view;
    view.parse(best.bytes, 0, best.bytes.length);
    const others = isChallenge(best.status) ? fork.responses : undefined;
    core.forwardResponse(view, server, fork.from, now, others, best);
  }

  #cancelPending(fork: Fork, now: number): void {
    const { core } = this;
    for (const branch of fork.branches) {
      const { client } = branch;
      if (!branch.pending) continue;
      if (client === NO_TRANSACTION) branch.pending = false;
      else if (core.layer.methodOf(client) === "INVITE") {
        core.contexts.setCancelled(client);
        core.layer.cancel(client, now);
        core.startTimer(client, ContextTimer.CANCELLED, now);
      }
    }
  }

  /** The request, good until the next one is asked for. */
  #request(fork: Fork): SipMessage | undefined {
    if (fork.message !== undefined) return fork.message;
    return this.core.layer.requestOf(fork.server, this.#view) ? this.#view : undefined;
  }

  #isLive(fork: Fork): boolean {
    return this.core.layer.serialOf(fork.server) === fork.serial;
  }
}
